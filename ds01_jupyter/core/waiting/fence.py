"""Keeps free slots for those who wait: nobody overtakes.

Asked inside the transaction of every claim, a direct one or that of a place in the queue. Without
anybody who waits it costs one question to an index.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from ds01_jupyter.core import ledger_tables
from ds01_jupyter.core.allocator_quota import Quota
from ds01_jupyter.core.clock import Clock, Moment
from ds01_jupyter.core.fences import Asking, Fenced, through
from ds01_jupyter.core.gpu.placement import choose, shared_occupancy
from ds01_jupyter.core.gpu.slots import SlotInfo
from ds01_jupyter.core.waiting.assign import Assignment, Scene, Waiter, assign, without
from ds01_jupyter.core.waiting.scene import Stage
from ds01_jupyter.core.waiting.tables import Entry

OWN_PLACE = "your own place in the queue, which comes first"


class QueueFence:
    """The fence of the queue, and of all others behind it.

    It asks the other fences (reservations) itself, for everybody who stands before and then for
    the one that asks, each time with what is left: so it is given to the allocator alone.
    """

    def __init__(self, stage: Stage, clock: Clock) -> None:
        self._stage = stage
        self._clock = clock

    def fence(
        self,
        connection: sqlite3.Connection,
        asking: Asking,
        slots: Sequence[SlotInfo],
        free: Sequence[SlotInfo],
    ) -> Fenced:
        """See `Fence`: what those leave who stand before the one that asks."""
        now = self._clock.now()
        others = self._stage.fences_at(now)
        entries = self._stage.waiting(connection)
        waiters: list[Waiter] = []
        if any(entry.id != asking.entry for entry in entries):
            waiters = self._stage.awake(self.ahead(connection, asking, entries, now), now)
        if not waiters:
            return through(others, connection, asking, slots, free)
        scene = self._stage.scene(connection, slots, free, now)
        # Who asks for one slot by its name is not refused it for those who would take any.
        spare = asking.request.matches if asking.request.kind == "slot" else None
        found = assign(scene, waiters, spare)
        if asking.entry is not None and any(
            waiter.uid == asking.uid and found.given.get(waiter.key) for waiter in waiters
        ):
            # One's own place before it would lose its part of one's quota; it comes first.
            return Fenced((), kept=dict.fromkeys((slot.uuid for slot in free), OWN_PLACE))
        passed = through(others, connection, asking, slots, found.left)
        there = {slot.uuid for slot in found.open_to(asking.until)}
        allowed = tuple(slot for slot in passed.allowed if slot.uuid in there)
        kept = {**_whose(found, waiters, free), **passed.kept}
        return _harmless(
            connection, asking, scene, waiters, replace(passed, allowed=allowed, kept=kept)
        )

    def ahead(
        self,
        connection: sqlite3.Connection,
        asking: Asking,
        entries: Sequence[Entry],
        now: Moment,
    ) -> list[Entry]:
        """The places before the one that asks, in order; those that are asleep too."""
        # Reckoned as for those who wait: the one that asks does not move them among themselves.
        ranking = self._stage.ranking(connection, entries, now)
        order = ranking.order(entries)
        for place, entry in enumerate(order):
            if entry.id == asking.entry:
                return order[:place]
        points = ranking.points(asking.uid, asking.limits.priority)
        return ranking.ahead_of(points, entries)


def _harmless(
    connection: sqlite3.Connection,
    asking: Asking,
    scene: Scene,
    waiters: Sequence[Waiter],
    passed: Fenced,
) -> Fenced:
    """Of what was left, slots that can be taken without costing any of the `waiters` theirs.

    What one of them would take depends on all that is free. So to take what they leave can turn
    somebody to a slot that another of them would have had.
    """
    could = assign(scene, waiters).given
    if not could:
        return passed
    names = {waiter.key: waiter.name for waiter in waiters}
    kept, allowed = dict(passed.kept), list(passed.allowed)
    while chosen := _choice(connection, asking, scene, allowed, passed.reluctant):
        if _loser(scene, waiters, could, asking, chosen) is None:
            return replace(passed, allowed=chosen, kept=kept)
        # One of them alone, if it is one that does it; else they do it together.
        slot, loser = next(
            (
                (slot, key)
                for slot in chosen
                if (key := _loser(scene, waiters, could, asking, (slot,))) is not None
            ),
            (chosen[-1], _loser(scene, waiters, could, asking, chosen)),
        )
        allowed.remove(slot)
        assert loser is not None
        kept[slot.uuid] = f"{names[loser]}, who comes first in the queue"
    return replace(passed, allowed=tuple(allowed), kept=kept)


def _loser(
    scene: Scene,
    waiters: Sequence[Waiter],
    could: Mapping[int, Sequence[SlotInfo]],
    asking: Asking,
    chosen: Sequence[SlotInfo],
) -> int | None:
    """The first of those who could be served that could not any more, if these are taken."""
    after = assign(without(scene, asking, chosen), waiters).given
    return next((key for key in could if key not in after), None)


def _choice(
    connection: sqlite3.Connection,
    asking: Asking,
    scene: Scene,
    allowed: Sequence[SlotInfo],
    reluctant: Collection[str],
) -> tuple[SlotInfo, ...]:
    """What the allocator would take of the `allowed` ones."""
    if asking.request.kind == "none":
        return ()
    quota = Quota(asking.limits, ledger_tables.live_leases(connection, uid=asking.uid))
    occupancy = shared_occupancy(scene.leases, asking.memory)
    gladly = [slot for slot in allowed if slot.uuid not in reluctant]
    for candidates in (gladly, allowed):
        may_have = quota.admitted(candidates)
        for some in (may_have, quota.smallest(may_have, asking.request)):
            chosen = choose(
                some,
                asking.request,
                asking.limits.priority,
                occupancy,
                asking.demand,
                free=scene.free,
            )
            if chosen and quota.holds(chosen):
                return chosen
    return ()


def _whose(
    found: Assignment, waiters: Sequence[Waiter], free: Sequence[SlotInfo]
) -> dict[str, str]:
    """For whom free slots are kept, by UUID."""
    names = {waiter.key: waiter.name for waiter in waiters}
    left = {slot.uuid for slot in found.left}
    whose = {
        slot.gpu_uuid: f"{names[key]}, who comes first in the queue"
        for key, chosen in found.given.items()
        for slot in chosen
    }
    # What went with a slot that was taken (the rest of a whole GPU) is kept for the same person.
    kept = {slot.uuid: whose[slot.gpu_uuid] for slot in free if slot.uuid not in left}
    if found.blocked is not None:
        words = f"{found.blocked.name}, who waits in the queue for more of them"
        kept |= dict.fromkeys(found.kept, words)
    for key, chosen in found.given.items():
        kept |= {slot.uuid: f"{names[key]}, who comes first in the queue" for slot in chosen}
    return kept
