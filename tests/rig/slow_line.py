"""A slow line to a server of this machine, for downloads that take long enough to watch."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

#: Pieces small enough that the rate is even, in bytes.
PIECE = 16 * 1024


@contextlib.contextmanager
def slow_line(address: str, bytes_per_second: int) -> Iterator[str]:
    """Yield a second ``127.0.0.1:PORT`` for a server; all answers through it share one rate.

    When the block ends, every connection through it is cut.
    """
    host, _, port = address.rpartition(":")
    line = _Line((host, int(port)), bytes_per_second)
    try:
        yield line.address
    finally:
        line.close()


class _Line:
    def __init__(self, target: tuple[str, int], rate: int) -> None:
        self._target = target
        self._rate = rate
        self._lock = threading.Lock()
        self._free_at = time.monotonic()
        self._open: set[socket.socket] = set()
        self._closed = False
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        with self._lock:
            self._closed = True
            sockets = [self._listener, *self._open]
        for each in sockets:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                try:
                    far = socket.create_connection(self._target)
                except OSError:
                    near.close()
                    continue
                with self._lock:
                    self._open |= {near, far}
                    closed = self._closed
                if closed:
                    near.close()
                    far.close()
                    return
                for source, sink, slow in ((near, far, False), (far, near, True)):
                    arguments = (source, sink, slow)
                    threading.Thread(target=self._copy, args=arguments, daemon=True).start()

    def _copy(self, source: socket.socket, sink: socket.socket, slow: bool) -> None:
        with contextlib.suppress(OSError):
            while piece := source.recv(PIECE):
                if slow:
                    time.sleep(self._wait_for(len(piece)))
                sink.sendall(piece)
        # The other direction ends too: what is left would have no reader.
        for each in (source, sink):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
            with self._lock:
                self._open.discard(each)

    def _wait_for(self, size: int) -> float:
        """Book the line for so many bytes; returns the seconds until it is their turn."""
        with self._lock:
            now = time.monotonic()
            self._free_at = max(self._free_at, now) + size / self._rate
            return self._free_at - now
