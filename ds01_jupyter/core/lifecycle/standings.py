"""How containers stand, from the rows of the ledger and Docker's word on their state."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from ds01_jupyter.core import ledger_tables
from ds01_jupyter.core.clock import Moment
from ds01_jupyter.core.ledger_rows import ContainerRow, LeaseRow
from ds01_jupyter.core.lifecycle import tables
from ds01_jupyter.core.lifecycle.life import Life
from ds01_jupyter.core.lifecycle.policy import Standing, State
from ds01_jupyter.core.reconcile import RUNNING


@dataclass(frozen=True)
class Books:
    """What the ledger says of all containers at one moment; live leases by claim."""

    lives: dict[str, Life]
    leases: dict[str, list[LeaseRow]]

    def standing(self, row: ContainerRow, docker_state: str) -> Standing:
        """How a container stands."""
        claim = row.claim_id
        state = state_of(docker_state)
        return standing_of(row, state, self.lives.get(claim), self.leases.get(claim, []))


def read_books(connection: sqlite3.Connection) -> Books:
    """Read them."""
    leases: dict[str, list[LeaseRow]] = {}
    for lease in ledger_tables.live_leases(connection):
        leases.setdefault(lease.claim_id, []).append(lease)
    return Books(tables.lives(connection), leases)


def standing_of(
    row: ContainerRow, state: State, life: Life | None, leases: Sequence[LeaseRow]
) -> Standing:
    """How a container stands with its live leases."""
    held = next((lease for lease in leases if lease.state == "held"), None)
    return Standing(
        state=state,
        life=life or Life(row.claim_id, claimed(row)),
        slots=bool(leases),
        held=None if held is None else Moment(held.since, held.boot_id, held.boot_seconds),
    )


def state_of(docker_state: str) -> State:
    """Docker's word in ours."""
    if docker_state in RUNNING:
        return "running"
    return "created" if docker_state == "created" else "stopped"


def claimed(row: ContainerRow) -> Moment:
    """When a container was asked for."""
    return Moment(row.created, row.process.boot_id, row.boot_seconds)
