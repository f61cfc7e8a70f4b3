"""Bringing the ledger in line with Docker without being asked: at start, on events, on a timer.

Every server does it for itself. That several do it on one ledger is fine: each only changes rows
that are still as it read them, and what one has written down another does not write again.
"""

from __future__ import annotations

import json
import logging
import sqlite3
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from ds01_jupyter.core import ledger_tables as tables
from ds01_jupyter.core.engine import ContainerSummary, Engine, GpuDevices, Watch
from ds01_jupyter.core.errors import CoreError, DriverUnavailable, NotFound
from ds01_jupyter.core.gpu.nvml import NvmlDriver
from ds01_jupyter.core.gpu.slots import SlotInfo
from ds01_jupyter.core.ledger import LeaseRow, Ledger
from ds01_jupyter.core.reconcile import RUNNING, Report, foreign_use, reconcile

EVERY = 60.0
"""Seconds between two rounds when nothing happens."""
PAUSE = 0.3
"""Seconds in which events are gathered for one round."""
AFTERWARDS = 3.0
"""Seconds after which one more round follows those that Docker's events asked for: Docker reports a
container's end before it has written it down, and a slow disk makes that late."""
AGAIN = (0.5, 1.0, 2.0, 5.0, 10.0)
"""Seconds before the next attempt, after the first, second, ... failure."""
STOP_TIMEOUT = 5.0
NOBODY = "-"

T = TypeVar("T")

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Foreign:
    """A container that uses slots without a lease, and the leases that it uses them against."""

    container: ContainerSummary
    slots: tuple[SlotInfo, ...]
    against: tuple[LeaseRow, ...]


