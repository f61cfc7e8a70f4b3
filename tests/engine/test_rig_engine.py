"""The rig's shared engine: the GPU hook, the stand-in images, the network of containers."""

from __future__ import annotations

import io
import json
import tarfile
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import docker
import pytest
from docker.models.containers import Container
from docker.types import DeviceRequest

from tests.rig import network
from tests.rig.fixtures import RigEngine
from tests.rig.hook import refusing_device

pytestmark = pytest.mark.engine


@pytest.fixture
def client(rig_engine: RigEngine) -> Iterator[docker.DockerClient]:
    client = rig_engine.client()
    yield client
    client.close()


@pytest.fixture
def create(
    client: docker.DockerClient, rig_engine: RigEngine, unique_name: str
) -> Iterator[Callable[..., Container]]:
    """Creates containers of the base image that are removed after the test."""
    created: list[Container] = []

    def create(*command: str, gpus: list[str] | None = None, **options: Any) -> Container:
        if gpus:
            options["device_requests"] = [DeviceRequest(device_ids=gpus, capabilities=[["gpu"]])]
        container = client.containers.create(
            rig_engine.base_image, list(command), name=f"{unique_name}-{len(created)}", **options
        )
        created.append(container)
        return container

    yield create
    for container in created:
        container.remove(force=True)


def output_of(container: Container) -> str:
    """Start the container, wait for its end, and return what it printed."""
    container.start()
    status = container.wait(timeout=60)["StatusCode"]
    output: str = container.logs().decode()
    assert status == 0, output
    return output


def test_the_hook_records_what_a_container_is_given(
    rig_engine: RigEngine, create: Callable[..., Container]
) -> None:
    one = create("true", gpus=["GPU-5eed0000-fa4e-0000-0000-000000000001"])
    two = create("true", gpus=["MIG-aaaa", "MIG-bbbb"])
    for container in (one, two):
        output_of(container)
    [record] = rig_engine.hook_records(one.id)
    # The image's own value stands first; the container sees the last.
    assert record.devices == ("all", "GPU-5eed0000-fa4e-0000-0000-000000000001")
    [record] = rig_engine.hook_records(two.id)
    assert record.devices == ("all", "MIG-aaaa,MIG-bbbb")


def test_a_container_without_gpus_is_not_recorded(
    rig_engine: RigEngine, create: Callable[..., Container]
) -> None:
    container = create("true", environment={"NVIDIA_VISIBLE_DEVICES": "void"})
    output_of(container)
    assert rig_engine.hook_records(container.id) == []


def test_values_that_need_quoting_are_recorded_as_they_are(
    rig_engine: RigEngine, create: Callable[..., Container]
) -> None:
    odd = 'a"b\\c,"env":["NVIDIA_VISIBLE_DEVICES=x"]'
    environment = {"NVIDIA_VISIBLE_DEVICES": odd, "OTHER": "NVIDIA_VISIBLE_DEVICES=no"}
    container = create("echo", "NVIDIA_VISIBLE_DEVICES=no", gpus=["GPU-1"], environment=environment)
    output_of(container)
    [record] = rig_engine.hook_records(container.id)
    assert record.devices == (odd, "GPU-1")


def test_a_refused_device_stops_the_start(
    rig_engine: RigEngine, create: Callable[..., Container], unique_name: str
) -> None:
    container = create("true", gpus=["GPU-other", unique_name])
    with (
        refusing_device(rig_engine.paths, unique_name),
        pytest.raises(docker.errors.APIError, match=f"{unique_name}: unknown device"),
    ):
        container.start()
    output_of(container)  # and once it is known again, it starts


LOOK = """
import json, os, torch, torchaudio, torchvision
print(json.dumps([torch.__version__, torchvision.__version__, torchaudio.__version__,
                  torch.version.cuda, torch.cuda.is_available(), torch.cuda.device_count()]))
"""


