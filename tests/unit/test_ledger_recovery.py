"""A ledger that was damaged or lost is kept aside and made anew; nothing is given meanwhile."""

from __future__ import annotations

import fcntl
import multiprocessing
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from ds01_jupyter.core import ledger_tables as tables
from ds01_jupyter.core.crash_points import REBUILD_STEPS
from ds01_jupyter.core.errors import EngineUnavailable, LedgerUnavailable
from ds01_jupyter.core.gpu.slots import SlotInfo
from ds01_jupyter.core.identity import Person
from ds01_jupyter.core.ledger import ImageRow, Ledger
from ds01_jupyter.core.ledger_recovery import Recovery, Write
from tests.rig.paths import REPOSITORY

ANNA = Person("anna", 1001, 1001, Path("/home/anna"))
SLOT = SlotInfo("0", "GPU-0", "gpu", "whole", 0, "GPU-0", 40 << 30, 1.0)


class Docker:
    """Stands for Docker and the driver: what they know is one container on one slot."""

    def __init__(self) -> None:
        self.asked = 0
        self.away = False
        self.facts: list[Mapping[str, Any]] = []

    def __call__(self) -> Write:
        self.asked += 1
        if self.away:
            raise EngineUnavailable("Docker is not running.", hint="Start it.")
        return self.write

    def write(self, connection: sqlite3.Connection, facts: Mapping[str, Any]) -> None:
        self.facts.append(facts)
        tables.insert_container(connection, "c", "box._.1001", "box", ANNA, {})
        row = tables.container(connection, "c")
        assert row is not None
        tables.insert_leases(connection, row, [SLOT], priority=0, host="here")
        tables.set_present(connection, "c", "id")
        tables.move_leases(connection, "c", "held")
        details = {"salvaged": facts["salvaged"]}
        tables.insert_history(connection, "r", "r", "ledger.rebuild", "here", "done", details)


@pytest.fixture
def docker() -> Docker:
    return Docker()


@pytest.fixture
def path(tmp_path: Path, docker: Docker) -> Path:
    """A ledger with a line of history and an image, in which nothing is left of the container."""
    path = tmp_path / "ledger.sqlite"
    ledger = Ledger(path, survey=docker)
    ledger.record("a", "a", "x", "x", "done", {"text": "x" * 20_000})
    now = datetime.now(UTC)
    ledger.save_image(ImageRow(1001, "i", "anna", "i-anna", "sha256:0", "{}", "d", "0", "b", now))
    with ledger.writing() as connection:
        tables.move_leases(connection, "c", "released")
        tables.delete_container(connection, "c")
    ledger.close()
    docker.asked = 0
    return path


def rebuilt(ledger: Ledger) -> bool:
    return [row.full_name for row in ledger.containers()] == ["box._.1001"] and [
        (lease.slot_uuid, lease.state) for lease in ledger.live_leases()
    ] == [("GPU-0", "held")]


def spoil(path: Path) -> None:
    """Overwrite the index that keeps slots apart."""
    with closing(sqlite3.connect(path)) as raw:
        (page,) = raw.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = 'one_live_lease'"
        ).fetchone()
        (size,) = raw.execute("PRAGMA page_size").fetchone()
    with path.open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xff" * size)


