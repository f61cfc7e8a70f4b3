"""The geometry of MIG, against NVIDIA's published counts and a plain search."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ds01_jupyter.core.gpu.geometry import (
    A30,
    NO_MIG,
    SEVEN_SLICES,
    SEVEN_SLICES_ALL,
    GpuGeometry,
    GpuState,
    Placed,
    Profile,
    arrange,
    is_maximal,
    layouts,
)

SEVEN_SLICES_2X = GpuGeometry(
    tuple(item for item in SEVEN_SLICES_ALL.profiles if "+me" not in item.name), 8, 7
)
A30_PLAIN = GpuGeometry(tuple(item for item in A30.profiles if "+me" not in item.name), 4, 4)
ALL = [SEVEN_SLICES, SEVEN_SLICES_2X, SEVEN_SLICES_ALL, A30, A30_PLAIN, NO_MIG]
KINDS = pytest.mark.parametrize(
    "geometry", ALL, ids=["7", "7 and 1g of twice the memory", "7, all", "A30", "A30 plain", "none"]
)
LAYOUTS = {geometry: list(layouts(geometry)) for geometry in ALL}

MULTISETS = """
7x1g | 5x1g+1x2g | 4x1g+1x3g | 3x1g+2x2g | 3x1g+1x3g | 3x1g+1x4g | 2x1g+1x2g+1x3g | 1x1g+3x2g
| 1x1g+1x2g+1x3g | 1x1g+1x2g+1x4g | 2x2g+1x3g | 2x3g | 1x3g+1x4g | 1x7g
"""


def multiset(placed: tuple[Placed, ...]) -> str:
    count = Counter(item.profile.split(".")[0] for item in placed)
    return "+".join(f"{count[name]}x{name}" for name in sorted(count))


@pytest.mark.parametrize(
    ("geometry", "states", "maximal", "multisets"),
    [
        (SEVEN_SLICES, 298, 19, 14),
        (SEVEN_SLICES_2X, 723, 78, 38),
        (A30_PLAIN, 26, 5, 4),
        (NO_MIG, 2, 1, 1),
    ],
    ids=["7 slices", "7 slices, 1g of twice the memory", "A30", "no MIG"],
)
def test_there_are_as_many_layouts_as_nvidia_says(
    geometry: GpuGeometry, states: int, maximal: int, multisets: int
) -> None:
    found = LAYOUTS[geometry]
    full = [placed for placed in found if is_maximal(geometry, placed)]
    assert (len(found), len(set(found)), len(full)) == (states, states, maximal)
    assert len({tuple(sorted(item.profile for item in placed)) for placed in full}) == multisets


def test_the_fourteen_maximal_multisets_are_those_of_the_guide() -> None:
    found = {
        multiset(placed) for placed in LAYOUTS[SEVEN_SLICES] if is_maximal(SEVEN_SLICES, placed)
    }
    assert found == {item.strip() for item in MULTISETS.split("|")}
    assert len(found) == 14


@KINDS
def test_memory_slices_alone_decide_but_for_limited_profiles(geometry: GpuGeometry) -> None:
    """What makes the table by mask right: compute never is what stops an instance."""
    for placed in LAYOUTS[geometry]:
        state = GpuState("", geometry, placed)
        assert state.compute_used <= geometry.compute_slices
        for profile in geometry.profiles:
            free = geometry.starts_free(state.mask, profile)
            if state.count(profile.name) < profile.maximum:
                assert state.starts(profile.name) == free
            else:
                assert state.starts(profile.name) == ()


@KINDS
def test_room_is_what_a_search_finds(geometry: GpuGeometry) -> None:
    def search(state: GpuState, name: str) -> int:
        more = (search(state.with_instance(name, at), name) + 1 for at in state.starts(name))
        return max(more, default=0)

    for placed in LAYOUTS[geometry][::7]:
        state = GpuState("", geometry, placed)
        for profile in geometry.profiles:
            assert state.room(profile.name) == search(state, profile.name)


@KINDS
def test_an_empty_gpu_takes_as_many_as_nvidia_says(geometry: GpuGeometry) -> None:
    empty = GpuState("", geometry)
    most = {profile.name: profile.maximum for profile in geometry.profiles}
    assert {name: empty.room(name) for name in most} == most


@settings(max_examples=200, deadline=None)
@given(data=st.data(), geometry=st.sampled_from(ALL))
def test_no_way_of_adding_instances_makes_them_overlap(
    data: st.DataObject, geometry: GpuGeometry
) -> None:
    state = GpuState("", geometry)
    while True:
        places = [(item.name, at) for item in geometry.profiles for at in state.starts(item.name)]
        if not places:
            break
        before = state.mask
        name, start = data.draw(st.sampled_from(places))
        state = state.with_instance(name, start)
        span = geometry.by_name[name].mask(start)
        assert before & span == 0
        assert state.mask == before | span
    slices = sum(geometry.by_name[item.profile].memory_slices for item in state.placed)
    assert state.mask.bit_count() == slices <= geometry.memory_slices
    assert is_maximal(geometry, state.placed)


def test_the_profile_with_the_media_engines_is_there_once() -> None:
    state = GpuState("", SEVEN_SLICES_ALL, (Placed("1g.5gb+me", 0),))
    assert state.starts("1g.5gb+me") == ()
    assert state.room("1g.5gb+me") == 0
    assert state.starts("1g.5gb") == (1, 2, 3, 4, 5, 6)


def test_3g_at_0_strands_the_last_slice() -> None:
    low, high = (GpuState("", SEVEN_SLICES, (Placed("3g.20gb", start),)) for start in (0, 4))
    assert (low.room("1g.5gb"), high.room("1g.5gb")) == (3, 4)
    assert (low.room("4g.20gb"), high.room("4g.20gb")) == (0, 1)


def test_nothing_fits_on_a_closed_gpu_and_on_blocked_slices() -> None:
    assert GpuState("", SEVEN_SLICES, closed=True).starts("1g.5gb") == ()
    assert GpuState("", SEVEN_SLICES, closed=True).room("1g.5gb") == 0
    assert GpuState("", SEVEN_SLICES, blocked=0b11110000).starts("3g.20gb") == (0,)
    assert GpuState("", SEVEN_SLICES).starts("9g.90gb") == ()
    assert GpuState("", SEVEN_SLICES).room("9g.90gb") == 0


@pytest.mark.parametrize(
    ("placed", "problem"),
    [
        ((Placed("5g.1gb", 0),), "cannot be at 0"),
        ((Placed("2g.10gb", 1),), "cannot be at 1"),
        ((Placed("3g.20gb", 0), Placed("1g.5gb", 3)), "overlaps"),
        ((Placed("1g.5gb+me", 0), Placed("1g.5gb+me", 1)), "more than 1"),
    ],
)
def test_impossible_instances_are_refused(placed: tuple[Placed, ...], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        _ = GpuState("", SEVEN_SLICES_ALL, placed).mask


def test_too_much_compute_is_refused() -> None:
    geometry = GpuGeometry((Profile("a", 1, 2, (0, 1, 2), 3),), 3, 5)
    two = GpuState("", geometry, (Placed("a", 0), Placed("a", 1)))
    assert two.starts("a") == ()
    assert two.room("a") == 0
    assert GpuState("", geometry).room("a") == 2
    with pytest.raises(ValueError, match="compute slices"):
        geometry.occupied((*two.placed, Placed("a", 2)))


def test_contradictory_facts_are_refused() -> None:
    one = Profile("a", 1, 1, (0,), 1)
    with pytest.raises(ValueError, match="same name"):
        GpuGeometry((one, one), 4, 4)
    with pytest.raises(ValueError, match="beyond"):
        GpuGeometry((Profile("a", 4, 1, (1,), 1),), 4, 4)
    with pytest.raises(ValueError, match="positive"):
        Profile("a", 0, 1, (0,), 1)
    with pytest.raises(ValueError, match="starts"):
        Profile("a", 1, 1, (-1,), 1)
    with pytest.raises(ValueError, match="beyond"):
        _ = GpuState("", A30, blocked=0b10000).mask
    with pytest.raises(ValueError, match="does not fit"):
        GpuState("", A30).with_instance("2g.12gb", 1)


def test_the_whole_gpu_is_its_largest_profile() -> None:
    names = [None if item.whole is None else item.whole.name for item in (SEVEN_SLICES, A30)]
    assert names == ["7g.40gb", "4g.24gb"]
    same = GpuGeometry(SEVEN_SLICES_2X.profiles, 8, 7)
    assert same == SEVEN_SLICES_2X
    assert hash(SEVEN_SLICES_2X) == hash(same)


def test_a_set_that_the_driver_cannot_place_in_its_order_is_arranged() -> None:
    """`nvidia-smi mig -cgi 19,19,14,9` fails with "Insufficient Resources"."""
    wanted = ["1g.5gb", "1g.5gb", "2g.10gb", "3g.20gb"]
    found = arrange(GpuState("", SEVEN_SLICES), wanted)
    assert found is not None
    assert [item.profile for item in found] == wanted
    assert SEVEN_SLICES.occupied(found).bit_count() == 8


def test_every_set_that_can_be_is_arranged_and_no_other() -> None:
    can_be = {tuple(sorted(item.profile for item in placed)) for placed in LAYOUTS[SEVEN_SLICES]}
    for names in can_be:
        found = arrange(GpuState("", SEVEN_SLICES), names)
        assert found is not None
        assert tuple(item.profile for item in found) == names
        for more in SEVEN_SLICES.by_name:
            larger = tuple(sorted((*names, more)))
            assert (arrange(GpuState("", SEVEN_SLICES), larger) is None) == (larger not in can_be)


def test_a_set_is_arranged_beside_what_is_there() -> None:
    there = GpuState("", SEVEN_SLICES, (Placed("1g.5gb", 2),))
    assert arrange(there, ["3g.20gb", "1g.5gb"]) == (Placed("3g.20gb", 4), Placed("1g.5gb", 0))
    assert arrange(there, ["4g.20gb"]) is None
    assert arrange(there, ["unknown"]) is None
    assert arrange(there, []) == ()
