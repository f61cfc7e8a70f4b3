"""MIG layouts beside real containers: with a lease, and without."""

from __future__ import annotations

import docker
import pytest

from ds01_jupyter.core.errors import Conflict
from ds01_jupyter.core.identity import Person
from ds01_jupyter.core.mig_documents import MigLayoutRequest
from tests.engine.conftest import Desk
from tests.rig.fixtures import RigEngine
from tests.rig.nvml import Machine

pytestmark = pytest.mark.engine

GOAL = MigLayoutRequest(
    layout="""
version: v1
mig-configs:
  goal:
    - {devices: [2], mig-enabled: true, mig-devices: {"7g.40gb": 1}}
    - {devices: [3], mig-enabled: true, mig-devices: {"3g.20gb": 2}}
"""
)


def test_containers_are_in_the_way_until_they_are_removed(
    desk: Desk, rig_engine: RigEngine, gpu_machine: Machine, unique_name: str
) -> None:
    root = Person("root", 0, 0, desk.person.home)
    leased = desk.create("demo", gpu="2:0")
    uuid = next(
        slot.uuid
        for gpu in desk.lab.gpus(desk.person).gpus
        for slot in gpu.slots
        if slot.slot == "3:5"
    )
    stranger = desk.docker.containers.run(
        rig_engine.base_image,
        ["sleep", "300"],
        name=unique_name,
        detach=True,
        device_requests=[docker.types.DeviceRequest(device_ids=[uuid], capabilities=[["gpu"]])],
    )
    try:
        before = gpu_machine.read()
        plan = desk.lab.plan_mig(root, GOAL)
        texts = [item.text for gpu in plan.gpus for item in gpu.in_the_way]
        assert texts == [
            f"2:0 (3g.20gb): the container demo of {desk.person.name} (running)",
            f"3:5 (1g.5gb): the container {unique_name}, which has no lease",
        ]
        with pytest.raises(Conflict) as error:
            desk.lab.apply_mig(root, GOAL)
        assert error.value.details["containers"] == ["demo", unique_name]
        desk.lab.stop_container(desk.person, leased.name)
        assert "(stopped, holds its slot)" in desk.lab.plan_mig(root, GOAL).model_dump_json()
        assert gpu_machine.read() == before
    finally:
        stranger.remove(force=True)
    desk.lab.remove_container(desk.person, leased.name)
    operation = desk.lab.apply_mig(root, GOAL)
    for _ in desk.lab.operation_events(root, operation.id):
        pass
    assert desk.lab.operation(root, operation.id).state == "succeeded"
    assert desk.lab.plan_mig(root, GOAL).matches
    again = desk.create("demo", gpu="7g.40gb")
    assert [slot.profile for slot in again.gpus] == ["7g.40gb"]
