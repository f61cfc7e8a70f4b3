"""What a claim costs the ledger does not grow with its age."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from ds01_jupyter.core.gpu.nvml import NvmlDriver
from ds01_jupyter.core.ledger import Ledger
from ds01_jupyter.core.ledger_migrations import MIGRATIONS
from ds01_jupyter.core.ledger_rows import lease_of
from ds01_jupyter.core.ledger_schema import APPLICATION_ID, SCHEMA
from tests.rig.nvml import Machine
from tests.unit.desk import BEN, Desk

GROWING = ("leases", "history")
"""Tables from which nothing is ever deleted."""


@pytest.fixture
def desk(gpu_machine: Machine, simulated_nvml: Path, tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(Ledger(tmp_path / "ledger.sqlite"), NvmlDriver(str(simulated_nvml), refresh=1e9))
    yield desk
    desk.close()


def life(desk: Desk, name: str) -> None:
    claim = desk.claim(name, "1g.5gb", person=BEN)
    desk.allocator.activate(claim.claim_id, f"id-{name}")
    desk.allocator.hold(claim.claim_id)
    desk.allocator.release(claim.claim_id)


def statements(desk: Desk) -> list[str]:
    """What a life asks of SQLite, with the values filled in."""
    life(desk, "warm")
    (connection,) = desk.ledger._database._idle
    seen: list[str] = []
    connection.set_trace_callback(seen.append)
    life(desk, "traced")
    desk.ledger.live_leases()
    desk.ledger.containers()
    connection.set_trace_callback(None)
    return [one for one in seen if not one.startswith(("BEGIN", "COMMIT", "--"))]


def test_no_question_of_a_life_looks_at_everything_that_ever_was(desk: Desk) -> None:
    traced = statements(desk)
    assert any("FROM leases" in one for one in traced)
    with desk.ledger.reading() as connection:
        for statement in traced:
            plan = [row["detail"] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}")]
            scans = [step for step in plan if re.match(rf"SCAN ({'|'.join(GROWING)})\b", step)]
            assert scans == [], statement


def test_releasing_does_not_look_for_the_container_among_all_leases(desk: Desk) -> None:
    """The database itself looks whether a container that goes has live leases."""
    with desk.ledger.reading() as connection:
        program = connection.execute("EXPLAIN DELETE FROM containers WHERE claim_id = 'x'")
        (root,) = connection.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = 'live_leases_of_container'"
        ).fetchone()
        opened = {row["p2"] for row in program if row["opcode"] == "OpenRead"}
    assert root in opened


def test_a_lease_that_has_not_changed_is_read_once(desk: Desk) -> None:
    desk.claim("box", "2g.10gb")
    first, second = desk.ledger.live_leases(), desk.ledger.live_leases()
    assert first[0] is second[0]
    desk.allocator.hold(first[0].claim_id)
    (third,) = desk.ledger.live_leases()
    assert (third.state, first[0].state) == ("held", "pending")
    assert lease_of.cache_info().maxsize


def test_a_history_of_an_older_version_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    raw = sqlite3.connect(path, isolation_level=None)
    raw.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    raw.executescript(f"BEGIN;{SCHEMA}PRAGMA user_version = 1;COMMIT;")
    for number in (1, 2, 7):
        raw.execute(
            "INSERT INTO history (id, time, boot_id, boot_seconds, actor, owner, action, subject,"
            " outcome, details) VALUES (?, '2026-01-01T00:00:00+00:00', 'b', 1.0, 'a', 'a', 'x',"
            " 'x', 'done', '{}')",
            (number,),
        )
    raw.close()
    ledger = Ledger(path)
    ledger.record("a", "a", "new", "x", "done", {})
    assert [line.id for line in ledger.history()] == [8, 7, 2, 1]
    with ledger.reading() as connection:
        for name in ("history_is_not_changed", "history_is_not_deleted"):
            found = connection.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (name,))
            assert found.fetchone() is not None
    ledger.close()
    assert MIGRATIONS[6][0] == 8
