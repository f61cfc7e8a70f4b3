"""MIG changes that are stopped, that fail, or that find something unfinished."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ds01_jupyter.core.errors import (
    Cancelled,
    Conflict,
    DriverFailed,
    LedgerUnavailable,
)
from ds01_jupyter.core.gpu.geometry import Placed
from ds01_jupyter.core.maintenance import Maintenance
from tests.rig.nvml import Machine
from tests.unit.mig_desk import MigDesk, text

INSUFFICIENT_RESOURCES = 23


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


@pytest.mark.parametrize("stop", range(1, 8))
def test_whatever_step_it_is_stopped_at_all_is_as_before(desk: MigDesk, stop: int) -> None:
    """Cancelled (or failed) before the n-th of the seven steps, on two GPUs."""
    goal = text(None, None, {"2g.10gb": 1, "1g.5gb": 2, "1g.10gb": 1}, {"1g.5gb": 5, "1g.10gb": 1})
    lease = desk.lease("3:0")
    before, names = shown(desk), []

    def report(name: str, part: float) -> None:
        names.append(name)
        assert 0 <= part < 1
        if len(names) == stop:
            raise Cancelled("The operation was cancelled.")

    with pytest.raises(Cancelled) as error:
        desk.apply(goal, report)
    assert error.value.details["restored"] is True
    assert "Everything is as it was before." in error.value.hint
    assert shown(desk) == before
    assert clear(desk)
    assert lease in uuid_of(desk, 3).values()
    assert len(desk.nvml.inventory(fresh=True).slots) == 13
    desk.apply(goal)
    assert len(names) == stop


def test_a_failure_that_is_over_is_put_right(desk: MigDesk, gpu_machine: Machine) -> None:
    before = shown(desk)

    def at(name: str) -> None:
        if name == "create-device" and desk.steps.count(name) == 1:
            gpu_machine.add(f"fail fn=nvmlGpuInstanceCreateComputeInstance code={999}")
        else:
            gpu_machine.drop("fail")

    desk.at = at
    with pytest.raises(DriverFailed, match=r"would not make the device of 1g\.5gb") as error:
        desk.apply(text(None, None, {"1g.5gb": 4}, {"4g.20gb": 1}))
    assert error.value.details["restored"] is True
    assert shown(desk) == before
    assert desk.steps.count("create-device") == 3  # the one that failed, and two put back
    assert clear(desk)


def test_what_cannot_be_put_back_is_said(desk: MigDesk, gpu_machine: Machine) -> None:
    """The driver makes no instance any more, so what was destroyed is gone."""
    gpu_machine.add(
        f"fail fn=nvmlDeviceCreateGpuInstanceWithPlacement gpu=3 code={INSUFFICIENT_RESOURCES}"
    )
    with pytest.raises(DriverFailed) as error:
        desk.apply(text(None, None, {"3g.20gb": 2}, {"4g.20gb": 1, "1g.5gb": 3}))
    details = error.value.details
    assert error.value.message.startswith(
        "The NVIDIA driver would not make 4g.20gb at 0 on GPU 3: "
    )
    assert details["restored"] is False
    assert details["state"][0] == "GPU 2: 2g.10gb at 0, 1g.5gb at 2, 1g.5gb at 3, 3g.20gb at 4"
    assert details["state"][1].startswith("GPU 3: 1g.5gb at 4, 1g.5gb at 5, 1g.5gb at 6 (")
    assert desk.there(3) == ["1g.5gb at 4", "1g.5gb at 5", "1g.5gb at 6"]
    assert clear(desk)
    assert desk.claims.slots("box", "3:0")  # what is there can be used
    gpu_machine.drop("fail")
    desk.apply(text(None, None, None, {"4g.20gb": 0, "1g.5gb": 7}))
    assert desk.gpu(3).counts == {"1g.5gb": 7}


def test_a_process_that_comes_in_between_stops_it(desk: MigDesk, gpu_machine: Machine) -> None:
    before = shown(desk)
    gi = next(item.gi for item in desk.gpu(3).instances if item.start == 5)

    def at(name: str) -> None:
        if name == "destroy-device":
            gpu_machine.add(f"proc gpu=3 pid=1 used=10 gi={gi} ci=0")

    desk.at = at
    with pytest.raises(Conflict, match="GPU 3 is in use: the driver would not destroy"):
        desk.apply(text(None, None, None, {"1g.5gb": 1}))
    assert [len(each) for each in shown(desk)] == [len(each) for each in before]
    assert clear(desk)


def test_instances_that_changed_since_the_plan_stop_it(desk: MigDesk, gpu_machine: Machine) -> None:
    """Somebody ran nvidia-smi mig between the plan and the lock."""

    def at(name: str) -> None:
        if name == "held":
            gpu = desk.gpu(3)
            item = gpu.instances[0]
            desk.driver.destroy_devices(gpu, item)
            desk.driver.destroy_instance(gpu, item)

    desk.at = at
    with pytest.raises(Conflict, match="changed by somebody else"):
        desk.apply(text(None, None, None, {"1g.5gb": 1}))
    assert len(desk.there(3)) == 6
    assert clear(desk)


def test_parts_of_instances_give_way_and_come_back(desk: MigDesk, gpu_machine: Machine) -> None:
    gpu_machine.drop("ci gpu=2 gi=2")
    for ci, profile in ((0, 1), (1, 0)):
        gpu_machine.add(f"ci gpu=2 gi=2 id={ci} profile={profile} n={900 + ci}")
    before = desk.there(2)
    assert "3g.20gb at 4 (2c.3g.20gb, 1c.3g.20gb)" in before

    def stop(name: str, part: float) -> None:
        if name.startswith("GPU 2: make"):
            raise Cancelled("no")

    goal = text(None, None, {"2g.10gb": 2, "1g.5gb": 2})
    with pytest.raises(Cancelled) as error:
        desk.apply(goal, stop)
    assert error.value.details["restored"]
    assert desk.there(2) == before
    desk.apply(goal)
    assert desk.gpu(2).counts == {"2g.10gb": 2, "1g.5gb": 2}


def test_unfinished_instances_are_finished(desk: MigDesk, gpu_machine: Machine) -> None:
    gpu_machine.drop("ci gpu=3")
    assert desk.nvml.inventory(fresh=True).gpus[3].slots == ()
    desk.apply(text(None, None, None, {"1g.5gb": 7}))
    assert desk.gpu(3).counts == {"1g.5gb": 7}
    assert not any("instance" in step for step in desk.steps)


def test_a_hold_that_could_not_be_given_back_is_cleared_by_the_next_change(
    desk: MigDesk,
) -> None:
    """The ledger cannot be written at the end; the process lives on."""

    def at(name: str) -> None:
        if name == "release":
            desk.ledger.close()
            desk.ledger.path.rename(desk.ledger.path.with_suffix(".away"))
            desk.ledger.path.mkdir()

    desk.at = at
    desk.apply(text(None, None, None, {"1g.5gb": 6}))
    desk.at = lambda name: None
    with pytest.raises(LedgerUnavailable):
        desk.ledger.live_leases()
    desk.ledger.close()
    desk.ledger.path.rmdir()
    desk.ledger.path.with_suffix(".away").rename(desk.ledger.path)
    assert not clear(desk)
    desk.apply(text(None, None, None, {"1g.5gb": 5}))
    assert clear(desk)
