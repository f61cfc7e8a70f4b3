"""A snapshot of 8 GPUs with 7 MIG instances each, over the simulated driver, beside its peers.

Every way runs in an interpreter of its own: gpustat replaces functions of pynvml when imported.
The peers read more (names and command lines of processes), so they are no race, only a scale.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.measure import Figure, in_turn, median
from tests.rig.nvml import Machine, build
from tests.rig.paths import RigPaths

ROUNDS = 5

HEAD = """
import statistics, time
def clock(action, times):
    action()
    samples = []
    for _ in range(times):
        start = time.perf_counter()
        action()
        samples.append(time.perf_counter() - start)
    print(statistics.median(samples))
"""
OURS = """
import os
from ds01_jupyter.core.gpu.nvml import NvmlDriver
driver = NvmlDriver(os.environ["DS01_NVML_LIBRARY"])
assert len(driver.snapshot().slots) == 56
clock(driver.snapshot, 300)
"""
NVITOP = """
import nvitop
devices = nvitop.Device.all()
def snapshot():
    for device in devices:
        device.as_snapshot()
        for mig in device.mig_devices():
            mig.as_snapshot()
clock(snapshot, 3)
"""
GPUSTAT = """
import gpustat
clock(gpustat.new_query, 1)
"""


def figures() -> list[Figure]:
    """Milliseconds of one snapshot: ours, nvitop's, gpustat's."""
    with tempfile.TemporaryDirectory(prefix="ds01-bench-") as folder:
        machine = Machine(Path(folder) / "machine")
        machine.write_preset("dgx-mig")
        library = build(RigPaths.default().root)
        environment = machine.env(library)

        def fresh(code: str) -> float:
            done = subprocess.run(
                [sys.executable, "-c", HEAD + code],
                env=environment,
                check=True,
                capture_output=True,
                text=True,
            )
            return float(done.stdout.split()[-1])

        ours, nvitop, gpustat = in_turn(
            ROUNDS, lambda: fresh(OURS), lambda: fresh(NVITOP), lambda: fresh(GPUSTAT)
        )
    return [
        Figure("GPU snapshot, 8 GPUs x 7 MIG", median(ours) * 1000, 0.5, "ms", "cached handles"),
        Figure("the same by nvitop", median(nvitop) * 1000, None, "ms"),
        Figure("the same by gpustat (no MIG)", median(gpustat) * 1000, None, "ms"),
    ]
