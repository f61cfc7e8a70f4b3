"""A place in the queue, watched until its turn comes; for commands and widgets alike."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Protocol

from ds01_jupyter.client_error import ClientError
from ds01_jupyter.core.models import Operation, QueueEntry

PACE = 2.0
"""Seconds between two looks at the place."""
PATIENCE = 120.0
"""Seconds without the server after which one stops looking; the place is kept meanwhile."""


class QueueSource(Protocol):
    """The part of `ds01_jupyter.client.Client` that is needed here."""

    def queue_entry(self, entry_id: int) -> QueueEntry:
        """One place."""

    def leave_queue(self, entry_id: int) -> None:
        """Give it up."""

    def operation(self, operation_id: str) -> Operation:
        """What makes the container."""


class QueueWatch:
    """Looks at a place every `PACE` seconds; `told` hears of every look, in the thread of `run`."""

    def __init__(
        self, client: QueueSource, entry: QueueEntry, told: Callable[[QueueEntry], None]
    ) -> None:
        self.entry = entry
        self._client, self._told = client, told
        self._wake = threading.Event()
        self._leaving = self._stopped = False

    def leave(self) -> None:
        """Give the place up; `run` raises when that is done."""
        self._leaving = True
        self._wake.set()

    def stop(self) -> None:
        """Look no more; the place is kept."""
        self._stopped = True
        self._wake.set()

    def run(self) -> Operation | None:
        """The operation that makes the container, once its turn has come; None when stopped.

        Raises `ClientError`: code `cancelled` when the place was given up, `failed` when its turn
        came to nothing, `server_unreachable` when the server stays away.
        """
        while not self._stopped:
            self._told(self.entry)
            if self.entry.operation is not None:
                return self._client.operation(self.entry.operation)
            if self.entry.state not in ("waiting", "starting"):
                raise came_to_nothing(self.entry)
            if self._leaving and self.entry.state == "waiting":
                self.entry = self._given_up()
                continue
            self._wake.wait(PACE)
            if self.entry.state == "starting":
                self._wake.clear()  # it is too late to leave; do not turn in circles
            self._look()
        return None

    def _given_up(self) -> QueueEntry:
        """The entry after leaving; when its turn came in the meantime, what is being made now."""
        try:
            self._client.leave_queue(self.entry.id)
        except ClientError:
            now = self._client.queue_entry(self.entry.id)
            if now.state == "waiting":
                raise
            return now
        return self.entry.model_copy(update={"state": "cancelled", "position": None})

    def _look(self) -> None:
        """Take the entry as it is now. A server that is away is asked again for a while."""
        end = time.monotonic() + PATIENCE
        while not self._stopped:
            try:
                self.entry = self._client.queue_entry(self.entry.id)
                return
            except ClientError as error:
                if error.code != "server_unreachable":
                    raise
                if time.monotonic() > end:
                    error.hint = f"{error.hint} The place in the queue is kept.".strip()
                    raise
            time.sleep(PACE)


def kept(title: str, entry: QueueEntry) -> ClientError:
    """What is said to somebody who stops watching."""
    where = f" (place {entry.position})" if entry.position is not None else ""
    return ClientError(
        f"Stopped watching: {title} keeps its place in the queue{where} and is made when its turn "
        "comes.",
        hint=f"`%ds01 queue follow {entry.id}` watches again, `%ds01 queue leave {entry.id}` "
        "gives the place up.",
        code="interrupted",
    )


def came_to_nothing(entry: QueueEntry) -> ClientError:
    """Why no operation begins."""
    if entry.state == "cancelled":
        return ClientError("The place in the queue was given up.", code="cancelled")
    if entry.state == "done":
        return ClientError(
            "Its turn has come already, and the container was made.",
            hint="`%ds01 container list` shows it.",
            code="conflict",
        )
    return ClientError(
        entry.problem or "Its turn came, and the container could not be made.",
        hint="`%ds01 why` tells how things stand now.",
        code="failed",
    )
