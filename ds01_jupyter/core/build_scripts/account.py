"""Give the image an account with a person's real number: `account.py FILE [ROOT]`.

The files are edited here and not by useradd, which refuses names that directories such as LDAP
have (john.doe, 1abc, DOM\\bob) and blows up lastlog for large numbers.
"""
# mypy: ignore-errors

import json
import os
import re
import shutil
import sys

SHELL = "/bin/bash"
# A fixed day: the files of one account are the same whenever they are made.
LAST_CHANGE = "19000"


def read(path):
    """The records of a file of colon-separated fields; none when it is not there."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as lines:
            return [line.rstrip("\n").split(":") for line in lines if line.strip()]
    except FileNotFoundError:
        return None


def write(path, records):
    """Write records back into the same file, so that its owner and mode stay."""
    with open(path, "w", encoding="utf-8", errors="surrogateescape") as file:
        file.writelines(":".join(record) + "\n" for record in records)


def without_members(records, names):
    """Groups without these people among their members (the last field)."""
    for record in records:
        members = [name for name in record[-1].split(",") if name and name not in names]
        yield record[:-1] + [",".join(members)]


def home_of(name):
    """A folder below /home that needs no quoting."""
    return "/home/" + (re.sub(r"[^A-Za-z0-9._-]", "_", name).lstrip(".-") or "user")


def add_group(etc, name, gid, gone):
    """Have a group with this number; one that is there keeps its name."""
    groups = list(without_members(read(etc + "/group") or [], gone))
    shadow = read(etc + "/gshadow")
    if shadow is not None:
        shadow = list(without_members(shadow, gone))
    if not any(record[2] == str(gid) for record in groups):
        taken = {record[0] for record in groups}
        group = name if name not in taken else "{}-{}".format(name, gid)
        groups.append([group, "x", str(gid), ""])
        if shadow is not None:
            shadow.append([group, "!", "", ""])
    write(etc + "/group", groups)
    if shadow is not None:
        write(etc + "/gshadow", shadow)


def add_user(etc, name, uid, gid):
    """Have the account; others with its number or its name go. Returns the names that went."""
    users = read(etc + "/passwd") or []
    old = {record[0] for record in users if record[2] == str(uid) or record[0] == name}
    users = [record for record in users if record[0] not in old]
    users.append([name, "x", str(uid), str(gid), "", home_of(name), SHELL])
    write(etc + "/passwd", users)
    shadow = read(etc + "/shadow")
    if shadow is not None:
        shadow = [record for record in shadow if record[0] not in old]
        shadow.append([name, "!", LAST_CHANGE, "0", "99999", "7", "", "", ""])
        write(etc + "/shadow", shadow)
    return old


def add_home(root, name, uid, gid):
    """Have a home folder with the usual start-up files, owned by the account."""
    home = root + home_of(name)
    if not os.path.isdir(home):
        os.makedirs(os.path.dirname(home), exist_ok=True)
        if os.path.isdir(root + "/etc/skel"):
            shutil.copytree(root + "/etc/skel", home, symlinks=True)
        else:
            os.mkdir(home)
        os.chmod(home, 0o750)
        for folder, folders, files in os.walk(home):
            for entry in folders + files:
                os.lchown(os.path.join(folder, entry), uid, gid)
    os.lchown(home, uid, gid)


def main(arguments):
    """Make the account; root is there already."""
    with open(arguments[0], encoding="utf-8") as file:
        account = json.load(file)
    root = arguments[1] if len(arguments) > 1 else ""
    name, uid, gid = account["name"], int(account["uid"]), int(account["gid"])
    if uid == 0:
        return 0
    gone = add_user(root + "/etc", name, uid, gid)
    add_group(root + "/etc", name, gid, gone | {name})
    add_home(root, name, uid, gid)
    print("Account {} with the number {}".format(name, uid))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
