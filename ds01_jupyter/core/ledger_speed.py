"""The ledger's step that makes a commit write fewer pages; no rule is given up for it.

A commit writes every page that it touches, and syncs them. Figures: `benchmarks/README.md`.
"""

from __future__ import annotations

SPEED = """
DROP INDEX live_leases_of_gpu;

DROP INDEX live_leases_of_container;
CREATE INDEX live_leases_of_container ON leases (live_claim) WHERE live_claim IS NOT NULL;

CREATE TABLE history_by_row (
    id              INTEGER PRIMARY KEY,
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
INSERT INTO history_by_row (id, time, boot_id, boot_seconds, actor, owner, action, subject,
    outcome, details)
SELECT id, time, boot_id, boot_seconds, actor, owner, action, subject, outcome, details
FROM history;
DROP TABLE history;
ALTER TABLE history_by_row RENAME TO history;
CREATE INDEX history_of_owner ON history (owner, id);

CREATE TRIGGER history_is_not_changed BEFORE UPDATE ON history
BEGIN SELECT RAISE(ABORT, 'history is append-only'); END;
CREATE TRIGGER history_is_not_deleted BEFORE DELETE ON history
BEGIN SELECT RAISE(ABORT, 'history is append-only'); END;
"""
"""`live_leases_of_gpu` only helped to find the leases of one GPU among the live ones of a host,
which are a few dozen and found by `one_live_lease`. A released lease need not be found by the
container that it no longer belongs to. A line of history is never deleted, so its number is never
given again, and nobody needs to remember the largest one (AUTOINCREMENT)."""
