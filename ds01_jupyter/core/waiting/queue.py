"""The queue as people use it: join, look, leave."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from ds01_jupyter.core import models
from ds01_jupyter.core.clock import Clock, Moment
from ds01_jupyter.core.crash_points import reached
from ds01_jupyter.core.creating import Creating
from ds01_jupyter.core.errors import (
    Conflict,
    Forbidden,
    InvalidInput,
    LimitReached,
    NoFreeSlot,
    NotFound,
)
from ds01_jupyter.core.gpu.request import GpuRequest
from ds01_jupyter.core.identity import Person
from ds01_jupyter.core.ledger import Ledger
from ds01_jupyter.core.names import container_name
from ds01_jupyter.core.waiting import records, tables
from ds01_jupyter.core.waiting.documents import Estimate, QueueEntry
from ds01_jupyter.core.waiting.machine import Machine
from ds01_jupyter.core.waiting.order import Ranking
from ds01_jupyter.core.waiting.people import People
from ds01_jupyter.core.waiting.tables import Entry

MOST_PLACES = 5
"""How many places one person may have at a time."""
ENDED_SHOWN = 5
"""How many of one's own ended places are listed."""

Estimates = Callable[[Sequence[Entry], Moment], Mapping[int, Estimate]]
"""When those of some waiting places can be served, by number."""


class Queue:
    """Places in the queue, for people."""

    def __init__(
        self,
        ledger: Ledger,
        machine: Machine,
        creating: Creating,
        people: People,
        estimates: Estimates,
        clock: Clock,
    ) -> None:
        self._ledger = ledger
        self._machine = machine
        self._stage = machine.stage
        self._creating = creating
        self._people = people
        self._estimates = estimates
        self._clock = clock

    def join(self, person: Person, request: models.ContainerRequest) -> int:
        """Wait for the slots of a container; returns the number of the place.

        What no waiting would help is refused at once: `LimitReached`, `NotFound`, `InvalidInput`,
        `Conflict` and the like.
        """
        self._people.meet(person)
        checked = self._creating.check(person, request)
        wish = GpuRequest.parse(request.gpu, request.gpus)
        if wish.kind == "none":
            raise InvalidInput(
                "A container without a GPU has nothing to wait for.",
                hint="Create it at once, without waiting.",
            )
        for folder, is_workspace in checked.folders():
            folder.check(person, workspace=is_workspace)
        limits = self._creating.limits(person)
        now = self._clock.now()
        with suppress(NoFreeSlot):  # that is what is waited for
            self._machine.dry(person, wish, limits, now)
        name = container_name(request.name, person.uid)
        self._refuse_taken(person, name)
        with self._ledger.writing() as connection:
            mine = [e for e in tables.active(connection, self._stage.host) if e.uid == person.uid]
            _refuse_more(mine, name)
            number = tables.insert(
                connection,
                host=self._stage.host,
                uid=person.uid,
                owner=person.name,
                name=name,
                gpu=request.gpu,
                gpus=request.gpus,
                request=request.model_dump_json(),
                priority=limits.values.priority,
                now=now,
            )
            entry = tables.get(connection, self._stage.host, number)
            assert entry is not None
            records.write(connection, entry, "join")
        reached("queue.joined")
        return number

    def _refuse_taken(self, person: Person, name: str) -> None:
        rows = self._ledger.containers_of(person.uid)
        if any(row.name == name for row in rows):
            raise Conflict(
                f"You have a container named {name} already, or it is just being created.",
                hint="Choose another name, or remove that one first.",
                name=name,
            )

    def leave(self, person: Person, number: int, *, admin: bool = False) -> str | None:
        """Give a place up; returns the operation that must be cancelled for it, if any.

        Raises `NotFound`, `Forbidden` (somebody else's, and not an admin), `Conflict` (it was
        served already). A place that was left stays left.
        """
        now = self._clock.now()
        with self._ledger.writing() as connection:
            entry = tables.get(connection, self._stage.host, number)
            if entry is None:
                raise _no_place(number)
            if entry.uid != person.uid and not admin:
                raise Forbidden(
                    f"Place {number} of the queue is {entry.owner}'s.",
                    hint="`ds01 queue` shows which are yours.",
                    entry=number,
                )
            if entry.state == "waiting":
                records.cancelled(connection, entry, now, actor=person.name)
                return None
            if entry.state == "starting":
                return entry.operation
            if entry.state == "cancelled":
                return None
            raise Conflict(
                f"Place {number} does not wait any more: its container is there."
                if entry.state == "done"
                else f"Place {number} does not wait any more: it could not be served.",
                hint=f"`ds01 remove {entry.name}` removes the container."
                if entry.state == "done"
                else "There is nothing to leave.",
                entry=number,
                state=entry.state,
            )

    def list(self, person: Person) -> list[QueueEntry]:
        """Everybody who waits, in order; then the person's own places that ended lately."""
        now = self._clock.now()
        with self._ledger.reading() as connection:
            active = tables.active(connection, self._stage.host)
            over = tables.ended(connection, self._stage.host, person.uid, ENDED_SHOWN)
            ranking = self._stage.ranking(connection, active, now) if active else None
        shown: list[QueueEntry] = []
        if ranking is not None:
            starting = [entry for entry in active if entry.state == "starting"]
            shown += [_document(entry, person, now) for entry in starting]
            waiting = ranking.order([entry for entry in active if entry.state == "waiting"])
            estimates = self._estimates(waiting, now) if waiting else {}
            shown += [
                _document(entry, person, now, place, ranking, estimates.get(entry.id))
                for place, entry in enumerate(waiting, 1)
            ]
        return shown + [_document(entry, person, now) for entry in over]

    def show(self, person: Person, number: int) -> QueueEntry:
        """One place. Raises `NotFound`, also for somebody else's that has ended."""
        for entry in self.list(person):
            if entry.id == number:
                return entry
        with self._ledger.reading() as connection:
            found = tables.get(connection, self._stage.host, number)
        if found is None or found.uid != person.uid:
            raise _no_place(number)
        return _document(found, person, self._clock.now())


