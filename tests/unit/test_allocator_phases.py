"""From claim to release: activate, hold, resume, and what a lost claim can not do any more."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ds01_jupyter.core.allocator import Claim
from ds01_jupyter.core.errors import Conflict, NotFound
from ds01_jupyter.core.gpu.nvml import NvmlDriver
from ds01_jupyter.core.ledger import Ledger
from tests.rig.nvml import Machine
from tests.unit.desk import BEN, Desk


@pytest.fixture
def desk(gpu_machine: Machine, simulated_nvml: Path, tmp_path: Path) -> Iterator[Desk]:
    """The preset "lab": whole 0 and 1; 2 is 3g+2g+1g+1g, 3 is 7 x 1g."""
    desk = Desk(Ledger(tmp_path / "ledger.sqlite"), NvmlDriver(str(simulated_nvml), refresh=1e9))
    yield desk
    desk.close()


def states(desk: Desk, claim: Claim) -> list[str]:
    return [lease.state for lease in desk.ledger.leases_of(claim.claim_id)]


def test_from_claim_to_release(desk: Desk) -> None:
    claim = desk.claim("box", "1g.5gb", 2)
    assert states(desk, claim) == ["pending", "pending"]
    desk.allocator.activate(claim.claim_id, "id")
    desk.allocator.activate(claim.claim_id, "id")
    assert states(desk, claim) == ["active", "active"]
    (row,) = desk.ledger.containers()
    assert (row.state, row.container_id) == ("present", "id")
    desk.allocator.hold(claim.claim_id)
    desk.allocator.hold(claim.claim_id)
    assert states(desk, claim) == ["held", "held"]
    desk.allocator.resume(claim.claim_id, desk.driver.inventory().slots, {})
    assert states(desk, claim) == ["active", "active"]
    desk.allocator.release(claim.claim_id)
    desk.allocator.release(claim.claim_id)
    assert states(desk, claim) == ["released", "released"]
    assert desk.ledger.containers() == []
    assert [line.action for line in reversed(desk.ledger.history())] == [
        *("lease.claim", "lease.activate", "lease.hold", "lease.resume", "lease.release")
    ]


def test_f2_a_claim_that_came_to_nothing_leaves_nothing(desk: Desk) -> None:
    claim = desk.claim("box", "0")
    desk.allocator.release(claim.claim_id)
    assert desk.allocator.live() == []
    assert desk.slots("box", "0") == ["0"]


def test_a_claim_that_was_released_cannot_be_activated(desk: Desk) -> None:
    claim = desk.claim("box")
    desk.allocator.release(claim.claim_id)
    with pytest.raises(Conflict):
        desk.allocator.activate(claim.claim_id, "id")
    assert desk.allocator.live() == []
    desk.allocator.hold(claim.claim_id)
    with pytest.raises(NotFound):
        desk.allocator.resume(claim.claim_id, desk.driver.inventory().slots, {})


def test_a_claim_is_for_one_container(desk: Desk) -> None:
    claim = desk.claim("box")
    desk.allocator.activate(claim.claim_id, "id")
    with pytest.raises(Conflict):
        desk.allocator.activate(claim.claim_id, "another")


def test_b38_a_stopped_container_starts_only_on_its_own_slot(
    desk: Desk, gpu_machine: Machine
) -> None:
    claim = desk.claim("box", "2:2")
    desk.allocator.activate(claim.claim_id, "id")
    desk.allocator.hold(claim.claim_id)
    slots = desk.driver.inventory().slots

    with pytest.raises(Conflict, match="in use by the container stranger"):
        desk.allocator.resume(claim.claim_id, slots, {claim.slots[0].uuid: "stranger"})

    without = [slot for slot in slots if slot.slot != "2:2"]
    with pytest.raises(Conflict, match="not there any more"):
        desk.allocator.resume(claim.claim_id, without, {})

    gpu_machine.drop("gi gpu=2 id=9 ")
    gpu_machine.drop("ci gpu=2 gi=9 ")
    gpu_machine.add("gi gpu=2 id=9 profile=20 start=2 n=80")
    gpu_machine.add("ci gpu=2 gi=9 id=0 profile=0 start=0 n=81")
    fresh = desk.driver.inventory(fresh=True).slots
    assert claim.slots[0].uuid in {slot.uuid for slot in fresh}  # the same UUID, another slot
    with pytest.raises(Conflict, match="not there any more"):
        desk.allocator.resume(claim.claim_id, fresh, {})
    assert states(desk, claim) == ["held"]


def test_a_lease_that_ended_does_not_come_back_by_a_start(desk: Desk) -> None:
    claim = desk.claim("box", "0")
    desk.allocator.activate(claim.claim_id, "id")
    with desk.ledger.writing() as connection:
        connection.execute("UPDATE leases SET state = 'released'")  # as a hold that ran out
    desk.claim("other", "0", person=BEN)
    with pytest.raises(Conflict, match="was given back in the meantime"):
        desk.allocator.resume(claim.claim_id, desk.driver.inventory().slots, {})
    assert [lease.owner for lease in desk.allocator.live()] == ["ben"]


def test_cpu_only_through_both_phases(desk: Desk) -> None:
    claim = desk.claim("box", "none")
    desk.allocator.activate(claim.claim_id, "id")
    desk.allocator.hold(claim.claim_id)
    desk.allocator.resume(claim.claim_id, [], {})
    desk.allocator.release(claim.claim_id)
    assert desk.ledger.containers() == []
    assert desk.ledger.leases_of(claim.claim_id) == []
