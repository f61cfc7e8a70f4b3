"""Which slot is kept for which promise, rule by rule."""

from __future__ import annotations

import pytest

from ds01_jupyter.core.gpu.slots import WHOLE, SlotInfo
from ds01_jupyter.core.reservations.keeping import How, keep
from ds01_jupyter.core.reservations.promises import Asker, Occupant
from ds01_jupyter.core.reservations.search import Option, Task, _Search
from tests.unit.promise_words import (
    ANNA,
    BEN,
    CARL,
    SEVEN,
    at,
    hows,
    lease,
    look,
    mig,
    names,
    promise,
    whole,
)


def test_a_slot_serves_two_promises_one_after_the_other() -> None:
    slots = [mig(0, 0)]
    keeping = keep(look(slots, [promise(1, 1, 3), promise(2, 3, 5)]))
    assert names(keeping, 1) == names(keeping, 2) == ["0:0"]


def test_one_slot_for_the_whole_time() -> None:
    """Two slots that are each free for a half of it do not make one."""
    first, second = mig(0, 0), mig(0, 1)
    others = [promise(1, 1, 3, slot=first), promise(2, 3, 5, slot=second)]
    long = promise(3, 1, 5)
    keeping = keep(look([first, second], [*others, long]))
    assert keeping.failing(long) == 1
    assert not any(map(keeping.failing, others))


def test_named_slots_come_first() -> None:
    """The profile goes elsewhere, though it was promised before."""
    keeping = keep(look(SEVEN[:2], [promise(1, 1, 3), promise(2, 1, 3, slot=SEVEN[0])]))
    assert (names(keeping, 1), names(keeping, 2)) == (["0:1"], ["0:0"])


@pytest.mark.parametrize(
    ("occupants", "slot", "how"),
    [
        # free before one that ends in time
        ((lease(SEVEN[0], ends=1), lease(SEVEN[2])), "0:1", How.FREE),
        # one that ends in time before the holder's own
        ((lease(SEVEN[0], ANNA), lease(SEVEN[1], ends=1), lease(SEVEN[2])), "0:1", How.ENDS),
        # the holder's own before somebody else's
        ((lease(SEVEN[0], ends=1.5), lease(SEVEN[1]), lease(SEVEN[2], ANNA)), "0:2", How.OWN),
        # the lowest priority
        (
            (
                lease(SEVEN[0], priority=5),
                lease(SEVEN[1], priority=4),
                lease(SEVEN[2], priority=5),
            ),
            "0:1",
            How.EVICT,
        ),
        # the youngest
        (
            (lease(SEVEN[0], age=3), lease(SEVEN[1], age=2), lease(SEVEN[2], age=1)),
            "0:2",
            How.EVICT,
        ),
        # who was told first
        (
            (
                lease(SEVEN[0], priority=1, age=1),
                lease(SEVEN[1], priority=90, age=9, told=True),
                lease(SEVEN[2], priority=1, age=1),
            ),
            "0:1",
            How.EVICT,
        ),
    ],
)
def test_the_order_of_preference(occupants: tuple[Occupant, ...], slot: str, how: How) -> None:
    keeping = keep(look(SEVEN[:3], [promise(1, 1, 3)], *occupants))
    assert (names(keeping, 1), hows(keeping, 1)) == ([slot], [how])


def test_two_that_were_told_do_not_go_in_place_of_one_who_was_not() -> None:
    """A container with two slots goes as one."""
    three = [
        lease(SEVEN[0], claim="told-1", told=True),
        lease(SEVEN[1], claim="told-2", told=True),
        lease(SEVEN[2], claim="both"),
        lease(SEVEN[3], claim="both"),
    ]
    keeping = keep(look(SEVEN[:4], [promise(1, 1, 3, count=2)], *three))
    assert {one.claim_id for kept in keeping.kept[1] for one in kept.leaving} == {"both"}


def test_who_goes_for_one_makes_way_for_the_next_promise_too() -> None:
    occupants = [lease(SEVEN[0], priority=1), lease(SEVEN[1], priority=9)]
    keeping = keep(look(SEVEN[:2], [promise(1, 1, 3), promise(2, 3, 5, uid=CARL)], *occupants))
    assert names(keeping, 1) == names(keeping, 2) == ["0:0"]


def test_a_lease_made_since_it_began_counts_towards_it() -> None:
    """Whoever has taken what is reserved is not kept a second one."""
    begun = promise(1, -2, 3, first_lease=6)
    made_since = lease(SEVEN[0], ANNA, number=7, age=5)
    keeping = keep(look(SEVEN[:2], [begun], made_since))
    assert (names(keeping, 1), hows(keeping, 1)) == (["0:0"], [How.MINE])
    before = lease(SEVEN[0], ANNA, number=6)
    assert names(keep(look(SEVEN[:2], [begun], before)), 1) == ["0:1"]


def test_until_its_beginning_is_written_the_time_of_a_lease_decides() -> None:
    begun = promise(1, -2, 3)
    assert hows(keep(look(SEVEN[:2], [begun], lease(SEVEN[0], ANNA, age=1))), 1) == [How.MINE]
    assert hows(keep(look(SEVEN[:2], [begun], lease(SEVEN[0], ANNA, age=3))), 1) == [How.FREE]


