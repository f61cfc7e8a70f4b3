"""The real pynvml over the simulated driver: inventory, readings, change, loss and recovery."""

from __future__ import annotations

import ctypes
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pynvml
import pytest

from ds01_jupyter.core.errors import DriverUnavailable
from ds01_jupyter.core.gpu.nvml import NvmlDriver
from ds01_jupyter.core.gpu.slots import Inventory, SlotInfo, mig_profile
from tests.rig.nvml import Machine, gpus
from tests.rig.paths import RigPaths

GIB = 1 << 30
NEVER = 1e9


@pytest.fixture
def driver(gpu_machine: Machine, simulated_nvml: Path) -> Iterator[NvmlDriver]:
    """A driver over a machine of its own that never looks again by itself."""
    driver = NvmlDriver(str(simulated_nvml), refresh=NEVER)
    yield driver
    driver.close()


@pytest.fixture
def calls(simulated_nvml: Path) -> Callable[[], int]:
    """How many NVML calls this process has made."""
    counter = ctypes.CDLL(str(simulated_nvml)).fakenvml_calls
    counter.restype = ctypes.c_ulong
    return counter  # type: ignore[no-any-return]


def profiles(inventory: Inventory) -> dict[str, list[str]]:
    """Profiles by GPU index, in the order of the slots."""
    found: dict[str, list[str]] = {}
    for slot in inventory.slots:
        found.setdefault(str(slot.gpu_index), []).append(slot.profile)
    return found


def slot(inventory: Inventory, name: str) -> SlotInfo:
    return next(item for item in inventory.slots if item.slot == name)


def change(machine: Machine, lines: list[str]) -> None:
    with machine.edit() as state:
        state[:] = lines


# ---- inventory -----------------------------------------------------------------------------


def test_whole_gpus_and_instances_are_slots_and_mig_parents_are_not(driver: NvmlDriver) -> None:
    inventory = driver.inventory()
    assert [item.slot for item in inventory.slots] == [
        *("0", "1"),
        *("2:0", "2:1", "2:2", "2:3"),
        *(f"3:{index}" for index in range(7)),
    ]
    assert profiles(inventory) == {
        "0": ["whole"],
        "1": ["whole"],
        "2": ["3g.20gb", "2g.10gb", "1g.5gb", "1g.5gb"],
        "3": ["1g.5gb"] * 7,
    }
    parents = {gpu.uuid for gpu in inventory.gpus if gpu.mig}
    assert len({item.uuid for item in inventory.slots} - parents) == 13


def test_a_slot_says_what_it_is(driver: NvmlDriver) -> None:
    inventory = driver.inventory()
    whole, big = slot(inventory, "0"), slot(inventory, "2:0")
    assert (whole.kind, whole.share, whole.uuid) == ("gpu", 1.0, inventory.gpus[0].uuid)
    assert whole.memory_total == 40 * GIB
    assert (big.kind, big.share, big.gi, big.ci) == ("mig", 3 / 7, 2, 0)
    assert big.gpu_uuid == inventory.gpus[2].uuid
    assert big.uuid.startswith("MIG-")
    assert 19 * GIB < (big.memory_total or 0) < 20 * GIB


def test_facts_for_the_choice_of_an_image(driver: NvmlDriver) -> None:
    inventory = driver.inventory()
    assert inventory.driver_version == "550.163.01"
    assert inventory.facts.cuda_version == (12, 4)
    assert inventory.facts.compute_capabilities == ((8, 0),) * 4


def test_slices_of_an_a30_are_quarters(driver: NvmlDriver, gpu_machine: Machine) -> None:
    change(gpu_machine, gpus(1, "a30", {0: [(14, 0), (14, 1), (5, 2)]}))
    found = {item.profile: item.share for item in driver.inventory().slots}
    assert found == {"1g.6gb": 0.25, "2g.12gb": 0.5}


def test_a_compute_instance_smaller_than_its_gpu_instance(
    driver: NvmlDriver, gpu_machine: Machine
) -> None:
    lines = gpus(1, "a100-40", {0: [(9, 4)]})
    lines[-1] = "ci gpu=0 gi=2 id=0 profile=0 start=0 n=2"
    change(gpu_machine, lines)
    (only,) = driver.inventory().slots
    assert (only.profile, only.share) == ("1c.3g.20gb", 1 / 7)


