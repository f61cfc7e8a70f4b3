"""One piece of long work: its state, its events, who listens, and how it is stopped."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Literal, Protocol

from ds01_jupyter.core.engine import Amount
from ds01_jupyter.core.errors import Cancelled, CoreError
from ds01_jupyter.core.identity import Person
from ds01_jupyter.core.models import (
    ErrorDocument,
    Operation,
    OperationEvent,
    OperationState,
    StepProgress,
)
from ds01_jupyter.core.operation_events import FINAL, Listener

log = logging.getLogger(__name__)

MAX_EVENTS = 5_000
MAX_LINE = 16_384

Work = Callable[["Progress"], dict[str, Any]]


class OperationStore(Protocol):
    """What remembers outcomes over a restart (the ledger)."""

    def save_operation(self, operation: Operation, uid: int) -> None:
        """Write the operation's present state."""

    def load_operations(self, uid: int) -> list[Operation]:
        """A person's remembered operations, newest first; those of dead processes `interrupted`."""


class Progress:
    """What a piece of work uses to report, and to learn that it should stop."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._amount: dict[str, Any] = {}

    def measure(self, amount: Amount) -> None:
        """Give the figures that go with the next `step`."""
        self._amount = asdict(amount)

    def step(self, phase: str, fraction: float | None = None, detail: str = "") -> None:
        """Say where the work stands; raises `Cancelled` when it was cancelled."""
        self.check()
        amount, self._amount = self._amount, {}
        self._job.report(StepProgress(phase=phase, fraction=fraction, detail=detail, **amount))

    def log(self, text: str) -> None:
        """Pass a line of output on; a line above 16 KiB is cut."""
        self._job.emit(kind="log", text=text[:MAX_LINE])

    def check(self) -> None:
        """Raise `Cancelled` when a person asked for it."""
        if self._job.cancelled.is_set():
            raise Cancelled("The operation was cancelled.")

    def on_cancel(self, action: Callable[[], None]) -> None:
        """Register what interrupts the present wait (closing a build's stream, say).

        It runs at once when the operation is cancelled already, and never after the work ended.
        """
        self._job.on_cancel(action)


class Job:
    """One operation of this process: its state, its events, and who listens."""

    poll: float | None = None

    def __init__(
        self,
        operation: Operation,
        person: Person,
        store: OperationStore,
        work: Work,
        undo: Callable[[], None] | None,
    ) -> None:
        self.operation = operation
        self.person = person
        self.cancelled = threading.Event()
        self.events: deque[OperationEvent] = deque(maxlen=MAX_EVENTS)
        self._lock = threading.Lock()
        self._store = store
        self._work = work
        self._undo = undo
        self._next = 1
        self._taken = False
        self._interrupts: list[Callable[[], None]] = []
        self._listeners: list[Listener] = []

    # ---- events --------------------------------------------------------------------------

    def since(self, seen: int) -> tuple[list[OperationEvent], bool]:
        """See `EventSource.since`."""
        with self._lock:
            first = self._next - len(self.events)
            fresh = list(islice(self.events, max(0, seen + 1 - first), None))
            return fresh, self.operation.state in FINAL

    def listen(self, listener: Listener) -> None:
        """See `EventSource.listen`."""
        with self._lock:
            self._listeners.append(listener)

    def forget(self, listener: Listener) -> None:
        """See `EventSource.forget`."""
        with self._lock:
            if listener in self._listeners:
                self._listeners.remove(listener)

    def emit(
        self,
        *,
        kind: Literal["progress", "log", "state"],
        text: str | None = None,
        progress: StepProgress | None = None,
        operation: Operation | None = None,
    ) -> None:
        """Append an event; `operation` is what the operation becomes with it.

        Both happen under one lock: who sees a final state can also see its event.
        """
        with self._lock:
            if operation is not None:
                self.operation = operation
            self.events.append(
                OperationEvent(
                    id=self._next,
                    time=datetime.now(UTC),
                    kind=kind,
                    text=text,
                    progress=progress,
                    state=self.operation.state if kind == "state" else None,
                )
            )
            self._next += 1
            listeners = list(self._listeners)
        for listener in listeners:
            try:
                listener()
            except Exception:
                # A listener that went away (a stopped event loop) is no reason to stop the work.
                log.debug("a listener of operation %s failed", self.operation.id, exc_info=True)

    def report(self, progress: StepProgress) -> None:
        """Say where the work stands."""
        update = self.operation.model_copy(update={"progress": progress})
        self.emit(kind="progress", progress=progress, operation=update)

    # ---- cancelling ----------------------------------------------------------------------

    def on_cancel(self, action: Callable[[], None]) -> None:
        """See `Progress.on_cancel`."""
        with self._lock:
            self._interrupts.append(action)
            due = self.cancelled.is_set()
        if due:
            action()

    def cancel(self) -> None:
        """Stop the work: at once when it has not begun, else at its next step."""
        with self._lock:
            if self.cancelled.is_set() or self.operation.state in FINAL:
                return
            self.cancelled.set()
            begun, self._taken = self._taken, True
            actions = list(self._interrupts)
        if not begun:
            self._abandon()
        for action in actions:
            self._attempt(action, "interrupting")

    def _abandon(self) -> None:
        if self._undo is not None:
            self._attempt(self._undo, "undoing")
        self._finish("cancelled", error=Cancelled("The operation was cancelled before it began."))

    def _attempt(self, action: Callable[[], None], doing: str) -> None:
        try:
            action()
        except Exception:
            log.exception("%s operation %s", doing, self.operation.id)

    # ---- running -------------------------------------------------------------------------

    def refuse(self, error: BaseException) -> None:
        """Let work that has not begun fail: its turn could not be waited for."""
        with self._lock:
            begun, self._taken = self._taken, True
        if begun:
            return
        if self._undo is not None:
            self._attempt(self._undo, "undoing")
        self._fail(error)

    def run(self) -> None:
        """Do the work, once; whatever comes of it becomes the operation's outcome."""
        with self._lock:
            begun, self._taken = self._taken, True
        if begun:
            return
        try:
            self._move("running")
            result = self._work(Progress(self))
        except BaseException as error:
            self._fail(error)
        else:
            self._finish("succeeded", result=result)
        finally:
            with self._lock:
                self._interrupts.clear()

    def _fail(self, error: BaseException) -> None:
        if isinstance(error, Cancelled):
            self._finish("cancelled", error=error)
            return
        if not isinstance(error, CoreError):
            log.error("operation %s failed", self.operation.id, exc_info=error)
            hint = "This is a defect; the server's log has the traceback."
            error = CoreError(f"Unexpected error: {error!r}", hint=hint)
        if self.cancelled.is_set():
            # Interrupting a wait (a closed stream) surfaces as an error of whatever waited.
            log.info("operation %s, cancelled, ended with: %s", self.operation.id, error)
            told = Cancelled("The operation was cancelled.", ended_with=error.document())
            self._finish("cancelled", error=told)
            return
        self._finish("failed", error=error)

    def _move(self, state: OperationState, **update: Any) -> None:
        """Save the new state, then show it; it is shown even if it could not be saved."""
        operation = self.operation.model_copy(update={"state": state, **update})
        try:
            self._store.save_operation(operation, self.person.uid)
        finally:
            self.emit(kind="state", operation=operation)

    def _finish(
        self,
        state: OperationState,
        *,
        result: dict[str, Any] | None = None,
        error: CoreError | None = None,
    ) -> None:
        document = ErrorDocument(**error.document()) if error else None
        try:
            self._move(state, finished=datetime.now(UTC), result=result, error=document)
        except Exception:
            log.exception("the outcome of operation %s could not be saved", self.operation.id)
