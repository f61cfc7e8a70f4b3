"""The ledger: what the database itself refuses, whatever a program does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from ds01_jupyter.core import ledger_tables as tables
from ds01_jupyter.core.errors import LedgerUnavailable
from ds01_jupyter.core.gpu.slots import SlotInfo
from ds01_jupyter.core.identity import Person
from ds01_jupyter.core.ledger import Ledger
from ds01_jupyter.core.processes import boot_id

ANNA = Person("anna", 1001, 1001, Path("/home/anna"))
BEN = Person("ben", 1002, 1002, Path("/home/ben"))
WHOLE = SlotInfo("0", "GPU-0", "gpu", "whole", 0, "GPU-0", 40 << 30, 1.0)
PART = SlotInfo("0:0", "MIG-a", "mig", "1g.5gb", 0, "GPU-0", 5 << 30, 1 / 7, 0, 7, 0)
OTHER_PART = replace(PART, slot="0:1", uuid="MIG-b", mig_index=1, gi=8)


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


def refused(ledger: Ledger, statement: str, *values: Any) -> str:
    with pytest.raises(LedgerUnavailable) as refusal, ledger.writing() as connection:
        connection.execute(statement, values)
    return refusal.value.message


def test_one_live_lease_a_slot(ledger: Ledger) -> None:
    add(ledger, "c1", PART)
    with pytest.raises(LedgerUnavailable):
        add(ledger, "c2", PART, person=BEN)
    assert [row.claim_id for row in ledger.containers()] == ["c1"]
    assert [lease.owner for lease in ledger.live_leases()] == ["anna"]
    with ledger.writing() as connection:
        tables.move_leases(connection, "c1", "released")
    add(ledger, "c2", PART, person=BEN)
    assert [lease.owner for lease in ledger.live_leases()] == ["ben"]


@pytest.mark.parametrize("first", [WHOLE, PART])
def test_a_whole_gpu_and_its_instances_exclude_each_other(ledger: Ledger, first: SlotInfo) -> None:
    second = PART if first is WHOLE else WHOLE
    add(ledger, "c1", first)
    with pytest.raises(LedgerUnavailable, match="exclude each other"):
        add(ledger, "c2", second)
    add(ledger, "c3", replace(second, uuid="X", gpu_uuid="GPU-1"))
    assert len(ledger.live_leases()) == 2


def test_two_instances_of_one_gpu_are_two_slots(ledger: Ledger) -> None:
    add(ledger, "c1", PART, OTHER_PART)
    assert [lease.slot for lease in ledger.live_leases()] == ["0:0", "0:1"]


def test_the_same_uuid_on_another_host_is_another_slot(ledger: Ledger) -> None:
    add(ledger, "c1", PART)
    with ledger.writing() as connection:
        tables.insert_container(connection, "c2", "b._.1", "b", ANNA, {})
        row = tables.container(connection, "c2")
        assert row is not None
        tables.insert_leases(connection, row, [PART], priority=50, host="there")
    assert len(ledger.live_leases()) == 2
    assert len(ledger.live_leases("there")) == 1


def test_no_live_lease_without_a_container(ledger: Ledger) -> None:
    add(ledger, "c1", PART)
    assert "FOREIGN KEY" in refused(ledger, "DELETE FROM containers WHERE claim_id = 'c1'")
    orphan = replace(ledger.containers()[0], claim_id="nobody")
    with pytest.raises(LedgerUnavailable, match="FOREIGN KEY"), ledger.writing() as connection:
        tables.insert_leases(connection, orphan, [OTHER_PART], priority=1, host="here")


@pytest.mark.parametrize(
    "change",
    [
        "state = 'active'",
        "owner = 'somebody'",
    ],
)
def test_a_released_lease_never_changes(ledger: Ledger, change: str) -> None:
    add(ledger, "c1", PART)
    with ledger.writing() as connection:
        tables.move_leases(connection, "c1", "released")
    assert "never changes" in refused(ledger, f"UPDATE leases SET {change}")
    assert ledger.leases_of("c1")[0].state == "released"


@pytest.mark.parametrize(
    "change", ["slot_uuid = 'MIG-z'", "gpu_uuid = 'z'", "host = 'z'", "claim_id = 'z'", "uid = 0"]
)
def test_a_lease_never_moves(ledger: Ledger, change: str) -> None:
    add(ledger, "c1", PART)
    assert "never moves" in refused(ledger, f"UPDATE leases SET {change}")


@pytest.mark.parametrize(
    "change",
    ["state = 'present'", "state = 'gone'", "container_id = 'x'"],
)
def test_a_container_is_pending_or_has_an_id(ledger: Ledger, change: str) -> None:
    add(ledger, "c1")
    assert "CHECK constraint failed" in refused(ledger, f"UPDATE containers SET {change}")


@pytest.mark.parametrize("statement", ["UPDATE history SET owner = 'x'", "DELETE FROM history"])
def test_history_is_append_only(ledger: Ledger, statement: str) -> None:
    ledger.record("anna", "anna", "container.stop", "box", "done", {"seconds": 2})
    assert "append-only" in refused(ledger, statement)
    (row,) = ledger.history()
    assert (row.actor, row.owner, row.action, row.subject, row.outcome, row.details) == (
        *("anna", "anna", "container.stop", "box", "done"),
        {"seconds": 2},
    )
    assert abs((datetime.now(UTC) - row.time).total_seconds()) < 60


def test_times_are_kept_by_the_wall_and_by_the_boot(ledger: Ledger) -> None:
    add(ledger, "c1", PART)
    (lease,) = ledger.live_leases()
    assert lease.since.utcoffset() == UTC.utcoffset(None)
    assert lease.boot_id == boot_id()
    with Path("/proc/uptime").open() as uptime:
        assert abs(float(uptime.read().split()[0]) - lease.boot_seconds) < 60
