"""The choice of a place: what it keeps free, and that it never gives what is taken."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ds01_jupyter.core.gpu.fragmentation import (
    PRIOR_REQUESTS,
    Instance,
    Placement,
    Wanted,
    choose_instance,
    choose_placement,
    demand_from_history,
    expected_served,
)
from ds01_jupyter.core.gpu.geometry import (
    A30,
    NO_MIG,
    SEVEN_SLICES,
    SEVEN_SLICES_ALL,
    GpuState,
    Placed,
)
from ds01_jupyter.core.gpu.slots import WHOLE

UNIFORM = {"1g.5gb": 1.0, "2g.10gb": 1.0, "3g.20gb": 1.0, "4g.20gb": 1.0, "7g.40gb": 1.0}
GIB = 1 << 30


def gpu(name: str, *placed: tuple[str, int]) -> GpuState:
    return GpuState(name, SEVEN_SLICES, tuple(Placed(*item) for item in placed))


def where(place: Placement | None) -> tuple[str, str, int] | None:
    return None if place is None else (place.gpu, place.profile, place.start)


def fill(states: list[GpuState], *wanted: str) -> list[tuple[str, str, int] | None]:
    """Place one after the other; the places."""
    found = []
    for name in wanted:
        place = choose_placement(states, name, UNIFORM)
        found.append(where(place))
        if place is not None:
            states = [
                state.with_instance(place.profile, place.start) if state.gpu == place.gpu else state
                for state in states
            ]
    return found


# ---- MIG that is made on demand ----------------------------------------------------------------


def test_empty_gpus_stay_empty() -> None:
    places = fill([gpu(name) for name in "abcd"], *["1g.5gb"] * 7)
    assert {place[0] for place in places if place} == {"a"}
    assert len(set(places)) == 7


def test_3g_goes_where_4g_still_fits() -> None:
    assert fill([gpu("a")], "3g.20gb", "4g.20gb") == [("a", "3g.20gb", 4), ("a", "4g.20gb", 0)]


def test_small_ones_leave_room_for_large_ones() -> None:
    places = fill([gpu("a")], "1g.5gb", "1g.5gb", "4g.20gb", "1g.5gb")
    assert [place and place[2] for place in places] == [6, 4, 0, 5]


def test_the_gpu_that_loses_least_is_taken() -> None:
    """Slice 6 of `b` is of no use to anything but 1g; on `a` a 1g would break a 2g."""
    broken = gpu("a", ("3g.20gb", 4), ("2g.10gb", 0))
    odd = gpu("b", ("4g.20gb", 0), ("2g.10gb", 4))
    assert fill([broken, odd], "1g.5gb") == [("b", "1g.5gb", 6)]


def test_the_last_room_for_what_is_asked_for_is_kept() -> None:
    """A 1g takes the room for 2g on `a`, or that for 3g on `b`: what nobody asks for goes."""
    states = [gpu("a", ("4g.20gb", 0), ("1g.5gb", 6)), gpu("b", ("4g.20gb", 0))]
    found = [
        where(choose_placement(states, "1g.5gb", {asked: 1.0})) for asked in ("2g.10gb", "3g.20gb")
    ]
    assert found == [("b", "1g.5gb", 6), ("a", "1g.5gb", 4)]


def test_one_of_many_is_missed_less_than_the_last() -> None:
    """Room for 2g is left in plenty elsewhere: now the last room for 3g is worth more, although
    2g is asked for more often."""
    demand = {"2g.10gb": 12.0, "3g.20gb": 1.0, "7g.40gb": 20.0}
    states = [gpu("a", ("4g.20gb", 0), ("1g.5gb", 6)), gpu("b", ("4g.20gb", 0))]
    plenty = [
        gpu(name, ("1g.5gb", 0), ("1g.5gb", 3), ("1g.5gb", 6)) for name in ("c", "d", "e", "f")
    ]
    only = {"a", "b"}
    scarce = choose_placement(states, "1g.5gb", demand, only=only)
    spared = choose_placement([*states, *plenty], "1g.5gb", demand, only=only)
    assert (where(scarce), where(spared)) == (("b", "1g.5gb", 6), ("a", "1g.5gb", 4))


def test_without_demand_a_gpu_in_use_then_the_first_then_the_lowest_start() -> None:
    states = [gpu("a"), gpu("b", ("1g.5gb", 0)), gpu("c", ("3g.20gb", 4))]
    assert where(choose_placement(states, "1g.5gb", {})) == ("b", "1g.5gb", 1)
    assert where(choose_placement(states, "1g.5gb", {"1g.5gb": 0.0})) == ("b", "1g.5gb", 1)
    assert where(choose_placement([gpu("a"), gpu("b")], "2g.10gb", {})) == ("a", "2g.10gb", 0)


def test_only_the_gpus_that_may_be_chosen_are() -> None:
    states = [gpu("a"), gpu("b", ("2g.10gb", 0)), gpu("c")]
    place = choose_placement(states, "1g.5gb", UNIFORM, only={"c"})
    assert place is not None
    assert place.gpu == "c"
    assert choose_placement(states, "1g.5gb", UNIFORM, only=()) is None


def test_what_fits_nowhere_is_not_placed() -> None:
    assert choose_placement([], "1g.5gb", UNIFORM) is None
    assert choose_placement([gpu("a", ("1g.5gb", 0))], "7g.40gb", UNIFORM) is None
    assert choose_placement([gpu("a")], "1g.6gb", UNIFORM) is None
    assert choose_placement([GpuState("a", SEVEN_SLICES, closed=True)], "1g.5gb", {}) is None


def test_a_whole_gpu_is_one_without_mig_and_else_an_empty_one() -> None:
    demand = {**UNIFORM, WHOLE: 1.0}
    plain = GpuState("p", NO_MIG)
    taken = GpuState("t", NO_MIG, (Placed(WHOLE, 0),))
    part = gpu("m", ("1g.5gb", 0))
    assert where(choose_placement([gpu("e"), plain], WHOLE, demand)) == ("p", WHOLE, 0)
    assert where(choose_placement([taken, part, gpu("e")], WHOLE, demand)) == ("e", "7g.40gb", 0)
    assert choose_placement([taken, part], WHOLE, demand) is None
    assert choose_placement([plain], "1g.5gb", demand) is None


def test_gpus_of_other_kinds_are_counted_by_the_names_of_their_profiles() -> None:
    states = [GpuState("a30", A30), GpuState("a100", SEVEN_SLICES_ALL)]
    demand = {"1g.6gb": 1.0, "1g.5gb": 1.0}
    assert where(choose_placement(states, "4g.24gb", demand)) == ("a30", "4g.24gb", 0)
    place = choose_placement(states, "1g.5gb+me", demand)
    assert place is not None
    assert place.gpu == "a100"


NAMES = [item.name for item in (*SEVEN_SLICES_ALL.profiles, *A30.profiles)] + [WHOLE]
FLEETS = st.lists(
    st.sampled_from([SEVEN_SLICES, SEVEN_SLICES_ALL, A30, NO_MIG]), min_size=1, max_size=5
)
STEPS = st.lists(st.one_of(st.sampled_from(NAMES), st.integers(0, 30)), min_size=1, max_size=40)
DEMANDS = st.dictionaries(st.sampled_from(NAMES), st.floats(0, 1000), max_size=6)


@settings(max_examples=200, deadline=None)
@given(fleet=FLEETS, steps=STEPS, demand=DEMANDS)
def test_whatever_comes_and_goes_nothing_overlaps(
    fleet: list, steps: list, demand: dict[str, float]
) -> None:
    """A name asks for an instance, a number takes one away."""
    states = [GpuState(str(index), geometry) for index, geometry in enumerate(fleet)]
    for step in steps:
        if isinstance(step, int):
            index = step % len(states)
            old = states[index]
            states[index] = GpuState(old.gpu, old.geometry, old.placed[1:])
            continue
        place = choose_placement(states, step, demand)
        assert place == choose_placement(list(states), step, dict(demand))
        if place is None:
            assert not any(state.starts(step) for state in states)
            if step == WHOLE:
                assert all(state.placed for state in states)
            continue
        assert place.profile == step or (step == WHOLE and place.profile[0] in "47")
        assert place.loss >= 0
        index = int(place.gpu)
        # Refused by the geometry where it would overlap or be one too many.
        states[index] = states[index].with_instance(place.profile, place.start)
        assert 0 < states[index].mask <= states[index].geometry.full


# ---- fixed layouts -----------------------------------------------------------------------------


def instance(name: str, gpu_name: str, profile: str, memory: int | None) -> Instance:
    share = 1.0 if profile == WHOLE else int(profile[0]) / 7
    return Instance(name, gpu_name, profile, share, None if memory is None else memory * GIB)


FREE = [
    instance("whole", "c", WHOLE, 40),
    instance("big", "a", "3g.20gb", 20),
    instance("mid", "a", "2g.10gb", 10),
    instance("media", "b", "1g.5gb+me", 5),
    instance("small", "b", "1g.5gb", 5),
]


@pytest.mark.parametrize(
    ("wanted", "given_out"),
    [
        (Wanted(), "small"),
        (Wanted("2g.10gb"), "mid"),
        (Wanted("4g.20gb"), None),
        (Wanted("4g.20gb", share=4 / 7), "whole"),
        (Wanted("1g.5gb+me"), "media"),
        (Wanted(WHOLE), "whole"),
        (Wanted(memory=6 * GIB), "mid"),
        (Wanted(memory=10 * GIB, share=3 / 7), "big"),
        (Wanted(memory=80 * GIB), None),
        (Wanted("3g.20gb", memory=1 * GIB), "big"),
        (Wanted("1g.5gb", memory=6 * GIB), "mid"),
    ],
)
def test_the_instance_with_the_least_excess_is_given(wanted: Wanted, given_out: str | None) -> None:
    for order in (FREE, FREE[::-1]):
        found = choose_instance(order, wanted, UNIFORM)
        assert (None if found is None else found.uuid) == given_out


def test_of_equal_size_the_one_that_is_less_missed_is_given() -> None:
    same = [instance("x", "a", "3g.20gb", 20), instance("y", "b", "4g.20gb", 20)]
    same = [Instance(item.uuid, item.gpu, item.profile, 0.5, item.memory) for item in same]
    wanted = Wanted(memory=20 * GIB)
    for asked, given_out in (("3g.20gb", "y"), ("4g.20gb", "x")):
        found = choose_instance(same, wanted, {asked: 1.0})
        assert found is not None
        assert found.uuid == given_out


def test_of_equal_instances_the_one_on_the_fullest_gpu_then_the_first_is_given() -> None:
    free = [
        instance("1", "a", "1g.5gb", 5),
        instance("2", "a", "1g.5gb", 5),
        instance("3", "b", "1g.5gb", 5),
        instance("4", "c", "1g.5gb", 5),
    ]
    found = choose_instance(free, Wanted("1g.5gb"), UNIFORM)
    assert found is free[2]


def test_unknown_memory_is_not_enough_and_is_taken_last() -> None:
    free = [instance("?", "a", "1g.5gb", None), instance("5", "b", "1g.5gb", 5)]
    found = choose_instance(free, Wanted("1g.5gb"), {})
    assert found is free[1]
    assert choose_instance(free[:1], Wanted(memory=1), {}) is None
    assert choose_instance(free[:1], Wanted(), {}) is free[0]
    assert choose_instance([], Wanted(), {}) is None


# ---- demand ------------------------------------------------------------------------------------


def test_demand_starts_alike_and_old_requests_fade() -> None:
    day = 86400.0
    history = [("1g.5gb", 0.0), ("1g.5gb", 14 * day), ("2g.10gb", -5.0), ("of old", 0.0)]
    weights = demand_from_history(history, ["1g.5gb", "2g.10gb"])
    assert weights == {
        "1g.5gb": pytest.approx(PRIOR_REQUESTS / 2 + 1.5),
        "2g.10gb": pytest.approx(PRIOR_REQUESTS / 2 + 1.0),
    }
    assert demand_from_history([("1g.5gb", 0.0)], []) == {}
    with pytest.raises(ValueError, match="half-life"):
        demand_from_history([], ["1g.5gb"], half_life=0)


@pytest.mark.parametrize("mean", [0.0, 0.3, 4.0, 900.0])
def test_expected_served_is_the_expectation(mean: float) -> None:
    served = expected_served(mean, 30)
    assert len(served) == 31
    for room in (0, 1, 5, 30):
        below = [
            math.exp(number * math.log(mean) - mean - math.lgamma(number + 1))
            if mean
            else float(number == 0)
            for number in range(room)
        ]
        exact = sum(number * p for number, p in enumerate(below)) + room * (1 - sum(below))
        assert served[room] == pytest.approx(exact, abs=1e-9)
