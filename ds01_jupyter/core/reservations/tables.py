"""The ledger's tables for what is promised to whom: their making, and the statements on them,
inside a transaction of the caller's."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from ds01_jupyter.core.ledger_rows import damaged
from ds01_jupyter.core.reservations.promises import Promise

RESERVATIONS = """
CREATE TABLE reservations (
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    host            TEXT NOT NULL,
    kind            TEXT NOT NULL CHECK (kind IN ('slot', 'profile', 'whole')),
    profile         TEXT NOT NULL,
    slot_uuid       TEXT,
    slot            TEXT,
    count           INTEGER NOT NULL CHECK (count BETWEEN 1 AND 16),
    uid             INTEGER CHECK (uid >= 0),
    user            TEXT,
    group_name      TEXT,
    starts          TEXT NOT NULL,
    ends            TEXT NOT NULL,
    notice_seconds  REAL NOT NULL CHECK (notice_seconds >= 0),
    reason          TEXT NOT NULL,
    actor           TEXT NOT NULL,
    created         TEXT NOT NULL,
    cancelled       TEXT,
    cancelled_by    TEXT,
    begun           TEXT,
    first_lease     INTEGER,
    ended           TEXT,
    problem         TEXT,
    CHECK ((kind = 'slot') = (slot_uuid IS NOT NULL) AND (kind = 'slot') = (slot IS NOT NULL)),
    CHECK (kind <> 'slot' OR count = 1),
    CHECK ((uid IS NULL) = (user IS NULL) AND (uid IS NULL) <> (group_name IS NULL)),
    CHECK (starts < ends),
    CHECK ((cancelled IS NULL) = (cancelled_by IS NULL)),
    CHECK ((begun IS NULL) = (first_lease IS NULL)),
    CHECK (ended IS NULL OR begun IS NOT NULL)
) STRICT;
CREATE INDEX reservations_that_stand ON reservations (host, ends) WHERE cancelled IS NULL;

CREATE TABLE reservation_leavers (
    reservation     INTEGER NOT NULL REFERENCES reservations (id),
    claim_id        TEXT NOT NULL,
    uid             INTEGER NOT NULL,
    owner           TEXT NOT NULL,
    name            TEXT NOT NULL,
    told            TEXT NOT NULL,
    due             INTEGER NOT NULL DEFAULT 0 CHECK (due IN (0, 1)),
    PRIMARY KEY (reservation, claim_id)
) STRICT, WITHOUT ROWID;
"""
"""Promises: times are of the calendar, in UTC and all in one form, so that they can be compared as
text. `first_lease` is the number of the newest lease there was when it began.

Beside it, whose leases are in the way of one and were told so; `due` once the time has come to end
them. A row goes when the lease has gone, or is not in the way any more."""

HistoryAction = Literal["book", "cancel", "begin", "end", "evict"]


def text(moment: datetime) -> str:
    """A moment as it is stored: always with microseconds, so that the text sorts like the time."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


# ---- promises ----------------------------------------------------------------------------------


def insert(connection: sqlite3.Connection, host: str, promise: Promise) -> int:
    """Write a new promise; returns its number."""
    assert promise.created is not None
    cursor = connection.execute(
        "INSERT INTO reservations (host, kind, profile, slot_uuid, slot, count, uid, user,"
        " group_name, starts, ends, notice_seconds, reason, actor, created)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            host,
            promise.kind,
            promise.profile,
            promise.slot_uuid,
            promise.slot,
            promise.count,
            promise.uid,
            promise.user,
            promise.group,
            text(promise.start),
            text(promise.end),
            promise.notice.total_seconds(),
            promise.reason,
            promise.by,
            text(promise.created),
        ),
    )
    assert cursor.lastrowid is not None
    return cursor.lastrowid


def standing(connection: sqlite3.Connection, host: str, now: datetime) -> list[Promise]:
    """The promises of a host that are not over and were not cancelled, soonest first."""
    rows = connection.execute(
        "SELECT * FROM reservations WHERE host = ? AND cancelled IS NULL AND ends > ?"
        " ORDER BY starts, id",
        (host, text(now)),
    )
    return [promise_row(row) for row in rows]


def all_of(connection: sqlite3.Connection, host: str, most: int) -> list[Promise]:
    """The last `most` promises of a host, over and cancelled ones too, soonest first."""
    rows = connection.execute(
        "SELECT * FROM (SELECT * FROM reservations WHERE host = ? ORDER BY id DESC LIMIT ?)"
        " ORDER BY starts, id",
        (host, most),
    )
    return [promise_row(row) for row in rows]


def one(connection: sqlite3.Connection, host: str, number: int) -> Promise | None:
    """One promise of a host."""
    row = connection.execute(
        "SELECT * FROM reservations WHERE host = ? AND id = ?", (host, number)
    ).fetchone()
    return None if row is None else promise_row(row)


def cancel(connection: sqlite3.Connection, number: int, by: str, now: datetime) -> None:
    """Take a promise back."""
    connection.execute(
        "UPDATE reservations SET cancelled = ?, cancelled_by = ? WHERE id = ?",
        (text(now), by, number),
    )


