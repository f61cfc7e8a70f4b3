"""Who of those that wait would get which slots, at one moment: the rule of the queue, pure.

In order, everybody takes what the allocator would give them of what those before left. Who is held
back by limits of their own, or asks for what is not there, delays nobody. Where several slots are
asked for, and some but not enough are free, the first such place keeps those; who stands behind may
have one of them only if it is surely given back before the rest can be there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from ds01_jupyter.core.allocator import check_limits, free_slots
from ds01_jupyter.core.allocator_quota import Quota
from ds01_jupyter.core.errors import LimitReached
from ds01_jupyter.core.fences import Asking, Fenced
from ds01_jupyter.core.gpu.placement import choose, shared_occupancy
from ds01_jupyter.core.gpu.quota import exact
from ds01_jupyter.core.gpu.request import GpuRequest
from ds01_jupyter.core.gpu.slots import SlotInfo
from ds01_jupyter.core.ledger_rows import ContainerRow, LeaseRow
from ds01_jupyter.core.limits import PersonLimits
from ds01_jupyter.core.people import slots_back_by
from ds01_jupyter.core.processes import ProcessIdentity

DIRECT = 0
"""Key of who asks without a place in the queue (places are numbered from 1)."""


@dataclass(frozen=True)
class Waiter:
    """Somebody who wants slots. `key` is the number of the place in the queue, or `DIRECT`."""

    key: int
    uid: int
    name: str
    request: GpuRequest
    limits: PersonLimits

    def until(self, start: datetime) -> datetime | None:
        """When slots that are given at `start` are free again at the latest; None: nobody knows."""
        return slots_back_by(self.limits, start)


def everything(_: Waiter, free: Sequence[SlotInfo], __: datetime) -> Fenced:
    """Nothing is reserved."""
    return Fenced(tuple(free))


def no_ends() -> Mapping[str, datetime | None]:
    """Nothing is known of when a slot becomes free."""
    return {}


@dataclass(frozen=True)
class Scene:
    """The machine at a moment: all `slots`, those that are `free`, live leases, and everybody's
    containers by uid.

    `allows` says which of some free slots a waiter may have at a moment (reservations); `ends`,
    asked only when it matters, when the slots in use are free at the latest, by UUID.
    """

    now: datetime
    slots: tuple[SlotInfo, ...]
    free: tuple[SlotInfo, ...]
    leases: tuple[LeaseRow, ...] = ()
    containers: Mapping[int, Sequence[ContainerRow]] = field(default_factory=dict)
    allows: Callable[[Waiter, Sequence[SlotInfo], datetime], Fenced] = everything
    ends: Callable[[], Mapping[str, datetime | None]] = no_ends


@dataclass(frozen=True)
class Assignment:
    """Who gets what now, by key.

    `held` are those whose own limits stand in the way, `absent` those who ask for what is not
    there. `blocked` is the one for whom free slots are kept until there are enough, `kept` their
    UUIDs and `start` when it can have all at the latest (None: nobody can say). `left` are the
    free slots that nobody took, those kept included.
    """

    given: Mapping[int, tuple[SlotInfo, ...]]
    held: Mapping[int, LimitReached]
    absent: frozenset[int]
    blocked: Waiter | None
    kept: frozenset[str]
    start: datetime | None
    left: tuple[SlotInfo, ...]

    def open_to(self, until: datetime | None) -> tuple[SlotInfo, ...]:
        """What is left for somebody who stands behind all, and gives it back by `until`."""
        if self.blocked is None or _in_time(until, self.start):
            return self.left
        return tuple(slot for slot in self.left if slot.uuid not in self.kept)


def assign(
    scene: Scene, waiters: Sequence[Waiter], spare: Callable[[SlotInfo], bool] | None = None
) -> Assignment:
    """What everybody gets now, `waiters` in order. Who has several places uses up their limits
    with each. Slots that `spare` names are left over where another of the same kind does."""
    state = _State(scene)
    given: dict[int, tuple[SlotInfo, ...]] = {}
    held: dict[int, LimitReached] = {}
    absent: set[int] = set()
    blocked: Waiter | None = None
    kept: frozenset[str] = frozenset()
    start: datetime | None = None
    for waiter in waiters:
        refusal = state.refusal(waiter)
        if refusal is not None:
            held[waiter.key] = refusal
            continue
        chosen = state.choose(waiter, _not_kept(waiter, scene.now, kept, start), spare)
        if chosen or waiter.request.kind == "none":
            given[waiter.key] = chosen
            state.take(waiter, chosen)
        elif sum(map(waiter.request.matches, scene.slots)) < waiter.request.count:
            absent.add(waiter.key)
        elif not kept and (kept := state.gather(waiter)):
            blocked, start = waiter, state.start(waiter, len(kept))
    return Assignment(given, held, frozenset(absent), blocked, kept, start, tuple(state.free))


def _not_kept(
    waiter: Waiter, now: datetime, kept: frozenset[str], start: datetime | None
) -> frozenset[str]:
    """The slots that this one may not have, because they are kept for the one that is blocked."""
    if not kept or (start is not None and _in_time(waiter.until(now), start)):
        return frozenset()
    return kept


def _in_time(until: datetime | None, start: datetime | None) -> bool:
    return until is not None and start is not None and until <= start


class _State:
    """The scene as it becomes while slots are given."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self.free = list(scene.free)
        self._leases = list(scene.leases)
        self._containers = {uid: list(rows) for uid, rows in scene.containers.items()}
        self._until: dict[str, datetime | None] = {}

    def _owned(self, uid: int) -> list[LeaseRow]:
        return [lease for lease in self._leases if lease.uid == uid]

    def refusal(self, waiter: Waiter) -> LimitReached | None:
        """What the waiter's own limits say against it, if anything."""
        values, owned = waiter.limits.values, self._owned(waiter.uid)
        try:
            check_limits(values, waiter.request, self._containers.get(waiter.uid, []), owned)
            Quota(values, owned).check(waiter.request, self._scene.slots)
        except LimitReached as refusal:
            return refusal
        return None

    def choose(
        self,
        waiter: Waiter,
        barred: frozenset[str],
        spare: Callable[[SlotInfo], bool] | None,
    ) -> tuple[SlotInfo, ...]:
        """What the allocator would give of what is free, without the `barred`."""
        if waiter.request.kind == "none":
            return ()
        fenced = self._scene.allows(waiter, self.free, self._scene.now)
        allowed = [slot for slot in fenced.allowed if slot.uuid not in barred]
        gladly = [slot for slot in allowed if slot.uuid not in fenced.reluctant]
        for candidates in (gladly, allowed):
            chosen = self._pick(waiter, candidates)
            if chosen and spare is not None and any(map(spare, chosen)):
                others = [slot for slot in candidates if not spare(slot)]
                instead = self._pick(waiter, others)
                chosen = instead if _kinds(instead) == _kinds(chosen) else chosen
            if chosen:
                return chosen
        return ()

    def _pick(self, waiter: Waiter, candidates: Sequence[SlotInfo]) -> tuple[SlotInfo, ...]:
        request, priority = waiter.request, waiter.limits.values.priority
        quota = Quota(waiter.limits.values, self._owned(waiter.uid))
        occupancy = shared_occupancy(self._leases, {})
        may_have = quota.admitted(candidates)
        chosen = choose(may_have, request, priority, occupancy)
        if not quota.holds(chosen):
            chosen = choose(quota.smallest(may_have, request), request, priority, occupancy)
        return chosen if quota.holds(chosen) else ()

    def take(self, waiter: Waiter, chosen: Sequence[SlotInfo]) -> None:
        """The waiter has these now."""
        self._leases += [as_lease(waiter, slot, self._scene.now) for slot in chosen]
        self._containers.setdefault(waiter.uid, []).append(_as_row(waiter, self._scene.now))
        self.free = free_slots(self.free, self._leases, ())
        self._until |= {slot.uuid: waiter.until(self._scene.now) for slot in chosen}

    def gather(self, waiter: Waiter) -> frozenset[str]:
        """The free slots that are to be kept for one that is blocked: as many as it may have
        together, one less than it asks for at most, the smallest."""
        values = waiter.limits.values
        quota = Quota(values, self._owned(waiter.uid))
        allowed = self._scene.allows(waiter, self.free, self._scene.now).allowed
        fitting = [slot for slot in quota.admitted(allowed) if waiter.request.matches(slot)]
        kept: list[SlotInfo] = []
        for slot in sorted(fitting, key=lambda slot: (exact(slot.share), slot.order)):
            if len(kept) + 1 < waiter.request.count and quota.holds((*kept, slot)):
                kept.append(slot)
        return frozenset(slot.uuid for slot in kept)

    def start(self, waiter: Waiter, kept: int) -> datetime | None:
        """When enough slots are free for one that is blocked, if everything lasts as long as it
        may; None when nobody can say."""
        here = {slot.uuid for slot in self.free}
        busy = {
            slot.uuid
            for slot in self._scene.slots
            if slot.uuid not in here and waiter.request.matches(slot)
        }
        ends = {**self._scene.ends(), **self._until}
        known = sorted(end for uuid, end in ends.items() if uuid in busy and end is not None)
        lacking = waiter.request.count - kept
        return known[lacking - 1] if len(known) >= lacking else None