@pytest.mark.parametrize(
    ("name", "slices", "mib", "gpu_mib", "expected"),
    [
        ("NVIDIA A100-SXM4-40GB MIG 1g.5gb", (1, 1), 4864, 40960, "1g.5gb"),
        ("NVIDIA H100 80GB HBM3 MIG 1g.10gb+me", (1, 1), 9984, 81920, "1g.10gb+me"),
        ("NVIDIA A100-SXM4-40GB", (1, 1), 4864, 40960, "1g.5gb"),
        ("NVIDIA A100-SXM4-40GB", (3, 1), 19968, 40960, "1c.3g.20gb"),
        ("NVIDIA A100-SXM4-80GB", (2, 2), 19968, 81920, "2g.20gb"),
        ("NVIDIA A30", (1, 1), 5952, 24576, "1g.6gb"),
    ],
)
def test_profile_names(
    name: str, slices: tuple[int, int], mib: int, gpu_mib: int, expected: str
) -> None:
    profile = mig_profile(
        name,
        gi_slices=slices[0],
        ci_slices=slices[1],
        memory=mib << 20,
        gpu_memory=gpu_mib << 20,
    )
    assert profile == expected


def test_f7_mig_without_instances_offers_nothing(driver: NvmlDriver, gpu_machine: Machine) -> None:
    change(gpu_machine, gpus(2, "a100-40", {1: []}))
    inventory = driver.inventory()
    assert [item.slot for item in inventory.slots] == ["0"]
    assert inventory.gpus[1].problem == "MIG is on, but no instance has been made on this GPU."


def test_holes_in_the_mig_indices_keep_their_numbers(
    driver: NvmlDriver, gpu_machine: Machine
) -> None:
    lines = gpus(1, "a100-40", {0: [(19, 0), (19, 1)]})
    lines[-1] += " idx=5"
    change(gpu_machine, lines)
    assert [item.slot for item in driver.inventory().slots] == ["0:0", "0:5"]


def test_a_machine_without_mig_support(driver: NvmlDriver, gpu_machine: Machine) -> None:
    gpu_machine.write_preset("consumer")
    (only,) = driver.inventory().slots
    assert (only.slot, only.profile) == ("0", "whole")


# ---- readings and their cost -----------------------------------------------------------------


def test_snapshot_reads_what_the_driver_has_and_none_for_the_rest(driver: NvmlDriver) -> None:
    reading = driver.snapshot()
    whole, parted = reading.gpus[1], reading.gpus[2]
    assert (whole.temperature, whole.power, whole.utilisation) == (36, 61.0, 0.11)
    assert whole.memory_used == 2 << 20
    assert whole.slots[0].utilisation == 0.11
    assert parted.utilisation is None
    assert [item.utilisation for item in parted.slots] == [None] * 4
    assert all(item.memory_used == 12 << 20 for item in parted.slots)
    assert reading.slots == driver.inventory().slots


def test_processes_are_matched_to_instances_by_one_list_a_gpu(
    driver: NvmlDriver, gpu_machine: Machine
) -> None:
    gpu_machine.add("proc gpu=0 pid=100 used=4096")
    gpu_machine.add("proc gpu=2 pid=201 used=-1 gi=3 ci=0")
    gpu_machine.add("proc gpu=2 pid=202 used=7 gi=9 ci=0")
    reading = driver.snapshot()
    found = {
        item.info.slot: [(process.pid, process.memory) for process in item.processes]
        for gpu in reading.gpus
        for item in gpu.slots
        if item.processes
    }
    assert found == {"0": [(100, 4 * GIB)], "2:1": [(201, None)], "2:2": [(202, 7 << 20)]}


def test_without_privileges_the_instances_are_asked(
    driver: NvmlDriver, gpu_machine: Machine
) -> None:
    gpu_machine.add("proc gpu=2 pid=202 used=7 gi=9 ci=0")
    gpu_machine.sys(privileged=0)
    reading = driver.snapshot()
    assert [process.pid for process in reading.gpus[2].slots[2].processes] == [202]
    assert [len(item.processes) for item in reading.gpus[2].slots] == [0, 0, 1, 0]


def test_a_snapshot_of_56_instances_asks_89_questions_and_the_inventory_none(
    driver: NvmlDriver, gpu_machine: Machine, calls: Callable[[], int]
) -> None:
    gpu_machine.write_preset("dgx-mig")
    assert len(driver.snapshot().slots) == 56
    before = calls()
    driver.snapshot()
    # the count; memory, temperature, power and processes of 8 GPUs; memory of 56 instances
    assert calls() - before == 1 + 8 * 4 + 56
    before = calls()
    driver.inventory()
    assert calls() == before


