"""Whose turn it is to write: how transactions begin, and how writers wait for one another.

SQLite has one writer at a time, and no queue for the others: they sleep and try again, for up to a
tenth of a second, so that who has waited longest comes last, and the lock lies idle meanwhile. Here
who finds the lock taken stands in a queue: for a lock on a file beside the ledger (`flock`, which
the kernel grants in order and takes back from a process that dies). Only the first in the queue
tries again, every half a millisecond.

Who has just written may write again before that: two or three transactions in a row, for which its
memory is warm, cost all of them less than a change of the writer after each. That is for speed and
fairness; it is SQLite's lock that keeps two writers apart.
"""

from __future__ import annotations

import fcntl
import os
import random
import sqlite3
import threading
import time
from pathlib import Path

from ds01_jupyter.core.ledger_creation import open_beside
from ds01_jupyter.core.ledger_signs import Signs
from ds01_jupyter.core.ledger_troubles import busy, primary_code

RETRY_SECONDS = (0.0002, 0.0007)
"""Between two attempts of the first in the queue to take SQLite's lock."""


class Turns:
    """The queue of those who write to the ledger at `path`, for all threads of this process."""

    def __init__(self, path: Path) -> None:
        self._path = path.with_name(f"{path.name}.turn")
        self.signs = Signs(self._path)
        self._ours = threading.Lock()
        self._place: _Place | None = None

    def begin(self, connection: sqlite3.Connection, *, writes: bool, busy_seconds: float) -> None:
        """Begin a transaction on a connection that does not wait by itself (`busy_timeout` 0).

        One that `writes` holds the write lock from here on; one that reads sees what is there now.
        Raises `sqlite3.OperationalError` (busy) after `busy_seconds`, and `OSError` where the file
        beside the ledger cannot be opened.
        """
        if writes:
            self.signs.give()
        if _began(connection, writes):
            return
        deadline = time.monotonic() + busy_seconds
        if writes:
            self._take(deadline)
        try:
            while not _began(connection, writes, last=time.monotonic() >= deadline):
                time.sleep(random.uniform(*RETRY_SECONDS))  # noqa: S311 - no secret
        finally:
            if writes:
                self._leave()

    def close(self) -> None:
        """Let go of the file; a later transaction opens it again."""
        if self._ours.acquire(blocking=False):
            place, self._place = self._place, None
            self.signs.withdraw()
            self._ours.release()
            if place is not None:
                place.close()

    def _leave(self) -> None:
        if self._place is not None:
            self._place.leave()
        self._ours.release()

    def _take(self, deadline: float) -> None:
        if not self._ours.acquire(timeout=max(0.0, deadline - time.monotonic())):
            raise busy()
        try:
            if self._place is None:
                self._place = _Place(self._path)
            if not self._place.take(deadline):
                self._place = None  # it is closed when its turn comes
                raise busy()
        except BaseException:
            self._ours.release()
            raise


class _Place:
    """One place in the queue, used by one thread at a time.

    `flock` waits for ever or not at all; so that a wait can be given up, a thread of its own does
    the waiting, from the first time that there is something to wait for.
    """

    def __init__(self, path: Path) -> None:
        self._descriptor = open_beside(path)
        self._waiter: threading.Thread | None = None
        self._wanted, self._granted = threading.Lock(), threading.Lock()
        self._wanted.acquire()
        self._granted.acquire()
        self._lock = threading.Lock()
        self._over = False

    def take(self, deadline: float) -> bool:
        """Wait for the turn. False: it did not come in time, and this place is of no more use."""
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pass
        else:
            return True
        if self._waiter is None:
            self._waiter = threading.Thread(target=self._wait, name="ds01-turn", daemon=True)
            self._waiter.start()
        self._wanted.release()
        if self._granted.acquire(timeout=max(0.0, deadline - time.monotonic())):
            return True
        with self._lock:
            self._over = not self._granted.acquire(blocking=False)
            return not self._over

    def leave(self) -> None:
        """The turn is over."""
        fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def close(self) -> None:
        """This place is not used any more. Not while somebody has or awaits its turn."""
        self._over = True
        if self._waiter is None:
            os.close(self._descriptor)
        else:
            self._wanted.release()
            self._waiter.join()

    def _wait(self) -> None:
        while True:
            self._wanted.acquire()
            if not self._over:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX)
            with self._lock:
                if self._over:
                    os.close(self._descriptor)
                    return
                self._granted.release()


def _began(connection: sqlite3.Connection, writes: bool, *, last: bool = False) -> bool:
    """Try to begin. False: somebody has the lock; the `last` attempt raises that."""
    try:
        if writes:
            connection.execute("BEGIN IMMEDIATE")
        else:
            connection.execute("BEGIN")
            connection.execute("SELECT 1 FROM sqlite_schema").fetchone()
    except sqlite3.OperationalError as error:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        if last or primary_code(error) != sqlite3.SQLITE_BUSY:
            raise
        return False
    return True
