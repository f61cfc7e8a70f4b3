"""Who gets what now: order, quotas, slots that are kept, and short jobs that may go first."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ds01_jupyter.core.fences import Fenced
from ds01_jupyter.core.gpu.quota import exact
from ds01_jupyter.core.gpu.slots import SlotInfo
from ds01_jupyter.core.waiting.assign import Waiter, assign
from tests.unit.waiting_kit import HOUR, NOON, names, scene, slot, waiter

SEVEN = [slot(f"0:{index}") for index in range(7)]
MIXED = [slot("0:0", "3g"), slot("0:1", "2g"), slot("0:2"), slot("0:3")]
HOLDER = waiter(99, uid=99)


def given_to(found: object, key: int) -> list[str]:
    return names(found.given.get(key, ()))  # type: ignore[attr-defined]


def test_in_order_everybody_takes_what_is_left() -> None:
    found = assign(scene(MIXED), [waiter(1, "1g.5gb", 2), waiter(2), waiter(3), waiter(4)])
    assert [given_to(found, key) for key in (1, 2, 3, 4)] == [["0:2", "0:3"], ["0:1"], ["0:0"], []]
    assert found.left == ()


def test_who_asks_for_something_else_is_not_delayed() -> None:
    found = assign(scene(MIXED, {"0:0": HOLDER}), [waiter(1, "3g.20gb"), waiter(2, "1g.5gb")])
    assert (given_to(found, 1), given_to(found, 2)) == ([], ["0:2"])


def test_no_whole_gpu_beside_its_instances() -> None:
    here = [slot("0", "whole"), slot("1", "whole")]
    found = assign(scene(here), [waiter(1, "whole"), waiter(2, "whole"), waiter(3, "any")])
    assert [given_to(found, key) for key in (1, 2, 3)] == [["0"], ["1"], []]


# ---- limits of one's own -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("limit", "value"),
    [("max_mig_instances", 1), ("max_containers", 1), ("max_gpu_equivalents", 0.2)],
)
def test_each_place_of_a_person_uses_up_the_limits(limit: str, value: float) -> None:
    mine = [waiter(key, "1g.5gb", uid=7, **{limit: value}) for key in (1, 2)]
    found = assign(scene(SEVEN), [*mine, waiter(3, "1g.5gb")])
    assert [given_to(found, key) for key in (1, 2, 3)] == [["0:0"], [], ["0:1"]]
    assert found.held[2].details["key"] == limit


def test_who_is_held_back_by_a_limit_keeps_nothing_from_others() -> None:
    busy = {each.slot: HOLDER for each in SEVEN[:5]}
    held = waiter(1, "1g.5gb", 3, max_mig_instances=2)
    found = assign(scene(SEVEN, busy), [held, waiter(2, "1g.5gb", 2)])
    assert given_to(found, 2) == ["0:5", "0:6"]
    assert (found.blocked, found.kept) == (None, frozenset())


def test_what_is_not_there_keeps_nothing_from_others() -> None:
    found = assign(scene(SEVEN), [waiter(1, "1g.5gb", 9), waiter(2, "4g.20gb"), waiter(3)])
    assert found.absent == {1, 2}
    assert found.blocked is None
    assert given_to(found, 3) == ["0:0"]


def test_whole_gpus_are_not_for_everybody() -> None:
    here = [slot("0", "whole"), slot("1:0")]
    found = assign(scene(here), [waiter(1, "whole", allow_full_gpu=False), waiter(2, "whole")])
    assert found.held[1].details["key"] == "allow_full_gpu"
    assert given_to(found, 2) == ["0"]


# ---- several slots -----------------------------------------------------------------------------


def test_free_slots_are_kept_for_the_first_who_wants_several() -> None:
    busy = {each.slot: HOLDER for each in SEVEN[:5]}
    found = assign(scene(SEVEN, busy), [waiter(1, "1g.5gb", 3), waiter(2, "1g.5gb")])
    assert found.blocked is not None
    assert (found.blocked.key, len(found.kept)) == (1, 2)
    assert given_to(found, 2) == []
    assert names(found.left) == ["0:5", "0:6"]
    assert found.open_to(None) == ()


def test_they_are_kept_for_one_only_and_of_what_does() -> None:
    here = [*MIXED, slot("1:0", "3g"), slot("1:1", "3g")]
    busy = dict.fromkeys(("0:0", "0:2", "1:0"), HOLDER)
    found = assign(
        scene(here, busy),
        [waiter(1, "1g.5gb", 2), waiter(2, "3g.20gb", 2), waiter(3, "2g.10gb"), waiter(4)],
    )
    assert found.kept == {"uuid-0:3"}
    assert given_to(found, 3) == ["0:1"]
    assert given_to(found, 4) == ["1:1"]


def test_who_is_back_in_time_may_have_them_meanwhile() -> None:
    busy = {each.slot: HOLDER for each in SEVEN[:5]}
    ends = {each.uuid: NOON + number * HOUR for number, each in enumerate(SEVEN[:5], 3)}
    machine = scene(SEVEN, busy, ends=lambda: ends)
    short, long = waiter(2, "1g.5gb", hours=3), waiter(3, "1g.5gb", hours=3.01)
    found = assign(machine, [waiter(1, "1g.5gb", 3), long, short])
    assert found.start == NOON + 3 * HOUR
    assert (given_to(found, 2), given_to(found, 3)) == (["0:5"], [])
    assert names(found.open_to(NOON + 3 * HOUR)) == ["0:6"]
    assert found.open_to(NOON + 4 * HOUR) == ()


def test_nobody_goes_first_where_nobody_can_say_until_when() -> None:
    busy = {each.slot: HOLDER for each in SEVEN[:6]}
    ends = {each.uuid: None for each in SEVEN[:5]} | {"uuid-0:5": NOON + HOUR}
    machine = scene(SEVEN, busy, ends=lambda: ends)
    found = assign(machine, [waiter(1, "1g.5gb", 3), waiter(2, "1g.5gb", hours=0.1)])
    assert (found.start, given_to(found, 2)) == (None, [])


def test_what_those_before_take_counts_with_their_own_time() -> None:
    busy = {each.slot: HOLDER for each in SEVEN[:5]}
    machine = scene(SEVEN, busy, ends=dict)
    found = assign(machine, [waiter(1, "1g.5gb", hours=2), waiter(2, "1g.5gb", 2)])
    assert given_to(found, 1) == ["0:5"]
    assert (found.kept, found.start) == ({"uuid-0:6"}, NOON + 2 * HOUR)


def test_a_quota_is_not_gathered_beyond() -> None:
    """2 x any with 3/7 left: a 2g and a 1g do, two 2g never."""
    here = [slot("0:0", "2g"), slot("0:1", "2g"), slot("0:2")]
    asker = waiter(1, "any", 2, max_gpu_equivalents=3 / 7)
    found = assign(scene(here, {"0:2": HOLDER}), [asker])
    assert given_to(found, 1) == []
    assert found.kept == {"uuid-0:0"}
    assert given_to(assign(scene(here), [asker]), 1) == ["0:0", "0:2"]


# ---- what is promised --------------------------------------------------------------------------


def test_what_is_reserved_goes_by_person() -> None:
    def allows(who: Waiter, free: Sequence[SlotInfo], _: object) -> Fenced:
        return Fenced(tuple(free if who.uid == 7 else free[1:]))

    places = [waiter(1, "1g.5gb", 7), waiter(2, "1g.5gb", uid=7)]
    found = assign(scene(SEVEN, allows=allows), places)
    assert len(found.kept) == 6
    assert given_to(found, 2) == ["0:0"]


def test_what_is_given_reluctantly_is_given_last() -> None:
    def allows(_: Waiter, free: Sequence[SlotInfo], __: object) -> Fenced:
        return Fenced(tuple(free), frozenset({"uuid-0:0"}))

    found = assign(scene(SEVEN[:2], allows=allows), [waiter(1), waiter(2)])
    assert (given_to(found, 1), given_to(found, 2)) == (["0:1"], ["0:0"])


def test_a_slot_by_its_name_is_spared_where_another_does_as_well() -> None:
    wanted = waiter(0, "0:0").request
    found = assign(scene(SEVEN[:2]), [waiter(1)], wanted.matches)
    assert names(found.left) == ["0:0"]
    only_a_larger_one = [slot("0:0"), slot("0:1", "2g")]
    found = assign(scene(only_a_larger_one), [waiter(1)], wanted.matches)
    assert names(found.left) == ["0:1"], "who is first gets the smallest that does"


# ---- always ------------------------------------------------------------------------------------

KINDS = ("1g", "2g", "3g")
machines = st.lists(st.sampled_from(KINDS), min_size=1, max_size=8).map(
    lambda kinds: [slot(f"0:{index}", kind) for index, kind in enumerate(kinds)]
)
wishes = st.tuples(
    st.sampled_from(["any", "1g.5gb", "2g.10gb", "3g.20gb", "0:0", ">=10GB"]),
    st.integers(1, 3),
    st.integers(1, 3),
    st.sampled_from([None, 0.5, 1.0, 5.0]),
    st.sampled_from([None, 2 / 7, 3 / 7, 1.0]),
)


def people(drawn: list[tuple[str, int, int, float | None, float | None]]) -> list[Waiter]:
    return [
        waiter(
            key,
            gpu,
            1 if ":" in gpu else count,
            uid=uid,
            hours=hours,
            max_gpu_equivalents=quota,
            max_mig_instances=3,
        )
        for key, (gpu, count, uid, hours, quota) in enumerate(drawn, 1)
    ]


@settings(max_examples=200, deadline=None)
@given(machines, st.lists(wishes, max_size=6), st.data())
def test_nothing_is_given_twice_no_quota_is_exceeded_and_nobody_is_overtaken(
    here: list[SlotInfo],
    drawn: list[tuple[str, int, int, float | None, float | None]],
    data: st.DataObject,
) -> None:
    busy = {
        each.slot: HOLDER for each in here if data.draw(st.booleans(), label=f"busy {each.slot}")
    }
    ends = {
        each.uuid: data.draw(st.sampled_from([None, NOON + HOUR, NOON + 9 * HOUR]))
        for each in here
        if each.slot in busy
    }
    waiting = people(drawn)
    machine = scene(here, busy, ends=lambda: ends)
    found = assign(machine, waiting)
    taken = [each.uuid for chosen in found.given.values() for each in chosen]
    assert len(taken) == len(set(taken))
    assert set(taken) | {each.uuid for each in found.left} == {each.uuid for each in machine.free}
    for who in waiting:
        chosen = found.given.get(who.key, ())
        assert len(chosen) in (0, who.request.count)
        assert all(who.request.matches(each) for each in chosen)
    by_person: dict[int, Fraction] = {}
    count: dict[int, int] = {}
    for who in waiting:
        for each in found.given.get(who.key, ()):
            by_person[who.uid] = by_person.get(who.uid, Fraction(0)) + exact(each.share)
            count[who.uid] = count.get(who.uid, 0) + 1
        quota = who.limits.values.max_gpu_equivalents
        if found.given.get(who.key) and quota is not None:
            assert by_person[who.uid] <= exact(quota)
    assert all(number <= 3 for number in count.values())
    for place, who in enumerate(waiting):
        # Those behind change nothing for those before, but that is all they could ever change.
        alone = assign(machine, waiting[: place + 1])
        assert alone.given.get(who.key, ()) == found.given.get(who.key, ())
        if found.blocked is not None and found.blocked.key < who.key:
            until = who.until(NOON)
            early = until is not None and found.start is not None and until <= found.start
            assert early or not {each.uuid for each in found.given.get(who.key, ())} & found.kept


def test_a_gap_of_hours_is_not_a_rounding() -> None:
    assert waiter(1, hours=2).until(NOON) == NOON + timedelta(hours=2)
    assert waiter(1).until(NOON) is None
