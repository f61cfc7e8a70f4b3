"""A ledger that was damaged or lost: kept aside, and built anew from what Docker and NVML know.

Of several processes that notice, one does it and the others wait (`flock` on a file beside the
ledger, which the kernel frees when its holder dies). Until the new file is complete there is none
at the ledger's path, so nothing can be given away meanwhile. Whoever is killed at any point leaves
either the old file, or none (then the next one begins where there is none), or the new one.
"""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from ds01_jupyter.core import ledger_tables as tables
from ds01_jupyter.core.crash_points import reached
from ds01_jupyter.core.errors import CoreError, LedgerUnavailable
from ds01_jupyter.core.ledger_creation import open_beside
from ds01_jupyter.core.ledger_rows import history_row, image_row
from ds01_jupyter.core.reservations.tables import promise_row
from ds01_jupyter.core.waiting.tables import entry_row

WAIT_SECONDS = 90.0
"""How long one process waits while another builds the ledger anew (Docker may be slow)."""
POLL_SECONDS = 0.02
COMPANIONS = ("-wal", "-shm")
FROM_DOCKER = frozenset({"containers", "leases", "uncompared"})
"""Tables that are never taken over from a damaged file: who has what is asked of Docker."""

Write = Callable[[sqlite3.Connection, Mapping[str, Any]], None]
"""Writes what was found into a new ledger, inside a transaction of the caller's; gets figures of
the recovery (`reason`, `kept`, `salvaged`) for the history."""
Survey = Callable[[], Write]
"""Asks Docker and the driver; raises `CoreError` when they do not answer."""


