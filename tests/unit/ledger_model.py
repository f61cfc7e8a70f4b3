"""The ledger and its allocator in plain Python: what must be had, held and refused.

It knows nothing of SQL, transactions or policies. Where several slots would do, it says which sizes
may be given, not which slot.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Literal

from ds01_jupyter.core.gpu.request import GpuRequest
from ds01_jupyter.core.gpu.slots import SlotInfo
from ds01_jupyter.core.models import LimitValues

Refusal = Literal["conflict", "limit_reached", "no_free_slot", "not_found"]
RUNNING = ("running", "paused", "restarting")
POINTS_AN_HOUR = 6


@dataclass
class Held:
    """A claim that was not released. `docker` is the id of its container once that was made."""

    claim_id: str
    full_name: str
    uid: int
    slots: tuple[SlotInfo, ...]
    desk: int
    state: Literal["pending", "active", "held"] = "pending"
    present: bool = False
    docker: str | None = None
    alive: bool = True


@dataclass
class Place:
    """Somebody who waits for one slot."""

    number: int
    uid: int
    request: GpuRequest
    priority: int
    since: float
    desk: int
    awake: bool = True


@dataclass
class Model:
    """Everything there is. `docker` gives the state of each container by its id."""

    limits: dict[int, LimitValues]
    slots: list[SlotInfo] = field(default_factory=list)
    cordoned: set[str] = field(default_factory=set)
    claims: dict[str, Held] = field(default_factory=dict)
    docker: dict[str, str] = field(default_factory=dict)
    queue: dict[int, Place] = field(default_factory=dict)
    now: float = 0.0

    # ---- what there is -------------------------------------------------------------------------

    def leased(self) -> list[SlotInfo]:
        """Every slot that somebody has."""
        return [slot for claim in self.claims.values() for slot in claim.slots]

    def owned(self, uid: int) -> list[SlotInfo]:
        """Every slot that this person has."""
        return [slot for one in self.claims.values() if one.uid == uid for slot in one.slots]

    def usable(self) -> list[SlotInfo]:
        """The slots of GPUs that are not cordoned."""
        return [slot for slot in self.slots if slot.gpu_uuid not in self.cordoned]

    def free(self) -> list[SlotInfo]:
        """What could be given to somebody without limits."""
        taken = self.leased()
        return [slot for slot in self.usable() if not any(clash(slot, one) for one in taken)]

    # ---- claims --------------------------------------------------------------------------------

    def refusal(
        self, uid: int, full_name: str, request: GpuRequest, place: int | None = None
    ) -> Refusal | None:
        """What a claim must be refused with; None: it must be granted."""
        if any(claim.full_name == full_name for claim in self.claims.values()):
            return "conflict"
        if self._beyond_limits(uid, request, self.owned(uid), self._containers(uid), self.slots):
            return "limit_reached"
        if request.kind == "none" or self.choices(uid, request, place):
            return None
        # With every GPU cordoned it is not said what the machine would have.
        there = any(map(request.matches, self.slots)) or not self.usable()
        return "no_free_slot" if there else "not_found"

    def choices(
        self, uid: int, request: GpuRequest, place: int | None = None
    ) -> list[tuple[SlotInfo, ...]]:
        """All sets of slots that may be given, those before in the queue being served first."""
        free = self.free()
        taken, served = self._taken_before(uid, request, place, free)
        if place is not None and uid in served:
            return []  # one's own place before comes first
        per_profile = Counter(slot.profile for slot in free)
        mine = [
            slot
            for slot in self._within_quota(uid, free, self.owned(uid))
            if request.matches(slot) and taken[slot.profile] < per_profile[slot.profile]
        ]
        found = []
        for chosen in itertools.combinations(mine, request.count):
            # Which slot of a profile the others take does not matter, only how many.
            wanted = Counter(slot.profile for slot in chosen)
            enough = all(
                taken[name] + number <= per_profile[name] for name, number in wanted.items()
            )
            apart = not any(twice(a, b) for a, b in itertools.combinations(chosen, 2))
            if enough and apart and self._affords(uid, chosen, self.owned(uid)):
                found.append(chosen)
        return found

    def _containers(self, uid: int) -> int:
        return sum(claim.uid == uid for claim in self.claims.values())

    def _beyond_limits(
        self,
        uid: int,
        request: GpuRequest,
        owned: Sequence[SlotInfo],
        containers: int,
        slots: Iterable[SlotInfo],
    ) -> bool:
        limits, count = self.limits[uid], request.count
        if limits.max_slots_per_container is not None and count > limits.max_slots_per_container:
            return True
        if limits.max_containers is not None and containers + 1 > limits.max_containers:
            return True
        most = limits.max_mig_instances
        if most is not None and count and len(owned) + count > most:
            return True
        if request.kind == "none":
            return False
        matching = [slot for slot in slots if request.matches(slot)]
        allowed = [slot for slot in matching if limits.allow_full_gpu or slot.kind != "gpu"]
        if not allowed:
            return not limits.allow_full_gpu and (bool(matching) or request.kind == "whole")
        least = min(size(slot) for slot in allowed) * count
        return self._left(uid, owned) is not None and least > (self._left(uid, owned) or 0)

    def _left(self, uid: int, owned: Sequence[SlotInfo]) -> Fraction | None:
        most = self.limits[uid].max_gpu_equivalents
        return None if most is None else Fraction(most).limit_denominator(7) - total(owned)

    def _affords(self, uid: int, chosen: Sequence[SlotInfo], owned: Sequence[SlotInfo]) -> bool:
        left = self._left(uid, owned)
        return left is None or total(chosen) <= left

    def _within_quota(
        self, uid: int, slots: Iterable[SlotInfo], owned: Sequence[SlotInfo]
    ) -> list[SlotInfo]:
        whole = self.limits[uid].allow_full_gpu
        return [
            slot
            for slot in slots
            if (whole or slot.kind != "gpu") and self._affords(uid, [slot], owned)
        ]

    # ---- the queue -----------------------------------------------------------------------------

    def points(self, place: Place) -> float:
        """What makes the order: nobody has used anything for long enough to count."""
        return place.priority + POINTS_AN_HOUR * (self.now - place.since) / 3600

    def order(self) -> list[Place]:
        """Who waits, first come first among equals."""
        return sorted(self.queue.values(), key=lambda one: (-self.points(one), one.number))

    def ahead(self, uid: int, place: int | None) -> list[Place]:
        """Who stands before a place, or before somebody who asks without one."""
        order = self.order()
        if place is not None:
            return order[: [one.number for one in order].index(place)]
        mine = self.limits[uid].priority
        return [one for one in order if self.points(one) >= mine]

    def _taken_before(
        self, uid: int, request: GpuRequest, place: int | None, free: Sequence[SlotInfo]
    ) -> tuple[Counter[str], set[int]]:
        """How many slots of each profile those take who stand before and could be served, and
        whose places these are."""
        left = list(free)
        owned = {one: self.owned(one) for one in self.limits}
        containers = {one: self._containers(one) for one in self.limits}
        taken: Counter[str] = Counter()
        served: set[int] = set()
        for other in self.ahead(uid, place):
            if not other.awake or self._beyond_limits(
                other.uid, other.request, owned[other.uid], containers[other.uid], self.usable()
            ):
                continue
            fitting = [
                slot
                for slot in self._within_quota(other.uid, left, owned[other.uid])
                if other.request.matches(slot)
            ]
            if not fitting:
                continue
            least = min(size(slot) for slot in fitting)
            alike = [slot for slot in fitting if size(slot) == least]
            # Who names a slot is left it where another of the same kind does.
            chosen = min(alike, key=lambda slot: request.kind == "slot" and request.matches(slot))
            taken[chosen.profile] += 1
            served.add(other.uid)
            owned[other.uid].append(chosen)
            containers[other.uid] += 1
            left = [slot for slot in left if not clash(slot, chosen)]
        return taken, served

    # ---- the reconciler ------------------------------------------------------------------------

    def reconcile(self) -> None:
        """Bring the claims in line with Docker."""
        for claim in list(self.claims.values()):
            if not claim.present and claim.alive:
                continue
            state = self.docker.get(claim.docker or "")
            if state is None:
                del self.claims[claim.claim_id]
                continue
            claim.present = True
            claim.state = "active" if state in RUNNING else "held"


def clash(slot: SlotInfo, other: SlotInfo) -> bool:
    """Whether two people could not have these at a time."""
    if slot.uuid == other.uuid:
        return True
    return slot.gpu_uuid == other.gpu_uuid and (slot.kind != other.kind or slot.kind == "gpu")


def twice(slot: SlotInfo, other: SlotInfo) -> bool:
    """Whether one container could not have both."""
    return clash(slot, other) or (slot.kind == "share" and slot.gpu_uuid == other.gpu_uuid)


def size(slot: SlotInfo) -> Fraction:
    """Its part of a GPU."""
    return Fraction(slot.share).limit_denominator(7)


def total(slots: Collection[SlotInfo]) -> Fraction:
    """What slots come to together, in GPUs."""
    return sum((size(slot) for slot in slots), Fraction(0))
