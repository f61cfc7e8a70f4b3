"""Opening the ledger's file: it is one of ours, it is whole, and it is set up as was promised."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from ds01_jupyter.core.errors import LedgerDamaged
from ds01_jupyter.core.ledger_creation import create, migrate
from ds01_jupyter.core.ledger_migrations import SCHEMA_VERSION
from ds01_jupyter.core.ledger_recovery import Recovery
from ds01_jupyter.core.ledger_rows import container_row, history_row, image_row, lease_row
from ds01_jupyter.core.ledger_schema import APPLICATION_ID
from ds01_jupyter.core.ledger_troubles import Troubles, corrupt
from ds01_jupyter.core.reservations.tables import promise_row

STATEMENTS = 256
"""Prepared statements that a connection keeps."""

FileId = tuple[int, int]
"""Which file it is, whatever lies at its path by now: device and inode."""


def file_id(path: str | Path) -> FileId:
    """What lies at `path` now; `FileNotFoundError` when nothing does."""
    status = os.stat(path)  # noqa: PTH116 - twice in every transaction
    return status.st_dev, status.st_ino


def connect(
    path: Path, busy_seconds: float, troubles: Troubles, recovery: Recovery | None
) -> sqlite3.Connection:
    """A connection to the ledger at `path`; without a `recovery` a missing one is made.

    Raises `LedgerUnavailable` or `DiskFull`.
    """
    if not path.exists():
        if recovery is not None:
            raise troubles.unavailable("was removed just now", hint="Try again.")
        create(path)
    connection = sqlite3.connect(
        f"file:{quote(str(path))}?mode=rw",  # rw: never make an empty one in passing
        uri=True,
        timeout=busy_seconds,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=STATEMENTS,
    )
    try:
        connection.row_factory = sqlite3.Row
        _check_kind(path, connection, troubles)
        (journal,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
        if journal != "wal":
            raise troubles.unavailable(
                "lies on a file system that cannot share it",
                hint="Ask your admin to put it on a local disk.",
            )
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        migrate(connection)
    except sqlite3.Error as error:
        connection.close()
        raise troubles.of(error) from error
    except BaseException:
        connection.close()
        raise
    return connection


def check_pages(
    connection: sqlite3.Connection, check: Literal["quick_check", "integrity_check"]
) -> None:
    """Read the whole file once: a damaged index could let a slot be given twice.

    Raises `sqlite3.DatabaseError`.
    """
    (verdict,) = connection.execute(f"PRAGMA {check}(1)").fetchone()
    if verdict != "ok":
        raise corrupt(verdict)


def is_sound(path: Path, busy_seconds: float, troubles: Troubles, recovery: Recovery) -> bool:
    """Read and understand everything that decides about slots; raises where the file is none
    that may be replaced."""
    try:
        with closing(connect(path, busy_seconds, troubles, recovery)) as connection:
            check_pages(connection, "integrity_check")
            for row in connection.execute("SELECT * FROM containers"):
                container_row(row)
            for row in connection.execute("SELECT * FROM leases"):
                lease_row(row)
            for row in connection.execute("SELECT * FROM images"):
                image_row(row)
            for row in connection.execute("SELECT * FROM history"):
                history_row(row)
            for row in connection.execute("SELECT * FROM reservations"):
                promise_row(row)
    except LedgerDamaged:
        return False
    except sqlite3.Error as error:
        if isinstance(troubles.of(error), LedgerDamaged):
            return False
        raise
    return True


def _check_kind(path: Path, connection: sqlite3.Connection, troubles: Troubles) -> None:
    if path.stat().st_size == 0:
        raise troubles.emptied()
    (kind,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if kind != APPLICATION_ID:
        raise troubles.unavailable(
            "is a database of something else",
            hint="Give the ledger a path of its own (DS01App.ledger).",
        )
    if version > SCHEMA_VERSION:
        raise troubles.unavailable(
            f"was written by a newer ds01-jupyter (version {version} of the tables, this one "
            f"knows {SCHEMA_VERSION})",
            hint="Update ds01-jupyter here, or give this server a ledger of its own.",
        )
    if version < 1:
        raise troubles.damaged(f"has tables of an unknown version ({version})")
