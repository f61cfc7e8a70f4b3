"""The machine as those who wait see it: its slots, who could be served now, and what would be said
to somebody who asked."""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import NoReturn

from ds01_jupyter.core import ledger_cordons, ledger_tables
from ds01_jupyter.core.allocator import Allocator, Turn, free_slots
from ds01_jupyter.core.clock import Moment
from ds01_jupyter.core.containers import Containers
from ds01_jupyter.core.errors import CoreError, LimitReached, NotFound
from ds01_jupyter.core.gpu.nvml import NvmlDriver
from ds01_jupyter.core.gpu.request import GpuRequest
from ds01_jupyter.core.gpu.sharing import in_force
from ds01_jupyter.core.gpu.slots import SlotInfo
from ds01_jupyter.core.identity import Person
from ds01_jupyter.core.limits import PersonLimits
from ds01_jupyter.core.people import slots_back_by
from ds01_jupyter.core.waiting.assign import DIRECT, Scene, assign
from ds01_jupyter.core.waiting.scene import Stage
from ds01_jupyter.core.waiting.tables import Entry

GLANCE = timedelta(seconds=3)
"""How old may be what somebody is shown of the machine."""


@dataclass(frozen=True)
class Sight:
    """What the driver and Docker show: the slots, who uses one without a lease (by UUID), and
    whether a GPU does not answer (whose slots then are not among them)."""

    slots: tuple[SlotInfo, ...]
    foreign: Mapping[str, str]
    troubled: bool


@dataclass(frozen=True)
class Turns:
    """Whose turn it is now (numbers of places, in order), whose own limits are in the way, and
    what is not there at all."""

    now: tuple[int, ...]
    held: Mapping[int, LimitReached]
    missing: Mapping[int, CoreError]


class Machine:
    """Looks at the machine; never takes anything."""

    def __init__(
        self, stage: Stage, containers: Containers, driver: NvmlDriver, allocator: Allocator
    ) -> None:
        self.stage = stage
        self._containers = containers
        self._driver = driver
        self._allocator = allocator
        self._seen: tuple[Moment, Sight] | None = None

    def look(self) -> Sight:
        """One look at Docker and the driver. Raises `EngineUnavailable`, `DriverUnavailable`."""
        present = self._containers.present()
        inventory = self._driver.inventory(fresh=True)
        foreign = self._containers.busy_elsewhere(present, inventory.slots)
        troubled = any(gpu.problem is not None for gpu in inventory.gpus)
        return Sight(inventory.slots, foreign, troubled)

    def glance(self, now: Moment) -> Sight:
        """What was seen a moment ago, by whoever looked, or a look: for what is only shown."""
        seen = self._seen
        if seen is None or now.since(seen[0]) > GLANCE:
            seen = (now, self.look())
            self._seen = seen
        return seen[1]

    def scene(self, connection: sqlite3.Connection, sight: Sight, now: Moment) -> Scene:
        """What was seen, with the ledger: as the allocator would find it."""
        leases = ledger_tables.live_leases(connection, host=self.stage.host)
        cordoned = ledger_cordons.cordoned(connection, self.stage.host)
        slots = [slot for slot in in_force(sight.slots, leases) if slot.gpu_uuid not in cordoned]
        free = free_slots(slots, leases, sight.foreign)
        return self.stage.scene(connection, slots, free, now)

    def turns(self, connection: sqlite3.Connection, sight: Sight, now: Moment) -> Turns:
        """Who could be served now, as far as it can be seen without claiming anything."""
        entries = self.stage.waiting(connection)
        order = self.stage.ranking(connection, entries, now).order(entries)
        waiters = self.stage.awake(order, now)
        found = assign(self.scene(connection, sight, now), waiters)
        return Turns(tuple(found.given), found.held, self._missing(connection, sight, order))

    def _missing(
        self, connection: sqlite3.Connection, sight: Sight, entries: list[Entry]
    ) -> dict[int, CoreError]:
        if sight.troubled:
            return {}
        cordons = ledger_cordons.cordons(connection, self.stage.host)
        if any(cordon.cause in ("silent", "missing") for cordon in cordons):
            return {}  # a GPU is away; its slots may come back with it
        missing: dict[int, CoreError] = {}
        for entry in entries:
            request = GpuRequest.parse(entry.gpu, entry.gpus)
            if sum(map(request.matches, sight.slots)) < request.count:
                missing[entry.id] = NotFound(
                    f"This machine does not have {request} any more.",
                    hint="`ds01 gpus` shows what there is.",
                    asked=str(request),
                )
        return missing

    def dry(
        self, person: Person, request: GpuRequest, limits: PersonLimits, now: Moment
    ) -> tuple[SlotInfo, ...]:
        """The slots that this person would be given now; nothing is taken.

        It is the claim itself, undone in its own transaction, so that it cannot say anything else
        than a claim would. Raises what `Allocator.claim` raises.
        """
        foreign: Mapping[str, str] = {}
        present = self._containers.present()
        if request.kind != "none":
            slots = self._driver.inventory(fresh=True).slots
            foreign = self._containers.busy_elsewhere(present, slots)
        found: list[tuple[SlotInfo, ...]] = []

        def undo(connection: sqlite3.Connection, claim_id: str) -> NoReturn:
            leases = ledger_tables.leases_of(connection, claim_id)
            found.append(tuple(lease.info for lease in leases))
            raise _Undone("Nothing was to be taken.")

        try:
            self._allocator.claim(
                person,
                f"dry-{secrets.token_hex(6)}",
                request,
                limits.values,
                foreign,
                {},
                until=slots_back_by(limits, now.wall),
                turn=Turn(DIRECT, undo),
            )
        except _Undone:
            return found[0]
        raise AssertionError("a claim was held that was to be undone")


class _Undone(CoreError):
    """Rolls back the transaction of a claim that was only to be tried."""