def test_a_member_of_the_group_is_a_holder() -> None:
    ours = promise(1, 1, 3, group="vision")
    leases = [lease(SEVEN[0], BEN, group="vision"), lease(SEVEN[1], CARL, group="audio")]
    keeping = keep(look(SEVEN[:2], [ours], *leases))
    assert (names(keeping, 1), hows(keeping, 1)) == (["0:0"], [How.OWN])


def test_who_was_promised_first_keeps_it_when_a_slot_is_lost() -> None:
    older, newer = promise(1, 2, 4), promise(2, 1, 4)
    keeping = keep(look(SEVEN[:1], [newer, older]))
    assert (keeping.failing(older), keeping.failing(newer)) == (0, 1)


def test_a_slot_that_cannot_be_given_is_better_than_none_and_is_said() -> None:
    keeping = keep(look(SEVEN[:1], [promise(1, 1, 3)], cordoned=["GPU-0"]))
    assert hows(keeping, 1) == [How.CANNOT]
    assert keeping.failing(promise(1, 1, 3)) == 1


def test_the_older_promise_has_the_slot_that_can_be_given() -> None:
    ill, well = mig(0, 0), mig(1, 0)
    older, newer = promise(1, 1, 3), promise(2, 1, 3)
    keeping = keep(look([ill, well], [newer, older], cordoned=["GPU-0"]))
    assert (names(keeping, 1), names(keeping, 2)) == (["1:0"], ["0:0"])


def test_a_whole_gpu_and_its_instances_exclude_each_other() -> None:
    """A lease on the whole GPU, which was partitioned under it, bars its instances."""
    keeping = keep(look([mig(0, 0)], [promise(1, 1, 3)], lease(whole(0))))
    assert hows(keeping, 1) == [How.EVICT]
    both = [whole(0), mig(0, 0)]
    two = [promise(1, 1, 3, profile=WHOLE), promise(2, 1, 3)]
    assert sorted(map(keep(look(both, two)).failing, two)) == [0, 1]


def test_after_a_reboot_a_named_slot_is_the_one_of_its_name_and_profile() -> None:
    """MIG instances come back with other UUIDs."""
    wanted = promise(1, 1, 3, slot=mig(0, 1))
    again = SlotInfo("0:1", "MIG-new", "mig", "1g.5gb", 0, "GPU-0", 5, 1 / 7, 1)
    assert names(keep(look([mig(0, 0), again], [wanted])), 1) == ["0:1"]
    other = SlotInfo("0:1", "MIG-new", "mig", "2g.10gb", 0, "GPU-0", 5, 2 / 7, 1)
    assert keep(look([mig(0, 0), other], [wanted])).failing(wanted) == 1


def test_an_admins_change_of_the_layout_is_not_evicted() -> None:
    keeping = keep(look(SEVEN[:1], [promise(1, 1, 3)], lease(SEVEN[0], -1)))
    assert hows(keeping, 1) == [How.CANNOT]


@pytest.mark.parametrize(
    ("start", "until", "uid", "how"),
    [
        (5, None, BEN, How.ASKED),
        (5, 6, BEN, How.ASKED),
        (5, 5, BEN, How.ENDS),
        (30, None, BEN, How.LATER),
        (30, 30, BEN, How.ENDS),
        (5, None, ANNA, How.FREE),
    ],
)
def test_what_an_asker_may_have(start: float, until: float | None, uid: int, how: How) -> None:
    asker = Asker(uid, None, {SEVEN[0].uuid}, None if until is None else at(until))
    keeping = keep(look(SEVEN[:1], [promise(1, start, start + 2)]), asker)
    assert hows(keeping, 1) == [how]


def test_what_nobody_asks_for_is_kept_rather_than_what_is_asked_for() -> None:
    keeping = keep(look(SEVEN[:2], [promise(1, 1, 3)]), Asker(BEN, None, {SEVEN[0].uuid}))
    assert names(keeping, 1) == ["0:1"]


def test_fifty_promises_on_eight_gpus_are_kept() -> None:
    """Large enough that luck in the order of the search would not do."""
    slots = [mig(gpu, index) for gpu in range(8) for index in range(7)]
    promises = [
        promise(number, start, start + 4, count=8, uid=2000 + number)
        for number, start in enumerate((each for each in range(0, 28, 4) for _ in range(7)), 1)
    ]
    keeping = keep(look(slots, promises, *(lease(slot) for slot in slots[:30])))
    assert not any(map(keeping.failing, promises))
    used = {kept.slot.uuid for found in keeping.kept.values() for kept in found}
    assert len(used) == 56


def test_more_promises_than_a_search_can_weigh_are_kept_one_after_another() -> None:
    promises = [promise(n, 2 * n, 2 * n + 2, count=7, uid=2000 + n) for n in range(1, 200)]
    keeping = keep(look(SEVEN, promises))
    assert not any(map(keeping.failing, promises))
    assert len(names(keeping, 1)) == len(set(names(keeping, 1))) == 7


def test_places_that_are_alike_are_tried_once() -> None:
    """One more promise than there are slots: to see that it cannot be takes little looking."""
    options = [Option(place, 10) for place in range(56)]
    tasks = [Task(number, 0.0, 1.0, options, 10**6) for number in range(57)]
    search = _Search(tasks, {}, {}, 10_000)
    search.visit(0, 0, 0, 0)
    assert sum(option is None for option in search.best) == 1
    assert search.left > 0
