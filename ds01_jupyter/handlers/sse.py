"""Server-sent events: the events of an operation as `text/event-stream`.

A stream that waits costs no thread: the operation wakes the event loop.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from tornado.iostream import StreamClosedError

from ds01_jupyter.handlers.base import DS01Handler, EventLoopBridge
from ds01_jupyter.handlers.errors import wrong_value

if TYPE_CHECKING:
    from ds01_jupyter.core.models import OperationEvent
    from ds01_jupyter.core.operation_events import EventStream

HEARTBEAT = 15.0
"""Seconds of silence after which a comment shows that the connection lives."""
LARGEST_ID = 10**18


class EventStreamHandler(DS01Handler):
    """Base of handlers that stream the events of an operation."""

    _track_activity = False
    _bridge: EventLoopBridge | None = None
    _left = False

    def last_event_id(self) -> int:
        """The id after which to go on: header `Last-Event-ID`, else `?after=`, else 0."""
        text = self.request.headers.get("Last-Event-ID")
        if text is None:
            return self.number("after", 0, 0, LARGEST_ID)
        if not text.isascii() or not text.isdigit() or len(text) > 18:
            raise wrong_value("Last-Event-ID", "must be the id of an event")
        return int(text)

    async def send(self, stream: EventStream) -> None:
        """Send events until the operation has ended or the client has left."""
        self.set_header("Content-Type", "text/event-stream")
        self.set_header("Cache-Control", "no-cache")
        self.set_header("X-Accel-Buffering", "no")
        self._bridge = EventLoopBridge()
        detach = stream.subscribe(self._bridge.wake)
        try:
            await self.flush()
            await self._pump(stream, self._bridge)
            await self.finish(set_content_type="text/event-stream")
        except StreamClosedError:
            self.log.debug("ds01: a client left the events of %s", stream.operation.id)
        finally:
            detach()

    async def _pump(self, stream: EventStream, bridge: EventLoopBridge) -> None:
        spoken = time.monotonic()
        while not self._left:
            # A stream that has to be polled reads the ledger, which is nothing for the loop.
            polled = stream.poll is not None
            events = await self.app.in_thread(stream.take) if polled else stream.take()
            silent = time.monotonic() - spoken
            if events or silent >= HEARTBEAT:
                self.write("".join(map(_lines, events)) or ": alive\n\n")
                await self.flush()
                spoken, silent = time.monotonic(), 0.0
            if stream.ended:
                return
            pause = max(0.0, HEARTBEAT - silent)
            await bridge.wait(pause if stream.poll is None else min(pause, stream.poll))

    def on_connection_close(self) -> None:
        """The client has left: stop waiting for events."""
        super().on_connection_close()
        self._left = True
        if self._bridge is not None:
            self._bridge.wake()


def _lines(event: OperationEvent) -> str:
    return f"id: {event.id}\nevent: {event.kind}\ndata: {event.model_dump_json()}\n\n"
