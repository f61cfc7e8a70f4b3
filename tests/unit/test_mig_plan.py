"""Plans: as little change as can be, nothing that is in use, and why something cannot be."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ds01_jupyter.core.errors import InvalidInput
from ds01_jupyter.core.gpu.geometry import (
    A30,
    SEVEN_SLICES_ALL,
    GpuGeometry,
    Placed,
    Profile,
    layouts,
)
from ds01_jupyter.core.gpu.mig_layout import parse_layout
from ds01_jupyter.core.gpu.mig_obstacles import Occupation
from ds01_jupyter.core.gpu.mig_plan import LayoutPlan, arrangements, plan_layout
from ds01_jupyter.core.gpu.mig_state import GpuInstance, MigDevice, MigGpu
from tests.unit.mig_desk import STATES, Layout, text

A100 = 0x20B010DE


def gpu(
    *there: tuple[str, int],
    index: int = 0,
    enabled: bool = True,
    pending: bool | None = None,
    capable: bool = True,
    geometry: GpuGeometry | None = SEVEN_SLICES_ALL,
    busy: Collection[int] = (),
    unfinished: Collection[int] = (),
    problem: str | None = None,
    exact: bool = True,
) -> MigGpu:
    """A GPU with whole instances; `busy` are the positions that have a process."""
    instances = tuple(
        GpuInstance(
            number,
            profile,
            start if exact else None,
            ()
            if number in unfinished
            else (
                MigDevice(
                    f"MIG-{index}-{number}",
                    f"{index}:{number}",
                    0,
                    profile,
                    geometry.by_name[profile].compute_slices if geometry else 1,
                    (4711,) if number in busy else (),
                ),
            ),
        )
        for number, (profile, start) in enumerate(there)
    )
    return MigGpu(
        index,
        f"GPU-{index}",
        "NVIDIA A100",
        A100,
        capable,
        enabled,
        enabled if pending is None else pending,
        geometry,
        instances,
        exact,
        problem,
    )


def plan(layout: str, *gpus: MigGpu, **foreign: str) -> LayoutPlan:
    label, entries = parse_layout(layout, "gpus.yaml").label(None)
    known = {name.replace("_", "-"): who for name, who in foreign.items()}
    return plan_layout(label, entries, gpus, Occupation((), known, lambda _: None, lambda _: "eve"))


def placed(layout: Layout) -> list[tuple[str, int]]:
    return [(item.profile, item.start) for item in layout]


states = st.integers(0, len(STATES) - 1).map(lambda number: STATES[number])


@settings(max_examples=300, deadline=None)
@given(there=states, goal=states, data=st.data())
def test_as_little_is_changed_as_can_be(there: Layout, goal: Layout, data: st.DataObject) -> None:
    """Against every way to place the goal: least in use destroyed, then least destroyed."""
    busy = data.draw(st.sets(st.sampled_from(range(max(len(there), 1)))))
    machine = gpu(*placed(there), busy=busy)
    wanted = Counter(item.profile for item in goal)
    found = plan(text(goal), machine)
    (one,) = found.gpus
    assert not one.problem
    assert SEVEN_SLICES_ALL.occupied(sorted(one.target)) >= 0  # raises where they overlap
    assert Counter(item.profile for item in one.target) == wanted
    assert {item.gi for item in (*one.keep, *one.destroy)} == set(range(len(there)))
    assert {item.placed for item in one.keep} == one.target & set(there)
    assert len(one.create) == len(one.target - set(there))

    def cost(target: Collection[Placed]) -> tuple[int, int]:
        gone = [number for number, item in enumerate(there) if item not in target]
        return len(busy.intersection(gone)), len(gone)

    best = min(cost(target) for target in arrangements(SEVEN_SLICES_ALL, wanted))
    assert cost(one.target) == best
    assert len(one.obstacles) == best[0]
    assert found.matches == (Counter(item.profile for item in there) == wanted)
    if found.matches:
        assert not one.destroy
        assert not one.create


@pytest.mark.parametrize("geometry", [SEVEN_SLICES_ALL, A30])
def test_every_arrangement_is_a_state_and_every_state_is_found(geometry: GpuGeometry) -> None:
    every = {frozenset(state) for state in layouts(geometry)}
    kinds = {tuple(sorted(Counter(item.profile for item in state).items())) for state in every}
    found = {frozenset(each) for kind in kinds for each in arrangements(geometry, dict(kind))}
    assert found == every


def test_order_does_not_matter_where_the_driver_would_run_into_it() -> None:
    """NVIDIA's Example 2: 1g, 1g, 2g, 3g one after the other do not fit; placed, they do."""
    found = plan(text({"1g.5gb": 2, "2g.10gb": 1, "3g.20gb": 1}), gpu())
    assert found.possible
    assert SEVEN_SLICES_ALL.occupied(sorted(found.gpus[0].target)).bit_count() == 8


@pytest.mark.parametrize(
    ("counts", "says"),
    [
        ({"1g.5gb": 8}, "8 x 1g.5gb is asked for, and a GPU has at most 7"),
        ({"1g.5gb+me": 2}, "2 x 1g.5gb+me is asked for, and a GPU has at most 1"),
        ({"4g.20gb": 1, "3g.20gb": 1, "1g.5gb": 1}, "8 compute slices, and a GPU has 7"),
        ({"3g.20gb": 2, "1g.5gb": 1}, "9 memory slices, and a GPU has 8"),
        ({"1g.10gb": 3, "1g.5gb": 3}, "9 memory slices"),
        ({"1c.3g.20gb": 3}, "only a part of an instance"),
    ],
)
def test_what_cannot_be_is_said_with_the_reason(counts: dict[str, int], says: str) -> None:
    found = plan(text(counts), gpu())
    assert says in found.gpus[0].problem
    assert not found.possible
    assert not found.gpus[0].destroy
    assert not found.gpus[0].create