def test_figures_that_a_driver_does_not_have_are_none(
    driver: NvmlDriver, gpu_machine: Machine
) -> None:
    for function in ("PowerUsage", "TemperatureV", "Temperature", "UtilizationRates"):
        gpu_machine.add(f"fail fn=nvmlDeviceGet{function} gpu=0 code=3")
    gpu_machine.add("fail fn=nvmlDeviceGetComputeRunningProcesses_v3 gpu=0 code=4")
    whole = driver.snapshot().gpus[0]
    assert (whole.power, whole.temperature, whole.utilisation) == (None, None, None)
    assert whole.slots[0].processes == ()
    assert whole.problem is None


def test_another_memory_call_put_in_place_by_gpustat(
    driver: NvmlDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = pynvml.nvmlDeviceGetMemoryInfo
    monkeypatch.setattr(pynvml, "nvmlDeviceGetMemoryInfo", lambda handle: original(handle))
    assert driver.inventory().slots[0].memory_total == 40 * GIB
    assert driver.snapshot().gpus[0].memory_used is not None


# ---- change ----------------------------------------------------------------------------------


def test_a_fresh_inventory_sees_a_new_instance_at_once(
    driver: NvmlDriver, gpu_machine: Machine
) -> None:
    assert len(driver.inventory().slots) == 13
    gpu_machine.drop("gi gpu=3 id=7 ")
    gpu_machine.drop("ci gpu=3 gi=7 ")
    assert len(driver.inventory().slots) == 13
    assert len(driver.inventory(fresh=True).slots) == 12


def test_a_cached_layout_is_looked_at_again_after_its_time(
    gpu_machine: Machine, simulated_nvml: Path
) -> None:
    now = [0.0]
    driver = NvmlDriver(str(simulated_nvml), refresh=5.0, clock=lambda: now[0])
    change(gpu_machine, gpus(1, "a100-40", {0: [(19, 0)]}))
    assert len(driver.snapshot().slots) == 1
    change(gpu_machine, gpus(1, "a100-40", {0: [(19, 0), (19, 1)]}))
    now[0] = 4.9
    assert len(driver.snapshot().slots) == 1
    now[0] = 5.0
    assert len(driver.snapshot().slots) == 2
    driver.close()


@pytest.mark.parametrize("uuids", ["stable", "fresh"])
def test_a_repartition_between_two_snapshots(
    driver: NvmlDriver, gpu_machine: Machine, uuids: str
) -> None:
    gpu_machine.sys(mig_uuid=uuids)
    before = driver.snapshot()
    with gpu_machine.edit() as lines:
        lines[:] = [line for line in lines if "gpu=3" not in line]
        lines.append("gi gpu=3 id=7 profile=20 start=0 n=90")  # same place, another profile
        lines.append("ci gpu=3 gi=7 id=0 profile=0 start=0 n=91")
    after = driver.snapshot()
    assert [item.profile for item in after.slots if item.gpu_index == 3] == ["1g.5gb+me"]
    same = before.slots[6].uuid == after.slots[6].uuid
    assert same is (uuids == "stable")  # so a UUID alone does not tell one from the other


def test_a_handle_behind_which_another_instance_stands_is_noticed(
    driver: NvmlDriver, gpu_machine: Machine
) -> None:
    change(gpu_machine, gpus(1, "a100-40", {0: [(19, 0)]}))
    assert driver.snapshot().slots[0].profile == "1g.5gb"
    lines = gpus(1, "a100-40", {0: [(15, 0)]})
    lines = [line.replace(" id=3 ", " id=7 ").replace("gi=3", "gi=7") for line in lines]
    change(gpu_machine, lines)  # the same ids and serial numbers: the old handle stays valid
    assert driver.snapshot().slots[0].profile == "1g.10gb"


def test_a_gpu_more(driver: NvmlDriver, gpu_machine: Machine) -> None:
    gpu_machine.write_preset("consumer")
    assert len(driver.snapshot().gpus) == 1
    change(gpu_machine, gpus(2, "rtx3090"))
    assert len(driver.snapshot().gpus) == 2


def test_a_walk_during_repartitioning_is_never_a_mixture(
    driver: NvmlDriver, gpu_machine: Machine
) -> None:
    seven = gpus(1, "a100-40", {0: [(19, start) for start in range(7)]})
    mixed = gpus(1, "a100-40", {0: [(9, 4), (14, 0), (19, 2), (19, 3)]})
    mixed = [line.replace(" n=", " n=5") for line in mixed]  # other serial numbers
    change(gpu_machine, seven)
    program = (
        "import sys, json\n"
        "from tests.rig.nvml import Machine\n"
        "machine, layouts = Machine(sys.argv[1]), json.loads(sys.argv[2])\n"
        "print('ready', flush=True)\n"
        "i = 0\n"
        "while True:\n"
        "    i += 1\n"
        "    with machine.edit() as lines:\n"
        "        lines[:] = layouts[i % 2]\n"
    )
    command = [sys.executable, "-c", program, str(gpu_machine.path), json.dumps([seven, mixed])]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=RigPaths.default().root.parent) as p:
        assert p.stdout is not None
        p.stdout.readline()
        try:
            seen: dict[tuple[str, ...], int] = {}
            for _ in range(400):
                inventory = driver.inventory(fresh=True)
                assert len({item.uuid for item in inventory.slots}) == len(inventory.slots)
                names = tuple(item.profile for item in inventory.slots)
                seen[names] = seen.get(names, 0) + 1
        finally:
            p.kill()
    whole = {("1g.5gb",) * 7, ("3g.20gb", "2g.10gb", "1g.5gb", "1g.5gb")}
    assert set(seen) - {()} == whole  # (): given up for this once


