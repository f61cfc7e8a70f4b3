"""Timing two ways in turn, so that a machine that gets slower slows both."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """One measured promise. `reached` and `target` are in `unit`; less is better."""

    name: str
    reached: float
    target: float | None
    unit: str
    note: str = ""

    @property
    def met(self) -> bool | None:
        """None where there is no target: the figure is there for comparison."""
        return None if self.target is None else self.reached <= self.target


def with_bytecode() -> dict[str, str]:
    """The environment for a measured interpreter: as installed, modules are compiled once."""
    return {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}


def timed(action: Callable[[], object]) -> float:
    """Wall seconds of one call."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def in_turn(rounds: int, *actions: Callable[[], float]) -> list[list[float]]:
    """Run the actions A B C A B C ...; each returns its own seconds. The first round is dropped."""
    samples: list[list[float]] = [[] for _ in actions]
    for number in range(rounds + 1):
        for kept, action in zip(samples, actions, strict=True):
            seconds = action()
            if number:
                kept.append(seconds)
    return samples


def median(samples: list[float]) -> float:
    """The middle one."""
    return statistics.median(samples)


def table(figures: list[Figure]) -> str:
    """The figures as a Markdown table."""
    lines = ["| figure | reached | target | | note |", "|---|---|---|---|---|"]
    for figure in figures:
        target = "" if figure.target is None else f"<= {figure.target:g} {figure.unit}"
        verdict = {True: "met", False: "**missed**", None: ""}[figure.met]
        reached = f"{figure.reached:.3g} {figure.unit}"
        lines.append(f"| {figure.name} | {reached} | {target} | {verdict} | {figure.note} |")
    return "\n".join(lines)
