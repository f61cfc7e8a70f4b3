"""Nobody overtakes who waits: the queue in the claims of everybody."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ds01_jupyter.core.allocator import Claim, Turn
from ds01_jupyter.core.errors import Conflict, NoFreeSlot
from ds01_jupyter.core.fences import Asking, Fenced
from ds01_jupyter.core.gpu.request import GpuRequest
from ds01_jupyter.core.gpu.slots import SlotInfo
from ds01_jupyter.core.waiting.fence import QueueFence
from ds01_jupyter.core.waiting.scene import KeptLimits, Stage
from tests.rig.nvml import Machine, gpus
from tests.unit.waiting_desk import HOST, WaitingDesk
from tests.unit.waiting_kit import limits

SEVEN = 7


@pytest.fixture
def desk(gpu_machine: Machine, simulated_nvml: Path, tmp_path: Path) -> Iterator[WaitingDesk]:
    """One GPU in seven instances."""
    with gpu_machine.edit() as lines:
        lines[:] = gpus(1, "a100-40", {0: [(19, start) for start in range(SEVEN)]})
    found = WaitingDesk(tmp_path / "ledger.sqlite", str(simulated_nvml))
    yield found
    found.close()


def fill(desk: WaitingDesk, count: int = SEVEN) -> list[Claim]:
    return [desk.claim(1) for _ in range(count)]


def refusal(desk: WaitingDesk, *what: object) -> NoFreeSlot:
    before = desk.ledger.live_leases()
    with pytest.raises(NoFreeSlot) as error:
        desk.claim(*what)  # type: ignore[arg-type]
    assert desk.ledger.live_leases() == before
    return error.value


def test_a_slot_that_comes_free_goes_to_who_waits(desk: WaitingDesk) -> None:
    held = fill(desk)
    number = desk.join(2)
    desk.allocator.release(held[3].claim_id)
    error = refusal(desk, 3)
    assert error.message == (
        "What is free now is kept for others: u2, who comes first in the queue."
    )
    assert [slot.slot for slot in desk.serve(number).slots] == ["0:3"]
    assert desk.state(number) == "starting"


def test_more_than_they_want_is_for_everybody(desk: WaitingDesk) -> None:
    held = fill(desk)
    desk.join(2)
    for claim in held[:2]:
        desk.allocator.release(claim.claim_id)
    assert len(desk.claim(3).slots) == 1
    refusal(desk, 3)


def test_places_are_served_in_order(desk: WaitingDesk) -> None:
    held = fill(desk)
    first, second = desk.join(2), desk.join(3)
    desk.allocator.release(held[0].claim_id)
    with pytest.raises(NoFreeSlot):
        desk.serve(second)
    assert desk.state(second) == "waiting"
    desk.serve(first)
    desk.allocator.release(held[1].claim_id)
    desk.serve(second)


def test_a_higher_priority_may_go_first_until_somebody_has_waited(desk: WaitingDesk) -> None:
    desk.limits[3] = limits(priority=90)
    held = fill(desk)
    number = desk.join(2)
    desk.allocator.release(held[0].claim_id)
    desk.wait(hours=(90 - 50) / 6 + 0.1)
    refusal(desk, 3)
    desk.limits[4] = limits(priority=95)
    claim = desk.claim(4)
    assert len(claim.slots) == 1
    assert desk.state(number) == "waiting"


def test_who_sleeps_keeps_the_place_and_blocks_nobody(desk: WaitingDesk) -> None:
    held = fill(desk)
    first, second = desk.join(2), desk.join(3)
    desk.sleep(first)
    for claim in held[:2]:
        desk.allocator.release(claim.claim_id)
    desk.claim(4)
    refusal(desk, 4)
    desk.serve(second)
    assert desk.state(first) == "waiting"


def test_a_server_that_is_silent_is_asleep(desk: WaitingDesk) -> None:
    held = fill(desk)
    desk.join(2)
    desk.allocator.release(held[0].claim_id)
    desk.clock.advance(seconds=89)
    refusal(desk, 3)
    desk.clock.advance(seconds=2)
    desk.claim(3)


def test_who_is_held_back_by_limits_blocks_nobody(desk: WaitingDesk) -> None:
    desk.limits[2] = limits(max_containers=1)
    desk.claim(2)
    held = fill(desk, 6)
    number = desk.join(2)
    desk.allocator.release(held[0].claim_id)
    desk.claim(3)
    assert desk.state(number) == "waiting"


def test_who_has_gone_blocks_nobody(desk: WaitingDesk) -> None:
    held = fill(desk)
    desk.join(2)
    desk.limits[2] = None
    desk.allocator.release(held[0].claim_id)
    desk.claim(3)


def test_slots_are_gathered_for_who_wants_several(desk: WaitingDesk) -> None:
    held = fill(desk)
    number = desk.join(2, "1g.5gb", 3)
    for claim in held[:2]:
        desk.allocator.release(claim.claim_id)
    error = refusal(desk, 3)
    assert "u2, who waits in the queue for more of them" in error.message
    desk.allocator.release(held[2].claim_id)
    assert len(desk.serve(number).slots) == 3


def test_who_is_back_in_time_may_have_them_meanwhile(desk: WaitingDesk) -> None:
    desk.limits[1] = limits(hours=5)
    desk.limits[3], desk.limits[4] = limits(hours=4), limits(hours=6)
    held = fill(desk)
    desk.join(2, "1g.5gb", 2)
    desk.allocator.release(held[0].claim_id)
    refusal(desk, 4)
    desk.claim(3)


# ---- what one claim does to what others would take ---------------------------------------------


@pytest.fixture
def mixed(gpu_machine: Machine, desk: WaitingDesk) -> WaitingDesk:
    """0:0 and 1:0 are 2g; 0:1, 0:2 and 1:1 are 1g."""
    with gpu_machine.edit() as lines:
        lines[:] = gpus(2, "a100-40", {0: [(19, 0), (19, 1), (14, 2)], 1: [(19, 0), (14, 2)]})
    return desk


def test_who_asks_does_not_change_the_order_of_those_who_wait(mixed: WaitingDesk) -> None:
    """One more person would lower the mean use, and move who has used much behind the other, who
    would then take the 1g and leave the 2g."""
    mixed.limits |= {3: limits(priority=90), 4: limits(priority=0)}
    for name in ("0:1", "0:2", "1:0"):
        mixed.claim(3, name)
    mixed.wait(hours=50)
    second, first = mixed.join(2, "any"), mixed.join(3, "1g.5gb")
    refusal(mixed, 4, "any")
    assert [slot.profile for slot in mixed.serve(first).slots] == ["1g.5gb"]
    assert [slot.profile for slot in mixed.serve(second).slots] == ["2g.10gb"]


def test_what_is_lent_is_not_made_up_for_with_a_slot_of_somebody_else(mixed: WaitingDesk) -> None:
    """Who may have one 2g and a 1g keeps the first 2g; were it lent, it would keep the other."""
    mixed.limits |= {
        1: limits(hours=30),
        2: limits(max_gpu_equivalents=3 / 7),
        3: limits(),
        4: limits(hours=1),
    }
    mixed.claim(1, "1g.5gb", 3)
    mixed.join(2, "any", 2)
    number = mixed.join(3, "2g.10gb")
    refusal(mixed, 4, "2g.10gb")
    assert [slot.slot for slot in mixed.serve(number).slots] == ["1:0"]
    mixed.claim(4, "2g.10gb")


def test_nobody_is_turned_to_the_slot_of_another(mixed: WaitingDesk) -> None:
    """The first takes 1:1, on the GPU with least free; without 0:0 that would be 0:1."""
    first, second = mixed.join(2, "1g.5gb"), mixed.join(3, "0:1")
    error = refusal(mixed, 4, "0:0")
    assert "u3, who comes first in the queue" in error.message
    assert [slot.slot for slot in mixed.serve(first).slots] == ["1:1"]
    assert [slot.slot for slot in mixed.serve(second).slots] == ["0:1"]
    mixed.claim(4, "0:0")


def test_ones_own_place_comes_first(mixed: WaitingDesk) -> None:
    mixed.limits[2] = limits(max_mig_instances=1)
    first, second = mixed.join(2), mixed.join(2)
    with pytest.raises(NoFreeSlot, match="your own place in the queue"):
        mixed.serve(second)
    mixed.serve(first)


def test_other_fences_hold_for_everybody(desk: WaitingDesk) -> None:
    """What is reserved for the one who waits is neither lost to others nor taken from them."""

    class First:
        """The first instance is for 2 only."""

        def fence(self, _: object, asking: Asking, __: object, free: list[SlotInfo]) -> Fenced:
            mine = asking.uid == 2
            return Fenced(
                tuple(slot for slot in free if mine or slot.slot != "0:0"),
                kept={} if mine else {free[0].uuid: "u2"},
            )

    stage = Stage(HOST, desk.limits_of, lambda _: (First(),))
    desk.allocator._fences = (QueueFence(stage, desk.clock),)
    held = [desk.claim(1) for _ in range(6)]
    assert "u2" in refusal(desk, 3).message
    number = desk.join(2)
    desk.allocator.release(held[5].claim_id)
    assert [slot.slot for slot in desk.claim(3).slots] == ["0:6"]
    assert [slot.slot for slot in desk.serve(number).slots] == ["0:0"]


def test_a_claim_that_nobody_may_have_any_more_is_undone(desk: WaitingDesk) -> None:
    def gone(*_: object) -> None:
        raise Conflict("It was left.")

    number = desk.join(2)
    with pytest.raises(Conflict, match="left"):
        desk.claim(2, turn=Turn(number, gone))
    assert desk.ledger.live_leases() == desk.ledger.containers() == []
    assert desk.state(number) == "waiting"


def test_without_anybody_who_waits_it_costs_one_question(desk: WaitingDesk) -> None:
    asked: list[str] = []
    asking = Asking(1, "u1", GpuRequest.parse("any"), limits().values)
    with desk.ledger.reading() as connection:
        connection.set_trace_callback(asked.append)
        found = desk.fence.fence(connection, asking, (), ())
        connection.set_trace_callback(None)
    assert found == Fenced(())
    assert len(asked) == 1


def test_limits_of_others_are_not_asked_again_at_once() -> None:
    asked: list[int] = []
    now = [0.0]
    known = KeptLimits(lambda uid: asked.append(uid), 20, lambda: now[0])  # type: ignore[func-returns-value, return-value]
    for _ in range(3):
        known(1)
    known(2)
    assert asked == [1, 2]
    now[0] = 21
    known(1)
    assert asked == [1, 2, 1]
