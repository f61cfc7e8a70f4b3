"""The SQLite file under the ledger: how it is made, opened, shared, and how it may fail.

Many threads, processes and (where an admin made the folder group-writable) users work on one
file: write-ahead log, full synchronisation, and writers that take the lock before they look.
"""

from __future__ import annotations

import errno
import os
import secrets
import sqlite3
import stat
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import quote

from ds01_jupyter.core.errors import CoreError, DiskFull, LedgerUnavailable
from ds01_jupyter.core.ledger_schema import APPLICATION_ID, SCHEMA, SCHEMA_VERSION

BUSY_SECONDS = 15.0
MAX_IDLE = 4

_RESTORE = (
    "Ask your admin to look at it. Nothing was deleted; until it is repaired or moved aside, no "
    "container can be created or removed here."
)


class Database:
    """Connections to one file. Nothing is opened before the first transaction."""

    def __init__(self, path: Path, *, busy_seconds: float = BUSY_SECONDS) -> None:
        self.path = path
        self._busy_seconds = busy_seconds
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
            connection = self._borrow()
            try:
                connection.execute(begin)
                yield connection
                connection.execute("COMMIT")
            except CoreError:
                self._undo(connection)  # a refusal is an everyday thing
                self._return(connection)
                raise
            except BaseException:
                self._undo(connection)
                connection.close()
                raise
            self._return(connection)

    @staticmethod
    def _undo(connection: sqlite3.Connection) -> None:
        if connection.in_transaction:  # SQLite rolls back by itself when the disk is full
            connection.execute("ROLLBACK")

    # ---- connections -----------------------------------------------------------------------

    def _borrow(self) -> sqlite3.Connection:
        with self._lock:
            if self._pid != os.getpid():
                # SQLite connections must not be used, nor closed, on the other side of a fork.
                _ABANDONED.extend(self._idle)
                self._idle, self._file, self._pid = [], None, os.getpid()
            self._check_file()
            if self._idle:
                return self._idle.pop()
        connection = self._connect()
        with self._lock:
            first = self._file is None
            status = self.path.stat()
            self._file = (status.st_dev, status.st_ino)
        if first:
            try:
                _check_pages(connection)
            except BaseException:
                connection.close()
                with self._lock:
                    self._file = None
                raise
        return connection

    def _return(self, connection: sqlite3.Connection) -> None:
        with self._lock:
            if len(self._idle) < MAX_IDLE and self._pid == os.getpid():
                self._idle.append(connection)
                return
        connection.close()

    def _check_file(self) -> None:
        """Refuse to go on when another file lies at our path: two servers would each have their
        own truth."""
        if self._file is None:
            return
        try:
            status = self.path.stat()
        except FileNotFoundError:
            status = None
        if status is None or (status.st_dev, status.st_ino) != self._file:
            raise self._unavailable(
                "was removed or replaced while it was in use",
                hint="Ask your admin to put it back, or to restart every server that uses it.",
            )

    def _connect(self) -> sqlite3.Connection:
        if not self.path.exists():
            _create(self.path)
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
        except BaseException:
            connection.close()
            raise
        return connection

    def _check_kind(self, connection: sqlite3.Connection) -> None:
        if self.path.stat().st_size == 0:
            # We never leave an empty file behind (see `_create`), so its contents are lost.
            raise self._unavailable("is empty: its contents were lost", hint=_RESTORE)
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
        if version != SCHEMA_VERSION:
            raise self._unavailable(f"has tables of an unknown version ({version})", hint=_RESTORE)

    # ---- errors ----------------------------------------------------------------------------

    def _unavailable(self, what: str, *, hint: str, **details: str | int) -> LedgerUnavailable:
        return LedgerUnavailable(
            f"The ledger {self.path} {what}.", hint=hint, path=str(self.path), **details
        )

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise self._meaning(error) from error
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
            return self._unavailable("is damaged", hint=_RESTORE, sqlite=name)
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


def _check_pages(connection: sqlite3.Connection) -> None:
    """Read the whole file once: a damaged index could let a slot be given twice."""
    (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if verdict != "ok":
        raise _corrupt(verdict)


def _corrupt(verdict: str) -> sqlite3.DatabaseError:
    error = sqlite3.DatabaseError(verdict)
    error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    error.sqlite_errorname = "SQLITE_CORRUPT"
    return error


def _create(path: Path) -> None:
    """Make an empty ledger, complete or not at all: it is written aside and then given its name.

    An empty or half-written file at `path` therefore is always damage, never a beginning.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    try:
        descriptor = os.open(aside, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            _set_mode(descriptor, path.parent)
        finally:
            os.close(descriptor)
        with closing(sqlite3.connect(aside, isolation_level=None)) as connection:
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.executescript(
                f"BEGIN;{SCHEMA}PRAGMA user_version = {SCHEMA_VERSION};COMMIT;"
            )
            connection.execute("PRAGMA journal_mode = WAL")
        try:
            os.link(aside, path)
        except FileExistsError:
            return  # another process was first
        directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
    finally:
        for suffix in ("", "-journal", "-wal", "-shm"):
            aside.with_name(aside.name + suffix).unlink(missing_ok=True)


def _set_mode(descriptor: int, directory: Path) -> None:
    """0600; 0660 with the folder's group where an admin made the folder writable for a group."""
    status = directory.stat()
    if not status.st_mode & stat.S_IWGRP:
        os.fchmod(descriptor, 0o600)
        return
    os.fchown(descriptor, -1, status.st_gid)
    os.fchmod(descriptor, 0o660)
