"""A GPU that several containers share: its slots, who gets them, and what changes under leases."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ds01_jupyter.core.allocator import Claim
from ds01_jupyter.core.engine import ContainerSummary
from ds01_jupyter.core.errors import (
    ConfigurationError,
    Conflict,
    LimitReached,
    NoFreeSlot,
    NotFound,
)
from ds01_jupyter.core.gpu.drift import unusable_leases
from ds01_jupyter.core.gpu.sharing import SharedGpu, in_force, note, present, share
from ds01_jupyter.core.gpu.sharing_driver import LastKnown, SharingDriver
from ds01_jupyter.core.gpu.slots import SlotInfo
from ds01_jupyter.core.gpu.view import snapshot_document
from ds01_jupyter.core.ledger import Ledger
from ds01_jupyter.core.models import Slot
from ds01_jupyter.core.reconcile import foreign_slots
from tests.rig.nvml import Machine
from tests.unit.desk import ANNA, BEN, Desk


class SharedDesk(Desk):
    """A desk whose admin declares what is shared."""

    def __init__(self, library: Path, ledger: Path, machine: Machine) -> None:
        self.machine = machine
        self.declared: list[SharedGpu] = []
        super().__init__(Ledger(ledger), SharingDriver(str(library), lambda: self.declared))

    def declare(self, *declared: tuple[str, int]) -> None:
        self.declared = [SharedGpu(gpu, containers) for gpu, containers in declared]

    def names(self) -> list[str]:
        return [slot.slot for slot in self.driver.inventory(fresh=True).slots]

    def resume(self, claim: Claim, foreign: dict[str, str] | None = None) -> None:
        slots = self.driver.inventory(fresh=True).slots
        self.allocator.resume(claim.claim_id, slots, foreign or {})

    def shown(self, foreign: dict[str, str] | None = None) -> dict[str, Slot]:
        document = snapshot_document(
            self.driver.snapshot(),
            host="here",
            leases=self.ledger.live_leases(),
            rows=self.ledger.containers(),
            foreign=foreign or {},
            container_of={10: "c-anna", 11: "c-anna", 20: "c-ben"}.get,
            user_of=lambda pid: f"pid{pid}",
        )
        return {slot.slot: slot for gpu in document.gpus for slot in gpu.slots}


@pytest.fixture
def desk(gpu_machine: Machine, simulated_nvml: Path, tmp_path: Path) -> Iterator[SharedDesk]:
    """The preset "lab": whole 0 and 1; 2 is 3g+2g+1g+1g, 3 is 7 x 1g. GPU 0 is for 4 containers."""
    desk = SharedDesk(simulated_nvml, tmp_path / "ledger.sqlite", gpu_machine)
    desk.declare(("0", 4))
    yield desk
    desk.close()


# ---- the slots ---------------------------------------------------------------------------------


def test_shares_stand_in_the_place_of_the_whole_gpu(desk: SharedDesk) -> None:
    assert desk.names()[:5] == ["0/1", "0/2", "0/3", "0/4", "1"]
    first, last = desk.driver.inventory().gpus[0].slots[0::3]
    gpu = first.gpu_uuid
    assert gpu.startswith("GPU-")
    assert first == SlotInfo("0/1", f"{gpu}#1", "share", "shared", 0, gpu, None, 0.25)
    assert (last.uuid, last.device, last.order) == (f"{gpu}#4", gpu, (0, 4))
    assert isinstance(desk.driver, SharingDriver)
    assert [slot.slot for slot in desk.driver.bare().slots[:2]] == ["0", "1"]


@pytest.mark.parametrize("how", ["index", "uuid", "UUID"])
def test_a_gpu_is_named_by_index_or_uuid(desk: SharedDesk, how: str) -> None:
    uuid = desk.uuid("1")
    desk.declare(({"index": "1", "uuid": uuid, "UUID": uuid.upper()}[how], 2))
    assert desk.names()[:3] == ["0", "1/1", "1/2"]


def test_a_gpu_in_mig_mode_is_never_shared(desk: SharedDesk) -> None:
    desk.declare(("2", 4), ("7", 2))
    assert desk.names()[:3] == ["0", "1", "2:0"]
    assert not any("/" in name for name in desk.names())


@pytest.mark.parametrize(
    ("containers", "words"),
    [
        (2, "time-sliced with up to 1 other, no isolation of memory or faults"),
        (4, "time-sliced with up to 3 others, no isolation of memory or faults"),
        (64, "time-sliced with up to 63 others, no isolation of memory or faults"),
    ],
)
def test_everybody_is_told(containers: int, words: str) -> None:
    assert note(share(0, "GPU-0", 1, containers)) == words


def test_other_slots_need_no_note(desk: SharedDesk) -> None:
    assert {note(slot) for slot in desk.driver.inventory().slots if slot.kind != "share"} == {None}


def test_a_refused_file_leaves_what_was_declared_before() -> None:
    answers: list[Sequence[SharedGpu]] = [[SharedGpu("0", 4)]]

    def declared() -> Sequence[SharedGpu]:
        if answers:
            return answers.pop()
        raise ConfigurationError("No.", hint="Ask.")

    known = LastKnown(declared)
    assert known() == known() == [SharedGpu("0", 4)]
    assert LastKnown(declared)() == ()


# ---- claims ------------------------------------------------------------------------------------


def test_each_container_gets_a_share_until_there_are_as_many_as_declared(desk: SharedDesk) -> None:
    assert [desk.slots(f"box{number}", "shared") for number in range(4)] == [
        *(["0/1"], ["0/2"], ["0/3"], ["0/4"])
    ]
    error = desk.refusal("box4", "shared", person=BEN)
    assert isinstance(error, NoFreeSlot)
    assert error.message == "A share of a GPU is not free now."
    taken = desk.refusal("box4", "0/2")
    assert taken.message == "The slot 0/2 is in use by anna (box1)."
    whole = desk.refusal("box4", "0")
    assert isinstance(whole, NotFound)
    assert whole.message == "There is no slot 0 on this machine (that GPU is shared)."
    assert whole.hint == "There are 0/1, 0/2, 0/3, 0/4."


def test_a_whole_gpu_is_asked_for_elsewhere(desk: SharedDesk) -> None:
    assert desk.slots("big", "whole") == ["1"]
    assert isinstance(desk.refusal("big2", "whole"), NoFreeSlot)
    desk.declare(("0", 4), ("1", 2))
    desk.allocator.release(desk.allocator.live()[0].claim_id)
    assert desk.refusal("big2", "whole").message == (
        "This machine has no slot of the kind whole GPU."
    )


def test_a_share_counts_as_its_part_of_a_gpu(desk: SharedDesk) -> None:
    for number in range(2):
        desk.claim(f"box{number}", "shared", max_gpu_equivalents=0.5, allow_full_gpu=False)
    error = desk.refusal("box2", "shared", max_gpu_equivalents=0.5)
    assert isinstance(error, LimitReached)
    assert (error.details["in_use"], error.details["asked"]) == (0.5, 0.25)


def test_one_container_gets_shares_of_different_gpus(desk: SharedDesk) -> None:
    assert isinstance(desk.refusal("box", "shared", 2), NoFreeSlot)
    desk.declare(("0", 4), ("1", 4))
    assert desk.slots("box", "shared", 2, max_gpu_equivalents=0.5) == ["0/1", "1/1"]
    assert isinstance(desk.refusal("box2", "shared", 3), NoFreeSlot)


def test_between_shared_gpus_the_seeds_score_decides(desk: SharedDesk) -> None:
    """Priorities as in the seed's limits: students 10, researchers 50, admins 90."""
    desk.declare(("0", 4), ("1", 4))
    desk.machine.set(0, used=0)
    desk.machine.set(1, used=0)
    assert desk.slots("john", "shared", priority=10) == ["0/1"]  # 0 against 0
    assert desk.slots("jane", "shared", priority=50) == ["1/1"]  # 4010 against 0
    assert desk.slots("student", "shared", priority=10) == ["0/2"]  # 10 against 4010
    assert desk.slots("admin", "shared", priority=90) == ["1/2"]  # 8020 against 4010
    assert desk.slots("another", "shared", priority=50) == ["0/3"]  # 4020 against 4020
    # The highest on GPU 0 is 50 now: 4030 for a student, on GPU 1 it is 90: 8020.
    assert desk.slots("student2", "shared", priority=10) == ["0/4"]


