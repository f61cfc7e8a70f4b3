"""What may go wrong with the ledger's file, and how it is said."""

from __future__ import annotations

import errno
import os
import sqlite3
from pathlib import Path

from ds01_jupyter.core.errors import CoreError, DiskFull, LedgerDamaged, LedgerUnavailable
from ds01_jupyter.core.ledger_recovery import Recovery

RESTORE = (
    "Ask your admin to look at it. Nothing was deleted; until it is repaired or moved aside, no "
    "container can be created or removed here."
)


class Troubles:
    """The words for what goes wrong with the file at `path`."""

    def __init__(self, path: Path, busy_seconds: float, recovery: Recovery | None) -> None:
        self._path = path
        self._busy_seconds = busy_seconds
        self._recovery = recovery

    def unavailable(self, what: str, *, hint: str, **details: str | int) -> LedgerUnavailable:
        """`what` completes the sentence "The ledger PATH ..."."""
        return LedgerUnavailable(
            f"The ledger {self._path} {what}.", hint=hint, path=str(self._path), **details
        )

    def damaged(self, what: str, **details: str | int) -> LedgerUnavailable:
        """Damage that is to be made good, unless it may be that this never was a ledger."""
        if self._recovery is not None and not self._recovery.known:
            return self.unavailable(what, hint=RESTORE, **details)
        return LedgerDamaged(
            f"The ledger {self._path} {what}.", hint=RESTORE, path=str(self._path), **details
        )

    def emptied(self) -> LedgerDamaged:
        """We never leave an empty file behind (see `ledger_creation`), so its contents are lost."""
        return LedgerDamaged(
            f"The ledger {self._path} is empty: its contents were lost.",
            hint=RESTORE,
            path=str(self._path),
        )

    def of(self, error: sqlite3.Error | OSError) -> CoreError:
        """What an error of SQLite or of the file system means."""
        if isinstance(error, sqlite3.Error):
            return self._of_sqlite(error)
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return self._disk_full()
        return self.unavailable(f"cannot be used: {error.strerror}", hint=self._permission_hint())

    def _of_sqlite(self, error: sqlite3.Error) -> CoreError:
        name = getattr(error, "sqlite_errorname", type(error).__name__)
        primary = primary_code(error)
        if primary == sqlite3.SQLITE_FULL or (
            primary == sqlite3.SQLITE_IOERR and self._no_space_left()
        ):
            return self._disk_full()
        if primary in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
            return self.damaged("is damaged", sqlite=name)
        if primary in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            return self.unavailable(
                f"was busy for {self._busy_seconds:g} seconds", hint="Try again.", sqlite=name
            )
        if primary in (
            sqlite3.SQLITE_READONLY,
            sqlite3.SQLITE_CANTOPEN,
            sqlite3.SQLITE_PERM,
            sqlite3.SQLITE_AUTH,
        ):
            return self.unavailable("cannot be written", hint=self._permission_hint(), sqlite=name)
        return self.unavailable(
            f"refused a change ({error})", hint="This is a defect; please report it.", sqlite=name
        )

    def _permission_hint(self) -> str:
        return (
            f"This server needs to read and write in {self._path.parent}: ask your admin, or set "
            "another place for the ledger (DS01App.ledger)."
        )

    def _disk_full(self) -> DiskFull:
        return DiskFull(
            f"There is no space left for the ledger in {self._path.parent}.",
            hint="Free some space there and try again; nothing was changed.",
            path=str(self._path),
        )

    def _no_space_left(self) -> bool:
        try:
            return os.statvfs(self._path.parent).f_bavail == 0
        except OSError:
            return False


def primary_code(error: sqlite3.Error) -> int:
    """SQLite's result code without what it says more closely; 0 where the error has none."""
    return (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF


def corrupt(verdict: str) -> sqlite3.DatabaseError:
    """The error for damage that SQLite has found when it was asked to look."""
    error = sqlite3.DatabaseError(verdict)
    error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    error.sqlite_errorname = "SQLITE_CORRUPT"
    return error


def busy() -> sqlite3.OperationalError:
    """The error for a turn that did not come, as SQLite has it for its own lock."""
    error = sqlite3.OperationalError("database is locked")
    error.sqlite_errorcode = sqlite3.SQLITE_BUSY
    error.sqlite_errorname = "SQLITE_BUSY"
    return error
