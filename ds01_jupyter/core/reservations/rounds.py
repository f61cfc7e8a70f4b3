"""What time brings: reservations begin and end, people are told, and who has to make way when.

Any number of servers may do this on one ledger: each thing is written once.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from ds01_jupyter.core import ledger_tables
from ds01_jupyter.core.lifecycle.policy import Eviction
from ds01_jupyter.core.lifecycle.tables import add_notice
from ds01_jupyter.core.reservations import tables, words
from ds01_jupyter.core.reservations.keeping import Keeping, Kept
from ds01_jupyter.core.reservations.promises import Occupant, Promise, Situation
from ds01_jupyter.core.reservations.tables import Leaver

LEAST_NOTICE = timedelta(hours=1)
"""Who is told late (a slot broke down, and another one has to be freed instead) still has this
long, or the reservation's own notice where that is shorter."""
ACTOR = "reservations"
"""Who does what nobody in particular does, in the history."""

PeopleOf = Callable[[Promise], Sequence[int]]
"""The uids whom a promise is for, as far as they are known."""


@dataclass(frozen=True)
class Agenda:
    """What has to be written now."""

    begin: Sequence[Promise]
    end: Sequence[Promise]
    tell: Sequence[tuple[Promise, Kept, Occupant]]
    due: Sequence[Leaver]
    spare: Sequence[Leaver]
    gone: Sequence[Leaver]
    problems: Sequence[tuple[Promise, str | None]]

    @property
    def empty(self) -> bool:
        """Whether there is nothing to be done."""
        parts = (self.begin, self.end, self.tell, self.due, self.spare, self.gone, self.problems)
        return not any(parts)


def agenda(
    connection: sqlite3.Connection, host: str, situation: Situation, keeping: Keeping
) -> Agenda:
    """What has changed since the last round."""
    now = situation.now
    leavers = tables.leavers(connection, host)
    going = {(promise.id, each.claim_id) for promise, _, each in _leaving(situation, keeping)}
    living = {each.claim_id for each in situation.occupants}
    idle = [leaver for key, leaver in leavers.items() if key not in going]
    due = []
    for promise, _, each in _leaving(situation, keeping):
        leaver = leavers.get((promise.id, each.claim_id))
        if leaver is not None and not leaver.due and leaves_at(promise, leaver.told) <= now:
            due.append(leaver)
    problems = []
    for promise in situation.promises:
        said = words.problem(promise, situation, keeping)
        if said != promise.problem:
            problems.append((promise, said))
    return Agenda(
        begin=tables.to_begin(connection, host, now),
        end=tables.to_end(connection, host, now),
        tell=[
            (promise, kept, each)
            for promise, kept, each in _leaving(situation, keeping)
            if (promise.id, each.claim_id) not in leavers
        ],
        due=due,
        spare=[leaver for leaver in idle if leaver.claim_id in living],
        gone=[leaver for leaver in idle if leaver.claim_id not in living],
        problems=problems,
    )


def evictions(
    connection: sqlite3.Connection, host: str, situation: Situation, keeping: Keeping
) -> dict[str, Eviction]:
    """Who has to make way and when, by claim; only those who were told."""
    leavers = tables.leavers(connection, host)
    found: dict[str, Eviction] = {}
    for promise, kept, each in _leaving(situation, keeping):
        leaver = leavers.get((promise.id, each.claim_id))
        if leaver is None:
            continue
        eviction = Eviction(
            leaves_at(promise, leaver.told), words.makes_way(promise, kept.slot.slot)
        )
        before = found.get(each.claim_id)
        if before is None or eviction.at < before.at:
            found[each.claim_id] = eviction
    return found


def leaves_at(promise: Promise, told: datetime) -> datetime:
    """When somebody who was told at `told` has to be gone."""
    return max(promise.start, told + min(promise.notice, LEAST_NOTICE))


def _leaving(situation: Situation, keeping: Keeping) -> Iterator[tuple[Promise, Kept, Occupant]]:
    for promise in situation.promises:
        for kept in keeping.of(promise):
            for each in kept.leaving:
                yield promise, kept, each


# ---- writing it ----------------------------------------------------------------------------------


