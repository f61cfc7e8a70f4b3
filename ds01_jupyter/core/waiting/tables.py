"""The ledger's tables for who waits for slots: their making, and the statements on them.

The statements run inside a transaction of the caller's, like those of `ledger_tables`.
"""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from ds01_jupyter.core.clock import Moment
from ds01_jupyter.core.ledger_rows import damaged
from ds01_jupyter.core.processes import ProcessIdentity, is_alive, process_identity

WAITING = """
CREATE TABLE waiting (
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    host            TEXT NOT NULL,
    uid             INTEGER NOT NULL,
    owner           TEXT NOT NULL,
    name            TEXT NOT NULL,
    gpu             TEXT NOT NULL,
    gpus            INTEGER NOT NULL CHECK (gpus >= 1),
    request         TEXT NOT NULL,
    priority        INTEGER NOT NULL,
    state           TEXT NOT NULL
                    CHECK (state IN ('waiting', 'starting', 'done', 'cancelled', 'failed')),
    created         TEXT NOT NULL,
    boot_id         TEXT NOT NULL,
    boot_seconds    REAL NOT NULL,
    finished        TEXT,
    claim_id        TEXT,
    operation       TEXT,
    problem         TEXT,
    tries           INTEGER NOT NULL DEFAULT 0,
    pid             INTEGER NOT NULL,
    start_ticks     INTEGER NOT NULL,
    server_boot_id  TEXT NOT NULL,
    pid_namespace   INTEGER NOT NULL,
    seen            REAL,
    CHECK ((state IN ('waiting', 'starting')) = (finished IS NULL)),
    CHECK (state <> 'starting' OR (claim_id IS NOT NULL AND operation IS NOT NULL)),
    CHECK (state <> 'waiting' OR (claim_id IS NULL AND operation IS NULL)),
    CHECK (state <> 'failed' OR problem IS NOT NULL)
) STRICT;
CREATE INDEX waiting_of_person ON waiting (uid, id);
CREATE UNIQUE INDEX one_wait_a_name ON waiting (host, uid, name)
WHERE state IN ('waiting', 'starting');
CREATE UNIQUE INDEX one_wait_a_claim ON waiting (claim_id) WHERE claim_id IS NOT NULL;

CREATE TRIGGER an_ended_wait_is_final BEFORE UPDATE ON waiting
WHEN OLD.finished IS NOT NULL
BEGIN SELECT RAISE(ABORT, 'who does not wait any more never waits again'); END;

CREATE TRIGGER a_wait_keeps_its_place
BEFORE UPDATE OF host, uid, request, priority, created, boot_id, boot_seconds ON waiting
BEGIN SELECT RAISE(ABORT, 'a place in the queue never moves'); END;

CREATE INDEX leases_by_end ON leases (since) WHERE state = 'released';
"""
"""Who waits. `created` (with the boot's id and seconds) is when the wait began; it and `priority`
never change, so that a place survives every restart. `pid` to `pid_namespace` are the server that
will make the container; `seen` is when that was last sure that it could, in seconds since boot, and
null when it cannot for now. The last index finds the leases that count for fair shares."""

KEPT_ENDED = 50
"""Ended waits that are remembered for each person."""
SILENT_SECONDS = 90.0
"""A server that has not been seen for so long makes no container now, even if it still lives."""

State = Literal["waiting", "starting", "done", "cancelled", "failed"]
ACTIVE = "state IN ('waiting', 'starting')"


@dataclass(frozen=True)
class Entry:
    """A place in the queue. `request` is the `ContainerRequest` as JSON.

    `server` is the process that will make the container, `seen` when that was last able to
    (seconds since boot; None when it is not). `tries` counts servers that died while they made it.
    """

    id: int
    uid: int
    owner: str
    name: str
    gpu: str
    gpus: int
    request: str
    priority: int
    state: State
    created: datetime
    boot_id: str
    boot_seconds: float
    finished: datetime | None
    claim_id: str | None
    operation: str | None
    problem: str | None
    tries: int
    server: ProcessIdentity
    seen: float | None

    @property
    def since(self) -> Moment:
        """When the wait began."""
        return Moment(self.created, self.boot_id, self.boot_seconds)

    def asleep(self, now: Moment) -> bool:
        """Whether its container could not be made now: its server is gone, silent, or says so."""
        if self.seen is None or self.server.boot_id != now.boot_id:
            return True
        return now.boot_seconds - self.seen > SILENT_SECONDS or not is_alive(self.server)


def insert(
    connection: sqlite3.Connection,
    *,
    host: str,
    uid: int,
    owner: str,
    name: str,
    gpu: str,
    gpus: int,
    request: str,
    priority: int,
    now: Moment,
) -> int:
    """Begin a wait, served by this process; returns its number."""
    me = process_identity()
    cursor = connection.execute(
        "INSERT INTO waiting (host, uid, owner, name, gpu, gpus, request, priority, state, created,"
        " boot_id, boot_seconds, pid, start_ticks, server_boot_id, pid_namespace, seen)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, 'waiting', ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            host,
            uid,
            owner,
            name,
            gpu,
            gpus,
            request,
            priority,
            now.wall.astimezone(UTC).isoformat(),
            now.boot_id,
            now.boot_seconds,
            me.pid,
            me.start_ticks,
            me.boot_id,
            me.namespace,
            now.boot_seconds,
        ),
    )
    assert cursor.lastrowid is not None
    return cursor.lastrowid


