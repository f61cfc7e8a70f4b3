"""Long work followed from here: operations of the server, one after the other, in a thread."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from ds01_jupyter.client import FINAL, Client
from ds01_jupyter.client_error import ClientError
from ds01_jupyter.core.models import Operation, OperationEvent, QueueEntry, StepProgress
from ds01_jupyter.queue_watch import QueueWatch, kept

if TYPE_CHECKING:
    from ds01_jupyter.render import View

log = logging.getLogger(__name__)

MAX_LOG = 5_000
SLICE = 0.25
CANCEL_PATIENCE = 30.0
"""Seconds to wait for the server to stop what was interrupted."""


@dataclass(frozen=True)
class Step:
    """One operation: what it is for people, and how it is begun.

    `begin` may answer with a place in the queue, whose operation begins when its turn comes;
    `waits` says that it might. `repair` is said when it fails although the steps before it
    succeeded. `tell` makes the answer of the operation that ended well, where the usual one would
    not do.
    """

    title: str
    begin: Callable[[Client], Operation | QueueEntry]
    repair: str = ""
    waits: bool = False
    tell: Callable[[Operation], View] | None = None


class Listener(Protocol):
    """What shows the work. Called in the work's thread."""

    def changed(self, work: Work, line: str | None = None) -> None:
        """The state or progress changed, or a `line` of the log came."""


