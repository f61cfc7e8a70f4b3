"""Containers on the real engine: what they are given, and that nothing else is left behind."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ds01_jupyter.core import models
from ds01_jupyter.core.errors import (
    Conflict,
    CoreError,
    EngineUnavailable,
    Forbidden,
    InvalidInput,
    LimitReached,
    NoFreeSlot,
    NotFound,
)
from tests.engine.conftest import Desk
from tests.rig.fixtures import RigEngine
from tests.rig.nvml import Machine

pytestmark = pytest.mark.engine


def request(name: str = "c", **wishes: object) -> models.ContainerRequest:
    wishes.setdefault("framework", {"framework": "Pytorch", "version": "2.5.1"})
    return models.ContainerRequest.model_validate({"name": name, "gpu": "1g.5gb", **wishes})


def test_b20_all_limits_and_the_slot_are_given_at_creation(
    desk: Desk, rig_engine: RigEngine
) -> None:
    made = desk.create("thesis")
    docker = desk.inspect(made)
    host, config = docker["HostConfig"], docker["Config"]
    assert host["NanoCpus"] == 2_000_000_000
    assert host["Memory"] == host["MemorySwap"] == 512 * 2**20
    assert host["ShmSize"] == 128 * 2**20
    assert host["PidsLimit"] == 321
    assert host["CgroupParent"] == "ds01-student.slice"
    assert host["Privileged"] is False
    assert host["NetworkMode"] not in ("host", "none")
    assert host["IpcMode"] != "host"
    assert host["CapAdd"] in (None, [])
    assert config["User"] == f"{desk.person.uid}:{desk.person.gid}"
    assert docker["State"]["Running"] is True
    [slot] = made.gpus
    assert host["DeviceRequests"][0]["DeviceIDs"] == [slot.uuid]
    [record] = rig_engine.hook_records(made.id)
    assert set(record.devices) == {slot.uuid}
    assert desk.leased() == {slot.slot: "active"}


def test_b7_without_a_slot_there_is_no_gpu(desk: Desk, rig_engine: RigEngine) -> None:
    made = desk.create("cpu", gpu="none")
    docker = desk.inspect(made)
    assert not docker["HostConfig"]["DeviceRequests"]
    visible = [item for item in docker["Config"]["Env"] if item.startswith("NVIDIA_VISIBLE")]
    assert visible == ["NVIDIA_VISIBLE_DEVICES=void"]
    assert all(set(one.devices) <= {"void"} for one in rig_engine.hook_records(made.id))
    assert desk.leased() == {}


def test_f12_b10_two_slots_are_two_devices(desk: Desk) -> None:
    made = desk.create("two", gpus=2)
    devices = desk.inspect(made)["HostConfig"]["DeviceRequests"][0]["DeviceIDs"]
    assert len(set(devices)) == 2
    assert devices == [slot.uuid for slot in made.gpus]


def test_the_workspace_is_the_persons_and_survives_everything(desk: Desk) -> None:
    made = desk.create("thesis")
    workspace = desk.person.home / "workspace" / "thesis"
    assert made.workspace == str(workspace)
    assert (workspace.stat().st_uid, workspace.stat().st_gid) == (desk.person.uid, desk.person.gid)
    code, _ = desk.docker.containers.get(made.id).exec_run(
        ["sh", "-c", "echo kept > /workspace/note && whoami"]
    )
    assert code == 0
    desk.lab.stop_container(desk.person, "thesis")
    desk.lab.remove_container(desk.person, "thesis")
    assert (workspace / "note").read_text() == "kept\n"
    assert desk.mine() == []
    assert desk.leased() == {}


def test_f20_the_account_is_in_the_container(desk: Desk) -> None:
    made = desk.create("thesis", gpu="none")
    code, output = desk.docker.containers.get(made.id).exec_run(["id"])
    assert code == 0
    assert f"uid={desk.person.uid}({desk.person.name})".encode() in output


def test_data_and_models_are_mounted_from_allowed_folders(
    make_desk: Callable[..., Desk], tmp_path: Path
) -> None:
    for name in ("data", "models"):
        (tmp_path / name).mkdir()
    desk = make_desk(data_roots=(str(tmp_path / "data"),), model_roots=(str(tmp_path),))
    made = desk.create(
        "c", gpu="none", data=str(tmp_path / "data"), models=str(tmp_path / "models")
    )
    mounts = {one["Target"]: one["Source"] for one in desk.inspect(made)["HostConfig"]["Mounts"]}
    assert mounts["/data"] == str(tmp_path / "data")
    assert mounts["/models"] == str(tmp_path / "models")
    with pytest.raises(InvalidInput, match="outside"):
        desk.lab.create_container(desk.person, request("d", data="/etc"))
    with pytest.raises(InvalidInput, match="outside"):
        desk.lab.create_container(desk.person, request("d", data=str(tmp_path / "models")))


def test_stop_holds_the_slot_and_start_takes_the_same(desk: Desk) -> None:
    made = desk.create("thesis")
    [slot] = made.gpus
    stopped = desk.lab.stop_container(desk.person, "thesis")
    assert stopped.state == "exited"
    assert desk.leased() == {slot.slot: "held"}
    started = desk.lab.start_container(desk.person, "thesis")
    assert (started.state, started.gpus) == ("running", made.gpus)
    assert desk.leased() == {slot.slot: "active"}


def test_wrong_moments_are_conflicts(desk: Desk) -> None:
    desk.create("thesis")
    with pytest.raises(Conflict, match="running already"):
        desk.lab.start_container(desk.person, "thesis")
    with pytest.raises(Conflict, match="is running"):
        desk.lab.remove_container(desk.person, "thesis")
    with pytest.raises(Conflict, match="thesis"):
        desk.lab.create_container(desk.person, request("thesis"))
    desk.lab.stop_container(desk.person, "thesis")
    with pytest.raises(Conflict, match="not running"):
        desk.lab.stop_container(desk.person, "thesis")
    with pytest.raises(NotFound):
        desk.lab.stop_container(desk.person, "other")


def test_limits_refuse_with_their_figures(desk: Desk) -> None:
    desk.create("a")
    desk.create("b")
    with pytest.raises(LimitReached) as refusal:
        desk.lab.create_container(desk.person, request("c"))
    details = refusal.value.details
    assert (details["limit"], details["in_use"], details["asked"]) == (2, 2, 1)
    desk.create("c", gpu="none")
    with pytest.raises(LimitReached) as refusal:
        desk.lab.create_container(desk.person, request("d", gpu="none"))
    assert (refusal.value.details["limit"], refusal.value.details["in_use"]) == (3, 3)


def test_parallel_requests_do_not_pass_a_limit_together(desk: Desk) -> None:
    def attempt(number: int) -> models.Operation | None:
        with contextlib.suppress(LimitReached):
            return desk.lab.create_container(desk.person, request(f"c{number}"))
        return None

    with ThreadPoolExecutor(8) as pool:
        started = [one for one in pool.map(attempt, range(8)) if one is not None]
    assert len(started) == 2
    uuids = [desk.succeed(one)["gpus"][0]["uuid"] for one in started]
    assert len(set(uuids)) == 2


def test_f5_a_slot_is_given_to_one_person_only(make_desk: Callable[..., Desk]) -> None:
    first, second = make_desk(), make_desk()
    made = first.create("mine", gpu="3g.20gb")
    with pytest.raises(NoFreeSlot) as refusal:
        second.lab.create_container(second.person, request("c", gpu="3g.20gb"))
    assert refusal.value.hint
    with pytest.raises(NoFreeSlot):
        second.lab.create_container(second.person, request("c", gpu=made.gpus[0].slot))
    assert second.mine() == []


def test_b9_a_slot_that_plain_docker_uses_is_not_given(desk: Desk, rig_engine: RigEngine) -> None:
    snapshot = desk.lab.gpus(desk.person)
    slot = next(s for gpu in snapshot.gpus for s in gpu.slots if s.profile == "3g.20gb")
    name = f"foreign-{desk.person.uid}"
    from docker.types import DeviceRequest

    foreign = desk.docker.containers.run(
        rig_engine.base_image,
        ["sleep", "300"],
        name=name,
        detach=True,
        device_requests=[DeviceRequest(device_ids=[slot.uuid], capabilities=[["gpu"]])],
    )
    try:
        with pytest.raises(NoFreeSlot):
            desk.lab.create_container(desk.person, request("c", gpu="3g.20gb"))
        shown = desk.eventually(slot.uuid, "foreign")
        assert shown.used_by == name
        listed = {one.name: one for one in desk.lab.containers(desk.person)}
        assert (listed[name].managed, listed[name].made_by) == (False, "docker")
        assert listed[name].gpus[0].uuid == slot.uuid
    finally:
        foreign.remove(force=True)


def test_what_disappears_behind_our_back_is_released(desk: Desk) -> None:
    made = desk.create("thesis")
    desk.docker.containers.get(made.id).remove(force=True)
    assert [one.name for one in desk.lab.containers(desk.person) if one.managed] == []
    assert desk.leased() == {}


def test_others_cannot_touch_it(make_desk: Callable[..., Desk]) -> None:
    first, second = make_desk(), make_desk()
    made = first.create("mine")
    for action in (
        second.lab.container,
        second.lab.stop_container,
        second.lab.start_container,
        second.lab.remove_container,
    ):
        with pytest.raises((Forbidden, NotFound)):
            action(second.person, made.full_name)
    with pytest.raises((Forbidden, NotFound)):
        second.lab.container_logs(second.person, made.full_name, 10)
    assert first.lab.container(first.person, "mine").state == "running"
    assert made.full_name not in [one.full_name for one in second.lab.containers(second.person)]
    everybody = second.lab.containers(second.person, everybody=True)
    assert made.full_name in [one.full_name for one in everybody]


BAD = {
    "space": {"name": "a b"},
    "dot": {"name": "a.b"},
    "slash": {"name": "a/b"},
    "newline": {"name": "a\nb"},
    "dash": {"name": "-a"},
    "unicode": {"name": "thesis\u0456"},
    "long": {"name": "a" * 200},
    "empty": {"name": ""},
    "slot": {"gpu": "9:9"},
    "profile": {"gpu": "5g.99gb"},
    "gpu text": {"gpu": "device=all --privileged"},
    "workspace": {"workspace": "/etc"},
    "up": {"workspace": "~/../.."},
    "framework": {"framework": {"framework": "Caffe"}},
    "version": {"framework": {"framework": "Pytorch", "version": "99"}},
    "architecture": {"framework": {"framework": "Pytorch", "architecture": "CUDA_Z"}},
    "no image": {"framework": None, "image": "nothing-like-this:1"},
    "odd image": {"framework": None, "image": "-v /:/host"},
}


@pytest.mark.parametrize("wishes", BAD.values(), ids=BAD.keys())
def test_bad_input_is_one_sentence_and_leaves_nothing(
    desk: Desk, wishes: dict[str, object]
) -> None:
    with pytest.raises(CoreError) as refusal:
        desk.lab.create_container(desk.person, request(**{"name": "c", **wishes}))
    assert 400 <= refusal.value.status < 500
    assert refusal.value.message
    assert "\n" not in refusal.value.message
    assert desk.mine() == []
    assert desk.leased() == {}
    assert list(desk.person.home.iterdir()) == []
    assert desk.lab.operations(desk.person) == []


def test_a_workspace_through_a_link_is_refused_without_a_trace(desk: Desk, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (desk.person.home / "link").symlink_to(outside)
    with pytest.raises(InvalidInput, match="is a link"):
        desk.lab.create_container(desk.person, request("c", workspace="~/link/x"))
    assert list(outside.iterdir()) == []
    assert desk.mine() == []
    assert desk.leased() == {}


def test_f30_a_container_that_cannot_start_leaves_nothing(desk: Desk, gpu_machine: Machine) -> None:
    # An image without a shell: PID 1 cannot be started.
    empty = f"ds01t-empty-{desk.person.uid}"
    desk.docker.api.import_image_from_data(b"\0" * 10240, repository=empty)
    try:
        operation = desk.lab.create_container(
            desk.person, request("c", framework=None, image=f"{empty}:latest")
        )
        ended = desk.finish(operation)
        assert ended.state == "failed"
        assert ended.error is not None
        assert ended.error.message
        assert desk.mine() == []
        assert desk.leased() == {}
        assert not (desk.person.home / "workspace").exists()
    finally:
        desk.docker.images.remove(empty, force=True)


def test_docker_not_running_is_said_at_once(make_desk: Callable[..., Desk], tmp_path: Path) -> None:
    desk = make_desk(docker_host=f"unix://{tmp_path}/nothing.sock")
    with pytest.raises(EngineUnavailable) as refusal:
        desk.lab.create_container(desk.person, request("c"))
    assert refusal.value.status == 503
    assert refusal.value.hint
    with pytest.raises(EngineUnavailable):
        desk.lab.containers(desk.person)
    assert desk.lab.about(desk.person).docker.available is False
    assert desk.lab.gpus(desk.person).gpus, "GPUs can be looked at while Docker is away"


def test_without_a_driver_only_cpu_containers(desk: Desk, gpu_machine: Machine) -> None:
    gpu_machine.write_preset("none")
    with pytest.raises(CoreError) as refusal:
        desk.lab.create_container(desk.person, request("c"))
    # 503 where the driver never answered, 409 where it did once and has no GPU now.
    assert refusal.value.status in (409, 503)
    assert desk.lab.gpus(desk.person).gpus == []
    assert desk.create("cpu", gpu="none").state == "running"


def test_logs_show_what_the_shell_printed(desk: Desk) -> None:
    made = desk.create("thesis", gpu="none")
    with desk.docker.api.attach_socket(made.id, params={"stdin": 1, "stream": 1}) as socket:
        socket._sock.send(b"echo hello-from-the-shell\n")
        socket._sock.close()
    stopped = False
    for _ in range(100):
        if "hello-from-the-shell" in desk.lab.container_logs(desk.person, "thesis", 50).text:
            stopped = True
            break
    assert stopped


def test_b2_the_number_of_docker_calls_does_not_grow_with_the_containers(
    make_desk: Callable[..., Desk], monkeypatch: pytest.MonkeyPatch
) -> None:
    import requests

    calls: list[str] = []
    original = requests.Session.send

    def counted(self: requests.Session, prepared: requests.PreparedRequest, **kw: object) -> object:
        calls.append(f"{prepared.method} {prepared.path_url}")
        return original(self, prepared, **kw)

    monkeypatch.setattr(requests.Session, "send", counted)
    desk = make_desk()
    counts = []
    for number in range(3):
        calls.clear()
        desk.create(f"c{number}", gpu="none")
        counts.append(len(calls))
    assert counts[1] == counts[2], calls
    assert counts[2] <= 15, calls