def test_memory_in_use_counts_between_shared_gpus(desk: SharedDesk) -> None:
    desk.declare(("0", 4), ("1", 4))
    desk.machine.set(0, used=7000)  # 17 % of 40 GiB
    desk.machine.set(1, used=0)
    assert [desk.slots(f"box{number}", "shared") for number in range(3)] == [
        *(["1/1"], ["1/2"], ["0/1"])
    ]


def test_the_kind_of_memory_that_a_share_has_is_none(desk: SharedDesk) -> None:
    assert desk.slots("box", ">=40GB") == ["1"]
    error = desk.refusal("box2", "80GB")
    assert isinstance(error, NotFound)
    assert error.message == (
        "This machine has no GPU slot with at least 80GB: the largest slot has 40 GiB (whole)."
    )
    assert error.hint == (
        "It has 9 x 1g.5gb, 4 shares, 1 x 2g.10gb, 1 x 3g.20gb, 1 whole GPU. A share of a GPU has "
        "no memory of its own, so it does not count."
    )


def test_many_at_once_never_get_the_same_share_nor_too_many(desk: SharedDesk) -> None:
    given: list[str] = []

    def ask(number: int) -> None:
        with suppress(NoFreeSlot):
            given.extend(desk.slots(f"box{number}", "shared"))

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(given) == ["0/1", "0/2", "0/3", "0/4"]


