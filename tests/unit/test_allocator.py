"""Claims: which slots are given, which limits hold, and refusals that say what to do."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from ds01_jupyter.core.errors import (
    Conflict,
    DriverUnavailable,
    LimitReached,
    NoFreeSlot,
    NotFound,
)
from ds01_jupyter.core.gpu.nvml import NvmlDriver
from ds01_jupyter.core.ledger import Ledger
from tests.rig.nvml import Machine, gpus
from tests.unit.desk import ANNA, BEN, Desk


@pytest.fixture
def desk(gpu_machine: Machine, simulated_nvml: Path, tmp_path: Path) -> Iterator[Desk]:
    """The preset "lab": whole 0 and 1; 2 is 3g+2g+1g+1g, 3 is 7 x 1g."""
    desk = Desk(Ledger(tmp_path / "ledger.sqlite"), NvmlDriver(str(simulated_nvml), refresh=1e9))
    yield desk
    desk.close()


# ---- what is given ---------------------------------------------------------------------------


def test_a_claim_writes_a_pending_container_and_its_leases(desk: Desk) -> None:
    claim = desk.claim("box", "2g.10gb", person=ANNA, priority=30)
    (row,) = desk.ledger.containers()
    (lease,) = desk.allocator.live()
    assert claim.full_name == row.full_name == lease.full_name == "box._.1001"
    assert (row.claim_id, row.state, row.document) == (claim.claim_id, "pending", {"image": "x"})
    assert row.process.pid == os.getpid()
    assert (lease.state, lease.slot, lease.owner, lease.priority) == ("pending", "2:1", "anna", 30)
    assert claim.slots == (lease.info,)
    (line,) = desk.ledger.history()
    assert (line.actor, line.action, line.subject) == ("anna", "lease.claim", "box._.1001")
    assert line.details["slots"] == [{"slot": "2:1", "uuid": lease.slot_uuid}]


def test_slots_are_given_once_until_none_is_left(desk: Desk) -> None:
    given = [desk.slots(f"box{number}")[0] for number in range(13)]
    # The smallest first; of those of 1g first the ones that leave a whole GPU unused.
    ones = ["2:2", "2:3", *(f"3:{index}" for index in range(7))]
    assert given == [*ones, "2:1", "2:0", "0", "1"]
    error = desk.refusal("one-more")
    assert isinstance(error, NoFreeSlot)
    assert error.message == "No GPU slot is free now."
    assert error.details["free"] == []
    assert error.details["busy"] == 13


def test_cpu_only_holds_a_name_and_asks_no_driver(
    tmp_path: Path, gpu_machine: Machine, simulated_nvml: Path
) -> None:
    gpu_machine.write_preset("none")
    driver = NvmlDriver(str(simulated_nvml))
    desk = Desk(Ledger(tmp_path / "ledger.sqlite"), driver)
    assert desk.claim("box", "none", max_mig_instances=0).slots == ()
    assert isinstance(desk.refusal("box2"), DriverUnavailable)
    desk.ledger.close()
    driver.close()


def test_f4_several_slots_in_one_claim_are_distinct(desk: Desk) -> None:
    assert sorted(desk.slots("box", "1g.5gb", 9)) == [
        *("2:2", "2:3"),
        *(f"3:{index}" for index in range(7)),
    ]


def test_f37_several_or_none_never_fewer(desk: Desk) -> None:
    error = desk.refusal("box", "1g.5gb", 10)
    assert isinstance(error, NoFreeSlot)
    assert error.message == "Only 9 of the 10 slots that you asked for are free."


def test_who_is_on_a_gpu_does_not_spread_people_over_all_of_them(desk: Desk) -> None:
    """Nobody else is on a slot of one's own: neither their priority nor their memory counts."""
    assert desk.slots("low", "3:0", priority=10) == ["3:0"]
    assert desk.slots("high", "1g.5gb", priority=90) == ["3:1"]
    assert desk.slots("middle", "1g.5gb", priority=50) == ["3:2"]


