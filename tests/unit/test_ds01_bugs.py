"""Bugs of DS01 (numbers of docs/coming-from-ds01.md) that no single module here could have.

Those of one module have their tests beside its other tests, with the number in their names.
"""

from __future__ import annotations

import ast
import json
import os
import re
import runpy
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import ValidationError

import ds01_jupyter
from ds01_jupyter.core.docker_containers import create_config
from ds01_jupyter.core.engine import ContainerPlan
from ds01_jupyter.core.errors import ConfigurationError, LimitReached, NotFound
from ds01_jupyter.core.gpu.nvml import NvmlDriver
from ds01_jupyter.core.gpu.request import GpuRequest
from ds01_jupyter.core.identity import process_owner
from ds01_jupyter.core.ledger import Ledger
from ds01_jupyter.core.limits import LimitsFile
from ds01_jupyter.core.models import ContainerRequest, SlotReference
from tests.rig.nvml import Machine
from tests.rig.paths import REPOSITORY
from tests.unit.desk import ANNA, Desk

PACKAGE = Path(ds01_jupyter.__file__).parent
SCRIPTS = PACKAGE / "core" / "build_scripts"


@pytest.fixture
def desk(gpu_machine: Machine, simulated_nvml: Path, tmp_path: Path) -> Iterator[Desk]:
    found = Desk(Ledger(tmp_path / "ledger.sqlite"), NvmlDriver(str(simulated_nvml)))
    yield found
    found.close()


# ---- text of programs ----------------------------------------------------------------------------

RUNS_PROGRAMS = {"subprocess", "pty", "popen2", "pexpect", "sh"}
RUNS_ONE = {"system", "popen", "execv", "execvp", "execve", "spawnv", "posix_spawn", "spawnvp"}


def runs_a_program(file: Path) -> list[str]:
    found = []
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            if node.value.id == "os" and node.attr in RUNS_ONE:
                found.append(f"os.{node.attr}")
            elif node.attr.startswith("create_subprocess"):
                found.append(node.attr)
        found += [name for name in names if name.partition(".")[0] in RUNS_PROGRAMS]
    return found


def test_f25_f28_no_output_of_a_program_is_read() -> None:
    """Upstream searched what nvidia-smi, docker and its own scripts print for people; a label that
    was worded anew, or a count that came out twice, changed limits. Here Docker and the driver are
    asked through their interfaces. (The build scripts run inside images, and read exit codes;
    buildx writes JSON for programs, of the same shape as BuildKit's own interface.)"""
    files = [file for file in PACKAGE.rglob("*.py") if SCRIPTS not in file.parents]
    files.remove(PACKAGE / "core/buildx.py")
    assert len(files) > 150
    assert {str(file): runs for file in files if (runs := runs_a_program(file))} == {}


# ---- who it is -----------------------------------------------------------------------------------