def header(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(b"\0" * 4096)


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def empty(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize("damage", [spoil, header, cut, empty])
def test_a_damaged_file_is_kept_aside_and_made_anew(
    path: Path, docker: Docker, damage: Callable[[Path], None]
) -> None:
    damage(path)
    before = path.read_bytes()
    ledger = Ledger(path, survey=docker)
    assert rebuilt(ledger)
    assert path.with_name("ledger.sqlite.damaged-1").read_bytes() == before
    assert docker.asked == 1
    ledger.close()
    again = Ledger(path, survey=docker)
    assert rebuilt(again)
    assert docker.asked == 1, "what was made good stays good"
    again.close()


def test_what_can_be_read_is_taken_over(path: Path, docker: Docker) -> None:
    spoil(path)
    ledger = Ledger(path, survey=docker)
    assert [row.reference for row in ledger.list_images(1001)] == ["i-anna"]
    assert [row.action for row in ledger.history()] == ["ledger.rebuild", "x", "ledger.rebuild"]
    assert docker.facts[-1]["salvaged"] == {
        **dict.fromkeys(docker.facts[-1]["salvaged"], 0),
        "images": 1,
        "history": 2,
    }
    assert docker.facts[-1]["kept"] == "ledger.sqlite.damaged-1"
    ledger.close()


def test_a_row_that_makes_no_sense_is_damage_too(path: Path, docker: Docker) -> None:
    ledger = Ledger(path, survey=docker)
    with ledger.writing() as connection:
        tables.insert_container(connection, "x", "x._.1", "x", ANNA, {})
        connection.execute("UPDATE containers SET document = '{'")
    with pytest.raises(LedgerUnavailable, match="cannot be read"):
        ledger.containers()
    assert rebuilt(ledger)
    ledger.close()


def test_several_damages_are_all_kept(path: Path, docker: Docker) -> None:
    for _ in range(3):
        header(path)
        ledger = Ledger(path, survey=docker)
        assert rebuilt(ledger)
        ledger.close()
    kept = sorted(item.name for item in path.parent.glob("*.damaged-?"))
    assert kept == [f"ledger.sqlite.damaged-{number}" for number in (1, 2, 3)]


@pytest.mark.parametrize("lost", [False, True])
def test_while_docker_is_away_everything_is_refused(path: Path, docker: Docker, lost: bool) -> None:
    if lost:
        path.unlink()
    else:
        header(path)
    docker.away = True
    ledger = Ledger(path, survey=docker)
    for _ in range(2):
        with pytest.raises(LedgerUnavailable, match="Docker is not running") as error:
            ledger.record("a", "a", "x", "x", "done", {})
        assert error.value.hint == "Start it."
        assert not path.exists()
    docker.away = False
    assert rebuilt(ledger)
    ledger.close()


def test_a_file_that_never_was_a_ledger_is_left_alone(tmp_path: Path, docker: Docker) -> None:
    path = tmp_path / "thesis.tex"
    path.write_text("\\documentclass{book}" * 500)
    before = path.read_bytes()
    ledger = Ledger(path, survey=docker)
    for _ in range(2):
        with pytest.raises(LedgerUnavailable):
            ledger.containers()
    assert path.read_bytes() == before
    assert docker.asked == 0
    ledger.close()


def test_where_none_was_it_begins_with_what_docker_has(tmp_path: Path, docker: Docker) -> None:
    ledger = Ledger(tmp_path / "ledger.sqlite", survey=docker)
    assert rebuilt(ledger)
    assert docker.facts == [{"reason": "lost", "kept": None, "salvaged": {}}]
    ledger.close()


def _give(ledger: Ledger) -> None:
    with ledger.writing() as connection:
        tables.insert_container(connection, "y", "y._.1", "y", ANNA, {})
        row = tables.container(connection, "y")
        assert row is not None
        tables.insert_leases(connection, row, [SLOT], priority=0, host="here")


def test_begun_without_docker_it_gives_nothing_before_it_was_compared(
    tmp_path: Path, docker: Docker
) -> None:
    docker.away = True
    ledger = Ledger(tmp_path / "ledger.sqlite", survey=docker)
    ledger.record("a", "a", "x", "x", "done", {})
    with pytest.raises(LedgerUnavailable, match="not yet asked"):
        _give(ledger)
    with pytest.raises(EngineUnavailable):
        ledger.compare()
    docker.away = False
    ledger.compare()
    assert rebuilt(ledger)
    asked = docker.asked
    ledger.compare()
    assert docker.asked == asked
    ledger.close()


def test_servers_that_have_it_open_take_the_new_one_up(path: Path, docker: Docker) -> None:
    one, two = Ledger(path, survey=docker), Ledger(path, survey=docker)
    assert one.containers() == two.containers() == []
    path.unlink()
    assert rebuilt(one)
    two.record("b", "b", "y", "y", "done", {})
    assert rebuilt(two)
    assert [row.action for row in one.history()] == ["y", "ledger.rebuild"]
    assert docker.asked == 1
    one.close()
    two.close()


def test_what_is_written_to_a_file_just_put_aside_does_not_count(
    path: Path, docker: Docker
) -> None:
    one, two = Ledger(path, survey=docker), Ledger(path, survey=docker)

    def write() -> None:
        with one.writing() as connection:
            path.rename(path.with_name("elsewhere"))
            assert rebuilt(two)
            tables.insert_history(connection, "a", "a", "lost", "x", "done", {})

    with pytest.raises(LedgerUnavailable, match="put aside") as error:
        write()
    assert error.value.hint == "Try again."
    assert "lost" not in {row.action for row in one.history()}
    one.close()
    two.close()


def test_its_log_never_ends_up_in_the_new_file(path: Path, docker: Docker) -> None:
    ledger = Ledger(path, survey=docker)
    ledger.record("a", "a", "in the log", "x", "done", {})
    path.unlink()  # its log stays behind
    assert path.with_name("ledger.sqlite-wal").stat().st_size
    other = Ledger(path, survey=docker)
    assert rebuilt(other)
    assert "in the log" not in {row.action for row in other.history()}
    assert path.with_name("ledger.sqlite.damaged-1-wal").stat().st_size
    ledger.close()
    other.close()
    last = Ledger(path, survey=docker)
    assert rebuilt(last)
    last.close()


def test_waiting_for_another_one_ends_with_a_sentence(path: Path, docker: Docker) -> None:
    recovery = Recovery(path, docker, wait=0.1)
    with path.with_name("ledger.sqlite.lock").open() as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(LedgerUnavailable, match="built anew") as error, recovery.opening():
            pass
    assert "try again" in error.value.hint


# ---- several processes, and processes that die -----------------------------------------------


def _survey_in_file(counter: Path) -> Callable[[], Write]:
    def survey() -> Write:
        with counter.open("a") as file:
            file.write("x")
        return Docker().write

    return survey


def _open_it(path: str, counter: str, barrier: Any, out: Any) -> None:
    barrier.wait()
    ledger = Ledger(Path(path), survey=_survey_in_file(Path(counter)))
    out.put(rebuilt(ledger))
    ledger.close()


def test_b1_of_many_processes_one_makes_it_anew(path: Path, tmp_path: Path) -> None:
    header(path)
    counter = tmp_path / "counter"
    sys.path.insert(0, str(REPOSITORY))
    context = multiprocessing.get_context("spawn")
    barrier, out = context.Barrier(6), context.Queue()
    arguments = (str(path), str(counter), barrier, out)
    processes = [context.Process(target=_open_it, args=arguments) for _ in range(6)]
    for process in processes:
        process.start()
    assert [out.get(timeout=60) for _ in processes] == [True] * 6
    for process in processes:
        process.join()
    out.close()
    sys.path.remove(str(REPOSITORY))
    assert counter.read_text() == "x"
    assert len(list(path.parent.glob("*.damaged-?"))) == 1


@pytest.mark.parametrize("step", REBUILD_STEPS)
def test_killed_at_any_step_the_next_one_makes_it_right(
    path: Path, docker: Docker, step: str
) -> None:
    header(path)
    program = (
        "import sys; from pathlib import Path\n"
        "from ds01_jupyter.core.ledger import Ledger\n"
        "from tests.unit.test_ledger_recovery import Docker\n"
        "Ledger(Path(sys.argv[1]), survey=Docker()).containers()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(path)],
        cwd=REPOSITORY,
        env={**os.environ, "DS01_CRASH_POINT": step, "PYTHONPATH": str(REPOSITORY)},
    )
    assert done.returncode == -signal.SIGKILL
    ledger = Ledger(path, survey=docker)
    assert rebuilt(ledger)
    assert docker.asked == (0 if step == "rebuild.linked" else 1)
    assert path.with_name("ledger.sqlite.damaged-1").exists()
    ledger.close()


def test_b3_the_lock_is_made_with_the_modes_of_the_folder(path: Path, tmp_path: Path) -> None:
    assert path.with_name("ledger.sqlite.lock").stat().st_mode & 0o777 == 0o600
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o2770)
    os.chown(shared, -1, 65534)
    old = os.umask(0o077)
    try:
        ledger = Ledger(shared / "ledger.sqlite", survey=Docker())
        ledger.containers()
        ledger.close()
    finally:
        os.umask(old)
    lock = (shared / "ledger.sqlite.lock").stat()
    assert (lock.st_mode & 0o777, lock.st_gid) == (0o660, 65534)
