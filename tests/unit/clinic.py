"""A machine with a ledger, and the health of its GPUs, in the words of the tests."""

from __future__ import annotations

from pathlib import Path

from ds01_jupyter.core.gpu.board import infos
from ds01_jupyter.core.gpu.health import GpuHealth, Verdict
from ds01_jupyter.core.gpu.nvml import NvmlDriver
from ds01_jupyter.core.gpu.slots import GpuInfo
from ds01_jupyter.core.identity import Person
from ds01_jupyter.core.ledger import HistoryRow, Ledger
from ds01_jupyter.core.ledger_cordons import KnownGpu
from tests.rig.nvml import Machine
from tests.unit.desk import Desk

ADMIN = Person("root", 0, 0, Path("/root"))


class Clinic:
    """A machine, its ledger, and the health of its GPUs."""

    def __init__(self, library: Path, ledger: Path, machine: Machine) -> None:
        self.machine = machine
        self.library = str(library)
        self.ledger = Ledger(ledger)
        self.driver = NvmlDriver(self.library, refresh=0)
        self.desk = Desk(self.ledger, self.driver)
        self.health = GpuHealth(self.ledger, "here", grace=0.0)

    def gpus(self) -> list[GpuInfo]:
        return infos(self.driver.snapshot())

    def look(self, health: GpuHealth | None = None) -> Verdict:
        reading = self.driver.snapshot()
        return (health or self.health).look(infos(reading), reading.driver_version)

    def uuid(self, index: int) -> str:
        return next(gpu.uuid for gpu in self.driver.inventory().gpus if gpu.index == index)

    def causes(self, health: GpuHealth | None = None) -> dict[int, list[str]]:
        """Causes by GPU index."""
        rows = [row for rows in (health or self.health).cordons().values() for row in rows]
        found: dict[int, list[str]] = {}
        for row in rows:
            cause = row.cause if row.xid is None else f"xid {row.xid}"
            found.setdefault(row.gpu_index, []).append(cause)
        return found

    def history(self) -> list[HistoryRow]:
        """What was written of GPUs, oldest first."""
        return [row for row in self.ledger.history(999)[::-1] if row.action.startswith("gpu.")]

    def xid(self, index: int, code: int) -> bool:
        gpu = KnownGpu(self.uuid(index), index, "x")
        return self.health.xid(gpu, code, self.driver.inventory().driver_version)
