"""The GPU snapshot as a document: who has what, and nothing hidden."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ds01_jupyter.core.errors import DriverUnavailable
from ds01_jupyter.core.gpu.nvml import NvmlDriver
from ds01_jupyter.core.gpu.slots import SlotInfo
from ds01_jupyter.core.gpu.view import snapshot_document, unavailable_document
from ds01_jupyter.core.ledger import ContainerRow, LeaseRow
from ds01_jupyter.core.models import GpuSnapshot, Slot
from ds01_jupyter.core.processes import process_identity
from tests.rig.nvml import Machine, gpus

NOW = datetime(2026, 1, 2, tzinfo=UTC)


@pytest.fixture
def driver(gpu_machine: Machine, simulated_nvml: Path) -> Iterator[NvmlDriver]:
    driver = NvmlDriver(str(simulated_nvml), refresh=0)
    yield driver
    driver.close()


def lease(info: SlotInfo, state: str = "active", host: str = "here") -> LeaseRow:
    return LeaseRow(
        id=1,
        claim_id="c1",
        full_name="box._.1001",
        name="box",
        uid=1001,
        owner="anna",
        priority=1,
        host=host,
        info=info,
        state=state,  # type: ignore[arg-type]
        created=NOW,
        since=NOW,
        boot_id="b",
        boot_seconds=1.0,
    )


ROW = ContainerRow(
    claim_id="c1",
    full_name="box._.1001",
    name="box",
    uid=1001,
    owner="anna",
    container_id="a" * 64,
    state="present",
    process=process_identity(),
    created=NOW,
    boot_seconds=1.0,
    document={},
)


def document(
    driver: NvmlDriver, *leases: LeaseRow, foreign: dict[str, str] | None = None
) -> GpuSnapshot:
    containers = {100: "a" * 64, 101: "b" * 64}
    return snapshot_document(
        driver.snapshot(),
        host="here",
        leases=leases,
        rows=[ROW],
        foreign=foreign or {},
        container_of=containers.get,
        user_of={100: "anna", 102: "carl"}.get,
    )


def by_name(snapshot: GpuSnapshot) -> dict[str, Slot]:
    return {slot.slot: slot for gpu in snapshot.gpus for slot in gpu.slots}


def find(driver: NvmlDriver, name: str) -> SlotInfo:
    return next(slot for slot in driver.inventory().slots if slot.slot == name)


def test_free_leased_and_foreign(driver: NvmlDriver) -> None:
    foreign = {find(driver, "0").uuid: "stranger", find(driver, "2:0").uuid: "stranger"}
    snapshot = document(driver, lease(find(driver, "2:0"), "held"), foreign=foreign)
    slots = by_name(snapshot)
    assert (slots["0"].state, slots["0"].used_by, slots["0"].lease) == ("foreign", "stranger", None)
    taken = slots["2:0"]
    assert (taken.state, taken.used_by) == ("leased", "stranger")
    assert taken.lease is not None
    assert (taken.lease.owner, taken.lease.container, taken.lease.state) == ("anna", "box", "held")
    assert taken.lease.since == NOW
    assert [slots[name].state for name in ("1", "2:1", "3:6")] == ["free"] * 3
    assert (snapshot.host, snapshot.driver, snapshot.problem) == ("here", "550.163.01", None)


def test_figures_and_what_has_none(driver: NvmlDriver) -> None:
    snapshot = document(driver)
    whole, parted = snapshot.gpus[1], snapshot.gpus[3]
    assert (whole.utilisation, whole.temperature, whole.power) == (0.11, 36, 61.0)
    assert (whole.slots[0].utilisation, whole.slots[0].memory_total) == (0.11, 40 << 30)
    assert parted.utilisation is None
    assert {slot.utilisation for slot in parted.slots} == {None}


def test_processes_with_their_containers_and_users(
    driver: NvmlDriver, gpu_machine: Machine
) -> None:
    gpu_machine.add("proc gpu=0 pid=100 used=4")
    gpu_machine.add("proc gpu=0 pid=101 used=-1")
    gpu_machine.add("proc gpu=0 pid=102 used=6")
    found = by_name(document(driver))["0"].processes
    assert [(item.pid, item.memory, item.user, item.container) for item in found] == [
        (100, 4 << 20, "anna", "box"),
        (101, None, None, "b" * 12),
        (102, 6 << 20, "carl", None),
    ]


def test_a_lost_gpu_shows_its_slots_and_leases_as_unusable(
    driver: NvmlDriver, gpu_machine: Machine
) -> None:
    taken = lease(find(driver, "2:1"))
    gpu_machine.set(2, lost=1)
    snapshot = document(driver, taken)
    gpu = snapshot.gpus[2]
    assert gpu.problem is not None
    assert [slot.state for slot in gpu.slots] == ["unusable"] * 4
    assert gpu.slots[1].lease is not None
    assert (gpu.memory_used, gpu.temperature, gpu.power) == (None, None, None)


def test_a_lease_whose_slot_is_gone_stays_in_sight(
    driver: NvmlDriver, gpu_machine: Machine
) -> None:
    taken = lease(find(driver, "3:0"))
    gpu_machine.drop("gi gpu=3 id=7 ")
    gpu_machine.drop("ci gpu=3 gi=7 ")
    slots = document(driver, taken).gpus[3].slots
    assert [slot.state for slot in slots] == ["free"] * 6 + ["unusable"]
    assert slots[-1].lease is not None
    assert slots[-1].uuid == taken.slot_uuid


def test_leases_on_a_gpu_that_is_not_shown_are_named(driver: NvmlDriver) -> None:
    stray = lease(replace(find(driver, "0"), uuid="GPU-x", gpu_uuid="GPU-x"))
    assert document(driver, stray).problem == (
        "The driver does not show the GPUs of these containers: box."
    )
    elsewhere = replace(stray, host="there")
    assert document(driver, elsewhere).problem is None


def test_instances_under_a_lease_on_the_whole_gpu_are_unusable(
    driver: NvmlDriver, gpu_machine: Machine
) -> None:
    parent = driver.inventory().gpus[3].uuid
    whole = SlotInfo("3", parent, "gpu", "whole", 3, parent, 40 << 30, 1.0)
    slots = document(driver, lease(whole)).gpus[3].slots
    assert [slot.state for slot in slots] == ["unusable"] * 8


def test_mig_without_instances_is_one_unusable_slot(
    driver: NvmlDriver, gpu_machine: Machine
) -> None:
    with gpu_machine.edit() as lines:
        lines[:] = gpus(1, "a100-40", {0: []})
    (gpu,) = document(driver).gpus
    assert gpu.problem == "MIG is on, but no instance has been made on this GPU."
    assert [(slot.slot, slot.state) for slot in gpu.slots] == [("0", "unusable")]


def test_a_machine_without_a_driver() -> None:
    error = DriverUnavailable("There is no driver.", hint="Ask.")
    snapshot = unavailable_document("here", error)
    assert (snapshot.gpus, snapshot.driver) == ([], None)
    assert snapshot.problem == "There is no driver. Ask."
