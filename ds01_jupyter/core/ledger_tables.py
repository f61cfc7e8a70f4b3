"""The statements on containers, leases and history, inside a transaction of the caller's.

What belongs together (looking, deciding, writing, and the history of it) happens in one
transaction; that is why these take a connection.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Literal

from ds01_jupyter.core.gpu.slots import SlotInfo
from ds01_jupyter.core.identity import Person
from ds01_jupyter.core.ledger_rows import (
    LEASE_COLUMNS,
    ContainerRow,
    LeaseRow,
    container_row,
    lease_of,
)
from ds01_jupyter.core.processes import boot_id, boot_seconds, process_identity

LIVE = "state <> 'released'"


def now() -> str:
    """The time as it is stored."""
    return datetime.now(UTC).isoformat()


# ---- containers ------------------------------------------------------------------------------


def containers(connection: sqlite3.Connection, uid: int | None = None) -> list[ContainerRow]:
    """All containers, oldest first; only those of `uid` when it is given."""
    where, values = ("", ()) if uid is None else ("WHERE uid = ?", (uid,))
    rows = connection.execute(
        f"SELECT * FROM containers {where} ORDER BY created, claim_id",  # noqa: S608
        values,
    )
    return [container_row(row) for row in rows]


def container(connection: sqlite3.Connection, claim_id: str) -> ContainerRow | None:
    """The container of a claim."""
    row = connection.execute("SELECT * FROM containers WHERE claim_id = ?", (claim_id,)).fetchone()
    return None if row is None else container_row(row)


def container_by_name(connection: sqlite3.Connection, full_name: str) -> ContainerRow | None:
    """The container with the name `NAME._.UID`."""
    row = connection.execute(
        "SELECT * FROM containers WHERE full_name = ?", (full_name,)
    ).fetchone()
    return None if row is None else container_row(row)


def insert_container(
    connection: sqlite3.Connection,
    claim_id: str,
    full_name: str,
    name: str,
    person: Person,
    document: Mapping[str, Any],
) -> ContainerRow:
    """Write a pending container, created by this process; returns it as it is written."""
    me = process_identity()
    created, seconds, text = now(), boot_seconds(), json.dumps(dict(document))
    connection.execute(
        "INSERT INTO containers (claim_id, full_name, name, uid, owner, state, pid, start_ticks,"
        " boot_id, pid_namespace, created, boot_seconds, document)"
        " VALUES (?, ?, ?, ?, ?, 'pending', ?, ?, ?, ?, ?, ?, ?)",
        (
            *(claim_id, full_name, name, person.uid, person.name),
            *(me.pid, me.start_ticks, me.boot_id, me.namespace),
            *(created, seconds, text),
        ),
    )
    return ContainerRow(
        *(claim_id, full_name, name, person.uid, person.name, None, "pending", me),
        *(datetime.fromisoformat(created), seconds, json.loads(text)),
    )


def set_present(connection: sqlite3.Connection, claim_id: str, container_id: str) -> None:
    """Docker has made the container."""
    connection.execute(
        "UPDATE containers SET state = 'present', container_id = ? WHERE claim_id = ?",
        (container_id, claim_id),
    )


def delete_container(connection: sqlite3.Connection, claim_id: str) -> None:
    """Forget a container whose leases are all released."""
    connection.execute("DELETE FROM containers WHERE claim_id = ?", (claim_id,))


# ---- leases ----------------------------------------------------------------------------------


def live_leases(
    connection: sqlite3.Connection, *, host: str | None = None, uid: int | None = None
) -> list[LeaseRow]:
    """Leases that are not released, in the order they were made."""
    # By the container, which every live lease has: no index leads from a person to live leases,
    # and without one this would look at all leases that ever were.
    where, values = "", []
    for column, value in (("leases.host", host), ("containers.uid", uid)):
        if value is not None:
            where += f" AND {column} = ?"
            values.append(value)
    if uid is None and host is not None:
        return _leases(connection, f"{_LEASES} WHERE {LIVE}{where} ORDER BY id", values)
    return _leases(connection, f"{_LIVE_OF_CONTAINERS}{where} ORDER BY id", values)


def leases_of(connection: sqlite3.Connection, claim_id: str) -> list[LeaseRow]:
    """All leases of a claim, released ones too."""
    return _leases(connection, f"{_LEASES} WHERE claim_id = ? ORDER BY id", [claim_id])


_COLUMNS = ", ".join(f"leases.{column}" for column in LEASE_COLUMNS)
_LEASES = f"SELECT {_COLUMNS} FROM leases"  # noqa: S608
_LIVE_OF_CONTAINERS = (
    f"SELECT {_COLUMNS} FROM containers CROSS JOIN leases"  # noqa: S608
    " ON leases.live_claim = containers.claim_id WHERE TRUE"
)


def _leases(connection: sqlite3.Connection, query: str, values: list[Any]) -> list[LeaseRow]:
    cursor = connection.cursor()
    cursor.row_factory = None
    return [lease_of(values) for values in cursor.execute(query, values)]


def insert_leases(
    connection: sqlite3.Connection,
    row: ContainerRow,
    slots: Iterable[SlotInfo],
    *,
    priority: int,
    host: str,
) -> None:
    """Write pending leases; the database refuses a slot that has one."""
    time = now()
    connection.executemany(
        "INSERT INTO leases (claim_id, full_name, name, uid, owner, priority, host, slot_uuid,"
        " slot, kind, profile, gpu_uuid, gpu_index, mig_index, gi, ci, memory_total, share, state,"
        " created, since, boot_id, boot_seconds)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'pending', ?, ?, ?, ?)",
        [
            (
                row.claim_id,
                row.full_name,
                row.name,
                row.uid,
                row.owner,
                priority,
                host,
                slot.uuid,
                slot.slot,
                slot.kind,
                slot.profile,
                slot.gpu_uuid,
                slot.gpu_index,
                slot.mig_index,
                slot.gi,
                slot.ci,
                slot.memory_total,
                slot.share,
                time,
                time,
                boot_id(),
                boot_seconds(),
            )
            for slot in slots
        ],
    )


def move_leases(
    connection: sqlite3.Connection,
    claim_id: str,
    state: Literal["active", "held", "released"],
) -> int:
    """Bring the live leases of a claim into `state`; returns how many moved."""
    cursor = connection.execute(
        "UPDATE leases SET state = ?, since = ?, boot_id = ?, boot_seconds = ?"
        " WHERE claim_id = ? AND state <> 'released' AND state <> ?",
        (state, now(), boot_id(), boot_seconds(), claim_id, state),
    )
    return cursor.rowcount


# ---- history ---------------------------------------------------------------------------------


def insert_history(
    connection: sqlite3.Connection,
    actor: str,
    owner: str,
    action: str,
    subject: str,
    outcome: str,
    details: Mapping[str, Any],
) -> None:
    """Add a line to the history."""
    connection.execute(
        "INSERT INTO history (time, boot_id, boot_seconds, actor, owner, action, subject, outcome,"
        " details) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            now(),
            boot_id(),
            boot_seconds(),
            actor,
            owner,
            action,
            subject,
            outcome,
            json.dumps(dict(details)),
        ),
    )
