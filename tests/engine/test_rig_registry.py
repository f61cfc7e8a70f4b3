"""The rig's registry: pushed to and pulled from as a public one."""

from __future__ import annotations

import io
import os
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from tests.rig.fixtures import RigEngine
from tests.rig.registry import Registry
from tests.rig.slow_line import slow_line

pytestmark = pytest.mark.engine


@pytest.fixture
def client(rig_engine: RigEngine) -> Iterator[docker.DockerClient]:
    client = rig_engine.client()
    yield client
    client.close()


@pytest.fixture
def own_image(client: docker.DockerClient, unique_name: str, tmp_path: Path) -> Iterator[str]:
    """An image of this test's own with one layer that no other image has."""
    archive = tmp_path / "layer.tar"
    with tarfile.open(archive, "w") as tar:
        entry = tarfile.TarInfo("own")
        entry.size = 3_000_000
        tar.addfile(entry, io.BytesIO(os.urandom(entry.size)))
    client.api.import_image(str(archive), repository=unique_name)
    yield unique_name
    for image in client.images.list():
        for tag in image.tags:
            if unique_name in tag:
                client.images.remove(tag, force=True)


def test_push_and_pull(client: docker.DockerClient, rig_registry: Registry, own_image: str) -> None:
    pushed = client.images.get(own_image).id
    name = rig_registry.push(client, own_image, "aimehub/own-image")
    assert name == f"{rig_registry.address}/aimehub/own-image"
    client.images.remove(own_image)
    with pytest.raises(docker.errors.ImageNotFound):
        client.images.get(name)
    pulled = client.images.pull(name, tag="latest")
    try:
        assert pulled.id == pushed
    finally:
        client.images.remove(name, force=True)


def test_an_image_that_is_not_there(client: docker.DockerClient, rig_registry: Registry) -> None:
    with pytest.raises(docker.errors.NotFound, match="not found"):
        client.images.pull(f"{rig_registry.address}/aimehub/no-such-image", tag="latest")


def test_a_slow_pull_shows_progress(
    client: docker.DockerClient, rig_registry: Registry, own_image: str
) -> None:
    repository = f"aimehub/{own_image}"
    rig_registry.push(client, own_image, repository)
    client.images.remove(own_image)
    assert rig_registry.address is not None
    with slow_line(rig_registry.address, bytes_per_second=4_000_000) as address:
        name = f"{address}/{repository}"
        events = list(client.api.pull(name, tag="latest", stream=True, decode=True))
        client.images.remove(name, force=True)
    downloading = [event for event in events if event.get("status") == "Downloading"]
    assert len(downloading) > 1
    assert all(0 < event["progressDetail"]["current"] <= 3_100_000 for event in downloading)


def test_stop_and_start_again(rig_engine: RigEngine, unique_name: str) -> None:
    registry = Registry(rig_engine.paths, unique_name)
    assert registry.address is None
    first = registry.start()
    assert registry.start() == first
    registry.stop()
    assert registry.address is None
    registry.stop()  # once more does no harm
    registry.start()
    registry.stop()
    shutil.rmtree(registry.directory)