def test_a_foreign_container_on_the_gpu_keeps_all_its_shares_busy(desk: SharedDesk) -> None:
    slots = desk.driver.inventory().slots
    gpu = slots[0].gpu_uuid
    for name in (gpu, "0", "all"):
        used = foreign_slots(slots, [], [_running("stranger")], lambda _, name=name: [name])
        assert {f"{gpu}#1", f"{gpu}#4"} <= set(used)
        assert isinstance(desk.refusal("box", "shared", foreign=dict(used)), NoFreeSlot)
        desk.declare()
        assert isinstance(desk.refusal("box", "0", foreign=dict(used)), NoFreeSlot)
        desk.declare(("0", 4))


# ---- what is declared changes while leases live --------------------------------------------------


def test_a_gpu_that_somebody_has_whole_is_shared_later(desk: SharedDesk) -> None:
    desk.declare()
    claim = desk.claim("big", "0")
    desk.declare(("0", 4))
    assert isinstance(desk.refusal("box", "shared"), NotFound)
    assert desk.refusal("box", "0").message == "The slot 0 is in use by anna (big)."
    assert (desk.shown()["0"].state, "0/1" in desk.shown()) == ("leased", False)
    desk.allocator.hold(claim.claim_id)
    desk.resume(claim)
    desk.allocator.release(claim.claim_id)
    assert desk.slots("box", "shared") == ["0/1"]


def test_shares_that_were_given_stay_when_it_is_not_declared_any_more(desk: SharedDesk) -> None:
    claim, other = desk.claim("box", "0/3"), desk.claim("box2", "0/1")
    desk.declare()
    assert isinstance(desk.refusal("big", "0"), NotFound)
    assert desk.slots("big", "whole") == ["1"]
    assert isinstance(desk.refusal("big2", "whole"), NoFreeSlot)
    shown = desk.shown()
    assert [name for name in shown if name.startswith("0")] == ["0/1", "0/3"]
    assert (shown["0/3"].state, shown["0/3"].shared_by) == ("leased", 4)
    assert unusable_leases(desk.allocator.live(), desk.driver.inventory(fresh=True).gpus) == {}
    for each in (claim, other):
        desk.allocator.hold(each.claim_id)
        desk.resume(each)
        desk.allocator.release(each.claim_id)
    assert desk.slots("big2", "0") == ["0"]


def test_fewer_containers_than_there_are_means_no_more(desk: SharedDesk) -> None:
    claims = [desk.claim(f"box{number}", "shared") for number in range(3)]
    desk.declare(("0", 2))
    assert [name for name in desk.shown() if name.startswith("0/")] == ["0/1", "0/2", "0/3"]
    desk.allocator.release(claims[0].claim_id)
    assert isinstance(desk.refusal("box", "shared"), NoFreeSlot), "two are there, two may be"
    desk.allocator.release(claims[1].claim_id)
    assert desk.slots("box", "shared") == ["0/1"]
    assert [name for name in desk.shown() if name.startswith("0/")] == ["0/1", "0/3"]
    desk.allocator.release(claims[2].claim_id)
    assert desk.slots("box2", "shared") == ["0/2"]


def test_more_containers_than_before(desk: SharedDesk) -> None:
    desk.claim("box", "0/4")
    desk.declare(("0", 6))
    shown = desk.shown()
    assert (shown["0/4"].state, shown["0/4"].shared_by) == ("leased", 6)
    assert [desk.slots(f"box{number}", "shared")[0] for number in range(5)] == [
        *("0/1", "0/2", "0/3", "0/5", "0/6")
    ]


