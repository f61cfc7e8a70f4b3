"""What people ask for on this host: the mix that decides which slot would be missed most.

What they were given stands in the ledger as leases; what they were refused is noted besides. Both
are read once a minute at most, so that a claim costs no query for it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence

from ds01_jupyter.core import ledger_sharing as tables
from ds01_jupyter.core.errors import CoreError
from ds01_jupyter.core.gpu.fragmentation import demand_from_history
from ds01_jupyter.core.gpu.request import GpuRequest
from ds01_jupyter.core.gpu.slots import SlotInfo
from ds01_jupyter.core.ledger import Ledger

FRESH = 60.0
"""Seconds for which what was read counts."""

log = logging.getLogger(__name__)


class Demand:
    """The demand on the slots of one host, for any number of threads."""

    def __init__(
        self,
        ledger: Ledger,
        host: str,
        *,
        fresh: float = FRESH,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`clock` counts seconds."""
        self._ledger = ledger
        self._host = host
        self._fresh = fresh
        self._clock = clock
        self._lock = threading.Lock()
        self._read: float | None = None
        self._requests: Sequence[tuple[str, float]] = ()
        self._mixes: dict[frozenset[str], Mapping[str, float]] = {}

    def mix(self, profiles: Iterable[str]) -> Mapping[str, float]:
        """A weight for each of these profiles; only proportions count.

        One query a minute. Raises `LedgerUnavailable`.
        """
        names = frozenset(profiles)
        with self._lock:
            now = self._clock()
            if self._read is None or now - self._read >= self._fresh:
                with self._ledger.reading() as connection:
                    self._requests = tables.asked_for(connection, self._host)
                self._read, self._mixes = now, {}
            if names not in self._mixes:
                self._mixes[names] = demand_from_history(self._requests, sorted(names))
            return self._mixes[names]

    def refused(self, uid: int, request: GpuRequest, slots: Iterable[SlotInfo]) -> None:
        """Remember that a person was refused because too few of the machine's `slots` are free.

        It counts as a wish for the smallest that would have done. That it cannot be written down
        is no reason to say anything else than the refusal: it is logged.
        """
        profile = _profile(request, slots)
        if profile is None:
            return
        try:
            with self._ledger.writing() as connection:
                tables.note_refused(connection, self._host, uid, profile, request.count)
        except CoreError as error:
            log.warning("ds01: a refused request is not counted as demand: %s", error.message)


def _profile(request: GpuRequest, slots: Iterable[SlotInfo]) -> str | None:
    """The profile that somebody wanted; None where nothing of this machine would have done."""
    fitting = [slot for slot in slots if request.matches(slot)]
    size: Callable[[SlotInfo], tuple[float, float, bool]]
    if request.kind == "memory":
        size = lambda slot: (slot.memory_total or 0, slot.share, "+" in slot.profile)  # noqa: E731
    else:
        size = lambda slot: (slot.share, slot.memory_total or 0, "+" in slot.profile)  # noqa: E731
    return min(fitting, key=size).profile if fitting else None
