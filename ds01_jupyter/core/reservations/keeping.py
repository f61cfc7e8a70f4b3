"""Which slot is kept for which promise.

Nothing of it is stored: it follows from the promises, the slots, the leases and their ends, and is
found anew whenever one of them changes. A promise keeps one slot for its whole time for each that
it promises; a slot can serve two promises one after the other. Of all the ways to keep most
promises the one is taken that asks least of others, in this order:

    a lease of the holder's that was made since the promise began
    a free slot
    a slot whose lease ends before the promise begins, by the time limits
    another lease of the holder's
    a lease that has to be ended: as few as can be, those that were told first, then those of the
    lowest priority, then the youngest
    a slot that cannot be given now (used without a lease, on a cordoned GPU): said as a problem

See `search` for how far the optimum is looked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from ds01_jupyter.core.gpu.slots import SlotInfo
from ds01_jupyter.core.reservations.promises import Asker, Occupant, Promise, Situation
from ds01_jupyter.core.reservations.search import Option, Task, assign


class How(Enum):
    """In what way a slot can be kept; `value` is its cost (that of `EVICT` without the leases)."""

    MINE = 0
    FREE = 10
    ENDS = 20
    LATER = 25
    """Free and asked for now; the promise is not protected yet."""
    ASKED = 30
    """Free and asked for now, by somebody else than the holder."""
    OWN = 100
    EVICT = 1_000
    CANNOT = 10**15
    """It cannot be given as things are; better than none, since that may change."""


LEASE_COST = 10_000
TOLD_BONUS = 4_000
"""Less than half of a lease: two that were told do not go in place of one that was not."""
PRIORITY_COST = 10
MAX_PRIORITY = 100
SENIORITY = 10**7
"""More than all that a promise can ask of others: who was promised first is not put off to spare
somebody something."""
NONE_AT_ALL = How.CANNOT.value + SENIORITY // 2


@dataclass(frozen=True)
class Kept:
    """A slot for a promise from `start` (now, when that has passed) to `end`; `leaving` are the
    leases that have to be ended for it at its start."""

    slot: SlotInfo
    start: datetime
    end: datetime
    how: How
    leaving: tuple[Occupant, ...] = ()


@dataclass(frozen=True)
class Keeping:
    """The slots of every promise, by its number; fewer than promised where it cannot be kept."""

    kept: Mapping[int, tuple[Kept, ...]]

    def of(self, promise: Promise) -> tuple[Kept, ...]:
        """The slots of one promise, in the order of their names."""
        return self.kept.get(promise.id, ())

    def failing(self, promise: Promise) -> int:
        """How many of its slots cannot be had as things are."""
        return promise.count - sum(each.how is not How.CANNOT for each in self.of(promise))


def keep(situation: Situation, asker: Asker | None = None) -> Keeping:
    """Decide. With an `asker`, the slots that are asked for count as taken by that person, unless
    a promise needs them: `How.ASKED` then says which."""
    work = _Work(situation, asker)
    chosen = assign(work.tasks, work.prices, work.barred())
    kept: dict[int, list[Kept]] = {promise.id: [] for promise in situation.promises}
    for task, option in zip(work.tasks, chosen, strict=True):
        if option is not None:
            promise = work.promises[task.family]
            kept[promise.id].append(work.kept(promise, option))
    return Keeping({number: tuple(sorted(found, key=_by_name)) for number, found in kept.items()})


def _by_name(kept: Kept) -> tuple[int, int]:
    return kept.slot.order


class _Work:
    """The situation as tasks and places."""

    def __init__(self, situation: Situation, asker: Asker | None) -> None:
        self._now = situation.now
        self._situation = situation
        self._asker = asker
        self._places = list(situation.slots)
        self._index = {slot.uuid: number for number, slot in enumerate(self._places)}
        self._barring = [
            tuple(each for each in situation.occupants if each.bars(slot)) for slot in self._places
        ]
        self._hows: dict[tuple[int, int], How] = {}
        self.prices = _prices(situation.occupants)
        # When not everybody's promise can be kept, those that were made first are.
        ids = sorted((promise.id for promise in situation.promises), reverse=True)
        self._seniority = {number: rank for rank, number in enumerate(ids)}
        fitting = {each.id: each.fitting(self._places) for each in situation.promises}
        self.promises = sorted(
            situation.promises,
            key=lambda each: (each.kind != "slot", len(fitting[each.id]), each.start, each.id),
        )
        self.tasks = list(self._tasks(fitting))

    def _tasks(self, fitting: Mapping[int, Sequence[SlotInfo]]) -> Iterator[Task]:
        for family, promise in enumerate(self.promises):
            options = sorted(
                (self._option(family, promise, slot) for slot in fitting[promise.id]),
                key=self._rank,
            )
            begin = max(promise.start, self._now).timestamp()
            end = max(promise.end.timestamp(), begin)
            penalty = NONE_AT_ALL + SENIORITY * self._seniority[promise.id]
            yield from [Task(family, begin, end, options, penalty)] * promise.count

    def _rank(self, option: Option) -> tuple[int, tuple[int, int]]:
        price = option.cost + sum(self.prices[claim] for claim in option.leave)
        return price, self._places[option.place].order

    def _option(self, family: int, promise: Promise, slot: SlotInfo) -> Option:
        place = self._index[slot.uuid]
        how, leaving = self._how(promise, slot, self._barring[place])
        self._hows[family, place] = how
        senior = SENIORITY * self._seniority[promise.id] if how is How.CANNOT else 0
        leave = frozenset(each.claim_id for each in leaving)
        return Option(place, how.value + senior, leave)

    def _how(
        self, promise: Promise, slot: SlotInfo, barring: Sequence[Occupant]
    ) -> tuple[How, tuple[Occupant, ...]]:
        """In what way a slot could be kept, and whose leases would have to be ended for it."""
        begin = max(promise.start, self._now)
        mine = [each for each in barring if promise.for_person(each.uid, each.group)]
        if (
            barring
            and len(mine) == len(barring)
            and all(_made_since(each, promise) for each in mine)
        ):
            return How.MINE, ()
        if slot.gpu_uuid in self._situation.cordoned or slot.uuid in self._situation.foreign:
            return How.CANNOT, ()
        if not barring:
            return self._how_free(promise, slot, begin), ()
        staying = [each for each in barring if each.ends is None or each.ends > begin]
        if not staying:
            return How.ENDS, ()
        leaving = tuple(each for each in staying if each not in mine)
        if any(each.uid < 0 for each in leaving):
            return How.CANNOT, ()  # an admin changes the layout, and has seen the promise
        return (How.EVICT, leaving) if leaving else (How.OWN, ())

    def _how_free(self, promise: Promise, slot: SlotInfo, begin: datetime) -> How:
        asker = self._asker
        if asker is None or slot.uuid not in asker.wanted:
            return How.FREE
        if promise.for_person(asker.uid, asker.group):
            return How.FREE
        if asker.until is not None and asker.until <= begin:
            return How.ENDS
        return How.ASKED if promise.protected_from <= self._now else How.LATER

    def barred(self) -> dict[int, list[int]]:
        """Places that exclude each other: a whole GPU and its parts."""
        found: dict[int, list[int]] = {}
        by_gpu: dict[str, list[int]] = {}
        for number, slot in enumerate(self._places):
            by_gpu.setdefault(slot.gpu_uuid, []).append(number)
        for numbers in by_gpu.values():
            whole = [each for each in numbers if self._places[each].kind == "gpu"]
            if whole and len(numbers) > 1:
                parts = [each for each in numbers if each not in whole]
                found.update(dict.fromkeys(whole, parts))
                found.update(dict.fromkeys(parts, whole))
        return found

    def kept(self, promise: Promise, option: Option) -> Kept:
        """An option in the words of those who asked."""
        family = self.promises.index(promise)
        leaving = tuple(
            each for each in self._barring[option.place] if each.claim_id in option.leave
        )
        return Kept(
            self._places[option.place],
            max(promise.start, self._now),
            promise.end,
            self._hows[family, option.place],
            leaving,
        )


def _prices(occupants: Sequence[Occupant]) -> dict[str, int]:
    """The cost of ending each claim."""
    claims: dict[str, Occupant] = {}
    for each in occupants:
        claims.setdefault(each.claim_id, each)
    youngest_first = sorted(claims.values(), key=lambda each: each.created, reverse=True)
    return {
        each.claim_id: LEASE_COST
        - TOLD_BONUS * each.told
        + PRIORITY_COST * max(0, min(each.priority, MAX_PRIORITY))
        + (PRIORITY_COST - 1) * rank // len(claims)
        for rank, each in enumerate(youngest_first)
    }


def _made_since(lease: Occupant, promise: Promise) -> bool:
    """Whether a lease of the holder's was made since the promise began."""
    if promise.first_lease is not None:
        return lease.lease_id > promise.first_lease
    return lease.created >= promise.start
