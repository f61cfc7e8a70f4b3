"""From the command to Docker and back, on the rig's engine."""

from __future__ import annotations

import json
import re
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ds01_jupyter.core.identity import process_owner
from tests.rig.fixtures import RigEngine
from tests.server.jupyter_process import JupyterProcess, started
from tests.server.test_client_server import Kernel

pytestmark = pytest.mark.engine

FRAMEWORK = ["--framework=Pytorch", "--version=2.5.1", "--architecture=CUDA_ADA", "--base=none"]
LIMITS = """
defaults:
  max_cpus: 1
  memory: 512m
  shm_size: 64m
  pids_limit: 256
  max_containers_per_user: 2
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder below the owner's home, where workspaces may lie."""
    made = process_owner().home / f"ds01t-{uuid.uuid4().hex[:10]}"
    made.mkdir()
    yield made
    shutil.rmtree(made)


@pytest.fixture
def server(
    tmp_path: Path, folder: Path, rig_engine: RigEngine, gpu_machine: Any
) -> Iterator[JupyterProcess]:
    limits = tmp_path / "limits.yaml"
    limits.write_text(LIMITS)
    config = {
        "docker_host": rig_engine.docker_host,
        "ledger": str(tmp_path / "ledger.sqlite"),
        "limits": str(limits),
        "dockerfiles": str(folder / "dockerfiles"),
    }
    with started(tmp_path, {"DS01App": config}) as running:
        yield running


@pytest.fixture
def docker(rig_engine: RigEngine) -> Iterator[Any]:
    client = rig_engine.client()
    yield client
    client.close()


@pytest.fixture
def name(docker: Any, unique_name: str) -> Iterator[str]:
    """A name whose container and images are gone afterwards, however the test ended."""
    yield unique_name
    for container in docker.containers.list(all=True, filters={"name": unique_name}):
        container.remove(force=True)
    for image in docker.images.list():
        for tag in image.tags:
            if tag.startswith(unique_name):
                docker.images.remove(tag)


def test_the_whole_way_in_a_terminal(
    server: JupyterProcess, docker: Any, name: str, folder: Path
) -> None:
    uid = process_owner().uid
    made = server.ds01(
        "create", name, *FRAMEWORK, "--gpu", "1g.5gb", "--workspace", str(folder / "work")
    )
    assert made.returncode == 0, made.stderr
    assert re.findall(r"^\[.*|^✓.*(?= \()", made.stderr, re.MULTILINE) == [
        f"[1/2] image {name}",
        f"✓ image {name}",
        f"[2/2] container {name}",
        f"✓ container {name}",
    ]
    assert f"full name  {name}._.{uid}" in made.stdout

    container = docker.containers.get(f"{name}._.{uid}")
    assert container.attrs["HostConfig"]["NanoCpus"] == 10**9
    (shown,) = json.loads(server.ds01("container", "list", "--json").stdout)[:1]
    assert (shown["name"], shown["state"]) == (name, "running")
    (slot,) = shown["gpus"]
    assert slot["profile"] == "1g.5gb"
    (request,) = container.attrs["HostConfig"]["DeviceRequests"]
    assert request["DeviceIDs"] == [slot["uuid"]]
    assert "you" in server.ds01("gpus").stdout
    assert name in server.ds01("image", "list").stdout

    again = server.ds01("create", name, *FRAMEWORK)
    assert again.returncode == 1
    assert f"You have a container {name} already." in again.stderr
    refused = server.ds01("container", "remove", name, "--yes")
    assert refused.returncode == 1
    assert "running" in refused.stderr

    for words in ("stop", "start", "logs", "stop"):
        assert server.ds01("container", words, name).returncode == 0
    assert server.ds01("container", "remove", name, "--yes").returncode == 0
    assert server.ds01("image", "remove", name, "--yes").returncode == 0
    assert docker.containers.list(all=True, filters={"name": name}) == []
    assert (folder / "work").is_dir()


def test_what_is_refused_leaves_the_image_and_says_how_to_go_on(
    server: JupyterProcess, docker: Any, name: str, folder: Path
) -> None:
    done = server.ds01("create", name, *FRAMEWORK, "--gpu", "9g.90gb")
    assert done.returncode == 1
    assert f"`ds01 container create {name} --image {name}`" in " ".join(done.stderr.split())
    assert docker.containers.list(all=True, filters={"name": name}) == []
    show = json.loads(server.ds01("image", "show", name, "--json").stdout)
    assert show["name"] == name
    assert show["containers"] == []


def test_a_notebook_watches_it_live(
    server: JupyterProcess, docker: Any, name: str, folder: Path
) -> None:
    kernel = Kernel(server)
    try:
        kernel.run("%load_ext ds01_jupyter")
        line = f"create {name} {' '.join(FRAMEWORK)} --gpu none --workspace {folder / 'work'}"
        first = kernel.run(f"w = %ds01 {line}")
        assert first[0]["msg_type"] == "display_data"
        assert f"1/2 image {name}" in first[0]["content"]["data"]["text/plain"]
        kernel.run("w.wait(120)")
        assert kernel.text("w.state, w.result.name") == f"('succeeded', '{name}')"
        assert f"full name  {name}._." in kernel.run("w")[0]["content"]["data"]["text/plain"]
        kernel.run(f"%ds01 container stop {name}")
        text = kernel.text(f"%ds01 container remove {name} --yes")
        assert text.startswith(f"Container {name} is removed")
    finally:
        kernel.close()
    assert docker.containers.list(all=True, filters={"name": name}) == []