def active(connection: sqlite3.Connection, host: str) -> list[Entry]:
    """Everybody's waits that have not ended, oldest first."""
    rows = connection.execute(
        f"SELECT * FROM waiting WHERE host = ? AND {ACTIVE} ORDER BY id",  # noqa: S608
        (host,),
    )
    return [entry_row(row) for row in rows]


def anybody(connection: sqlite3.Connection, host: str) -> bool:
    """Whether somebody waits; the cheapest question there is."""
    found = connection.execute(
        f"SELECT 1 FROM waiting WHERE host = ? AND {ACTIVE} LIMIT 1",  # noqa: S608
        (host,),
    ).fetchone()
    return found is not None


def get(connection: sqlite3.Connection, host: str, entry_id: int) -> Entry | None:
    """One wait, ended or not."""
    row = connection.execute(
        "SELECT * FROM waiting WHERE host = ? AND id = ?", (host, entry_id)
    ).fetchone()
    return None if row is None else entry_row(row)


def ended(connection: sqlite3.Connection, host: str, uid: int, limit: int) -> list[Entry]:
    """The last `limit` waits of a person that have ended, newest first."""
    rows = connection.execute(
        "SELECT * FROM waiting WHERE host = ? AND uid = ? AND finished IS NOT NULL"
        " ORDER BY finished DESC, id DESC LIMIT ?",
        (host, uid, limit),
    )
    return [entry_row(row) for row in rows]


def begin(connection: sqlite3.Connection, entry_id: int, claim_id: str, operation: str) -> bool:
    """The claim of a waiting entry is held: this process will make the container, as `operation`.
    False when it does not wait any more."""
    me = process_identity()
    cursor = connection.execute(
        "UPDATE waiting SET state = 'starting', claim_id = ?, operation = ?, problem = NULL,"
        " pid = ?, start_ticks = ?, server_boot_id = ?, pid_namespace = ?"
        " WHERE id = ? AND state = 'waiting'",
        (claim_id, operation, me.pid, me.start_ticks, me.boot_id, me.namespace, entry_id),
    )
    return cursor.rowcount == 1


def back(
    connection: sqlite3.Connection,
    entry_id: int,
    operation: str,
    *,
    problem: str | None = None,
    died: bool = False,
) -> bool:
    """What `operation` was to make was not made: wait again, in the old place. `died` counts a
    try, a `problem` says why it cannot be made for now (then nobody need wait for it).

    False when it is not made by that operation (any more).
    """
    cursor = connection.execute(
        "UPDATE waiting SET state = 'waiting', claim_id = NULL, operation = NULL, problem = ?,"
        " seen = CASE WHEN ? IS NULL THEN seen END, tries = tries + ?"
        " WHERE id = ? AND state = 'starting' AND operation = ?",
        (problem, problem, int(died), entry_id, operation),
    )
    return cursor.rowcount == 1


def end(
    connection: sqlite3.Connection,
    entry_id: int,
    state: Literal["done", "cancelled", "failed"],
    now: Moment,
    *,
    operation: str | None = None,
    problem: str | None = None,
) -> bool:
    """The wait is over: of one that is made by `operation`, or (None) of one that still waits.

    False when it is in another state by now.
    """
    cursor = connection.execute(
        "UPDATE waiting SET state = ?, finished = ?, problem = ?"
        " WHERE id = ? AND finished IS NULL AND operation IS ?",
        (state, now.wall.astimezone(UTC).isoformat(), problem, entry_id, operation),
    )
    if not cursor.rowcount:
        return False
    (uid,) = connection.execute("SELECT uid FROM waiting WHERE id = ?", (entry_id,)).fetchone()
    connection.execute(
        "DELETE FROM waiting WHERE uid = ? AND finished IS NOT NULL AND id NOT IN"
        " (SELECT id FROM waiting WHERE uid = ? AND finished IS NOT NULL"
        "  ORDER BY finished DESC, id DESC LIMIT ?)",
        (uid, uid, KEPT_ENDED),
    )
    return True


def attend(
    connection: sqlite3.Connection, entry_id: int, now: Moment, problem: str | None = None
) -> None:
    """This process will make the container of a waiting entry; with a `problem` it cannot for now,
    and nobody need wait for it."""
    me = process_identity()
    connection.execute(
        "UPDATE waiting SET pid = ?, start_ticks = ?, server_boot_id = ?, pid_namespace = ?,"
        " seen = ?, problem = ? WHERE id = ? AND state = 'waiting'",
        (
            me.pid,
            me.start_ticks,
            me.boot_id,
            me.namespace,
            now.boot_seconds if problem is None else None,
            problem,
            entry_id,
        ),
    )


def entry_row(row: sqlite3.Row) -> Entry:
    """A row of `waiting`. Raises `LedgerDamaged`."""
    values: dict[str, Any] = {key: row[key] for key in _PLAIN}
    try:
        created = datetime.fromisoformat(row["created"])
        finished = row["finished"] and datetime.fromisoformat(row["finished"])
        json.loads(row["request"])
    except ValueError as error:
        raise damaged(f"place {row['id']} of the queue", error) from error
    server = ProcessIdentity(
        row["pid"], row["start_ticks"], row["server_boot_id"], row["pid_namespace"]
    )
    return Entry(**values, created=created, finished=finished or None, server=server)


_PLAIN = (
    *("id", "uid", "owner", "name", "gpu", "gpus", "request", "priority", "state", "boot_id"),
    *("boot_seconds", "claim_id", "operation", "problem", "tries", "seen"),
)
