"""The ledger's step to shared GPUs: nothing is lost on the way, and the rules hold on shares."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from ds01_jupyter.core import ledger_creation, ledger_sharing
from ds01_jupyter.core import ledger_tables as tables
from ds01_jupyter.core.errors import LedgerUnavailable
from ds01_jupyter.core.gpu.sharing import share
from ds01_jupyter.core.gpu.slots import SlotInfo
from ds01_jupyter.core.ledger import Ledger
from ds01_jupyter.core.ledger_migrations import MIGRATIONS
from tests.unit.test_ledger_rules import ANNA, BEN, PART, WHOLE, add, refused

MIG = replace(PART, gpu_index=2, gpu_uuid="GPU-2", slot="2:0")
ONE, TWO = share(0, "GPU-0", 1, 4), share(0, "GPU-0", 2, 4)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    ledger = Ledger(tmp_path / "ledger.sqlite")
    yield ledger
    ledger.close()


@pytest.fixture
def old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A ledger of version 3 with a pending, an active, a held and two released leases."""
    path = tmp_path / "old.sqlite"
    with monkeypatch.context() as patch:
        patch.setattr(ledger_creation, "MIGRATIONS", MIGRATIONS[:2])
        ledger = Ledger(path)
        for claim, slot in (("c1", WHOLE), ("c2", MIG)):
            add(ledger, claim, slot)
            with ledger.writing() as connection:
                tables.move_leases(connection, claim, "released")
                tables.delete_container(connection, claim)
        add(ledger, "c3", WHOLE, person=BEN)
        add(ledger, "c4", MIG)
        other = replace(MIG, uuid="MIG-b", slot="2:1", memory_total=None, gi=None, ci=None)
        add(ledger, "c5", other)
        with ledger.writing() as connection:
            tables.set_present(connection, "c4", "id4")
            tables.move_leases(connection, "c4", "active")
            tables.set_present(connection, "c5", "id5")
            tables.move_leases(connection, "c5", "held")
        ledger.close()
    return path


def everything(path: Path) -> tuple[list[tuple[object, ...]], dict[str, str], int]:
    raw = sqlite3.connect(path)
    try:
        (version,) = raw.execute("PRAGMA user_version").fetchone()
        rows = raw.execute("SELECT * FROM leases ORDER BY id").fetchall()
        rules = dict(
            raw.execute("SELECT name, type FROM sqlite_master WHERE tbl_name = 'leases'").fetchall()
        )
        return rows, rules, version
    finally:
        raw.close()


def test_every_lease_survives_with_all_that_is_known_of_it(old: Path) -> None:
    before, rules, version = everything(old)
    assert (len(before), version) == (5, 3)
    ledger = Ledger(old)
    states = {lease.claim_id: lease.state for lease in ledger.live_leases()}
    assert states == {"c3": "pending", "c4": "active", "c5": "held"}
    ledger.close()
    after, new_rules, version = everything(old)
    assert after == before
    assert version >= 4
    assert "one_share_a_container" in new_rules
    triggers = {name for name, kind in rules.items() if kind == "trigger"}
    assert len(triggers) == 4
    assert triggers == {name for name, kind in new_rules.items() if kind == "trigger"}


def test_the_rules_hold_on_what_was_there_before(old: Path) -> None:
    ledger = Ledger(old)
    with pytest.raises(LedgerUnavailable):
        add(ledger, "c6", WHOLE)
    assert "exclude each other" in refusal(ledger, "c6", ONE)
    assert "never changes" in refused(ledger, "UPDATE leases SET share = 0.5 WHERE id = 1")
    assert "never moves" in refused(ledger, "UPDATE leases SET slot_uuid = 'x' WHERE id = 5")
    assert "FOREIGN KEY" in refused(ledger, "DELETE FROM containers WHERE claim_id = 'c5'")
    with ledger.writing() as connection:
        tables.move_leases(connection, "c3", "released")
    add(ledger, "c6", ONE)
    assert [lease.slot for lease in ledger.live_leases()] == ["2:0", "2:1", "0/1"]
    newest = max(lease.id for lease in ledger.live_leases())
    assert newest == 6, "numbers go on where they were"
    ledger.close()


