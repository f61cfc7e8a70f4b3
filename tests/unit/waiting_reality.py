"""What would really happen: a machine on which people wait, run and leave, played moment by moment.

It knows how long everybody really stays; the queue knows the limits only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from ds01_jupyter.core.allocator import free_slots
from ds01_jupyter.core.gpu.slots import SlotInfo
from ds01_jupyter.core.ledger_rows import LeaseRow
from ds01_jupyter.core.waiting.assign import Scene, Waiter, as_lease, assign
from tests.unit.waiting_kit import NOON

Order = Callable[[Sequence[Waiter], datetime], Sequence[Waiter]]


def as_given(waiting: Sequence[Waiter], _: datetime) -> Sequence[Waiter]:
    """Nobody's place changes."""
    return waiting


@dataclass
class Reality:
    """`leaves` says when a lease really ends, `limit` when at the latest, by slot UUID."""

    slots: Sequence[SlotInfo]
    stay: Callable[[Waiter, datetime], datetime]
    order: Order = as_given
    now: datetime = NOON
    waiting: list[Waiter] = field(default_factory=list)
    leases: list[LeaseRow] = field(default_factory=list)
    leaves: dict[str, datetime] = field(default_factory=dict)
    limit: dict[str, datetime | None] = field(default_factory=dict)
    started: dict[int, datetime] = field(default_factory=dict)

    def occupy(self, who: Waiter, slot: SlotInfo, leaves: datetime, limit: datetime | None) -> None:
        """Somebody is there already."""
        self.leases.append(as_lease(who, slot, self.now))
        self.leaves[slot.uuid], self.limit[slot.uuid] = leaves, limit

    @property
    def free(self) -> list[SlotInfo]:
        """The slots that nobody has."""
        return free_slots(self.slots, self.leases, ())

    def scene(self) -> Scene:
        """What the queue sees."""
        return Scene(
            self.now,
            tuple(self.slots),
            tuple(self.free),
            tuple(self.leases),
            ends=lambda: self.limit,
        )

    def serve(self) -> None:
        """Everybody whose turn it is starts."""
        order = list(self.order(self.waiting, self.now))
        found = assign(self.scene(), order)
        for who in order:
            chosen = found.given.get(who.key)
            if not chosen:
                continue
            self.waiting.remove(who)
            self.started[who.key] = self.now
            end = self.stay(who, self.now)
            for slot in chosen:
                self.occupy(who, slot, end, who.until(self.now))

    def advance(self, to: datetime) -> None:
        """Time passes, and whoever's time is over leaves."""
        self.now = to
        over = {uuid for uuid, at in self.leaves.items() if at <= to}
        self.leases = [lease for lease in self.leases if lease.slot_uuid not in over]
        for uuid in over:
            del self.leaves[uuid], self.limit[uuid]

    def play(self, arrivals: Mapping[datetime, Sequence[Waiter]], end: datetime) -> None:
        """Until nobody waits and nobody comes any more, or `end`."""
        due = sorted(arrivals)
        while self.now <= end:
            while due and due[0] <= self.now:
                self.waiting += arrivals[due.pop(0)]
            self.serve()
            later = [*due[:1], *(at for at in self.leaves.values() if at > self.now)]
            if not later or not (self.waiting or due):
                return
            self.advance(min(later))
