"""Bugs of DS01 (numbers of docs/coming-from-ds01.md) that need the real engine to be seen.

Many others have their tests beside those of the module that they concern.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ds01_jupyter.core import models, people
from ds01_jupyter.core.errors import Conflict, LimitReached, NotFound
from ds01_jupyter.core.identity import person_of_uid
from tests.engine.conftest import Desk
from tests.engine.image_lab import ImageLab
from tests.engine.keeping import Accounts, keeping
from tests.rig.fixtures import RigEngine

pytestmark = pytest.mark.engine

FRAMEWORK = {"framework": "Pytorch", "version": "2.5.1"}
SEES = "import torch; print(torch.cuda.device_count())"


@pytest.fixture
def lab(rig_engine: RigEngine, tmp_path: Path, unique_name: str) -> Iterator[ImageLab]:
    found = ImageLab(rig_engine, tmp_path, unique_name)
    yield found
    found.clean()


def run(desk: Desk, made: models.Container, *command: str) -> str:
    """What a command in the container prints."""
    code, output = desk.docker.containers.get(made.id).exec_run(list(command))
    assert code == 0, output
    text: str = output.decode()
    return text


def test_f10_a_container_sees_its_own_instance_and_no_other(
    desk: Desk, rig_engine: RigEngine
) -> None:
    """AIME's images say NVIDIA_VISIBLE_DEVICES=all, and every instance of the GPU was in sight."""
    environment = desk.docker.api.inspect_image(rig_engine.base_image)["Config"]["Env"]
    assert "NVIDIA_VISIBLE_DEVICES=all" in environment, "else this shows nothing"
    made = [desk.create(name, gpu="1g.5gb") for name in ("one", "two")]
    uuids = [container.gpus[0].uuid for container in made]
    assert len(set(uuids)) == 2
    for container, uuid in zip(made, uuids, strict=True):
        [record] = rig_engine.hook_records(container.id)
        assert set(record.devices) == {uuid}
        assert run(desk, container, "printenv", "NVIDIA_VISIBLE_DEVICES").strip() == uuid
        assert run(desk, container, "python3", "-c", SEES).strip() == "1"


def test_b7_cpu_only_gets_no_gpu(desk: Desk, rig_engine: RigEngine) -> None:
    """`--cpu-only` left the devices to the image, which says `all`, and nobody counted them."""
    made = desk.create("cpu", gpu="none")
    assert rig_engine.hook_records(made.id) == []
    assert run(desk, made, "python3", "-c", SEES).strip() == "0"
    assert made.gpus == []
    free = [slot.state for gpu in desk.lab.gpus(desk.person).gpus for slot in gpu.slots]
    assert set(free) == {"free"}


def test_b24_a_container_leaves_the_image_that_all_share_as_it_is(
    make_desk: Callable[..., Desk], rig_engine: RigEngine
) -> None:
    """`docker commit` put one person's account into the image that the next one started from."""
    before = make_desk().docker.images.get(rig_engine.base_image).id
    first, second = make_desk(), make_desk()
    mine, yours = first.create("mine", gpu="none"), second.create("yours", gpu="none")
    assert first.docker.images.get(rig_engine.base_image).id == before
    assert f"({first.person.name})" in run(first, mine, "id")
    accounts = run(second, yours, "cat", "/etc/passwd")
    assert second.person.name in accounts
    assert first.person.name not in accounts


def test_b26_a_package_of_the_base_tier_and_the_same_of_ones_own(lab: ImageLab) -> None:
    """Requirements beside the Jupyter that comes by itself made a Dockerfile that did not build."""
    image = lab.create(base=["ipykernel"], pip=["ipykernel>=6", "einops>=0.8", "einops"])
    python = "import ipykernel, einops; print('both')"
    assert lab.run(image.reference, "python3", "-c", python) == "both\n"


