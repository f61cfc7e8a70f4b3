"""The limits of whoever has something in the ledger, by uid."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from ds01_jupyter.core.errors import Forbidden
from ds01_jupyter.core.identity import person_of_uid
from ds01_jupyter.core.limits import LimitsFile, PersonLimits

LimitsOf = Callable[[int], PersonLimits | None]
"""The limits of a uid; None for a uid without an account (who has left, or nobody's)."""


class PeopleLimits:
    """`LimitsOf` over the limits file as it is now. Raises `ConfigurationError` for a mistake in
    the file: nobody's time is judged by a file that is not understood."""

    def __init__(self, limits: Callable[[], LimitsFile]) -> None:
        self._limits = limits

    def __call__(self, uid: int) -> PersonLimits | None:
        """The limits of a uid as of now."""
        if uid < 0:
            return None
        try:
            person = person_of_uid(uid)
        except Forbidden:
            return None
        return self._limits().person_limits(person)


def slots_back_by(limits: PersonLimits, start: datetime) -> datetime | None:
    """When slots that are given at `start` are free again at the latest: after the longest run
    time and the hold that follows it. None: nobody can say."""
    limits = limits.at(start)
    if limits.max_runtime is None or limits.gpu_hold_after_stop is None:
        return None
    return start + limits.max_runtime + limits.gpu_hold_after_stop
