"""pytest fixtures for tests that need real parts (``pytest_plugins = ["tests.rig.fixtures"]``).

Tests clean up only what they named or labelled themselves. They share the engine with each other
and with whatever a person runs in it: never remove by difference or by a pattern without a prefix
of your own.
"""

from __future__ import annotations

import functools
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from .base_image import PYTORCH_TAG, TENSORFLOW_TAG, ensure_images
from .buildx import ensure_buildx
from .dockerd import Engine
from .hook import HookRecord, hook_records
from .nvml import Machine, build
from .paths import RigPaths
from .processes import RigError
from .registry import Registry
from .users import EngineUse

if TYPE_CHECKING:
    import docker


class RigEngine:
    """The running private engine, as tests see it."""

    #: Stand-in for an AIME image with torch 2.5.1+cu121, torchvision and torchaudio.
    base_image = PYTORCH_TAG
    #: Stand-in for an AIME image with tensorflow 2.16.1.
    tensorflow_image = TENSORFLOW_TAG

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.paths = engine.paths

    @property
    def docker_host(self) -> str:
        """What DOCKER_HOST must hold."""
        return self.paths.docker_host

    def client(self) -> docker.DockerClient:
        """A new docker-py client; the caller closes it."""
        import docker

        return docker.DockerClient(base_url=self.docker_host, timeout=120)

    def hook_records(self, container_id: str | None = None) -> list[HookRecord]:
        """What containers were given as they started; of one container if its id is given."""
        return hook_records(self.paths, container_id)

    def restart(self) -> None:
        """Restart the engine. Every test that shares it sees its containers stop."""
        self.engine.restart()


@pytest.fixture(scope="session")
def rig_engine() -> Iterator[RigEngine]:
    """The private Docker engine with the base images, started if it does not run.

    The last test process that uses it stops it, unless it ran before or DS01_RIG_KEEP is set.
    """
    engine = Engine(RigPaths.default())
    try:
        use = EngineUse(engine)
    except (RigError, OSError) as error:
        pytest.fail(f"the rig's Docker engine does not start: {error}", pytrace=False)
    try:
        try:
            ensure_images(engine.paths)
        except (RigError, OSError) as error:
            pytest.fail(f"the rig's base images cannot be had: {error}", pytrace=False)
        yield RigEngine(engine)
    finally:
        use.release()


@pytest.fixture(scope="session")
def rig_registry(rig_engine: RigEngine) -> Iterator[Registry]:
    """A real registry with storage of its own for this test process; stopped at its end.

    ``rig_registry.push(client, image)`` puts an image there and says by what name to pull it.
    """
    name = f"registry-{os.getpid()}"
    registry = Registry(rig_engine.paths, name)
    try:
        registry.start()
    except (RigError, OSError) as error:
        pytest.fail(f"the rig's registry does not start: {error}", pytrace=False)
    yield registry
    registry.stop()
    shutil.rmtree(registry.directory)


@pytest.fixture(scope="session")
def rig_buildx(rig_engine: RigEngine) -> Path:
    """The program of Docker's buildx plugin."""
    try:
        return ensure_buildx(rig_engine.paths)
    except (RigError, OSError) as error:
        pytest.fail(f"buildx cannot be had: {error}", pytrace=False)


@functools.cache
def _library() -> Path:
    return build(RigPaths.default().root)


@pytest.fixture(scope="session")
def simulated_nvml() -> Path:
    """The path of the simulated driver library."""
    try:
        return _library()
    except RigError as error:
        pytest.fail(f"the simulated driver cannot be built: {error}", pytrace=False)


@pytest.fixture
def gpu_machine(simulated_nvml: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """A machine of its own (preset "lab") with the simulated driver loaded in this process.

    Its UUIDs are unlike those of every other test's machine: tests share one Docker engine, and a
    container of one must not look as if it held a device of another.

    The library stays loaded in the process when the test is over, and so does pynvml's count of
    nvmlInit calls: a test that calls nvmlInit calls nvmlShutdown.
    """
    machine = Machine(tmp_path / "nvml.state")
    machine.write_preset("lab", tag=uuid.uuid4().hex[:8])
    monkeypatch.setenv("DS01_NVML_LIBRARY", str(simulated_nvml))
    monkeypatch.setenv("FAKENVML_STATE", str(machine.path))
    machine.load_here(simulated_nvml)
    return machine


@pytest.fixture
def unique_name() -> str:
    """A name no other test, process or session uses; fit for containers, images and labels."""
    return f"ds01t-{os.getpid()}-{uuid.uuid4().hex[:10]}"