class Writer:
    """Writes what has to be written, in a transaction of the caller's.

    `people_of` names those whom a promise is for, `admins` are the uids that hear of problems.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        now: datetime,
        people_of: PeopleOf,
        admins: Iterable[int],
    ) -> None:
        self._connection = connection
        self._now = now
        self._people_of = people_of
        self._admins = tuple(admins)

    def carry_out(self, todo: Agenda, keeping: Keeping) -> None:
        """All of it."""
        for promise in todo.begin:
            tables.set_begun(self._connection, promise, self._now)
            self.history(ACTOR, "begin", promise)
            if promise.end > self._now:
                self._begun(promise, keeping)
        for promise in todo.end:
            tables.set_ended(self._connection, promise.id, self._now)
            self.history(ACTOR, "end", promise)
            self._to_holders(
                promise,
                f"Your reservation {promise.id} ({words.what(promise)}) is over.",
                "What runs goes on under the usual limits.",
                promise.end,
            )
        for promise, kept, each in todo.tell:
            self._tell(promise, kept, each)
        for leaver in todo.due:
            tables.set_due(self._connection, leaver)
        for leaver in todo.spare:
            self._spare(leaver)
        for leaver in todo.gone:
            self._gone(leaver)
        tables.drop_leavers(self._connection, [*todo.spare, *todo.gone])
        for promise, said in todo.problems:
            self._problem(promise, said)

    def history(self, actor: str, action: tables.HistoryAction, promise: Promise) -> None:
        """A line about a promise."""
        ledger_tables.insert_history(
            self._connection,
            actor,
            promise.user or promise.group or "",
            f"reservation.{action}",
            f"reservation {promise.id}",
            "done",
            facts(promise),
        )

    def booked(self, promise: Promise, by_uid: int) -> None:
        """Those whom it is for hear of a new promise, but for who made it."""
        self._to_holders(
            promise,
            f"{promise.by} reserved {words.what(promise)} for "
            f"{'you' if promise.user else promise.who}: {words.span(promise.start, promise.end)}"
            f"{f' ({promise.reason})' if promise.reason else ''}.",
            "Create a container in that time, and it gets what is reserved.",
            promise.start,
            but=by_uid,
        )

    def cancelled(self, promise: Promise, by: str, by_uid: int) -> None:
        """Those whom it was for hear that it was taken back."""
        self._to_holders(
            promise,
            f"{by} cancelled the reservation {promise.id} ({words.what(promise)}, "
            f"{words.span(promise.start, promise.end)}).",
            "What runs goes on under the usual limits.",
            self._now,
            but=by_uid,
        )

    def _begun(self, promise: Promise, keeping: Keeping) -> None:
        names = ", ".join(each.slot.slot for each in keeping.of(promise))
        where = f" (slot {names})" if names and promise.kind != "slot" else ""
        self._to_holders(
            promise,
            f"Your reservation {promise.id} has begun: {words.what(promise)}{where} until "
            f"{words.at(promise.end)}.",
            "Create a container, and it gets what is reserved.",
            promise.start,
        )

    def _tell(self, promise: Promise, kept: Kept, each: Occupant) -> None:
        leaver = Leaver(promise.id, each.claim_id, each.uid, each.owner, each.name, self._now)
        if not tables.add_leaver(self._connection, leaver):
            return
        when = leaves_at(promise, self._now)
        add_notice(
            self._connection,
            each.uid,
            "reservation",
            "reservation_stop",
            f"{each.name} will be stopped on {words.at(when)} and give its GPU slot back: "
            f"{words.makes_way(promise, kept.slot.slot)}.",
            container=each.name,
            hint="Save what you need until then; the container and its workspace stay. If another "
            "slot comes free before, yours is left alone.",
            at=when,
            time=self._now,
        )

    def _spare(self, leaver: Leaver) -> None:
        add_notice(
            self._connection,
            leaver.uid,
            "reservation",
            "reservation_spared",
            f"{leaver.name} need not be stopped for reservation {leaver.reservation} any more.",
            container=leaver.name,
            hint="Its own time limits hold as before.",
            time=self._now,
        )

    def _gone(self, leaver: Leaver) -> None:
        """The lease was given back; after the appointed time that was our doing."""
        if not leaver.due:
            return
        ledger_tables.insert_history(
            self._connection,
            ACTOR,
            leaver.owner,
            "reservation.evict",
            leaver.name,
            "done",
            {
                "reservation": leaver.reservation,
                "claim": leaver.claim_id,
                "told": leaver.told.isoformat(),
            },
        )

    def _problem(self, promise: Promise, said: str | None) -> None:
        tables.set_problem(self._connection, promise.id, said)
        which = f"Reservation {promise.id} ({words.what(promise)} for {promise.who})"
        if said is None:
            text, hint = f"{which} can be kept again.", ""
        else:
            text = f"{which} cannot be kept as things are: {said}"
            hint = "It is kept as soon as that changes; an admin can cancel it and book another."
        for uid in dict.fromkeys([*self._admins, *self._people_of(promise)]):
            add_notice(
                self._connection,
                uid,
                "reservation",
                "reservation_problem",
                text,
                hint=hint,
                at=promise.start,
                time=self._now,
            )

    def _to_holders(
        self, promise: Promise, text: str, hint: str, at: datetime, *, but: int | None = None
    ) -> None:
        for uid in self._people_of(promise):
            if uid != but:
                add_notice(
                    self._connection,
                    uid,
                    "reservation",
                    "reservation",
                    text,
                    hint=hint,
                    at=at,
                    time=self._now,
                )


def facts(promise: Promise) -> dict[str, object]:
    """A promise for the history."""
    return {
        "reservation": promise.id,
        "gpu": promise.gpu,
        "gpus": promise.count,
        "user": promise.user,
        "group": promise.group,
        "start": promise.start.isoformat(),
        "end": promise.end.isoformat(),
        "reason": promise.reason,
    }
