"""What a builder tells while it builds, for both builders: steps, output, the image, the error."""

from __future__ import annotations

import re
import time
from collections import defaultdict, deque
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any, Protocol

from ds01_jupyter.core import buildkit
from ds01_jupyter.core.build_estimate import BuildTimes, Pace, steps_of
from ds01_jupyter.core.build_failure import build_failed, clean
from ds01_jupyter.core.engine import Amount, BuildPlan, Reporter, Silent
from ds01_jupyter.core.errors import CoreError
from ds01_jupyter.core.package_output import PackageOutput

KEPT_LINES = 200
INTERVAL = 0.2
"""Seconds between two reports of a step that is at work."""
EXPORTING = "exporting to image"
_CLASSIC_STEP = re.compile(r"^Step (?P<number>\d+)/(?P<total>\d+) : (?P<text>.*)$")
_CLASSIC_RUNNING = re.compile(r"^ ---> Running in (?P<id>[0-9a-f]{12,64})$")
_CLASSIC_IMAGE = re.compile(r"^ ---> (?P<id>[0-9a-f]{12,64})$")


class BuildLog(Protocol):
    """Takes a builder's events in order."""

    image_id: str | None

    def heard(self, event: Mapping[str, Any]) -> None:
        """Report an event; raises `BuildFailed`, `DiskFull` or `Cancelled`."""

    def note(self, event: Mapping[str, Any]) -> None:
        """Take in an event of a build that was given up: what it made is to be known."""


def title_of(plan: BuildPlan, instruction: str) -> str:
    """What an instruction does in plain words: the plan's title, else the instruction itself."""
    for part, title in plan.titles.items():
        if part in instruction:
            return title
    return " ".join(instruction.split())[:80]


class BuildKitLog:
    """Events of BuildKit; steps may run side by side, so output is kept per step."""

    def __init__(
        self, plan: BuildPlan, progress: Reporter, times: BuildTimes | None = None
    ) -> None:
        self.image_id: str | None = None
        self._plan = plan
        self._progress = progress
        self._pace = Pace(times or BuildTimes(), steps_of(plan, buildkit=True))
        self._steps: dict[str, tuple[int, str]] = {}
        self._outputs: dict[str, PackageOutput] = {}
        self._next = 0.0
        self._done: set[str] = set()
        self._lines: defaultdict[str, deque[str]] = defaultdict(lambda: deque(maxlen=KEPT_LINES))
        self._rest: dict[str, str] = {}
        self._failed: buildkit.Vertex | None = None
        self._total = 0
        self._reached = 0.0

    def heard(self, event: Mapping[str, Any]) -> None:
        """Report an event; raises `BuildFailed`, `DiskFull` or `Cancelled`."""
        kind = event.get("id")
        if kind == buildkit.TRACE:
            self._items(buildkit.decode(event["aux"]))
        elif kind == buildkit.IMAGE_ID:
            self.image_id = event["aux"]["ID"]
        elif "error" in event:
            raise self._failure(str(event["error"]))
        else:
            self._items(buildkit.of_json(event))

    def note(self, event: Mapping[str, Any]) -> None:
        """BuildKit leaves nothing behind."""

    def _items(self, items: Iterator[buildkit.Vertex | buildkit.VertexLog]) -> None:
        for item in items:
            if isinstance(item, buildkit.Vertex):
                self._vertex(item)
            else:
                self._output(item)

    def _vertex(self, vertex: buildkit.Vertex) -> None:
        if vertex.error:
            self._failed = vertex
        step = vertex.step
        if vertex.error:
            return
        if step is None:
            if vertex.name.startswith(EXPORTING) and vertex.started and not vertex.completed:
                self._tell("Saving the image")
            return
        number, self._total, text = step
        title = title_of(self._plan, text)
        shown = f"step {number} of {self._total}: {title}"
        self._steps[vertex.digest] = (number, shown)
        if vertex.completed:
            self._flush(vertex.digest)
            if vertex.digest not in self._done:
                self._done.add(vertex.digest)
                self._outputs.pop(vertex.digest, None)
                self._pace.ended(number, cached=vertex.cached)
                self._tell(f"{shown} (kept from before)" if vertex.cached else shown)
        elif vertex.started and vertex.digest not in self._outputs:
            self._progress.log(f"[{number}/{self._total}] {title}")
            self._pace.began(number)
            self._outputs[vertex.digest] = PackageOutput()
            self._tell(shown)

    def _tell(self, shown: str, within: PackageOutput | None = None) -> None:
        amount = within.amount if within is not None else None
        amount = amount or Amount(len(self._done), self._total or None, "steps")
        remaining = self._pace.remaining(self._total)
        self._progress.measure(replace(amount, remaining=remaining))
        self._progress.step("build", self._fraction(), shown)

    def _fraction(self) -> float:
        # Saving the image comes after the last step, and takes as long as some of them. The total
        # may still grow while BuildKit reads the Dockerfile; the bar does not run backwards.
        within = sum(output.fraction for output in self._outputs.values())
        share = (len(self._done) + within) / (self._total + 1)
        self._reached = max(self._reached, min(1.0, share))
        return self._reached

    def _output(self, log: buildkit.VertexLog) -> None:
        *lines, rest = (self._rest.pop(log.vertex, "") + log.text).split("\n")
        for line in lines:
            self._line(log.vertex, line)
        self._rest[log.vertex] = rest

    def _flush(self, digest: str) -> None:
        rest = self._rest.pop(digest, "")
        if rest:
            self._line(digest, rest)

    def _line(self, digest: str, line: str) -> None:
        line = clean(line)
        if line:
            self._lines[digest].append(line)
            self._progress.log(line)
            output = self._outputs.get(digest)
            if output is not None and output.heard(line) and self._due():
                self._tell(self._steps[digest][1], output)

    def _due(self) -> bool:
        now = time.monotonic()
        if now < self._next:
            return False
        self._next = now + INTERVAL
        return True

    def _failure(self, problem: str) -> Exception:
        self._progress.check()
        if self._failed is None:
            return build_failed("preparing the build", [], problem)
        self._flush(self._failed.digest)
        step = self._failed.step
        title = title_of(self._plan, step[2] if step else self._failed.name)
        return build_failed(title, list(self._lines[self._failed.digest]), problem)