# ---- loss and recovery ---------------------------------------------------------------------


def test_a_lost_gpu_has_nothing_to_give_and_comes_back(
    driver: NvmlDriver, gpu_machine: Machine
) -> None:
    known = driver.inventory().gpus[2].uuid
    gpu_machine.set(2, lost=1)
    reading = driver.snapshot()
    assert reading.gpus[2].problem is not None
    assert "fell off the bus" in reading.gpus[2].problem
    assert len(reading.gpus[2].slots) == 4
    assert [item.gpu_index for item in reading.slots] == [0, 1] + [3] * 7

    inventory = driver.inventory(fresh=True)
    assert inventory.gpus[2].uuid == known
    assert inventory.gpus[2].problem is not None
    assert {item.gpu_index for item in inventory.slots} == {0, 1, 3}

    gpu_machine.set(2, lost=0)
    inventory = driver.inventory(fresh=True)
    assert inventory.gpus[2].problem is None
    assert len(inventory.slots) == 13


def test_a_gpu_that_was_lost_before_we_looked(driver: NvmlDriver, gpu_machine: Machine) -> None:
    gpu_machine.set(0, lost=1)
    inventory = driver.inventory()
    assert (inventory.gpus[0].uuid, inventory.gpus[0].index) == ("", 0)
    assert inventory.gpus[0].problem is not None
    assert slot(inventory, "1").uuid == inventory.gpus[1].uuid


def test_a_gpu_that_fails_otherwise_does_not_hide_the_others(
    driver: NvmlDriver, gpu_machine: Machine
) -> None:
    gpu_machine.add("fail fn=nvmlDeviceGetMigMode gpu=0 code=999")
    gpu_machine.add("fail fn=nvmlDeviceGetUUID gpu=3 code=2")
    inventory = driver.inventory()
    assert [gpu.problem is None for gpu in inventory.gpus] == [False, True, True, False]
    assert {item.gpu_index for item in inventory.slots} == {1, 2}


def test_nvml_shut_down_by_somebody_else_is_started_again(driver: NvmlDriver) -> None:
    driver.inventory()
    for _ in range(20):
        try:
            pynvml.nvmlShutdown()
        except pynvml.NVMLError_Uninitialized:
            break
    assert len(driver.snapshot().slots) == 13


def test_a_driver_that_is_not_loaded_and_then_is(driver: NvmlDriver, gpu_machine: Machine) -> None:
    driver.close()
    gpu_machine.write_preset("none")
    with pytest.raises(DriverUnavailable) as refusal:
        driver.inventory()
    assert refusal.value.message == "The NVIDIA driver is installed but not loaded."
    assert 'gpu="none"' in refusal.value.hint
    with pytest.raises(DriverUnavailable):
        driver.snapshot()
    gpu_machine.write_preset("lab")
    assert len(driver.inventory().slots) == 13


def test_a_machine_without_gpus(driver: NvmlDriver, gpu_machine: Machine) -> None:
    change(gpu_machine, ["sys driver=580.95.05"])
    assert driver.inventory().slots == ()
    assert driver.snapshot().gpus == ()
