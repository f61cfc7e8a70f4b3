"""The ledger's step for shared GPUs and for what was asked for in vain, and the statements on the
latter."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime, timedelta

from ds01_jupyter.core.processes import boot_id, boot_seconds

SHARING = """
CREATE TABLE leases_with_shares (
    id              INTEGER PRIMARY KEY,
    claim_id        TEXT NOT NULL,
    full_name       TEXT NOT NULL,
    name            TEXT NOT NULL,
    uid             INTEGER NOT NULL,
    owner           TEXT NOT NULL,
    priority        INTEGER NOT NULL,
    host            TEXT NOT NULL,
    slot_uuid       TEXT NOT NULL,
    slot            TEXT NOT NULL,
    kind            TEXT NOT NULL CHECK (kind IN ('gpu', 'mig', 'share')),
    profile         TEXT NOT NULL,
    gpu_uuid        TEXT NOT NULL,
    gpu_index       INTEGER NOT NULL,
    mig_index       INTEGER,
    gi              INTEGER,
    ci              INTEGER,
    memory_total    INTEGER,
    share           REAL NOT NULL,
    state           TEXT NOT NULL CHECK (state IN ('pending', 'active', 'held', 'released')),
    created         TEXT NOT NULL,
    since           TEXT NOT NULL,
    boot_id         TEXT NOT NULL,
    boot_seconds    REAL NOT NULL,
    live_claim      TEXT GENERATED ALWAYS AS
                    (CASE WHEN state <> 'released' THEN claim_id END) STORED
                    REFERENCES containers (claim_id)
) STRICT;

INSERT INTO leases_with_shares (id, claim_id, full_name, name, uid, owner, priority, host,
    slot_uuid, slot, kind, profile, gpu_uuid, gpu_index, mig_index, gi, ci, memory_total, share,
    state, created, since, boot_id, boot_seconds)
SELECT id, claim_id, full_name, name, uid, owner, priority, host,
    slot_uuid, slot, kind, profile, gpu_uuid, gpu_index, mig_index, gi, ci, memory_total, share,
    state, created, since, boot_id, boot_seconds
FROM leases;

DROP TABLE leases;
ALTER TABLE leases_with_shares RENAME TO leases;

CREATE UNIQUE INDEX one_live_lease ON leases (host, slot_uuid) WHERE state <> 'released';
CREATE INDEX leases_of_claim ON leases (claim_id);
CREATE INDEX live_leases_of_gpu ON leases (host, gpu_uuid) WHERE state <> 'released';
CREATE INDEX live_leases_of_container ON leases (live_claim);
CREATE UNIQUE INDEX one_share_a_container ON leases (host, gpu_uuid, live_claim)
    WHERE kind = 'share' AND state <> 'released';

CREATE TRIGGER whole_gpu_or_instances BEFORE INSERT ON leases
WHEN NEW.state <> 'released' AND EXISTS (
    SELECT 1 FROM leases
    WHERE host = NEW.host AND gpu_uuid = NEW.gpu_uuid AND state <> 'released'
      AND (kind <> NEW.kind OR NEW.kind = 'gpu'))
BEGIN SELECT RAISE(ABORT, 'a whole GPU, its instances and its shares exclude each other'); END;

CREATE TRIGGER released_is_final BEFORE UPDATE ON leases
WHEN OLD.state = 'released'
BEGIN SELECT RAISE(ABORT, 'a released lease never changes'); END;

CREATE TRIGGER lease_keeps_its_slot
BEFORE UPDATE OF claim_id, host, slot_uuid, gpu_uuid, kind, uid ON leases
BEGIN SELECT RAISE(ABORT, 'a lease never moves'); END;

CREATE TRIGGER no_lease_before_docker_was_asked BEFORE INSERT ON leases
WHEN EXISTS (SELECT 1 FROM uncompared)
BEGIN SELECT RAISE(ABORT, 'Docker was not yet asked who has what'); END;

CREATE TABLE refused (
    id              INTEGER PRIMARY KEY,
    host            TEXT NOT NULL,
    uid             INTEGER NOT NULL,
    profile         TEXT NOT NULL,
    slots           INTEGER NOT NULL CHECK (slots > 0),
    time            TEXT NOT NULL,
    boot_id         TEXT NOT NULL,
    boot_seconds    REAL NOT NULL
) STRICT;
"""
"""A lease can be a share of a GPU (`kind`). SQLite cannot change a CHECK, so the table is made
anew with all that is in it and all its rules; the rule on whole GPUs and instances is one on shares
too, and one container gets no GPU twice.

`refused` is what was asked for when too little was free, by the profile that would have done: what
people want is known only together with what they did not get."""

REMEMBERED = 1000
"""So many refusals are kept for a host, and so many leases are looked at."""
REPEATED = timedelta(minutes=15)
"""Who asks for the same again so soon has not stopped wanting it once."""


def note_refused(
    connection: sqlite3.Connection, host: str, uid: int, profile: str, slots: int
) -> bool:
    """Remember that a person was refused so many slots of a profile because too few were free;
    returns whether that was new. The oldest ones are forgotten."""
    now = datetime.now(UTC)
    again = connection.execute(
        "SELECT 1 FROM refused WHERE host = ? AND uid = ? AND profile = ? AND time > ?",
        (host, uid, profile, (now - REPEATED).isoformat()),
    ).fetchone()
    if again is not None:
        return False
    connection.execute(
        "INSERT INTO refused (host, uid, profile, slots, time, boot_id, boot_seconds)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        (host, uid, profile, slots, now.isoformat(), boot_id(), boot_seconds()),
    )
    connection.execute(
        "DELETE FROM refused WHERE host = ? AND id NOT IN"
        " (SELECT id FROM refused WHERE host = ? ORDER BY id DESC LIMIT ?)",
        (host, host, REMEMBERED),
    )
    return True


def asked_for(connection: sqlite3.Connection, host: str) -> list[tuple[str, float]]:
    """What people asked for lately, each slot with its profile and its age in seconds: what they
    were given, and what they were refused. Claims of admins (negative uids) are nobody's wish."""
    rows = connection.execute(
        "SELECT * FROM (SELECT profile, 1 AS slots, created AS time FROM leases"
        " WHERE host = ? AND uid >= 0 ORDER BY id DESC LIMIT ?)"
        " UNION ALL SELECT profile, slots, time FROM refused WHERE host = ?",
        (host, REMEMBERED, host),
    ).fetchall()
    now = datetime.now(UTC)
    found: list[tuple[str, float]] = []
    for profile, slots, time in rows:
        age = (now - datetime.fromisoformat(time)).total_seconds()
        found += [(profile, age)] * slots
    return found
