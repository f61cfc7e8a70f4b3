"""The ledger's table for builds that wait for their turn or are at work, on all servers."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ds01_jupyter.core.processes import ProcessIdentity, is_alive

BUILD_QUEUE = """
CREATE TABLE build_queue (
    ticket          INTEGER PRIMARY KEY AUTOINCREMENT,
    uid             INTEGER NOT NULL,
    name            TEXT NOT NULL,
    building        INTEGER NOT NULL DEFAULT 0 CHECK (building IN (0, 1)),
    pid             INTEGER NOT NULL,
    pid_ticks       INTEGER NOT NULL,
    boot_id         TEXT NOT NULL,
    pid_namespace   INTEGER NOT NULL
) STRICT;

CREATE TABLE build_served (
    uid             INTEGER PRIMARY KEY,
    serial          INTEGER NOT NULL
) STRICT;
"""
"""A row of the first lives for as long as a build waits or is at work; one of a dead process is
swept by whoever looks next. The second says in which order people had their last turn."""


@dataclass(frozen=True)
class Turn:
    """A build that waits or is at work."""

    ticket: int
    uid: int
    building: bool
    process: ProcessIdentity


def order(turns: Sequence[Turn], served: Mapping[int, int]) -> list[Turn]:
    """Those that wait, next one first: people take turns. Whoever has builds at work already comes
    after those who have none, and of these first who had no turn for longest (`served`: uid -> a
    number that grows with each turn)."""
    had = Counter(turn.uid for turn in turns if turn.building)
    ranked = []
    for turn in sorted(turns, key=lambda turn: turn.ticket):
        if not turn.building:
            ranked.append((had[turn.uid], served.get(turn.uid, 0), turn.ticket, turn))
            had[turn.uid] += 1
    return [turn for *_, turn in sorted(ranked, key=lambda row: row[:3])]


def join(connection: sqlite3.Connection, uid: int, name: str, process: ProcessIdentity) -> int:
    """Wait in the queue; returns the ticket."""
    cursor = connection.execute(
        "INSERT INTO build_queue (uid, name, pid, pid_ticks, boot_id, pid_namespace)"
        " VALUES (?, ?, ?, ?, ?, ?)",
        (uid, name, process.pid, process.start_ticks, process.boot_id, process.namespace),
    )
    ticket = cursor.lastrowid
    assert ticket is not None
    return ticket


def turns(connection: sqlite3.Connection) -> list[Turn]:
    """All that wait or are at work, oldest first."""
    rows = connection.execute("SELECT * FROM build_queue ORDER BY ticket")
    return [
        Turn(
            row["ticket"],
            row["uid"],
            bool(row["building"]),
            ProcessIdentity(row["pid"], row["pid_ticks"], row["boot_id"], row["pid_namespace"]),
        )
        for row in rows
    ]


def sweep(connection: sqlite3.Connection) -> None:
    """Forget the builds of processes that are certainly dead."""
    for turn in turns(connection):
        if not is_alive(turn.process):
            leave(connection, turn.ticket)


def served(connection: sqlite3.Connection) -> dict[int, int]:
    """When people had their last turn; see `order`."""
    return {row["uid"]: row["serial"] for row in connection.execute("SELECT * FROM build_served")}


def begin(connection: sqlite3.Connection, ticket: int) -> None:
    """A build is at work: its person has had a turn."""
    connection.execute("UPDATE build_queue SET building = 1 WHERE ticket = ?", (ticket,))
    connection.execute(
        "INSERT INTO build_served (uid, serial)"
        " SELECT uid, (SELECT ifnull(max(serial), 0) + 1 FROM build_served)"
        " FROM build_queue WHERE ticket = ?"
        " ON CONFLICT (uid) DO UPDATE SET serial = excluded.serial",
        (ticket,),
    )


def leave(connection: sqlite3.Connection, ticket: int) -> None:
    """A build has ended or was given up."""
    connection.execute("DELETE FROM build_queue WHERE ticket = ?", (ticket,))
