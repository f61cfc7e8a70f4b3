"""One thread looks for all: same number of driver calls with 1 and 200 readers, and no thread
that stays behind."""

from __future__ import annotations

import ctypes
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ds01_jupyter.core.errors import CoreError, DriverUnavailable
from ds01_jupyter.core.gpu.nvml import NvmlDriver
from ds01_jupyter.core.gpu.sampler import Pace, Sampler
from tests.rig.nvml import Machine

NEVER = 1e9
PATIENCE = 30.0
ONCE = Pace(interval=NEVER, slow=NEVER, watched=NEVER, idle=NEVER, stale=NEVER, patience=PATIENCE)


@pytest.fixture
def driver(gpu_machine: Machine, simulated_nvml: Path) -> Iterator[NvmlDriver]:
    driver = NvmlDriver(str(simulated_nvml), refresh=NEVER)
    yield driver
    driver.close()


@pytest.fixture
def calls(simulated_nvml: Path) -> Callable[[], int]:
    counter = ctypes.CDLL(str(simulated_nvml)).fakenvml_calls
    counter.restype = ctypes.c_ulong
    return counter  # type: ignore[no-any-return]


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.005)


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "ds01-test"]


def test_readers_cost_no_driver_call(driver: NvmlDriver, calls: Callable[[], int]) -> None:
    sampler = Sampler(driver.snapshot, pace=ONCE, name="ds01-test")
    first = sampler.latest()
    assert first is not None
    assert first.value is not None
    before = calls()
    with ThreadPoolExecutor(16) as pool:
        seen = list(pool.map(lambda _: sampler.latest(), range(200)))
    assert calls() == before
    assert all(published is first for published in seen), "the very same object for everybody"
    assert sampler.stop()


@pytest.mark.parametrize("readers", [1, 200])
def test_a_look_costs_the_same_whoever_reads(
    driver: NvmlDriver, calls: Callable[[], int], readers: int
) -> None:
    driver.snapshot()
    before = calls()
    driver.snapshot()
    one_look = calls() - before
    assert one_look > 10
    pace = Pace(interval=0.005, stale=PATIENCE, patience=PATIENCE)
    sampler = Sampler(driver.snapshot, pace=pace, name="ds01-test")
    before = calls()
    detach = [sampler.subscribe(lambda: None) for _ in range(readers)]
    until(lambda: sampler.published is not None and sampler.published.number >= 10)
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda _: sampler.latest(), range(readers)))
    assert sampler.stop()
    last = sampler.published
    assert last is not None
    assert calls() - before == last.number * one_look
    for end in detach:
        end()


def test_it_starts_with_the_first_reader_and_no_thread_is_left(driver: NvmlDriver) -> None:
    sampler = Sampler(driver.snapshot, pace=ONCE, name="ds01-test")
    assert not sampler.running
    assert threads() == []
    sampler.latest()
    assert threads() == ["ds01-test"]
    assert sampler.stop()
    assert threads() == []
    published = sampler.latest()
    assert published is not None
    assert published.number == 1, "stopped for good: the last look stays"
    assert threads() == []


def test_after_a_change_the_next_reader_gets_a_look_that_began_later() -> None:
    gate, entered = threading.Event(), threading.Event()
    truth = ["old"]

    def take() -> str:
        seen = truth[0]
        if seen == "slow":
            entered.set()
            assert gate.wait(PATIENCE)
        return seen

    sampler = Sampler(take, pace=ONCE, name="ds01-test")
    first = sampler.latest()
    assert first is not None
    truth[0] = "new"
    assert sampler.latest() is first
    sampler.expire()
    with ThreadPoolExecutor(16) as pool:
        seen = list(pool.map(lambda _: sampler.latest(), range(200)))
    assert {published.value for published in seen if published} == {"new"}
    assert {published.number for published in seen if published} == {2}, "one look for all"
    # A look that is under way when something changes may have missed it.
    truth[0] = "slow"
    sampler.expire()
    with ThreadPoolExecutor(2) as pool:
        early = pool.submit(sampler.latest)
        assert entered.wait(PATIENCE)
        truth[0] = "newest"
        sampler.expire()
        late = pool.submit(sampler.latest)
        gate.set()
        assert {found.value for one in (early, late) if (found := one.result())} == {"newest"}
    assert sampler.stop()


def test_it_ends_when_nobody_asks_and_comes_back() -> None:
    pace = Pace(interval=0.01, slow=0.01, watched=0.02, idle=0.05, stale=PATIENCE, patience=30)
    sampler = Sampler(lambda: "look", pace=pace, name="ds01-test")
    first = sampler.latest()
    until(lambda: not sampler.running)
    assert threads() == []
    ended = sampler.published
    assert first is not None
    assert ended is not None
    again = sampler.latest()
    assert again is not None
    assert again.number > ended.number, "a look of before is not served as the present one"
    assert sampler.stop()


