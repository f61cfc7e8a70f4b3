"""Slots that are taken while an admin changes the MIG layout, in the ledger like any other lease.

A change holds a claim of its own: a pending container that nobody will make, with a lease on every
slot that is about to go or that is not finished. So no claim can take such a slot, by the very
rules that keep two containers apart. The claim belongs to the process that made it; when that
process has died the reconciler (or the next change) releases it as it does every claim that was
left behind. There is one change at a time on a host, because a container's name is there once.
"""

from __future__ import annotations

import secrets
import sqlite3
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ds01_jupyter.core import ledger_tables as tables
from ds01_jupyter.core.errors import Conflict
from ds01_jupyter.core.gpu.slots import SlotInfo
from ds01_jupyter.core.identity import Person
from ds01_jupyter.core.ledger_rows import ContainerRow
from ds01_jupyter.core.processes import is_alive, process_identity

UID = -1
"""Owner of maintenance claims: no account has it, so they count against nobody's limits."""
NAME = "mig-apply"
PREFIX = "mig-"
"""How the ids of maintenance claims begin."""

Stamp = tuple[int, int]


class Maintenance:
    """The maintenance claims of one host."""

    _active: set[str] = set()
    _lock = threading.Lock()

    def __init__(self, host: str) -> None:
        self._host = host

    @property
    def full_name(self) -> str:
        """What stands for the container; no person's container can have such a name."""
        return f"{NAME}@{self._host}"

    def begin(
        self, connection: sqlite3.Connection, person: Person, slots: Sequence[SlotInfo]
    ) -> str:
        """Take these slots for a change by `person`; returns the claim.

        Raises `Conflict` while another change is under way. The caller has seen in the same
        transaction that the slots have no lease.
        """
        self.release_dead(connection)
        other = tables.container_by_name(connection, self.full_name)
        if other is not None:
            raise Conflict(
                f"{other.owner} is changing the MIG layout of this machine just now.",
                hint="Try again when that has ended (ds01 operations shows yours).",
                since=other.created.isoformat(),
                pid=other.process.pid,
            )
        claim = f"{PREFIX}{secrets.token_hex(14)}"
        nobody = replace(person, uid=UID, gid=UID, home=Path("/"), groups=())
        tables.insert_container(connection, claim, self.full_name, NAME, nobody, {})
        with self._lock:
            self._active.add(claim)
        self.add(connection, claim, slots)
        return claim

    def add(self, connection: sqlite3.Connection, claim: str, slots: Sequence[SlotInfo]) -> None:
        """Take more slots for a change; those that it has already are left as they are.

        Raises `Conflict` when one of them has a lease of somebody else's, or the claim is gone.
        """
        row = tables.container(connection, claim)
        if row is None:
            raise Conflict(
                "The change of the MIG layout lost its hold on the slots: somebody cleared it.",
                hint="Look at the plan again (ds01 mig plan).",
            )
        held = {lease.slot_uuid: lease for lease in tables.live_leases(connection, host=self._host)}
        missing = []
        for slot in slots:
            lease = held.get(slot.uuid)
            if lease is None:
                missing.append(slot)
            elif lease.claim_id != claim:
                raise Conflict(
                    f"The slot {lease.slot} ({lease.profile}) was just given to {lease.owner} "
                    f"({lease.name}).",
                    hint="Look at the plan again (ds01 mig plan).",
                    slot=lease.slot,
                )
        tables.insert_leases(connection, row, missing, priority=0, host=self._host)

    def end(self, connection: sqlite3.Connection, claim: str) -> None:
        """Give every slot of a change back. Twice is fine."""
        tables.move_leases(connection, claim, "released")
        tables.delete_container(connection, claim)
        self.forget(claim)

    def forget(self, claim: str) -> None:
        """The change is over for this process, even if the ledger could not be told."""
        with self._lock:
            self._active.discard(claim)

    def release_dead(self, connection: sqlite3.Connection) -> int:
        """Release the claims whose process died, or whose end could not be written."""
        dead = [row for row in self._rows(connection) if not self._is_running(row)]
        for row in dead:
            self.end(connection, row.claim_id)
            tables.insert_history(
                connection,
                "reconciler",
                row.owner,
                "mig.release",
                row.full_name,
                "done",
                {"claim": row.claim_id, "why": "its creator died"},
            )
        return len(dead)

    def _rows(self, connection: sqlite3.Connection) -> list[ContainerRow]:
        rows = tables.containers(connection, UID)
        return [row for row in rows if row.full_name == self.full_name]

    def _is_running(self, row: ContainerRow) -> bool:
        if row.process == process_identity():
            with self._lock:
                return row.claim_id in self._active
        return is_alive(row.process)


def stamp(connection: sqlite3.Connection, host: str) -> Stamp:
    """Changes whenever a maintenance claim begins, grows or ends.

    Whoever looks at the slots before a transaction and gives one away in it compares the stamp of
    before with the one in it: when they are equal, no slot that was seen free of maintenance has
    been destroyed in between.
    """
    newest, live = connection.execute(
        "SELECT coalesce(max(id), 0), coalesce(sum(state <> 'released'), 0) FROM leases"
        " WHERE claim_id >= ? AND claim_id < ? AND host = ?",
        (PREFIX, f"{PREFIX[:-1]}{chr(ord(PREFIX[-1]) + 1)}", host),
    ).fetchone()
    return int(newest), int(live)
