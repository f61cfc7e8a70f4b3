"""Serves those who wait: looks when it is whose turn, and begins to make their containers.

Every server does it for the people that it may act for. Nothing depends on which of them is
quicker: a place is served in the transaction of its claim, once. What a dead server left half done
is put right by the next one (`recovery`).
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from pathlib import Path

from ds01_jupyter.core import models
from ds01_jupyter.core.allocator import Turn
from ds01_jupyter.core.clock import Clock, Moment
from ds01_jupyter.core.crash_points import reached
from ds01_jupyter.core.creating import Creating
from ds01_jupyter.core.errors import (
    Cancelled,
    ConfigurationError,
    Conflict,
    CoreError,
    DiskFull,
    DriverUnavailable,
    EngineUnavailable,
    LedgerUnavailable,
    LimitReached,
    NoFreeSlot,
    ShuttingDown,
)
from ds01_jupyter.core.identity import Person
from ds01_jupyter.core.ledger import Ledger
from ds01_jupyter.core.operations import new_id
from ds01_jupyter.core.processes import is_alive, process_identity
from ds01_jupyter.core.ticker import Ticker
from ds01_jupyter.core.waiting import records, tables
from ds01_jupyter.core.waiting.machine import Machine, Turns
from ds01_jupyter.core.waiting.people import People
from ds01_jupyter.core.waiting.recovery import Recovery
from ds01_jupyter.core.waiting.tables import Entry

EVERY = 2.0
"""Seconds between two looks at the ledger's file, which cost nothing else when it is unchanged."""
TRY_AGAIN = timedelta(seconds=15)
"""When nothing has changed in the ledger, something else may have: limits, Docker, the driver."""
SEEN_AGAIN = 20.0
"""Seconds after which a server says again that it is there (see `tables.SILENT_SECONDS`)."""
CHECK_AGAIN = timedelta(minutes=1)
"""How often it is looked at whether a request that waits could still be met."""
GONE_AFTER = timedelta(minutes=2)
"""How long what was asked for must be missing from the machine: an admin may be at work."""
MOST_CONFLICTS = 2
"""How often a name may be taken; once may be another server of the same person."""
FOR_NOW = (
    EngineUnavailable,
    DriverUnavailable,
    LedgerUnavailable,
    ConfigurationError,
    DiskFull,
    ShuttingDown,
)
"""What passes by itself, or when an admin has done something: reasons to try again later."""

log = logging.getLogger(__name__)
Stamp = tuple[int, ...]


@dataclass
class _Memory:
    """What one process remembers of a place that it serves."""

    checked: Moment | None = None
    missing: Moment | None = None
    problem: str | None = None
    conflicts: int = 0


