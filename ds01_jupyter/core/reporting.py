"""Where long work tells how it goes, and learns that it should stop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

from ds01_jupyter.core.errors import Cancelled


@dataclass(frozen=True)
class Amount:
    """Figures that go with a step: how much of what is done, and how long it may still take.

    The fields are those of `models.StepProgress`."""

    done: int | None = None
    total: int | None = None
    unit: Literal["bytes", "packages", "steps", "builds"] | None = None
    item: str | None = None
    remaining: float | None = None
    """Seconds; None when nothing like it was seen before."""


class Reporter(Protocol):
    """Where long work tells how it goes; `operations.Progress` is one."""

    def measure(self, amount: Amount) -> None:
        """Give the figures that go with the next `step`."""

    def step(self, phase: str, fraction: float | None = None, detail: str = "") -> None:
        """Say where the work stands; raises `Cancelled`."""

    def log(self, text: str) -> None:
        """Pass a line of output on."""

    def check(self) -> None:
        """Raise `Cancelled` when the work should stop."""

    def on_cancel(self, action: Callable[[], None]) -> None:
        """Run `action` when it is cancelled, at once when it is already."""


class Silent:
    """A `Reporter` for work that nobody watches; `cancel()` stops it."""

    def __init__(self) -> None:
        self._cancelled = False
        self._actions: list[Callable[[], None]] = []

    def measure(self, amount: Amount) -> None:
        """Drops the figures."""

    def step(self, phase: str, fraction: float | None = None, detail: str = "") -> None:
        """Only checks."""
        self.check()

    def log(self, text: str) -> None:
        """Drops the line."""

    def check(self) -> None:
        """Raise `Cancelled` after `cancel()`."""
        if self._cancelled:
            raise Cancelled("The operation was cancelled.")

    def on_cancel(self, action: Callable[[], None]) -> None:
        """Keep `action` for `cancel()`."""
        self._actions.append(action)
        if self._cancelled:
            action()

    def cancel(self) -> None:
        """Stop the work from another thread."""
        self._cancelled = True
        for action in list(self._actions):
            action()


class Muted:
    """Passes a cancel on, and nothing else: for a small part of work that reports itself."""

    def __init__(self, progress: Reporter) -> None:
        self._progress = progress

    def measure(self, amount: Amount) -> None:
        """Drops the figures."""

    def step(self, phase: str, fraction: float | None = None, detail: str = "") -> None:
        """Only checks."""
        self._progress.check()

    def log(self, text: str) -> None:
        """Drops the line."""

    def check(self) -> None:
        """Raise `Cancelled` when the whole work should stop."""
        self._progress.check()

    def on_cancel(self, action: Callable[[], None]) -> None:
        """Run `action` when the whole work is cancelled."""
        self._progress.on_cancel(action)
