"""Containers that share a GPU on the real engine: what Docker is told, and what comes back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import docker
import pytest
from docker.types import DeviceRequest

from ds01_jupyter.core import models
from ds01_jupyter.core.errors import NoFreeSlot, NotFound
from ds01_jupyter.core.lab import Lab
from tests.engine.conftest import LIMITS, Desk
from tests.rig.fixtures import RigEngine
from tests.rig.nvml import Machine

pytestmark = pytest.mark.engine

NOTE = "time-sliced with up to 2 others, no isolation of memory or faults"


def request(name: str, gpu: str = "shared") -> models.ContainerRequest:
    framework = models.FrameworkChoice(framework="Pytorch", version="2.5.1")
    return models.ContainerRequest(name=name, framework=framework, gpu=gpu)


def declare(path: Path, containers: int | None) -> None:
    shared = "" if containers is None else f"shared_gpus: [{{gpu: 0, containers: {containers}}}]\n"
    path.write_text(LIMITS + shared)


@pytest.fixture
def limits(tmp_path: Path) -> Path:
    declare(tmp_path / "limits.yaml", 3)
    return tmp_path / "limits.yaml"


def given(desk: Desk, container: models.Container) -> tuple[list[str], str, str]:
    """What Docker was told to give it, and the labels that say so."""
    answer = desk.inspect(container)
    [asked] = answer["HostConfig"]["DeviceRequests"]  # type: ignore[index]
    labels = answer["Config"]["Labels"]  # type: ignore[index]
    return asked["DeviceIDs"], labels["aime.mlc.GPUS"], labels["aime.mlc.SLOTS"]


def test_containers_on_one_shared_gpu_get_the_same_device(
    make_desk: Callable[..., Desk], limits: Path, gpu_machine: Machine
) -> None:
    one, two = make_desk(), make_desk()
    gpu = one.lab.gpus(one.person).gpus[0].uuid
    made = [
        one.create("first", gpu="shared"),
        one.create("second", gpu="shared"),
        two.create("third", gpu="shared"),
    ]
    for number, container in enumerate(made, 1):
        desk = two if number == 3 else one
        assert given(desk, container) == ([gpu], gpu, f"0/{number}")
        [slot] = container.gpus
        assert (slot.slot, slot.uuid, slot.profile) == (f"0/{number}", f"{gpu}#{number}", "shared")
        assert slot.note == NOTE
        assert container.state == "running"
    assert two.leased() == {"0/1": "active", "0/2": "active", "0/3": "active"}
    with pytest.raises(NoFreeSlot, match="A share of a GPU is not free now"):
        two.lab.create_container(two.person, request("fourth"))
    assert one.lab.limits(one.person).usage.gpu_equivalents == 0.6667
    # Ours are nobody's foreign containers, and a stopped one keeps its share.
    one.lab.stop_container(one.person, "first")
    shown = {slot.slot: slot for each in one.lab.gpus(one.person).gpus for slot in each.slots}
    assert [shown[f"0/{number}"].state for number in (1, 2, 3)] == ["leased"] * 3
    assert one.lab.start_container(one.person, "first").gpus == made[0].gpus
    one.lab.stop_container(one.person, "second")
    one.lab.remove_container(one.person, "second")
    assert given(two, two.create("fourth", gpu="0/2")) == ([gpu], gpu, "0/2")


def test_shares_come_back_when_the_ledger_is_lost(
    make_desk: Callable[..., Desk], limits: Path
) -> None:
    desk = make_desk()
    made = [desk.create("first", gpu="0/2"), desk.create("second", gpu="shared")]
    desk.lab.stop_container(desk.person, "second")
    before = {lease.slot: (lease.info, lease.state) for lease in desk.lab._ledger.live_leases()}
    assert sorted(before) == ["0/1", "0/2"]
    for declared, share in ((3, 1 / 3), (None, 1 / 2)):
        desk.lab.close()
        for item in desk.settings.ledger.parent.iterdir():
            item.unlink()
        declare(limits, declared)
        desk.lab = Lab(desk.settings)
        after = {lease.slot: (lease.info, lease.state) for lease in desk.lab._ledger.live_leases()}
        assert {name: state for name, (_, state) in after.items()} == {
            name: state for name, (_, state) in before.items()
        }
        # Not declared any more: counted as the largest share there can be, never as less.
        assert [info.share for info, _ in after.values()] == [share] * 2
        if declared:
            assert after == before
    assert {one.name: one.gpus[0].slot for one in desk.lab.containers(desk.person)} == {
        one.name: one.gpus[0].slot for one in made
    }
    other = make_desk()
    with pytest.raises(NotFound, match="that GPU is shared"):
        other.lab.create_container(other.person, request("whole", "0"))
    desk.lab.start_container(desk.person, "second")


def test_a_whole_gpu_is_rebuilt_as_such_though_it_is_shared_now(
    make_desk: Callable[..., Desk], limits: Path
) -> None:
    declare(limits, None)
    desk = make_desk()
    desk.create("big", gpu="0")
    desk.lab.close()
    for item in desk.settings.ledger.parent.iterdir():
        item.unlink()
    declare(limits, 3)
    desk.lab = Lab(desk.settings)
    [lease] = desk.lab._ledger.live_leases()
    assert (lease.slot, lease.info.kind, lease.info.share) == ("0", "gpu", 1.0)
    assert desk.leased() == {"0": "active"}


def test_a_foreign_container_keeps_all_shares_busy(
    make_desk: Callable[..., Desk], limits: Path, rig_engine: RigEngine
) -> None:
    desk = make_desk()
    slot = desk.lab.gpus(desk.person).gpus[0].slots[1]
    client: docker.DockerClient = desk.docker
    stranger = client.containers.run(
        rig_engine.base_image,
        ["sleep", "300"],
        name=f"ds01-sharing-stranger-{desk.person.uid}",
        detach=True,
        device_requests=[
            DeviceRequest(device_ids=[slot.uuid.partition("#")[0]], capabilities=[["gpu"]])
        ],
    )
    try:
        found = desk.eventually(slot.uuid, "foreign")
        assert found.used_by == stranger.name
        with pytest.raises(NoFreeSlot):
            desk.lab.create_container(desk.person, request("mine"))
    finally:
        stranger.remove(force=True)
    assert desk.create("mine", gpu="shared").gpus[0].slot == "0/1"