def to_begin(connection: sqlite3.Connection, host: str, now: datetime) -> list[Promise]:
    """The promises whose time has come and of which that is not written yet."""
    rows = connection.execute(
        "SELECT * FROM reservations WHERE host = ? AND cancelled IS NULL AND begun IS NULL"
        " AND starts <= ? ORDER BY starts, id",
        (host, text(now)),
    )
    return [promise_row(row) for row in rows]


def to_end(connection: sqlite3.Connection, host: str, now: datetime) -> list[Promise]:
    """The promises that are over and of which that is not written yet."""
    rows = connection.execute(
        "SELECT * FROM reservations WHERE host = ? AND cancelled IS NULL AND ended IS NULL"
        " AND ends <= ? ORDER BY ends, id",
        (host, text(now)),
    )
    return [promise_row(row) for row in rows]


def set_begun(connection: sqlite3.Connection, promise: Promise, now: datetime) -> None:
    """It has begun: leases that are made from now on count towards it."""
    connection.execute(
        "UPDATE reservations SET begun = ?, first_lease ="
        " (SELECT coalesce(max(id), 0) FROM leases WHERE created < ?) WHERE id = ?",
        (text(now), text(promise.start), promise.id),
    )


def set_ended(connection: sqlite3.Connection, number: int, now: datetime) -> None:
    """It is over."""
    connection.execute("UPDATE reservations SET ended = ? WHERE id = ?", (text(now), number))


def set_problem(connection: sqlite3.Connection, number: int, problem: str | None) -> None:
    """What its people were told last of why it cannot be kept; None: it can."""
    connection.execute("UPDATE reservations SET problem = ? WHERE id = ?", (problem, number))


def promise_row(row: sqlite3.Row) -> Promise:
    """A row of `reservations`. Raises `LedgerDamaged` for a time that is none."""
    try:
        return _promise(row)
    except ValueError as error:
        raise damaged(f"reservation {row['id']}", error) from error


def _promise(row: sqlite3.Row) -> Promise:
    return Promise(
        id=row["id"],
        kind=row["kind"],
        profile=row["profile"],
        count=row["count"],
        start=datetime.fromisoformat(row["starts"]),
        end=datetime.fromisoformat(row["ends"]),
        notice=timedelta(seconds=row["notice_seconds"]),
        uid=row["uid"],
        user=row["user"],
        group=row["group_name"],
        slot_uuid=row["slot_uuid"],
        slot=row["slot"],
        reason=row["reason"],
        by=row["actor"],
        created=datetime.fromisoformat(row["created"]),
        cancelled=_time(row["cancelled"]),
        first_lease=row["first_lease"],
        ended=_time(row["ended"]),
        problem=row["problem"],
    )


def _time(value: str | None) -> datetime | None:
    return None if value is None else datetime.fromisoformat(value)


# ---- those in the way --------------------------------------------------------------------------


@dataclass(frozen=True)
class Leaver:
    """Whose lease is in the way of a promise, since when they know, and whether it is ended now."""

    reservation: int
    claim_id: str
    uid: int
    owner: str
    name: str
    told: datetime
    due: bool = False


def leavers(connection: sqlite3.Connection, host: str) -> dict[tuple[int, str], Leaver]:
    """All who were told, by the promise's number and their claim."""
    rows = connection.execute(
        "SELECT each.* FROM reservation_leavers AS each JOIN reservations ON id = reservation"
        " WHERE host = ?",
        (host,),
    )
    return {
        (row["reservation"], row["claim_id"]): Leaver(
            reservation=row["reservation"],
            claim_id=row["claim_id"],
            uid=row["uid"],
            owner=row["owner"],
            name=row["name"],
            told=datetime.fromisoformat(row["told"]),
            due=bool(row["due"]),
        )
        for row in rows
    }


def add_leaver(connection: sqlite3.Connection, leaver: Leaver) -> bool:
    """Remember that somebody was told; False when they were already."""
    cursor = connection.execute(
        "INSERT INTO reservation_leavers (reservation, claim_id, uid, owner, name, told)"
        " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        (
            leaver.reservation,
            leaver.claim_id,
            leaver.uid,
            leaver.owner,
            leaver.name,
            text(leaver.told),
        ),
    )
    return bool(cursor.rowcount)


def set_due(connection: sqlite3.Connection, leaver: Leaver) -> None:
    """The time has come to end the lease."""
    connection.execute(
        "UPDATE reservation_leavers SET due = 1 WHERE reservation = ? AND claim_id = ?",
        (leaver.reservation, leaver.claim_id),
    )


def drop_leavers(connection: sqlite3.Connection, gone: Iterable[Leaver]) -> None:
    """Forget those who are not in the way any more."""
    connection.executemany(
        "DELETE FROM reservation_leavers WHERE reservation = ? AND claim_id = ?",
        [(each.reservation, each.claim_id) for each in gone],
    )
