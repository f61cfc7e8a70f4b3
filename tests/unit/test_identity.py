"""One identity per uid, against the machine's real name service.

The accounts of the tests are real ones: a process of its own sees them in /etc/passwd, which it
has to itself (a private mount; nothing of the machine's own is touched).
"""

from __future__ import annotations

import json
import os
import pwd
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ds01_jupyter.core.errors import Forbidden, NotFound
from ds01_jupyter.core.identity import (
    Directory,
    canonical,
    person_of_uid,
    process_owner,
    unix_group_exists,
)

PASSWD = """\
root:x:0:0:root:/root:/bin/bash
u.ser:x:1001:1001::/home/u.ser:/bin/bash
u-ser:x:1002:1002::/home/u-ser:/bin/bash
u_ser:x:1003:1003::/home/u_ser:/bin/bash
toor:x:1001:1001:another name of u.ser:/home/u.ser:/bin/bash
a@x.example:x:1004:1004::/home/a.x:/bin/bash
a@y.example:x:1005:1005::/home/a.y:/bin/bash
2020:x:1006:1006:a name of digits:/home/2020:/bin/bash
other:x:2020:1007::/home/other:/bin/bash
a-very-long-name-of-somebody-in-the-directory:x:1800000001:1800000001::/home/long:/bin/bash
"""
GROUP = "root:x:0:\nlab:x:500:u.ser,u-ser\nu.ser:x:1001:\n"