class Recovery:
    """How the ledger at `path` comes back."""

    def __init__(self, path: Path, survey: Survey, *, wait: float = WAIT_SECONDS) -> None:
        self.path = path
        self._survey = survey
        self._wait = wait
        self._lock_file = path.with_name(f"{path.name}.lock")

    @property
    def known(self) -> bool:
        """Whether a ledger was ever opened at this path: a file there that is no ledger then is a
        damaged one, and not somebody's thesis."""
        try:
            return self._lock_file.stat().st_size > 0
        except FileNotFoundError:
            return False

    def vouch(self) -> None:
        """What lies at the path is a ledger: remember that for the day when it cannot be told."""
        if not self.known:
            self._lock_file.write_bytes(b"a ledger\n")

    @contextmanager
    def opening(self) -> Iterator[None]:
        """While the file is being opened, nobody puts another in its place."""
        with self._flock(fcntl.LOCK_SH):
            yield

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Nobody else opens, or rebuilds, the file."""
        with self._flock(fcntl.LOCK_EX):
            yield

    def rebuild(self, create: Callable[[Callable[[sqlite3.Connection], None]], None]) -> None:
        """Keep aside what is there, ask Docker and the driver, and make a new file.

        `create` makes the file, complete or not at all, filled by the function that it is given.
        Inside `alone()`. Raises `LedgerUnavailable` when Docker or the driver does not answer:
        then nobody has a ledger until a later attempt succeeds. Only where there never was one it
        begins without them, and gives nothing away until it has been compared with Docker.
        """
        begun = self.known
        reason = "damaged" if self.path.exists() else "lost"
        kept = self._keep_aside()
        reached("rebuild.moved")
        try:
            write = self._survey()
        except CoreError as error:
            if not (begun or kept or self._newest_kept()):
                create(_leave_uncompared)
                return
            raise LedgerUnavailable(
                f"The ledger {self.path} was lost or damaged, and to make it anew Docker and the "
                f"NVIDIA driver must be asked: {error.message}",
                hint=error.hint or "Nothing is given away until then; try again later.",
                path=str(self.path),
                cause=error.code,
            ) from error
        reached("rebuild.surveyed")
        source = kept or (self._newest_kept() if reason == "lost" else None)

        def fill(connection: sqlite3.Connection) -> None:
            salvaged = {} if source is None else _salvage(source, connection)
            facts = {
                "reason": "damaged" if source else reason,
                "kept": source.name if source else None,
                "salvaged": salvaged,
            }
            write(connection, facts)
            reached("rebuild.written")

        create(fill)
        if source is not None:
            # From now on this file has been made good; a later loss is another matter.
            with suppress(OSError):
                self._marker(source).touch()
        reached("rebuild.linked")

    # ---- files -----------------------------------------------------------------------------

    def _keep_aside(self) -> Path | None:
        """Rename the file to `NAME.damaged-N`, its log and index with it.

        The file goes first: it without its log could look whole and forget what was given last.
        A log without a file is put beside the one that was moved before.
        """
        kept: Path | None = None
        if self.path.exists():
            number = 1
            while os.path.lexists(self._aside(number)):
                number += 1
            kept = self.path.rename(self._aside(number))
        left = [self.path.with_name(self.path.name + suffix) for suffix in COMPANIONS]
        if not any(item.exists() for item in left):
            return kept
        target = kept or self._newest_kept()
        if target is None or target.with_name(target.name + "-wal").exists():
            target = self._aside(1 + self._count())
        for item, suffix in zip(left, COMPANIONS, strict=True):
            # Left where it is, SQLite would take it for the new file's.
            if item.exists():
                item.rename(target.with_name(target.name + suffix))
        return kept

    def _aside(self, number: int) -> Path:
        return self.path.with_name(f"{self.path.name}.damaged-{number}")

    @staticmethod
    def _marker(kept: Path) -> Path:
        return kept.with_name(f"{kept.name}.rebuilt")

    def _count(self) -> int:
        number = 0
        while os.path.lexists(self._aside(number + 1)):
            number += 1
        return number

    def _newest_kept(self) -> Path | None:
        """The file kept last, unless a ledger was made in its place already."""
        kept = self._aside(self._count())
        return kept if kept.exists() and not self._marker(kept).exists() else None

    # ---- the lock --------------------------------------------------------------------------

    @contextmanager
    def _flock(self, kind: int) -> Iterator[None]:
        descriptor = open_beside(self._lock_file)
        try:
            deadline = time.monotonic() + self._wait
            while True:
                try:
                    fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() >= deadline:
                        raise LedgerUnavailable(
                            f"The ledger {self.path} is being built anew from what Docker has.",
                            hint="Nothing is given away until that has ended; try again soon.",
                            path=str(self.path),
                            waited=self._wait,
                        ) from None
                    time.sleep(POLL_SECONDS)
            yield
        finally:
            os.close(descriptor)


def _leave_uncompared(connection: sqlite3.Connection) -> None:
    connection.execute("INSERT INTO uncompared (since) VALUES (?)", (tables.now(),))


# ---- what can still be read --------------------------------------------------------------------


def _salvage(kept: Path, target: sqlite3.Connection) -> dict[str, int]:
    """Take over the rows of a damaged file that can still be read; the count for each table.

    Images, history, reservations and the like; who has which slot is not among them. Reading is
    done on a copy, so that what was kept stays as it was found.
    """
    copy = kept.with_name(f".{kept.name}.{secrets.token_hex(6)}")
    try:
        _copy(kept, copy)
        with closing(sqlite3.connect(copy, isolation_level=None)) as source:
            source.row_factory = sqlite3.Row
            source.execute("PRAGMA trusted_schema = OFF")
            source.execute("PRAGMA cell_size_check = ON")
            tables = [
                row["name"]
                for row in target.execute(
                    "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY rowid"
                )
                if row["name"] not in FROM_DOCKER and not row["name"].startswith("sqlite_")
            ]
            return {table: _copy_rows(source, target, table) for table in tables}
    except sqlite3.Error:
        return {}
    finally:
        for suffix in ("", "-journal", *COMPANIONS):
            copy.with_name(copy.name + suffix).unlink(missing_ok=True)


def _copy(kept: Path, copy: Path) -> None:
    for suffix in ("", "-wal"):
        with suppress(FileNotFoundError):
            shutil.copyfile(kept.with_name(kept.name + suffix), copy.with_name(copy.name + suffix))
    if not copy.exists():
        raise OSError(errno.ENOENT, os.strerror(errno.ENOENT), str(kept))


def _copy_rows(source: sqlite3.Connection, target: sqlite3.Connection, table: str) -> int:
    readable: dict[str, Callable[[sqlite3.Row], object]] = {
        "images": image_row,
        "history": history_row,
        "reservations": promise_row,
        "waiting": entry_row,
    }
    taken = 0
    try:
        columns = [row["name"] for row in target.execute(f"PRAGMA table_info({table})")]
        there = {row["name"] for row in source.execute(f"PRAGMA table_info({table})")}
        shared = ", ".join(column for column in columns if column in there)
        marks = ", ".join("?" for column in columns if column in there)
        if not shared:
            return 0
        insert = f"INSERT OR IGNORE INTO {table} ({shared}) VALUES ({marks})"  # noqa: S608
        for row in source.execute(f"SELECT {shared} FROM {table}"):  # noqa: S608
            try:
                readable.get(table, tuple)(row)
                taken += target.execute(insert, tuple(row)).rowcount
            except (sqlite3.IntegrityError, LedgerUnavailable, TypeError, ValueError, IndexError):
                continue  # this row is part of the damage
    except sqlite3.Error:
        pass  # from here on the table cannot be read; what came before is kept
    return taken
