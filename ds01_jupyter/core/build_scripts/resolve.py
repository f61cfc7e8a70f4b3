"""Resolve all tiers together inside the base image, and say what would be installed.

`resolve.json` holds `tiers` (key and requirements, in order) and `prefer` (pins that are kept to
where they fit, so that people share layers). One line of output begins with MARK; the rest is for
people. Nothing is installed.
"""
# mypy: ignore-errors

import glob
import json
import os
import re
import subprocess
import sys

from distributions import FAMILIES, installed
from install import UV, uv_runs
from mirrors import environment as surroundings

HERE = os.path.dirname(os.path.abspath(__file__))
MARK = "ds01-resolution: "
CHANGE = re.compile(r"^ ([+~-]) ([A-Za-z0-9._-]+)==(\S+)$")
WHEEL = re.compile(r"size = (\d+), hashes = \{ sha256 = \"([0-9a-f]{64})\"")
PYTHON = "%d.%d.%d" % sys.version_info[:3]
UNFIT = "No solution found"
LIBRARIES = ("/usr/lib", "/usr/lib64", "/lib", "/usr/local/lib", "/opt/conda/lib")


def uv(*arguments):
    """Run uv on this Python; returns its status and what it said."""
    command = [UV, "pip", *arguments, "--python", sys.executable]
    command += ["--only-binary", ":all:", "--cache-dir", "/root/.cache/uv"]
    environment = dict(os.environ, UV_NO_PROGRESS="1", NO_COLOR="1")
    done = subprocess.run(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    return done.returncode, done.stdout.decode(errors="replace")


def written(name, lines):
    """A file with these lines; returns its path."""
    path = os.path.join(HERE, name)
    with open(path, "w", encoding="utf-8") as file:
        file.write("".join(line + "\n" for line in lines))
    return path


def changes(tiers, pins, offline=False):
    """What installing some tiers would do: name -> version of what comes, and of what goes."""
    command = ["install", "--dry-run", "--break-system-packages"]
    if offline:
        command.append("--offline")
    for tier in tiers:
        command += ["-r", written("want-" + tier["key"] + ".txt", tier["requirements"])]
    command += ["-c", written("pins.txt", [n + "==" + v for n, v in sorted(pins.items())])]
    # Named once more: with a -c of its own, uv does not look at UV_CONSTRAINT.
    command += ["-c", os.path.join(HERE, "constraints.txt")]
    code, said = uv(*command)
    if code:
        return None, None, said
    found = [CHANGE.match(line) for line in said.splitlines()]
    comes = {m.group(2): m.group(3) for m in found if m and m.group(1) != "-"}
    goes = {m.group(2): m.group(3) for m in found if m and m.group(1) == "-"}
    return comes, goes, said


def wheels(pins):
    """Size and SHA-256 of the wheel of each package; what the index does not tell is left out."""
    wanted = written("chosen.txt", [n + "==" + v for n, v in sorted(pins.items())])
    lock = os.path.join(HERE, "pylock.toml")
    code, _ = uv("compile", "--no-deps", "--offline", "--format", "pylock.toml", wanted, "-o", lock)
    if code:
        return {}
    found = {}
    with open(lock, encoding="utf-8") as file:
        text = file.read()
    for block in text.split("[[packages]]")[1:]:
        name = re.search(r'^name = "([^"]+)"', block, re.MULTILINE)
        wheel = WHEEL.search(block)
        if name and wheel:
            found[name.group(1)] = [int(wheel.group(1)), wheel.group(2)]
    return found


def has_library(name):
    """Whether a shared library is on this system."""
    return any(
        glob.glob(os.path.join(place, pattern, name + "*"))
        for place in LIBRARIES
        for pattern in ("", "*-linux-gnu")
    )


def resolution(wanted):
    """What is written on the marked line."""
    tiers, prefer = wanted["tiers"], wanted["prefer"]
    before = installed()
    answer = {
        "python": PYTHON,
        "installed": {name: version for name, (version, _) in before.items()},
        "framework": sorted(name for name in before if FAMILIES.fullmatch(name)),
        "gl": has_library("libGL.so.1"),
    }
    comes, goes, said = changes(tiers, prefer)
    # Only versions that do not fit are given up: an index that did not answer says nothing of them.
    answer["preferred"] = comes is not None
    if comes is None and prefer and UNFIT in said:
        comes, goes, said = changes(tiers, {})
    if comes is None:
        answer["error"] = said
        return answer
    answer["comes"], answer["goes"], answer["wheels"] = comes, goes, wheels(comes)
    answer["upto"] = []
    for number in range(1, len(tiers)):
        part, _, said = changes(tiers[:number], comes, offline=True)
        if part is None:
            part, _, said = changes(tiers[:number], comes)
        if part is None:
            answer["error"] = said
            return answer
        answer["upto"].append(sorted(part))
    return answer


def main():
    """Print the marked line."""
    with open(os.path.join(HERE, "resolve.json"), encoding="utf-8") as file:
        wanted = json.load(file)
    # An image without glibc, or with a Python from before uv's time.
    with surroundings() as extra:
        os.environ.update(extra)
        answer = resolution(wanted) if uv_runs() else {"python": PYTHON, "cannot": True}
    print(MARK + json.dumps(answer, sort_keys=True, separators=(",", ":")))


if __name__ == "__main__":
    main()
