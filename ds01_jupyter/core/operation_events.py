"""The events of one operation, for a thread that waits or for an event loop that is called.

Two kinds of source feed a stream: an operation of this process, which calls its listeners, and
one that the ledger remembers (of an earlier process, or of another one that still runs), which
has to be asked again.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Protocol

from ds01_jupyter.core.models import Operation, OperationEvent

FINAL: frozenset[str] = frozenset({"succeeded", "failed", "cancelled", "interrupted"})
POLL = 1.0
"""Seconds between two looks at an operation that another process runs."""

Listener = Callable[[], None]


class EventSource(Protocol):
    """Where a stream gets its events."""

    poll: float | None
    """Seconds after which to ask again; None when listeners are called."""

    @property
    def operation(self) -> Operation:
        """The operation as it stands."""

    def since(self, seen: int) -> tuple[list[OperationEvent], bool]:
        """The events with an id above `seen`, and whether no more can follow."""

    def listen(self, listener: Listener) -> None:
        """Call `listener` (from any thread) after every event."""

    def forget(self, listener: Listener) -> None:
        """Stop calling `listener`."""


class EventStream(Iterator[OperationEvent | None]):
    """The events of one operation with an id above `after`, each one once.

    A thread iterates: the next event is waited for, and None comes after every `timeout` seconds
    of silence, so that a caller can keep a connection alive or leave. An event loop calls
    `take`, which never waits for an event, and is told by `subscribe` when to do so.
    """

    def __init__(self, source: EventSource, *, after: int = 0, timeout: float = 15.0) -> None:
        self._source = source
        self._seen = after
        self._timeout = timeout
        self._ready: list[OperationEvent] = []
        self._ended = False

    @property
    def operation(self) -> Operation:
        """The operation as it stands now."""
        return self._source.operation

    @property
    def ended(self) -> bool:
        """Whether everything was taken, the final state included."""
        return self._ended and not self._ready

    @property
    def poll(self) -> float | None:
        """Seconds after which to `take` again without being called; None: only when called.

        Where it is not None, `take` reads the ledger: not on an event loop.
        """
        return self._source.poll

    def take(self) -> list[OperationEvent]:
        """What is new, at once; an empty list when nothing is."""
        fresh, self._ended = self._source.since(self._seen)
        if fresh:
            self._seen = fresh[-1].id
        taken, self._ready = self._ready + fresh, []
        return taken

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Have `listener` called after every event; call what is returned to end that."""
        self._source.listen(listener)
        return lambda: self._source.forget(listener)

    def __iter__(self) -> EventStream:
        return self

    def __next__(self) -> OperationEvent | None:
        if not self._ready and not self._ended:
            self._ready = self._wait()
        if self._ready:
            return self._ready.pop(0)
        if self._ended:
            raise StopIteration
        return None

    def _wait(self) -> list[OperationEvent]:
        """New events, waited for up to `timeout` seconds."""
        changed = threading.Event()
        detach = self.subscribe(changed.set)
        deadline = time.monotonic() + self._timeout
        try:
            while True:
                fresh = self.take()
                left = deadline - time.monotonic()
                if fresh or self._ended or left <= 0:
                    return fresh
                changed.wait(left if self.poll is None else min(left, self.poll))
                changed.clear()
        finally:
            detach()


class RememberedSource:
    """An operation that only the ledger knows; `load` looks it up anew."""

    poll: float | None = POLL

    def __init__(self, load: Callable[[], Operation]) -> None:
        self._load = load
        self._operation = load()
        self._told: str | None = None

    @property
    def operation(self) -> Operation:
        """The operation as it was at the last look."""
        return self._operation

    def since(self, seen: int) -> tuple[list[OperationEvent], bool]:
        """One event when the state is new; its own events are with the process that runs it."""
        self._operation = now = self._load()
        ended = now.state in FINAL
        if now.state == self._told:
            return [], ended
        self._told = now.state
        moment = now.finished or now.created
        return [OperationEvent(id=seen + 1, time=moment, kind="state", state=now.state)], ended

    def listen(self, listener: Listener) -> None:
        """Nothing calls: see `poll`."""

    def forget(self, listener: Listener) -> None:
        """Nothing to forget."""
