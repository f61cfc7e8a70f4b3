"""The ledger's tables for the time of containers and for notices to people: their making, and the
statements on them, inside a transaction of the caller's."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from ds01_jupyter.core.clock import Moment
from ds01_jupyter.core.lifecycle.life import Counters, KeepAlive, Life, What

LIFECYCLE = """
CREATE TABLE lives (
    claim_id        TEXT PRIMARY KEY,
    made            TEXT NOT NULL,
    made_boot       TEXT NOT NULL,
    made_seconds    REAL NOT NULL,
    ran             REAL NOT NULL CHECK (ran >= 0),
    run             TEXT,
    run_seconds     REAL NOT NULL CHECK (run_seconds >= 0),
    idle            REAL NOT NULL CHECK (idle >= 0),
    activity        TEXT CHECK (activity IN ('active', 'idle', 'unknown')),
    activity_from   TEXT CHECK (activity_from IN ('gpu', 'cpu', 'keep_alive')),
    looked          TEXT,
    looked_boot     TEXT,
    looked_seconds  REAL,
    cpu             REAL,
    network         INTEGER,
    kept            TEXT,
    kept_boot       TEXT,
    kept_seconds    REAL,
    keep_for        REAL CHECK (keep_for > 0),
    stopped         TEXT,
    stopped_boot    TEXT,
    stopped_seconds REAL,
    ending          TEXT CHECK (ending IN ('idle_stop', 'runtime_stop', 'reservation_stop')),
    CHECK ((looked IS NULL) = (looked_boot IS NULL)
           AND (looked IS NULL) = (looked_seconds IS NULL)),
    CHECK ((kept IS NULL) = (kept_boot IS NULL) AND (kept IS NULL) = (kept_seconds IS NULL)
           AND (kept IS NULL) = (keep_for IS NULL)),
    CHECK ((stopped IS NULL) = (stopped_boot IS NULL)
           AND (stopped IS NULL) = (stopped_seconds IS NULL)),
    CHECK (run IS NOT NULL OR stopped IS NULL),
    CHECK (run IS NULL OR looked IS NOT NULL)
) STRICT;

CREATE TABLE warnings (
    claim_id        TEXT NOT NULL,
    what            TEXT NOT NULL CHECK (what IN
                    ('idle_stop', 'runtime_stop', 'reservation_stop', 'gpu_release', 'removal')),
    level           INTEGER NOT NULL CHECK (level IN (1, 2)),
    time            TEXT NOT NULL,
    boot_id         TEXT NOT NULL,
    boot_seconds    REAL NOT NULL,
    PRIMARY KEY (claim_id, what)
) STRICT, WITHOUT ROWID;

CREATE TABLE notices (
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    uid             INTEGER NOT NULL,
    time            TEXT NOT NULL,
    kind            TEXT NOT NULL CHECK (kind IN
                    ('warning', 'done', 'reservation', 'queue', 'gpu')),
    container       TEXT,
    what            TEXT NOT NULL,
    message         TEXT NOT NULL,
    hint            TEXT NOT NULL,
    at              TEXT
) STRICT;
CREATE INDEX notices_of_person ON notices (uid, id);

