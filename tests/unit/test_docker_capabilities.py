"""What an engine can do, read off what it says of itself; and scripts for old Pythons."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from ds01_jupyter.core import build_routes, docker_engine
from ds01_jupyter.core.docker_engine import DockerEngine
from ds01_jupyter.core.docker_streams import context_tar
from ds01_jupyter.core.engine import Silent
from ds01_jupyter.core.errors import InvalidInput

SCRIPTS = sorted((Path(docker_engine.__file__).parent / "build_scripts").glob("*.py"))
CONTAINERD = {"driver-type": "io.containerd.snapshotter.v1"}


@pytest.mark.parametrize(
    ("api_version", "status", "os_type", "expected"),
    [
        ("1.41", {"Backing Filesystem": "extfs"}, "linux", True),
        ("1.51", {}, "linux", True),
        ("1.40", {}, "linux", False),
        ("1.9", {}, "linux", False),
        ("1.51", CONTAINERD, "linux", False),
        ("1.51", {}, "windows", False),
    ],
)
def test_buildkit_is_used_where_it_works_without_a_session(
    api_version: str, status: dict[str, str], os_type: str, expected: bool
) -> None:
    assert build_routes.over_api(api_version, status, os_type) is expected


def test_whether_gpus_can_be_given_may_be_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert docker_engine._gives_gpus({"Runtimes": {"runc": {}}}) is None
    assert docker_engine._gives_gpus({"Runtimes": {"runc": {}, "nvidia": {}}}) is True
    assert docker_engine._gives_gpus({"DiscoveredDevices": [{"ID": "nvidia.com/gpu=0"}]}) is True


@pytest.mark.parametrize("reference", ["", "A b", "x:", "http://x/y", "x@y"])
def test_what_is_no_reference_does_not_reach_docker(reference: str) -> None:
    engine = DockerEngine("unix:///no/such/socket")
    with pytest.raises(InvalidInput):
        engine.pull(reference, Silent())
    with pytest.raises(InvalidInput):
        engine.tag("x", reference)


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ("aimehub/x", ("aimehub/x", "latest")),
        ("rocm/dev:5.4.2-complete", ("rocm/dev", "5.4.2-complete")),
        ("localhost:5000/a/b", ("localhost:5000/a/b", "latest")),
        (f"a/b:1@sha256:{'0' * 64}", ("a/b", f"sha256:{'0' * 64}")),
    ],
)
def test_repository_and_tag(reference: str, expected: tuple[str, str]) -> None:
    assert docker_engine._named(reference) == expected


def test_equal_files_make_equal_contexts() -> None:
    one = context_tar({"b": b"2", "a": b"1"}, frozenset({"b"}))
    assert one == context_tar({"a": b"1", "b": b"2"}, frozenset({"b"}))
    assert one != context_tar({"a": b"1", "b": b"2"})


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_scripts_are_python_3_6(path: Path) -> None:
    assert SCRIPTS
    ast.parse(path.read_text(), feature_version=(3, 6))
