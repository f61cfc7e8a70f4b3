"""Docker's own word that something happened to a container, as it happens."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from typing import Any

from docker.utils.json_stream import json_stream

from ds01_jupyter.core.docker_errors import translated

CONNECT_TIMEOUT = 10
ACTIONS = ("create", "start", "die", "pause", "unpause", "rename", "destroy")
"""What can change who uses a slot (a stop, a kill and the end of memory all are a `die` too)."""


class ContainerWatch:
    """One stream of events, over a connection of its own. It ends when Docker does."""

    def __init__(self, connect: Callable[[], Any]) -> None:
        self._connect = connect
        self._lock = threading.Lock()
        self._socket: Any = None
        self._closed = False

    def __iter__(self) -> Iterator[str]:
        """What happened (one of `ACTIONS`), after an empty word once Docker listens to us: what
        happened before that must be asked for. Raises `EngineUnavailable`."""
        with translated(), closing(self._connect()) as client:
            filters = {"type": ["container"], "event": list(ACTIONS)}
            parameters = {"filters": json.dumps(filters)}
            url = client._url("/events")
            timeout = (CONNECT_TIMEOUT, None)
            answer = client._get(url, params=parameters, stream=True, timeout=timeout)
            with closing(answer) as response:
                client._raise_for_status(response)
                raw = client._get_raw_response_socket(response)
                with self._lock:
                    self._socket = getattr(raw, "_sock", raw)
                    if self._closed:
                        self._shut()
                try:
                    yield ""
                    for event in json_stream(response.iter_content(chunk_size=None)):
                        if isinstance(event, dict):
                            yield str(event.get("Action"))
                finally:
                    with self._lock:
                        self._socket = None

    def close(self) -> None:
        """End the stream, from another thread."""
        with self._lock:
            self._closed = True
            self._shut()

    def _shut(self) -> None:
        if self._socket is not None:
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)
