"""What the ledger says about who waits, in the words of `assign` and `order`."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime

from ds01_jupyter.core import ledger_tables
from ds01_jupyter.core.clock import Moment
from ds01_jupyter.core.errors import InvalidInput
from ds01_jupyter.core.fences import Asking, Fence, Fenced, through
from ds01_jupyter.core.gpu.request import GpuRequest
from ds01_jupyter.core.gpu.slots import SlotInfo
from ds01_jupyter.core.ledger_rows import ContainerRow, LeaseRow
from ds01_jupyter.core.lifecycle.ends import End, lease_ends
from ds01_jupyter.core.limits import PersonLimits
from ds01_jupyter.core.people import LimitsOf
from ds01_jupyter.core.waiting import fair_share, tables
from ds01_jupyter.core.waiting.assign import DIRECT, Scene, Waiter
from ds01_jupyter.core.waiting.order import Ranking
from ds01_jupyter.core.waiting.tables import Entry

KEPT_SECONDS = 20.0
"""How long the limits of others are remembered. They are asked for inside transactions of claims,
where nobody may wait for a name service."""


EndsOf = Callable[[sqlite3.Connection, Sequence[LeaseRow], LimitsOf, Moment], Mapping[str, End]]
"""`lifecycle.ends.lease_ends`: when each claim's slots are free at the latest."""
FencesAt = Callable[[Moment], Sequence[Fence]]
"""What else keeps slots for somebody (reservations), as it will be at a moment."""


def no_fences(_: Moment) -> Sequence[Fence]:
    """Nothing but the queue keeps slots for anybody."""
    return ()


class KeptLimits:
    """`LimitsOf` that asks again after a while only. Safe to use from several threads."""

    def __init__(
        self,
        limits_of: LimitsOf,
        seconds: float = KEPT_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limits_of = limits_of
        self._seconds = seconds
        self._clock = clock
        self._known: dict[int, tuple[PersonLimits | None, float]] = {}

    def __call__(self, uid: int) -> PersonLimits | None:
        """The limits of a uid, as of a moment ago. Raises `ConfigurationError`."""
        now = self._clock()
        known = self._known.get(uid)
        if known is not None and now < known[1]:
            return known[0]
        found = self._limits_of(uid)
        if len(self._known) > 10_000:
            self._known.clear()
        self._known[uid] = (found, now + self._seconds)
        return found


class Stage:
    """Sets scenes from a ledger, inside a transaction of the caller's."""

    def __init__(
        self,
        host: str,
        limits_of: LimitsOf,
        fences_at: FencesAt = no_fences,
        ends_of: EndsOf = lease_ends,
    ) -> None:
        self.host = host
        self._limits_of = limits_of
        self.fences_at = fences_at
        self._ends_of = ends_of

    # ---- who waits -----------------------------------------------------------------------------

    def waiting(self, connection: sqlite3.Connection) -> list[Entry]:
        """Everybody's places that wait, oldest first."""
        return [row for row in tables.active(connection, self.host) if row.state == "waiting"]

    def ranking(
        self, connection: sqlite3.Connection, entries: Iterable[Entry], now: Moment, *uids: int
    ) -> Ranking:
        """How points are reckoned now, with these places and people."""
        used = fair_share.usage(connection, now.wall)
        waiting = {entry.uid for entry in entries} | set(uids)
        return Ranking(now, used, fair_share.fair(used, waiting))

    def waiter(self, entry: Entry) -> Waiter | None:
        """A place as one who waits; None when nothing could be given to it: its owner has no
        account any more, or its request is not understood (any more)."""
        limits = self._limits_of(entry.uid)
        if limits is None:
            return None
        try:
            request = GpuRequest.parse(entry.gpu, entry.gpus)
        except InvalidInput:
            return None
        return Waiter(entry.id, entry.uid, entry.owner, request, limits)

    def awake(self, entries: Iterable[Entry], now: Moment) -> list[Waiter]:
        """Those for whom a container could be made now, in the order given."""
        found = (self.waiter(entry) for entry in entries if not entry.asleep(now))
        return [waiter for waiter in found if waiter is not None]

    # ---- what there is -------------------------------------------------------------------------

    def scene(
        self,
        connection: sqlite3.Connection,
        slots: Sequence[SlotInfo],
        free: Sequence[SlotInfo],
        now: Moment,
    ) -> Scene:
        """The machine now: `slots` that may be given at all, and those of them that are `free`.

        It is good for the transaction only.
        """
        leases = ledger_tables.live_leases(connection, host=self.host)
        containers: dict[int, list[ContainerRow]] = {}
        for row in ledger_tables.containers(connection):
            containers.setdefault(row.uid, []).append(row)

        def allows(waiter: Waiter, left: Sequence[SlotInfo], at: datetime) -> Fenced:
            moment = later(now, at)
            fences = self.fences_at(moment)
            return through(fences, connection, asking(waiter, at), slots, left)

        def ends() -> dict[str, datetime | None]:
            found = self.ends(connection, leases, now)
            return {lease.slot_uuid: found[lease.claim_id].at for lease in leases}

        return Scene(now.wall, tuple(slots), tuple(free), tuple(leases), containers, allows, ends)

    def ends(
        self, connection: sqlite3.Connection, leases: Sequence[LeaseRow], now: Moment
    ) -> Mapping[str, End]:
        """When each claim's slots are free at the latest."""
        return self._ends_of(connection, leases, self._limits_of, now)


def asking(waiter: Waiter, start: datetime) -> Asking:
    """The waiter in the words of the fences, if it were served at `start`."""
    entry = None if waiter.key == DIRECT else waiter.key
    return Asking(
        waiter.uid,
        waiter.name,
        waiter.request,
        waiter.limits.values,
        waiter.until(start),
        entry,
    )


def later(now: Moment, at: datetime) -> Moment:
    """The moment at which the wall clock will show `at`."""
    ahead = at - now.wall
    return Moment(at, now.boot_id, now.boot_seconds + ahead.total_seconds())
