"""The GPUs over time: history, a stream of snapshots, and cordons."""

# jupyter_server's `authorized` has no types that mypy could follow
# mypy: disable-error-code="untyped-decorator"

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from jupyter_server.auth.decorator import authorized
from tornado import web
from tornado.iostream import StreamClosedError

from ds01_jupyter.handlers.base import RESOURCE, DS01Handler, EventLoopBridge
from ds01_jupyter.handlers.bodies import cordon_request

if TYPE_CHECKING:
    from ds01_jupyter.core.gpu.feed import GpuStream

HEARTBEAT = 15.0
"""Seconds of silence after which a comment shows that the connection lives."""
LOOK = 5.0
"""Seconds after which a stream looks whether the driver has stopped answering."""
MAX_EVENTS = 10**6


class GpuHistoryHandler(DS01Handler):
    """What the GPUs did in the last hour."""

    _track_activity = False
    actions = {"GET": "gpus.history"}

    @web.authenticated
    @authorized("read", RESOURCE)
    async def get(self) -> None:
        """Answer a `GpuHistory`."""
        self.answer(await self.call(lambda lab, person: lab.gpu_history(person)))


class GpuStreamHandler(DS01Handler):
    """Snapshots as they change."""

    _track_activity = False
    actions = {"GET": "gpus.follow"}
    _bridge: EventLoopBridge | None = None
    _left = False

    @web.authenticated
    @authorized("read", RESOURCE)
    async def get(self) -> None:
        """Stream a `GpuSnapshot` at every change and every few seconds, without an end, or
        until `?events=` of them were sent."""
        wanted = self.number("events", 0, 0, MAX_EVENTS)
        stream = await self.call(lambda lab, person: lab.follow_gpus(person))
        self._bridge = EventLoopBridge()
        detach = stream.subscribe(self._bridge.wake)
        try:
            self.set_header("Content-Type", "text/event-stream")
            self.set_header("Cache-Control", "no-cache")
            self.set_header("X-Accel-Buffering", "no")
            await self.flush()
            await self._pump(stream, self._bridge, wanted)
            await self.finish(set_content_type="text/event-stream")
        except StreamClosedError:
            self.log.debug("ds01: a client left the stream of the GPUs")
        finally:
            detach()
            stream.close()

    async def _pump(self, stream: GpuStream, bridge: EventLoopBridge, wanted: int) -> None:
        spoken, sent = time.monotonic(), 0
        while not self._left and not stream.ended:
            event = stream.take()
            silent = time.monotonic() - spoken
            if event is not None or silent >= HEARTBEAT:
                self.write(
                    f"id: {event.id}\nevent: gpus\ndata: {event.data}\n\n"
                    if event is not None
                    else ": alive\n\n"
                )
                # Whoever reads slowly holds up nobody else, and gets the newest next.
                await self.flush()
                spoken = time.monotonic()
                sent += event is not None
            if wanted and sent >= wanted:
                return
            if not await bridge.wait(min(LOOK, HEARTBEAT)):
                await self.app.in_thread(stream.check)

    def on_connection_close(self) -> None:
        """The client has left: stop waiting for events."""
        super().on_connection_close()
        self._left = True
        if self._bridge is not None:
            self._bridge.wake()


class GpuCordonHandler(DS01Handler):
    """Take a GPU out of use."""

    actions = {"POST": "gpu.cordon"}

    @web.authenticated
    @authorized("write", RESOURCE)
    async def post(self, gpu: str) -> None:
        """Give a GPU (index or UUID) to nobody, for the reason in a `CordonRequest`; answer the
        `GpuSnapshot`. For admins."""
        request = await self.document(cordon_request)
        self.answer(await self.call(lambda lab, person: lab.cordon_gpu(person, gpu, request)))


class GpuUncordonHandler(DS01Handler):
    """Give a GPU back."""

    actions = {"POST": "gpu.uncordon"}

    @web.authenticated
    @authorized("write", RESOURCE)
    async def post(self, gpu: str) -> None:
        """End all cordons of a GPU (index or UUID); answer the `GpuSnapshot`. For admins."""
        self.answer(await self.call(lambda lab, person: lab.uncordon_gpu(person, gpu)))


routes = [
    ("gpus/history", GpuHistoryHandler),
    ("gpus/stream", GpuStreamHandler),
    ("gpus/{gpu}/cordon", GpuCordonHandler),
    ("gpus/{gpu}/uncordon", GpuUncordonHandler),
]