@pytest.mark.parametrize(("used", "given"), [(20_000, "1"), (500, "0")])
def test_of_equal_gpus_the_one_that_a_stranger_works_on_comes_last(
    desk: Desk, gpu_machine: Machine, used: int, given: str
) -> None:
    gpu_machine.set(0, used=used)
    assert desk.slots("box", "whole") == [given]


def test_a_fresh_partition_is_seen_by_the_next_claim(desk: Desk, gpu_machine: Machine) -> None:
    assert len(desk.driver.inventory().slots) == 13
    with gpu_machine.edit() as lines:
        lines[:] = gpus(1, "a100-40", {0: [(19, 0), (19, 1)]})
    assert desk.slots("box") == ["0:0"]


# ---- what is busy ------------------------------------------------------------------------------


def test_slots_in_foreign_use_are_not_given(desk: Desk) -> None:
    foreign = {desk.uuid("0"): "stranger"}
    assert [slot.slot for slot in desk.claim("box", "whole", foreign=foreign).slots] == ["1"]
    error = desk.refusal("box2", "0", foreign=foreign)
    assert error.message == "The slot 0 is in use by stranger."


def test_b14_a_container_with_all_gpus_leaves_nothing(desk: Desk) -> None:
    foreign = {slot.uuid: "greedy" for slot in desk.driver.inventory().slots}
    error = desk.refusal("box", foreign=foreign)
    assert error.details["busy"] == 13
    assert 'gpu="none"' in error.hint


def test_a_lost_gpu_is_not_given(desk: Desk, gpu_machine: Machine) -> None:
    desk.driver.inventory()
    gpu_machine.set(0, lost=1)
    assert desk.slots("box", "whole") == ["1"]
    assert isinstance(desk.refusal("box2", "0"), NotFound)


def test_instances_made_under_a_lease_on_the_whole_gpu_are_not_given(
    desk: Desk, gpu_machine: Machine
) -> None:
    for slot in ("0", "1"):
        desk.claim(f"box{slot}", slot)
    for gpu in (0, 1):
        gpu_machine.set(gpu, mig=1)
        gpu_machine.add(f"gi gpu={gpu} id=7 profile=19 start=0 n=9{gpu}")
        gpu_machine.add(f"ci gpu={gpu} gi=7 id=0 profile=0 start=0 n=8{gpu}")
    error = desk.refusal("box2", "0:0", person=BEN)
    assert error.message == "The slot 0:0 is in use by anna (box0)."
    assert len(desk.claim("box3", "1g.5gb", 9).slots) == 9
    assert isinstance(desk.refusal("box4", "1g.5gb"), NoFreeSlot)


def test_a_gpu_made_whole_under_a_lease_on_an_instance_is_not_given(
    desk: Desk, gpu_machine: Machine
) -> None:
    desk.claim("box", "3:0")
    for kind in ("gi", "ci"):
        gpu_machine.drop(f"{kind} gpu=3")
    gpu_machine.set(3, mig=0)
    assert desk.slots("box2", "whole", 2) == ["0", "1"]
    assert isinstance(desk.refusal("box4", "3"), NoFreeSlot)


# ---- refusals ----------------------------------------------------------------------------------


def test_a_name_is_taken_from_the_claim_on(desk: Desk) -> None:
    desk.claim("box")
    assert isinstance(desk.refusal("box", "none"), Conflict)
    assert desk.claim("box", person=BEN).full_name == "box._.1002"


def test_max_containers_counts_pending_ones_and_only_ones_own(desk: Desk) -> None:
    first = desk.claim("a", "none", max_containers=2)
    desk.allocator.activate(first.claim_id, "id-a")
    desk.claim("b", "none", max_containers=2)
    desk.claim("c", "none", person=BEN, max_containers=1)
    error = desk.refusal("d", "none", max_containers=2)
    assert isinstance(error, LimitReached)
    assert error.message == "You may have at most 2 containers, and you have 2."
    assert error.details == {
        "key": "max_containers",
        "limit": 2,
        "in_use": 2,
        "asked": 1,
        "containers": ["a", "b"],
    }
    assert "a, b" in error.hint


