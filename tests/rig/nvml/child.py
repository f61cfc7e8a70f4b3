"""Ask the simulated driver through the real pynvml, in a process of its own.

One process can only ever have one NVML library, and pynvml keeps state; a child has neither.
"""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

from .machine import Machine

#: What every script begins with: the library as the product loads it, and a few short hands.
PRELUDE = """
import ctypes, json, os, sys
driver = ctypes.CDLL(os.environ["DS01_NVML_LIBRARY"])
import pynvml as N

def call(function, *arguments):
    "The answer, or the name of the error."
    try:
        return function(*arguments)
    except N.NVMLError as error:
        return type(error).__name__

def mig(gpu):
    found = []
    for i in range(N.nvmlDeviceGetMaxMigDeviceCount(gpu)):
        device = call(N.nvmlDeviceGetMigDeviceHandleByIndex, gpu, i)
        if not isinstance(device, str):
            found.append(device)
    return found

def placements(gpu, profile):
    count = ctypes.c_uint()
    N.nvmlDeviceGetGpuInstancePossiblePlacements(gpu, profile, None, ctypes.byref(count))
    all = (N.c_nvmlGpuInstancePlacement_t * count.value)()
    N.nvmlDeviceGetGpuInstancePossiblePlacements(gpu, profile, all, ctypes.byref(count))
    return [[p.start, p.size] for p in all]

def place(gpu, profile, start):
    shape = N.c_nvmlGpuInstancePlacement_t(start, placements(gpu, profile)[0][1])
    # pynvml hands on what it is given, and C wants a pointer.
    return N.nvmlDeviceCreateGpuInstanceWithPlacement(gpu, profile, ctypes.byref(shape))

def answer(value):
    print(json.dumps(value))
"""
INIT = "N.nvmlInit()\n"
GPU0 = INIT + "gpu = N.nvmlDeviceGetHandleByIndex(0)\n"

#: Answers every GPU with its MIG devices.
WALK = (
    INIT
    + """
found = []
for i in range(N.nvmlDeviceGetCount()):
    gpu = N.nvmlDeviceGetHandleByIndex(i)
    devices = []
    for device in mig(gpu):
        instance = N.nvmlDeviceGetGpuInstanceById(gpu, N.nvmlDeviceGetGpuInstanceId(device))
        info = N.nvmlGpuInstanceGetInfo(instance)
        devices.append({
            "name": N.nvmlDeviceGetName(device), "uuid": N.nvmlDeviceGetUUID(device),
            "gi": info.id, "start": info.placement.start, "size": info.placement.size,
        })
    found.append({"name": N.nvmlDeviceGetName(gpu), "uuid": N.nvmlDeviceGetUUID(gpu),
                  "pci": N.nvmlDeviceGetPciInfo(gpu).busId, "mig": devices})
answer(found)
"""
)


class NvmlChild:
    """Runs scripts in new processes against a machine; a call returns what `answer(...)` gave."""

    def __init__(self, library: Path, machine: Machine) -> None:
        self.library = library
        self.machine = machine

    def start(self, *parts: str) -> subprocess.Popen[str]:
        """Start a script of these parts, for a talk through its pipes."""
        script = "\n".join(textwrap.dedent(part) for part in (PRELUDE, *parts))
        return subprocess.Popen(
            [sys.executable, "-c", script],
            env=self.machine.env(self.library),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __call__(self, *parts: str) -> Any:
        with self.start(*parts) as process:
            output, _ = process.communicate(timeout=60)
        assert process.returncode == 0
        return json.loads(output)