@pytest.mark.parametrize(
    ("gpus", "environment", "count"),
    [
        (["GPU-1", "GPU-2"], {}, 2),
        (None, {"NVIDIA_VISIBLE_DEVICES": "void"}, 0),
        (None, {"NVIDIA_VISIBLE_DEVICES": ""}, 0),
    ],
)
def test_the_stand_in_torch_sees_the_gpus_it_was_given(
    create: Callable[..., Container],
    gpus: list[str] | None,
    environment: dict[str, str],
    count: int,
) -> None:
    container = create("python3", "-c", LOOK, gpus=gpus, environment=environment)
    versions = ["2.5.1+cu121", "0.20.1+cu121", "2.5.1+cu121", "12.1"]
    assert json.loads(output_of(container)) == [*versions, count > 0, count]


def test_pip_knows_the_frameworks_as_its_own(create: Callable[..., Container]) -> None:
    listed = output_of(create("pip", "list", "--format=freeze")).splitlines()
    for line in ("torch==2.5.1+cu121", "torchvision==0.20.1+cu121", "torchaudio==2.5.1+cu121"):
        assert line in listed
    assert output_of(create("pip", "check")) == "No broken requirements found.\n"
    # Every file is in pip's records: it can take the package away again.
    removal = create("pip", "uninstall", "--yes", "--break-system-packages", "torchvision")
    assert "Successfully uninstalled torchvision-0.20.1+cu121" in output_of(removal)


def test_the_tensorflow_image(client: docker.DockerClient, rig_engine: RigEngine) -> None:
    look = "import tensorflow as t; print(t.__version__, t.config.list_physical_devices('GPU'))"
    output = client.containers.run(
        rig_engine.tensorflow_image,
        ["python3", "-c", look],
        environment={"NVIDIA_VISIBLE_DEVICES": "void"},
        remove=True,
    )
    assert output == b"2.16.1 []\n"


def test_the_base_image_is_as_an_aime_image_is(
    client: docker.DockerClient, rig_engine: RigEngine
) -> None:
    image = client.images.get(rig_engine.base_image)
    assert "NVIDIA_VISIBLE_DEVICES=all" in image.attrs["Config"]["Env"]
    other = client.images.get(rig_engine.tensorflow_image)
    layers = [i.attrs["RootFS"]["Layers"] for i in (image, other)]
    assert layers[0][0] == layers[1][0]  # one Debian for both
    assert layers[0][1] != layers[1][1]


def test_pip_works_in_a_build(
    client: docker.DockerClient, rig_engine: RigEngine, unique_name: str
) -> None:
    dockerfile = f"""
        FROM {rig_engine.base_image}
        RUN ! pip install --no-cache-dir six 2> /refusal
        RUN pip install --no-cache-dir --break-system-packages six
        RUN python3 -c "import six"
        RUN grep externally-managed-environment /refusal
    """
    context = io.BytesIO()
    with tarfile.open(fileobj=context, mode="w") as tar:
        entry = tarfile.TarInfo("Dockerfile")
        entry.size = len(dockerfile)
        tar.addfile(entry, io.BytesIO(dockerfile.encode()))
    context.seek(0)
    try:
        image, _ = client.images.build(
            fileobj=context, custom_context=True, tag=unique_name, forcerm=True
        )
        assert image.tags == [f"{unique_name}:latest"]
    finally:
        client.images.remove(unique_name, force=True)


class Greeting(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"hello from the machine")

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Print nothing."""


def test_containers_reach_the_machine(
    rig_engine: RigEngine, create: Callable[..., Container]
) -> None:
    subnet = network.bridge_subnet(rig_engine.paths.bridge)
    assert subnet is not None
    server = HTTPServer((str(subnet[1]), 0), Greeting)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        url = f"http://{subnet[1]}:{server.server_port}/"
        script = (
            f"import urllib.request as u; print(u.urlopen({url!r}, timeout=20).read().decode())"
        )
        assert output_of(create("python3", "-c", script)) == "hello from the machine\n"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_limits_hold(create: Callable[..., Container]) -> None:
    container = create("true", mem_limit="64m", nano_cpus=500_000_000, pids_limit=50)
    output_of(container)
    host = container.attrs["HostConfig"]
    assert [host["Memory"], host["NanoCpus"], host["PidsLimit"]] == [64 << 20, 500_000_000, 50]
