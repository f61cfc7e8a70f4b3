"""How long the rest of a build may take, from earlier builds of the same steps by this server.

Remembered in memory only, and nothing is guessed: one step that was never seen makes the whole
unknown. A step counts as the same when its instruction is, and the lists of packages that it names;
it is likely to be kept from before when all that it depends on is the same.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import PurePosixPath
from statistics import median

from dockerfile_parse import DockerfileParser  # type: ignore[import-untyped]

from ds01_jupyter.core.engine import BuildPlan

KEPT_TIMES = 5
KEPT_STEPS = 2_000
_COUNTED = frozenset({"FROM", "COPY", "ADD", "RUN", "WORKDIR"})
"""Instructions that BuildKit counts as steps; the classic builder counts all."""


@dataclass(frozen=True)
class Step:
    """A step to come: `key` stands for what it does, `chain` for that and all before it."""

    key: str
    chain: str


def steps_of(plan: BuildPlan, *, buildkit: bool) -> list[Step]:
    """The steps of a plan in order; empty where they cannot be told (several stages)."""
    try:
        text = plan.files.get(plan.dockerfile, b"").decode()
    except UnicodeDecodeError:
        return []  # the builder says what is wrong with it
    parser = DockerfileParser(fileobj=BytesIO(text.encode()))
    rows = [row for row in parser.structure if row["instruction"] != "COMMENT"]
    if [row["instruction"] for row in rows].count("FROM") != 1:
        return []
    steps: list[Step] = []
    chain = ""
    for row in rows:
        instruction = f"{row['instruction']} {row['value']}"
        named = _named(row["value"], plan)
        chain = _digest(chain, instruction, *(_content(name, plan) for name in named))
        # What a step takes depends on the packages that it is to install, and hardly on the account
        # or the name that others give it.
        lists = [name for name in named if row["instruction"] == "RUN" and name.endswith(".txt")]
        key = _digest(instruction, *(_content(name, plan) for name in lists))
        if not buildkit or row["instruction"] in _COUNTED:
            steps.append(Step(key, chain))
    return steps


def _named(value: str, plan: BuildPlan) -> list[str]:
    words = value.replace('"', " ").replace(",", " ").replace("]", " ").replace("=", " ").split()
    return sorted({PurePosixPath(word).name for word in words} & plan.files.keys())


def _content(name: str, plan: BuildPlan) -> str:
    return hashlib.sha256(plan.files[name]).hexdigest()


def _digest(*parts: str) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


class BuildTimes:
    """What steps took so far, on one engine. Safe to use from several threads."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self.now = now
        self._lock = threading.Lock()
        self._seconds: OrderedDict[str, deque[float]] = OrderedDict()
        self._chains: OrderedDict[str, None] = OrderedDict()

    def took(self, step: Step, seconds: float | None) -> None:
        """Remember a step that has ended; None: it was kept from before."""
        with self._lock:
            self._chains[step.chain] = None
            while len(self._chains) > KEPT_STEPS:
                self._chains.popitem(last=False)
            if seconds is None:
                return
            self._seconds.setdefault(step.key, deque(maxlen=KEPT_TIMES)).append(seconds)
            self._seconds.move_to_end(step.key)
            while len(self._seconds) > KEPT_STEPS:
                self._seconds.popitem(last=False)

    def usual(self, step: Step) -> float | None:
        """Seconds that the step takes when it is done anew; None: never seen."""
        with self._lock:
            known = self._seconds.get(step.key)
            return median(known) if known else None

    def is_kept(self, step: Step) -> bool:
        """Whether the step was done before just so: it is likely to be kept."""
        with self._lock:
            return step.chain in self._chains


class Pace:
    """One build on its way through its steps, which are numbered from 1."""

    def __init__(self, times: BuildTimes, steps: Sequence[Step]) -> None:
        self._times = times
        self._steps = steps
        self._began: dict[int, float] = {}
        self._ended: set[int] = set()
        self._anew = False

    def began(self, number: int) -> None:
        """A step is at work."""
        self._began.setdefault(number, self._times.now())

    def ended(self, number: int, *, cached: bool) -> None:
        """A step is done."""
        if number in self._ended or not 1 <= number <= len(self._steps):
            return
        self._ended.add(number)
        began = self._began.get(number)
        self._anew = self._anew or not cached
        seconds = None if cached or began is None else self._times.now() - began
        self._times.took(self._steps[number - 1], seconds)

    def remaining(self, total: int) -> float | None:
        """Seconds until the last of `total` steps is done; None when that is not known."""
        if total != len(self._steps):
            return None
        left = 0.0
        for number, step in enumerate(self._steps, 1):
            if number in self._ended:
                continue
            began = self._began.get(number)
            # After a step that is done anew, none is kept from before.
            anew = self._anew or bool(self._began.keys() - self._ended)
            if began is None and not anew and self._times.is_kept(step):
                continue
            usual = self._times.usual(step)
            if usual is None:
                return None
            elapsed = 0.0 if began is None else self._times.now() - began
            left += max(0.0, usual - elapsed)
        return round(left, 1)
