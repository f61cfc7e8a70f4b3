"""MIG instances that changed under a lease: shown, written down once, and never destroyed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ds01_jupyter.core.gpu.drift import unusable_leases
from ds01_jupyter.core.gpu.health import GpuHealth
from ds01_jupyter.core.gpu.slots import GpuInfo
from ds01_jupyter.core.gpu.view import snapshot_document
from ds01_jupyter.core.models import GpuSnapshot, Slot
from tests.rig.nvml import Machine
from tests.unit.clinic import Clinic


@pytest.fixture
def doctor(gpu_machine: Machine, simulated_nvml: Path, tmp_path: Path) -> Iterator[Clinic]:
    """A clinic where anna's container has the slot 2:0 (3g.20gb, GPU instance 2)."""
    clinic = Clinic(simulated_nvml, tmp_path / "ledger.sqlite", gpu_machine)
    clinic.desk.claim("box", "2:0")
    assert clinic.look().unusable == {}
    yield clinic
    clinic.desk.close()


def why(doctor: Clinic) -> str:
    found = list(doctor.look().unusable.values())
    return found[0] if found else ""


def slots(doctor: Clinic) -> dict[str, Slot]:
    reading = doctor.driver.snapshot()
    document: GpuSnapshot = snapshot_document(
        reading,
        host="here",
        leases=doctor.ledger.live_leases(),
        rows=doctor.ledger.containers(),
        foreign={},
        verdict=doctor.look(),
    )
    return {slot.slot: slot for gpu in document.gpus for slot in gpu.slots}


def replace_instance(doctor: Clinic, profile: int, compute: int) -> None:
    """Destroy GPU instance 2 of GPU 2 and make another one in its place."""
    with doctor.machine.edit() as lines:
        at = next(i for i, line in enumerate(lines) if line.startswith("gi gpu=2 id=2 "))
        lines[at] = f"gi gpu=2 id=2 profile={profile} start=4 n=90"
        at = next(i for i, line in enumerate(lines) if line.startswith("ci gpu=2 gi=2 "))
        lines[at] = f"ci gpu=2 gi=2 id=0 profile={compute} start=0 n=91"


def test_an_instance_that_was_destroyed(doctor: Clinic) -> None:
    doctor.machine.drop("ci gpu=2 gi=2 ")
    doctor.machine.drop("gi gpu=2 id=2 ")
    sentence = "The slot 2:0 (3g.20gb) of box is gone: its MIG instance was destroyed."
    assert why(doctor) == sentence
    held = [slot for slot in slots(doctor).values() if slot.lease]
    assert [(slot.state, slot.problem) for slot in held] == [("unusable", sentence)]
    assert [lease.state for lease in doctor.ledger.live_leases()] == ["pending"], "it is kept"


def test_another_instance_under_the_same_uuid(doctor: Clinic) -> None:
    before = doctor.ledger.live_leases()
    replace_instance(doctor, 5, 3)
    assert doctor.driver.inventory(fresh=True).slots[2].uuid == before[0].slot_uuid
    assert "is another one now under the same UUID (4g.20gb, GPU instance 2)" in why(doctor)
    slot = slots(doctor)["2:0"]
    assert (slot.state, slot.lease is not None) == ("unusable", True)
    assert doctor.ledger.live_leases() == before


def test_the_same_profile_under_another_uuid(doctor: Clinic) -> None:
    doctor.machine.sys(mig_uuid="fresh")
    replace_instance(doctor, 9, 2)
    assert "is gone" in why(doctor)


def test_mig_was_switched_off_and_on(doctor: Clinic) -> None:
    doctor.desk.claim("whole", "0")
    doctor.machine.drop("ci gpu=2")
    doctor.machine.drop("gi gpu=2")
    doctor.machine.set(2, mig=0)
    doctor.machine.set(0, mig=1)
    assert sorted(doctor.look().unusable.values()) == [
        "The slot 0 (whole) of whole is not a whole GPU any more: MIG was switched on.",
        "The slot 2:0 (3g.20gb) of box is gone: MIG was switched off on its GPU.",
    ]


def test_a_gpu_that_gives_no_answer_says_nothing_of_its_instances(doctor: Clinic) -> None:
    doctor.machine.set(2, lost=1)
    assert why(doctor) == ""


def test_a_gpu_that_is_gone(doctor: Clinic) -> None:
    uuid = doctor.uuid(2)
    with doctor.machine.edit() as lines:
        lines[:] = [line for line in lines if uuid not in line and " gpu=2 " not in line]
    assert "is on a GPU that is not in this machine now" in why(doctor)


def test_a_lease_is_not_judged_by_a_gpu_that_does_not_tell_its_uuid(doctor: Clinic) -> None:
    leases = doctor.ledger.live_leases()
    unread = GpuInfo(2, "", "?", mig=False, memory_total=None, compute_capability=None, slots=())
    assert unusable_leases(leases, [unread]) == {}
    assert list(unusable_leases(leases, [])) == [leases[0].id]


def test_a_shifted_index_is_the_same_slot(doctor: Clinic) -> None:
    """Names shift when other instances come and go; identity does not."""
    uuid = doctor.uuid(0)
    with doctor.machine.edit() as lines:
        lines[:] = [
            line.replace(" gpu=2 ", " gpu=1 ").replace(" gpu=3 ", " gpu=2 ")
            for line in lines
            if uuid not in line
        ]
    assert doctor.driver.inventory(fresh=True).slots[1].slot == "1:0"
    assert why(doctor) == ""


def test_it_is_written_down_once_for_all_servers_and_starts(doctor: Clinic) -> None:
    doctor.machine.drop("ci gpu=2 gi=2 ")
    doctor.machine.drop("gi gpu=2 id=2 ")
    for _ in range(3):
        doctor.look()
        doctor.look(GpuHealth(doctor.ledger, "here"))
    rows = [row for row in doctor.ledger.history(999) if row.action == "lease.unusable"]
    assert [(row.owner, row.actor, row.subject) for row in rows] == [
        ("anna", "health", "box._.1001")
    ]
    assert "was destroyed" in rows[0].details["why"]


def test_b13_the_parent_of_instances_is_never_a_slot(doctor: Clinic) -> None:
    """Bug B13 of DS01: a "virtual full GPU" gave the parent away and left its slots on offer."""
    parents = {gpu.uuid for gpu in doctor.gpus() if gpu.mig}
    assert len(parents) == 2
    assert not parents & {slot.uuid for slot in slots(doctor).values()}
