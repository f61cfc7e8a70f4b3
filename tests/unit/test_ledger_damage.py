"""A ledger that is damaged, lost, or cannot be written is refused, never replaced."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ds01_jupyter.core.errors import DiskFull, LedgerUnavailable
from ds01_jupyter.core.ledger import Ledger
from ds01_jupyter.core.ledger_migrations import SCHEMA_VERSION
from tests.rig.paths import REPOSITORY


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A sound ledger with one line of history, closed."""
    path = tmp_path / "ledger.sqlite"
    ledger = Ledger(path)
    ledger.record("a", "a", "x", "x", "done", {"text": "x" * 20_000})
    ledger.close()
    return path


def refusal(path: Path) -> LedgerUnavailable:
    ledger = Ledger(path, busy_seconds=0.1)
    try:
        with pytest.raises(LedgerUnavailable) as read:
            ledger.containers()
        with pytest.raises(LedgerUnavailable) as write:
            ledger.record("a", "a", "x", "x", "done", {})
    finally:
        ledger.close()
    assert read.value.message == write.value.message
    assert str(path) in read.value.message
    return read.value


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "is empty: its contents were lost"),
        (b"not a database, but long enough to have a header" * 40, "is damaged"),
        (b"\0" * 4096, "is damaged"),
    ],
)
def test_a_file_that_is_no_ledger(path: Path, content: bytes, what: str) -> None:
    path.write_bytes(content)
    assert what in refusal(path).message
    assert path.read_bytes() == content


def test_damage_in_the_middle_of_the_file(path: Path) -> None:
    with sqlite3.connect(path) as raw:
        (page,) = raw.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = 'one_live_lease'"
        ).fetchone()
        (size,) = raw.execute("PRAGMA page_size").fetchone()
    raw.close()
    with path.open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xff" * size)
    before = path.read_bytes()
    assert "is damaged" in refusal(path).message
    assert path.read_bytes() == before


def test_a_file_that_was_cut_short(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 8192)
    assert "is damaged" in refusal(path).message


def test_a_newer_ledger(path: Path) -> None:
    with sqlite3.connect(path) as raw:
        raw.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    raw.close()
    error = refusal(path)
    assert f"was written by a newer ds01-jupyter (version {SCHEMA_VERSION + 1}" in error.message
    assert "Update ds01-jupyter" in error.hint


def test_a_database_of_another_program(tmp_path: Path) -> None:
    path = tmp_path / "other.sqlite"
    with sqlite3.connect(path) as raw:
        raw.execute("CREATE TABLE mine (x)")
    raw.close()
    before = path.read_bytes()
    assert "is a database of something else" in refusal(path).message
    assert path.read_bytes() == before


@pytest.mark.parametrize("what", ["removed", "replaced"])
def test_a_ledger_that_vanishes_while_it_is_in_use(path: Path, what: str) -> None:
    ledger = Ledger(path)
    ledger.containers()
    copy = path.with_name("copy")
    shutil.copy(path, copy)
    if what == "removed":
        path.unlink()
    else:
        copy.replace(path)
    with pytest.raises(LedgerUnavailable, match="was removed or replaced"):
        ledger.record("a", "a", "x", "x", "done", {})
    assert path.exists() is (what == "replaced")
    ledger.close()


def test_b2_a_writer_that_does_not_let_go(path: Path) -> None:
    ledger = Ledger(path, busy_seconds=0.1)
    with sqlite3.connect(path, isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(LedgerUnavailable, match="was busy") as error:
            ledger.record("a", "a", "x", "x", "done", {})
        assert error.value.hint == "Try again."
        assert len(ledger.history()) == 1  # readers do not wait
        other.execute("ROLLBACK")
    other.close()
    ledger.record("a", "a", "x", "x", "done", {})
    ledger.close()


def test_a_path_below_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    error = refusal(tmp_path / "file" / "ledger.sqlite")
    assert "DS01App.ledger" in error.hint


# ---- as another user, and on another disk ----------------------------------------------------

PROGRAM = """
import os, sys
from pathlib import Path
from ds01_jupyter.core.errors import CoreError
from ds01_jupyter.core.ledger import Ledger
os.setgroups([]), os.setgid(65534), os.setuid(65534)
try:
    Ledger(Path(sys.argv[1])).record("a", "a", "x", "x", "done", {})
    print("written")
except CoreError as error:
    print(error.code, error.message)
"""


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that other users can reach (pytest's own are private)."""
    folder = Path(tempfile.mkdtemp(prefix="ds01-ledger-", dir="/tmp"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def as_nobody(path: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(path)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def test_a_folder_that_one_may_not_write(open_folder: Path) -> None:
    answer = as_nobody(open_folder / "ledger.sqlite")
    assert answer.startswith("ledger_unavailable ")
    assert str(open_folder / "ledger.sqlite") in answer
    assert list(open_folder.iterdir()) == []


def test_f33_a_ledger_of_somebody_else(open_folder: Path) -> None:
    ledger = Ledger(open_folder / "ledger.sqlite")
    ledger.containers()
    ledger.close()
    assert as_nobody(ledger.path).startswith("ledger_unavailable ")
    ledger.path.chmod(0o644)  # may be read, but not shared
    assert as_nobody(ledger.path).startswith("ledger_unavailable ")


def test_b3_two_users_on_one_shared_ledger(open_folder: Path) -> None:
    os.chown(open_folder, -1, 65534)
    open_folder.chmod(0o2770)
    ledger = Ledger(open_folder / "ledger.sqlite")
    ledger.record("root", "root", "x", "x", "done", {})
    assert as_nobody(ledger.path) == "written"
    assert [row.actor for row in ledger.history()] == ["a", "root"]
    ledger.close()
    assert as_nobody(ledger.path) == "written"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 512 KiB."""
    mounted = tmp_path / "small"
    mounted.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=512k", "ds01-test", str(mounted)]
    subprocess.run(command, check=True)
    yield mounted
    subprocess.run(["umount", str(mounted)], check=True)


def _write_for_ever(descriptor: int) -> None:
    while True:
        os.write(descriptor, b"x" * 4096)


def fill(path: Path) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT)
    try:
        with pytest.raises(OSError, match="No space left"):
            _write_for_ever(descriptor)
    finally:
        os.close(descriptor)


def test_a_disk_that_is_full_from_the_start(small_disk: Path) -> None:
    fill(small_disk / "filler")
    ledger = Ledger(small_disk / "ledger.sqlite")
    with pytest.raises(DiskFull):
        ledger.containers()
    ledger.close()
    assert [item.name for item in small_disk.iterdir()] == ["filler"]


def test_a_disk_that_fills_up(small_disk: Path) -> None:
    ledger = Ledger(small_disk / "ledger.sqlite")
    texts = iter(range(200))

    def write_on() -> None:
        for number in texts:
            ledger.record("a", "a", str(number), "x", "done", {"text": "x" * 10_000})

    with pytest.raises(DiskFull, match="no space left"):
        write_on()
    written = len(ledger.history(1000))
    assert next(texts) == written + 1
    assert 0 < written < 60
    ledger.close()
