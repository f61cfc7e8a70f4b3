"""Who had how much of the GPUs lately, and what that gives in the queue.

Use is compute times time: a whole GPU for an hour is one GPU-hour, a 1g of seven an hour is a
seventh. What lies back counts less and less, half after a week, and is reckoned exactly: as the
integral of share x 2^(-age / half-life) over the time that a slot was held.
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta

HALF_LIFE = timedelta(days=7)
REMEMBERED = 10 * HALF_LIFE
"""What ended before counts for less than a thousandth."""
FAIR_POINTS = 50.0
LEAST_FAIR = 1.0
"""GPU-hours. Differences far below an hour of one GPU are nobody's advantage."""
NOTHING = 0.01
"""GPU-hours: who has used less has used nothing."""

USED = """
SELECT uid, share, created, since, state FROM leases WHERE state <> 'released' AND uid >= 0
UNION ALL
SELECT uid, share, created, since, state FROM leases
WHERE state = 'released' AND since > ? AND uid >= 0
"""
"""Two indexes answer it. (What an admin holds to change the MIG layout is nobody's use.)"""

_HOUR = timedelta(hours=1)


def decayed(share: float, start: datetime, end: datetime, now: datetime) -> float:
    """GPU-hours of one slot that was held from `start` to `end`, as they count at `now`.

    What lies in the future (a clock that was set) counts as nothing.
    """
    end, start = min(end, now), min(start, now)
    if end <= start:
        return 0.0
    per_hour = math.log(2) * (_HOUR / HALF_LIFE)
    oldest, newest = (now - start) / _HOUR, (now - end) / _HOUR
    # 2^(-newest) - 2^(-oldest), without losing the difference of two numbers that are almost one.
    whole = math.exp(-per_hour * newest) * -math.expm1(-per_hour * (oldest - newest))
    return share * whole / per_hour


def usage(connection: sqlite3.Connection, now: datetime) -> dict[int, float]:
    """GPU-hours of everybody who held a slot lately, by uid; one query."""
    found: dict[int, float] = {}
    oldest = (now - REMEMBERED).astimezone(UTC).isoformat()
    rows = connection.execute(USED, (oldest,))
    for uid, share, created, since, state in rows:
        end = datetime.fromisoformat(since) if state == "released" else now
        had = decayed(share, datetime.fromisoformat(created), end, now)
        found[uid] = found.get(uid, 0.0) + had
    return found


def fair(used: Mapping[int, float], waiting: Collection[int] = ()) -> float:
    """What one person's part would be, in GPU-hours: the mean over those who used something and
    those who wait."""
    concerned = {uid for uid, had in used.items() if had >= NOTHING} | set(waiting)
    if not concerned:
        return LEAST_FAIR
    return max(LEAST_FAIR, sum(used.values()) / len(concerned))


def points(used: float, fair_part: float) -> float:
    """50 for who used nothing, 25 for who had exactly the fair part, and half of that again for
    every part more."""
    return float(FAIR_POINTS * 2.0 ** (-used / fair_part))
