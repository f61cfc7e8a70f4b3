"""Making a container anew from its image, on the real engine."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ds01_jupyter.core import models
from ds01_jupyter.core.errors import NotFound
from tests.engine.conftest import Desk

pytestmark = pytest.mark.engine


def image(desk: Desk, name: str, **wishes: object) -> models.Image:
    request = {"framework": "Pytorch", "version": "2.5.1", "name": name, "base": "none", **wishes}
    operation = desk.lab.create_image(desk.person, models.ImageRequest.model_validate(request))
    return models.Image.model_validate(desk.succeed(operation))


def installed(desk: Desk, full_name: str) -> str:
    found = desk.docker.containers.get(full_name)
    return str(found.exec_run(["python3", "-m", "pip", "list", "--format=freeze"]).output)


def mine(desk: Desk) -> list[str]:
    """Names of everything in Docker that bears the person's number (others work beside us)."""
    # The plain list: docker-py's own looks at each container, and others' go meanwhile.
    found = [one["Names"][0].lstrip("/") for one in desk.docker.api.containers(all=True)]
    return sorted(name for name in found if str(desk.person.uid) in name)


def clean(desk: Desk, name: str) -> None:
    desk.lab.stop_container(desk.person, name)
    desk.lab.remove_container(desk.person, name)


def test_an_update_makes_the_containers_anew_with_name_workspace_limits_and_slot(
    desk: Desk, unique_name: str
) -> None:
    image(desk, unique_name)
    before = desk.create("thesis", image=unique_name)
    workspace = Path(before.workspace or "")
    (workspace / "notes.txt").write_text("mine")
    changes = models.ImageUpdateRequest(add_pip=["einops"], recreate=["thesis"])
    desk.succeed(desk.lab.update_image(desk.person, unique_name, changes))

    after = desk.lab.container(desk.person, "thesis")
    assert after.id != before.id
    assert (after.full_name, after.state) == (before.full_name, "running")
    assert after.gpus == before.gpus
    assert after.workspace == before.workspace
    assert after.limits == desk.lab.container(desk.person, "thesis").limits
    assert after.limits is not None
    assert after.limits.memory == 512 * 1024**2
    assert (workspace / "notes.txt").read_text() == "mine"
    assert "einops" in installed(desk, after.full_name)
    assert desk.leased() == {after.gpus[0].slot: "active"}
    assert mine(desk) == [after.full_name]
    found = desk.docker.images.list(filters={"dangling": True})
    assert [one.id for one in found if before.id in str(one.attrs)] == []
    clean(desk, "thesis")
    desk.lab.remove_image(desk.person, unique_name)


def test_a_stopped_container_stays_stopped_and_keeps_its_slot(desk: Desk) -> None:
    before = desk.create("thesis")
    desk.lab.stop_container(desk.person, "thesis")
    desk.succeed(desk.lab.recreate_container(desk.person, "thesis"))
    after = desk.lab.container(desk.person, "thesis")
    assert (after.state, after.gpus) == ("created", before.gpus)
    assert desk.leased() == {before.gpus[0].slot: "held"}
    assert desk.lab.start_container(desk.person, "thesis").state == "running"
    clean(desk, "thesis")


def test_what_fails_leaves_the_old_one_as_it_was(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = desk.create("thesis")
    old = desk.inspect(before)

    def broken(*_: object) -> None:
        raise NotFound("The new one cannot start.")

    monkeypatch.setattr(desk.lab._recreation, "_start", broken)
    ended = desk.finish(desk.lab.recreate_container(desk.person, "thesis"))
    assert ended.state == "failed"
    after = desk.lab.container(desk.person, "thesis")
    assert (after.id, after.state, after.gpus) == (before.id, "running", before.gpus)
    assert desk.inspect(after)["Image"] == old["Image"]
    assert mine(desk) == [before.full_name]
    clean(desk, "thesis")


def test_one_that_is_not_there_is_refused_before_anything_is_built(
    desk: Desk, unique_name: str
) -> None:
    image(desk, unique_name)
    changes = models.ImageUpdateRequest(add_pip=["einops"], recreate=["nobody"])
    with pytest.raises(NotFound):
        desk.lab.update_image(desk.person, unique_name, changes)
    assert desk.lab.image(desk.person, unique_name).build == 1
    desk.lab.remove_image(desk.person, unique_name)


RECREATE = """
import sys
from ds01_jupyter.core import models
from ds01_jupyter.core.identity import Person
from ds01_jupyter.core.lab import Lab
from ds01_jupyter.core.settings import Settings
from pathlib import Path
docker, nvml, ledger, limits, catalogue, root, name, uid, gid, home = sys.argv[1:]
settings = Settings(
    docker_host=docker, nvml_library=nvml, ledger=Path(ledger), limits=Path(limits),
    catalogue=Path(catalogue), workspace_roots=(root,), reconcile_seconds=0.0,
)
lab = Lab(settings)
person = Person(name, int(uid), int(gid), Path(home))
operation = lab.recreate_container(person, "thesis")
for _ in lab.operation_events(person, operation.id):
    pass
"""


@pytest.mark.parametrize(
    "step", ["recreate.aside", "recreate.made", "recreate.replaced", "recreate.done"]
)
def test_killed_at_any_step_the_next_look_puts_it_right(desk: Desk, step: str) -> None:
    before = desk.create("thesis")
    settings, person = desk.settings, desk.person
    arguments = [
        settings.docker_host,
        settings.nvml_library,
        str(settings.ledger),
        str(settings.limits),
        str(settings.catalogue),
        settings.workspace_roots[0],
        person.name,
        str(person.uid),
        str(person.gid),
        str(person.home),
    ]
    environment = {**os.environ, "DS01_CRASH_POINT": step}
    command = [sys.executable, "-c", RECREATE, *arguments]
    done = subprocess.run(command, env=environment, check=False, timeout=120)
    assert done.returncode == -9

    desk.lab._reconcile()
    assert mine(desk) == [before.full_name]
    after = desk.lab.container(desk.person, "thesis")
    replaced = step in ("recreate.replaced", "recreate.done")
    assert (after.id == before.id) is not replaced
    assert after.gpus == before.gpus
    if after.state != "running":
        assert desk.lab.start_container(desk.person, "thesis").state == "running"
    assert desk.leased() == {before.gpus[0].slot: "active"}
    clean(desk, "thesis")
    assert desk.leased() == {}