def test_it_looks_seldom_when_nobody_reads_and_often_while_somebody_follows() -> None:
    now = [0.0]
    sampler = Sampler(lambda: 1, pace=Pace(stale=NEVER), clock=lambda: now[0], name="ds01-test")
    gears = []
    sampler.latest()
    for now[0] in (0.0, 29.0, 31.0, 3599.0, 3601.0):
        gears.append(sampler.gear())
    assert gears == ["watched", "watched", "slow", "slow", "idle"]
    detach = sampler.subscribe(lambda: None)
    now[0] = 1e6
    assert sampler.gear() == "watched", "who follows, reads"
    detach()
    assert sampler.gear() == "idle"
    assert sampler.stop()


def test_a_driver_that_hangs_blocks_nobody() -> None:
    """Readers get what was seen last, at once, and it is known to be late."""
    gate, entered = threading.Event(), threading.Event()
    looks = []

    def take() -> int:
        looks.append(1)
        if len(looks) > 1:
            entered.set()
            assert gate.wait(PATIENCE)
        return len(looks)

    pace = Pace(interval=0.01, stale=0.05, patience=0.1)
    sampler = Sampler(take, pace=pace, name="ds01-test")
    assert sampler.latest() is not None
    assert entered.wait(PATIENCE)
    until(lambda: (sampler.hanging or 0) > 0.1)
    with ThreadPoolExecutor(8) as pool:
        seen = list(pool.map(lambda _: sampler.latest(), range(200)))
    assert {published.value for published in seen if published} == {1}
    assert len(looks) == 2, "nobody sent another call after the one that hangs"
    assert not sampler.stop(timeout=0.01), "it says that it was left behind"
    gate.set()
    until(lambda: not sampler.running)


def test_a_driver_that_hangs_from_the_start_is_waited_for_once() -> None:
    gate = threading.Event()
    sampler = Sampler(
        lambda: gate.wait(PATIENCE), pace=Pace(stale=0.05, patience=0.1), name="ds01-test"
    )
    assert sampler.latest() is None
    assert sampler.latest() is None
    assert sampler.hanging is not None
    gate.set()
    until(lambda: sampler.published is not None)
    assert sampler.stop()


def test_the_real_driver_while_a_call_hangs(
    driver: NvmlDriver, simulated_nvml: Path, gpu_machine: Machine
) -> None:
    pace = Pace(interval=0.01, stale=0.05, patience=0.1)
    sampler = Sampler(driver.snapshot, pace=pace, name="ds01-test")
    first = sampler.latest()
    assert first is not None
    gpu_machine.add("fail fn=nvmlDeviceGetTemperatureV us=400000")
    until(lambda: sampler.hanging is not None)
    stuck = sampler.latest()
    assert stuck is not None
    assert stuck.value is not None, "what was seen last"
    other = NvmlDriver(str(simulated_nvml))
    assert len(other.inventory(fresh=True).slots) == 13, "allocation goes on beside it"
    gpu_machine.drop("fail")
    until(lambda: sampler.hanging is None and sampler.latest() is not stuck)
    assert sampler.stop(PATIENCE)


def test_a_stale_driver_is_an_error_and_then_it_is_over(
    driver: NvmlDriver, gpu_machine: Machine
) -> None:
    """The driver was updated under us (RM_VERSION_MISMATCH): said so, until it works again."""
    pace = Pace(interval=0.01, stale=PATIENCE, patience=PATIENCE)
    gpu_machine.sys(init=18)
    sampler = Sampler(driver.snapshot, pace=pace, name="ds01-test")
    published = sampler.latest()
    assert published is not None
    assert isinstance(published.error, DriverUnavailable)
    assert "updated" in published.error.message
    gpu_machine.sys(init=0)
    until(lambda: (found := sampler.latest()) is not None and found.value is not None)
    assert sampler.stop()


def test_a_defect_is_an_error_and_the_thread_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    looks = []

    def take() -> int:
        looks.append(1)
        if len(looks) == 1:
            raise ZeroDivisionError("defect")
        return 7

    sampler = Sampler(take, pace=Pace(interval=0.01, patience=PATIENCE), name="ds01-test")
    first = sampler.latest()
    assert first is not None
    assert isinstance(first.error, CoreError)
    assert "ZeroDivisionError" in first.error.details["defect"]
    assert "Traceback" in caplog.text
    until(lambda: (found := sampler.latest()) is not None and found.value == 7)
    assert sampler.stop()


def test_a_listener_that_fails_keeps_nobody_from_hearing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    heard = threading.Event()

    def broken() -> None:
        raise RuntimeError("closed")

    sampler = Sampler(lambda: 1, pace=Pace(interval=0.01), name="ds01-test")
    sampler.subscribe(broken)
    sampler.subscribe(heard.set)
    assert heard.wait(PATIENCE)
    assert sampler.stop()
    assert "closed" in caplog.text
