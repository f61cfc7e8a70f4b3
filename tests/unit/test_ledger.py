"""The ledger: what it remembers, for many threads, processes and restarts."""

from __future__ import annotations

import json
import multiprocessing
import os
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from ds01_jupyter.core import ledger_tables as tables
from ds01_jupyter.core.errors import LedgerUnavailable, NotFound
from ds01_jupyter.core.gpu.slots import SlotInfo
from ds01_jupyter.core.identity import Person
from ds01_jupyter.core.ledger import ImageRow, Ledger
from ds01_jupyter.core.ledger_migrations import SCHEMA_VERSION
from ds01_jupyter.core.models import Operation

ANNA = Person("anna", 1001, 1001, Path("/home/anna"))
BEN = Person("ben", 1002, 1002, Path("/home/ben"))
WHOLE = SlotInfo("0", "GPU-0", "gpu", "whole", 0, "GPU-0", 40 << 30, 1.0)
PART = SlotInfo("0:0", "MIG-a", "mig", "1g.5gb", 0, "GPU-0", 5 << 30, 1 / 7, 0, 7, 0)
OTHER_PART = replace(PART, slot="0:1", uuid="MIG-b", mig_index=1, gi=8)

FILES = ("", "-wal", "-shm", ".turn")
CLOSED = ["ledger.sqlite", "ledger.sqlite.turn"]
"""What is left when nobody has it open."""


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    ledger = Ledger(tmp_path / "state" / "ledger.sqlite")
    yield ledger
    ledger.close()


def add(ledger: Ledger, claim: str, *slots: SlotInfo, person: Person = ANNA) -> None:
    with ledger.writing() as connection:
        name = f"box{claim}"
        full = f"{name}._.{person.uid}"
        tables.insert_container(connection, claim, full, name, person, {"image": "x"})
        row = tables.container(connection, claim)
        assert row is not None
        tables.insert_leases(connection, row, slots, priority=50, host="here")


# ---- the file --------------------------------------------------------------------------------


def test_nothing_is_made_before_it_is_needed(ledger: Ledger) -> None:
    assert not ledger.path.parent.exists()
    assert ledger.containers() == []
    assert ledger.path.exists()


def test_a_private_ledger_is_for_its_owner_alone(ledger: Ledger) -> None:
    add(ledger, "c1")
    modes = {
        path.name: stat.S_IMODE(path.stat().st_mode)
        for path in [ledger.path.parent, *ledger.path.parent.iterdir()]
    }
    assert modes == {
        "state": 0o700,
        "ledger.sqlite": 0o600,
        "ledger.sqlite-wal": 0o600,
        "ledger.sqlite-shm": 0o600,
        "ledger.sqlite.turn": 0o600,
    }


