"""`shared_gpus` in a limits file: what is declared, what is wrong with it, and what is odd."""

from __future__ import annotations

from pathlib import Path

import pytest

from ds01_jupyter.core.errors import ConfigurationError
from ds01_jupyter.core.gpu.nvml import NvmlDriver
from ds01_jupyter.core.gpu.sharing import SharedGpu
from ds01_jupyter.core.limits import LimitsFile
from ds01_jupyter.core.limits_check import Hardware, check_text
from tests.rig.nvml import Machine

UUID = "GPU-5eed0000-fa4e-0000-0000-000000000000"
WRONG = f"""\
shared_gpus:
- {{gpu: 0, containers: 1}}
- {{gpu: 1, containers: 65}}
- {{gpu: 2, containers: four}}
- {{gpu: 3, containers: 2.5}}
- {{gpu: 4, containers: yes}}
- {{gpu: -1, containers: 2}}
- {{gpu: "0:1", containers: 2}}
- {{gpu: MIG-{UUID[4:]}, containers: 2}}
- {{containers: 2}}
- {{gpu: 5}}
- {{gpu: 6, contaners: 2}}
- 7
-
- {{gpu: 8, containers: 2}}
- {{gpu: 08, containers: 3}}
- {{gpu: {UUID}, containers: 3}}
- {{gpu: {UUID.lower()}, containers: 3}}
"""


def read(tmp_path: Path, text: str) -> LimitsFile:
    path = tmp_path / "limits.yaml"
    path.write_text(text)
    return LimitsFile.load(path)


def test_what_is_declared(tmp_path: Path) -> None:
    text = f"shared_gpus:\n- {{gpu: 0, containers: 4}}\n- {{containers: 64, gpu: {UUID}}}\n"
    assert read(tmp_path, text).shared_gpus == (SharedGpu("0", 4), SharedGpu(UUID, 64))
    for nothing in ("defaults: {}", "shared_gpus:", "shared_gpus: []"):
        assert read(tmp_path, nothing).shared_gpus == ()


def test_every_mistake_is_told_with_its_line() -> None:
    report = check_text(WRONG, "limits.yaml")
    assert not report.ok
    told = [(found.line, found.key, found.message) for found in report.mistakes]
    number = "this is a whole number from 2 to 64."
    index = "this is the index of a GPU such as 0, or its UUID (GPU-...)."
    assert sorted(told) == [
        (2, "shared_gpus[0].containers", number),
        (3, "shared_gpus[1].containers", number),
        (4, "shared_gpus[2].containers", number),
        (5, "shared_gpus[3].containers", number),
        (6, "shared_gpus[4].containers", number),
        (7, "shared_gpus[5].gpu", index),
        (8, "shared_gpus[6].gpu", index),
        (9, "shared_gpus[7].gpu", index),
        (10, "shared_gpus[8]", "gpu is missing."),
        (11, "shared_gpus[9]", "containers is missing."),
        (12, "shared_gpus[10]", "containers is missing."),
        (12, "shared_gpus[10].contaners", "this key has no meaning here."),
        (13, "shared_gpus[11]", "this must be a section of `key: value` lines."),
        (14, "shared_gpus[12]", "containers is missing."),
        (14, "shared_gpus[12]", "gpu is missing."),
        (16, "shared_gpus[14]", "GPU 8 is declared in line 15 already."),
        (18, "shared_gpus[16]", f"GPU {UUID.lower()} is declared in line 17 already."),
    ]
    hints = {found.key: found.hint for found in report.mistakes}
    assert "'containers'" in hints["shared_gpus[10].contaners"]
    assert "MIG instance cannot be shared" in hints["shared_gpus[7].gpu"]


def test_a_mistake_refuses_the_whole_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"limits.yaml:2: shared_gpus\[0\].containers"):
        read(tmp_path, "shared_gpus:\n- {gpu: 0, containers: 0}\n")
    with pytest.raises(ConfigurationError, match="must be a list"):
        read(tmp_path, "shared_gpus: {gpu: 0, containers: 4}\n")


@pytest.fixture
def machine(gpu_machine: Machine, simulated_nvml: Path) -> Hardware:
    """The preset "lab": whole 0 and 1; 2 is 3g+2g+1g+1g, 3 is 7 x 1g."""
    driver = NvmlDriver(str(simulated_nvml))
    cards = driver.inventory().gpus
    driver.close()
    return Hardware(cpus=8, memory=2**40, gpus=4, slots=13, whole=2, smallest=1 / 7, cards=cards)


def test_declarations_are_held_against_the_gpus(machine: Hardware) -> None:
    assert machine.cards is not None
    uuid = machine.cards[0].uuid
    text = (
        "shared_gpus:\n"
        "- {gpu: 0, containers: 4}\n"
        "- {gpu: 2, containers: 4}\n"
        "- {gpu: 7, containers: 4}\n"
        f"- {{gpu: {uuid}, containers: 8}}\n"
    )
    report = check_text(text, "limits.yaml", machine)
    assert report.ok
    assert [(found.line, found.message) for found in report.warnings] == [
        (3, "GPU 2 is in MIG mode and cannot be shared: its instances are given."),
        (4, "This machine has no GPU 7 (now), so nothing is shared."),
        (5, "GPU 0 is declared in line 2 too, which counts."),
    ]
    assert report.warnings[0].hint == "Switch MIG off on it, or take the entry out."


def test_quotas_are_held_against_the_slots_that_sharing_makes(machine: Hardware) -> None:
    """13 slots, of which one becomes 64: 76."""
    text = "defaults: {max_mig_instances: 70, max_gpu_equivalents: 0.1, allow_full_gpu: false}\n"
    plain = {found.key for found in check_text(text, "limits.yaml", machine).warnings}
    assert plain == {"defaults.max_mig_instances", "defaults.max_gpu_equivalents"}
    shared = text + "shared_gpus: [{gpu: 0, containers: 64}]\n"
    assert check_text(shared, "limits.yaml", machine).warnings == []


def test_without_a_driver_nothing_is_held_against_it() -> None:
    text = "shared_gpus: [{gpu: 7, containers: 4}]\n"
    assert check_text(text, "limits.yaml").warnings == []
