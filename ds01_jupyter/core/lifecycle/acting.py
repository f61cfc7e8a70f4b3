"""Doing what is due: stopping, giving slots back, removing.

Right before anything is done, the ledger is asked in a transaction whether it is still due, and
Docker whether the container still is as it was. What was done is written with its reason, and the
owner is told, by whoever wrote it down first: doing it twice is harmless, telling it twice is not.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial

from ds01_jupyter.core import ledger_tables
from ds01_jupyter.core.builder import quietly
from ds01_jupyter.core.clock import Clock, Moment
from ds01_jupyter.core.engine import Engine
from ds01_jupyter.core.errors import Conflict, CoreError, NotFound
from ds01_jupyter.core.ledger import Ledger
from ds01_jupyter.core.lifecycle import tables, words
from ds01_jupyter.core.lifecycle.cases import Case, fresh, overdue
from ds01_jupyter.core.lifecycle.life import Life
from ds01_jupyter.core.lifecycle.looking import Looking, Seen
from ds01_jupyter.core.lifecycle.policy import LIMIT_OF, Due
from ds01_jupyter.core.lifecycle.standings import state_of
from ds01_jupyter.core.reconcile import RUNNING
from ds01_jupyter.core.units import format_duration

ACTOR = "lifecycle"
STOP_SECONDS = 2
"""What the container's first process gets to end in; all others have had the grace before."""
POLL = 0.2

log = logging.getLogger(__name__)


class Acting:
    """Does what is due to containers that are in the ledger, and to no others."""

    def __init__(
        self, ledger: Ledger, engine: Engine, clock: Clock, looking: Looking, grace: float
    ) -> None:
        """`grace`: seconds between asking processes to end (SIGTERM) and killing them."""
        self._ledger = ledger
        self._engine = engine
        self._clock = clock
        self._looking = looking
        self._grace = grace
        self._said: dict[tuple[str, str], str] = {}
        self.closing = threading.Event()
        """Set when this server stops: nothing that takes long is begun or gone on with."""

    # ---- stopping ------------------------------------------------------------------------

    def stop(self, due: Sequence[tuple[Case, Due]]) -> list[str]:
        """Stop containers: their processes are asked to end, all at the same time, then killed.

        Returns the claims of those that were.
        """
        begun = []
        for case, each in due:
            if self._attempt(case, "ending", partial(self._ask_to_end, case, each)):
                begun.append(case)
        if not self._wait(begun):
            for case in begun:
                self._take_back(case)  # the next server, or this one when it runs again, does it
            return []
        stopped = []
        for case in begun:
            if self._attempt(case, "stopping", partial(self._stop, case)):
                stopped.append(case.row.claim_id)
            else:
                self._take_back(case)
        return stopped

    def _ask_to_end(self, case: Case, due: Due) -> bool:
        """Write down that it is being stopped, and send SIGTERM; False when it is not due now."""
        now = self._clock.now()
        with self._ledger.writing() as connection:
            current = fresh(connection, case)
            if current is None or not _still(connection, current, due, now):
                return False
            tables.save_life(connection, replace(current.life, ending=due.what))
        assert case.row.container_id is not None
        with suppress(Conflict):  # it is paused, or has just ended
            self._engine.signal_all(case.row.container_id, "TERM")
        return True

    def _wait(self, cases: Sequence[Case]) -> bool:
        """Give them their time; False when this server is stopping meanwhile."""
        deadline = time.monotonic() + self._grace
        left = [case.row.container_id for case in cases if case.row.container_id]
        while left and time.monotonic() < deadline:
            if self.closing.wait(POLL):
                return False
            left = [one for one in left if self._has_work(one)]
        return True

    def _has_work(self, container: str) -> bool:
        try:
            usage = self._engine.usage(container)
        except CoreError:
            return False  # what is to be done about it, the stop will tell
        return usage.cpu is not None and usage.processes != 1

    def _stop(self, case: Case) -> bool:
        assert case.row.container_id is not None
        with self._ledger.reading() as connection:
            life = tables.life(connection, case.row.claim_id)
        details = self._engine.inspect_container(case.row.container_id)
        if life is None or life.ending is None or details.started != life.run:
            return False  # its owner was faster
        if details.state in RUNNING:
            self._engine.stop(details.id, STOP_SECONDS)
        seen = self._looking.end(case.row)
        with self._ledger.writing() as connection:
            write_seen(connection, case, seen, self._clock.now())
        return True

    def _take_back(self, case: Case) -> None:
        """It could not be stopped: whatever ends it now, it is not this."""
        with self._ledger.writing() as connection:
            life = tables.life(connection, case.row.claim_id)
            if life is not None and life.runs and life.ending is not None:
                tables.save_life(connection, replace(life, ending=None))

    # ---- afterwards ----------------------------------------------------------------------

    def release(self, case: Case) -> bool:
        """Give the slots of a stopped container back; the container stays."""
        return self._attempt(case, "releasing", partial(self._release, case))

    def _release(self, case: Case) -> bool:
        seen = self._looking.end(case.row)
        if state_of(seen.state) == "running":
            return False
        now = self._clock.now()
        with self._ledger.writing() as connection:
            current = self._unstarted(connection, case, seen, now)
            due = None if current is None else current.due("gpu_release", now)
            if current is None or due is None:
                return False
            claim = current.row.claim_id
            leases = [
                lease
                for lease in ledger_tables.leases_of(connection, claim)
                if lease.state != "released"
            ]
            if not leases or any(lease.state != "held" for lease in leases):
                return False  # somebody is starting it
            ledger_tables.move_leases(connection, claim, "released")
            slots = [lease.slot for lease in leases]
            _done(connection, current, due, now, "lease.release", slots=slots)
        return True

    def remove(self, case: Case) -> bool:
        """Remove a stopped container and its own image. What lies in its workspace stays."""
        return self._attempt(case, "removing", partial(self._remove, case))

    def _remove(self, case: Case) -> bool:
        row = case.row
        assert row.container_id is not None
        seen = self._looking.end(row)
        if state_of(seen.state) == "running":
            return False
        now = self._clock.now()
        with self._ledger.writing() as connection:
            current = self._unstarted(connection, case, seen, now)
            due = None if current is None else current.due("removal", now)
        if current is None or due is None:
            return False
        image = self._engine.inspect_container(row.container_id).image
        try:
            self._engine.remove_container(row.container_id)
        except Conflict:
            return False  # it was started just now, or somebody is removing it
        with self._ledger.writing() as connection:
            if fresh(connection, case) is None:
                return False  # somebody has written it down already
            ledger_tables.move_leases(connection, row.claim_id, "released")
            ledger_tables.delete_container(connection, row.claim_id)
            _done(connection, current, due, now, "container.remove")
        if image.endswith(f":{row.full_name}"):  # its own, and no other's
            quietly(self._engine.remove_image, image)
        return True

    def _unstarted(
        self, connection: sqlite3.Connection, case: Case, seen: Seen, now: Moment
    ) -> Case | None:
        """The case as it is now, with the end of a run that nobody had seen written into it."""
        if fresh(connection, case) is None:
            return None
        write_seen(connection, case, seen, now)
        current = fresh(connection, case)
        assert current is not None
        return replace(current, standing=replace(current.standing, state=state_of(seen.state)))

    # ---- trouble -------------------------------------------------------------------------

    def _attempt(self, case: Case, doing: str, work: Callable[[], bool]) -> bool:
        """Do something to one container; what goes wrong is said once and keeps nobody else."""
        try:
            done = work()
        except NotFound:
            return False  # gone meanwhile; the reconciler sees to the rest
        except CoreError as error:
            self.trouble(case, doing, error)
            return False
        self._said.pop((case.row.claim_id, doing), None)
        return done

    def trouble(self, case: Case, doing: str, error: CoreError) -> None:
        """Say once what went wrong with a container."""
        key = (case.row.claim_id, doing)
        if self._said.get(key) != error.message:
            self._said[key] = error.message
            log.warning("ds01: %s %s: %s", doing, case.row.full_name, error.message)