def test_a_ledger_in_a_group_writable_folder_belongs_to_the_group(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    os.chown(shared, -1, 4242)
    shared.chmod(0o770)
    ledger = Ledger(shared / "ledger.sqlite")
    add(ledger, "c1")
    found = {
        (path.name, stat.S_IMODE(path.stat().st_mode), path.stat().st_gid)
        for path in shared.iterdir()
    }
    ledger.close()
    assert found == {(f"ledger.sqlite{suffix}", 0o660, 4242) for suffix in FILES}


def test_every_commit_is_on_the_disk_before_it_counts(ledger: Ledger) -> None:
    with ledger.writing() as connection:
        settings = {
            name: connection.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("journal_mode", "synchronous", "foreign_keys", "user_version")
        }
    assert settings == {
        "journal_mode": "wal",
        "synchronous": 2,
        "foreign_keys": 1,
        "user_version": SCHEMA_VERSION,
    }


def fail_after_writing(ledger: Ledger, reason: Exception) -> None:
    with ledger.writing() as connection:
        tables.insert_history(connection, "a", "a", "x", "x", "done", {})
        raise reason


def test_a_refusal_inside_a_transaction_leaves_nothing(ledger: Ledger) -> None:
    for reason in (NotFound("no"), RuntimeError("defect")):
        with pytest.raises(type(reason)):
            fail_after_writing(ledger, reason)
    assert ledger.history() == []


def test_many_threads_on_one_ledger(ledger: Ledger) -> None:
    def work(number: int) -> None:
        for each in range(10):
            ledger.record("a", "a", f"{number}.{each}", "x", "done", {})
            ledger.history(1)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({row.action for row in ledger.history(1000)}) == 80


def test_a_child_of_a_fork_has_connections_of_its_own(ledger: Ledger) -> None:
    ledger.record("a", "a", "parent", "x", "done", {})
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            ledger.record("a", "a", "child", "x", "done", {})
            code = 0
        finally:
            os._exit(code)
    assert os.waitpid(pid, 0)[1] == 0
    ledger.record("a", "a", "parent again", "x", "done", {})
    assert [row.action for row in ledger.history()] == ["parent again", "child", "parent"]


def _create(path: str, barrier: Any) -> None:
    barrier.wait()
    ledger = Ledger(Path(path))
    ledger.record("a", "a", str(os.getpid()), "x", "done", {})
    ledger.close()


def test_processes_that_make_the_ledger_at_once_share_one(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    path = tmp_path / "new" / "ledger.sqlite"
    barrier = context.Barrier(6)
    workers = [context.Process(target=_create, args=(str(path), barrier)) for _ in range(6)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0] * 6
    ledger = Ledger(path)
    assert len(ledger.history()) == 6
    ledger.close()
    assert sorted(item.name for item in path.parent.iterdir()) == CLOSED


# ---- containers and leases -------------------------------------------------------------------


def test_a_container_row_is_what_was_claimed(ledger: Ledger) -> None:
    add(ledger, "c1", PART)
    add(ledger, "c2", person=BEN)
    row = ledger.container_by_name("boxc1._.1001")
    assert row is not None
    assert (row.claim_id, row.name, row.uid, row.owner) == ("c1", "boxc1", 1001, "anna")
    assert (row.state, row.container_id, row.document) == ("pending", None, {"image": "x"})
    assert row.process.pid == os.getpid()
    assert [item.claim_id for item in ledger.containers()] == ["c1", "c2"]
    assert [item.claim_id for item in ledger.containers_of(1002)] == ["c2"]
    assert ledger.containers_of(7) == []
    assert ledger.container_by_name("nothing") is None


def test_a_lease_keeps_the_slot_as_it_was(ledger: Ledger) -> None:
    add(ledger, "c1", PART, OTHER_PART)
    assert [lease.info for lease in ledger.leases_of("c1")] == [PART, OTHER_PART]
    assert ledger.leases_of("c2") == []


# ---- images ----------------------------------------------------------------------------------

IMAGE = ImageRow(
    uid=1001,
    name="vision",
    owner="anna",
    reference="vision-anna:latest",
    image_id="sha256:1",
    request_json='{"name": "vision"}',
    dockerfile="/home/anna/dockerfiles/vision.Dockerfile",
    dockerfile_sha256="00",
    base_image="aime/x",
    created=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
)


def test_images_are_saved_replaced_listed_and_deleted(ledger: Ledger) -> None:
    ledger.save_image(IMAGE)
    ledger.save_image(replace(IMAGE, uid=1002, owner="ben", reference="vision-ben:latest"))
    newer = replace(IMAGE, image_id="sha256:2")
    ledger.save_image(newer)
    assert ledger.get_image(1001, "vision") == newer
    assert ledger.list_images(1001) == [newer]
    assert len(ledger.list_images()) == 2
    ledger.delete_image(1001, "vision")
    assert ledger.get_image(1001, "vision") is None
    assert [row.owner for row in ledger.list_images()] == ["ben"]
    with pytest.raises(NotFound):
        ledger.delete_image(1001, "vision")


def test_nobody_takes_an_image_of_somebody_else(ledger: Ledger) -> None:
    ledger.save_image(IMAGE)
    with pytest.raises(LedgerUnavailable):
        ledger.save_image(replace(IMAGE, uid=1002, name="other", owner="ben"))
    assert ledger.list_images() == [IMAGE]


# ---- operations ------------------------------------------------------------------------------


def operation(number: int, state: str = "running") -> Operation:
    return Operation(
        id=f"op{number}",
        kind="image.create",
        title="Build",
        owner="anna",
        state=state,  # type: ignore[arg-type]
        created=datetime(2026, 1, 1, 0, number // 60, number % 60, tzinfo=UTC),
    )


def test_operations_of_this_process_stay_as_they_are(ledger: Ledger) -> None:
    ledger.save_operation(operation(1), 1001)
    ledger.save_operation(operation(2, "queued"), 1001)
    ledger.save_operation(operation(3), 1002)
    ledger.save_operation(operation(1, "succeeded"), 1001)
    loaded = ledger.load_operations(1001)
    assert [(item.id, item.state) for item in loaded] == [("op2", "queued"), ("op1", "succeeded")]


def test_what_a_dead_process_left_is_interrupted(ledger: Ledger) -> None:
    program = (
        "import os, sys\nfrom pathlib import Path\n"
        "from ds01_jupyter.core.ledger import Ledger\n"
        "from ds01_jupyter.core.models import Operation\n"
        "ledger = Ledger(Path(sys.argv[1]))\n"
        "for text in sys.argv[2:]:\n"
        "    ledger.save_operation(Operation.model_validate_json(text), 1001)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    texts = [
        operation(number, state).model_dump_json()
        for number, state in ((1, "running"), (2, "queued"), (3, "failed"))
    ]
    done = subprocess.run([sys.executable, "-c", program, str(ledger.path), *texts], check=False)
    assert done.returncode == -9
    loaded = {item.id: item for item in ledger.load_operations(1001)}
    assert [loaded[f"op{i}"].state for i in (1, 2, 3)] == ["interrupted", "interrupted", "failed"]
    assert loaded["op1"].error is not None
    assert loaded["op1"].error.code == "interrupted"
    again = {item.id: item for item in ledger.load_operations(1001)}
    assert again["op1"].finished == loaded["op1"].finished is not None


def test_only_so_many_finished_operations_are_kept(ledger: Ledger) -> None:
    ledger.save_operation(operation(0, "running"), 1001)
    for number in range(1, 206):
        ledger.save_operation(operation(number, "succeeded"), 1001)
    kept = {item.id for item in ledger.load_operations(1001)}
    assert len(kept) == 201
    assert {"op0", "op205"} <= kept
    assert "op1" not in kept


def test_a_document_that_cannot_be_read_is_said_so(ledger: Ledger) -> None:
    add(ledger, "c1")
    with ledger.writing() as connection:
        connection.execute("UPDATE containers SET document = ?", (json.dumps([1]),))
    with pytest.raises(LedgerUnavailable, match="cannot be read"):
        ledger.containers()


def test_no_connection_is_left_open(ledger: Ledger) -> None:
    add(ledger, "c1")
    ledger.close()
    assert sorted(item.name for item in ledger.path.parent.iterdir()) == CLOSED
    with sqlite3.connect(ledger.path) as raw:
        assert raw.execute("SELECT count(*) FROM containers").fetchone() == (1,)
    raw.close()
