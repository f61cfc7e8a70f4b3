"""Docker's long answers (pull, build) as events, which a cancel interrupts at once."""

from __future__ import annotations

import queue
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, suppress
from typing import Any

from docker.utils.json_stream import json_stream

from ds01_jupyter.core.engine import Reporter

CONNECT_TIMEOUT = 10
SETTLE = 5.0
"""Seconds that a request gets to end after we hung up."""


class NothingHeard(Exception):
    """No event within the time allowed."""


class _End:
    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error


_WAKE = object()


class EventStream:
    """One POST with a streamed JSON answer.

    A thread of its own, with a connection of its own, sends it and reads: Docker sends the head
    of an answer late (a pull's only after the registry spoke), and no blocking read can be woken
    otherwise. The owner iterates over the events; when the operation is cancelled, the iteration
    raises `Cancelled` at once. Then `hang_up()` lets Docker stop the work, `rest()` tells what
    it still did, and `close()` ends the request in any case.
    """

    def __init__(
        self,
        connect: Callable[[], Any],
        path: str,
        progress: Reporter,
        *,
        params: Mapping[str, Any],
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        idle_timeout: float | None = None,
    ) -> None:
        self._connect = connect
        self._path = path
        self._progress = progress
        self._request = {"params": dict(params), "data": body, "headers": dict(headers or {})}
        self._idle_timeout = idle_timeout
        self._items: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._socket: Any = None
        self._hung_up = False
        self._ended = False
        self._thread = threading.Thread(target=self._run, name="ds01-docker-events", daemon=True)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Yield the events. Raises `Cancelled`, `NothingHeard`, or what the request raised."""
        self._progress.check()
        self._thread.start()
        self._progress.on_cancel(lambda: self._items.put(_WAKE))
        while True:
            try:
                item = self._items.get(timeout=self._idle_timeout)
            except queue.Empty:
                raise NothingHeard from None
            if item is _WAKE:
                self._progress.check()
            elif isinstance(item, _End):
                self._ended = True
                self._progress.check()
                if item.error is not None:
                    raise item.error
                return
            else:
                yield item

    def hang_up(self) -> None:
        """Close our side of the connection: Docker stops the work, and tells how it ends."""
        with self._lock:
            self._hung_up = True
            self._shut(socket.SHUT_WR)

    def rest(self) -> Iterator[dict[str, Any]]:
        """The events that still come after `hang_up()`; ends after a few seconds in any case."""
        deadline = time.monotonic() + SETTLE
        while not self._ended and self._thread.ident is not None:
            try:
                item = self._items.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                return
            if isinstance(item, _End):
                self._ended = True
            elif item is not _WAKE:
                yield item

    def close(self) -> None:
        """End the request, wherever it stands, and wake the thread that reads from it."""
        if self._ended or self._thread.ident is None:
            return
        self.hang_up()
        with self._lock:
            self._shut(socket.SHUT_RDWR)
        self._thread.join(0.5)

    def _run(self) -> None:
        end = _End()
        try:
            with closing(self._connect()) as client:
                self._read(client)
        except Exception as error:
            end = _End(error)
        self._items.put(end)

    def _read(self, client: Any) -> None:
        url = client._url(self._path)
        timeout = (CONNECT_TIMEOUT, None)
        with closing(client._post(url, stream=True, timeout=timeout, **self._request)) as response:
            client._raise_for_status(response)
            raw = client._get_raw_response_socket(response)
            with self._lock:
                self._socket = getattr(raw, "_sock", raw)
                if self._hung_up:
                    self._shut(socket.SHUT_WR)
            try:
                for event in json_stream(response.iter_content(chunk_size=None)):
                    self._items.put(event)
            finally:
                with self._lock:
                    self._socket = None

    def _shut(self, how: int) -> None:
        if self._socket is not None:
            with suppress(OSError):
                self._socket.shutdown(how)