def test_b31_looking_at_a_dockerfile_writes_nothing(desk: Desk) -> None:
    """A dry run made folders and wrote that something had been allocated."""
    request = models.ImageRequest.model_validate({"name": "i", "base": "none", **FRAMEWORK})
    before = desk.lab._ledger.history(1000)
    preview = desk.lab.preview_image(desk.person, request)
    assert preview.dockerfile.startswith("#") or "FROM" in preview.dockerfile
    assert list(desk.person.home.iterdir()) == []
    assert desk.lab._ledger.history(1000) == before
    assert desk.lab.operations(desk.person) == []
    assert desk.mine() == []


def test_b34_home_in_the_container_is_where_its_account_says(desk: Desk) -> None:
    """Keys were mounted for the name of the directory, and the account had another home."""
    made = desk.create("thesis", gpu="none")
    [line] = run(desk, made, "getent", "passwd", str(desk.person.uid)).splitlines()
    home = line.split(":")[5]
    assert run(desk, made, "sh", "-c", "echo $HOME").strip() == home
    assert run(desk, made, "sh", "-c", "touch ~/mine && stat -c %u ~/mine").strip() == str(
        desk.person.uid
    )
    mounts = desk.docker.api.inspect_container(made.id)["Mounts"]
    assert [mount["Destination"] for mount in mounts] == ["/workspace"], "and no keys are mounted"


def test_b27_nothing_in_a_container_listens_by_itself(desk: Desk, rig_engine: RigEngine) -> None:
    """Jupyter without a token listened on every address of the host."""
    made = desk.create("thesis", gpu="none")
    docker = desk.docker.api.inspect_container(made.id)
    assert docker["HostConfig"]["NetworkMode"] == "bridge"
    assert not docker["HostConfig"]["PortBindings"]
    assert not docker["HostConfig"]["PublishAllPorts"]
    listening = run(desk, made, "sh", "-c", "cat /proc/net/tcp /proc/net/tcp6").splitlines()
    assert [line for line in listening if line.split()[3:4] == ["0A"]] == []
    assert run(desk, made, "cat", "/proc/1/comm").strip() == "bash"


def test_f29_what_docker_did_not_remove_is_not_said_to_be_removed(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The exit code of `docker rm` was not looked at, and "not found" was a success."""
    with pytest.raises(NotFound):
        desk.lab.remove_container(desk.person, "thesis")
    made = desk.create("thesis")
    desk.lab.stop_container(desk.person, "thesis")
    engine = desk.lab._engine
    remove = engine.remove_container

    def started_meanwhile(container: str, *, force: bool = False) -> None:
        engine.start(container)
        remove(container, force=force)

    monkeypatch.setattr(engine, "remove_container", started_meanwhile)
    with pytest.raises(Conflict):
        desk.lab.remove_container(desk.person, "thesis")
    monkeypatch.undo()
    assert desk.lab.container(desk.person, "thesis").state == "running"
    assert desk.leased() == {made.gpus[0].slot: "active"}
    desk.lab.stop_container(desk.person, "thesis")
    desk.lab.remove_container(desk.person, "thesis")
    assert (desk.mine(), desk.leased()) == ([], {})


def test_f36_b4_a_stopped_container_bars_the_next_only_while_its_hold_lasts(
    make_desk: Callable[..., Desk], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was left of a job counted for good, since nobody could tell that it was a job."""
    accounts: Accounts = {}
    monkeypatch.setattr(
        people, "person_of_uid", lambda uid: accounts.get(uid) or person_of_uid(uid)
    )
    here = keeping(make_desk, accounts, "gpu_hold_after_stop: 15m\nmax_gpu_equivalents: 3/7")
    desk = here.desk
    desk.create("first", gpu="3g.20gb")
    desk.lab.stop_container(desk.person, "first")
    here.round()
    body = {"name": "second", "gpu": "3g.20gb", "framework": FRAMEWORK}
    request = models.ContainerRequest.model_validate(body)
    with pytest.raises(LimitReached) as refusal:
        desk.lab.create_container(desk.person, request)
    assert refusal.value.details["containers"] == ["first"]
    here.round(minutes=16)
    assert desk.succeed(desk.lab.create_container(desk.person, request))["state"] == "running"
