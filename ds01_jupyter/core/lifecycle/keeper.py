"""Looking after the time of all containers: who idles, who has run for long enough, what is warned
of, and what is due. Every server does it for the whole ledger; that several do changes nothing.

A round looks (Docker and the GPUs are asked), writes what it saw, warns, and then does what is due.
Each look is written onto the life that the ledger has by then, so that no second is counted twice.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence

from ds01_jupyter.core import ledger_tables
from ds01_jupyter.core.engine import ContainerSummary, Engine
from ds01_jupyter.core.errors import ConfigurationError, CoreError, NotFound
from ds01_jupyter.core.gpu.board import GpuBoard
from ds01_jupyter.core.ledger import ContainerRow
from ds01_jupyter.core.lifecycle import tables
from ds01_jupyter.core.lifecycle.acting import Acting, write_seen
from ds01_jupyter.core.lifecycle.cases import Case, fresh, overdue
from ds01_jupyter.core.lifecycle.life import Thresholds
from ds01_jupyter.core.lifecycle.lives import Lives
from ds01_jupyter.core.lifecycle.looking import Looking, Seen
from ds01_jupyter.core.lifecycle.policy import STOPS, Eviction
from ds01_jupyter.core.lifecycle.standings import Books, read_books
from ds01_jupyter.core.lifecycle.telling import warn, write_files
from ds01_jupyter.core.limit_merge import PersonLimits
from ds01_jupyter.core.ticker import Ticker

EVERY = 20.0
"""Seconds between two rounds: a third of the minute to which everything is exact."""
AGED = 180
"""After so many rounds (an hour) old notices are dropped."""
GRACE = 10.0

Present = Sequence[tuple[ContainerRow, ContainerSummary]]


class Keeper:
    """One daemon thread that makes a round every `every` seconds."""

    def __init__(
        self,
        lives: Lives,
        engine: Engine,
        board: GpuBoard,
        *,
        thresholds: Thresholds,
        grace: float = GRACE,
        every: float = EVERY,
    ) -> None:
        """`thresholds` say from where on a container works, `grace` how many seconds its processes
        get to end in before they are killed."""
        self._lives = lives
        self._ledger = ledger = lives.ledger
        self._engine = engine
        self._clock = lives.clock
        self._looking = Looking(engine, board, self._clock, thresholds, fresh=every / 2)
        self._acting = Acting(ledger, engine, self._clock, self._looking, grace)
        self._ticker = Ticker("looking after containers", every, self.round)
        self._one_at_a_time = threading.Lock()
        self._rounds = 0

    def start(self) -> None:
        """Begin, unless it has begun or was closed."""
        self._ticker.start()

    def wake(self) -> None:
        """Make the next round now, in the thread."""
        self._ticker.wake()

    def close(self) -> None:
        """End the thread; waits a few seconds for it at most."""
        self._acting.closing.set()
        self._ticker.close()

    def round(self) -> None:
        """One round, here and now.

        Raises what keeps it from being made (`EngineUnavailable`, `LedgerUnavailable`), or, after
        everybody else has been looked after, what is wrong with somebody's limits
        (`ConfigurationError`): by those nothing is done to that person's containers.
        """
        with self._one_at_a_time:
            problem = self._round()
        if problem is not None:
            raise problem

    def _round(self) -> ConfigurationError | None:
        self._rounds += 1
        rows = self._ledger.containers()
        with self._ledger.reading() as connection:
            books = read_books(connection)
        self._forget(rows, books)
        made = [row for row in rows if row.state == "present"]
        if not made:
            write_files(self._ledger, [], self._clock.now())
            return None
        by_id = {item.id: item for item in self._engine.list_containers()}
        present = [
            (row, by_id[row.container_id or ""]) for row in made if row.container_id in by_id
        ]
        limits, problem = self._limits({row.uid for row in made})
        evictions = self._lives.evictions()
        states = self._look(present, books, limits, evictions)

        def cases() -> list[Case]:
            return self._cases(present, states, limits, evictions)

        now = self._clock.now()
        warnings = warn(self._ledger, cases(), now)
        stopped = self._acting.stop(
            [
                (case, due)
                for case in cases()
                for due in overdue(case, warnings, now)[:1]
                if due.what in STOPS
            ]
        )
        if stopped:
            states |= dict.fromkeys(stopped, "exited")
            warn(self._ledger, cases(), self._clock.now())
        for case in cases():
            self._settle(case)
        write_files(self._ledger, cases(), self._clock.now())
        return problem

    # ---- looking -------------------------------------------------------------------------

    def _look(
        self,
        present: Present,
        books: Books,
        limits: Mapping[int, PersonLimits | None],
        evictions: Mapping[str, Eviction],
    ) -> dict[str, str]:
        """Look at all of them and write what was seen, in one transaction; returns Docker's word
        on the state of each, by claim."""
        gpus = self._looking.glance()
        seen: list[tuple[Case, Seen]] = []
        states = {}
        for row, summary in present:
            case = self._case(row, summary.state, books, limits, evictions)
            states[row.claim_id] = summary.state
            try:
                look = self._looking.look(row, summary, books, gpus)
            except NotFound:
                del states[row.claim_id]  # removed since the list was taken
                continue
            except CoreError as error:
                self._acting.trouble(case, "looking at", error)
                continue
            if look is not None:
                seen.append((case, look))
                states[row.claim_id] = look.state
        if seen:
            now = self._clock.now()
            with self._ledger.writing() as connection:
                for case, look in seen:
                    if fresh(connection, case) is not None:
                        write_seen(connection, case, look, now)
        return states

    def _cases(
        self,
        present: Present,
        states: Mapping[str, str],
        limits: Mapping[int, PersonLimits | None],
        evictions: Mapping[str, Eviction],
    ) -> list[Case]:
        with self._ledger.reading() as connection:
            books = read_books(connection)
            there = {row.claim_id: row for row in ledger_tables.containers(connection)}
        return [
            self._case(row, states[row.claim_id], books, limits, evictions)
            for row, _ in present
            if row.claim_id in states
            and row.claim_id in books.lives
            and there.get(row.claim_id) == row
        ]

    @staticmethod
    def _case(
        row: ContainerRow,
        state: str,
        books: Books,
        limits: Mapping[int, PersonLimits | None],
        evictions: Mapping[str, Eviction],
    ) -> Case:
        standing = books.standing(row, state)
        return Case(row, standing, limits[row.uid], evictions.get(row.claim_id))

    def _limits(
        self, uids: set[int]
    ) -> tuple[dict[int, PersonLimits | None], ConfigurationError | None]:
        """Everybody's limits, and the first mistake that was met. Asked outside of any
        transaction: a name service may be far away."""
        limits: dict[int, PersonLimits | None] = {}
        problem = None
        for uid in sorted(uids):
            try:
                limits[uid] = self._lives.limits_of(uid)
            except ConfigurationError as error:
                limits[uid], problem = None, problem or error
        return limits, problem

    # ---- doing ---------------------------------------------------------------------------

    def _settle(self, case: Case) -> None:
        """Give back or remove what is due, now that everything that had to stop has stopped."""
        now = self._clock.now()
        if case.standing.state == "running":
            return
        if case.due("removal", now):
            self._acting.remove(case)
        elif case.due("gpu_release", now):
            self._acting.release(case)

    def _forget(self, rows: Sequence[ContainerRow], books: Books) -> None:
        """Drop what is left of containers that are gone, and notices that are too old."""
        gone = books.lives.keys() - {row.claim_id for row in rows}
        aged = self._rounds % AGED == 1
        if gone or aged:
            with self._ledger.writing() as connection:
                tables.forget_gone(connection)
                if aged:
                    tables.forget_notices(connection, self._clock.now())
