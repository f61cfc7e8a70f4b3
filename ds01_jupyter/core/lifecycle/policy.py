"""What will happen to a container by itself, and when: pure reckoning, asks nobody anything."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from ds01_jupyter.core.clock import Moment
from ds01_jupyter.core.lifecycle.life import GAP, Life, What
from ds01_jupyter.core.limit_merge import PersonLimits

State = Literal["running", "stopped", "created"]
"""Running (or paused), stopped after a run, or never started."""

STOPS: tuple[What, ...] = ("idle_stop", "runtime_stop", "reservation_stop")
LIMIT_OF: Mapping[What, str] = {
    "idle_stop": "idle_timeout",
    "runtime_stop": "max_runtime",
    "gpu_release": "gpu_hold_after_stop",
    "removal": "container_hold_after_stop",
}
"""The time limit behind what happens to a container that has run."""

FIRST = (0.25, timedelta(hours=1))
LAST = (0.1, timedelta(minutes=10))
"""People are warned when this part of a limit is left, but not earlier than so long ahead."""
HEARD = timedelta(seconds=30)
"""So long a warning stands before a container is stopped: nobody is stopped unwarned, not even
where a server that was down comes back after the time."""
LEAST_CREATED = timedelta(minutes=1)
"""A container that is just being made is not taken for one that nobody starts."""


@dataclass(frozen=True)
class Eviction:
    """A container is in the way of a reservation, and has to go at `at` (with a time zone).

    `words` says for what, as the end of a sentence: "GPU 0 is reserved for the group vision".
    """

    at: datetime
    words: str


Evictions = Callable[[], Mapping[str, Eviction]]
"""Who has to make way, by claim. Whoever runs is stopped at `at` and gives the slots back at once;
whoever has stopped gives them back at `at`."""


def no_evictions() -> Mapping[str, Eviction]:
    """Nobody has to make way."""
    return {}


@dataclass(frozen=True)
class Standing:
    """A container as it stands. `held` is since when its slots are held for it (None: it has none,
    or they are in use); `slots`: it has live leases."""

    state: State
    life: Life
    slots: bool = False
    held: Moment | None = None


@dataclass(frozen=True)
class Due:
    """Something that happens to a container in `left` (zero or less: now; None: no moment can be
    told, since it works). `limit` is the time limit behind it, None for a reservation, whose
    `words` then say why. `key` is the name of the limit."""

    what: What
    left: timedelta | None
    limit: timedelta | None
    key: str | None = None
    words: str = ""


def dues(
    standing: Standing, limits: PersonLimits | None, now: Moment, eviction: Eviction | None = None
) -> list[Due]:
    """All that will happen to a container, soonest first; what has no moment comes last.

    `limits` are those of its owner, with the exemptions; None: there are none that could hold.
    """
    found = [
        *({"running": _running, "stopped": _stopped, "created": _created}[standing.state])(
            standing, limits, now
        )
    ]
    if eviction is not None:
        what: What = "reservation_stop" if standing.state == "running" else "gpu_release"
        if what == "reservation_stop" or standing.slots:
            found = [due for due in found if due.what != what or _sooner(due, eviction, now)]
            if not any(due.what == what for due in found):
                found.append(Due(what, eviction.at - now.wall, None, words=eviction.words))
    return sorted(found, key=lambda due: timedelta.max if due.left is None else due.left)


def level(left: timedelta | None, limit: timedelta | None) -> Literal[0, 1, 2]:
    """How near something is: 0 not yet, 1 and 2 for the first and the last warning."""
    if left is None:
        return 0
    for number, (part, most) in ((2, LAST), (1, FIRST)):
        if left <= (most if limit is None else min(limit * part, most)):
            return number  # type: ignore[return-value]
    return 0


def exempt(limits: PersonLimits | None, now: datetime) -> list[str]:
    """Keys of the time limits that an exemption lifts now."""
    if limits is None:
        return []
    held = (each for each in limits.exemptions if each.holds(now))
    return sorted({key for each in held for key in each.limits})


def left_of(limits: PersonLimits, key: str, used: timedelta, now: datetime) -> timedelta | None:
    """What is left of the time limit `key` of which `used` is used up; None: without end.

    An exemption puts the end off to its own.
    """
    limit: timedelta | None = getattr(limits, key)
    if limit is None:
        return None
    left = limit - used
    for each in limits.exemptions:
        if key in each.limits and each.holds(now):
            if each.until is None:
                return None
            left = max(left, each.until - now)
    return left


def used_up(life: Life, limits: PersonLimits | None, now: Moment) -> bool:
    """Whether a container has run for as long as it may."""
    if limits is None:
        return False
    left = left_of(limits, "max_runtime", timedelta(seconds=life.running(now)), now.wall)
    return left is not None and left <= timedelta(0)


def _running(standing: Standing, limits: PersonLimits | None, now: Moment) -> list[Due]:
    if limits is None:
        return []
    life, found = standing.life, []
    if limits.idle_timeout is not None:
        found.append(_due("idle_stop", limits, _idle_left(life, limits, now)))
    ran = timedelta(seconds=life.running(now))
    left = left_of(limits, "max_runtime", ran, now.wall)
    if left is not None:
        found.append(_due("runtime_stop", limits, left))
    return found


def _idle_left(life: Life, limits: PersonLimits, now: Moment) -> timedelta | None:
    assert limits.idle_timeout is not None
    kept = timedelta(0) if life.keep is None else max(life.keep.left(now), timedelta(0))
    if kept:
        # Until then it counts as at work; from then on the clock begins anew.
        return left_of(limits, "idle_timeout", -kept, now.wall)
    if life.activity != "idle" or life.looked is None:
        return None
    since = min(now.since(life.looked), timedelta(seconds=GAP))
    return left_of(limits, "idle_timeout", timedelta(seconds=life.idle) + since, now.wall)


def _stopped(standing: Standing, limits: PersonLimits | None, now: Moment) -> list[Due]:
    life, found = standing.life, []
    if standing.slots and life.ending == "reservation_stop":
        return [Due("gpu_release", timedelta(0), None, words="a reservation has begun")]
    if limits is None:
        return []
    since = life.stopped or standing.held
    if since is None:
        return []
    if standing.slots:
        left = left_of(limits, "gpu_hold_after_stop", now.since(since), now.wall)
        if left is not None:
            found.append(_due("gpu_release", limits, left))
    left = left_of(limits, "container_hold_after_stop", now.since(since), now.wall)
    if left is not None:
        found.append(_due("removal", limits, left))
    return found


def _created(standing: Standing, limits: PersonLimits | None, now: Moment) -> list[Due]:
    if limits is None:
        return []
    found = []
    age = now.since(standing.life.made)
    left = left_of(limits, "created_timeout", age, now.wall)
    if left is not None:
        left = max(left, LEAST_CREATED - age)
        found.append(Due("removal", left, limits.created_timeout, "created_timeout"))
    if standing.held is not None:
        left = left_of(limits, "gpu_hold_after_stop", now.since(standing.held), now.wall)
        if left is not None:
            left = max(left, LEAST_CREATED - age)
            found.append(_due("gpu_release", limits, left))
    return found


def _due(what: What, limits: PersonLimits, left: timedelta | None) -> Due:
    key = LIMIT_OF[what]
    return Due(what, left, getattr(limits, key), key)


def _sooner(due: Due, eviction: Eviction, now: Moment) -> bool:
    return due.left is not None and due.left <= eviction.at - now.wall
