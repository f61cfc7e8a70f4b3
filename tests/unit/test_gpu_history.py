"""The last hour of every GPU and instance, in memory of a fixed size; n/a stays n/a."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ds01_jupyter.core.gpu.history import MAX_SERIES, History
from ds01_jupyter.core.gpu.nvml import NvmlDriver
from ds01_jupyter.core.gpu.slots import GpuReading
from ds01_jupyter.core.models import GpuSeries
from tests.rig.nvml import Machine

START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@pytest.fixture
def driver(gpu_machine: Machine, simulated_nvml: Path) -> Iterator[NvmlDriver]:
    driver = NvmlDriver(str(simulated_nvml), refresh=0)
    yield driver
    driver.close()


def at(reading: GpuReading, seconds: float) -> GpuReading:
    return replace(reading, taken=START + timedelta(seconds=seconds))


def series(history: History, slot: str, seconds: float) -> GpuSeries:
    document = history.document("here", START + timedelta(seconds=seconds))
    return next(item for item in document.series if item.slot == slot)


def test_b16_mig_utilisation_stays_none_and_is_never_zero(driver: NvmlDriver) -> None:
    """Bug B16 of DS01: "[N/A]" was read as activity for ever."""
    history = History()
    for second in (0, 10):
        history.add(at(driver.snapshot(), second))
    whole, instance = series(history, "0", 20), series(history, "2:0", 20)
    assert whole.utilisation == [0.1]
    assert whole.temperature == [35]
    assert instance.kind == "mig"
    assert instance.memory_used != [None]
    assert instance.utilisation == [None]
    assert (instance.temperature, instance.power) == ([None], [None])
    assert instance.gpu == 2


def test_every_gpu_and_instance_has_a_line_in_the_order_people_count(driver: NvmlDriver) -> None:
    history = History()
    for second in (0, 10):
        history.add(at(driver.snapshot(), second))
    found = [(item.gpu, item.slot) for item in history.document("here", START).series]
    assert found == [
        *((0, "0"), (1, "1"), (2, "2")),
        *((2, f"2:{index}") for index in range(4)),
        (3, "3"),
        *((3, f"3:{index}") for index in range(7)),
    ]


def test_a_frame_holds_means_and_last_figures(driver: NvmlDriver, gpu_machine: Machine) -> None:
    history = History()
    for second, busy, temperature in ((0, 10, 40), (3, 20, 50), (9.9, 60, 45), (10, 0, 0)):
        gpu_machine.set(0, util=busy, temp=temperature)
        history.add(at(driver.snapshot(), second))
    line = series(history, "0", 20)
    assert line.utilisation == [0.3]
    assert line.temperature == [45]
    assert history.document("here", START).times == [START]


def test_a_lost_gpu_leaves_a_gap(driver: NvmlDriver, gpu_machine: Machine) -> None:
    history = History()
    for second in (0, 10, 20, 30):
        gpu_machine.set(1, lost=int(second == 10))
        history.add(at(driver.snapshot(), second))
    line = series(history, "1", 40)
    assert [figure is None for figure in line.utilisation] == [False, True, False]
    assert [figure is None for figure in line.memory_used] == [False, True, False]


def test_frames_that_nobody_looked_at_are_missing(driver: NvmlDriver) -> None:
    history = History()
    reading = driver.snapshot()
    for second in (0, 10, 1800, 1810):
        history.add(at(reading, second))
    times = history.document("here", START + timedelta(seconds=1810)).times
    assert [(time - START).total_seconds() for time in times] == [0, 10, 1800]


def test_only_the_last_hour_is_kept_in_memory_of_a_fixed_size(driver: NvmlDriver) -> None:
    history = History(frames=6)
    reading = driver.snapshot()
    for second in range(0, 1000, 10):
        history.add(at(reading, second))
    document = history.document("here", START + timedelta(seconds=990))
    assert [(time - START).total_seconds() for time in document.times] == [
        *(930, 940, 950, 960, 970, 980),
    ]
    assert {len(line.memory_used) for line in document.series} == {6}
    lengths = {len(column) for line in history._series.values() for column in line.figures.values()}
    assert lengths == {6}
    late = history.document("here", START + timedelta(seconds=10_000))
    assert (late.times, late.series) == ([], []), "an hour later nothing is told any more"


def test_instances_that_are_gone_are_forgotten(driver: NvmlDriver) -> None:
    history = History(frames=3)
    reading = driver.snapshot()
    history.add(at(reading, 0))
    without = replace(reading, gpus=reading.gpus[:2])
    for second in (10, 20, 30, 40, 50):
        history.add(at(without, second))
    assert {line.name for line in history._series.values()} == {"0", "1"}


def test_fresh_uuids_with_every_repartition_do_not_fill_the_memory(driver: NvmlDriver) -> None:
    history = History(frames=1000)
    reading = driver.snapshot()
    gpu = reading.gpus[3]
    for turn in range(100):
        slots = tuple(
            replace(slot, info=replace(slot.info, uuid=f"MIG-{turn}-{slot.info.slot}"))
            for slot in gpu.slots
        )
        changed = replace(reading, gpus=(replace(gpu, slots=slots),))
        history.add(at(changed, turn * 10))
    assert len(history._series) <= MAX_SERIES


def test_nothing_was_seen_yet(driver: NvmlDriver) -> None:
    document = History().document("here")
    assert (document.times, document.series, document.step) == ([], [], 10.0)
