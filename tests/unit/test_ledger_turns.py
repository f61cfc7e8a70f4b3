"""Writers of one ledger take turns: in order, for a while only, and past the dead."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ds01_jupyter.core.errors import LedgerUnavailable
from ds01_jupyter.core.ledger import Ledger
from tests.rig.paths import REPOSITORY


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "ledger.sqlite"
    ledger = Ledger(path)
    ledger.record("a", "a", "begin", "x", "done", {})
    ledger.close()
    return path


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def waiting(path: Path) -> int:
    """How many stand in the queue, as the kernel has it; the first one holds the file's lock."""
    turn = path.with_name(f"{path.name}.turn")
    if not turn.exists():
        return 0
    inode = turn.stat().st_ino
    lines = Path("/proc/locks").read_text().splitlines()
    return sum("FLOCK" in line and f":{inode} " in line for line in lines)


def write(path: Path, action: str) -> threading.Thread:
    """Write a line, in a thread and with a ledger of its own, as another process would."""

    def work() -> None:
        ledger = Ledger(path)
        ledger.record("a", "a", action, "x", "done", {})
        ledger.close()

    thread = threading.Thread(target=work)
    thread.start()
    return thread


def actions(path: Path) -> list[str]:
    ledger = Ledger(path)
    found = [line.action for line in reversed(ledger.history())]
    ledger.close()
    return found


def turns() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "ds01-turn"]


def test_who_came_first_writes_first(path: Path) -> None:
    ledger = Ledger(path)
    names = [f"writer {number}" for number in range(6)]
    with ledger.writing():
        threads = []
        for number, name in enumerate(names, 1):
            threads.append(write(path, name))
            until(lambda number=number: waiting(path) == number)
    for thread in threads:
        thread.join()
    assert actions(path) == ["begin", *names]
    ledger.close()
    assert turns() == []


def test_a_wait_ends_with_a_sentence_and_the_next_one_is_served(path: Path) -> None:
    one, two = Ledger(path), Ledger(path, busy_seconds=0.05)
    with one.writing():
        for _ in range(3):
            with pytest.raises(LedgerUnavailable, match="was busy") as error:
                two.record("a", "a", "early", "x", "done", {})
            assert error.value.hint == "Try again."
    two.record("a", "a", "late", "x", "done", {})
    assert actions(path) == ["begin", "late"]
    one.close()
    two.close()
    until(lambda: turns() == [])
    assert waiting(path) == 0


def test_threads_of_one_ledger_wait_no_longer_than_others(path: Path) -> None:
    ledger = Ledger(path, busy_seconds=0.05)
    refused: list[LedgerUnavailable] = []

    def work() -> None:
        try:
            ledger.record("a", "a", "x", "x", "done", {})
        except LedgerUnavailable as error:
            refused.append(error)

    with ledger.writing():
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    assert [error.message for error in refused] == [f"The ledger {path} was busy for 0.05 seconds."]
    ledger.record("a", "a", "after", "x", "done", {})
    assert actions(path) == ["begin", "after"]
    ledger.close()


def test_a_refusal_gives_the_turn_back(path: Path) -> None:
    one, two = Ledger(path), Ledger(path, busy_seconds=0.05)

    def fail() -> None:
        with one.writing():
            raise RuntimeError("a defect")

    for _ in range(2):
        with pytest.raises(RuntimeError):
            fail()
        two.record("a", "a", "x", "x", "done", {})
    one.close()
    two.close()


def test_who_does_not_queue_is_waited_for_too(path: Path) -> None:
    """A program that knows nothing of turns, such as the sqlite3 of an admin."""
    program = (
        "import sqlite3, sys; c = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "c.execute('BEGIN IMMEDIATE'); print('begun', flush=True); sys.stdin.readline()\n"
        "c.execute('COMMIT')\n"
    )
    with _child(program, path) as child:
        ledger = Ledger(path, busy_seconds=0.05)
        with pytest.raises(LedgerUnavailable, match="was busy"):
            ledger.record("a", "a", "early", "x", "done", {})
        ledger.close()
        thread = write(path, "late")
        assert child.stdin is not None
        child.stdin.write("\n")
        child.stdin.flush()
        thread.join()
    assert actions(path) == ["begin", "late"]


HOLD = (
    "import sys; from pathlib import Path; from ds01_jupyter.core.ledger import Ledger\n"
    "with Ledger(Path(sys.argv[1])).writing():\n"
    "    print('begun', flush=True); sys.stdin.read()\n"
)


def test_b1_the_turn_of_a_process_that_is_killed_passes_on(path: Path) -> None:
    with _child(HOLD, path) as child:
        threads = [write(path, "one"), write(path, "two")]
        until(lambda: waiting(path) == 2)
        child.send_signal(signal.SIGKILL)
        for thread in threads:
            thread.join()
    assert sorted(actions(path)) == ["begin", "one", "two"]


def test_a_child_of_a_fork_has_a_place_of_its_own(path: Path) -> None:
    ledger = Ledger(path, busy_seconds=0.05)
    with ledger.writing():
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                ledger.record("a", "a", "child", "x", "done", {})
            except LedgerUnavailable:
                code = 0  # it waits for its parent as for anybody
            finally:
                os._exit(code)
        assert os.waitpid(pid, 0)[1] == 0
    assert actions(path) == ["begin"]
    ledger.close()


class _Child:
    def __init__(self, program: str, path: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", program, str(path)],
            cwd=REPOSITORY,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> subprocess.Popen[str]:
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "begun\n"
        return self._process

    def __exit__(self, *_: object) -> None:
        with self._process:
            self._process.kill()


def _child(program: str, path: Path) -> _Child:
    """A process that has printed "begun"; it is killed at the end."""
    return _Child(program, path)
