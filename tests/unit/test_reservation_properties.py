"""Which slot is kept for which promise, against trying everything."""

from __future__ import annotations

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from ds01_jupyter.core.gpu.slots import WHOLE, SlotInfo
from ds01_jupyter.core.reservations.keeping import How, keep
from ds01_jupyter.core.reservations.promises import Asker, Promise, Situation
from tests.unit.promise_words import (
    ANNA,
    BEN,
    CARL,
    DORA,
    NOON,
    at,
    lease,
    look,
    mig,
    promise,
    whole,
)

SLOTS = [mig(0, 0), mig(0, 1), mig(1, 0, "3g.20gb"), mig(1, 1, "3g.20gb"), whole(2)]


@st.composite
def situations(draw: st.DrawFn) -> Situation:
    """A small machine with a few promises and leases."""
    slots = draw(st.lists(st.sampled_from(SLOTS), min_size=1, max_size=5, unique=True))
    promises = []
    for number in range(draw(st.integers(1, 5))):
        start = draw(st.integers(-3, 8))
        end = draw(st.integers(max(start, 0) + 1, 10))
        slot = draw(st.one_of(st.none(), st.sampled_from(slots)))
        profile = draw(st.sampled_from(["1g.5gb", "3g.20gb", WHOLE]))
        promises.append(
            promise(
                number + 1,
                start,
                end,
                slot=slot,
                profile=profile,
                count=1 if slot else draw(st.integers(1, 2)),
                uid=draw(st.sampled_from([ANNA, BEN])),
            )
        )
    occupants = []
    for number, slot in enumerate(slots):
        if draw(st.booleans()):
            occupants.append(
                lease(
                    slot,
                    draw(st.sampled_from([ANNA, BEN, CARL])),
                    draw(st.one_of(st.none(), st.integers(0, 10))),
                    priority=draw(st.integers(0, 3)),
                    age=draw(st.integers(0, 5)),
                    told=draw(st.booleans()),
                    claim=draw(st.sampled_from(["", "shared"])) and f"shared-{number % 2}",
                )
            )
    free = [slot for slot in slots if not any(each.slot == slot for each in occupants)]
    foreign = [slot.uuid for slot in free if draw(st.integers(0, 5)) == 0]
    return look(slots, promises, *occupants, foreign=foreign)


def clash(one: tuple[Promise, SlotInfo], other: tuple[Promise, SlotInfo]) -> bool:
    """Whether two promises would have one slot at one time."""
    (first, slot), (second, place) = one, other
    return (
        slot.uuid == place.uuid
        and max(first.start, NOON) < second.end
        and max(second.start, NOON) < first.end
    )


def whole_assignment(situation: Situation) -> bool:
    """Whether every promise could be kept, by trying everything."""
    units = [each for each in situation.promises for _ in range(each.count)]
    choices = [
        [slot for slot in each.fitting(situation.slots) if slot.uuid not in situation.foreign]
        for each in units
    ]
    for chosen in itertools.product(*choices):
        pairs = list(zip(units, chosen, strict=True))
        if not any(clash(*two) for two in itertools.combinations(pairs, 2)):
            return True
    return False


@settings(max_examples=400, deadline=None)
@given(situations())
def test_no_slot_is_promised_twice_at_one_time(situation: Situation) -> None:
    keeping = keep(situation)
    pairs = [(each, kept.slot) for each in situation.promises for kept in keeping.of(each)]
    assert not [two for two in itertools.combinations(pairs, 2) if clash(*two)]
    for each in situation.promises:
        assert len(keeping.of(each)) <= each.count
        assert all(kept.slot in each.fitting(situation.slots) for kept in keeping.of(each))


@settings(max_examples=400, deadline=None)
@given(situations())
def test_what_can_be_kept_is_kept(situation: Situation) -> None:
    keeping = keep(situation)
    kept = not any(keeping.failing(each) for each in situation.promises)
    assert kept == whole_assignment(situation)


@settings(max_examples=300, deadline=None)
@given(situations())
def test_nobody_is_evicted_where_the_promises_can_be_kept_without(situation: Situation) -> None:
    """Leases that stay beyond a promise's start are as if they were foreign: if all can be kept
    even so, nobody leaves."""
    keeping = keep(situation)
    leaving = [each for kept in keeping.kept.values() for one in kept for each in one.leaving]
    if not leaving or any(keeping.failing(each) for each in situation.promises):
        return
    units = [each for each in situation.promises for _ in range(each.count)]

    def free_for(each: Promise, slot: SlotInfo) -> bool:
        begin = max(each.start, NOON)
        return slot.uuid not in situation.foreign and all(
            one.uid == each.uid or (one.ends is not None and one.ends <= begin)
            for one in situation.occupants
            if one.bars(slot)
        )

    choices = [
        [slot for slot in each.fitting(situation.slots) if free_for(each, slot)] for each in units
    ]
    for chosen in itertools.product(*choices):
        pairs = list(zip(units, chosen, strict=True))
        assert any(clash(*two) for two in itertools.combinations(pairs, 2))


@settings(max_examples=200, deadline=None)
@given(situations())
def test_the_holder_of_a_lease_is_never_evicted_for_their_own_promise(
    situation: Situation,
) -> None:
    for each in situation.promises:
        for kept in keep(situation).of(each):
            assert all(one.uid != each.uid for one in kept.leaving)


@settings(max_examples=300, deadline=None)
@given(situations(), st.data())
def test_whoever_is_given_what_is_left_breaks_no_promise(
    situation: Situation, data: st.DataObject
) -> None:
    """Any of the slots that a fence would give away may be taken, for any time: what could be kept
    before is kept afterwards, and nobody has to leave for it who had not to before."""
    taken = {each.slot.uuid for each in situation.occupants}
    free = [s for s in situation.slots if s.uuid not in taken | set(situation.foreign)]
    until = data.draw(st.one_of(st.none(), st.integers(1, 10)))
    asker = Asker(DORA, None, {s.uuid for s in free}, None if until is None else at(until))
    with_asker = keep(situation, asker)
    needed = {
        kept.slot.uuid
        for each in situation.promises
        for kept in with_asker.of(each)
        if kept.how is How.ASKED
    }
    left = [slot for slot in free if slot.uuid not in needed]
    given_away = data.draw(st.lists(st.sampled_from(left), unique=True)) if left else []
    after = look(
        situation.slots,
        situation.promises,
        *situation.occupants,
        *(lease(slot, DORA, until, claim="new") for slot in given_away),
        foreign=list(situation.foreign),
    )
    before, then = keep(situation), keep(after)
    for each in situation.promises:
        assert then.failing(each) <= before.failing(each) or before.failing(each)
    assert not any(
        one.claim_id == "new"
        for each in situation.promises
        if each.protected_from <= NOON
        for kept in then.of(each)
        for one in kept.leaving
    )
