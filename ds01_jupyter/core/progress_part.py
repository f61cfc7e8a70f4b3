"""One phase of a longer piece of work, reported as a part of the whole."""

from __future__ import annotations

from ds01_jupyter.core.engine import Reporter


class Part:
    """Reports one phase of a longer piece of work: its 0 to 1 is `low` to `high` of the whole."""

    def __init__(self, whole: Reporter, low: float, high: float) -> None:
        self._whole = whole
        self._low = low
        self._span = high - low
        self.log = whole.log
        self.check = whole.check
        self.on_cancel = whole.on_cancel
        self.measure = whole.measure

    def step(self, phase: str, fraction: float | None = None, detail: str = "") -> None:
        """Say where the phase stands."""
        done = None if fraction is None else self._low + self._span * fraction
        self._whole.step(phase, done, detail)