def test_places_can_be_what_does_not_fit() -> None:
    """Two memory slices are free, but not where 2g may begin: slices and counts would do."""
    odd = GpuGeometry(
        (
            SEVEN_SLICES_ALL.by_name["3g.20gb"],
            Profile("2g.10gb", 2, 2, (0,), 3),
        ),
        8,
        7,
    )
    found = plan(text({"3g.20gb": 1, "2g.10gb": 2}), gpu(geometry=odd))
    assert "may only start at some places" in found.gpus[0].problem


def test_a_profile_that_the_model_lacks_is_named_with_its_line_and_what_there_is() -> None:
    layout = text({"1g.5gb": 1, "1g.6gb": 2})
    with pytest.raises(InvalidInput) as error:
        plan(layout, gpu())
    assert error.value.message.startswith("gpus.yaml:6: ")
    assert "GPU 0 (NVIDIA A100, 0x20B010DE) has no profile 1g.6gb" in error.value.message
    assert "1g.5gb, 2g.10gb, 3g.20gb, 4g.20gb, 7g.40gb, 1g.5gb+me, 1g.10gb" in error.value.hint


def test_gpus_that_are_not_there_or_named_twice_are_mistakes() -> None:
    with pytest.raises(InvalidInput, match=r"gpus.yaml:7: .* no GPU 1; it has 0"):
        plan(text({}, {}), gpu())
    layout = text({"1g.5gb": 1}) + "    - {devices: all, mig-enabled: false}\n"
    with pytest.raises(InvalidInput, match="GPU 0 is in the entry of line 4 already"):
        plan(layout, gpu())


def test_filters_choose_the_model_and_the_rest_is_left_alone() -> None:
    layout = text({"1g.5gb": 7}).replace("devices: [0]", 'devices: all\n      device-filter: "0x1"')
    found = plan(layout, gpu(), gpu(index=1))
    assert found.gpus == ()
    assert found.matches
    assert found.notes == ("The layout does not speak of GPUs 0, 1, which stay as they are.",)


@pytest.mark.parametrize(
    ("enabled", "pending", "says", "advice"),
    [
        (False, False, "turned on", "nvidia-smi -i 0 -mig 1"),
        (False, True, "turned on", "waits for a reset"),
        (True, True, "turned off", "nvidia-smi -i 0 -mig 0"),
        (True, False, "turned off", "waits for a reset"),
    ],
)
def test_the_mig_mode_is_never_changed(
    enabled: bool, pending: bool, says: str, advice: str
) -> None:
    layout = text({"1g.5gb": 7})
    if enabled:
        layout = layout.replace("true", "false").replace('{"1g.5gb": 7}', "{}")
    found = plan(layout, gpu(enabled=enabled, pending=pending))
    (one,) = found.gpus
    assert one.mode_change
    assert not found.possible
    assert says in one.problem
    assert "never changes it nor resets a GPU" in one.problem
    assert advice in one.advice


def test_gpus_without_mig_are_passed_over_by_all_and_refused_by_name() -> None:
    card = gpu(capable=False, enabled=False, geometry=None)
    found = plan(text({"1g.5gb": 7}).replace("[0]", "all"), card)
    assert found.matches
    assert found.notes == ("GPU 0 (NVIDIA A100) knows no MIG and is left as it is.",)
    assert plan(text({"1g.5gb": 7}), card).gpus[0].problem == "This GPU (NVIDIA A100) knows no MIG."


def test_a_gpu_that_does_not_answer_is_no_match() -> None:
    lost = gpu(capable=False, enabled=False, geometry=None, problem="It fell off the bus.")
    for layout in (text({}), text({}).replace("[0]", "all")):
        found = plan(layout, lost)
        assert not found.matches
        assert not found.possible
        assert found.gpus[0].problem == "It fell off the bus."


def test_unfinished_instances_are_finished_or_removed() -> None:
    there = gpu(("1g.5gb", 0), ("1g.5gb", 1), unfinished=[1])
    (one,) = plan(text({"1g.5gb": 2}), there).gpus
    assert [item.gi for item in one.keep] == [0]
    assert [item.gi for item in one.finish] == [1]
    assert (one.destroy, one.create) == ((), ())
    (one,) = plan(text({"1g.5gb": 1}), there).gpus
    assert one.differences == ("1g.5gb at 1 (unfinished): it has no device",)
    assert [item.gi for item in one.destroy] == [1]


def test_f45_containers_without_a_lease_and_processes_are_in_the_way() -> None:
    there = gpu(("3g.20gb", 0), ("3g.20gb", 4), busy=[1])
    found = plan(text({"7g.40gb": 1}), there, MIG_0_0="stranger")
    assert [str(item) for item in found.gpus[0].obstacles] == [
        "0:0 (3g.20gb): the container stranger, which has no lease",
        "0:1 (3g.20gb): process 4711 of eve",
    ]
    assert not found.possible
    assert plan(text({"3g.20gb": 1}), there).gpus[0].destroy[0].gi == 0


def test_without_root_instances_are_counted() -> None:
    there = gpu(("1g.5gb", 2), ("3g.20gb", 4), exact=False, busy=[0])
    found = plan(text({"1g.5gb": 3}), there)
    (one,) = found.gpus
    assert [item.profile for item in one.keep] == ["1g.5gb"]
    assert [item.profile for item in one.destroy] == ["3g.20gb"]
    assert one.create == (("1g.5gb", None), ("1g.5gb", None))
    assert "does not run as root" in found.notes[0]
