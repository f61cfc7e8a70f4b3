"""The script that gives an image its account, on a made-up root folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ds01_jupyter.core import account
from ds01_jupyter.core.identity import Person

SCRIPT = Path(account.__file__).parent / "build_scripts" / "account.py"
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="gives files to other accounts")

PASSWD = """\
root:x:0:0:root:/root:/bin/bash
daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin
ubuntu:x:1000:1000:Ubuntu:/home/ubuntu:/bin/bash
"""
GROUP = "root:x:0:\nsudo:x:27:ubuntu,ada\nusers:x:100:\nubuntu:x:1000:\n"
SHADOW = "root:*:19000:0:99999:7:::\nubuntu:!:19000:0:99999:7:::\n"

Make = Callable[[str, int, int], Path]


@pytest.fixture
def image(tmp_path: Path) -> Path:
    etc = tmp_path / "etc"
    (etc / "skel").mkdir(parents=True)
    (etc / "skel" / ".bashrc").write_text("PS1=x\n")
    (tmp_path / "home").mkdir()
    (etc / "passwd").write_text(PASSWD)
    (etc / "group").write_text(GROUP)
    (etc / "shadow").write_text(SHADOW)
    (etc / "shadow").chmod(0o640)
    (etc / "gshadow").write_text("sudo:*::ubuntu\nubuntu:!::\n")
    return tmp_path


@pytest.fixture
def make(image: Path) -> Make:
    def run(name: str, uid: int, gid: int) -> Path:
        file = image / "account.json"
        file.write_text(json.dumps({"name": name, "uid": uid, "gid": gid}))
        subprocess.run([sys.executable, str(SCRIPT), str(file), str(image)], check=True)
        return image

    return run


def records(root: Path, name: str) -> list[list[str]]:
    return [line.split(":") for line in (root / "etc" / name).read_text().splitlines()]


@pytest.mark.parametrize("name", ["ada", "john.doe", "Bob", "a@b", "1abc", "DOM\\bob", "müller"])
def test_f21_f22_any_name_a_directory_may_hold_gets_an_account(make: Make, name: str) -> None:
    root = make(name, 1_700_000_000, 1_700_000_001)
    (entry,) = [r for r in records(root, "passwd") if r[2] == "1700000000"]
    assert entry[0] == name
    assert entry[3] == "1700000001"
    home = root / entry[5].lstrip("/")
    assert (home / ".bashrc").read_text() == "PS1=x\n"
    assert (home / ".bashrc").stat().st_uid == 1_700_000_000
    assert home.stat().st_gid == 1_700_000_001
    assert home.parent == root / "home"
    assert [r for r in records(root, "group") if r[2] == "1700000001"] == [
        [name, "x", "1700000001", ""]
    ]
    assert len([r for r in records(root, "shadow") if r[0] == name]) == 1


def test_f20_one_account_for_a_number_that_the_image_gave_to_ubuntu(make: Make) -> None:
    root = make("ada", 1000, 1000)
    assert [r[0] for r in records(root, "passwd") if r[2] == "1000"] == ["ada"]
    assert [r[0] for r in records(root, "shadow")] == ["root", "ada"]
    # The group is there; its name stays.
    assert [r[0] for r in records(root, "group") if r[2] == "1000"] == ["ubuntu"]


def test_nobody_inherits_a_membership_from_an_account_of_the_same_name(make: Make) -> None:
    root = make("ubuntu", 4711, 100)
    assert [r[3] for r in records(root, "group") if r[0] == "sudo"] == ["ada"]
    assert [r[3] for r in records(root, "gshadow") if r[0] == "sudo"] == [""]
    assert [r[2] for r in records(root, "passwd") if r[0] == "ubuntu"] == ["4711"]


def test_a_group_name_that_is_taken_gets_the_number(make: Make) -> None:
    root = make("users", 4711, 4711)
    assert [r[0] for r in records(root, "group") if r[2] == "4711"] == ["users-4711"]
    assert [r[0] for r in records(root, "group") if r[2] == "100"] == ["users"]


def test_modes_and_the_other_lines_stay(make: Make) -> None:
    root = make("ada", 4711, 4711)
    assert (root / "etc" / "shadow").stat().st_mode & 0o777 == 0o640
    assert (root / "etc" / "passwd").read_text().startswith(PASSWD)


def test_twice_is_as_once(make: Make) -> None:
    root = make("ada", 4711, 4711)
    assert [r[3] for r in records(root, "group") if r[0] == "sudo"] == ["ubuntu"]
    once = {p.name: p.read_text() for p in (root / "etc").iterdir() if p.is_file()}
    make("ada", 4711, 4711)
    assert once == {p.name: p.read_text() for p in (root / "etc").iterdir() if p.is_file()}


def test_root_is_there_already(make: Make) -> None:
    root = make("root", 0, 0)
    assert (root / "etc" / "passwd").read_text() == PASSWD


def test_the_file_holds_name_and_numbers() -> None:
    person = Person("DOM\\bob", 7, 8, Path("/home/bob"))
    assert json.loads(account.account_file(person)) == {"name": "DOM\\bob", "uid": 7, "gid": 8}
