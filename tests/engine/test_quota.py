"""Quotas of a limits file on the real engine: what Docker holds, and what is left."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from ds01_jupyter.core import models
from ds01_jupyter.core.errors import LimitReached
from tests.engine.conftest import Desk

pytestmark = pytest.mark.engine

LIMITS = """
defaults: {cpus: 1, memory: 256m, shm_size: 64m, max_gpu_slots: 0}
groups:
  phd-vision:
    members_file: members
    max_gpu_equivalents: 4/7
    max_gpu_slots: 9
    allow_full_gpu: false
default_group: phd-vision
"""


@pytest.fixture
def desk(make_desk: Callable[..., Desk], tmp_path: Path) -> Desk:
    (tmp_path / "limits.yaml").write_text(LIMITS)
    (tmp_path / "members").write_text("somebody-else\n")
    return make_desk()


def request(name: str, gpu: str) -> models.ContainerRequest:
    framework = models.FrameworkChoice(framework="Pytorch", version="2.5.1")
    return models.ContainerRequest(name=name, framework=framework, gpu=gpu)


def test_b12_compute_is_counted_and_the_group_has_its_slice(desk: Desk) -> None:
    made = desk.create("three", gpu="3g.20gb")
    host = desk.inspect(made)["HostConfig"]
    assert host["CgroupParent"] == "ds01-phd_vision.slice"  # type: ignore[index]
    desk.create("one", gpu="1g.5gb")
    report = desk.lab.limits(desk.person)
    assert (report.usage.slots, report.usage.gpu_equivalents) == (2, round(4 / 7, 4))
    with pytest.raises(LimitReached) as refusal:
        desk.lab.create_container(desk.person, request("two", "any"))
    assert refusal.value.details["key"] == "max_gpu_equivalents"
    desk.lab.stop_container(desk.person, "three")
    with pytest.raises(LimitReached):
        desk.lab.create_container(desk.person, request("two", "1g.5gb"))
    desk.lab.remove_container(desk.person, "three")
    assert desk.create("two", gpu="2g.10gb").gpus[0].profile == "2g.10gb"


def test_whole_gpus_are_refused_before_docker_is_asked(desk: Desk) -> None:
    with pytest.raises(LimitReached, match="may not have whole GPUs"):
        desk.lab.create_container(desk.person, request("big", "whole"))
    assert desk.mine() == []
    assert desk.leased() == {}
