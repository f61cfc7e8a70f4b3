"""The ledger's table for the builds of images: its making, and the statements on it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

IMAGE_BUILDS = """
CREATE TABLE image_builds (
    uid             INTEGER NOT NULL,
    name            TEXT NOT NULL,
    number          INTEGER NOT NULL CHECK (number > 0),
    reference       TEXT NOT NULL,
    image_id        TEXT NOT NULL,
    base_image      TEXT NOT NULL,
    base_image_id   TEXT NOT NULL,
    request         TEXT NOT NULL,
    dockerfile      TEXT NOT NULL,
    lock            TEXT,
    shared_key      TEXT,
    packages        TEXT,
    size            INTEGER NOT NULL,
    created         TEXT NOT NULL,
    PRIMARY KEY (uid, name, number)
) STRICT;
CREATE INDEX image_builds_shared ON image_builds (shared_key, created)
    WHERE shared_key IS NOT NULL;
CREATE INDEX image_builds_image ON image_builds (image_id);

CREATE TABLE image_shares (
    uid             INTEGER NOT NULL,
    name            TEXT NOT NULL,
    kind            TEXT NOT NULL CHECK (kind IN ('user', 'group')),
    holder          TEXT NOT NULL,
    label           TEXT NOT NULL,
    since           TEXT NOT NULL,
    PRIMARY KEY (uid, name, kind, holder)
) STRICT;
"""
"""`reference` names the image of a build for as long as it is kept; `dockerfile` is the text that
was built, `request` what was asked for, `lock` the exact versions (NULL: nothing was resolved).
The `holder` of a share is a uid in digits or the name of a group, `label` as people call it."""


@dataclass(frozen=True)
class BuildRow:
    """One build of an image; see `IMAGE_BUILDS`."""

    uid: int
    name: str
    number: int
    reference: str
    image_id: str
    base_image: str
    base_image_id: str
    request: str
    dockerfile: str
    lock: str | None
    shared_key: str | None
    packages: Mapping[str, str] | None
    size: int
    created: datetime


def builds(connection: sqlite3.Connection, uid: int, name: str) -> list[BuildRow]:
    """The builds of an image, newest first."""
    rows = connection.execute(
        "SELECT * FROM image_builds WHERE uid = ? AND name = ? ORDER BY number DESC", (uid, name)
    )
    return [_row(row) for row in rows]


def insert_build(connection: sqlite3.Connection, row: BuildRow) -> None:
    """Write a build."""
    connection.execute(
        "INSERT INTO image_builds (uid, name, number, reference, image_id, base_image,"
        " base_image_id, request, dockerfile, lock, shared_key, packages, size, created)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            row.uid,
            row.name,
            row.number,
            row.reference,
            row.image_id,
            row.base_image,
            row.base_image_id,
            row.request,
            row.dockerfile,
            row.lock,
            row.shared_key,
            None if row.packages is None else json.dumps(dict(row.packages), sort_keys=True),
            row.size,
            row.created.isoformat(),
        ),
    )


def delete_builds(connection: sqlite3.Connection, uid: int, name: str, numbers: list[int]) -> None:
    """Forget some builds of an image."""
    connection.executemany(
        "DELETE FROM image_builds WHERE uid = ? AND name = ? AND number = ?",
        [(uid, name, number) for number in numbers],
    )


def shared_lock(connection: sqlite3.Connection, shared_key: str, since: str) -> str | None:
    """The lock of the newest build after `since` (ISO 8601, UTC) with the same base and the same
    tiers of the lab, whoever's it is."""
    found = connection.execute(
        "SELECT lock FROM image_builds WHERE shared_key = ? AND created >= ? AND lock IS NOT NULL"
        " ORDER BY created DESC LIMIT 1",
        (shared_key, since),
    ).fetchone()
    return None if found is None else str(found["lock"])


def builders(connection: sqlite3.Connection, image_id: str) -> set[int]:
    """The uids of those who built an image that is kept."""
    rows = connection.execute("SELECT uid FROM image_builds WHERE image_id = ?", (image_id,))
    return {row["uid"] for row in rows}


# ---- shares ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class ShareRow:
    """An image of `uid` that others may start containers from; see `IMAGE_BUILDS`."""

    uid: int
    name: str
    kind: Literal["user", "group"]
    holder: str
    label: str


def shares(connection: sqlite3.Connection, uid: int | None = None) -> list[ShareRow]:
    """All shares, or those of one owner."""
    rows = connection.execute(
        "SELECT uid, name, kind, holder, label FROM image_shares WHERE ? IS NULL OR uid = ?"
        " ORDER BY name, kind, label",
        (uid, uid),
    )
    return [ShareRow(**dict(row)) for row in rows]


def insert_share(connection: sqlite3.Connection, row: ShareRow, since: str) -> None:
    """Share an image; twice is fine."""
    connection.execute(
        "INSERT INTO image_shares (uid, name, kind, holder, label, since) VALUES (?, ?, ?, ?, ?, ?)"
        " ON CONFLICT DO NOTHING",
        (row.uid, row.name, row.kind, row.holder, row.label, since),
    )


def delete_share(
    connection: sqlite3.Connection, uid: int, name: str, kind: str, holder: str
) -> bool:
    """End a share; whether there was one."""
    cursor = connection.execute(
        "DELETE FROM image_shares WHERE uid = ? AND name = ? AND kind = ? AND holder = ?",
        (uid, name, kind, holder),
    )
    return cursor.rowcount > 0


def delete_shares(connection: sqlite3.Connection, uid: int, name: str) -> None:
    """End all shares of an image."""
    connection.execute("DELETE FROM image_shares WHERE uid = ? AND name = ?", (uid, name))


def _row(row: sqlite3.Row) -> BuildRow:
    values = dict(row)
    packages, created = values.pop("packages"), values.pop("created")
    return BuildRow(
        **values,
        packages=None if packages is None else json.loads(packages),
        created=datetime.fromisoformat(created),
    )
