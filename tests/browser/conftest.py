"""One JupyterLab and one Chromium for the browser tests, on the rig's engine and driver."""

from __future__ import annotations

import contextlib
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from ds01_jupyter.core.identity import process_owner
from tests.browser.lab import ROOT, Lab, Notebook, chromium, running_lab
from tests.rig.fixtures import RigEngine
from tests.rig.nvml import Machine

RESULTS = ROOT / "test-results" / "browser"
LIMITS = """
defaults:
  max_cpus: 1
  memory: 1g
  shm_size: 64m
  pids_limit: 256
  max_containers_per_user: 90
  max_mig_instances: 2
"""


@dataclass(frozen=True)
class Place:
    """What the tests need to know of the lab: where things lie, and under which prefix."""

    lab: Lab
    engine: RigEngine
    prefix: str
    folder: Path
    """Root of the workspaces."""
    dockerfiles: Path


@pytest.fixture(autouse=True)
def jp_asyncio_loop() -> None:
    """No event loop: these tests need none, and Playwright runs one of its own in this thread.

    pytest-jupyter's fixture of this name would close that one.
    """


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The system's Chromium."""
    with chromium() as running:
        yield running


@pytest.fixture(scope="module")
def place(
    rig_engine: RigEngine, simulated_nvml: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Place]:
    """A running JupyterLab; what was made under its prefix is removed at the end."""
    folder = tmp_path_factory.mktemp("lab")
    prefix = f"ds01w-{os.getpid()}-{uuid.uuid4().hex[:6]}"
    machine = Machine(folder / "nvml.state")
    machine.write_preset("lab", tag=uuid.uuid4().hex[:8])
    limits = folder / "resource-limits.yaml"
    limits.write_text(LIMITS, encoding="utf-8")
    workspaces = folder / "workspaces"
    workspaces.mkdir()
    # Dockerfiles must lie in the home of the account, which a variable does not change.
    dockerfiles = process_owner().home / f".{prefix}"
    environment = {
        "DS01_NVML_LIBRARY": str(simulated_nvml),
        "FAKENVML_STATE": str(machine.path),
        "DOCKER_HOST": rig_engine.docker_host,
    }
    config = {
        "ServerApp": {"jpserver_extensions": {"ds01_jupyter": True, "jupyterlab": True}},
        "DS01App": {
            "ledger": str(folder / "ledger.sqlite"),
            "limits": str(limits),
            "dockerfiles": str(dockerfiles),
            "workspace_roots": [str(workspaces)],
            "architecture": "CUDA_ADA",
        },
    }
    try:
        with running_lab(folder / "jupyter", environment, config) as lab:
            yield Place(lab, rig_engine, prefix, workspaces, dockerfiles)
    finally:
        _remove(rig_engine, prefix)
        shutil.rmtree(dockerfiles, ignore_errors=True)


def _remove(engine: RigEngine, prefix: str) -> None:
    with closing(engine.client()) as client:
        for container in client.containers.list(all=True, filters={"name": prefix}):
            container.remove(force=True)
        for image in client.images.list():
            for tag in image.tags:
                if tag.startswith(prefix):
                    client.images.remove(tag, force=True)


@pytest.fixture
def notebook(browser: Browser, place: Place, request: pytest.FixtureRequest) -> Iterator[Notebook]:
    """An empty notebook in front of a person. A failing test leaves a picture of it."""
    opened = Notebook(browser, place.lab, f"{request.node.name}.ipynb")
    failed = request.session.testsfailed
    picture = RESULTS / f"failed-{request.node.name}.png"
    picture.unlink(missing_ok=True)
    try:
        yield opened
        if request.session.testsfailed > failed:
            with contextlib.suppress(Exception):  # the picture only helps to find the fault
                opened.page.screenshot(path=picture)
    finally:
        opened.close()
