"""Whether a GPU's utilisation is a container's work: of one user, of several, of none seen."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

import pytest

from ds01_jupyter.core import models
from ds01_jupyter.core.gpu.board import Look
from ds01_jupyter.core.gpu.health import Verdict
from ds01_jupyter.core.gpu.nvml import NvmlDriver
from ds01_jupyter.core.gpu.process_book import Owner
from ds01_jupyter.core.gpu.slots import GpuReading, ProcessReading
from ds01_jupyter.core.ledger import Ledger
from ds01_jupyter.core.ledger_rows import LeaseRow
from ds01_jupyter.core.lifecycle.activity import GpuLook, gpu_activity, tells
from tests.rig.nvml import Machine
from tests.unit.desk import Desk

ME, OTHER = "a" * 64, "b" * 64
WHO: dict[int, Owner] = {1: (ME, "anna"), 2: (OTHER, "ben"), 3: (None, "ben"), 4: (None, None)}


@pytest.fixture
def driver(gpu_machine: Machine, simulated_nvml: Path) -> Iterator[NvmlDriver]:
    """GPUs 0 and 1 whole, 2 and 3 in MIG mode."""
    driver = NvmlDriver(str(simulated_nvml), refresh=0)
    yield driver
    driver.close()


@pytest.fixture
def desk(driver: NvmlDriver, tmp_path: Path) -> Iterator[Desk]:
    """Gives leases."""
    desk = Desk(Ledger(tmp_path / "ledger.sqlite"), driver)
    yield desk
    desk.ledger.close()


def lease(desk: Desk, slot: str, kind: Literal["gpu", "mig", "share"] | None = None) -> LeaseRow:
    desk.claim(f"c{slot.replace(':', '')}", slot)
    found = desk.ledger.live_leases()[-1]
    return found if kind is None else replace(found, info=replace(found.info, kind=kind))


def look(driver: NvmlDriver, *pids: int, past: models.GpuHistory | None = None) -> GpuLook:
    """The GPUs as they are, with these processes on GPU 0."""
    reading: GpuReading = driver.snapshot()
    gpu = reading.gpus[0]
    processes = tuple(ProcessReading(pid, None) for pid in pids)
    slots = tuple(replace(slot, processes=processes) for slot in gpu.slots)
    reading = replace(reading, gpus=(replace(gpu, slots=slots), *reading.gpus[1:]))
    return GpuLook(Look(reading, Verdict(), {}, WHO), past)


@pytest.mark.parametrize(
    ("pids", "whole", "share"),
    [
        ((), "active", "unknown"),
        ((1,), "active", "active"),
        ((1, 2), "unknown", "unknown"),
        ((2,), "idle", "idle"),
        ((3,), "idle", "idle"),
        ((1, 3), "unknown", "unknown"),
        ((4,), "active", "unknown"),
        ((1, 4), "active", "unknown"),
        ((2, 4), "active", "unknown"),
    ],
)
def test_whose_work_it_is_where_the_gpu_is_busy(
    driver: NvmlDriver,
    desk: Desk,
    gpu_machine: Machine,
    pids: tuple[int, ...],
    whole: str,
    share: str,
) -> None:
    gpu_machine.set(0, util=70)
    mine = lease(desk, "0")
    shared = replace(mine, info=replace(mine.info, kind="share"))
    now = look(driver, *pids)
    assert gpu_activity([mine], ME, now, 20, 0.05) == whole
    assert gpu_activity([shared], ME, now, 20, 0.05) == share


@pytest.mark.parametrize("pids", [(), (1,), (2,), (4,)])
def test_a_gpu_at_rest_is_everybodys_rest(
    driver: NvmlDriver, desk: Desk, gpu_machine: Machine, pids: tuple[int, ...]
) -> None:
    gpu_machine.set(0, util=4)
    mine = lease(desk, "0")
    shared = replace(mine, info=replace(mine.info, kind="share"))
    for one in (mine, shared):
        assert gpu_activity([one], ME, look(driver, *pids), 20, 0.05) == "idle"


def test_b16_mig_tells_nothing_and_is_not_asked(driver: NvmlDriver, desk: Desk) -> None:
    mine = lease(desk, "2:0")
    assert not tells([mine])
    assert gpu_activity([mine], ME, look(driver), 20, 0.05) is None
    assert gpu_activity([], ME, look(driver), 20, 0.05) is None


def test_what_has_no_utilisation_leaves_it_to_the_cpu(
    driver: NvmlDriver, desk: Desk, gpu_machine: Machine
) -> None:
    mine = lease(desk, "0")
    now = look(driver)
    assert now.now is not None
    blank = tuple(replace(gpu, utilisation=None) for gpu in now.now.reading.gpus)
    now = GpuLook(replace(now.now, reading=replace(now.now.reading, gpus=blank)))
    assert gpu_activity([mine], ME, now, 20, 0.05) is None


def test_a_driver_or_gpu_without_an_answer_is_unknown(
    driver: NvmlDriver, desk: Desk, gpu_machine: Machine
) -> None:
    mine = lease(desk, "0")
    assert gpu_activity([mine], ME, GpuLook(None), 20, 0.05) == "unknown"
    gone = replace(mine, info=replace(mine.info, gpu_uuid="GPU-gone"))
    assert gpu_activity([gone], ME, look(driver), 20, 0.05) == "unknown"
    gpu_machine.set(0, lost=1)
    assert gpu_activity([mine], ME, look(driver), 20, 0.05) == "unknown"


def test_several_slots_are_at_work_when_one_is(
    driver: NvmlDriver, desk: Desk, gpu_machine: Machine
) -> None:
    gpu_machine.set(0, util=1)
    gpu_machine.set(1, util=60)
    both = [lease(desk, "0"), lease(desk, "1")]
    assert gpu_activity(both, ME, look(driver), 20, 0.05) == "active"
    gpu_machine.set(1, util=1)
    assert gpu_activity(both, ME, look(driver), 20, 0.05) == "idle"
    gpu_machine.set(1, lost=1)
    assert gpu_activity(both, ME, look(driver), 20, 0.05) == "unknown"


def test_work_between_two_looks_is_in_the_history(
    driver: NvmlDriver, desk: Desk, gpu_machine: Machine
) -> None:
    gpu_machine.set(0, util=0)
    mine = lease(desk, "0")
    uuid = mine.gpu_uuid
    now = datetime.now(UTC)
    series = models.GpuSeries(
        slot="0",
        uuid=uuid,
        kind="gpu",
        gpu=0,
        memory_used=[None, None],
        utilisation=[0.9, 0.0],
        temperature=[None, None],
        power=[None, None],
    )
    times = [now - timedelta(seconds=30), now - timedelta(seconds=10)]
    past = models.GpuHistory(host="here", step=10, times=times, series=[series])
    assert gpu_activity([mine], ME, look(driver, past=past), 40, 0.05) == "active"
    assert gpu_activity([mine], ME, look(driver, past=past), 20, 0.05) == "idle"
