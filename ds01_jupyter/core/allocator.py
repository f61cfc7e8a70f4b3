"""Giving slots to containers, in two phases.

First a claim: one transaction looks at names, limits and free slots, and writes the container and
its leases as pending. Then Docker is asked; and then the claim is activated, or released. Between
the two the slots are nobody else's, whatever happens to this process.
"""

from __future__ import annotations

import secrets
import sqlite3
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from ds01_jupyter.core import ledger_cordons
from ds01_jupyter.core import ledger_tables as tables
from ds01_jupyter.core.allocator_cordons import Cordoned, refuse_resume, with_cordons
from ds01_jupyter.core.allocator_quota import Quota
from ds01_jupyter.core.allocator_refusals import (
    container_limit,
    kept_for_others,
    name_taken,
    no_such_slot,
    none_free,
    repartitioning,
    slot_limit,
    slots_per_container,
)
from ds01_jupyter.core.crash_points import reached
from ds01_jupyter.core.demand import Demand
from ds01_jupyter.core.errors import Conflict, NoFreeSlot, NotFound
from ds01_jupyter.core.fences import Asking, Fence, through
from ds01_jupyter.core.gpu.health import GpuHealth
from ds01_jupyter.core.gpu.nvml import NvmlDriver
from ds01_jupyter.core.gpu.placement import choose, shared_occupancy
from ds01_jupyter.core.gpu.request import GpuRequest
from ds01_jupyter.core.gpu.sharing import in_force, present, user_of
from ds01_jupyter.core.gpu.slots import GpuReading, SlotInfo
from ds01_jupyter.core.identity import Person
from ds01_jupyter.core.ledger import ContainerRow, LeaseRow, Ledger
from ds01_jupyter.core.maintenance import Stamp, stamp
from ds01_jupyter.core.models import LimitValues
from ds01_jupyter.core.names import full_name

LOOKS = 8
"""How often the slots are looked at again while an admin changes the MIG layout."""


@dataclass(frozen=True)
class Claim:
    """A name and slots (none for CPU-only) that are held for one container to be made."""

    claim_id: str
    full_name: str
    slots: tuple[SlotInfo, ...]


@dataclass(frozen=True)
class Turn:
    """A place in the queue whose turn it may be. `taken` writes, in the transaction of the claim,
    that it is served; it gets the claim's id, and raises to undo the claim."""

    entry: int
    taken: Callable[[sqlite3.Connection, str], None]


