"""Snapshots for those who follow: sent when something has changed, and every few seconds besides.

One event is made for all, whatever their number. Who is slow misses events and gets the newest.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from ds01_jupyter.core import models
from ds01_jupyter.core.errors import CoreError, LimitReached
from ds01_jupyter.core.gpu.board import GpuBoard
from ds01_jupyter.core.gpu.view import unavailable_document
from ds01_jupyter.core.identity import Person

MAX_STREAMS = 24
"""Streams that one person may follow at a time: windows of a browser, and terminals."""
EVERY = 5.0
"""Seconds after which a snapshot is sent although nothing worth it has changed."""

Listener = Callable[[], None]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class GpuEvent:
    """A snapshot as it is sent: its number, and the `GpuSnapshot` as JSON."""

    id: int
    data: str


class GpuFeed:
    """Makes events of a board's looks while anybody follows. For any number of threads."""

    def __init__(self, board: GpuBoard, host: str, *, every: float = EVERY) -> None:
        self._board = board
        self._host = host
        self._every = every
        self._lock = threading.Lock()
        self._followers: Counter[int] = Counter()
        self._listeners: list[Listener] = []
        self._detach: Callable[[], None] | None = None
        self._event: GpuEvent | None = None
        self._print: Any = None
        self._sent = 0.0
        self._late = False
        self._closed = False

    def follow(self, person: Person) -> GpuStream:
        """A stream for a person; it must be closed. Raises `LimitReached`."""
        with self._lock:
            open_now = self._followers[person.uid]
            if open_now >= MAX_STREAMS:
                raise LimitReached(
                    f"You follow the GPUs in {open_now} places already.",
                    hint="Close one of them, or look without following: `ds01 gpus`.",
                    key="gpu_streams",
                    limit=MAX_STREAMS,
                    in_use=open_now,
                    asked=1,
                )
            self._followers[person.uid] += 1
            if self._detach is None:
                self._detach = self._board.sampler.subscribe(self._looked)
        return GpuStream(self, person.uid)

    def close(self) -> None:
        """End all streams."""
        with self._lock:
            self._closed = True
            listeners = list(self._listeners)
        _call(listeners)

    # ---- for streams -------------------------------------------------------------------------

    @property
    def closed(self) -> bool:
        """Whether streams are to end."""
        return self._closed

    def newest(self) -> GpuEvent | None:
        """The last event."""
        return self._event

    def check(self) -> None:
        """Make an event when the driver has stopped answering, since no look will make one."""
        with self._lock:
            if self._late or self._board.sampler.hanging is None:
                return
            self._late = True
        self._look(force=True)

    def listen(self, listener: Listener) -> None:
        """Have `listener` called (from any thread) after every event."""
        with self._lock:
            self._listeners.append(listener)

    def forget(self, listener: Listener) -> None:
        """Stop calling `listener`."""
        with self._lock, suppress(ValueError):
            self._listeners.remove(listener)

    def left(self, uid: int) -> None:
        """A stream was closed."""
        with self._lock:
            self._followers[uid] -= 1
            if self._followers[uid] <= 0:
                del self._followers[uid]
            detach = None if self._followers else self._detach
            if detach is not None:
                # What was seen last is old by the time that somebody comes again.
                self._detach = self._event = self._print = None
        if detach is not None:
            detach()

    # ---- events ------------------------------------------------------------------------------

    def _looked(self) -> None:
        """After a look, in the sampler's thread."""
        self._late = False
        self._look(force=False)

    def _look(self, *, force: bool) -> None:
        sampler = self._board.sampler
        published = sampler.published
        try:
            if published is None:
                raise self._board.no_answer(sampler.hanging or 0.0)
            if published.error is not None:
                raise published.error
            document = self._board.aged(self._board.document(published), published)
        except CoreError as error:
            document = unavailable_document(self._host, error)
        shown = fingerprint(document)
        at = 0.0 if published is None else published.at
        with self._lock:
            due = at - self._sent >= self._every
            if self._event is not None and shown == self._print and not due and not force:
                return
            number = 1 if self._event is None else self._event.id + 1
            self._event = GpuEvent(number, document.model_dump_json())
            self._print, self._sent = shown, at
            listeners = list(self._listeners)
        _call(listeners)


class GpuStream(Iterator[GpuEvent]):
    """The events for one follower. Closed by `close`, or at the end of a `with`.

    An event loop calls `take`, and is told by `subscribe` when; a thread iterates and waits.
    Either calls `check` when nothing has come for a while.
    """

    def __init__(self, feed: GpuFeed, uid: int) -> None:
        self._feed = feed
        self._uid = uid
        self._seen: GpuEvent | None = None
        self._open = True

    @property
    def ended(self) -> bool:
        """Whether nothing more will come: the server stops."""
        return self._feed.closed or not self._open

    def take(self) -> GpuEvent | None:
        """The newest event unless it was taken before; at once, from memory."""
        event = self._feed.newest()
        if event is None or event is self._seen:
            return None
        self._seen = event
        return event

    def check(self) -> None:
        """After some seconds without an event: see whether the driver has stopped answering.

        Reads the ledger: not on an event loop.
        """
        self._feed.check()

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Have `listener` called after every event; call what is returned to end that."""
        self._feed.listen(listener)
        return lambda: self._feed.forget(listener)

    def close(self) -> None:
        """End it; twice is fine."""
        if self._open:
            self._open = False
            self._feed.left(self._uid)

    def __enter__(self) -> GpuStream:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __next__(self) -> GpuEvent:
        changed = threading.Event()
        detach = self.subscribe(changed.set)
        try:
            while not self.ended:
                event = self.take()
                if event is not None:
                    return event
                if not changed.wait(1.0):
                    self.check()
                changed.clear()
        finally:
            detach()
        raise StopIteration


def fingerprint(document: models.GpuSnapshot) -> object:
    """What has to change before a snapshot is worth sending: who has what, what is wrong, and
    figures by more than people see."""
    return (
        document.driver,
        bool(document.problem) and document.problem,
        [
            (
                gpu.uuid,
                gpu.problem,
                gpu.health.model_dump_json(),
                _coarse(gpu.utilisation, 0.05),
                _coarse(gpu.temperature, 3),
                _coarse(gpu.power, 20),
                [_slot(slot) for slot in gpu.slots],
            )
            for gpu in document.gpus
        ],
    )


def _slot(slot: models.Slot) -> object:
    return (
        slot.uuid,
        slot.slot,
        slot.state,
        slot.problem,
        slot.used_by,
        None if slot.lease is None else slot.lease.model_dump_json(),
        _coarse(slot.memory_used, (slot.memory_total or 0) / 100 or 1),
        _coarse(slot.utilisation, 0.05),
        [process.pid for process in slot.processes],
    )


def _coarse(value: float | None, step: float) -> int | None:
    return None if value is None else round(value / step)


def _call(listeners: list[Listener]) -> None:
    for listener in listeners:
        try:
            listener()
        except Exception:
            log.exception("telling a follower of the GPUs")
