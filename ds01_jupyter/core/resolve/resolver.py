"""Resolving the packages of an image inside its base, before anything is built.

One short build step over BuildKit runs uv in the base image itself: what is installed there, its
Python and its constraints count as they will in the build. Nothing is installed, and nothing stays
but the cached first steps, which the build has in common.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from ds01_jupyter.core.build_names import temporary_name
from ds01_jupyter.core.build_site import NO_SITE
from ds01_jupyter.core.cleanup import quietly
from ds01_jupyter.core.dockerfile import render_resolve
from ds01_jupyter.core.engine import Amount, BuildPlan, Engine, ImageDetails, Reporter
from ds01_jupyter.core.errors import EngineFailed
from ds01_jupyter.core.image_draft import CACHE_NAMESPACE, SHARED_NAMESPACE
from ds01_jupyter.core.packages import CUSTOM, PackageLayer
from ds01_jupyter.core.resolve.documents import Resolution, ResolvedPackage
from ds01_jupyter.core.resolve.lock import Lock, LockedPackage
from ds01_jupyter.core.resolve.problems import explain, of_result
from ds01_jupyter.core.uv_image import ensure_uv_image

MARK = "ds01-resolution: "
GL = frozenset({"libgl1", "libgl1-mesa-glx", "ffmpeg"})
"""Debian packages that bring libGL."""
KEPT = 64
"""Answers that are remembered."""
KEEP_SECONDS = 600.0
"""How long they are: the index gets new versions at any time."""

Pins = Mapping[str, str]
Earlier = Callable[[str], Pins]
"""The pins of the shared tiers as somebody has them already, by `shared_key`; empty: nobody."""


@dataclass(frozen=True)
class Wanted:
    """What is to be resolved: the layers in order, on a base image that the engine has."""

    base: ImageDetails
    reference: str
    """Name of the base image, to build from."""
    layers: tuple[PackageLayer, ...]
    uv_image: str
    apt: tuple[str, ...] = ()
    """Debian packages that the image gets: some Python packages need their libraries."""
    site: str = NO_SITE
    """The lab's mirrors and certificates; see `build_site`."""

    @property
    def shared_key(self) -> str:
        """What people have in common who can share layers: the base and the tiers of the lab."""
        shared = [(layer.key, layer.requirements) for layer in self.layers if layer.key != CUSTOM]
        return hashlib.sha256(json.dumps([self.base.id, shared]).encode()).hexdigest()

    @property
    def question(self) -> str:
        """What stands for all that is asked."""
        layers = [(layer.key, layer.requirements) for layer in self.layers]
        asked = [self.base.id, layers, self.apt, self.site]
        return hashlib.sha256(json.dumps(asked).encode()).hexdigest()

    @property
    def requirements(self) -> list[str]:
        """All that is asked for."""
        return [text for layer in self.layers for text in layer.requirements]


@dataclass(frozen=True)
class Resolved:
    """The answer for people, and the lock for the build (None when it cannot be built)."""

    resolution: Resolution
    lock: Lock | None


class Resolver:
    """Resolves images on one engine. Safe to use from several threads."""

    def __init__(
        self,
        engine: Engine,
        mark: str,
        earlier: Earlier = lambda _: {},
        known: Callable[[], Collection[str]] = tuple,
    ) -> None:
        """`mark` is that of the ledger, `known` gives names of packages to guess from."""
        self._engine = engine
        self._mark = mark
        self._earlier = earlier
        self._known = known
        self._lock = threading.Lock()
        self._answers: OrderedDict[str, tuple[float, Resolved]] = OrderedDict()

    def resolve(
        self, wanted: Wanted, progress: Reporter, *, own: Pins | None = None, fresh: bool = False
    ) -> Resolved:
        """What installing all layers together would bring.

        `own` are the versions that the image has now: they are kept to where they fit, as are those
        that others have. `fresh` takes the newest of everything. Raises what a build raises, when
        the step itself could not run.
        """
        if not wanted.layers:
            resolution = Resolution(ok=True, checked=True, base_image=wanted.reference, download=0)
            return Resolved(resolution, Lock(wanted.base.id, {}, wanted.question))
        prefer = {} if fresh else {**self._earlier(wanted.shared_key), **(own or {})}
        key = json.dumps([wanted.question, sorted(prefer.items())])
        if not fresh and (known := self._remembered(key)) is not None:
            return known
        started = time.monotonic()
        answer = self._ask(wanted, prefer, progress)
        found = _read(wanted, answer, self._known())
        seconds = round(time.monotonic() - started, 2)
        found = Resolved(found.resolution.model_copy(update={"seconds": seconds}), found.lock)
        if not any(problem.kind == "network" for problem in found.resolution.problems):
            self._remember(key, found)
        return found

    def _ask(self, wanted: Wanted, prefer: Pins, progress: Reporter) -> dict[str, Any]:
        ensure_uv_image(self._engine, wanted.uv_image, progress)
        tiers = [{"key": x.key, "requirements": x.requirements} for x in wanted.layers]
        # A number used once: the step runs each time.
        question = {"tiers": tiers, "prefer": prefer, "nonce": secrets.token_hex(8)}
        reference = temporary_name(self._mark)
        listener = _Listener(progress)
        plan = BuildPlan(
            files=render_resolve(wanted.reference, wanted.uv_image, question, wanted.site),
            reference=reference,
            build_args={CACHE_NAMESPACE: SHARED_NAMESPACE},
            builder="buildkit",
        )
        self._engine.build(plan, listener)
        quietly(self._engine.remove_image, reference)
        if listener.answer is None:
            raise EngineFailed("The packages were looked at, and no answer came back.")
        answer = json.loads(listener.answer)
        assert isinstance(answer, dict)
        return answer

    def _remembered(self, key: str) -> Resolved | None:
        with self._lock:
            kept = self._answers.get(key)
            if kept is None or time.monotonic() - kept[0] > KEEP_SECONDS:
                return None
            return kept[1]

    def _remember(self, key: str, found: Resolved) -> None:
        with self._lock:
            self._answers[key] = (time.monotonic(), found)
            while len(self._answers) > KEPT:
                self._answers.popitem(last=False)


