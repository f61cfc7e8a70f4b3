"""Driver libraries that are absent, wrong, old or second, each in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.rig.nvml import Machine, build
from tests.rig.paths import RigPaths

ASK = """
import sys
from ds01_jupyter.core.errors import DriverUnavailable
from ds01_jupyter.core.gpu.nvml import NvmlDriver
try:
    driver = NvmlDriver(sys.argv[1])
    print(len(driver.inventory().slots), len(driver.snapshot().slots))
except DriverUnavailable as error:
    print(error.message)
"""


def in_a_process(library: str, program: str = ASK, **environment: str) -> str:
    clean = {key: value for key, value in os.environ.items() if key != "LD_LIBRARY_PATH"}
    done = subprocess.run(
        [sys.executable, "-c", program, library],
        env={**clean, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def test_no_library() -> None:
    gone = "import ctypes\ntry: ctypes.CDLL('libnvidia-ml.so.1')\nexcept OSError: print('gone')"
    expected = "There is no NVIDIA driver on this machine (libnvidia-ml.so.1 was not found)."
    if in_a_process("", gone) == "gone":  # else this machine has a real driver
        assert in_a_process("") == expected


def test_a_library_that_is_not_there(tmp_path: Path) -> None:
    path = str(tmp_path / "libnvidia-ml.so.1")
    assert in_a_process(path) == f"The NVIDIA driver library {path} cannot be loaded."


def test_a_library_that_would_not_be_asked(simulated_nvml: Path) -> None:
    answer = in_a_process("libm.so.6")
    assert answer.startswith("The library libm.so.6 cannot take the place of the NVIDIA driver")


def test_a_second_library_in_one_process(simulated_nvml: Path, gpu_machine: Machine) -> None:
    other = build(RigPaths.default().root, old_driver=True)
    program = f"""
from ds01_jupyter.core.gpu.nvml import NvmlDriver
NvmlDriver({str(simulated_nvml)!r}).inventory()
NvmlDriver({str(simulated_nvml)!r}).close()
{ASK}"""
    answer = in_a_process(str(other), program, FAKENVML_STATE=str(gpu_machine.path))
    assert "cannot take the place" in answer


def test_an_old_driver(gpu_machine: Machine) -> None:
    gpu_machine.add("proc gpu=2 pid=202 used=7 gi=9 ci=0")
    library = build(RigPaths.default().root, old_driver=True)
    program = f"{ASK}\nprint([item.processes[0].pid for gpu in driver.snapshot().gpus"
    program += " for item in gpu.slots if item.processes])"
    answer = in_a_process(str(library), program, FAKENVML_STATE=str(gpu_machine.path))
    assert answer.splitlines() == ["13 13", "[202]"]
