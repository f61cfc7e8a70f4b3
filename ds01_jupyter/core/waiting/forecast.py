"""Estimates from what the ledger and the machine show now."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Mapping, Sequence

from ds01_jupyter.core.clock import Moment
from ds01_jupyter.core.errors import CoreError, DriverUnavailable, EngineUnavailable
from ds01_jupyter.core.ledger import Ledger
from ds01_jupyter.core.reservations import tables as reservations
from ds01_jupyter.core.waiting.assign import Scene, Waiter
from ds01_jupyter.core.waiting.documents import Estimate
from ds01_jupyter.core.waiting.estimate import Freeing, Outlook, estimate
from ds01_jupyter.core.waiting.machine import Machine, Sight
from ds01_jupyter.core.waiting.tables import Entry


class Forecast:
    """Says when whose turn may come."""

    def __init__(self, ledger: Ledger, machine: Machine) -> None:
        self._ledger = ledger
        self._machine = machine
        self._stage = machine.stage

    def of_queue(self, order: Sequence[Entry], now: Moment) -> Mapping[int, Estimate]:
        """When those that wait (in order) can be served, by number."""
        try:
            sight = self._machine.glance(now)
        except (EngineUnavailable, DriverUnavailable) as error:
            return {entry.id: unknown(error) for entry in order}
        with self._ledger.reading() as connection:
            waiters = [self._stage.waiter(entry) for entry in order]
            known = [waiter for waiter in waiters if waiter is not None]
            asleep = {entry.id for entry in order if entry.asleep(now)}
            found = self.estimates(connection, sight, known, asleep, now)
        nobody = Estimate(at=None, certain=False, because="its owner has no account here now")
        return {entry.id: found.get(entry.id, nobody) for entry in order}

    def estimates(
        self,
        connection: sqlite3.Connection,
        sight: Sight,
        waiters: Sequence[Waiter],
        asleep: Collection[int],
        now: Moment,
    ) -> dict[int, Estimate]:
        """When some waiters, in order, can be served, by key."""
        scene = self._machine.scene(connection, sight, now)
        promises = reservations.standing(connection, self._stage.host, now.wall)

        def promised(waiter: Waiter) -> bool:
            return any(
                waiter.request.matches(slot)
                for promise in promises
                for slot in promise.fitting(scene.slots)
            )

        outlook = Outlook(
            scene=scene,
            waiters=waiters,
            freeing=self.freeing(connection, scene, now),
            asleep=asleep,
            changes=sorted({promise.end for promise in promises}),
            promised=promised,
        )
        return estimate(outlook)

    def freeing(
        self, connection: sqlite3.Connection, scene: Scene, now: Moment
    ) -> dict[str, Freeing]:
        """What frees each leased slot, by UUID."""
        ends = self._stage.ends(connection, scene.leases, now)
        found: dict[str, Freeing] = {}
        for lease in scene.leases:
            end = ends[lease.claim_id]
            # What has stopped may be started again, and then runs on.
            sure = lease.state != "held"
            who = f"{lease.owner}'s container"
            found[lease.slot_uuid] = Freeing(end.at, who, end.because, sure)
        return found


def unknown(error: CoreError) -> Estimate:
    """Without Docker or the driver nobody can say anything."""
    return Estimate(at=None, certain=False, because=error.message.rstrip("."))
