"""What the GPUs did in the last hour, in memory of a fixed size.

Readings are gathered into frames of `step` seconds; a frame keeps the last memory and temperature,
and the mean of what jitters (utilisation, power). A figure that the driver did not tell is None in
the answer and never 0; a GPU or instance that was not there has no figure either.
"""

from __future__ import annotations

import math
import threading
from array import array
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

from ds01_jupyter.core import models
from ds01_jupyter.core.gpu.slots import GpuReading

STEP = 10.0
FRAMES = 360
MAX_SERIES = 256
"""Series (GPUs and instances) that are kept: more than any machine has at a time."""

Key = tuple[Literal["gpu", "slot"], str]
ABSENT = math.nan
"""How a figure that is not there is stored; it never leaves this module."""

LAST = ("memory_used", "temperature")
MEAN = ("utilisation", "power")
FIGURES = LAST + MEAN


@dataclass
class _Series:
    """The figures of one GPU or slot, one place a frame."""

    name: str
    gpu_index: int
    seen: int
    figures: dict[str, array[float]]


@dataclass
class _Gathered:
    """What the readings of the present frame said of one GPU or slot."""

    name: str
    gpu_index: int
    last: dict[str, float | None] = field(default_factory=dict)
    sums: dict[str, tuple[float, int]] = field(default_factory=dict)

    def add(self, figures: Mapping[str, float | None]) -> None:
        for name, value in figures.items():
            if name in LAST:
                self.last[name] = value
            elif value is not None:
                total, count = self.sums.get(name, (0.0, 0))
                self.sums[name] = (total + value, count + 1)

    def figures(self) -> dict[str, float | None]:
        means = {name: total / count for name, (total, count) in self.sums.items()}
        return {**self.last, **means}


class History:
    """A ring of `frames` frames of `step` seconds. For any number of threads."""

    def __init__(self, *, step: float = STEP, frames: int = FRAMES) -> None:
        self._step = step
        self._frames = frames
        self._lock = threading.Lock()
        self._times = array("d", [ABSENT] * frames)
        self._series: dict[Key, _Series] = {}
        self._gathered: dict[Key, _Gathered] = {}
        self._frame = -1
        self._count = 0

    def add(self, reading: GpuReading) -> None:
        """Take a reading in; a frame is written when the first reading after it comes."""
        frame = int(reading.taken.timestamp() // self._step)
        with self._lock:
            if frame != self._frame and self._gathered:
                self._write()
            self._frame = frame
            for key, name, index, figures in _figures(reading):
                gathered = self._gathered.get(key)
                if gathered is None:
                    gathered = self._gathered[key] = _Gathered(name, index)
                gathered.name, gathered.gpu_index = name, index
                gathered.add(figures)

    def document(self, host: str, now: datetime | None = None) -> models.GpuHistory:
        """The frames of the last hour, oldest first. Where nobody looked there are none."""
        oldest = (now or datetime.now(UTC)).timestamp() - self._step * self._frames
        with self._lock:
            first = max(0, self._count - self._frames)
            places = [
                number % self._frames
                for number in range(first, self._count)
                if self._times[number % self._frames] >= oldest
            ]
            times = [datetime.fromtimestamp(self._times[place], UTC) for place in places]
            found = [
                (key, series, {name: _column(series, name, places) for name in FIGURES})
                for key, series in self._series.items()
            ]
        found = [item for item in found if any(map(_told, item[2].values()))]
        found.sort(key=lambda item: (item[1].gpu_index, item[0][0], _natural(item[1].name)))
        return models.GpuHistory(
            host=host,
            step=self._step,
            times=times,
            series=[_document(key, series, columns) for key, series, columns in found],
        )

    # ---- the ring, under the lock ------------------------------------------------------------

    def _write(self) -> None:
        place = self._count % self._frames
        self._times[place] = self._frame * self._step
        for series in self._series.values():
            for column in series.figures.values():
                column[place] = ABSENT
        for key, gathered in self._gathered.items():
            if key not in self._series:
                self._series[key] = self._new(gathered)
            series = self._series[key]
            series.name, series.gpu_index = gathered.name, gathered.gpu_index
            series.seen = self._count
            for name, value in gathered.figures().items():
                series.figures[name][place] = ABSENT if value is None else value
        self._gathered.clear()
        self._count += 1
        self._forget()

    def _new(self, gathered: _Gathered) -> _Series:
        columns = {name: array("d", [ABSENT] * self._frames) for name in FIGURES}
        return _Series(gathered.name, gathered.gpu_index, self._count, columns)

    def _forget(self) -> None:
        """Drop what was not there for the whole hour, and the oldest beyond `MAX_SERIES`."""
        by_age = sorted(self._series, key=lambda key: self._series[key].seen, reverse=True)
        for number, key in enumerate(by_age):
            if number >= MAX_SERIES or self._series[key].seen <= self._count - 1 - self._frames:
                del self._series[key]


def _figures(
    reading: GpuReading,
) -> Iterable[tuple[Key, str, int, dict[str, float | None]]]:
    for gpu in reading.gpus:
        if not gpu.info.uuid or gpu.error is not None:
            continue
        figures = {
            "memory_used": gpu.memory_used,
            "utilisation": gpu.utilisation,
            "temperature": gpu.temperature,
            "power": gpu.power,
        }
        yield ("gpu", gpu.info.uuid), str(gpu.info.index), gpu.info.index, figures
        for slot in gpu.slots:
            if slot.info.kind != "mig":
                continue  # the very GPU, or a share of which the driver tells nothing
            told = {"memory_used": slot.memory_used, "utilisation": slot.utilisation}
            yield ("slot", slot.info.uuid), slot.info.slot, gpu.info.index, told


def _column(series: _Series, name: str, places: Iterable[int]) -> list[float | None]:
    column = series.figures[name]
    return [None if math.isnan(column[place]) else column[place] for place in places]


def _told(column: Iterable[float | None]) -> bool:
    return any(value is not None for value in column)


def _document(
    key: Key, series: _Series, columns: Mapping[str, list[float | None]]
) -> models.GpuSeries:
    def whole(name: str) -> list[int | None]:
        return [None if value is None else round(value) for value in columns[name]]

    def exact(name: str, digits: int) -> list[float | None]:
        return [None if value is None else round(value, digits) for value in columns[name]]

    return models.GpuSeries(
        slot=series.name,
        uuid=key[1],
        kind="gpu" if key[0] == "gpu" else "mig",
        gpu=series.gpu_index,
        memory_used=whole("memory_used"),
        utilisation=exact("utilisation", 4),
        temperature=whole("temperature"),
        power=exact("power", 1),
    )


def _natural(name: str) -> tuple[int, ...]:
    return tuple(int(part) for part in name.split(":"))