class Allocator:
    """Claims on the slots of one host."""

    def __init__(
        self,
        ledger: Ledger,
        driver: NvmlDriver,
        host: str,
        health: GpuHealth | None = None,
        fences: Sequence[Fence] = (),
    ) -> None:
        """With `health`, the GPUs are judged at every claim, and ill ones cordoned. `fences` keep
        free slots for others; each is asked in turn."""
        self._health = health
        self._fences = tuple(fences)
        self._demand = Demand(ledger, host)
        self._ledger = ledger
        self._driver = driver
        self._host = host

    def claim(
        self,
        person: Person,
        name: str,
        request: GpuRequest,
        limits: LimitValues,
        foreign: Mapping[str, str],
        document: Mapping[str, Any],
        *,
        until: datetime | None = None,
        turn: Turn | None = None,
    ) -> Claim:
        """Hold the name and the slots for a container that this process is about to make.

        `foreign` names, by slot UUID, the containers that use a slot without a lease: those slots
        are not given. `document` is kept with the container. `until` is when the slots are free
        again at the latest (None: nobody can say), `turn` the place in the queue that asks. Raises
        `Conflict` (name taken), `LimitReached`, `NoFreeSlot`, `NotFound` (this machine has no such
        slot) or `DriverUnavailable`; then nothing is held. CPU-only asks the driver nothing.
        """
        asking = Asking(
            person.uid, person.name, request, limits, until, None if turn is None else turn.entry
        )
        for _ in range(LOOKS):
            with self._ledger.reading() as connection:
                before = stamp(connection, self._host)
            slots: Sequence[SlotInfo] = ()
            if request.kind != "none":
                inventory = self._driver.inventory(fresh=True)
                slots = inventory.slots
                if self._health is not None:
                    self._health.look(inventory.gpus, inventory.driver_version)
                asking = replace(
                    asking,
                    memory=self._memory_in_use(slots),
                    demand=self._demand.mix(slot.profile for slot in slots),
                )
            try:
                claim = self._claim(person, name, asking, foreign, document, slots, before, turn)
            except NoFreeSlot:
                if turn is None:  # who waits in the queue asks again and again
                    self._demand.refused(person.uid, request, slots)
                raise
            if claim is not None:
                return claim
        raise repartitioning()

    def _memory_in_use(self, slots: Sequence[SlotInfo]) -> Mapping[str, float]:
        """Memory in use in per cent, by UUID, of the GPUs that are not in MIG mode; one that does
        not tell is left out. Without any the driver is not asked."""
        uuids = {slot.gpu_uuid for slot in slots if slot.kind != "mig"}
        return _memory_percent(self._driver.snapshot(), uuids) if uuids else {}

    def _claim(
        self,
        person: Person,
        name: str,
        asking: Asking,
        foreign: Mapping[str, str],
        document: Mapping[str, Any],
        slots: Sequence[SlotInfo],
        before: Stamp,
        turn: Turn | None,
    ) -> Claim | None:
        """The transaction of `claim`. None: an admin changed the MIG layout since `before`, so
        that `slots` may not be there any more."""
        request, limits = asking.request, asking.limits
        claim_id = secrets.token_hex(16)
        reached("claim.begin")
        wanted = full_name(name, person.uid)
        with self._ledger.writing() as connection:
            if request.kind != "none" and stamp(connection, self._host) != before:
                return None
            if tables.container_by_name(connection, wanted) is not None:
                raise name_taken(name)
            leases = tables.live_leases(connection, host=self._host)
            slots = in_force(slots, leases)
            mine = tables.containers(connection, person.uid)
            owned = tables.live_leases(connection, uid=person.uid)
            check_limits(limits, request, mine, owned)
            quota = Quota(limits, owned)
            quota.check(request, slots)
            cordoned: Cordoned = ledger_cordons.cordoned(connection, self._host)
            given = [s for s in slots if s.gpu_uuid not in cordoned] if cordoned else slots
            try:
                chosen = self._choose(connection, asking, given, leases, foreign, quota)
            except (NoFreeSlot, NotFound) as refusal:
                raise with_cordons(refusal, request, slots, cordoned) from refusal
            row = tables.insert_container(connection, claim_id, wanted, name, person, document)
            tables.insert_leases(connection, row, chosen, priority=limits.priority, host=self._host)
            if turn is not None:
                turn.taken(connection, claim_id)
            _history(connection, row, person.name, "claim", chosen)
            reached("claim.written")
        reached("claim.committed")
        return Claim(claim_id, wanted, chosen)

    def activate(self, claim_id: str, container_id: str) -> None:
        """Docker has made the container: the claim becomes its lease.

        Doing it twice is fine. Raises `Conflict` when the claim is not held any more; the caller
        then removes the container.
        """
        with self._ledger.writing() as connection:
            row = tables.container(connection, claim_id)
            if row is None or row.container_id not in (None, container_id):
                raise Conflict(
                    "The slot of this container was given back while it was being made.",
                    hint="Create it again.",
                    claim=claim_id,
                )
            if row.state == "pending":
                tables.set_present(connection, claim_id, container_id)
                tables.move_leases(connection, claim_id, "active")
                _history(connection, row, row.owner, "activate", container=container_id)
            reached("activate.written")
        reached("activate.committed")

    def hold(self, claim_id: str) -> None:
        """The container has stopped (or was not started): it keeps its slots.

        A claim that is gone is left alone: there is nothing to hold.
        """
        with self._ledger.writing() as connection:
            row = tables.container(connection, claim_id)
            if row is not None and tables.move_leases(connection, claim_id, "held"):
                _history(connection, row, row.owner, "hold")
            reached("hold.written")
        reached("hold.committed")

    def resume(self, claim_id: str, slots: Sequence[SlotInfo], foreign: Mapping[str, str]) -> None:
        """The container is about to start again, on exactly the slots that it was given.

        `slots` is a fresh inventory, `foreign` as for `claim`. Raises `NotFound` (unknown claim)
        or `Conflict`: a lease was released meanwhile, its slot is not there any more or is another
        one under the same UUID, or somebody uses it without a lease.
        """
        with self._ledger.writing() as connection:
            row = tables.container(connection, claim_id)
            if row is None:
                raise NotFound(
                    "The ledger does not know this container (any more).",
                    hint="Remove it and create it again; its workspace stays.",
                    claim=claim_id,
                )
            cordoned = ledger_cordons.cordoned(connection, self._host)
            for lease in tables.leases_of(connection, claim_id):
                refuse_resume(lease, cordoned)
                _check_resumable(lease, present(lease.info, slots), foreign)
            if tables.move_leases(connection, claim_id, "active"):
                _history(connection, row, row.owner, "resume")
            reached("resume.written")
        reached("resume.committed")

    def release(self, claim_id: str) -> None:
        """The container is gone, or never came to be: its slots are free. Twice is fine."""
        with self._ledger.writing() as connection:
            row = tables.container(connection, claim_id)
            if row is None:
                return
            tables.move_leases(connection, claim_id, "released")
            tables.delete_container(connection, claim_id)
            _history(connection, row, row.owner, "release")
            reached("release.written")
        reached("release.committed")

    def live(self) -> list[LeaseRow]:
        """All leases of this host that are not released."""
        return self._ledger.live_leases(self._host)

    def _choose(
        self,
        connection: sqlite3.Connection,
        asking: Asking,
        slots: Sequence[SlotInfo],
        leases: Sequence[LeaseRow],
        foreign: Mapping[str, str],
        quota: Quota,
    ) -> tuple[SlotInfo, ...]:
        request, priority = asking.request, asking.limits.priority
        if request.kind == "none":
            return ()
        free = free_slots(slots, leases, foreign)
        fenced = through(self._fences, connection, asking, slots, free)
        occupancy = shared_occupancy(leases, asking.memory)

        def best(candidates: Sequence[SlotInfo]) -> tuple[SlotInfo, ...]:
            return choose(candidates, request, priority, occupancy, asking.demand, free=free)

        def pick(candidates: Sequence[SlotInfo]) -> tuple[SlotInfo, ...]:
            may_have = quota.admitted(candidates)
            chosen = best(may_have)
            if not quota.holds(chosen):
                chosen = best(quota.smallest(may_have, request))
            return chosen if quota.holds(chosen) else ()

        gladly = [slot for slot in fenced.allowed if slot.uuid not in fenced.reluctant]
        chosen = pick(gladly) or pick(fenced.allowed)
        if chosen:
            return chosen
        if not any(request.matches(slot) for slot in slots):
            raise no_such_slot(request, slots)
        if pick(free):
            raise kept_for_others(request, free, fenced.allowed, fenced.kept)
        if best(free):
            raise quota.refusal(request, free)
        raise none_free(request, slots, free, leases, foreign)


