"""Puts right what a dead server left half done: a place whose container was being made.

The claim tells what became of it. It is there, with its container: the wait is over. It is gone:
the place waits again, as if nothing had been. Whatever is written is written on condition that
nobody else has.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Literal

from ds01_jupyter.core import models
from ds01_jupyter.core.clock import Clock
from ds01_jupyter.core.containers import Containers
from ds01_jupyter.core.crash_points import reached
from ds01_jupyter.core.errors import CoreError, EngineFailed
from ds01_jupyter.core.ledger import Ledger
from ds01_jupyter.core.processes import process_identity
from ds01_jupyter.core.waiting import records
from ds01_jupyter.core.waiting.people import People
from ds01_jupyter.core.waiting.tables import Entry

MOST_TRIES = 3
"""After so many servers that died over it, a container is not tried again."""

log = logging.getLogger(__name__)


class Recovery:
    """Settles places that nobody works on any more."""

    def __init__(
        self,
        ledger: Ledger,
        containers: Containers,
        people: People,
        at_work: Callable[[str], bool],
        clock: Clock,
    ) -> None:
        """`at_work` says whether an operation of this process is still under way."""
        self._ledger = ledger
        self._containers = containers
        self._people = people
        self._at_work = at_work
        self._clock = clock

    def settle(self, entries: Sequence[Entry]) -> bool:
        """Settle those of some starting places that were left; True when there were any.

        Raises `EngineUnavailable` when Docker cannot be asked: then it is done later.
        """
        left = [entry for entry in entries if not self._worked_on(entry)]
        if left:
            self._containers.present()  # releases the claims of the dead, or adopts for them
        return sum(self._settle(entry) for entry in left) > 0

    def _worked_on(self, entry: Entry) -> bool:
        if entry.server == process_identity():
            return self._at_work(entry.operation or "")
        return self._ledger.is_alive(entry.server)

    def _settle(self, entry: Entry) -> bool:
        found = self._claim(entry)
        if found == "pending":
            return False  # not settled by the reconciler yet
        assert entry.operation is not None
        died = entry.server != process_identity()
        hint = self._start(entry) if found == "present" else ""
        now = self._clock.now()
        with self._ledger.writing() as connection:
            if found == "present":
                changed = records.done(connection, entry, entry.operation, now, hint=hint)
            elif died and entry.tries + 1 >= MOST_TRIES:
                error = EngineFailed(
                    f"The server died {MOST_TRIES} times while the container was being made.",
                    hint="Ask your admin to look at the server's log; then try again.",
                )
                changed = records.failed(connection, entry, now, error, operation=entry.operation)
            else:
                changed = records.back(connection, entry, entry.operation, died=died)
            reached("queue.recovered")
        return changed

    def _claim(self, entry: Entry) -> Literal["gone", "pending", "present"]:
        rows = self._ledger.containers_of(entry.uid)
        row = next((row for row in rows if row.claim_id == entry.claim_id), None)
        return "gone" if row is None else row.state

    def _start(self, entry: Entry) -> str:
        """Start the container if its server died just before; what to tell when it does not."""
        request = models.ContainerRequest.model_validate_json(entry.request)
        if not request.start:
            return ""
        try:
            person = self._people.person(entry.uid)
            if self._containers.get(person, entry.name).state == "created":
                self._containers.start(person, entry.name)
        except CoreError as error:
            log.warning("ds01: %s, which waited, was not started: %s", entry.name, error.message)
            return f"It was not started: {error.message}"
        return ""