CREATE TABLE notice_files (
    folder          TEXT PRIMARY KEY,
    uid             INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
"""
"""The life of each claim (see `life.Life`), the last warning that was given of everything that is
about to happen to it, what people are to be told, and the workspaces with a notice of ours.

A life goes with its container, but has no foreign key: it is to outlast a ledger that is made anew,
before its containers are known again."""

WHATS: tuple[What, ...] = (
    "idle_stop",
    "runtime_stop",
    "reservation_stop",
    "gpu_release",
    "removal",
)
KEPT_NOTICES = 200
"""Notices that are kept for each person."""
NOTICES_LAST = timedelta(days=30)
"""How long a notice is kept: also the end of what is left of a person who has gone."""


# ---- lives -------------------------------------------------------------------------------------


def lives(connection: sqlite3.Connection) -> dict[str, Life]:
    """All lives, by claim."""
    rows = connection.execute("SELECT * FROM lives")
    return {row["claim_id"]: _life(row) for row in rows}


def life(connection: sqlite3.Connection, claim_id: str) -> Life | None:
    """The life of one claim."""
    row = connection.execute("SELECT * FROM lives WHERE claim_id = ?", (claim_id,)).fetchone()
    return None if row is None else _life(row)


def save_life(connection: sqlite3.Connection, life: Life) -> None:
    """Write a life in place of what was there."""
    values = {
        "claim_id": life.claim_id,
        **_columns("made", life.made),
        "ran": life.ran,
        "run": None if life.run is None else life.run.astimezone(UTC).isoformat(),
        "run_seconds": life.run_seconds,
        "idle": life.idle,
        "activity": life.activity,
        "activity_from": life.activity_from,
        **_columns("looked", life.looked),
        "cpu": life.counters.cpu,
        "network": life.counters.network,
        **_columns("kept", None if life.keep is None else life.keep.since),
        "keep_for": None if life.keep is None else life.keep.seconds,
        **_columns("stopped", life.stopped),
        "ending": life.ending,
    }
    names, marks = ", ".join(values), ", ".join("?" for _ in values)
    connection.execute(
        f"INSERT OR REPLACE INTO lives ({names}) VALUES ({marks})",  # noqa: S608 - our own names
        tuple(values.values()),
    )


def forget_gone(connection: sqlite3.Connection) -> None:
    """Drop lives and warnings of containers that are not there any more."""
    for table in ("lives", "warnings"):
        connection.execute(
            f"DELETE FROM {table} WHERE claim_id NOT IN (SELECT claim_id FROM containers)"  # noqa: S608
        )


def _life(row: sqlite3.Row) -> Life:
    made, kept = _moment(row, "made"), _moment(row, "kept")
    assert made is not None
    return Life(
        claim_id=row["claim_id"],
        made=made,
        ran=row["ran"],
        run=None if row["run"] is None else datetime.fromisoformat(row["run"]),
        run_seconds=row["run_seconds"],
        idle=row["idle"],
        activity=row["activity"],
        activity_from=row["activity_from"],
        looked=_moment(row, "looked"),
        counters=Counters(row["cpu"], row["network"]),
        keep=None if kept is None else KeepAlive(kept, row["keep_for"]),
        stopped=_moment(row, "stopped"),
        ending=row["ending"],
    )


def _moment(row: sqlite3.Row, name: str) -> Moment | None:
    if row[name] is None:
        return None
    return Moment(datetime.fromisoformat(row[name]), row[f"{name}_boot"], row[f"{name}_seconds"])


def _columns(name: str, moment: Moment | None) -> dict[str, str | float | None]:
    if moment is None:
        return {name: None, f"{name}_boot": None, f"{name}_seconds": None}
    wall = moment.wall.astimezone(UTC).isoformat()
    return {name: wall, f"{name}_boot": moment.boot_id, f"{name}_seconds": moment.boot_seconds}


# ---- warnings ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Warned:
    """The warnings of one thing: the level of the last (1 or 2), and when the first was given."""

    level: int
    at: Moment


def warnings(connection: sqlite3.Connection) -> dict[tuple[str, str], Warned]:
    """All warnings that stand, by claim and what they are about."""
    return {
        (row["claim_id"], row["what"]): Warned(
            row["level"],
            Moment(datetime.fromisoformat(row["time"]), row["boot_id"], row["boot_seconds"]),
        )
        for row in connection.execute("SELECT * FROM warnings")
    }


def set_warning(
    connection: sqlite3.Connection, claim_id: str, what: What, level: int, now: Moment
) -> None:
    """Remember that a warning of this level was given now; level 0 forgets all of them, so that
    they are given anew."""
    if level == 0:
        connection.execute("DELETE FROM warnings WHERE claim_id = ? AND what = ?", (claim_id, what))
        return
    connection.execute(
        "INSERT INTO warnings (claim_id, what, level, time, boot_id, boot_seconds)"
        " VALUES (?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (claim_id, what) DO UPDATE SET level = excluded.level",
        (
            claim_id,
            what,
            level,
            now.wall.astimezone(UTC).isoformat(),
            now.boot_id,
            now.boot_seconds,
        ),
    )


# ---- notices -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class NoticeRow:
    """A notice to the person with this uid; see `documents.Notice`."""

    id: int
    uid: int
    time: datetime
    kind: str
    container: str | None
    what: str
    message: str
    hint: str
    at: datetime | None


def add_notice(
    connection: sqlite3.Connection,
    uid: int,
    kind: str,
    what: str,
    message: str,
    *,
    container: str | None = None,
    hint: str = "",
    at: datetime | None = None,
    time: datetime | None = None,
) -> int:
    """Tell a person something; returns the notice's number.

    `kind` as in `documents.Notice`, `container` the name (not the full name) of one of theirs,
    `at` when it happens or happened, `time` now. The oldest beyond `KEPT_NOTICES` go. Nobody's
    uid (below 0) is told nothing, and 0 is returned.
    """
    if uid < 0:
        return 0
    cursor = connection.execute(
        "INSERT INTO notices (uid, time, kind, container, what, message, hint, at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            uid,
            (time or datetime.now(UTC)).astimezone(UTC).isoformat(),
            kind,
            container,
            what,
            message,
            hint,
            None if at is None else at.astimezone(UTC).isoformat(),
        ),
    )
    connection.execute(
        "DELETE FROM notices WHERE uid = ? AND id NOT IN"
        " (SELECT id FROM notices WHERE uid = ? ORDER BY id DESC LIMIT ?)",
        (uid, uid, KEPT_NOTICES),
    )
    assert cursor.lastrowid is not None
    return cursor.lastrowid


def notices(connection: sqlite3.Connection, uid: int, after: int = 0) -> list[NoticeRow]:
    """A person's notices with a number above `after`, the newest last."""
    rows = connection.execute(
        "SELECT * FROM notices WHERE uid = ? AND id > ? ORDER BY id", (uid, after)
    )
    return [
        NoticeRow(
            id=row["id"],
            uid=row["uid"],
            time=datetime.fromisoformat(row["time"]),
            kind=row["kind"],
            container=row["container"],
            what=row["what"],
            message=row["message"],
            hint=row["hint"],
            at=None if row["at"] is None else datetime.fromisoformat(row["at"]),
        )
        for row in rows
    ]


def forget_notices(connection: sqlite3.Connection, now: Moment) -> None:
    """Drop the notices that are too old to matter."""
    oldest = (now.wall - NOTICES_LAST).astimezone(UTC).isoformat()
    connection.execute("DELETE FROM notices WHERE time < ?", (oldest,))


# ---- files -------------------------------------------------------------------------------------


def notice_files(connection: sqlite3.Connection) -> dict[str, int]:
    """The workspaces with a notice of ours, and whose they are (uid)."""
    rows = connection.execute("SELECT folder, uid FROM notice_files")
    return {row["folder"]: row["uid"] for row in rows}


def set_notice_files(
    connection: sqlite3.Connection, written: Mapping[str, int], removed: Iterable[str]
) -> None:
    """Remember which notices were written (with the uid) and which removed."""
    connection.executemany(
        "INSERT OR REPLACE INTO notice_files (folder, uid) VALUES (?, ?)", written.items()
    )
    connection.executemany(
        "DELETE FROM notice_files WHERE folder = ?", [(folder,) for folder in removed]
    )