def _kinds(slots: Sequence[SlotInfo]) -> list[tuple[str, float]]:
    return sorted((slot.profile, slot.share) for slot in slots)


_NOBODY = ProcessIdentity(0, 0, "", 0)


def as_lease(waiter: Waiter, slot: SlotInfo, now: datetime, host: str = "") -> LeaseRow:
    """A lease as it would be if the waiter had the slot."""
    priority = waiter.limits.values.priority
    return _lease(f"waiting {waiter.key}", waiter.uid, waiter.name, priority, slot, now, host)


def without(scene: Scene, asking: Asking, chosen: Sequence[SlotInfo]) -> Scene:
    """The scene if the one that asks had these slots. It is nobody's use of limits: nobody's own
    places are held back by it."""
    name, priority = asking.name, asking.limits.priority
    leases = [_lease("asking", -1, name, priority, slot, scene.now) for slot in chosen]
    until = {slot.uuid: asking.until for slot in chosen}
    return replace(
        scene,
        free=tuple(free_slots(scene.free, leases, ())),
        leases=(*scene.leases, *leases),
        ends=lambda: {**scene.ends(), **until},
    )


def _lease(
    claim_id: str,
    uid: int,
    owner: str,
    priority: int,
    slot: SlotInfo,
    now: datetime,
    host: str = "",
) -> LeaseRow:
    return LeaseRow(
        id=0,
        claim_id=claim_id,
        full_name="",
        name="",
        uid=uid,
        owner=owner,
        priority=priority,
        host=host,
        info=slot,
        state="pending",
        created=now,
        since=now,
        boot_id="",
        boot_seconds=0.0,
    )


def _as_row(waiter: Waiter, now: datetime) -> ContainerRow:
    return ContainerRow(
        claim_id=f"waiting {waiter.key}",
        full_name="",
        name="",
        uid=waiter.uid,
        owner=waiter.name,
        container_id=None,
        state="pending",
        process=_NOBODY,
        created=now.astimezone(UTC),
        boot_seconds=0.0,
        document={},
    )