def free_slots(
    slots: Sequence[SlotInfo], leases: Sequence[LeaseRow], foreign: Collection[str]
) -> list[SlotInfo]:
    """The slots that can be given now, of those `in_force`.

    Neither leased nor used without a lease (`foreign`: UUIDs of slots); nor of a GPU that is
    leased in another way: as a whole, by its instances, by shares (it was divided anew under a
    lease).
    """
    used = dict.fromkeys(foreign, "")
    leased = {lease.slot_uuid for lease in leases}
    on_gpu: dict[str, list[SlotInfo]] = {}
    for lease in leases:
        on_gpu.setdefault(lease.gpu_uuid, []).append(lease.info)
    return [
        slot
        for slot in slots
        if slot.uuid not in leased
        and (not used or user_of(slot, used) is None)
        and (slot.gpu_uuid not in on_gpu or not _barred(slot, on_gpu[slot.gpu_uuid]))
    ]


def _barred(slot: SlotInfo, leased: Sequence[SlotInfo]) -> bool:
    return any(other.bars(slot) for other in leased)


def check_limits(
    limits: LimitValues,
    request: GpuRequest,
    mine: Sequence[ContainerRow],
    owned: Sequence[LeaseRow],
) -> None:
    """Refuse what the person's numbers do not allow: `mine` are the containers, `owned` the live
    leases. Raises `LimitReached`."""
    most = limits.max_slots_per_container
    if most is not None and request.count > most:
        raise slots_per_container(most, request.count)
    most = limits.max_containers
    if most is not None and len(mine) + 1 > most:
        raise container_limit(most, mine)
    most = limits.max_mig_instances
    if most is not None and request.count and len(owned) + request.count > most:
        raise slot_limit(most, request.count, owned)


def _check_resumable(lease: LeaseRow, slot: SlotInfo | None, foreign: Mapping[str, str]) -> None:
    details = {"slot": lease.slot, "profile": lease.profile}
    again = "Remove the container and create it again; its workspace stays."
    if lease.state == "released":
        raise Conflict(
            f"The GPU slot {lease.slot} of {lease.name} was given back in the meantime.",
            hint=again,
            **details,
        )
    was = (lease.info.kind, lease.profile, lease.gpu_uuid, lease.info.gi, lease.info.ci)
    if slot is None or was != (slot.kind, slot.profile, slot.gpu_uuid, slot.gi, slot.ci):
        raise Conflict(
            f"The GPU slot {lease.slot} ({lease.profile}) of {lease.name} is not there any more: "
            "the GPU was partitioned anew or does not answer.",
            hint=again,
            **details,
        )
    user = user_of(lease.info, foreign)
    if user is not None:
        raise Conflict(
            f"The GPU slot {lease.slot} of {lease.name} is in use by the container {user}, which "
            "was started around ds01.",
            hint="Ask its owner to stop it, or remove your container and create it again.",
            used_by=user,
            **details,
        )


def _memory_percent(reading: GpuReading, uuids: Collection[str]) -> dict[str, float]:
    """Memory in use on some physical GPUs in per cent; a GPU that does not tell is left out."""
    percent = {}
    for gpu in reading.gpus:
        total, used = gpu.info.memory_total, gpu.memory_used
        if gpu.info.uuid in uuids and total and used is not None:
            percent[gpu.info.uuid] = 100 * used / total
    return percent


def _history(
    connection: Any,
    row: ContainerRow,
    actor: str,
    action: str,
    slots: Sequence[SlotInfo] = (),
    **details: str,
) -> None:
    shown: dict[str, Any] = {"claim": row.claim_id, **details}
    if slots:
        shown["slots"] = [{"slot": slot.slot, "uuid": slot.uuid} for slot in slots]
        shown["profiles"] = dict(Counter(slot.profile for slot in slots))
    tables.insert_history(
        connection, actor, row.owner, f"lease.{action}", row.full_name, "done", shown
    )