class ClassicLog:
    """Events of the classic builder: one step after the other, told in text."""

    def __init__(
        self, plan: BuildPlan, progress: Reporter, times: BuildTimes | None = None
    ) -> None:
        self.image_id: str | None = None
        self.container_id: str | None = None
        """Container of the running step."""
        self.made: list[str] = []
        """Images that this build made, oldest first."""
        self._plan = plan
        self._progress = progress
        self._title = "preparing the build"
        self._lines: deque[str] = deque(maxlen=KEPT_LINES)
        self._rest = ""
        self._cached = False
        self._fraction = 0.0
        self._first = True
        self._pace = Pace(times or BuildTimes(), steps_of(plan, buildkit=False))
        self._number = 0
        self._total = 0
        self._shown = ""
        self._packages = PackageOutput()
        self._next = 0.0

    def heard(self, event: Mapping[str, Any]) -> None:
        """Report an event; raises `BuildFailed`, `DiskFull` or `Cancelled`."""
        if "stream" in event:
            *lines, self._rest = (self._rest + str(event["stream"])).split("\n")
            for line in lines:
                self._line(line)
        elif "error" in event:
            self._progress.check()
            if self._rest:
                self._line(self._rest)
            raise build_failed(self._title, list(self._lines), str(event["error"]))
        elif isinstance(event.get("aux"), Mapping) and "ID" in event["aux"]:
            self.image_id = event["aux"]["ID"]
            self._end()

    def note(self, event: Mapping[str, Any]) -> None:
        """Follow which images and containers are made; nothing is reported any more."""
        self._progress = Silent()
        with suppress(CoreError):
            self.heard(event)

    def _line(self, line: str) -> None:
        step = _CLASSIC_STEP.match(line)
        if step:
            self._begin(int(step["number"]), int(step["total"]), step["text"])
            return
        if line == " ---> Using cache":
            self._cached = True
            return
        running = _CLASSIC_RUNNING.match(line)
        if running:
            self.container_id = running["id"]
            return
        made = _CLASSIC_IMAGE.match(line)
        if made:
            self._made(made["id"])
            return
        line = clean(line)
        if line and not line.startswith("Removing intermediate container"):
            self._lines.append(line)
            self._progress.log(line)
            now = time.monotonic()
            if self._packages.heard(line) and now >= self._next:
                self._next = now + INTERVAL
                self._tell(self._packages.amount)

    def _begin(self, number: int, total: int, instruction: str) -> None:
        self._end()
        self._lines.clear()
        self._number, self._total = number, total
        self._packages = PackageOutput()
        self._pace.began(number)
        self._cached = False
        self._title = title_of(self._plan, instruction)
        self._fraction = (number - 1) / max(1, total)
        self._progress.log(f"[{number}/{total}] {self._title}")
        self._shown = f"step {number} of {total}: {self._title}"
        self._tell(None)

    def _end(self) -> None:
        if self._number:
            self._pace.ended(self._number, cached=self._cached)

    def _tell(self, amount: Amount | None) -> None:
        amount = amount or Amount(self._number - 1, self._total, "steps")
        self._progress.measure(replace(amount, remaining=self._pace.remaining(self._total)))
        within = self._packages.fraction / max(1, self._total)
        self._progress.step("build", self._fraction + within, self._shown)

    def _made(self, image: str) -> None:
        # The first image is the base itself; one from the cache was there before.
        if not self._first and not self._cached:
            self.made.append(image)
        self._first = False
        self.container_id = None
