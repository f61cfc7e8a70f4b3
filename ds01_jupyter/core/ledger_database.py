"""The SQLite file under the ledger: how it is made, opened, shared, and how it may fail.

Many threads, processes and (where an admin made the folder group-writable) users work on one
file: write-ahead log, full synchronisation, and writers that take the lock before they look.
"""

from __future__ import annotations

import errno
import os
import random
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from ds01_jupyter.core.errors import CoreError, DiskFull, LedgerDamaged, LedgerUnavailable
from ds01_jupyter.core.ledger_creation import create, migrate
from ds01_jupyter.core.ledger_migrations import SCHEMA_VERSION
from ds01_jupyter.core.ledger_recovery import Recovery
from ds01_jupyter.core.ledger_rows import container_row, history_row, image_row, lease_row
from ds01_jupyter.core.ledger_schema import APPLICATION_ID

BUSY_SECONDS = 15.0
MAX_IDLE = 4
RETRY_SECONDS = (0.001, 0.005)
"""Between two attempts to take the write lock, which is held for less than a millisecond."""

FileId = tuple[int, int]
"""Which file it is, whatever lies at its path by now: device and inode."""

_RESTORE = (
    "Ask your admin to look at it. Nothing was deleted; until it is repaired or moved aside, no "
    "container can be created or removed here."
)