def test_nothing_is_given_before_docker_was_asked(old: Path) -> None:
    ledger = Ledger(old)
    with ledger.writing() as connection:
        connection.execute("INSERT INTO uncompared (since) VALUES ('now')")
    assert "Docker was not yet asked" in refusal(ledger, "c6", replace(ONE, gpu_uuid="GPU-9"))
    ledger.close()


def refusal(ledger: Ledger, claim: str, *slots: SlotInfo) -> str:
    with pytest.raises(LedgerUnavailable) as refused:
        add(ledger, claim, *slots)
    return refused.value.message


def test_shares_of_one_gpu_live_beside_each_other(ledger: Ledger) -> None:
    add(ledger, "c1", ONE)
    add(ledger, "c2", TWO, person=BEN)
    assert [(lease.info, lease.state) for lease in ledger.live_leases()] == [
        (ONE, "pending"),
        (TWO, "pending"),
    ]
    with pytest.raises(LedgerUnavailable):
        add(ledger, "c3", ONE)


@pytest.mark.parametrize("had", [WHOLE, PART, ONE])
@pytest.mark.parametrize("wanted", [WHOLE, PART, ONE])
def test_whole_instances_and_shares_exclude_each_other(
    ledger: Ledger, had: SlotInfo, wanted: SlotInfo
) -> None:
    add(ledger, "c1", had)
    assert refusal(ledger, "c2", wanted)
    with ledger.writing() as connection:
        tables.move_leases(connection, "c1", "released")
    add(ledger, "c2", wanted)


def test_one_container_never_has_two_shares_of_one_gpu(ledger: Ledger) -> None:
    assert refusal(ledger, "c1", ONE, TWO)
    add(ledger, "c1", ONE, share(1, "GPU-1", 1, 2))
    add(ledger, "c2", TWO)


def test_no_other_kind_is_known(ledger: Ledger) -> None:
    assert "CHECK" in refusal(ledger, "c1", replace(ONE, kind="vgpu"))  # type: ignore[arg-type]


# ---- what was refused ----------------------------------------------------------------------------


def asked(ledger: Ledger, host: str = "here") -> list[str]:
    with ledger.reading() as connection:
        return [profile for profile, _ in ledger_sharing.asked_for(connection, host)]


def test_refusals_are_kept_once_in_a_while_and_bounded(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger_sharing, "REMEMBERED", 5)
    with ledger.writing() as connection:
        assert ledger_sharing.note_refused(connection, "here", 1, "1g.5gb", 2)
        assert not ledger_sharing.note_refused(connection, "here", 1, "1g.5gb", 2), "again"
        assert ledger_sharing.note_refused(connection, "here", 1, "whole", 1)
        assert ledger_sharing.note_refused(connection, "there", 1, "1g.5gb", 1)
    assert asked(ledger) == ["1g.5gb", "1g.5gb", "whole"]
    with ledger.writing() as connection:
        for uid in range(2, 20):
            ledger_sharing.note_refused(connection, "here", uid, "2g.10gb", 1)
    assert asked(ledger) == ["2g.10gb"] * 5
    assert asked(ledger, "there") == ["1g.5gb"]


def test_leases_count_whether_they_live_or_not_but_not_those_of_admins(ledger: Ledger) -> None:
    add(ledger, "c1", WHOLE)
    with ledger.writing() as connection:
        tables.move_leases(connection, "c1", "released")
    add(ledger, "c2", PART)
    admins = replace(MIG, uuid="MIG-x", profile="3g.20gb")
    add(ledger, "mig-1", admins, person=replace(ANNA, uid=-1))
    assert sorted(asked(ledger)) == ["1g.5gb", "whole"]
    with ledger.reading() as connection:
        ages = [age for _, age in ledger_sharing.asked_for(connection, "here")]
    assert all(0 <= age < 60 for age in ages)