def test_in_force_is_the_same_twice(desk: SharedDesk) -> None:
    claims = [desk.claim(f"box{number}", "shared") for number in range(3)]
    desk.allocator.release(claims[0].claim_id)
    for declared in (2, 3, 4, 5):
        desk.declare(("0", declared))
        once = in_force(desk.driver.inventory(fresh=True).slots, desk.allocator.live())
        assert in_force(once, desk.allocator.live()) == once


def test_a_share_is_gone_when_mig_is_switched_on(desk: SharedDesk) -> None:
    claim = desk.claim("box", "shared")
    desk.allocator.hold(claim.claim_id)
    desk.machine.set(0, mig=1)
    desk.machine.add("gi gpu=0 id=7 profile=19 start=0 n=90")
    desk.machine.add("ci gpu=0 gi=7 id=0 profile=0 start=0 n=91")
    inventory = desk.driver.inventory(fresh=True)
    assert present(claim.slots[0], inventory.slots) is None
    assert list(unusable_leases(desk.allocator.live(), inventory.gpus).values()) == [
        "The slot 0/1 (shared) of box is no share of a whole GPU any more: MIG was switched on."
    ]
    with pytest.raises(Conflict, match="is not there any more"):
        desk.resume(claim)
    shown = desk.shown()
    assert (shown["0/1"].state, shown["0:0"].state) == ("unusable", "unusable")
    assert isinstance(desk.refusal("other", "0:0"), NoFreeSlot)


def test_a_share_is_not_resumed_beside_a_foreign_container(desk: SharedDesk) -> None:
    claim = desk.claim("box", "shared")
    desk.allocator.hold(claim.claim_id)
    gpu = claim.slots[0].gpu_uuid
    for used in ({f"{gpu}#2": "stranger"}, {gpu: "stranger"}):
        with pytest.raises(Conflict, match="in use by the container stranger"):
            desk.resume(claim, used)
    desk.resume(claim)


# ---- the document --------------------------------------------------------------------------------


def test_what_everybody_sees_of_a_shared_gpu(desk: SharedDesk) -> None:
    for person, name in ((ANNA, "c-anna"), (BEN, "c-ben")):
        claim = desk.claim("box", "shared", person=person)
        desk.allocator.activate(claim.claim_id, name)
    desk.machine.set(0, used=5000)
    for pid, used in ((10, 1000), (11, 500), (20, 2000), (30, 7), (31, -1)):
        desk.machine.add(f"proc gpu=0 pid={pid} used={used}")
    shown = desk.shown()
    mine, theirs, free, last = (shown[f"0/{number}"] for number in (1, 2, 3, 4))
    assert [process.pid for process in mine.processes] == [10, 11]
    assert [process.pid for process in theirs.processes] == [20]
    assert [process.pid for process in free.processes] == [30, 31], "nobody's stand somewhere"
    assert last.processes == []
    mebi = 1 << 20
    assert [each.memory_used for each in (mine, theirs, free, last)] == [
        1500 * mebi,
        2000 * mebi,
        None,
        None,
    ]
    assert {each.memory_total for each in (mine, theirs, free, last)} == {None}
    assert {each.utilisation for each in (mine, theirs, free, last)} == {None}
    assert {each.kind for each in (mine, last)} == {"share"}
    assert {each.note for each in (mine, last)} == {
        "time-sliced with up to 3 others, no isolation of memory or faults"
    }
    assert (shown["1"].note, shown["1"].shared_by) == (None, None)


def test_processes_of_nobody_do_not_vanish_when_all_shares_are_taken(desk: SharedDesk) -> None:
    for number in range(4):
        desk.claim(f"box{number}", "shared")
    desk.machine.add("proc gpu=0 pid=99 used=5")
    assert [process.pid for process in desk.shown()["0/1"].processes] == [99]


def test_a_lost_shared_gpu_shows_its_shares_and_their_leases(desk: SharedDesk) -> None:
    desk.claim("box", "shared")
    desk.driver.inventory()
    desk.machine.set(0, lost=1)
    shown = desk.shown()
    assert [shown[f"0/{number}"].state for number in (1, 2, 3, 4)] == ["unusable"] * 4
    lease = shown["0/1"].lease
    assert lease is not None
    assert lease.container == "box"


def _running(name: str) -> ContainerSummary:
    return ContainerSummary(
        id=name,
        full_name=name,
        image="x",
        image_id="x",
        state="running",
        status="Up",
        created=datetime.now(UTC),
        labels={},
    )