def _still(connection: sqlite3.Connection, case: Case, due: Due, now: Moment) -> bool:
    return any(each.what == due.what for each in overdue(case, tables.warnings(connection), now))


def write_seen(connection: sqlite3.Connection, case: Case, seen: Seen, now: Moment) -> Life:
    """Write a look onto the life that the ledger has by now, and return it.

    When it shows that what we are stopping has stopped, that is written down, and told, once.
    """
    known = tables.life(connection, case.row.claim_id)
    before = known or case.life
    life = seen.change(before)
    if life != known:
        tables.save_life(connection, life)
    if before.runs and not life.runs:
        ledger_tables.move_leases(connection, case.row.claim_id, "held")
        if life.ending is not None:
            key = LIMIT_OF.get(life.ending)
            limit = getattr(case.limits, key) if case.limits is not None and key else None
            reason = case.eviction.words if case.eviction and key is None else ""
            due = Due(life.ending, None, limit, key, reason)
            _done(connection, case, due, now, "container.stop", ran=round(life.ran))
    return life


def _done(
    connection: sqlite3.Connection,
    case: Case,
    due: Due,
    now: Moment,
    action: str,
    **details: object,
) -> None:
    row = case.row
    limit = None if due.limit is None else due.limit.total_seconds()
    ledger_tables.insert_history(
        connection,
        ACTOR,
        row.owner,
        action,
        row.full_name,
        "done",
        {"claim": row.claim_id, "why": due.what, "key": due.key, "limit": limit, **details},
    )
    shown = f"{due.key} {format_duration(due.limit)}" if due.key and due.limit is not None else ""
    said = words.done(due.what, row.name, limit=shown, words=due.words)
    tables.add_notice(
        connection,
        row.uid,
        "done",
        due.what,
        said.message,
        hint=said.hint,
        container=row.name,
        at=now.wall,
        time=now.wall,
    )
