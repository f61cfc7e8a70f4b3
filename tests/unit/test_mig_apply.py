"""Applying layouts on the simulated driver: what is reached, what stays, what is put back."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ds01_jupyter.core.errors import (
    Conflict,
    CoreError,
    Forbidden,
    NoFreeSlot,
    NotFound,
)
from ds01_jupyter.core.gpu.geometry import Placed
from ds01_jupyter.core.gpu.nvml import NvmlDriver
from ds01_jupyter.core.gpu.slots import Inventory
from ds01_jupyter.core.maintenance import Maintenance
from tests.rig.nvml import Machine
from tests.unit.desk import Desk
from tests.unit.mig_desk import ROOT, STATES, Layout, MigDesk, lines, text, whole


@pytest.fixture(params=["stable", "fresh"])
def uuids(request: pytest.FixtureRequest) -> str:
    """Both ways in which a driver may name an instance that is made again."""
    return str(request.param)


@pytest.fixture
def desk(
    gpu_machine: Machine, simulated_nvml: Path, tmp_path: Path, uuids: str
) -> Iterator[MigDesk]:
    gpu_machine.sys(mig_uuid=uuids)
    desk = MigDesk(simulated_nvml, tmp_path / "ledger.sqlite")
    yield desk
    desk.close()


def shown(desk: MigDesk) -> list[tuple[str, ...]]:
    return [gpu.contents for gpu in desk.driver.read()]


def uuid_of(desk: MigDesk, index: int) -> dict[Placed, str]:
    return {item.placed: item.devices[0].uuid for item in desk.gpu(index).instances}


def clear(desk: MigDesk) -> bool:
    """Nothing is held by a change any more."""
    full_name = Maintenance("here").full_name
    return all(lease.full_name != full_name for lease in desk.ledger.live_leases()) and all(
        row.full_name != full_name for row in desk.ledger.containers()
    )


states = st.integers(0, len(STATES) - 1).map(lambda number: STATES[number])


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(there=st.tuples(states, states), goal=st.tuples(states, states), data=st.data())
def test_any_layout_is_reached_from_any_other_and_nothing_in_use_is_touched(
    gpu_machine: Machine,
    simulated_nvml: Path,
    tmp_path_factory: pytest.TempPathFactory,
    uuids: str,
    there: tuple[Layout, Layout],
    goal: tuple[Layout, Layout],
    data: st.DataObject,
) -> None:
    """f6, f7, f8: instances of any size and number, counted one by one."""
    with gpu_machine.edit() as now:
        now[:] = lines(*there, uuids=uuids)
    desk = MigDesk(simulated_nvml, tmp_path_factory.mktemp("any") / "ledger.sqlite")
    try:
        slots = [slot.slot for slot in desk.nvml.inventory(fresh=True).slots]
        leased = {
            desk.lease(slot, f"box{number}"): slot
            for number, slot in enumerate(data.draw(st.sets(st.sampled_from(slots or ["-"]))))
            if slot != "-"
        }
        before = [uuid_of(desk, index) for index in (0, 1)]
        plan = desk.plan(text(*goal))
        kept = {
            device.uuid: item.placed
            for each in plan.gpus
            for item in each.keep
            for device in item.devices
        }
        if plan.possible:
            desk.apply(text(*goal))
            for index in (0, 1):
                assert desk.gpu(index).counts == Counter(item.profile for item in goal[index])
                assert all(item.whole for item in desk.gpu(index).instances)
            assert desk.plan(text(*goal)).matches
        else:
            with pytest.raises(Conflict, match="in use"):
                desk.apply(text(*goal))
            assert [uuid_of(desk, index) for index in (0, 1)] == before
            assert not any("create" in step or "destroy" in step for step in desk.steps)
        after = {uuid: place for index in (0, 1) for place, uuid in uuid_of(desk, index).items()}
        assert leased.keys() <= after.keys()
        assert kept.items() <= after.items()
        assert clear(desk)
        assert len(desk.ledger.live_leases()) == len(leased)
    finally:
        desk.close()


def test_a_second_time_nothing_is_done(desk: MigDesk) -> None:
    goal = text(None, None, {"1g.5gb": 7}, {"3g.20gb": 2})
    first = desk.apply(goal)
    assert [index for index, _, _ in first.changed] == [2, 3]
    seen = [uuid_of(desk, index) for index in (2, 3)]
    desk.steps.clear()
    assert desk.apply(goal).changed == ()
    assert desk.steps == []
    assert [uuid_of(desk, index) for index in (2, 3)] == seen
    (line,) = [row for row in desk.ledger.history() if row.action == "mig.apply"]
    assert (line.actor, line.outcome) == ("root", "done")
    assert line.details["gpus"]["3"]["after"] == ["3g.20gb at 0", "3g.20gb at 4"]


def test_f7_a_mig_gpu_without_instances_can_be_filled_and_emptied(
    desk: MigDesk, gpu_machine: Machine, uuids: str
) -> None:
    whole(gpu_machine, [], uuids=uuids)
    with pytest.raises((NotFound, NoFreeSlot)):
        desk.claims.claim("none", "whole")  # MIG is on: never offered as a whole GPU
    desk.apply(text({"2g.10gb": 3}))
    assert desk.there() == ["2g.10gb at 0", "2g.10gb at 2", "2g.10gb at 4"]
    desk.apply(text({}))
    assert desk.there() == []


@pytest.mark.parametrize("state", ["pending", "active", "held"])
def test_a_lease_in_any_state_is_in_the_way_and_named(desk: MigDesk, state: str) -> None:
    claim = desk.claims.claim("demo", "2:0")
    if state != "pending":
        desk.claims.allocator.activate(claim.claim_id, "c1")
    if state == "held":
        desk.claims.allocator.hold(claim.claim_id)
    before = shown(desk)
    with pytest.raises(Conflict) as error:
        desk.apply(text(None, None, {"7g.40gb": 1}, {"1g.5gb": 2}))
    assert error.value.message == "MIG instances that would have to go are in use (demo)."
    (line,) = error.value.details["in_the_way"]
    words = {"pending": "being made", "active": "running", "held": "stopped, holds its slot"}
    assert line == f"2:0 (3g.20gb): the container demo of anna ({words[state]})"
    assert shown(desk) == before  # GPU 3, where nothing was in the way, neither
    assert desk.steps == []


def test_b13_a_lease_on_the_whole_gpu_bars_its_instances(
    desk: MigDesk, gpu_machine: Machine
) -> None:
    """MIG was turned on, and the GPU cut, under a container that has it whole."""
    claim = desk.claims.claim("big", "0")
    assert claim.slots[0].kind == "gpu"
    gpu_machine.set(0, mig=1)
    (obstacle,) = desk.plan(text({"1g.5gb": 1})).gpus[0].obstacles
    assert (obstacle.kind, obstacle.slot, obstacle.container) == ("lease", "0", "big")
    with pytest.raises(Conflict, match=r"in use \(big\)"):
        desk.apply(text({"1g.5gb": 1}))
    assert desk.there(0) == []


def test_b12_a_change_counts_against_nobodys_limits(desk: MigDesk) -> None:
    """While GPU 3 is changed, its slots are nobody's: neither free nor somebody's quota."""
    seen: list[str] = []

    def look(name: str) -> None:
        if name == "destroyed" and not seen:
            with pytest.raises(NoFreeSlot):
                desk.claims.claim("one", "3:1")
            claim = desk.claims.claim("two", "2:2", max_containers=1, max_mig_instances=1)
            seen.append(claim.slots[0].slot)

    desk.at = look
    desk.apply(text(None, None, None, {}))
    assert seen == ["2:2"]
    assert desk.there(3) == []


def test_no_new_slot_can_be_claimed_before_all_is_done(desk: MigDesk) -> None:
    """A change that fails would take it back."""
    refused = []

    def look(name: str) -> None:
        if name == "leased-device":
            with pytest.raises((NoFreeSlot, NotFound)) as error:
                desk.claims.claim("early", "4g.20gb")
            refused.append(error.value.code)

    desk.at = look
    desk.apply(text(None, None, None, {"4g.20gb": 1, "1g.5gb": 3}))
    assert refused == ["no_free_slot"]
    assert desk.claims.slots("late", "4g.20gb")


def test_a_claim_between_the_plan_and_the_hold_wins(desk: MigDesk) -> None:
    def at(name: str) -> None:
        if name == "hold":
            desk.lease("3:0", "quick")

    desk.at = at
    with pytest.raises(Conflict, match=r"in use \(quick\)"):
        desk.apply(text(None, None, None, {}))
    assert len(desk.there(3)) == 7
    assert clear(desk)


class LateDriver(NvmlDriver):
    """The real driver; something happens between a look at the slots and what is done with it."""

    def __init__(self, library: str, meanwhile: Callable[[], None]) -> None:
        super().__init__(library)
        self.meanwhile = meanwhile

    def inventory(self, *, fresh: bool = False) -> Inventory:
        found = super().inventory(fresh=fresh)
        self.meanwhile()
        return found


@pytest.mark.parametrize("begun", [False, True])
def test_b1_a_claim_that_saw_slots_which_went_looks_again(
    desk: MigDesk, simulated_nvml: Path, begun: bool
) -> None:
    """A whole change fits between the look and the claim; or it had begun before the look."""
    goals = [text(None, None, {}, {"1g.5gb": 0, "3g.20gb": 1})]
    claimed: list[tuple[str, ...]] = []
    driver = LateDriver(str(simulated_nvml), lambda: goals and desk.apply(goals.pop()))
    late = Desk(desk.ledger, driver)
    if begun:
        waiting = threading.Event()
        go_on = threading.Event()

        def at(name: str) -> None:
            if name == "held":
                waiting.set()
                go_on.wait(30)

        desk.at = at
        change = threading.Thread(target=desk.apply, args=(goals.pop(),))
        change.start()
        waiting.wait(30)
        driver.meanwhile = lambda: (go_on.set(), change.join())
    claimed.append(tuple(slot.profile for slot in late.claim("late", "any").slots))
    assert claimed == [("3g.20gb",)]
    (lease,) = desk.ledger.live_leases()
    assert lease.slot_uuid in uuid_of(desk, 3).values()
    driver.close()


def test_two_changes_at_once_are_one_after_the_other(desk: MigDesk) -> None:
    said = []

    def again(name: str) -> None:
        if name == "destroyed" and not said:
            with pytest.raises(Conflict) as error:
                desk.apply(text(None, None, {"1g.5gb": 1}))
            said.append(error.value.message)

    desk.at = again
    desk.apply(text(None, None, None, {"1g.5gb": 6}))
    assert said == ["root is changing the MIG layout of this machine just now."]
    assert desk.gpu(3).counts == {"1g.5gb": 6}


def test_only_root_can(desk: MigDesk, gpu_machine: Machine) -> None:
    gpu_machine.sys(privileged=0)
    with pytest.raises(Forbidden, match="needs root"):
        desk.apply(text(None, None, None, {"1g.5gb": 1}))
    assert desk.steps == []
    assert desk.apply(text(None, None, None, {"1g.5gb": 7})).changed == ()


def test_a_gpu_that_is_not_in_mig_mode_stops_all(desk: MigDesk) -> None:
    before = shown(desk)
    with pytest.raises(Conflict, match="MIG mode would have to be turned on") as error:
        desk.apply(text({"1g.5gb": 7}, None, None, {"1g.5gb": 1}))
    assert "nvidia-smi -i 0 -mig 1" in error.value.hint
    assert shown(desk) == before
    assert not desk.gpu(0).enabled


def test_other_gpus_are_never_touched(desk: MigDesk) -> None:
    before = [uuid_of(desk, index) for index in (0, 1, 2)]
    desk.apply(text(None, None, None, {"7g.40gb": 1}))
    assert [uuid_of(desk, index) for index in (0, 1, 2)] == before
    assert [gpu.enabled for gpu in desk.driver.read()] == [False, False, True, True]


def test_refusals_are_core_errors_with_a_hint(desk: MigDesk) -> None:
    with pytest.raises(CoreError) as error:
        desk.apply(text(None, None, None, {"1g.5gb": 8}), person=ROOT)
    assert error.value.hint