class Reconciler:
    """Three daemon threads: one reconciles, one listens to Docker, and one looks for containers
    that use GPUs without a lease (apart, since a driver may hang).

    They never keep the process alive, outlive every absence of Docker or the ledger, and say so
    once when something goes away and once when it is back.
    """

    def __init__(
        self,
        ledger: Ledger,
        engine: Engine,
        driver: NvmlDriver,
        work: Callable[[], Report] | None = None,
        *,
        every: float = EVERY,
    ) -> None:
        """`work` is one round; by default that is `reconcile.reconcile`."""
        self._work = work or (
            lambda: reconcile(ledger, engine.list_containers, here=engine.identity())
        )
        self._ledger = ledger
        self._engine = engine
        self._driver = driver
        self._every = every
        self._stop = threading.Event()
        self._wake = threading.Event()
        self._seen = threading.Event()
        self._present: Sequence[ContainerSummary] = ()
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._watch: Watch | None = None
        self._trouble: dict[str, str] = {}
        self._foreign: dict[str, Foreign] = {}
        self.rounds = 0
        """How many rounds were made, for tests and for the curious."""

    def start(self) -> None:
        """Begin, unless it has begun or was closed."""
        with self._lock:
            if self._threads or self._stop.is_set():
                return
            work = {
                "ds01-reconcile": self._run,
                "ds01-docker-watch": self._listen,
                "ds01-foreign": self._look,
            }
            for name, target in work.items():
                thread = threading.Thread(target=target, name=name, daemon=True)
                self._threads.append(thread)
                thread.start()

    def close(self) -> None:
        """End both threads; waits a few seconds for them at most."""
        with self._lock:
            self._stop.set()
            self._wake.set()
            self._seen.set()
            if self._watch is not None:
                self._watch.close()
            threads = list(self._threads)
        for thread in threads:
            thread.join(STOP_TIMEOUT)

    # ---- one round -----------------------------------------------------------------------

    def once(self) -> Report | None:
        """Reconcile now. None: Docker or the ledger did not answer, and nothing was changed."""
        report = self._attempt("reconciling", self._work)
        self.rounds += 1
        if report is None:
            return None
        self._present = report.present
        self._seen.set()
        if report.changes:
            log.info(
                "ds01: released %s, adopted %s, active %s, held %s",
                *(
                    " ".join(names) or "nothing"
                    for names in (report.released, report.adopted, report.activated, report.held)
                ),
            )
        return report

    def look(self) -> None:
        """Write down who uses GPUs without a lease, as of the last round."""
        self._attempt("looking for foreign containers", lambda: self._note_foreign(self._present))

    def _look(self) -> None:
        while self._seen.wait() and not self._stop.is_set():
            self._seen.clear()
            self.look()

    def _attempt(self, doing: str, work: Callable[[], T]) -> T | None:
        try:
            result = work()
        except CoreError as error:
            self._failed(doing, error.message)
            return None
        except Exception as error:
            if self._failed(doing, repr(error)):
                log.exception("ds01: %s failed; it is tried again", doing)
            return None
        self._succeeded(doing)
        return result

    def _run(self) -> None:
        failures, woken = 0, False
        while not self._stop.is_set():
            report = self.once()
            failures = failures + 1 if report is None or report.passed else 0
            wait = self._every
            if failures:
                wait = min(wait, AGAIN[min(failures, len(AGAIN)) - 1])
            elif woken:
                wait = min(wait, AFTERWARDS)
            woken = self._wake.wait(wait)
            if woken:
                # Cleared first: what is reported from now on gets a round, and a pause, of its own.
                self._wake.clear()
                self._stop.wait(PAUSE)

    # ---- Docker's events -----------------------------------------------------------------

    def _listen(self) -> None:
        failures = 0
        while not self._stop.is_set():
            heard = False
            with self._lock:
                if self._stop.is_set():
                    return
                watch = self._watch = self._engine.watch_containers()
            try:
                for action in watch:
                    heard = heard or action == ""
                    self._succeeded("listening to Docker")
                    self._wake.set()
                problem = "Docker ended the stream of events."
            except CoreError as error:
                problem = error.message
            except Exception as error:  # a broken stream, however it broke
                problem = repr(error)
            watch.close()
            if self._stop.is_set():
                return
            failures = 0 if heard else failures + 1
            self._failed("listening to Docker", problem)
            self._stop.wait(AGAIN[min(failures, len(AGAIN) - 1)])

    # ---- containers without a lease --------------------------------------------------------

    def _note_foreign(self, present: Sequence[ContainerSummary]) -> None:
        """Write down, once, that somebody uses a slot without a lease, and that it has ended.

        Such a container is not touched: its slots count as busy (`reconcile.foreign_slots`).
        """
        try:
            inventory = self._driver.inventory()
        except DriverUnavailable:
            return
        slots = [slot for gpu in inventory.gpus for slot in gpu.slots]
        rows, leases = self._ledger.containers(), self._ledger.live_leases()
        found = {
            item.id: Foreign(item, used, _against(item, used, leases))
            for item, used in foreign_use(slots, rows, present, self._devices, leases)
        }
        for key, foreign in found.items():
            known = self._foreign.get(key)
            if known is not None and known.against == foreign.against:
                continue
            if self._still_runs(key):
                self._foreign[key] = foreign
                self._write("foreign.begin", foreign)
        for key in self._foreign.keys() - found.keys():
            self._write("foreign.end", self._foreign.pop(key))

    def _write(self, action: str, foreign: Foreign) -> None:
        name = foreign.container.full_name
        details = {
            "container": foreign.container.id,
            "slots": [slot.slot for slot in foreign.slots],
            "against": sorted({lease.full_name for lease in foreign.against}),
        }
        with self._ledger.writing() as connection:
            if _last(connection, name) == (action, details):
                return  # another server, or we before a restart
            for owner in sorted({lease.owner for lease in foreign.against}) or [NOBODY]:
                tables.insert_history(
                    connection, "reconciler", owner, action, name, "warned", details
                )
        if action == "foreign.begin":
            log.warning(
                "ds01: %s uses %s without a lease%s",
                name,
                ", ".join(slot.slot for slot in foreign.slots),
                f", against {', '.join(details['against'])}" if foreign.against else "",
            )

    def _still_runs(self, container: str) -> bool:
        # The list is older than the ledger's rows: it may have been removed, and its row with it.
        try:
            return self._engine.inspect_container(container).state in RUNNING
        except NotFound:
            return False

    def _devices(self, container: str) -> GpuDevices:
        try:
            return self._engine.gpu_devices(container)
        except NotFound:
            return ()

    # ---- what is said about it -------------------------------------------------------------

    def _failed(self, doing: str, problem: str) -> bool:
        """Say it unless it has been said; returns whether it was."""
        if self._stop.is_set() or self._trouble.get(doing) == problem:
            return False
        self._trouble[doing] = problem
        log.warning("ds01: %s: %s", doing, problem)
        return True

    def _succeeded(self, doing: str) -> None:
        if self._trouble.pop(doing, None) is not None:
            log.info("ds01: %s works again", doing)


def _against(
    item: ContainerSummary, used: Sequence[SlotInfo], leases: Sequence[LeaseRow]
) -> tuple[LeaseRow, ...]:
    whole = {slot.gpu_uuid for slot in used if slot.kind != "mig"}
    uuids = {slot.uuid for slot in used}
    return tuple(
        lease
        for lease in leases
        if lease.full_name != item.full_name
        and (lease.slot_uuid in uuids or lease.gpu_uuid in whole)
    )


def _last(connection: sqlite3.Connection, subject: str) -> tuple[str, Mapping[str, object]] | None:
    row = connection.execute(
        "SELECT action, details FROM history WHERE subject = ?"
        " AND action IN ('foreign.begin', 'foreign.end') ORDER BY id DESC LIMIT 1",
        (subject,),
    ).fetchone()
    return None if row is None else (row["action"], json.loads(row["details"]))
