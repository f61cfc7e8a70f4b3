"""All slots are taken: the wizard says why, one waits in the queue, and then the container runs."""

from __future__ import annotations

import json
import os
import re
import time
import urllib.request
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.conftest import RESULTS, _remove
from tests.browser.lab import Lab, Notebook, running_lab
from tests.rig.fixtures import RigEngine
from tests.rig.nvml import Machine
from tests.rig.nvml.presets import CUDA_12, gpus

pytestmark = [pytest.mark.engine, pytest.mark.browser]

LIMITS = """
defaults:
  max_cpus: 1
  memory: 1g
  shm_size: 64m
  pids_limit: 256
  max_containers_per_user: 90
  max_mig_instances: 3
  max_runtime: 12h
  gpu_hold_after_stop: 15m
"""
TURN = 60_000
"""Milliseconds from the slot's freedom to the running container, on a busy machine."""


class Api:
    """The lab's API, for what other people do meanwhile."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """One request; its document."""
        request = urllib.request.Request(
            f"{self._lab.url}ds01/api/{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"token {self._lab.token}"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    def create(self, **request: Any) -> None:
        """A container, waited for until it runs."""
        operation = self.ask("POST", "containers", request)
        while operation["state"] in ("queued", "running"):
            time.sleep(0.1)
            operation = self.ask("GET", f"operations/{operation['id']}")
        assert operation["state"] == "succeeded", operation

    def free(self, name: str) -> None:
        """Stop and remove a container, which frees its slot."""
        self.ask("POST", f"containers/{name}/stop")
        self.ask("DELETE", f"containers/{name}")


@dataclass(frozen=True)
class FullLab:
    """A running JupyterLab, and where workspaces may lie."""

    lab: Lab
    workspaces: Path


@pytest.fixture(scope="module")
def prefix() -> str:
    return f"ds01q-{os.getpid()}-{uuid.uuid4().hex[:6]}"


@pytest.fixture(scope="module")
def full_lab(
    rig_engine: RigEngine,
    simulated_nvml: Path,
    tmp_path_factory: pytest.TempPathFactory,
    prefix: str,
) -> Iterator[FullLab]:
    """A lab with one 2g.10gb and one 1g.5gb, both taken."""
    folder = tmp_path_factory.mktemp("full")
    machine = Machine(folder / "nvml.state")
    with machine.edit() as lines:
        lines[:] = gpus(1, "a100-40", {0: [(14, 0), (19, 2)]}, CUDA_12)
    machine.set(0, uuid=f"GPU-{uuid.uuid4().hex[:8]}-fa4e-0000-0000-000000000000")
    limits = folder / "resource-limits.yaml"
    limits.write_text(LIMITS, encoding="utf-8")
    workspaces = folder / "workspaces"
    workspaces.mkdir()
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
            "workspace_roots": [str(workspaces)],
            "architecture": "CUDA_ADA",
        },
    }
    try:
        with running_lab(folder / "jupyter", environment, config) as lab:
            api = Api(lab)
            for name, gpu in (("train", "2g.10gb"), ("eval", "1g.5gb")):
                api.create(
                    name=f"{prefix}-{name}",
                    image=rig_engine.base_image,
                    gpu=gpu,
                    workspace=str(workspaces / name),
                )
            yield FullLab(lab, workspaces)
    finally:
        _remove(rig_engine, prefix)


@pytest.fixture
def notebook(browser: Browser, full_lab: FullLab) -> Iterator[Notebook]:
    opened = Notebook(browser, full_lab.lab, "queue.ipynb")
    try:
        yield opened
    finally:
        opened.close()


def pictures(notebook: Notebook, name: str) -> None:
    """Wide and narrow, and in the dark theme."""
    for width in (600, 1280):
        notebook.width(width, 1300)
        notebook.picture(RESULTS / f"{name}-{width}.png")
        assert notebook.sticking_out() == [], f"{name} at {width}"


def test_from_a_refusal_through_the_queue_to_a_container(
    notebook: Notebook, full_lab: FullLab, prefix: str
) -> None:
    api = Api(full_lab.lab)
    name = f"{prefix}-thesis"
    notebook.page.keyboard.press("Control+b")
    notebook.run("%load_ext ds01_jupyter")
    notebook.run("%ds01 container create")
    notebook.find(".ds01-image-source button", has_text="A framework as it is").click()
    expect(notebook.find(".ds01-framework .mod-active")).to_have_text("Pytorch")
    notebook.press("ds01-next")
    notebook.find(".ds01-container-name input").fill(name)
    notebook.find(".ds01-gpu label", has_text=re.compile("MIG 2g.10gb")).click()
    expect(notebook.find(".ds01-none-free")).to_contain_text("wait in the queue")
    notebook.find(".ds01-workspace input").fill(str(full_lab.workspaces / "thesis"))
    notebook.press("ds01-next")
    expect(notebook.find(".ds01-next")).to_have_text("Create container")
    notebook.press("ds01-next")

    why = notebook.find(".ds01-refused")
    expect(why.locator(".ds01-verdict")).to_contain_text("2g.10gb")
    expect(why.locator(".ds01-why-when")).to_contain_text("At the latest")
    expect(why.locator(".ds01-row", has_text=f"{prefix}-train")).to_have_count(1)
    expect(why.locator(".ds01-uses")).to_contain_text("2 of 3 in use")
    expect(notebook.find(".ds01-now button")).to_have_text("CPU only")
    pictures(notebook, "queue-1-refused")

    notebook.press("ds01-wait")
    place = notebook.find(".ds01-waits")
    expect(place.locator(".ds01-place")).to_contain_text("You are next.")
    expect(place.locator(".ds01-place")).to_contain_text("At the latest")
    pictures(notebook, "queue-2-place")
    assert [entry["position"] for entry in api.ask("GET", "queue")] == [1]

    api.free(f"{prefix}-train")
    expect(notebook.find(".ds01-container h3")).to_have_text(f"{name} is running", timeout=TURN)
    expect(notebook.find(".ds01-container-facts")).to_contain_text("2g.10gb")
    assert [entry["state"] for entry in api.ask("GET", "queue") if entry["mine"]] in ([], ["done"])
    assert notebook.watch.errors == []
    assert notebook.watch.outside == []
