"""A container with everything that bears on what happens to it next."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, replace

from ds01_jupyter.core import ledger_tables
from ds01_jupyter.core.clock import Moment
from ds01_jupyter.core.ledger import ContainerRow
from ds01_jupyter.core.lifecycle import tables
from ds01_jupyter.core.lifecycle.life import Life, What
from ds01_jupyter.core.lifecycle.policy import HEARD, STOPS, Due, Eviction, Standing, dues
from ds01_jupyter.core.lifecycle.standings import standing_of
from ds01_jupyter.core.limit_merge import PersonLimits


@dataclass(frozen=True)
class Case:
    """A container: its row, how it stands, the limits of its owner (None: none hold), and whether
    it has to make way."""

    row: ContainerRow
    standing: Standing
    limits: PersonLimits | None
    eviction: Eviction | None = None

    @property
    def life(self) -> Life:
        """Its time."""
        return self.standing.life

    def dues(self, now: Moment) -> list[Due]:
        """What will happen to it by itself."""
        return dues(self.standing, self.limits, now, self.eviction)

    def due(self, what: What, now: Moment) -> Due | None:
        """One of those, if its time has come."""
        for each in self.dues(now):
            if each.what == what and each.left is not None and each.left.total_seconds() <= 0:
                return each
        return None


Warnings = Mapping[tuple[str, str], tables.Warned]


def overdue(case: Case, warnings: Warnings, now: Moment) -> list[Due]:
    """What is to be done now; a stop only when its warning has been there to be read."""
    found = []
    for each in case.dues(now):
        if each.left is None or each.left.total_seconds() > 0:
            continue
        if each.what in STOPS:
            warned = warnings.get((case.row.claim_id, each.what))
            if warned is None or now.since(warned.at) < HEARD:
                continue
        found.append(each)
    return found


def fresh(connection: sqlite3.Connection, case: Case) -> Case | None:
    """The case as the ledger has it by now; None when it is not the same container any more."""
    row = ledger_tables.container(connection, case.row.claim_id)
    if row is None or row.container_id != case.row.container_id:
        return None
    leases = [
        lease
        for lease in ledger_tables.leases_of(connection, row.claim_id)
        if lease.state != "released"
    ]
    life = tables.life(connection, row.claim_id)
    return replace(case, row=row, standing=standing_of(row, case.standing.state, life, leases))
