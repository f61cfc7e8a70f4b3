"""What is promised is not given to somebody else: reservations in the claims of everybody."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence

from ds01_jupyter.core.clock import Moment
from ds01_jupyter.core.fences import Asking, Fenced
from ds01_jupyter.core.gpu.slots import SlotInfo
from ds01_jupyter.core.people import LimitsOf
from ds01_jupyter.core.reservations import tables, words
from ds01_jupyter.core.reservations.keeping import keep
from ds01_jupyter.core.reservations.promises import Asker
from ds01_jupyter.core.reservations.scene import situation


class ReservationFence:
    """A `Fence`: keeps the free slots that promises need, for those whom they were promised to.

    A slot whose new lease would be over before the promise begins is no loss to it, nor is one
    beside which enough others are free or come free in time. From `notice` before the start on
    what is left is kept strictly; before, it is only given last. It has to be the first of several
    fences: it takes what is not free for used.
    """

    def __init__(self, host: str, limits_of: LimitsOf, now: Callable[[], Moment]) -> None:
        self._host = host
        self._limits_of = limits_of
        self._now = now

    def fence(
        self,
        connection: sqlite3.Connection,
        asking: Asking,
        slots: Sequence[SlotInfo],
        free: Sequence[SlotInfo],
    ) -> Fenced:
        """Of the `free` slots those that `asking` may have. Raises `ConfigurationError`."""
        now = self._now()
        promises = tables.standing(connection, self._host, now.wall)
        if not promises or not free:
            return Fenced(tuple(free))
        there = {slot.uuid for slot in free}
        stands = situation(
            connection, self._host, now, promises, slots, {}, self._limits_of, free=there
        )
        wanted = {slot.uuid for slot in free if asking.request.matches(slot)}
        asker = Asker(asking.uid, asking.limits.group, wanted, asking.until)
        keeping = keep(stands, asker)
        kept: dict[str, str] = {}
        own: set[str] = set()
        later: set[str] = set()
        for promise in promises:
            uuids = {each.slot.uuid for each in keeping.of(promise)} & there
            if promise.for_person(asking.uid, asking.limits.group):
                own |= uuids
            elif asking.until is not None and asking.until <= promise.start:
                continue
            elif promise.protected_from <= now.wall:
                kept.update(dict.fromkeys(uuids, words.kept_for(promise)))
            else:
                later |= uuids
        # Whose time it is has the slot, though somebody else's time comes after it.
        kept = {uuid: whose for uuid, whose in kept.items() if uuid not in own}
        allowed = tuple(slot for slot in free if slot.uuid not in kept)
        if own & wanted:
            # What is kept for this person is taken first, so that the rest stays for others.
            later |= {slot.uuid for slot in allowed} - own
        return Fenced(allowed, frozenset(later), kept)