class Database:
    """Connections to one file. Nothing is opened before the first transaction."""

    def __init__(
        self,
        path: Path,
        *,
        busy_seconds: float = BUSY_SECONDS,
        recovery: Recovery | None = None,
    ) -> None:
        """With a `recovery` a damaged or missing file is built anew at the next transaction, and
        one that another process has built anew is taken up; without, both are refused."""
        self.path = path
        self._busy_seconds = busy_seconds
        self._recovery = recovery
        self._suspect = False
        self._lock = threading.Lock()
        self._idle: list[sqlite3.Connection] = []
        self._pid = os.getpid()
        self._file: tuple[int, int] | None = None

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """One transaction that holds the write lock from its start, so what it reads stays true.

        Committed when the block ends, rolled back when it raises. Raises `LedgerUnavailable` or
        `DiskFull`.
        """
        with self._transaction("BEGIN IMMEDIATE") as connection:
            yield connection

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """One consistent view; does not wait for writers. Raises `LedgerUnavailable`."""
        with self._transaction("BEGIN") as connection:
            yield connection

    def close(self) -> None:
        """Close the idle connections; a later transaction opens new ones."""
        with self._lock:
            idle, self._idle = self._idle, []
            self._file = None
        for connection in idle:
            connection.close()

    @contextmanager
    def _transaction(self, begin: str) -> Iterator[sqlite3.Connection]:
        with self._translated():
            connection, file = self._borrow()
            try:
                if begin == "BEGIN":
                    connection.execute(begin)
                else:
                    self._begin_writing(connection)
                yield connection
                connection.execute("COMMIT")
                if begin != "BEGIN":
                    self._check_written(file)
            except CoreError as error:
                self._suspect |= isinstance(error, LedgerDamaged)
                self._undo(connection)  # a refusal is an everyday thing
                self._return(connection, file)
                raise
            except BaseException:
                self._undo(connection)
                connection.close()
                raise
            self._return(connection, file)

    def _begin_writing(self, connection: sqlite3.Connection) -> None:
        """Take the write lock, waiting for it as long as every other waiter.

        SQLite's own waiting grows up to a tenth of a second with every attempt, so whoever has
        waited longest comes last; equal waits give everybody the same chance.
        """
        deadline = time.monotonic() + self._busy_seconds
        connection.execute("PRAGMA busy_timeout = 0")
        try:
            while True:
                try:
                    connection.execute("BEGIN IMMEDIATE")
                    return
                except sqlite3.OperationalError as error:
                    busy = (error.sqlite_errorcode & 0xFF) == sqlite3.SQLITE_BUSY
                    if not busy or time.monotonic() >= deadline:
                        raise
                time.sleep(random.uniform(*RETRY_SECONDS))  # noqa: S311 - no secret
        finally:
            connection.execute(f"PRAGMA busy_timeout = {round(self._busy_seconds * 1000)}")

    @staticmethod
    def _undo(connection: sqlite3.Connection) -> None:
        if connection.in_transaction:  # SQLite rolls back by itself when the disk is full
            connection.execute("ROLLBACK")

    # ---- connections -----------------------------------------------------------------------

    def _borrow(self) -> tuple[sqlite3.Connection, FileId | None]:
        with self._lock:
            if self._pid != os.getpid():
                # SQLite connections must not be used, nor closed, on the other side of a fork.
                _ABANDONED.extend(self._idle)
                self._idle, self._file, self._pid = [], None, os.getpid()
            idle = self._check_file()
            if self._idle:
                return self._idle.pop(), self._file
        for connection in idle:
            connection.close()
        return self._open() if self._recovery is None else self._open_or_rebuild(self._recovery)

    def _return(self, connection: sqlite3.Connection, file: FileId | None) -> None:
        with self._lock:
            usable = file == self._file and self._pid == os.getpid() and not self._suspect
            if usable and len(self._idle) < MAX_IDLE:
                self._idle.append(connection)
                return
        connection.close()

    def _check_file(self) -> list[sqlite3.Connection]:
        """Refuse to go on when another file lies at our path (two servers would each have their
        own truth), or one that showed damage; what can be recovered is opened anew instead.

        Returns connections to close.
        """
        if not (self._was_replaced() or (self._suspect and self._file is not None)):
            return []
        if self._recovery is None:
            if self._suspect:
                return []
            raise self._unavailable(
                "was removed or replaced while it was in use",
                hint="Ask your admin to put it back, or to restart every server that uses it.",
            )
        idle, self._idle, self._file = self._idle, [], None
        return idle

    def _was_replaced(self) -> bool:
        if self._file is None:
            return False
        try:
            return _file_id(self.path) != self._file
        except FileNotFoundError:
            return True

    def _check_written(self, file: FileId | None) -> None:
        """What was committed to a file that has just been put aside does not count."""
        try:
            now = _file_id(self.path)
        except FileNotFoundError:
            now = None
        if file != now:
            raise self._unavailable(
                "was put aside while something was being written", hint="Try again."
            )

    def _open_or_rebuild(self, recovery: Recovery) -> tuple[sqlite3.Connection, FileId | None]:
        """Open the file; when it is missing or damaged, one process makes it anew."""
        with recovery.opening():
            if self.path.exists() and not self._suspect:
                try:
                    return self._open()
                except LedgerDamaged:
                    self._suspect = True
        with recovery.alone():
            if not (self.path.exists() and self._is_sound()):
                recovery.rebuild(lambda fill: create(self.path, fill))
            self._suspect = False
            return self._open()

    def _is_sound(self) -> bool:
        """Read and understand everything that decides about slots; raises where the file is none
        that may be replaced."""
        try:
            with closing(self._connect()) as connection:
                _check_pages(connection, "integrity_check")
                for row in connection.execute("SELECT * FROM containers"):
                    container_row(row)
                for row in connection.execute("SELECT * FROM leases"):
                    lease_row(row)
                for row in connection.execute("SELECT * FROM images"):
                    image_row(row)
                for row in connection.execute("SELECT * FROM history"):
                    history_row(row)
        except LedgerDamaged:
            return False
        except sqlite3.Error as error:
            if isinstance(self._meaning(error), LedgerDamaged):
                return False
            raise
        return True

    def _open(self) -> tuple[sqlite3.Connection, FileId | None]:
        connection = self._connect()
        with self._lock:
            first = self._file is None
            file = self._file = _file_id(self.path)
        if first:
            try:
                _check_pages(connection, "quick_check")
            except BaseException as error:
                connection.close()
                with self._lock:
                    self._file = None
                if isinstance(error, sqlite3.Error):
                    raise self._meaning(error) from error
                raise
            if self._recovery is not None:
                self._recovery.vouch()
        return connection, file

    def _connect(self) -> sqlite3.Connection:
        if not self.path.exists():
            if self._recovery is not None:
                raise self._unavailable("was removed just now", hint="Try again.")
            create(self.path)
        connection = sqlite3.connect(
            f"file:{quote(str(self.path))}?mode=rw",  # rw: never make an empty one in passing
            uri=True,
            timeout=self._busy_seconds,
            isolation_level=None,
            check_same_thread=False,
        )
        try:
            connection.row_factory = sqlite3.Row
            self._check_kind(connection)
            (journal,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
            if journal != "wal":
                raise self._unavailable(
                    "lies on a file system that cannot share it",
                    hint="Ask your admin to put it on a local disk.",
                )
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA foreign_keys = ON")
            migrate(connection)
        except sqlite3.Error as error:
            connection.close()
            raise self._meaning(error) from error
        except BaseException:
            connection.close()
            raise
        return connection

    def _check_kind(self, connection: sqlite3.Connection) -> None:
        if self.path.stat().st_size == 0:
            # We never leave an empty file behind (see `ledger_creation`), so its contents are lost.
            raise LedgerDamaged(
                f"The ledger {self.path} is empty: its contents were lost.",
                hint=_RESTORE,
                path=str(self.path),
            )
        (kind,) = connection.execute("PRAGMA application_id").fetchone()
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if kind != APPLICATION_ID:
            raise self._unavailable(
                "is a database of something else",
                hint="Give the ledger a path of its own (DS01App.ledger).",
            )
        if version > SCHEMA_VERSION:
            raise self._unavailable(
                f"was written by a newer ds01-jupyter (version {version} of the tables, this one "
                f"knows {SCHEMA_VERSION})",
                hint="Update ds01-jupyter here, or give this server a ledger of its own.",
            )
        if version < 1:
            raise self._damaged(f"has tables of an unknown version ({version})")

    # ---- errors ----------------------------------------------------------------------------

    def _unavailable(self, what: str, *, hint: str, **details: str | int) -> LedgerUnavailable:
        return LedgerUnavailable(
            f"The ledger {self.path} {what}.", hint=hint, path=str(self.path), **details
        )

    def _damaged(self, what: str, **details: str | int) -> LedgerUnavailable:
        """Damage that is to be made good, unless it may be that this never was a ledger."""
        if self._recovery is not None and not self._recovery.known:
            return self._unavailable(what, hint=_RESTORE, **details)
        return LedgerDamaged(
            f"The ledger {self.path} {what}.", hint=_RESTORE, path=str(self.path), **details
        )

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            meaning = self._meaning(error)
            self._suspect |= isinstance(meaning, LedgerDamaged)
            raise meaning from error
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise self._disk_full() from error
            raise self._unavailable(
                f"cannot be used: {error.strerror}", hint=self._permission_hint()
            ) from error

    def _meaning(self, error: sqlite3.Error) -> CoreError:
        code = getattr(error, "sqlite_errorcode", None) or 0
        name = getattr(error, "sqlite_errorname", type(error).__name__)
        primary = code & 0xFF
        if primary == sqlite3.SQLITE_FULL or (
            primary == sqlite3.SQLITE_IOERR and self._no_space_left()
        ):
            return self._disk_full()
        if primary in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
            return self._damaged("is damaged", sqlite=name)
        if primary in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            return self._unavailable(
                f"was busy for {self._busy_seconds:g} seconds", hint="Try again.", sqlite=name
            )
        if primary in (
            sqlite3.SQLITE_READONLY,
            sqlite3.SQLITE_CANTOPEN,
            sqlite3.SQLITE_PERM,
            sqlite3.SQLITE_AUTH,
        ):
            return self._unavailable("cannot be written", hint=self._permission_hint(), sqlite=name)
        return self._unavailable(
            f"refused a change ({error})", hint="This is a defect; please report it.", sqlite=name
        )

    def _permission_hint(self) -> str:
        return (
            f"This server needs to read and write in {self.path.parent}: ask your admin, or set "
            "another place for the ledger (DS01App.ledger)."
        )

    def _disk_full(self) -> DiskFull:
        return DiskFull(
            f"There is no space left for the ledger in {self.path.parent}.",
            hint="Free some space there and try again; nothing was changed.",
            path=str(self.path),
        )

    def _no_space_left(self) -> bool:
        try:
            return os.statvfs(self.path.parent).f_bavail == 0
        except OSError:
            return False


_ABANDONED: list[sqlite3.Connection] = []
"""Connections of the process that we were forked from: kept, so that nobody closes them."""


def _file_id(path: Path) -> FileId:
    status = path.stat()
    return status.st_dev, status.st_ino


def _check_pages(
    connection: sqlite3.Connection, check: Literal["quick_check", "integrity_check"]
) -> None:
    """Read the whole file once: a damaged index could let a slot be given twice."""
    (verdict,) = connection.execute(f"PRAGMA {check}(1)").fetchone()
    if verdict != "ok":
        raise _corrupt(verdict)


def _corrupt(verdict: str) -> sqlite3.DatabaseError:
    error = sqlite3.DatabaseError(verdict)
    error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    error.sqlite_errorname = "SQLITE_CORRUPT"
    return error
