"""Repartitioning the simulated machine through the API, by one process and by several."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.rig.nvml import Machine, gpus
from tests.rig.nvml.child import GPU0, INIT, WALK, NvmlChild


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    machine = Machine(tmp_path / "state")
    machine.write_preset("lab")
    return machine


@pytest.fixture
def ask(simulated_nvml: Path, machine: Machine) -> NvmlChild:
    return NvmlChild(simulated_nvml, machine)


def test_repartition_is_seen_by_other_processes(ask: NvmlChild) -> None:
    made = ask(
        INIT,
        """
        gpu = N.nvmlDeviceGetHandleByIndex(3)
        old = mig(gpu)[6]
        refused = call(N.nvmlDeviceCreateGpuInstance, gpu, 0)
        instance = N.nvmlDeviceGetGpuInstanceById(gpu, 13)
        occupied = call(N.nvmlGpuInstanceDestroy, instance)
        N.nvmlComputeInstanceDestroy(N.nvmlGpuInstanceGetComputeInstanceById(instance, 0))
        N.nvmlGpuInstanceDestroy(instance)
        stale = call(N.nvmlDeviceGetUUID, old)
        again = place(gpu, 19, 6)
        compute = N.nvmlGpuInstanceCreateComputeInstance(again, 0)
        uuid = N.nvmlDeviceGetUUID(N.nvmlComputeInstanceGetInfo(compute).device)
        answer([refused, occupied, stale, call(N.nvmlDeviceGetUUID, old), uuid])
        """,
    )
    invalid = "NVMLError_InvalidArgument"  # the old handle stays dead when its place is taken again
    assert made[:4] == [
        "NVMLError_InsufficientResources",
        "NVMLError_InUse",
        invalid,
        invalid,
    ]
    assert ask(WALK)[3]["mig"][6]["uuid"] == made[4]


@pytest.mark.parametrize(("policy", "same"), [("stable", True), ("fresh", False)])
def test_uuid_of_a_slot_that_is_made_again(ask: NvmlChild, policy: str, same: bool) -> None:
    ask.machine.sys(mig_uuid=policy)
    uuids = ask(
        INIT,
        """
        gpu = N.nvmlDeviceGetHandleByIndex(3)
        def uuid():
            return N.nvmlDeviceGetUUID(mig(gpu)[0])
        before = uuid()
        instance = N.nvmlDeviceGetGpuInstanceById(gpu, 7)
        N.nvmlComputeInstanceDestroy(N.nvmlGpuInstanceGetComputeInstanceById(instance, 0))
        N.nvmlGpuInstanceDestroy(instance)
        N.nvmlGpuInstanceCreateComputeInstance(place(gpu, 19, 0), 0)
        answer([before, uuid()])
        """,
    )
    assert (uuids[0] == uuids[1]) is same


def test_what_is_in_use_is_not_destroyed(ask: NvmlChild) -> None:
    ask.machine.add("proc gpu=3 gi=7 ci=0 pid=4711 used=20")
    found = ask(
        INIT,
        """
        gpu = N.nvmlDeviceGetHandleByIndex(3)
        instance = N.nvmlDeviceGetGpuInstanceById(gpu, 7)
        compute = N.nvmlGpuInstanceGetComputeInstanceById(instance, 0)
        answer([call(N.nvmlComputeInstanceDestroy, compute), N.nvmlDeviceSetMigMode(gpu, 0),
                N.nvmlDeviceGetMigMode(gpu)])
        """,
    )
    assert found == ["NVMLError_InUse", 19, [1, 0]]
    ask.machine.drop("proc")
    off = "gpu = N.nvmlDeviceGetHandleByIndex(3); answer(N.nvmlDeviceSetMigMode(gpu, 0))"
    assert ask(INIT, off) == 0
    assert ask(WALK)[3]["mig"] == []


def test_without_privilege(ask: NvmlChild) -> None:
    ask.machine.sys(privileged=0)
    found = ask(
        INIT,
        """
        gpu = N.nvmlDeviceGetHandleByIndex(3)
        answer([call(N.nvmlDeviceCreateGpuInstance, gpu, 19), call(N.nvmlDeviceGetMemoryInfo, gpu),
                N.nvmlDeviceGetMemoryInfo(mig(gpu)[0]).total // 2**20])
        """,
    )
    assert found == ["NVMLError_NoPermission", "NVMLError_NoPermission", 4864]


def test_changes_of_several_processes_are_all_kept(ask: NvmlChild) -> None:
    with ask.machine.edit() as lines:
        lines[:] = gpus(4, "a100-40", {gpu: [] for gpu in range(4)})
    children = [
        ask.start(
            INIT + f"gpu = N.nvmlDeviceGetHandleByIndex({index})\n"
            "for start in range(7):\n"
            "    N.nvmlGpuInstanceCreateComputeInstance(place(gpu, 19, start), 0)\n",
        )
        for index in range(4)
    ]
    for temperature in range(40, 60):  # and the test changes the machine meanwhile
        ask.machine.set(0, temp=temperature)
    for child in children:
        child.communicate(timeout=60)
        assert child.returncode == 0
    assert [len(gpu["mig"]) for gpu in ask(WALK)] == [7, 7, 7, 7]
    assert ask(GPU0, "answer(N.nvmlDeviceGetTemperature(gpu, 0))") == 59