def test_max_mig_instances_counts_every_live_slot(desk: Desk) -> None:
    held = desk.claim("a", "0")
    desk.allocator.activate(held.claim_id, "id-a")
    desk.allocator.hold(held.claim_id)
    desk.claim("b", "1g.5gb", 2)
    error = desk.refusal("c", "1g.5gb", max_mig_instances=3)
    assert isinstance(error, LimitReached)
    assert error.message == "You may have at most 3 GPU slots: you have 3 and ask for 1 more."
    assert error.details["containers"] == ["a", "b"]
    assert (error.details["limit"], error.details["in_use"], error.details["asked"]) == (3, 3, 1)
    assert 'gpu="none"' in error.hint
    assert desk.claim("cpu", "none", max_mig_instances=3).slots == ()
    desk.allocator.release(held.claim_id)
    assert desk.claim("d", "1g.5gb", max_mig_instances=3)


def test_max_slots_per_container(desk: Desk) -> None:
    error = desk.refusal("a", "1g.5gb", 3, max_slots_per_container=2)
    assert error.message == "One container may have at most 2 GPU slots, and this one asks for 3."
    assert error.details["key"] == "max_slots_per_container"
    assert len(desk.claim("a", "1g.5gb", 2, max_slots_per_container=2).slots) == 2


@pytest.mark.parametrize("key", ["max_mig_instances", "max_slots_per_container"])
def test_f38_null_is_unlimited_and_zero_is_zero(desk: Desk, key: str) -> None:
    error = desk.refusal("a", **{key: 0})
    assert (error.details["key"], error.details["limit"]) == (key, 0)
    assert len(desk.claim("b", "1g.5gb", 9, **{key: None}).slots) == 9


def test_no_containers_at_all(desk: Desk) -> None:
    error = desk.refusal("a", "none", max_containers=0)
    assert "ask your admin" in error.hint


def test_b30_the_limit_that_was_reached_is_the_one_that_is_named(desk: Desk) -> None:
    tight = {"max_containers": 1, "max_mig_instances": 1, "max_slots_per_container": 2}
    assert desk.refusal("a", "any", 3, **tight).details["key"] == "max_slots_per_container"
    assert desk.refusal("a", "any", 2, **tight).details["key"] == "max_mig_instances"
    desk.claim("a", **tight)
    assert desk.refusal("b", **tight).details["key"] == "max_containers"


@pytest.mark.parametrize(
    ("gpu", "message"),
    [
        ("9", "There is no slot 9 on this machine."),
        ("2", "There is no slot 2 on this machine (that GPU is partitioned)."),
        ("3:7", "There is no slot 3:7 on this machine."),
        ("4g.20gb", "This machine has no slot of the kind 4g.20gb."),
    ],
)
def test_what_this_machine_does_not_have(desk: Desk, gpu: str, message: str) -> None:
    error = desk.refusal("box", gpu)
    assert isinstance(error, NotFound)
    assert error.message == message


def test_what_is_there_but_taken_names_what_is_free(desk: Desk) -> None:
    desk.claim("a", "3g.20gb")
    error = desk.refusal("b", "3g.20gb", person=BEN)
    assert isinstance(error, NoFreeSlot)
    assert error.message == "A slot 3g.20gb is not free now."
    assert error.details["free"] == [
        {"profile": "1g.5gb", "count": 9},
        {"profile": "2g.10gb", "count": 1},
        {"profile": "whole", "count": 2},
    ]
    assert error.details["busy"] == 1
    assert "9 x 1g.5gb, 1 x 2g.10gb, 2 whole GPUs" in error.hint
    taken = desk.refusal("c", "2:0", person=BEN)
    assert taken.message == "The slot 2:0 is in use by anna (a)."


def test_a_machine_with_nothing_to_give(desk: Desk, gpu_machine: Machine) -> None:
    with gpu_machine.edit() as lines:
        lines[:] = gpus(1, "a100-40", {0: []})
    error = desk.refusal("a")
    assert isinstance(error, NoFreeSlot)
    assert error.message == "This machine has no GPU slot that could be given."
