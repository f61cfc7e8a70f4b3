"""Signs of life that are seen from anywhere: whether a process of another pid namespace is gone.

A server in a container has a pid namespace of its own, in which nobody outside can look its pid up.
But files are shared: every process that writes to a ledger holds a lock on one byte of the file
beside it, a byte that follows from who the process is. The kernel lets go of it when the process
ends, however it ends, and not before.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import struct
import threading
from pathlib import Path

from ds01_jupyter.core.ledger_creation import open_beside
from ds01_jupyter.core.processes import ProcessIdentity, is_alive, is_elsewhere, process_identity


class Signs:
    """The signs of those who write to one ledger, on the file at `path` beside it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._mine: int | None = None
        self._lock = threading.Lock()

    def give(self) -> None:
        """Give this process's own sign, unless it was given. Raises `OSError`."""
        if self._mine is not None:
            return
        with self._lock:
            if self._mine is None:
                self._mine = self._open()

    def _open(self) -> int:
        descriptor = open_beside(self._path)
        try:
            lock = _lock(fcntl.F_RDLCK, process_identity())
            fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, lock)
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    def withdraw(self) -> None:
        """Take the sign back: this process has nothing more in the ledger."""
        with self._lock:
            descriptor, self._mine = self._mine, None
        if descriptor is not None:
            os.close(descriptor)

    def is_alive(self, identity: ProcessIdentity) -> bool:
        """Whether a process that has written to this ledger lives. Raises `OSError`.

        Unlike `processes.is_alive` this is sure of processes in other pid namespaces too.
        """
        if not is_alive(identity):
            return False
        if not is_elsewhere(identity):
            return True
        descriptor = open_beside(self._path)
        try:
            asked = _lock(fcntl.F_WRLCK, identity)
            found = fcntl.fcntl(descriptor, fcntl.F_OFD_GETLK, asked)
        finally:
            os.close(descriptor)
        (kind,) = struct.unpack_from("h", found)
        return bool(kind != fcntl.F_UNLCK)


def _lock(kind: int, identity: ProcessIdentity) -> bytes:
    """A `struct flock` on the byte of a process. (The file is empty: locks may lie beyond.)"""
    who = f"{identity.pid} {identity.start_ticks} {identity.boot_id} {identity.namespace}"
    byte = int.from_bytes(hashlib.sha256(who.encode()).digest()[:8], "big") >> 2
    return struct.pack("hhqqi4x", kind, os.SEEK_SET, byte, 1, 0)
