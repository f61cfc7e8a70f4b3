"""The ledger's statements on cordoned GPUs and on the GPUs that a host is known to have."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from ds01_jupyter.core.ledger_rows import LeaseRow
from ds01_jupyter.core.ledger_tables import now
from ds01_jupyter.core.processes import boot_id, boot_seconds

Cause = Literal["silent", "missing", "xid", "admin"]


@dataclass(frozen=True)
class CordonRow:
    """One reason for which a GPU is given to nobody.

    `cause`: it gives no answer (`silent`), is not there (`missing`), reported an XID error, or an
    admin said so. `driver` and `boot_id` are of the moment it began: with `needs_reset` it stays
    until one of them is another. `well_*` is since when the GPU has answered well again.
    """

    id: int
    gpu_uuid: str
    gpu_index: int
    cause: Cause
    xid: int | None
    reason: str
    actor: str
    needs_reset: bool
    driver: str | None
    since: datetime
    boot_id: str
    well_boot_id: str | None
    well_seconds: float | None


@dataclass(frozen=True)
class KnownGpu:
    """A GPU that this host was seen with."""

    uuid: str
    index: int
    name: str


def cordons(connection: sqlite3.Connection, host: str) -> list[CordonRow]:
    """All that holds on this host, oldest first."""
    rows = connection.execute("SELECT * FROM cordons WHERE host = ? ORDER BY id", (host,))
    return [
        CordonRow(
            id=row["id"],
            gpu_uuid=row["gpu_uuid"],
            gpu_index=row["gpu_index"],
            cause=row["cause"],
            xid=row["xid"],
            reason=row["reason"],
            actor=row["actor"],
            needs_reset=bool(row["needs_reset"]),
            driver=row["driver"],
            since=datetime.fromisoformat(row["since"]),
            boot_id=row["boot_id"],
            well_boot_id=row["well_boot_id"],
            well_seconds=row["well_seconds"],
        )
        for row in rows
    ]


def cordoned(connection: sqlite3.Connection, host: str) -> dict[str, CordonRow]:
    """The GPUs (by UUID) that are given to nobody on this host, with the first reason."""
    found: dict[str, CordonRow] = {}
    for row in cordons(connection, host):
        found.setdefault(row.gpu_uuid, row)
    return found


def insert_cordon(
    connection: sqlite3.Connection,
    host: str,
    gpu: KnownGpu,
    cause: Cause,
    reason: str,
    actor: str,
    *,
    xid: int | None = None,
    needs_reset: bool = False,
    driver: str | None = None,
) -> bool:
    """Cordon a GPU; False when it is for this cause already (it then is not well again)."""
    cursor = connection.execute(
        "INSERT INTO cordons (host, gpu_uuid, gpu_index, cause, xid, reason, actor, needs_reset,"
        " driver, since, boot_id, boot_seconds) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT DO NOTHING",
        (
            host,
            gpu.uuid,
            gpu.index,
            cause,
            xid,
            reason,
            actor,
            int(needs_reset),
            driver,
            now(),
            boot_id(),
            boot_seconds(),
        ),
    )
    if cursor.rowcount:
        return True
    # Once more in another boot, or with another driver, is a new need of a reset.
    connection.execute(
        "UPDATE cordons SET well_boot_id = NULL, well_seconds = NULL, driver = ?, boot_id = ?"
        " WHERE host = ? AND gpu_uuid = ? AND cause = ? AND ifnull(xid, -1) = ifnull(?, -1)",
        (driver, boot_id(), host, gpu.uuid, cause, xid),
    )
    return False


def set_well(connection: sqlite3.Connection, cordon_id: int, since: float | None) -> None:
    """The GPU has answered well since so many seconds after boot; None: it does not."""
    connection.execute(
        "UPDATE cordons SET well_boot_id = ?, well_seconds = ? WHERE id = ?",
        (None if since is None else boot_id(), since, cordon_id),
    )


def delete_cordon(connection: sqlite3.Connection, cordon_id: int) -> bool:
    """Lift one; False when somebody else has."""
    return bool(connection.execute("DELETE FROM cordons WHERE id = ?", (cordon_id,)).rowcount)


# ---- GPUs of the host ------------------------------------------------------------------------


def known_gpus(connection: sqlite3.Connection, host: str) -> list[KnownGpu]:
    """The GPUs that the host was seen with, by index."""
    rows = connection.execute(
        "SELECT * FROM known_gpus WHERE host = ? ORDER BY gpu_index, uuid", (host,)
    )
    return [KnownGpu(row["uuid"], row["gpu_index"], row["name"]) for row in rows]


def remember_gpus(connection: sqlite3.Connection, host: str, gpus: Iterable[KnownGpu]) -> None:
    """These are there, under these indices."""
    connection.executemany(
        "INSERT INTO known_gpus (host, uuid, gpu_index, name, first_seen) VALUES (?, ?, ?, ?, ?)"
        " ON CONFLICT (host, uuid) DO UPDATE SET gpu_index = excluded.gpu_index,"
        " name = excluded.name",
        [(host, gpu.uuid, gpu.index, gpu.name, now()) for gpu in gpus],
    )


def forget_gpu(connection: sqlite3.Connection, host: str, uuid: str) -> None:
    """It was taken out for good."""
    connection.execute("DELETE FROM known_gpus WHERE host = ? AND uuid = ?", (host, uuid))


# ---- leases whose slot is not what it was ----------------------------------------------------


def noted_before(connection: sqlite3.Connection, lease: LeaseRow, action: str, why: str) -> bool:
    """Whether the history has that already said of this lease."""
    row = connection.execute(
        "SELECT 1 FROM history WHERE owner = ? AND action = ?"
        " AND json_extract(details, '$.lease') = ? AND json_extract(details, '$.why') = ? LIMIT 1",
        (lease.owner, action, lease.id, why),
    ).fetchone()
    return row is not None