@pytest.fixture(scope="module")
def with_accounts(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Runs Python statements where those accounts exist; `answer` is what they leave in it."""
    folder = tmp_path_factory.mktemp("nss")
    (folder / "passwd").write_text(PASSWD)
    (folder / "group").write_text(GROUP)
    (folder / "nsswitch.conf").write_text("passwd: files\ngroup: files\n")
    mounts = " && ".join(
        f"mount --bind {folder}/{name} /etc/{name}" for name in ("passwd", "group", "nsswitch.conf")
    )
    if os.geteuid() or subprocess.run(["unshare", "--mount", "true"], check=False).returncode:
        pytest.skip("needs root: the accounts are mounted over /etc/passwd")

    def run(code: str) -> Any:
        code = f"import json\n{code}\nprint(json.dumps(answer))"
        script = f'{mounts} && exec {sys.executable} -c "$1"'
        done = subprocess.run(
            ["unshare", "--mount", "--propagation", "private", "sh", "-ec", script, "sh", code],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


ASK = """
from ds01_jupyter.core.errors import NotFound
from ds01_jupyter.core.identity import Directory
directory = Directory({domains})
def ask(name):
    try:
        person = directory.canonical(name)
    except NotFound:
        return None
    assert directory.uid(name) == person.uid
    return [person.name, person.uid]
answer = [ask(name) for name in {names}]
"""


def ask(with_accounts: Any, names: list[str], domains: tuple[str, ...] = ()) -> dict[str, Any]:
    answers = with_accounts(ASK.format(names=names, domains=domains))
    return dict(zip(names, answers, strict=True))


def test_b22_every_spelling_of_an_account_is_one_person(with_accounts: Any) -> None:
    spellings = ["u.ser", "1001", "toor", "u.ser@lab.example", "LAB\\u.ser", "u.ser@LAB.example"]
    found = ask(with_accounts, spellings, ("lab.example", "lab"))
    assert found == {spelling: ["u.ser", 1001] for spelling in spellings}


def test_b22_names_that_look_alike_stay_apart(with_accounts: Any) -> None:
    found = ask(with_accounts, ["u.ser", "u-ser", "u_ser", "U.SER", "u ser", "user"])
    assert found == {
        "u.ser": ["u.ser", 1001],
        "u-ser": ["u-ser", 1002],
        "u_ser": ["u_ser", 1003],
        "U.SER": None,
        "u ser": None,
        "user": None,
    }


def test_f22_a_domain_is_taken_off_only_when_it_is_declared(with_accounts: Any) -> None:
    names = ["a@x.example", "a@y.example", "u.ser@x.example", "u.ser@lab.example", "LAB\\u.ser"]
    apart = {"a@x.example": ["a@x.example", 1004], "a@y.example": ["a@y.example", 1005]}
    assert ask(with_accounts, names) == apart | dict.fromkeys(names[2:])
    found = ask(with_accounts, names, ("x.example",))
    # The name service knows a@x.example as it is, so nothing is taken off it.
    assert found == apart | {names[2]: ["u.ser", 1001], names[3]: None, names[4]: None}


def test_f22_long_names_of_a_directory(with_accounts: Any) -> None:
    name = "a-very-long-name-of-somebody-in-the-directory"
    found = ask(with_accounts, [name, "1800000001", name[:32]])
    assert found == {name: [name, 1800000001], "1800000001": [name, 1800000001], name[:32]: None}


def test_f21_a_number_is_a_name_before_it_is_a_uid(with_accounts: Any) -> None:
    found = ask(with_accounts, ["2020", "1006", "02020", "2020@lab.example", "4294967296", "-1"])
    assert found == {
        "2020": ["2020", 1006],
        "1006": ["2020", 1006],
        **dict.fromkeys(("02020", "2020@lab.example", "4294967296", "-1")),
    }
    code = "from ds01_jupyter.core.identity import Directory\nd = Directory()\n"
    code += "answer = [d.ambiguous(n) for n in ('2020', '1006', '1001', 'u.ser', '7')]"
    assert with_accounts(code) == [True, False, False, False, False]


def test_a_number_behind_a_domain_is_a_name(with_accounts: Any) -> None:
    found = ask(with_accounts, ["1001@lab.example", "2020@lab.example"], ("lab.example",))
    assert found == {"1001@lab.example": None, "2020@lab.example": ["2020", 1006]}


LIMITS = """
from pathlib import Path
from ds01_jupyter.core.errors import ConfigurationError
from ds01_jupyter.core.identity import Directory, person_of_uid
from ds01_jupyter.core.limits import LimitsFile
accounts = Directory(("lab.example",))
try:
    limits = LimitsFile.load(Path({path!r}), accounts)
    answer = {{
        person.name: [limits.group_of(person), limits.for_person(person).priority]
        for person in map(person_of_uid, (1001, 1002, 1003, 1006, 2020))
    }}
except ConfigurationError as error:
    answer = error.message
"""


def test_b22_limits_are_a_persons_however_the_file_spells_the_name(
    with_accounts: Any, tmp_path: Path
) -> None:
    file = tmp_path / "limits.yaml"
    file.write_text(
        "groups:\n"
        "  lab: {members: [u.ser@lab.example, 1002]}\n"
        "  staff: {members: [u_ser, 2020]}\n"
        "user_overrides:\n"
        "  1001: {priority: 77}\n"
        "  u-ser: {priority: 78}\n"
    )
    assert with_accounts(LIMITS.format(path=str(file))) == {
        "u.ser": ["lab", 77],
        "u-ser": ["lab", 78],
        "u_ser": ["staff", 10],
        "2020": ["staff", 10],
        "other": ["default", 10],
    }


def test_b22_two_entries_for_one_account_are_a_mistake(with_accounts: Any, tmp_path: Path) -> None:
    file = tmp_path / "limits.yaml"
    file.write_text("groups:\n  lab: {members: [u.ser]}\n  staff:\n    members:\n    - toor\n")
    assert with_accounts(LIMITS.format(path=str(file))) == (
        f"{file}:5: groups.staff.members[0]: toor is the account u.ser (uid 1001), which is in "
        "groups.lab too (groups.lab.members[0], line 2); a person is in one group."
    )
    file.write_text("user_overrides:\n  u.ser: {}\n  u.ser@lab.example: {}\n")
    assert with_accounts(LIMITS.format(path=str(file))) == (
        f"{file}:3: user_overrides.u.ser@lab.example: u.ser@lab.example is the account u.ser "
        "(uid 1001), which is in user_overrides already (user_overrides.u.ser, line 2)."
    )


def test_unix_groups_of_a_person(with_accounts: Any) -> None:
    code = "from ds01_jupyter.core.identity import canonical, unix_group_exists as there\n"
    code += "answer = [sorted(canonical('u.ser').groups), there('lab'), there('labs')]"
    assert with_accounts(code) == [["lab", "u.ser"], True, False]


# ---- on the accounts of this machine -----------------------------------------------------------


def test_the_owner_of_this_process() -> None:
    me = process_owner()
    assert (me.uid, me.gid) == (os.getuid(), pwd.getpwuid(os.getuid()).pw_gid)
    assert canonical(me.name) == canonical(str(me.uid)) == person_of_uid(me.uid) == me
    assert canonical(f"{me.name}@lab.example", ["lab.example"]) == me


@pytest.mark.parametrize(
    "name",
    ["", " ", "no-such-account", "root\0", "root\n", "ro:ot", "x" * 5000, "\ud800", "@", "\\"],
)
def test_what_nobody_is_called(name: str) -> None:
    directory = Directory(["", "lab.example"])
    with pytest.raises(NotFound) as caught:
        directory.canonical(name)
    assert directory.uid(name) is None
    assert caught.value.message.isprintable()
    assert len(caught.value.message) < 200


def test_an_unknown_uid_is_nobody() -> None:
    with pytest.raises(Forbidden):
        person_of_uid(4_000_000_001)


def test_groups_that_cannot_be() -> None:
    assert not unix_group_exists("a\0b")
    assert not unix_group_exists("")


def test_answers_are_kept_for_a_while() -> None:
    now = [0.0]
    directory = Directory(keep=100, keep_missing=10, clock=lambda: now[0])
    asked: list[str] = []
    look_up = directory._look_up
    directory._look_up = lambda name: asked.append(name) or look_up(name)  # type: ignore
    for moment, name in ((0, "root"), (0, "nobody-at-all"), (9, "root"), (9, "nobody-at-all")):
        now[0] = moment
        directory.uid(name)
    assert asked == ["root", "nobody-at-all"]
    now[0] = 11
    assert (directory.uid("root"), directory.uid("nobody-at-all")) == (0, None)
    assert asked == ["root", "nobody-at-all", "nobody-at-all"]
    now[0] = 101
    assert directory.uid("root") == 0
    assert asked[-1] == "root"