@pytest.mark.parametrize("variable", ["USER", "LOGNAME", "SUDO_USER", "SUDO_UID", "HOME"])
def test_f31_the_environment_does_not_say_who_somebody_is(
    monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    """`whoami` under sudo said root, and what it made was root's."""
    before = process_owner()
    monkeypatch.setenv(variable, "65534" if variable == "SUDO_UID" else "nobody")
    assert process_owner() == before
    assert before.uid == os.getuid()


def test_b9_no_flag_of_docker_can_be_sent() -> None:
    """What upstream did not know it passed on to Docker: labels, devices, cgroups, privileges."""
    body = {"name": "c", "image": "i"}
    assert ContainerRequest.model_validate(body).name == "c"
    for field in (
        *("privileged", "labels", "label", "devices", "device", "gpu_uuid", "cgroup_parent"),
        *("env", "environment", "network", "volumes", "binds", "mounts", "user", "uid", "owner"),
        *("runtime", "cap_add", "security_opt", "entrypoint", "command", "interface", "limits"),
    ):
        with pytest.raises(ValidationError, match=r"extra_forbidden|not permitted"):
            ContainerRequest.model_validate({**body, field: "x"})


# ---- counts and devices --------------------------------------------------------------------------


def test_b8_a_number_is_a_slot_and_never_so_many_gpus(desk: Desk) -> None:
    """`-g=3` meant "any three GPUs" to Docker, past allocator and limits."""
    assert GpuRequest.parse("1", 1) == GpuRequest("slot", "1", 1)
    assert [slot.slot for slot in desk.claim("one", "1").slots] == ["1"]
    assert isinstance(desk.refusal("many", "7"), NotFound)
    assert isinstance(desk.refusal("many", "any", 3, max_slots_per_container=2), LimitReached)
    assert len(desk.claim("three", "1g.5gb", 3, max_slots_per_container=3).slots) == 3
    assert len(desk.allocator.live()) == 4, "each of them is counted"


@pytest.mark.parametrize("devices", [(), ("GPU-1",), ("MIG-1", "MIG-2", "MIG-3")])
def test_b8_docker_is_told_which_devices_and_never_how_many(devices: tuple[str, ...]) -> None:
    plan = ContainerPlan("x._.7", "i", {}, "7:8", ("/bin/bash",), devices=devices)
    given = create_config(plan)["HostConfig"].get("DeviceRequests", [])
    assert [one["DeviceIDs"] for one in given] == ([list(devices)] if devices else [])
    assert not any("Count" in one for one in given)
    assert create_config(replace(plan, environment={"NVIDIA_VISIBLE_DEVICES": "all"})) == (
        create_config(plan)
    )


@pytest.mark.parametrize(
    "line", ["max_runtime: 24h", "max_runtime_h: 24", "max_runtime_d: 1", "max_runtime: '24h'"]
)
def test_b17_a_longest_run_of_24_hours_is_24_hours(tmp_path: Path, line: str) -> None:
    """A unit was added to "24h", which then was no number and so no limit."""
    path = tmp_path / "limits.yaml"
    path.write_text(f"defaults: {{{line}}}\n")
    found = LimitsFile.load(path).person_limits(ANNA)
    assert found.max_runtime == timedelta(hours=24)


@pytest.mark.parametrize(
    "text",
    ["defaults: {max_runtime_h: 24h}\n", "container_types: {api: {idle_timeout: 15m}}\n"],
)
def test_b17_neither_two_units_nor_rules_for_one_way_in(tmp_path: Path, text: str) -> None:
    path = tmp_path / "limits.yaml"
    path.write_text(text)
    with pytest.raises(ConfigurationError):
        LimitsFile.load(path)


# ---- what is written down ------------------------------------------------------------------------


def test_b31_an_allocation_is_written_down_once_and_a_refusal_not_at_all(desk: Desk) -> None:
    """Every allocation was logged twice, dry runs too, and GPU "0" became the number 0."""
    claim = desk.claim("box", "0")
    [line] = desk.ledger.history(10)
    assert (line.action, line.subject) == ("lease.claim", claim.full_name)
    assert line.details["slots"] == [{"slot": "0", "uuid": desk.uuid("0")}]
    desk.refusal("box")  # the name is taken: nothing may have been written
    assert len(desk.ledger.history(10)) == 1


def test_b31_the_slot_0_is_a_name_and_not_a_number() -> None:
    document = SlotReference(slot="0", uuid="GPU-1", profile="whole").model_dump_json()
    assert json.loads(document)["slot"] == "0"
    with pytest.raises(ValidationError):
        SlotReference.model_validate({"slot": 0, "uuid": "GPU-1", "profile": None})


# ---- programs that wait for an answer ------------------------------------------------------------


def test_f46_packages_are_installed_without_questions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """dpkg asked which version of a file to keep, and a setup container waited for ever."""
    said = tmp_path / "said"
    fake = tmp_path / "bin" / "apt-get"
    fake.parent.mkdir()
    fake.write_text(f'#!/bin/sh\necho "$DEBIAN_FRONTEND $*" >> {said}\n')
    fake.chmod(0o755)
    lists = tmp_path / "lists"
    lists.mkdir()
    monkeypatch.syspath_prepend(str(SCRIPTS))
    script = runpy.run_path(str(SCRIPTS / "apt.py"))
    script["main"].__globals__["LISTS"] = str(lists)
    monkeypatch.delenv("DEBIAN_FRONTEND", raising=False)
    monkeypatch.setenv("PATH", f"{fake.parent}:{os.environ['PATH']}")
    packages = tmp_path / "packages.txt"
    packages.write_text("# a comment\ntree\n")
    assert script["main"]([str(packages)]) == 0
    [install] = [line for line in said.read_text().splitlines() if " install " in line]
    assert install.startswith("noninteractive ")
    assert "-y" in install.split()
    assert install.endswith(" -- tree")


# ---- tests that are not run ----------------------------------------------------------------------


@pytest.mark.parametrize(("required", "code"), [("1", 1), ("", 0)])
def test_f41_a_skipped_test_on_real_parts_fails_the_whole_run(
    tmp_path: Path, required: str, code: int
) -> None:
    """CI was green for months while it left out every test that needs the machine."""
    (tmp_path / "test_it.py").write_text(
        "import pytest\n\n@pytest.mark.engine\ndef test_it():\n    pytest.skip('no engine')\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-c", "pyproject.toml", "-p", "tests.conftest", "-q",
         "-p", "no:cacheprovider", str(tmp_path)],
        cwd=REPOSITORY, env={**os.environ, "DS01_REQUIRE_REAL": required},
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == code, done.stdout + done.stderr
    assert "on the real Docker engine: 0 passed, 0 failed, 1 skipped" in done.stdout


def test_f41_ci_leaves_no_test_out() -> None:
    options = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["pytest"]
    chosen = options["ini_options"]["addopts"]
    assert not [each for each in chosen if re.match(r"-m|-k|--ignore|--deselect|not ", each)]
    assert options["ini_options"]["testpaths"] == ["tests"]
    assert "make test" in (REPOSITORY / ".ci" / "run").read_text().splitlines()
    makefile = (REPOSITORY / "Makefile").read_text()
    assert "\tDS01_REQUIRE_REAL=1 $(BIN)/python -m pytest $(PYTEST_ARGS)\n" in makefile
    assert not re.search(r"^PYTEST_ARGS\s*[:?]?=", makefile, re.MULTILINE)
