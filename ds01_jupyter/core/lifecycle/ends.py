"""When leases end at the latest, by the time limits of their owners: what estimates and promises
rest on."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from ds01_jupyter.core.clock import Moment
from ds01_jupyter.core.ledger_rows import LeaseRow
from ds01_jupyter.core.lifecycle import tables
from ds01_jupyter.core.lifecycle.life import Life
from ds01_jupyter.core.lifecycle.policy import LEAST_CREATED, left_of
from ds01_jupyter.core.limit_merge import PersonLimits
from ds01_jupyter.core.people import LimitsOf
from ds01_jupyter.core.units import format_duration


@dataclass(frozen=True)
class End:
    """When the slots of a lease are free at the latest (None: nobody can say), and why then."""

    at: datetime | None
    because: str


def lease_ends(
    connection: sqlite3.Connection, leases: Sequence[LeaseRow], limits_of: LimitsOf, now: Moment
) -> dict[str, End]:
    """The ends of live leases, by claim; all leases of a claim end together.

    What runs ends after the rest of its longest run time and the hold that follows; what has
    stopped, with its hold; what is being made, as if it started now. A moment that has passed is
    one whose end is due: it is not earlier than now. `limits_of` is asked once for each owner; it
    may raise `ConfigurationError`.
    """
    lives = tables.lives(connection)
    known: dict[int, PersonLimits | None] = {}
    ends: dict[str, End] = {}
    for lease in leases:
        if lease.claim_id in ends:
            continue
        if lease.uid not in known:
            known[lease.uid] = limits_of(lease.uid)
        ends[lease.claim_id] = _end(lease, lives.get(lease.claim_id), known[lease.uid], now)
    return ends


def _end(lease: LeaseRow, life: Life | None, limits: PersonLimits | None, now: Moment) -> End:
    if limits is None:
        return End(None, f"no time limits hold for {lease.owner}")
    since = Moment(lease.since, lease.boot_id, lease.boot_seconds)
    if lease.state == "held":
        return _held(since, life, limits, now)
    ran = timedelta(0)
    if lease.state == "active":
        seen = life is not None and life.run is not None
        ran = timedelta(seconds=life.running(now)) if life and seen else now.since(since)
    rest = left_of(limits, "max_runtime", ran, now.wall)
    if rest is None:
        return End(None, _endless(limits, "max_runtime", "it may run without a limit", now))
    hold = left_of(limits, "gpu_hold_after_stop", timedelta(0), now.wall)
    if hold is None:
        why = "its GPU is held without a limit after it stops"
        return End(None, _endless(limits, "gpu_hold_after_stop", why, now))
    assert limits.max_runtime is not None
    because = f"it may run for {format_duration(limits.max_runtime)} in all"
    if hold:
        because += f", and its GPU is then held for {_long(hold)}"
    return End(now.wall + max(rest, timedelta(0)) + max(hold, timedelta(0)), because)


def _held(since: Moment, life: Life | None, limits: PersonLimits, now: Moment) -> End:
    if life is not None and life.stopped is not None:
        since = life.stopped
    never_ran = life is not None and life.run is None
    ends = {
        "its GPU is held for {} after it stopped": ("gpu_hold_after_stop", now.since(since)),
    }
    if never_ran and life is not None:
        ends["it is removed {} after it was made, unless it is started"] = (
            "created_timeout",
            now.since(life.made),
        )
    else:
        ends["it is removed {} after it stopped"] = (
            "container_hold_after_stop",
            now.since(since),
        )
    found = []
    for words, (key, used) in ends.items():
        left = left_of(limits, key, used, now.wall)
        if left is not None:
            limit = getattr(limits, key)
            least = LEAST_CREATED - used if never_ran else timedelta(0)
            found.append((max(left, least, timedelta(0)), words.format(format_duration(limit))))
    if not found:
        why = "its GPU is held without a limit"
        return End(None, _endless(limits, "gpu_hold_after_stop", why, now))
    left, because = min(found)
    return End(now.wall + left, because)


def _endless(limits: PersonLimits, key: str, words: str, now: Moment) -> str:
    return words if getattr(limits, key) is None else f"{words} (an exemption)"


def _long(duration: timedelta) -> str:
    return format_duration(duration) if duration >= timedelta(minutes=1) else "a moment"