class Work:
    """Operations that follow each other; shows where they stand, can be waited for and cancelled.

    `state` is `running` or the final state of the last operation that ran; `error` says why it
    did not succeed. `operations` holds what was begun so far, `number` counts the steps from 0.
    `place` is where it stands in the queue while it waits for its turn, None otherwise.
    """

    def __init__(self, client: Client, steps: Sequence[Step], *, owned: bool = True) -> None:
        """`owned`: interrupting `wait` cancels it; otherwise it only stops looking."""
        self.steps = tuple(steps)
        self.number = 0
        self.operations: list[Operation] = []
        self.state = "running"
        self.error: ClientError | None = None
        self.progress: StepProgress | None = None
        self.log: deque[str] = deque(maxlen=MAX_LOG)
        self.last_line = ""
        self.place: QueueEntry | None = None
        self._owned = owned
        self._client = client
        self._listeners: list[Listener] = []
        self._lock = threading.Lock()
        self._cancelled = False
        self._watch: QueueWatch | None = None
        self._ended = False
        self._done = threading.Event()

    # ---- what a person uses ----------------------------------------------------------------

    @property
    def done(self) -> bool:
        """Whether it has ended."""
        return self._ended

    @property
    def cancelling(self) -> bool:
        """Whether it was asked to stop and has not ended yet."""
        return self._cancelled and not self._ended

    @property
    def title(self) -> str:
        """What it is doing now."""
        return self.step.title

    @property
    def step(self) -> Step:
        """The step that it is at."""
        return self.steps[self.number]

    def wait(self, timeout: float | None = None) -> Work:
        """Wait for the end, at most `timeout` seconds; interrupting it cancels the work.

        A place in the queue is kept then: only watching it ends. Raises `ClientError` when the
        work failed, was cancelled or interrupted.
        """
        end = None if timeout is None else time.monotonic() + timeout
        try:
            # In slices: a signal that another thread takes does not wake a waiting lock.
            while not self._done.wait(SLICE) and (end is None or time.monotonic() < end):
                pass
        except KeyboardInterrupt:
            self._interrupted()
        if self.error is not None:
            raise self.error
        return self

    def cancel(self) -> Work:
        """Ask the server to stop; what was half made is removed there, a place in the queue is
        given up."""
        with self._lock:
            self._cancelled = True
            watch = self._watch
            running = self.operations[-1] if self.operations and not self.done else None
        self._tell()
        if watch is not None:
            watch.leave()
        elif running is not None:
            self._client.cancel_operation(running.id)
        return self

    def __repr__(self) -> str:
        what = f"{self.title}: {self.state}"
        if self.error:
            return f"{what} - {self.error}"
        if self.place is not None and not self.done:
            return f"{what} - in the queue, place {self.place.position or '-'}"
        if self.progress and not self.done:
            share = self.progress.fraction
            percent = "" if share is None else f" {share:.0%}"
            return f"{what} - {self.progress.phase}{percent}"
        return what

    # ---- how it runs -----------------------------------------------------------------------

    def listen(self, listener: Listener) -> None:
        """Tell `listener` what happens from now on."""
        self._listeners.append(listener)

    def start(self) -> Work:
        """Begin, in a thread of its own."""
        threading.Thread(target=self._run, name="ds01-work", daemon=True).start()
        return self

    def _run(self) -> None:
        try:
            for number, step in enumerate(self.steps):
                self.number = number
                ended = self._follow(step)
                if ended.state != "succeeded":
                    self.state = ended.state
                    self.error = self._repaired(_error_of(ended))
                    break
            else:
                self.state = "succeeded"
        except ClientError as error:
            self.state = "cancelled" if error.code == "cancelled" else "failed"
            self.error = self._repaired(error)
        except Exception as error:
            log.exception("following %s", self.title)
            self.state = "failed"
            self.error = ClientError(f"Unexpected error: {error!r}", code="internal_error")
        finally:
            self._ended = True
            # What shows the work has its last word before those who wait go on.
            self._tell()
            self._done.set()

    def _follow(self, step: Step) -> Operation:
        if self._begin_cancelled():
            raise ClientError(f"{step.title}: cancelled.", code="cancelled")
        self.progress, self.last_line = None, ""
        self._tell()
        begun = step.begin(self._client)
        operation = self._turn(begun) if isinstance(begun, QueueEntry) else begun
        if self._begin_cancelled(operation):
            # Asked for while the request was on its way.
            self._client.cancel_operation(operation.id)
        self._tell()
        ended = self._client.wait(operation, self._event)
        self.operations[-1] = ended
        return ended

    def _begin_cancelled(self, operation: Operation | None = None) -> bool:
        """Note what was begun; whether cancelling was asked for before."""
        with self._lock:
            if operation is not None:
                self.operations.append(operation)
                self._watch = self.place = None
            return self._cancelled

    def _turn(self, entry: QueueEntry) -> Operation:
        """Wait in the queue; the operation that begins when it is the entry's turn."""

        def told(now: QueueEntry) -> None:
            self.place = now
            self._tell()

        with self._lock:
            self._watch = watch = QueueWatch(self._client, entry, told)
            if self._cancelled:
                watch.leave()
        operation = watch.run()
        assert operation is not None, "nobody stops it: it is left or comes to its turn"
        return operation

    def _event(self, event: OperationEvent) -> None:
        if event.kind == "progress":
            self.progress = event.progress
        if event.kind == "log" and event.text is not None:
            self.log.append(event.text)
            self.last_line = event.text.strip() or self.last_line
        if event.kind != "state" or event.state not in FINAL:
            self._tell(event.text if event.kind == "log" else None)

    def _repaired(self, error: ClientError) -> ClientError:
        """What to do although the steps before this one are done."""
        if self.number and self.step.repair:
            error.hint = f"{error.hint} {self.step.repair}".strip()
        return error

    def _interrupted(self) -> None:
        ended = self._done.is_set()
        place = self.place
        if not ended and place is not None:
            self.error = kept(self.title, place)
            return
        if not ended and self._owned:
            self.cancel()
            ended = self._done.wait(CANCEL_PATIENCE)
        if ended and self.state in ("succeeded", "failed"):
            return
        if ended:
            message = f"Interrupted: {self.title} was cancelled."
            hint = "Nothing half made is left; the same command begins again."
        else:
            message = f"Interrupted: {self.title} still runs on the server."
            hint = f"Its operation is {self.operations[-1].id}." if self.operations else ""
        self.error = ClientError(message, hint=hint, code="interrupted")

    def _tell(self, line: str | None = None) -> None:
        for listener in list(self._listeners):
            try:
                listener.changed(self, line)
            except Exception:
                # Showing the work must not stop it.
                log.exception("showing %s", self.title)
                self._listeners.remove(listener)


def _error_of(ended: Operation) -> ClientError:
    """Why an operation did not succeed."""
    document = ended.error
    if document is None:
        return ClientError(f"{ended.title}: {ended.state}.", code=ended.state)
    return ClientError(
        document.message, hint=document.hint, code=document.code, details=document.details
    )
