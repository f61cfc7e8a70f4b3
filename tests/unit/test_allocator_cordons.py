"""Cordoned GPUs are given to nobody, and who asks is told why."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ds01_jupyter.core.allocator import Allocator
from ds01_jupyter.core.errors import Conflict, NoFreeSlot, NotFound
from ds01_jupyter.core.gpu.health import GpuHealth
from ds01_jupyter.core.gpu.nvml import NvmlDriver
from ds01_jupyter.core.ledger import Ledger
from ds01_jupyter.core.ledger_cordons import KnownGpu
from tests.rig.nvml import Machine
from tests.unit.desk import Desk


class Ward(Desk):
    """A desk that looks after its GPUs."""

    def __init__(self, ledger: Ledger, driver: NvmlDriver) -> None:
        super().__init__(ledger, driver)
        self.health = GpuHealth(ledger, "here", grace=1e9)
        self.allocator = Allocator(ledger, driver, "here", self.health)

    def xid(self, index: int, code: int = 79) -> None:
        gpus = self.driver.inventory().gpus
        self.health.xid(KnownGpu(gpus[index].uuid, index, "x"), code)

    def resume(self, claim_id: str) -> None:
        self.allocator.resume(claim_id, self.driver.inventory(fresh=True).slots, {})


@pytest.fixture
def ward(gpu_machine: Machine, simulated_nvml: Path, tmp_path: Path) -> Iterator[Ward]:
    ledger = Ledger(tmp_path / "ledger.sqlite")
    ward = Ward(ledger, NvmlDriver(str(simulated_nvml), refresh=0))
    ward.health.look(ward.driver.inventory().gpus, "1")
    yield ward
    ward.close()


def test_a_cordoned_gpu_is_passed_over(ward: Ward) -> None:
    ward.xid(0)
    assert ward.slots("a", "whole") == ["1"]
    ward.xid(3)
    ward.xid(1)
    assert ward.slots("b", "1g.5gb") == ["2:2"]


def test_an_ignored_xid_changes_nothing(ward: Ward) -> None:
    ward.xid(0, 13)
    assert ward.slots("a", "0") == ["0"]


def test_a_slot_by_name_on_a_cordoned_gpu(ward: Ward) -> None:
    ward.xid(2)
    error = ward.refusal("a", "2:0")
    assert isinstance(error, NoFreeSlot)
    assert "the slot 2:0" in error.message
    assert "GPU 2: The driver reported XID 79 (it fell off the bus)" in error.message
    assert error.details["cordoned"][0]["gpu"] == 2


def test_a_profile_that_is_on_cordoned_gpus_only_is_not_free_rather_than_unknown(
    ward: Ward,
) -> None:
    ward.xid(2)
    error = ward.refusal("a", "3g.20gb")
    assert isinstance(error, NoFreeSlot)
    assert "only on a GPU that is cordoned now" in error.message
    assert isinstance(ward.refusal("a", "4g.20gb"), NotFound), "that one is nowhere"


def test_what_is_taken_elsewhere_says_what_is_cordoned_too(ward: Ward) -> None:
    ward.claim("a", "0")
    ward.xid(1)
    error = ward.refusal("b", "whole")
    assert isinstance(error, NoFreeSlot)
    assert error.message == "A whole GPU is not free now."
    assert "Cordoned, and given to nobody until well again: GPU 1: The driver" in error.hint


def test_all_gpus_are_cordoned(ward: Ward) -> None:
    for index in range(4):
        ward.xid(index)
    error = ward.refusal("a", "any")
    assert [item["gpu"] for item in error.details["cordoned"]] == [0, 1, 2, 3]
    assert ward.slots("cpu", "none") == []


def test_a_gpu_that_fell_off_the_bus_is_cordoned_by_the_claim_itself(
    ward: Ward, gpu_machine: Machine
) -> None:
    """Nobody was looking: the sampler sleeps on an idle machine."""
    gpu_machine.set(0, lost=1)
    assert ward.slots("a", "whole") == ["1"]
    (row,) = next(iter(ward.health.cordons().values()))
    assert (row.gpu_index, row.cause) == (0, "silent")
    gpu_machine.set(0, lost=0)
    error = ward.refusal("b", "whole")
    assert "Cordoned" in error.hint, "it answers again, but not for long enough"


def test_leases_are_kept_and_a_stopped_container_waits(ward: Ward) -> None:
    claim = ward.claim("a", "0")
    ward.allocator.activate(claim.claim_id, "c" * 64)
    ward.allocator.hold(claim.claim_id)
    ward.xid(0)
    with pytest.raises(Conflict, match="The GPU of a is cordoned") as error:
        ward.resume(claim.claim_id)
    assert "keeps its slot" in error.value.hint
    assert [lease.state for lease in ward.ledger.live_leases()] == ["held"]
    with ward.ledger.writing() as connection:
        connection.execute("DELETE FROM cordons")
    ward.resume(claim.claim_id)
    assert [lease.state for lease in ward.ledger.live_leases()] == ["active"]


def test_a_cordon_on_another_host_means_nothing_here(ward: Ward) -> None:
    uuid = ward.driver.inventory().gpus[0].uuid
    GpuHealth(ward.ledger, "there").xid(KnownGpu(uuid, 0, "x"), 79)
    assert ward.slots("a", "0") == ["0"]