def _document(
    entry: Entry,
    person: Person,
    now: Moment,
    position: int | None = None,
    ranking: Ranking | None = None,
    estimate: Estimate | None = None,
) -> QueueEntry:
    mine = entry.uid == person.uid
    waits = entry.state == "waiting"
    return QueueEntry(
        id=entry.id,
        user=entry.owner,
        mine=mine,
        name=entry.name if mine else None,
        gpu=entry.gpu,
        gpus=entry.gpus,
        state=entry.state,
        asleep=waits and entry.asleep(now),
        position=position,
        standing=ranking.of(entry).document() if ranking is not None else None,
        created=entry.created,
        finished=entry.finished,
        estimate=estimate,
        operation=entry.operation if mine else None,
        problem=entry.problem if mine else None,
    )


def _refuse_more(mine: Sequence[Entry], name: str) -> None:
    if any(entry.name == name for entry in mine):
        raise Conflict(
            f"Your container {name} waits in the queue already.",
            hint="`ds01 queue` shows its place; or choose another name.",
            name=name,
        )
    if len(mine) >= MOST_PLACES:
        raise LimitReached(
            f"You may have at most {MOST_PLACES} places in the queue, and you have {len(mine)}.",
            hint="Leave one of them (`ds01 queue leave NUMBER`), or wait until one is served.",
            key="max_places_in_queue",
            limit=MOST_PLACES,
            in_use=len(mine),
            asked=1,
            containers=[entry.name for entry in mine],
        )


def _no_place(number: int) -> NotFound:
    return NotFound(
        f"There is no place {number} in the queue.",
        hint="`ds01 queue` lists everybody who waits.",
        entry=number,
    )
