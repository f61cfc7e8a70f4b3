"""The last hour of the GPUs, a line of small bars for each figure."""

from __future__ import annotations

from collections.abc import Sequence

from ds01_jupyter.core import models
from ds01_jupyter.render.blocks import Cell, Column, Note, Table
from ds01_jupyter.render.units import UNKNOWN, percent, since, size
from ds01_jupyter.render.view import View

BARS = "▁▂▃▄▅▆▇█"
GAP = "·"
"""Where nobody looked, or the driver has no figure."""
WIDTH = 24
"""Characters of a line: each stands for 150 seconds of an hour."""

COLUMNS = (
    Column("Slot", keep=True),
    Column("Memory", keep=True, width=WIDTH),
    Column("now", right=True, keep=True),
    Column("Busy", keep=True, width=WIDTH),
    Column("now", right=True, keep=True),
)


def history(document: models.GpuHistory) -> View:
    """Memory and utilisation of every GPU and instance, and the GPUs' temperature and power."""
    if not document.times:
        text = "Nobody has looked at the GPUs in the last hour; from now on it is remembered."
        return View(Note(text, "dim"), data=document)
    places = _places(document)
    rows = tuple(_row(line, places) for line in document.series)
    span = f"The last hour on {document.host}; the oldest is {since(document.times[0])} old."
    notes = [Note(text) for line in document.series if (text := _warmth(line))]
    return View(
        Table(COLUMNS, rows, title="The last hour", empty="There is nothing to show."),
        *notes,
        Note(f"{span} {GAP} is not known.", "dim"),
        data=document,
    )


def sparkline(values: Sequence[float | None], top: float | None = None) -> str:
    """A bar for each value, from 0 to `top` (absent: the largest); None is a gap and not 0."""
    known = [value for value in values if value is not None]
    height = max(known, default=0.0) if top is None else top
    return "".join(
        GAP if value is None else BARS[_step(value / height if height else 0.0)] for value in values
    )


def _step(share: float) -> int:
    return min(max(int(share * len(BARS)), 0), len(BARS) - 1)


def _places(document: models.GpuHistory) -> list[list[int]]:
    """For each character, the frames that it stands for: they end with the newest."""
    last = document.times[-1]
    seconds = 3600 / WIDTH
    places: list[list[int]] = [[] for _ in range(WIDTH)]
    for number, moment in enumerate(document.times):
        back = int((last - moment).total_seconds() // seconds)
        if back < WIDTH:
            places[WIDTH - 1 - back].append(number)
    return places


def _squeezed(
    values: Sequence[float | None], places: Sequence[Sequence[int]]
) -> list[float | None]:
    """The mean of the frames behind each character; None where none of them has a figure."""
    squeezed: list[float | None] = []
    for numbers in places:
        known = [value for number in numbers if (value := values[number]) is not None]
        squeezed.append(sum(known) / len(known) if known else None)
    return squeezed


def _row(line: models.GpuSeries, places: Sequence[Sequence[int]]) -> tuple[Cell, ...]:
    name = f"GPU {line.slot}" if line.kind == "gpu" else line.slot
    memory, busy = line.memory_used, line.utilisation
    unknown = all(value is None for value in busy)
    return (
        Cell(name, "strong"),
        Cell(sparkline(_squeezed(memory, places))),
        Cell(size(memory[-1])),
        # NVML has no utilisation of MIG: that is said, and never drawn as idle.
        Cell("n/a", "dim") if unknown else Cell(sparkline(_squeezed(busy, places), 1.0)),
        Cell(UNKNOWN if unknown else percent(busy[-1])),
    )


def _warmth(line: models.GpuSeries) -> str:
    """`GPU 0: 35 to 71 °C, 60 to 290 W.`"""
    parts = [
        text
        for values, unit in ((line.temperature, "°C"), (line.power, "W"))
        if (text := _range(values, unit))
    ]
    return f"GPU {line.slot}: {', '.join(parts)}." if parts and line.kind == "gpu" else ""


def _range(values: Sequence[float | None], unit: str) -> str:
    known = [round(value) for value in values if value is not None]
    if not known:
        return ""
    low, high = min(known), max(known)
    return f"{low} {unit}" if low == high else f"{low} to {high} {unit}"
