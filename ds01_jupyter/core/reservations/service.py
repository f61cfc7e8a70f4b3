"""The reservations of one host: booking, looking, cancelling, and what time brings."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta

from ds01_jupyter.core.admins import require_admin
from ds01_jupyter.core.clock import Clock, Moment
from ds01_jupyter.core.errors import (
    ConfigurationError,
    CoreError,
    DriverUnavailable,
    EngineUnavailable,
)
from ds01_jupyter.core.gpu.mig_plan import LayoutPlan
from ds01_jupyter.core.gpu.nvml import NvmlDriver
from ds01_jupyter.core.gpu.slots import SlotInfo
from ds01_jupyter.core.gpu_documents import GpuSnapshot, SlotReservation
from ds01_jupyter.core.identity import Directory, Person
from ds01_jupyter.core.ledger import Ledger
from ds01_jupyter.core.lifecycle.policy import Eviction
from ds01_jupyter.core.limits import LimitsFile
from ds01_jupyter.core.models import LimitValues
from ds01_jupyter.core.people import LimitsOf
from ds01_jupyter.core.reservations import booking, refusals, rounds, tables, view
from ds01_jupyter.core.reservations.documents import Reservation, ReservationRequest
from ds01_jupyter.core.reservations.keeping import Keeping, keep
from ds01_jupyter.core.reservations.layouts import with_promises
from ds01_jupyter.core.reservations.promises import Promise, Situation
from ds01_jupyter.core.reservations.scene import situation
from ds01_jupyter.core.ticker import Ticker

MOST_LISTED = 500
"""Reservations that a list goes back to."""

Foreign = Callable[[Sequence[SlotInfo]], Mapping[str, str]]
"""Which containers use these slots without a lease, by slot UUID; may raise
`EngineUnavailable`."""

EVERY = 20.0
"""Seconds between two looks at what time brings."""

log = logging.getLogger(__name__)


class Reservations:
    """What is promised on this host. `admins` (and root) may book and cancel."""

    def __init__(
        self,
        ledger: Ledger,
        host: str,
        driver: NvmlDriver,
        foreign: Foreign,
        limits: Callable[[], LimitsFile],
        limits_of: LimitsOf,
        accounts: Directory,
        admins: Sequence[str],
        clock: Clock,
    ) -> None:
        self._ledger = ledger
        self._host = host
        self._driver = driver
        self._foreign = foreign
        self._limits = limits
        self._limits_of = limits_of
        self._accounts = accounts
        self._admins = tuple(admins)
        self._clock = clock
        self._ticker = Ticker("looking after reservations", EVERY, self.round)

    def start(self) -> None:
        """Look every `EVERY` seconds what is due, in a thread."""
        self._ticker.start()

    def close(self) -> None:
        """End the thread; waits a few seconds for it at most."""
        self._ticker.close()

    # ---- booking -------------------------------------------------------------------------

    def book(self, person: Person, request: ReservationRequest) -> Reservation:
        """Promise it, or refuse it.

        Raises `Forbidden` (not an admin), `InvalidInput`, `NotFound` (no such account, group or
        slot), `Conflict` with `conflicts` in its details, or `DriverUnavailable`.
        """
        require_admin(person, self._admins, "reserve GPUs")
        now = self._clock.now()
        start, end = booking.times(request, now.wall)
        wish = booking.wish(request)
        draft = self._for_whom(
            request,
            Promise(
                id=booking.NEW,
                kind="whole",
                profile="",
                count=1,
                start=start,
                end=end,
                notice=timedelta(hours=request.notice_hours),
                reason=" ".join(request.reason.split()),
                by=person.name,
                created=now.wall,
            ),
        )
        slots, foreign = self._slots(fresh=True)
        with self._ledger.writing() as connection:
            before = self._situation(connection, now, slots, foreign)
            promise = booking.described(draft, wish, before)
            booking.check(promise, before)
            number = tables.insert(connection, self._host, promise)
            promise = replace(promise, id=number)
            after = self._situation(connection, now, slots, foreign)
            keeping = keep(after)
            writer = self._writer(connection, now)
            writer.history(person.name, "book", promise)
            writer.booked(promise, person.uid)
            self._carry_out(connection, writer, after, keeping)
        limits = self._values_of(promise)
        return view.document(promise, now.wall, after, keeping, limits=limits)

    def cancel(self, person: Person, number: int) -> None:
        """Take a promise back; what runs goes on. Raises `Forbidden`, `NotFound` or `Conflict`."""
        require_admin(person, self._admins, "cancel reservations")
        now = self._clock.now()
        known = self._slots_if_any()
        with self._ledger.writing() as connection:
            promise = tables.one(connection, self._host, number)
            if promise is None:
                raise refusals.unknown(number)
            if promise.cancelled is not None or promise.end <= now.wall:
                raise refusals.over(promise)
            tables.cancel(connection, number, person.name, now.wall)
            writer = self._writer(connection, now)
            writer.history(person.name, "cancel", promise)
            writer.cancelled(promise, person.name, person.uid)
            if known is not None:
                after = self._situation(connection, now, *known)
                self._carry_out(connection, writer, after, keep(after))

    # ---- looking -------------------------------------------------------------------------

    def all(self, *, everything: bool = False) -> list[Reservation]:
        """Those that stand, soonest first; with `everything` those that are over or were
        cancelled, too."""
        now = self._clock.now()
        with self._ledger.reading() as connection:
            standing = tables.standing(connection, self._host, now.wall)
            rows = standing
            if everything:
                rows = tables.all_of(connection, self._host, MOST_LISTED)
        return self._documents(rows, now, look=bool(standing))

    def get(self, number: int) -> Reservation:
        """One of them. Raises `NotFound`."""
        now = self._clock.now()
        with self._ledger.reading() as connection:
            promise = tables.one(connection, self._host, number)
        if promise is None:
            raise refusals.unknown(number)
        return self._documents([promise], now, look=True)[0]

    def marked(
        self, snapshot: GpuSnapshot, slots: Sequence[SlotInfo], foreign: Mapping[str, str]
    ) -> GpuSnapshot:
        """The GPUs, with the next reservation of each slot; `slots` and `foreign` as they were
        found for it. With limits that cannot be understood they are shown without."""
        try:
            found = self.of_slots(slots, foreign)
        except ConfigurationError:
            return snapshot
        return view.marked(snapshot, found) if found else snapshot

    def of_slots(
        self, slots: Sequence[SlotInfo], foreign: Mapping[str, str]
    ) -> Mapping[str, SlotReservation]:
        """The next reservation of each slot, by its UUID."""
        now = self._clock.now()
        with self._ledger.reading() as connection:
            if not tables.standing(connection, self._host, now.wall):
                return {}
            stands = self._situation(connection, now, slots, foreign)
        return view.next_of_slots(stands, keep(stands))

    def beside(self, plan: LayoutPlan) -> LayoutPlan:
        """A MIG layout's plan, with the promises that it would break among what is in its way."""
        return with_promises(plan, self.broken_by)

    def broken_by(
        self, gone: Collection[str], made: Sequence[SlotInfo]
    ) -> list[tuple[Promise, list[SlotInfo]]]:
        """The promises that could not be kept any more without the slots `gone` (UUIDs) and with
        those `made`, each with the slots that are set aside for it now."""
        now = self._clock.now()
        with self._ledger.reading() as connection:
            if not tables.standing(connection, self._host, now.wall):
                return []
        there, foreign = self._slots()
        with self._ledger.reading() as connection:
            present = self._situation(connection, now, there, foreign)
        slots = [*(slot for slot in there if slot.uuid not in gone), *made]
        kept, then = keep(present), keep(replace(present, slots=slots))
        return [
            (promise, [each.slot for each in kept.of(promise)])
            for promise in present.promises
            if then.failing(promise) > kept.failing(promise)
        ]

    # ---- what time brings ----------------------------------------------------------------

    def evictions(self) -> Mapping[str, Eviction]:
        """Who has to make way and when, by claim. Without a driver, or limits that can be
        understood, nobody can say who is in whose way: then it is nobody."""
        try:
            return self.round()
        except ConfigurationError as error:
            log.debug("ds01: reservations wait for the limits: %s", error.message)
            return {}

    def round(self) -> Mapping[str, Eviction]:
        """Write what is due (beginnings and ends, notices, problems); returns who has to make way.

        Raises `ConfigurationError`.
        """
        now = self._clock.now()
        with self._ledger.reading() as connection:
            idle = not (
                tables.standing(connection, self._host, now.wall)
                or tables.to_begin(connection, self._host, now.wall)
                or tables.to_end(connection, self._host, now.wall)
                or tables.leavers(connection, self._host)
            )
        if idle:
            return {}
        known = self._slots_if_any()
        if known is None:
            return {}
        with self._ledger.reading() as connection:
            stands = self._situation(connection, now, *known)
            keeping = keep(stands)
            if rounds.agenda(connection, self._host, stands, keeping).empty:
                return rounds.evictions(connection, self._host, stands, keeping)
        with self._ledger.writing() as connection:
            stands = self._situation(connection, now, *known)
            keeping = keep(stands)
            self._carry_out(connection, self._writer(connection, now), stands, keeping)
            return rounds.evictions(connection, self._host, stands, keeping)

    # ---- helpers -------------------------------------------------------------------------

    def _for_whom(self, request: ReservationRequest, draft: Promise) -> Promise:
        if (request.user is None) == (request.group is None):
            raise refusals.one_of_both()
        if request.user is not None:
            account = self._accounts.canonical(request.user)
            return replace(draft, uid=account.uid, user=account.name)
        groups = self._limits().group_names
        if request.group not in groups:
            raise refusals.no_group(request.group or "", groups)
        return replace(draft, group=request.group)

    def _people_of(self, promise: Promise) -> Sequence[int]:
        if promise.uid is not None:
            return [promise.uid]
        try:
            return self._limits().member_uids(promise.group or "")
        except CoreError as error:
            # A notice is not worth failing for.
            log.warning("ds01: nobody of %s is told: %s", promise.who, error.message)
            return []

    def _admin_uids(self) -> list[int]:
        found = (self._accounts.uid(name) for name in self._admins)
        return [uid for uid in found if uid is not None]

    def _slots(self, *, fresh: bool = False) -> tuple[Sequence[SlotInfo], Mapping[str, str]]:
        slots = self._driver.inventory(fresh=fresh).slots
        try:
            return slots, self._foreign(slots)
        except EngineUnavailable:
            return slots, {}  # a promise is about what is to come; claims wait for Docker

    def _slots_if_any(self) -> tuple[Sequence[SlotInfo], Mapping[str, str]] | None:
        try:
            return self._slots(fresh=True)
        except DriverUnavailable as error:
            log.debug("ds01: reservations wait for the driver: %s", error.message)
            return None

    def _situation(
        self,
        connection: sqlite3.Connection,
        now: Moment,
        slots: Sequence[SlotInfo],
        foreign: Mapping[str, str],
    ) -> Situation:
        promises = tables.standing(connection, self._host, now.wall)
        return situation(connection, self._host, now, promises, slots, foreign, self._limits_of)

    def _writer(self, connection: sqlite3.Connection, now: Moment) -> rounds.Writer:
        return rounds.Writer(connection, now.wall, self._people_of, self._admin_uids())

    def _carry_out(
        self,
        connection: sqlite3.Connection,
        writer: rounds.Writer,
        stands: Situation,
        keeping: Keeping,
    ) -> None:
        todo = rounds.agenda(connection, self._host, stands, keeping)
        writer.carry_out(todo, keeping)

    def _documents(
        self, promises: Sequence[Promise], now: Moment, *, look: bool
    ) -> list[Reservation]:
        stands: Situation | None = None
        keeping: Keeping | None = None
        unknown = None
        if look:
            try:
                slots, foreign = self._slots()
                with self._ledger.reading() as connection:
                    stands = self._situation(connection, now, slots, foreign)
                keeping = keep(stands)
            except DriverUnavailable as error:
                unknown = f"{error.message} So nobody can say which slots are kept for it."
        return [
            view.document(
                each, now.wall, stands, keeping, unknown=unknown, limits=self._values_of(each)
            )
            for each in promises
        ]

    def _values_of(self, promise: Promise) -> LimitValues | None:
        """The limits of the person whom a promise is for; None for a group, and for nobody."""
        try:
            limits = None if promise.uid is None else self._limits_of(promise.uid)
        except ConfigurationError:
            return None  # the fence refuses everybody then, and says why
        return None if limits is None else limits.values
