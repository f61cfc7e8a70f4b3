"""The SQLite file under the ledger: how many threads, processes and users share it.

Where an admin made the folder group-writable, several users work on one file: write-ahead log,
full synchronisation, and writers that take the lock before they look.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from pathlib import Path
from types import TracebackType

from ds01_jupyter.core.errors import CoreError, LedgerDamaged
from ds01_jupyter.core.ledger_creation import create
from ds01_jupyter.core.ledger_opening import FileId, check_pages, connect, file_id, is_sound
from ds01_jupyter.core.ledger_recovery import Recovery
from ds01_jupyter.core.ledger_troubles import Troubles
from ds01_jupyter.core.ledger_turns import Turns
from ds01_jupyter.core.processes import ProcessIdentity

BUSY_SECONDS = 15.0
MAX_IDLE = 4


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
        self._name = str(path)
        self._busy_seconds = busy_seconds
        self._recovery = recovery
        self._troubles = Troubles(path, busy_seconds, recovery)
        self._suspect = False
        self._lock = threading.Lock()
        self._idle: list[sqlite3.Connection] = []
        self._turns = Turns(path)
        self._pid = os.getpid()
        self._file: FileId | None = None

    def write(self) -> Transaction:
        """One transaction that holds the write lock from its start, so what it reads stays true.

        Committed when the block ends, rolled back when it raises. Raises `LedgerUnavailable` or
        `DiskFull`.
        """
        return Transaction(self, writes=True)

    def read(self) -> Transaction:
        """One consistent view; does not wait for writers. Raises `LedgerUnavailable`."""
        return Transaction(self, writes=False)

    def is_alive(self, identity: ProcessIdentity) -> bool:
        """Whether a process that wrote to this file lives; in doubt it does."""
        try:
            return self._turns.signs.is_alive(identity)
        except OSError as error:
            raise self._translated(error) from error

    def close(self) -> None:
        """Close the idle connections; a later transaction opens new ones."""
        with self._lock:
            idle, self._idle = self._idle, []
            self._file = None
        for connection in idle:
            connection.close()
        self._turns.close()

    # ---- the three steps of a transaction ----------------------------------------------------

    def begin(self, *, writes: bool) -> tuple[sqlite3.Connection, FileId | None]:
        """A connection with a transaction begun on it, and the file that it is on."""
        try:
            connection, file = self._borrow()
            try:
                self._turns.begin(connection, writes=writes, busy_seconds=self._busy_seconds)
            except BaseException:
                connection.close()
                raise
        except (sqlite3.Error, OSError) as error:
            raise self._translated(error) from error
        return connection, file

    def commit(self, connection: sqlite3.Connection, file: FileId | None, *, writes: bool) -> None:
        """End a transaction; what it wrote then is on the disk."""
        try:
            try:
                connection.execute("COMMIT")
            except BaseException:
                _undo(connection)
                connection.close()
                raise
            try:
                if writes:
                    self._check_written(file)
            finally:
                self._return(connection, file)
        except (sqlite3.Error, OSError) as error:
            raise self._translated(error) from error

    def abandon(
        self, connection: sqlite3.Connection, file: FileId | None, error: BaseException
    ) -> CoreError | None:
        """Undo a transaction that `error` has ended. Returns what is to be raised instead."""
        try:
            _undo(connection)
        except (sqlite3.Error, OSError) as second:
            connection.close()
            return self._translated(second)
        if isinstance(error, CoreError):  # a refusal is an everyday thing
            self._suspect |= isinstance(error, LedgerDamaged)
            self._return(connection, file)
            return None
        connection.close()
        return self._translated(error) if isinstance(error, sqlite3.Error | OSError) else None

    def _translated(self, error: sqlite3.Error | OSError) -> CoreError:
        meaning = self._troubles.of(error)
        self._suspect |= isinstance(meaning, LedgerDamaged)
        return meaning

    # ---- connections -----------------------------------------------------------------------

    def _borrow(self) -> tuple[sqlite3.Connection, FileId | None]:
        with self._lock:
            if self._pid != os.getpid():
                # SQLite connections must not be used, nor closed, on the other side of a fork.
                _ABANDONED.extend(self._idle)
                self._idle, self._file, self._pid = [], None, os.getpid()
                self._turns = Turns(self.path)
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
            raise self._troubles.unavailable(
                "was removed or replaced while it was in use",
                hint="Ask your admin to put it back, or to restart every server that uses it.",
            )
        idle, self._idle, self._file = self._idle, [], None
        return idle

    def _was_replaced(self) -> bool:
        if self._file is None:
            return False
        try:
            return file_id(self._name) != self._file
        except FileNotFoundError:
            return True

    def _check_written(self, file: FileId | None) -> None:
        """What was committed to a file that has just been put aside does not count."""
        try:
            now = file_id(self._name)
        except FileNotFoundError:
            now = None
        if file != now:
            raise self._troubles.unavailable(
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
            if not (self.path.exists() and self._is_sound(recovery)):
                recovery.rebuild(lambda fill: create(self.path, fill))
            self._suspect = False
            return self._open()

    def _is_sound(self, recovery: Recovery) -> bool:
        return is_sound(self.path, self._busy_seconds, self._troubles, recovery)

    def _open(self) -> tuple[sqlite3.Connection, FileId | None]:
        connection = connect(self.path, self._busy_seconds, self._troubles, self._recovery)
        with self._lock:
            first = self._file is None
            file = self._file = file_id(self._name)
        if first:
            try:
                check_pages(connection, "quick_check")
            except BaseException as error:
                connection.close()
                with self._lock:
                    self._file = None
                if isinstance(error, sqlite3.Error):
                    raise self._troubles.of(error) from error
                raise
            if self._recovery is not None:
                self._recovery.vouch()
        connection.execute("PRAGMA busy_timeout = 0")  # `ledger_turns` does the waiting
        return connection, file


class Transaction:
    """A transaction as a block: `with database.write() as connection`."""

    __slots__ = ("_connection", "_database", "_file", "_writes")

    _connection: sqlite3.Connection
    _file: FileId | None

    def __init__(self, database: Database, *, writes: bool) -> None:
        self._database = database
        self._writes = writes

    def __enter__(self) -> sqlite3.Connection:
        self._connection, self._file = self._database.begin(writes=self._writes)
        return self._connection

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self._database.commit(self._connection, self._file, writes=self._writes)
            return
        instead = self._database.abandon(self._connection, self._file, error)
        if instead is not None:
            raise instead from error


_ABANDONED: list[sqlite3.Connection] = []
"""Connections of the process that we were forked from: kept, so that nobody closes them."""


def _undo(connection: sqlite3.Connection) -> None:
    if connection.in_transaction:  # SQLite rolls back by itself when the disk is full
        connection.execute("ROLLBACK")