class Dispatcher:
    """The thread of one process that serves the queue."""

    def __init__(
        self,
        ledger: Ledger,
        machine: Machine,
        creating: Creating,
        people: People,
        recovery: Recovery,
        clock: Clock,
    ) -> None:
        self._ledger = ledger
        self._machine = machine
        self._stage = machine.stage
        self._creating = creating
        self._people = people
        self._recovery = recovery
        self._clock = clock
        self._ticker = Ticker("ds01-queue", EVERY, self.round)
        self._stamp: Stamp = ()
        self._mark = -1
        self._tried: Moment | None = None
        self._memory: dict[int, _Memory] = {}
        self._closing = False
        self.tries = 0
        """How often Docker and the driver were asked whether it is somebody's turn."""
        self.waiting = 0
        """How many places this process served at the last look."""

    def start(self) -> None:
        """Begin to look."""
        self._ticker.start()

    def wake(self) -> None:
        """Something was changed that may make it somebody's turn."""
        self._stamp = ()
        self._tried = None
        self._ticker.wake()

    def close(self) -> None:
        """Serve nobody any more; what is being made goes back to wait when it is cancelled."""
        self._closing = True
        self._ticker.close()

    # ---- one round -----------------------------------------------------------------------------

    def round(self) -> None:
        """Look whether something has changed, and serve whose turn it is. Raises `CoreError`."""
        now = self._clock.now()
        stamp = self._ledger_stamp()
        due = self._tried is None or now.since(self._tried) >= TRY_AGAIN
        if not stamp or (stamp == self._stamp and not due):
            return
        self._stamp = stamp
        with self._ledger.reading() as connection:
            active = tables.active(connection, self._stage.host)
            (mark,) = connection.execute("SELECT ifnull(max(id), 0) FROM history").fetchone()
        mine = [entry for entry in active if self._people.serves(entry.uid)]
        self._memory = {e.id: self._memory.get(e.id) or _Memory() for e in mine}
        self.waiting = len(mine)
        if not mine:
            self._tried = now
            return
        if self._recovery.settle([entry for entry in mine if entry.state == "starting"]):
            due = True
        places = [self._attend(entry, now) for entry in mine if entry.state == "waiting"]
        waiting = [entry for entry in places if entry is not None]
        if waiting and (due or mark != self._mark):
            self._mark, self._tried = mark, now
            self._try(waiting, now)

    def _ledger_stamp(self) -> Stamp:
        """What changes with every transaction of anybody; empty where there is no ledger."""
        path = self._ledger.path
        found = (_stamp(path), _stamp(path.with_name(f"{path.name}-wal")))
        return () if not found[0] else (*found[0], *found[1])

    def _attend(self, entry: Entry, now: Moment) -> Entry | None:
        """Take a place up when it is nobody's, say that we are there when it is ours. None when
        another server looks after it."""
        if entry.server == process_identity():
            fresh = entry.seen is None or now.boot_seconds - entry.seen < SEEN_AGAIN
            return entry if fresh else self._say(entry, now)
        silent = entry.seen is not None and entry.asleep(now)
        return self._say(entry, now) if silent or not is_alive(entry.server) else None

    def _say(self, entry: Entry, now: Moment, problem: str | None = None) -> Entry:
        with self._ledger.writing() as connection:
            tables.attend(connection, entry.id, now, problem)
        seen = now.boot_seconds if problem is None else None
        return replace(entry, server=process_identity(), seen=seen, problem=problem)

    # ---- whose turn is it ----------------------------------------------------------------------

    def _try(self, waiting: Sequence[Entry], now: Moment) -> None:
        self.tries += 1
        try:
            sight = self._machine.look()
        except FOR_NOW as error:
            for entry in waiting:
                self._hinder(entry, now, error)
            return
        # What hindered a place may be over; if not, that is found out when its turn comes.
        awake = [self._say(e, now) if e.seen is None else e for e in waiting]
        with self._ledger.reading() as connection:
            turns = self._machine.turns(connection, sight, now)
        hopeful = {e.id: e for e in awake if not self._hopeless(e, turns, now)}
        for entry_id in turns.now:
            if entry_id in hopeful and not self._closing:
                self._serve(hopeful[entry_id], now)

    def _hopeless(self, entry: Entry, turns: Turns, now: Moment) -> bool:
        """Give a place up that can never be served; True when it is not to be served now."""
        memory = self._memory[entry.id]
        refusal, missing = turns.held.get(entry.id), turns.missing.get(entry.id)
        if refusal is not None and beyond(refusal):
            return self._give_up(entry, refusal)
        if missing is None:
            memory.missing = None
        elif memory.missing is None:
            memory.missing = now
        elif now.since(memory.missing) >= GONE_AFTER:
            return self._give_up(entry, missing)
        if memory.checked is None or now.since(memory.checked) >= CHECK_AGAIN:
            memory.checked = now
            try:
                self._creating.check(*self._request(entry))
            except FOR_NOW as error:
                self._hinder(entry, now, error)
                return True
            except CoreError as error:
                return self._give_up(entry, error)
        return False

    def _request(self, entry: Entry) -> tuple[Person, models.ContainerRequest]:
        request = models.ContainerRequest.model_validate_json(entry.request)
        return self._people.person(entry.uid), request

    # ---- serving -------------------------------------------------------------------------------

    def _serve(self, entry: Entry, now: Moment) -> None:
        operation = new_id()
        try:
            self._creating.begin(
                *self._request(entry),
                turn=Turn(entry.id, partial(self._taken, entry, operation)),
                operation_id=operation,
                settled=partial(self._settled, entry, operation),
            )
        except NoFreeSlot:
            self._undone(entry, operation)  # somebody was quicker; the place stays
        except LimitReached as error:
            self._undone(entry, operation)
            if beyond(error):
                self._give_up(entry, error)
        except _NotWaiting:
            log.debug("place %d is served or left by now", entry.id)
        except FOR_NOW as error:
            self._undone(entry, operation, error)
            self._hinder(entry, now, error)
        except Conflict as error:
            # Its name is taken: by somebody who was quicker with this very place, or for good.
            self._undone(entry, operation)
            memory = self._memory[entry.id]
            memory.conflicts += 1
            if memory.conflicts >= MOST_CONFLICTS:
                self._give_up(entry, error)
        except CoreError as error:
            self._undone(entry, operation)
            self._give_up(entry, error)
        else:
            reached("queue.started")

    def _taken(
        self, entry: Entry, operation: str, connection: sqlite3.Connection, claim_id: str
    ) -> None:
        """In the transaction of the claim: it is this place's turn."""
        if not tables.begin(connection, entry.id, claim_id, operation):
            raise _NotWaiting("It does not wait any more.")
        records.write(connection, entry, "start", claim=claim_id, operation=operation)

    def _settled(self, entry: Entry, operation: str, error: BaseException | None) -> None:
        """The operation has ended."""
        reached("queue.settling")
        now = self._clock.now()
        try:
            with self._ledger.writing() as connection:
                if error is None:
                    records.done(connection, entry, operation, now)
                elif isinstance(error, Cancelled) and not self._closing:
                    records.cancelled(connection, entry, now, operation=operation)
                elif isinstance(error, (*FOR_NOW, Cancelled)):
                    problem = None if isinstance(error, Cancelled) else error.message
                    records.back(connection, entry, operation, problem=problem)
                else:
                    records.failed(connection, entry, now, error, operation=operation)
                reached("queue.settled")
        except CoreError:
            # Whoever looks next finds it out: the claim tells.
            log.exception("what became of place %d of the queue was not written", entry.id)

    def _undone(self, entry: Entry, operation: str, error: CoreError | None = None) -> None:
        """The claim was given back before the operation began."""
        with self._ledger.writing() as connection:
            records.back(connection, entry, operation, problem=error.message if error else None)

    def _hinder(self, entry: Entry, now: Moment, error: CoreError) -> None:
        """It cannot be made for now, so nobody is to wait for it."""
        memory = self._memory[entry.id]
        if memory.problem != error.message:
            memory.problem = error.message
            log.warning("ds01: place %d of the queue has to wait: %s", entry.id, error.message)
        if entry.problem != error.message:
            self._say(entry, now, error.message)

    def _give_up(self, entry: Entry, error: CoreError) -> bool:
        now = self._clock.now()
        with self._ledger.writing() as connection:
            return records.failed(connection, entry, now, error)


class _NotWaiting(CoreError):
    """The place was left, or is served by another server."""


def beyond(refusal: LimitReached) -> bool:
    """Whether a limit would be exceeded even with nothing in use."""
    limit, asked = refusal.details.get("limit"), refusal.details.get("asked")
    return limit is not None and asked is not None and asked > limit


def _stamp(path: Path) -> Stamp:
    try:
        status = path.stat()
    except OSError:
        return ()
    return (status.st_ino, status.st_size, status.st_mtime_ns)
