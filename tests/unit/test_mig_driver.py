"""What is read of MIG instances from the simulated driver, through the real pynvml."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from ds01_jupyter.core.errors import Conflict, Forbidden
from ds01_jupyter.core.gpu.geometry import A30, SEVEN_SLICES_ALL, GpuGeometry, Placed
from tests.rig.nvml import Machine, gpus
from tests.unit.mig_desk import MigDesk, text, whole


@pytest.fixture
def desk(gpu_machine: Machine, simulated_nvml: Path, tmp_path: Path) -> Iterator[MigDesk]:
    desk = MigDesk(simulated_nvml, tmp_path / "ledger.sqlite")
    yield desk
    desk.close()


def test_the_lab_machine_is_read_with_places(desk: MigDesk) -> None:
    found = desk.driver.read()
    assert [(gpu.index, gpu.capable, gpu.enabled, gpu.exact) for gpu in found] == [
        (0, True, False, True),
        (1, True, False, True),
        (2, True, True, True),
        (3, True, True, True),
    ]
    assert found[2].contents == ("2g.10gb at 0", "1g.5gb at 2", "1g.5gb at 3", "3g.20gb at 4")
    assert found[2].counts == {"1g.5gb": 2, "2g.10gb": 1, "3g.20gb": 1}
    assert found[2].device_id == 0x20B010DE
    slots = {slot.uuid: slot for slot in desk.nvml.inventory().slots if slot.kind == "mig"}
    assert {
        (device.uuid, device.slot, item.gi, device.profile)
        for gpu in found
        for item in gpu.instances
        for device in item.devices
    } == {(slot.uuid, slot.slot, slot.gi, slot.profile) for slot in slots.values()}


@pytest.mark.parametrize(("model", "known"), [("a100-40", SEVEN_SLICES_ALL), ("a30", A30)])
@pytest.mark.parametrize("privileged", [1, 0])
def test_the_geometry_is_the_drivers(
    desk: MigDesk, gpu_machine: Machine, model: str, known: GpuGeometry, privileged: int
) -> None:
    """Without root the driver does not tell places; NVIDIA's published ones stand in."""
    with gpu_machine.edit() as lines:
        lines[:] = gpus(1, model, {0: []})
    gpu_machine.sys(privileged=privileged)
    geometry = desk.gpu().geometry
    assert geometry is not None
    shapes = [
        {item.name: replace(item, memory=None) for item in each.profiles}
        for each in (geometry, known)
    ]
    assert shapes[0] == shapes[1]
    assert (geometry.memory_slices, geometry.compute_slices) in ((8, 7), (4, 4))


def test_f6_nothing_is_assumed_about_how_many_instances_a_gpu_has(
    desk: MigDesk, gpu_machine: Machine
) -> None:
    whole(gpu_machine, [], [Placed("7g.40gb", 0)], [Placed("1g.5gb", i) for i in range(7)])
    assert [len(gpu.instances) for gpu in desk.driver.read()] == [0, 1, 7]


def test_without_root_devices_are_seen_without_places(desk: MigDesk, gpu_machine: Machine) -> None:
    gpu_machine.sys(privileged=0)
    gpu = desk.gpu(2)
    assert not gpu.exact
    assert [item.start for item in gpu.instances] == [None] * 4
    assert gpu.counts == {"1g.5gb": 2, "2g.10gb": 1, "3g.20gb": 1}
    with pytest.raises(Forbidden, match="needs root"):
        desk.driver.create_instance(gpu, Placed("1g.5gb", 0))


def test_parts_of_instances_and_unfinished_ones_are_seen(
    desk: MigDesk, gpu_machine: Machine
) -> None:
    gpu_machine.drop("ci gpu=2")
    gpu_machine.add("ci gpu=2 gi=2 id=0 profile=0 n=900")
    gpu_machine.add("ci gpu=2 gi=2 id=1 profile=1 n=901")
    gpu = desk.gpu(2)
    assert gpu.contents == (
        "2g.10gb at 0 (unfinished)",
        "1g.5gb at 2 (unfinished)",
        "1g.5gb at 3 (unfinished)",
        "3g.20gb at 4 (1c.3g.20gb, 2c.3g.20gb)",
    )
    assert gpu.counts == {"1c.3g.20gb": 1, "2c.3g.20gb": 1}
    found = desk.plan(text(None, None, {"1c.3g.20gb": 1, "2c.3g.20gb": 1}))
    assert "only a part" in found.gpus[0].problem


def test_a_lost_gpu_does_not_hide_the_others(desk: MigDesk, gpu_machine: Machine) -> None:
    gpu_machine.set(2, lost=1)
    found = desk.driver.read()
    assert "fell off the bus" in (found[2].problem or "")
    assert [gpu.problem for gpu in found if gpu.index != 2] == [None] * 3


def test_processes_are_matched_to_their_instance(desk: MigDesk, gpu_machine: Machine) -> None:
    gi = desk.gpu(3).instances[2].gi
    gpu_machine.add(f"proc gpu=3 pid=4242 used=10 gi={gi} ci=0")
    for privileged in (1, 0):
        gpu_machine.sys(privileged=privileged)
        pids = [item.devices[0].pids for item in desk.gpu(3).instances]
        assert sorted(pids) == [()] * 6 + [(4242,)]


def test_a_step_on_something_else_than_was_read_is_refused(
    desk: MigDesk, gpu_machine: Machine
) -> None:
    """The id of a GPU instance is given again; place, profile and UUID must be the same."""
    gpu_machine.sys(mig_uuid="fresh")
    before = desk.gpu(3)
    old = before.instances[0]
    desk.driver.destroy_devices(before, old)
    desk.driver.destroy_instance(before, old)
    made = desk.driver.create_instance(before, old.placed)
    desk.driver.create_device(before, made)
    assert made.gi == old.gi
    with pytest.raises(Conflict, match="changed by somebody else"):
        desk.driver.destroy_devices(before, old)
    assert desk.gpu(3).counts == {"1g.5gb": 7}
