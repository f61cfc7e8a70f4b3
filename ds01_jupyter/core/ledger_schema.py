"""The tables of the ledger, and the rules that the database itself keeps.

Whatever a program does wrong, the database refuses: a slot with two live leases, a whole GPU
beside its own instances, a live lease without a container, a lease that comes back to life,
a history that is rewritten.
"""

from __future__ import annotations

APPLICATION_ID = 0x44533031
"""Marks the file as a ledger ("DS01")."""

SCHEMA = """
CREATE TABLE containers (
    claim_id        TEXT PRIMARY KEY,
    full_name       TEXT NOT NULL UNIQUE,
    name            TEXT NOT NULL,
    uid             INTEGER NOT NULL,
    owner           TEXT NOT NULL,
    container_id    TEXT UNIQUE,
    state           TEXT NOT NULL CHECK (state IN ('pending', 'present')),
    pid             INTEGER NOT NULL,
    start_ticks     INTEGER NOT NULL,
    boot_id         TEXT NOT NULL,
    pid_namespace   INTEGER NOT NULL,
    created         TEXT NOT NULL,
    boot_seconds    REAL NOT NULL,
    document        TEXT NOT NULL,
    CHECK ((state = 'present') = (container_id IS NOT NULL))
) STRICT;
CREATE INDEX containers_of_person ON containers (uid);

CREATE TABLE leases (
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
    kind            TEXT NOT NULL CHECK (kind IN ('gpu', 'mig')),
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
CREATE UNIQUE INDEX one_live_lease ON leases (host, slot_uuid) WHERE state <> 'released';
CREATE INDEX leases_of_claim ON leases (claim_id);
CREATE INDEX live_leases_of_gpu ON leases (host, gpu_uuid) WHERE state <> 'released';
CREATE INDEX live_leases_of_container ON leases (live_claim);

CREATE TRIGGER whole_gpu_or_instances BEFORE INSERT ON leases
WHEN NEW.state <> 'released' AND EXISTS (
    SELECT 1 FROM leases
    WHERE host = NEW.host AND gpu_uuid = NEW.gpu_uuid AND state <> 'released'
      AND (kind = 'gpu' OR NEW.kind = 'gpu'))
BEGIN SELECT RAISE(ABORT, 'a whole GPU and its instances exclude each other'); END;

CREATE TRIGGER released_is_final BEFORE UPDATE ON leases
WHEN OLD.state = 'released'
BEGIN SELECT RAISE(ABORT, 'a released lease never changes'); END;

CREATE TRIGGER lease_keeps_its_slot
BEFORE UPDATE OF claim_id, host, slot_uuid, gpu_uuid, kind, uid ON leases
BEGIN SELECT RAISE(ABORT, 'a lease never moves'); END;

CREATE TABLE images (
    uid               INTEGER NOT NULL,
    name              TEXT NOT NULL,
    owner             TEXT NOT NULL,
    reference         TEXT NOT NULL UNIQUE,
    image_id          TEXT NOT NULL,
    request           TEXT NOT NULL,
    dockerfile        TEXT NOT NULL,
    dockerfile_sha256 TEXT NOT NULL,
    base_image        TEXT NOT NULL,
    created           TEXT NOT NULL,
    PRIMARY KEY (uid, name)
) STRICT;

CREATE TABLE operations (
    id              TEXT PRIMARY KEY,
    uid             INTEGER NOT NULL,
    state           TEXT NOT NULL,
    created         TEXT NOT NULL,
    document        TEXT NOT NULL,
    pid             INTEGER NOT NULL,
    start_ticks     INTEGER NOT NULL,
    boot_id         TEXT NOT NULL,
    pid_namespace   INTEGER NOT NULL
) STRICT;
CREATE INDEX operations_of_person ON operations (uid, created);

CREATE TABLE history (
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    time            TEXT NOT NULL,
    boot_id         TEXT NOT NULL,
    boot_seconds    REAL NOT NULL,
    actor           TEXT NOT NULL,
    owner           TEXT NOT NULL,
    action          TEXT NOT NULL,
    subject         TEXT NOT NULL,
    outcome         TEXT NOT NULL,
    details         TEXT NOT NULL
) STRICT;
CREATE INDEX history_of_owner ON history (owner, id);

CREATE TRIGGER history_is_not_changed BEFORE UPDATE ON history
BEGIN SELECT RAISE(ABORT, 'history is append-only'); END;
CREATE TRIGGER history_is_not_deleted BEFORE DELETE ON history
BEGIN SELECT RAISE(ABORT, 'history is append-only'); END;
"""
"""Version 1 of the tables; `ledger_migrations` has what came after it.

Times are ISO 8601 in UTC for people, and seconds since boot with the boot's id for reckoning:
the wall clock may be set back, and a boot ends every lease's claim on the machine's memory."""
