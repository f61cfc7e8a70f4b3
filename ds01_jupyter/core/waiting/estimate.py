"""When those who wait can be served: the rule of `assign`, played forward to all known ends.

Everything is taken to last as long as it may. What has no limit never ends here: whoever would need
it gets no time but the reason. So an estimate is never earlier than what would be, if everybody
used their time up.

It is `certain` only where the known limits bound it whatever ends earlier: nobody stands before who
could take another way when things change, and the ends that it rests on are limits that hold.
(Among people who each want one of the same slots, nobody is served later because others leave
earlier. Where they want different ones, or several, that does happen.)
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from ds01_jupyter.core.allocator import free_slots
from ds01_jupyter.core.gpu.slots import SlotInfo
from ds01_jupyter.core.waiting.assign import DIRECT, Assignment, Scene, Waiter, as_lease, assign
from ds01_jupyter.core.waiting.documents import Estimate

MOST_STEPS = 500
"""Moments that are looked at; beyond, nobody could say anything anyway."""


@dataclass(frozen=True)
class Freeing:
    """What frees a slot: `at` the latest (None: nobody can say), why, and whether that is bound to
    hold. `who` has it."""

    at: datetime | None
    who: str
    because: str
    sure: bool


def nothing_promised(_: Waiter) -> bool:
    """There are no reservations."""
    return False


@dataclass(frozen=True)
class Outlook:
    """All that an estimate needs.

    `waiters` in order; those in `asleep` (keys) are passed over. `freeing` tells of each slot in
    use (by UUID) what frees it. At `changes` something else changes that `scene.allows` knows of;
    `promised` says whether reservations concern what somebody asks for.
    """

    scene: Scene
    waiters: Sequence[Waiter]
    freeing: Mapping[str, Freeing]
    asleep: Collection[int] = ()
    changes: Sequence[datetime] = ()
    promised: Callable[[Waiter], bool] = nothing_promised


def estimate(outlook: Outlook) -> dict[int, Estimate]:
    """When each of the waiters can be served, by key."""
    return _Play(outlook).estimates()


class _Play:
    """One play from now to the last end that is known."""

    def __init__(self, outlook: Outlook) -> None:
        self._outlook = outlook
        self._scene = outlook.scene
        self._left = [each for each in outlook.waiters if each.key not in outlook.asleep]
        self._freeing = dict(outlook.freeing)
        self._leases = list(outlook.scene.leases)
        self._foreign = self._without_lease()
        self._started: dict[int, tuple[datetime, tuple[SlotInfo, ...]]] = {}
        self._freed: dict[int, list[Freeing]] = {}
        self._held: dict[int, str] = {}
        self._last: Assignment | None = None

    def _without_lease(self) -> set[str]:
        """Slots that are not free and have no lease: somebody uses them without one."""
        free = {slot.uuid for slot in self._scene.free}
        leased = [lease.info for lease in self._leases]
        return {
            slot.uuid
            for slot in self._scene.slots
            if slot.uuid not in free and not any(other.bars(slot) for other in leased)
        }

    def estimates(self) -> dict[int, Estimate]:
        """Play, and say what came out."""
        self._play()
        found: dict[int, Estimate] = {}
        for place, waiter in enumerate(self._outlook.waiters):
            if waiter.key in self._outlook.asleep:
                words = "the server that would make the container does not run"
                found[waiter.key] = Estimate(at=None, certain=False, because=words)
            elif waiter.key in self._started:
                found[waiter.key] = self._known(waiter, place)
            else:
                found[waiter.key] = Estimate(
                    at=None, certain=False, because=self._unknown(waiter, place)
                )
        return found

    # ---- playing -------------------------------------------------------------------------------

    def _play(self) -> None:
        now, free = self._scene.now, list(self._scene.free)
        for _ in range(MOST_STEPS):
            if not self._left:
                return
            ends = {uuid: each.at for uuid, each in self._freeing.items()}
            scene = replace(
                self._scene,
                now=now,
                free=tuple(free),
                leases=tuple(self._leases),
                ends=lambda ends=ends: ends,  # type: ignore[misc]
            )
            found = self._last = assign(scene, self._left)
            for key, refusal in found.held.items():
                self._held[key] = refusal.message
            for waiter in self._left:
                if waiter.key in found.given:
                    self._start(waiter, found.given[waiter.key], now)
            self._left = [each for each in self._left if each.key not in found.given]
            later = self._next(now)
            if later is None:
                return
            now = later
            free = self._free(now)

    def _start(self, waiter: Waiter, slots: tuple[SlotInfo, ...], now: datetime) -> None:
        self._started[waiter.key] = (now, slots)
        self._freed[waiter.key] = [
            self._freeing[slot.uuid] for slot in slots if slot.uuid in self._freeing
        ]
        until = waiter.until(now)
        who = "you" if waiter.key == DIRECT else waiter.name
        because = "it may run for so long" if until else "it may run without a limit"
        for slot in slots:
            self._leases.append(as_lease(waiter, slot, now))
            self._freeing[slot.uuid] = Freeing(until, f"{who}, who comes first,", because, True)

    def _next(self, now: datetime) -> datetime | None:
        held = {lease.slot_uuid for lease in self._leases}
        ends = [
            each.at
            for uuid, each in self._freeing.items()
            if each.at is not None and uuid in held and each.at > now
        ]
        return min([*ends, *(at for at in self._outlook.changes if at > now)], default=None)

    def _free(self, now: datetime) -> list[SlotInfo]:
        over = {
            uuid for uuid, each in self._freeing.items() if each.at is not None and each.at <= now
        }
        self._leases = [lease for lease in self._leases if lease.slot_uuid not in over]
        return free_slots(self._scene.slots, self._leases, self._foreign)

    # ---- saying --------------------------------------------------------------------------------

    def _known(self, waiter: Waiter, place: int) -> Estimate:
        at, _ = self._started[waiter.key]
        if at <= self._scene.now:
            return Estimate(at=at, certain=True, because="what is asked for is free")
        freed = self._freed[waiter.key]
        doubt = self._doubt(waiter, place, freed)
        last = max((each for each in freed if each.at is not None), key=_at, default=None)
        if last is None:
            because = "a reservation ends"
        else:
            because = f"{last.who} gives a slot back by then: {last.because}"
        if doubt:
            because += f"; but {doubt}"
        return Estimate(at=at, certain=not doubt, because=because)

    def _doubt(self, waiter: Waiter, place: int, freed: Sequence[Freeing]) -> str:
        """Why it could come later than estimated; nothing when it cannot."""
        if waiter.key in self._held:
            return "your own limits stand in the way until then"
        if self._outlook.promised(waiter):
            return "reservations may change it"
        unsure = next((each for each in freed if not each.sure), None)
        if unsure is not None:
            return "a stopped container may be started again"
        wanted = self._wanted(waiter)
        for other in self._outlook.waiters[:place]:
            others = self._wanted(other)
            if not wanted & others:
                continue
            if other.key in self._outlook.asleep or other.key in self._held:
                return f"{other.name} may come first after all"
            alike = others == wanted and other.request.count == waiter.request.count == 1
            if not alike:
                return f"it depends on what {other.name} gets first"
        return ""

    def _wanted(self, waiter: Waiter) -> frozenset[str]:
        """The slots that would do for somebody, free or not."""
        whole = waiter.limits.values.allow_full_gpu
        return frozenset(
            slot.uuid
            for slot in self._scene.slots
            if waiter.request.matches(slot) and (whole or slot.kind != "gpu")
        )

    def _unknown(self, waiter: Waiter, place: int) -> str:
        found = self._last
        if found is not None and waiter.key in found.held:
            return f"your own limits stand in the way: {self._held[waiter.key]}"
        wanted = self._wanted(waiter)
        if found is not None and (waiter.key in found.absent or not wanted):
            return "this machine does not have enough of what is asked for now"
        endless = [
            (uuid, each)
            for uuid, each in self._freeing.items()
            if uuid in wanted and each.at is None
        ]
        slots = {slot.uuid: slot.slot for slot in self._scene.slots}
        if endless:
            uuid, first = endless[0]
            return f"nobody can say when {first.who} gives slot {slots[uuid]} back: {first.because}"
        if wanted & self._foreign:
            return "what would do is used by a container that ds01 did not make"
        first_ahead = next(
            (
                other.name
                for other in self._outlook.waiters[:place]
                if other.key not in self._started and self._wanted(other) & wanted
            ),
            None,
        )
        if first_ahead is not None:
            return f"nobody can say when {first_ahead}, who comes first, is served"
        return "what would do is reserved, or more than your limits leave to you"


def _at(freeing: Freeing) -> datetime:
    assert freeing.at is not None
    return freeing.at
