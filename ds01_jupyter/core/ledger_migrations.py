"""What was added to the ledger's tables since their first version, one numbered step after another.

A new ledger gets `SCHEMA` and then every step; an older one gets the steps that it lacks, each in
a transaction of its own. A step only ever adds, so that a server that has the file open goes on.
"""

from __future__ import annotations

from ds01_jupyter.core.build_queue_table import BUILD_QUEUE
from ds01_jupyter.core.image_builds.tables import IMAGE_BUILDS
from ds01_jupyter.core.ledger_sharing import SHARING
from ds01_jupyter.core.ledger_speed import SPEED
from ds01_jupyter.core.lifecycle.tables import LIFECYCLE
from ds01_jupyter.core.reservations.tables import RESERVATIONS
from ds01_jupyter.core.waiting.tables import WAITING

CORDONS = """
CREATE TABLE cordons (
    id              INTEGER PRIMARY KEY,
    host            TEXT NOT NULL,
    gpu_uuid        TEXT NOT NULL,
    gpu_index       INTEGER NOT NULL,
    cause           TEXT NOT NULL CHECK (cause IN ('silent', 'missing', 'xid', 'admin')),
    xid             INTEGER,
    reason          TEXT NOT NULL,
    actor           TEXT NOT NULL,
    needs_reset     INTEGER NOT NULL CHECK (needs_reset IN (0, 1)),
    driver          TEXT,
    since           TEXT NOT NULL,
    boot_id         TEXT NOT NULL,
    boot_seconds    REAL NOT NULL,
    well_boot_id    TEXT,
    well_seconds    REAL,
    CHECK ((cause = 'xid') = (xid IS NOT NULL)),
    CHECK ((well_boot_id IS NULL) = (well_seconds IS NULL))
) STRICT;
CREATE UNIQUE INDEX one_cordon_a_cause ON cordons (host, gpu_uuid, cause, ifnull(xid, -1));

CREATE TABLE known_gpus (
    host            TEXT NOT NULL,
    uuid            TEXT NOT NULL,
    gpu_index       INTEGER NOT NULL,
    name            TEXT NOT NULL,
    first_seen      TEXT NOT NULL,
    PRIMARY KEY (host, uuid)
) STRICT, WITHOUT ROWID;
"""
"""GPUs that are given to nobody, why, and since when they answer well again; and the GPUs that a
host has been seen with, without which nobody would notice that one is gone."""

UNCOMPARED = """
CREATE TABLE uncompared (
    since           TEXT NOT NULL
) STRICT;

CREATE TRIGGER no_lease_before_docker_was_asked BEFORE INSERT ON leases
WHEN EXISTS (SELECT 1 FROM uncompared)
BEGIN SELECT RAISE(ABORT, 'Docker was not yet asked who has what'); END;
"""
"""A row here says that the ledger began while Docker did not answer: containers of an earlier one
may be running, so nothing is given away before it has been compared with Docker."""

MIGRATIONS: tuple[tuple[int, str], ...] = (
    (2, CORDONS),
    (3, UNCOMPARED),
    (4, SHARING),
    (5, LIFECYCLE),
    (6, RESERVATIONS),
    (7, WAITING),
    (8, SPEED),
    (9, IMAGE_BUILDS),
    (10, BUILD_QUEUE),
)
"""Number of the version that a step makes, and its statements. Numbers run on from 2; a step that
has been released never changes."""

SCHEMA_VERSION = MIGRATIONS[-1][0]

if [number for number, _ in MIGRATIONS] != list(range(2, SCHEMA_VERSION + 1)):
    raise AssertionError("the steps of the ledger's tables must be numbered from 2 without gaps")
