"""From an image request to a removed container, over HTTP, on the real engine."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from ds01_jupyter.core.identity import process_owner
from tests.rig.fixtures import RigEngine
from tests.server.conftest import Answer, Ask

pytestmark = pytest.mark.engine

BUILD = 240.0
FRAMEWORK = {"framework": "Pytorch", "version": "2.5.1", "architecture": "CUDA_ADA"}


@pytest.fixture
def docker_host(rig_engine: RigEngine) -> str:
    """The rig's engine."""
    return rig_engine.docker_host


@pytest.fixture
def own(rig_engine: RigEngine, unique_name: str) -> Iterator[str]:
    """A name for what this test makes; whatever is left of it is removed."""
    yield unique_name
    with closing(rig_engine.client()) as client:
        for container in client.containers.list(all=True, filters={"name": unique_name}):
            container.remove(force=True)
        for image in client.images.list():
            for tag in image.tags:
                if unique_name in tag:
                    client.images.remove(tag, force=True)


async def ended(ask: Ask, answer: Answer) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Follow the operation of a 202; the operation as it ended, and its events."""
    assert answer.status == 202, answer.body
    assert answer.headers["Location"].endswith(f"operations/{answer.json['id']}")
    path = f"operations/{answer.json['id']}"
    stream = await ask("GET", f"{path}/events", request_timeout=BUILD)
    assert stream.status == 200
    lines = stream.body.decode().splitlines()
    events = [json.loads(line[len("data: ") :]) for line in lines if line.startswith("data: ")]
    return (await ask("GET", path)).json, events


async def made(ask: Ask, answer: Answer) -> dict[str, Any]:
    """The result of an operation that must succeed."""
    operation, events = await ended(ask, answer)
    assert operation["state"] == "succeeded", (operation["error"], events[-20:])
    assert [event["id"] for event in events] == list(range(1, len(events) + 1))
    assert events[-1]["state"] == "succeeded"
    result: dict[str, Any] = operation["result"]
    return result


async def names(ask: Ask, path: str) -> list[str]:
    return [each["name"] for each in (await ask("GET", path)).json]


async def test_image_to_container_and_back(
    ask: Ask, own: str, rig_engine: RigEngine, tmp_path: Path, dockerfiles: Path
) -> None:
    request = {"name": own, "base": "none", "pip": ["six"], **FRAMEWORK}
    preview = await ask("POST", "dockerfile", body=request)
    assert preview.status == 200, preview.body
    assert rig_engine.base_image in preview.json["dockerfile"]
    assert list(dockerfiles.iterdir()) == []

    image = await made(ask, await ask("POST", "images", body=request))
    assert (image["name"], image["pip"], image["managed"]) == (own, ["six"], True)
    assert own in await names(ask, "images")
    assert (await ask("GET", f"images/{own}")).json["reference"] == image["reference"]
    stored = (await ask("GET", f"images/{own}/dockerfile")).json
    assert Path(stored["path"]).read_text() == stored["dockerfile"]
    assert stored["state"] == "same"

    workspace = tmp_path / "work"
    body = {"name": own, "image": own, "gpu": "any", "workspace": str(workspace)}
    container = await made(ask, await ask("POST", "containers", body=body))
    assert (container["name"], container["state"]) == (own, "running")
    assert len(container["gpus"]) == 1
    limits = (await ask("GET", f"containers/{own}")).json["limits"]
    assert (limits["cpus"], limits["memory"], limits["pids"]) == (0.5, 512 * 2**20, 256)
    assert own in await names(ask, "containers")
    assert own in await names(ask, "containers?all=true")

    again = await ask("POST", "containers", body=body)
    assert (again.status, again.json["code"]) == (409, "conflict")
    used = await ask("DELETE", f"images/{own}")
    assert used.status == 409
    running = await ask("DELETE", f"containers/{own}")
    assert running.status == 409
    assert set(running.json) == {"code", "message", "hint", "details"}

    assert (await ask("GET", f"containers/{own}/logs?tail=5")).status == 200
    assert (await ask("POST", f"containers/{own}/stop")).json["state"] == "exited"
    assert (await ask("POST", f"containers/{own}/start")).json["state"] == "running"
    assert (await ask("POST", f"containers/{own}/stop")).json["state"] == "exited"
    leased = [
        slot["lease"]["container"]
        for gpu in (await ask("GET", "gpus")).json["gpus"]
        for slot in gpu["slots"]
        if slot["lease"]
    ]
    assert leased == [own]

    assert (await ask("DELETE", f"containers/{own}")).status == 204
    assert own not in await names(ask, "containers")
    assert (await ask("GET", f"containers/{own}")).status == 404
    assert (await ask("DELETE", f"images/{own}")).status == 204
    assert own not in await names(ask, "images")
    assert workspace.is_dir(), "the workspace outlives its container"
    usage = (await ask("GET", "limits")).json["usage"]
    assert usage == {"containers": 0, "slots": 0, "gpu_equivalents": 0.0}
    with closing(rig_engine.client()) as client:
        assert client.containers.list(all=True, filters={"name": own}) == []
        assert [tag for image in client.images.list() for tag in image.tags if own in tag] == []


async def test_a_build_is_cancelled_and_leaves_nothing(
    ask: Ask, own: str, rig_engine: RigEngine
) -> None:
    request = {"name": own, "base": "none", "pip": ["six", "tqdm", "einops"], **FRAMEWORK}
    answer = await ask("POST", "images", body=request)
    assert answer.status == 202, answer.body
    cancelled = await ask("DELETE", f"operations/{answer.json['id']}")
    assert cancelled.status == 202
    operation, events = await ended(ask, answer)
    assert operation["state"] == "cancelled"
    assert operation["error"]["code"] == "cancelled"
    assert events[-1]["state"] == "cancelled"
    assert await names(ask, "images") == []
    with closing(rig_engine.client()) as client:
        assert [tag for image in client.images.list() for tag in image.tags if own in tag] == []


async def test_about_knows_the_engine(ask: Ask, rig_engine: RigEngine) -> None:
    about = (await ask("GET", "about")).json
    assert about["docker"]["available"] is True
    assert about["user"] == process_owner().name
    with closing(rig_engine.client()) as client:
        assert about["docker"]["version"] == client.version()["Version"]