class _Listener:
    """Catches the marked line of the step, and passes a cancel on."""

    def __init__(self, progress: Reporter) -> None:
        self.answer: str | None = None
        self._progress = progress
        self.check = progress.check
        self.on_cancel = progress.on_cancel

    def measure(self, amount: Amount) -> None:
        """Drops the figures: the step is none of the build."""

    def step(self, phase: str, fraction: float | None = None, detail: str = "") -> None:
        self._progress.check()

    def log(self, text: str) -> None:
        if text.startswith(MARK):
            self.answer = text.removeprefix(MARK)


def _read(wanted: Wanted, answer: Mapping[str, Any], known: Collection[str]) -> Resolved:
    if "cannot" in answer:
        note = (
            f"uv does not run in this framework's image (Python {answer['python']}); pip decides."
        )
        return Resolved(unchecked(wanted.reference, note), None)
    installed: dict[str, str] = answer["installed"]
    framework: list[str] = answer["framework"]
    common: dict[str, Any] = {
        "checked": True,
        "base_image": wanted.reference,
        "python": answer["python"],
        "framework": {name: installed[name] for name in framework},
    }
    if "error" in answer:
        names = {*known, *installed}
        problem = explain(answer["error"], wanted.requirements, installed, framework, names)
        return Resolved(Resolution(ok=False, problems=[problem], **common), None)
    comes: dict[str, str] = answer["comes"]
    tiers = _tiers(wanted.layers, comes, answer["upto"])
    gl = answer["gl"] or not GL.isdisjoint(wanted.apt)
    problems = of_result(wanted.requirements, comes, installed, gl=gl)
    packages = _packages(wanted, comes, answer["goes"], answer["wheels"], tiers, installed)
    sizes = [package.size for package in packages if package.state != "present"]
    resolution = Resolution(
        ok=not problems,
        packages=packages,
        problems=problems,
        download=None if None in sizes else sum(size or 0 for size in sizes),
        **common,
    )
    return Resolved(resolution, None if problems else _locked(wanted, comes, tiers, answer))


def _tiers(
    layers: Sequence[PackageLayer], comes: Mapping[str, str], upto: Sequence[Sequence[str]]
) -> dict[str, str]:
    """The tier that brings each package: the first that cannot do without it."""
    tiers = dict.fromkeys(comes, layers[-1].key)
    for layer, names in reversed(list(zip(layers, upto, strict=False))):
        tiers.update(dict.fromkeys((name for name in names if name in comes), layer.key))
    return tiers


def _packages(
    wanted: Wanted,
    comes: Mapping[str, str],
    goes: Mapping[str, str],
    wheels: Mapping[str, Sequence[Any]],
    tiers: Mapping[str, str],
    installed: Mapping[str, str],
) -> list[ResolvedPackage]:
    order = {layer.key: number for number, layer in enumerate(wanted.layers)}
    asked: dict[str, str] = {}
    for layer in wanted.layers:
        for text in layer.requirements:
            asked.setdefault(canonicalize_name(Requirement(text).name), layer.key)
    new = [
        ResolvedPackage(
            name=name,
            version=version,
            tier=tiers[name],
            asked=name in asked,
            state="changed" if name in goes else "new",
            was=goes.get(name),
            size=wheels[name][0] if name in wheels else None,
        )
        for name, version in comes.items()
    ]
    present = [
        ResolvedPackage(
            name=name, version=installed[name], tier=tier, asked=True, state="present", size=0
        )
        for name, tier in asked.items()
        if name in installed and name not in comes
    ]
    return sorted(new + present, key=lambda one: (order[one.tier], not one.asked, one.name))


def _locked(
    wanted: Wanted,
    comes: Mapping[str, str],
    tiers: Mapping[str, str],
    answer: Mapping[str, Any],
) -> Lock:
    wheels = answer["wheels"]
    packages = {
        name: LockedPackage(version, tiers[name], wheels[name][1] if name in wheels else None)
        for name, version in comes.items()
    }
    return Lock(wanted.base.id, packages, wanted.question)


def unchecked(reference: str, note: str) -> Resolution:
    """The answer where nothing can be looked at beforehand; `note` says why."""
    return Resolution(ok=True, checked=False, base_image=reference, note=note)
