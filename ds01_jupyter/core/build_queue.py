"""Turns at building: so many images at a time on this machine, and people take turns.

All servers that share the ledger share the queue. Nobody is told when a turn comes; who waits looks
every half second.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from ds01_jupyter.core import build_queue_table as table
from ds01_jupyter.core.engine import Amount, Reporter
from ds01_jupyter.core.errors import CoreError, LimitReached
from ds01_jupyter.core.identity import Person
from ds01_jupyter.core.ledger import Ledger
from ds01_jupyter.core.processes import is_alive, process_identity

log = logging.getLogger(__name__)

POLL = 0.5
"""Seconds between two looks at the queue."""
MAX_WAITING = 10
"""Builds of one person that may wait or be at work at a time."""


class BuildQueue:
    """The queue for builds. Safe to use from several threads."""

    def __init__(self, ledger: Ledger, parallel: int) -> None:
        """At most `parallel` builds are at work at a time."""
        self._ledger = ledger
        self._parallel = parallel

    @contextmanager
    def turn(self, person: Person, name: str, progress: Reporter) -> Iterator[None]:
        """Wait for a turn at building the image `name`, and give it back at the end.

        Who waits is told the place, in phase `wait`. Raises `Cancelled` as soon as `progress` is,
        `LimitReached` for who has too many builds waiting already, `LedgerUnavailable`.
        """
        woken = threading.Event()
        progress.on_cancel(woken.set)
        ticket = self._join(person, name)
        try:
            told: tuple[int, int] | None = None
            while (place := self._place(ticket)) is not None:
                if place != told:
                    told = place
                    _tell(place, progress)
                progress.check()
                woken.wait(POLL)
                progress.check()
            yield
        finally:
            self._leave(ticket)

    def _join(self, person: Person, name: str) -> int:
        with self._ledger.writing() as connection:
            table.sweep(connection)
            own = [turn for turn in table.turns(connection) if turn.uid == person.uid]
            if len(own) >= MAX_WAITING:
                raise LimitReached(
                    f"You have {len(own)} images waiting to be built already.",
                    hint="Wait until one is done, or cancel one (`%ds01 operations` lists them).",
                    waiting=len(own),
                    limit=MAX_WAITING,
                )
            return table.join(connection, person.uid, name, process_identity())

    def _place(self, ticket: int) -> tuple[int, int] | None:
        """How many come first, of how many that wait; None: it is the build's turn, and it has
        taken it."""
        with self._ledger.reading() as connection:
            place = self._stand(connection, ticket)
        if place is not None:
            return place
        with self._ledger.writing() as connection:
            table.sweep(connection)
            place = self._stand(connection, ticket)
            if place is None:
                table.begin(connection, ticket)
            return place

    def _stand(self, connection: sqlite3.Connection, ticket: int) -> tuple[int, int] | None:
        turns = [turn for turn in table.turns(connection) if is_alive(turn.process)]
        waiting = table.order(turns, table.served(connection))
        before = next((n for n, turn in enumerate(waiting) if turn.ticket == ticket), 0)
        free = self._parallel - sum(turn.building for turn in turns)
        return None if before < free else (before, len(waiting))

    def _leave(self, ticket: int) -> None:
        try:
            with self._ledger.writing() as connection:
                table.leave(connection, ticket)
        except CoreError as error:
            # Its row goes with this process; how the build ended is not to be hidden by it.
            log.warning("a build's place in the queue could not be given back: %s", error.message)


def _tell(place: tuple[int, int], progress: Reporter) -> None:
    before, waiting = place
    progress.measure(Amount(before, waiting, "builds"))
    progress.step("wait", None, f"place {before + 1} of {waiting} in the queue for builds")
