"""The real NVIDIA driver: what slots there are, and what they do now.

On hardware the number of calls decides what a look costs, so identities and handles are kept and
a snapshot asks only for what moves: one process list a GPU (matched to instances by their ids),
one memory figure a slot. A layout that is older than `refresh` seconds is walked again, one that
shows a sign of change at once; whoever gives a slot away asks for a fresh walk.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TypeVar

import pynvml

from ds01_jupyter.core.errors import DriverUnavailable
from ds01_jupyter.core.gpu import nvml_calls as ask
from ds01_jupyter.core.gpu.nvml_calls import Error
from ds01_jupyter.core.gpu.nvml_session import SESSION, unavailable
from ds01_jupyter.core.gpu.nvml_walk import Device, Layout, LayoutChanged, Walker, silence
from ds01_jupyter.core.gpu.slots import (
    GpuInfo,
    GpuMeasurement,
    GpuReading,
    Inventory,
    ProcessReading,
    SlotInfo,
    SlotReading,
)

__all__ = ["GpuInfo", "GpuReading", "Inventory", "NvmlDriver", "SlotInfo"]

T = TypeVar("T")
Processes = dict[tuple[int, int], list[ProcessReading]]

WALKS = 8
"""How often a walk is repeated while the layout changes under it."""


class NvmlDriver:
    """Inventory and readings of this machine's GPUs, for any number of threads.

    `library` is the path of a driver library to load in place of the system's, empty for the
    system's own. Nothing is loaded before the first question. Every method raises
    `DriverUnavailable` when there is no driver or it does not answer.
    """

    def __init__(
        self,
        library: str = "",
        *,
        refresh: float = 5.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._library = library
        self._refresh = refresh
        self._clock = clock
        self._lock = threading.Lock()
        self._walker = Walker()
        self._generation = 0
        self._layout: Layout | None = None
        self._walked = 0.0

    def inventory(self, *, fresh: bool = False) -> Inventory:
        """All GPUs and slots; `fresh` looks again whatever is known (before giving one away)."""
        return self._ask(lambda: (self._look() if fresh else self._current()).inventory)

    def snapshot(self) -> GpuReading:
        """What all GPUs and slots do now."""
        return self._ask(self._read)

    def close(self) -> None:
        """Shut NVML down for this process; the next question starts it again."""
        with self._lock:
            self._layout = None
            SESSION.close()

    # ---- layout ----------------------------------------------------------------------------

    def _ask(self, question: Callable[[], T]) -> T:
        with self._lock:
            for last in (False, True):
                generation = SESSION.ensure(self._library)
                if generation != self._generation:
                    self._generation, self._layout = generation, None
                try:
                    return question()
                except Error as error:
                    # Another part of this process (gpustat, nvitop) may have shut NVML down.
                    if error.value == pynvml.NVML_ERROR_UNINITIALIZED and not last:
                        SESSION.lost(generation)
                        continue
                    raise unavailable(error) from error
        raise AssertionError("unreachable")

    def _current(self) -> Layout:
        if self._layout is None or self._clock() - self._walked >= self._refresh:
            return self._look()
        return self._layout

    def _look(self) -> Layout:
        for attempt in range(WALKS):
            try:
                self._layout = self._walker.walk(last=attempt == WALKS - 1)
            except LayoutChanged:
                continue
            self._walked = self._clock()
            return self._layout
        self._layout = None
        raise _restless()

    # ---- readings --------------------------------------------------------------------------

    def _read(self) -> GpuReading:
        layout = self._current()
        if pynvml.nvmlDeviceGetCount() != len(layout.devices):
            layout = self._look()
        for _ in range(WALKS):
            try:
                gpus = tuple(_measure(device) for device in layout.devices)
            except LayoutChanged:
                layout = self._look()
                continue
            return GpuReading(datetime.now(UTC), layout.inventory.driver_version, gpus)
        raise _restless()


def _restless() -> DriverUnavailable:
    return DriverUnavailable(
        "The MIG instances of this machine keep changing while they are being read.",
        hint="An admin is repartitioning the GPUs; try again in a minute.",
        walks=WALKS,
    )


def _measure(device: Device) -> GpuMeasurement:
    if device.handle is None:
        return _nothing(device, device.info.problem, device.info.error)
    try:
        return _measure_answering(device)
    except Error as error:
        if error.value not in ask.GONE:
            raise
        return _nothing(device, silence(error), error.value)


def _nothing(device: Device, problem: str | None, code: int | None) -> GpuMeasurement:
    slots = tuple(SlotReading(slot, None, None, ()) for slot in device.info.slots)
    return GpuMeasurement(device.info, None, None, None, None, slots, problem, code)


def _measure_answering(device: Device) -> GpuMeasurement:
    info, handle = device.info, device.handle
    size = ask.optional(ask.memory, handle)
    used = None if size is None else size[1]
    temperature = ask.optional(ask.temperature, handle)
    power = ask.optional(ask.power, handle)
    running = ask.optional(ask.processes, handle)
    if info.mig:
        slots = _measure_instances(device, running)
        return GpuMeasurement(info, used, None, temperature, power, slots, info.problem)
    busy = ask.optional(ask.utilisation, handle)
    mine = tuple(process for _, _, process in running or ())
    slots = tuple(SlotReading(slot, used, busy, mine) for slot in info.slots)
    return GpuMeasurement(info, used, busy, temperature, power, slots, info.problem)


def _measure_instances(
    device: Device, running: list[tuple[int, int, ProcessReading]] | None
) -> tuple[SlotReading, ...]:
    by_instance: Processes = {}
    for gi, ci, process in running or ():
        by_instance.setdefault((gi, ci), []).append(process)
    readings = []
    for slot, handle in device.instances:
        try:
            total, used = ask.memory(handle)
            if running is None:
                # The GPU tells everything to root only; an instance tells us our own.
                found = ask.optional(ask.processes, handle) or []
                mine = tuple(process for _, _, process in found)
            else:
                mine = tuple(by_instance.pop((slot.gi or 0, slot.ci or 0), ()))
        except Error as error:
            if error.value in ask.STALE:
                raise LayoutChanged from error
            if error.value in ask.ESSENTIAL:
                raise
            readings.append(SlotReading(slot, None, None, ()))
            continue
        if total != slot.memory_total:
            raise LayoutChanged  # another instance stands behind the old handle
        readings.append(SlotReading(slot, used, None, mine))
    return tuple(readings)
