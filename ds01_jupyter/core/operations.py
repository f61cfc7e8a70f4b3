"""Long work: it has an id, a state, events in order, and can be cancelled.

The work runs in a thread of this process; its outcome goes to the ledger, so that a restart can
tell what became of it. Work that a dead process left behind is reported as `interrupted`.
"""

from __future__ import annotations

import logging
import queue
import secrets
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime

from ds01_jupyter.core.errors import Conflict, NotFound, ShuttingDown
from ds01_jupyter.core.identity import Person
from ds01_jupyter.core.models import Operation, OperationKind
from ds01_jupyter.core.operation_events import FINAL, EventStream, RememberedSource
from ds01_jupyter.core.operation_job import Job, OperationStore, Progress, Work

__all__ = ["FINAL", "EventStream", "OperationStore", "Operations", "Progress", "Work"]

log = logging.getLogger(__name__)

Gate = Callable[[Progress], AbstractContextManager[None]]
"""What work passes before it begins: entering waits for its turn, leaving gives the turn back."""

MAX_KEPT = 200
CLOSE_TIMEOUT = 30.0


def new_id() -> str:
    """A number for an operation to be: 16 hexadecimal digits."""
    return secrets.token_hex(8)


class Operations:
    """All long work of this process.

    At most `parallel` operations run at once; the others are queued. Those with a gate of their
    own wait there, and take no place from the others. The threads are daemons:
    work that does not heed a cancel cannot keep the server from stopping.
    """

    def __init__(self, store: OperationStore, *, parallel: int = 4) -> None:
        self._store = store
        self._parallel = parallel
        self._queue: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._gated: set[threading.Thread] = set()
        self._jobs: dict[str, Job] = {}
        self._lock = threading.Lock()
        self._closed = False

    def start(
        self,
        person: Person,
        kind: OperationKind,
        title: str,
        work: Work,
        *,
        undo: Callable[[], None] | None = None,
        operation_id: str | None = None,
        gate: Gate | None = None,
    ) -> Operation:
        """Queue `work` for `person`; its returned dict becomes the operation's `result`.

        `undo` gives back what the caller took for the work, should it be cancelled before it
        began (work that has begun cleans up after itself). `operation_id` is for who has written it
        down before (16 hexadecimal digits). Raises `ShuttingDown` after `close`.
        """
        operation = Operation(
            id=operation_id or new_id(),
            kind=kind,
            title=title,
            owner=person.name,
            state="queued",
            created=datetime.now(UTC),
        )
        self._refuse_when_closed()
        self._store.save_operation(operation, person.uid)
        job = Job(operation, person, self._store, work, undo)
        with self._lock:
            self._refuse_when_closed()
            self._jobs[operation.id] = job
            self._forget_old()
            if gate is None:
                self._queue.put(job)
                self._add_thread()
            else:
                self._add_gated(job, gate)
        return operation

    def list(self, person: Person) -> list[Operation]:
        """A person's operations, newest first, those of other processes included."""
        with self._lock:
            mine = {
                key: job.operation
                for key, job in self._jobs.items()
                if job.person.uid == person.uid
            }
        for remembered in self._store.load_operations(person.uid):
            mine.setdefault(remembered.id, remembered)
        return sorted(mine.values(), key=lambda operation: operation.created, reverse=True)

    def get(self, person: Person, operation_id: str) -> Operation:
        """One operation of `person`; `NotFound` for anybody else's."""
        job = self._find(person, operation_id)
        return job.operation if job is not None else self._remembered(person, operation_id)

    def cancel(self, person: Person, operation_id: str) -> Operation:
        """Ask the work to stop; an operation that has ended stays as it is.

        Raises `NotFound`, and `Conflict` for work that runs in another process.
        """
        job = self._find(person, operation_id)
        if job is not None:
            job.cancel()
            return job.operation
        operation = self._remembered(person, operation_id)
        if operation.state not in FINAL:
            raise Conflict(
                f"Operation {operation_id} runs in another Jupyter server of yours.",
                hint="Cancel it there, or stop that server.",
            )
        return operation

    def events(
        self, person: Person, operation_id: str, *, after: int = 0, timeout: float = 15.0
    ) -> EventStream:
        """The events with an id above `after`, until the operation has ended.

        Iterating yields None after every `timeout` seconds without an event, so that a caller
        can keep a connection alive or leave. Raises `NotFound` for anybody else's.
        """
        job = self._find(person, operation_id)
        source = job or RememberedSource(lambda: self._remembered(person, operation_id))
        return EventStream(source, after=after, timeout=timeout)

    def at_work(self, operation_id: str) -> bool:
        """Whether this process works on an operation, or is about to."""
        with self._lock:
            job = self._jobs.get(operation_id)
        return job is not None and job.operation.state not in FINAL

    def close(self, timeout: float = CLOSE_TIMEOUT) -> bool:
        """Cancel what still runs and wait for it, so that nothing half-made is left behind.

        Waits `timeout` seconds at most; returns whether everything has ended. What has not is
        `interrupted` once this process is gone.
        """
        deadline = time.monotonic() + timeout
        with self._lock:
            self._closed = True
            jobs, threads = list(self._jobs.values()), list(self._threads)
            gated = list(self._gated)
        for job in jobs:
            job.cancel()
        for _ in threads:
            self._queue.put(None)
        for thread in (*threads, *gated):
            thread.join(max(0.0, deadline - time.monotonic()))
        late = [job.operation.id for job in jobs if job.operation.state not in FINAL]
        if late:
            log.warning("operations still running after %g s: %s", timeout, ", ".join(late))
        return not late

    # ---- helpers -------------------------------------------------------------------------

    def _refuse_when_closed(self) -> None:
        if self._closed:
            raise ShuttingDown("The server is stopping.", hint="Try again when it runs again.")

    def _add_thread(self) -> None:
        if len(self._threads) < self._parallel:
            name = f"ds01-operation-{len(self._threads)}"
            thread = threading.Thread(target=self._serve, name=name, daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self) -> None:
        while (job := self._queue.get()) is not None:
            job.run()

    def _add_gated(self, job: Job, gate: Gate) -> None:
        name = f"ds01-operation-{job.operation.id}"
        thread = threading.Thread(target=self._pass, args=(job, gate), name=name, daemon=True)
        self._gated.add(thread)
        thread.start()

    def _pass(self, job: Job, gate: Gate) -> None:
        try:
            with gate(Progress(job)):
                job.run()
        except BaseException as error:
            job.refuse(error)  # a cancelled one has ended already
        finally:
            with self._lock:
                self._gated.discard(threading.current_thread())

    def _remembered(self, person: Person, operation_id: str) -> Operation:
        for remembered in self._store.load_operations(person.uid):
            if remembered.id == operation_id:
                return remembered
        raise NotFound(f"There is no operation {operation_id}.", hint="`%ds01 status` lists yours.")

    def _find(self, person: Person, operation_id: str) -> Job | None:
        with self._lock:
            job = self._jobs.get(operation_id)
        return job if job is not None and job.person.uid == person.uid else None

    def _forget_old(self) -> None:
        ended = [key for key, job in self._jobs.items() if job.operation.state in FINAL]
        for key in ended[: max(0, len(self._jobs) - MAX_KEPT)]:
            del self._jobs[key]
