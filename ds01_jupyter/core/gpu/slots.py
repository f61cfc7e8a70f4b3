"""What the driver knows, as plain values: GPUs, the slots that can be given, and their readings.

A slot is a whole GPU (`0`), a MIG instance (`0:1`: GPU index and MIG index as NVML counts them), or
a share of a GPU that an admin lets several containers use at a time (`0/1`, see `sharing`).
Names are for people and shift when instances are made or destroyed; identity is the UUID.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from ds01_jupyter.core.architecture import DriverFacts

WHOLE = "whole"
SHARED = "shared"
"""Profile of a share."""

SlotKind = Literal["gpu", "mig", "share"]

PROFILE = re.compile(r"(?:\d+c\.)?\d+g\.\d+gb(?:\+(?:me\.all|me|gfx)|-me)?", re.IGNORECASE)
"""Grammar of a MIG profile's name: `1g.5gb`, `1g.5gb+me`, `1c.3g.20gb`."""


@dataclass(frozen=True)
class SlotInfo:
    """One thing that can be given to a container.

    `memory_total` in bytes (None where the driver does not say, and for a share, which has none of
    its own). `share` is its part of a GPU's compute: 1.0 for a whole GPU, compute slices / 7 for
    MIG (/ 4 on an A30), 1 / N for one of N shares. `mig_index`, `gi` and `ci` (GPU and compute
    instance id) are those of a MIG instance, else None. `uuid` is the driver's; for a share it is
    the GPU's and the number of the share: `GPU-...#2`.
    """

    slot: str
    uuid: str
    kind: SlotKind
    profile: str
    gpu_index: int
    gpu_uuid: str
    memory_total: int | None
    share: float
    mig_index: int | None = None
    gi: int | None = None
    ci: int | None = None

    @property
    def order(self) -> tuple[int, int]:
        """Sorts slots as a person counts them: by GPU, then by MIG index or share, as numbers."""
        if self.kind == "share":
            return (self.gpu_index, int(self.uuid.rpartition("#")[2]))
        return (self.gpu_index, -1 if self.mig_index is None else self.mig_index)

    def bars(self, other: SlotInfo) -> bool:
        """Whether nobody can have `other` while somebody has this one: they are the same, or two
        kinds of use of one GPU (as a whole, by its MIG instances, by shares)."""
        if self.uuid == other.uuid:
            return True
        same_gpu = self.gpu_uuid == other.gpu_uuid
        return same_gpu and (self.kind == "gpu" or self.kind != other.kind)

    @property
    def device(self) -> str:
        """What Docker is told: the slot's UUID, for a share that of its GPU."""
        return self.gpu_uuid if self.kind == "share" else self.uuid


@dataclass(frozen=True)
class GpuInfo:
    """One physical GPU.

    With `problem` set, none of its slots may be given; `slots` then are those known before it
    stopped answering. `uuid` is empty when it was lost before its UUID could be read. Memory in
    bytes; None where the driver does not tell (a MIG GPU tells its total to root only). `error` is
    NVML's code where the problem is that the GPU gives no answer, None for every other problem.
    """

    index: int
    uuid: str
    name: str
    mig: bool
    memory_total: int | None
    compute_capability: tuple[int, int] | None
    slots: tuple[SlotInfo, ...]
    problem: str | None = None
    error: int | None = None


@dataclass(frozen=True)
class Inventory:
    """All GPUs at one moment. `facts` is what the choice of an image architecture rests on."""

    gpus: tuple[GpuInfo, ...]
    driver_version: str
    facts: DriverFacts

    @property
    def slots(self) -> tuple[SlotInfo, ...]:
        """The slots that can be given: those of GPUs without a problem."""
        return tuple(slot for gpu in self.gpus if gpu.problem is None for slot in gpu.slots)


@dataclass(frozen=True, slots=True)
class ProcessReading:
    """A compute process; `memory` in bytes, None where the driver does not say."""

    pid: int
    memory: int | None


@dataclass(frozen=True, slots=True)
class SlotReading:
    """A slot now: bytes, `utilisation` 0 to 1 or None (NVML has none for MIG)."""

    info: SlotInfo
    memory_used: int | None
    utilisation: float | None
    processes: tuple[ProcessReading, ...]


@dataclass(frozen=True, slots=True)
class GpuMeasurement:
    """A physical GPU now: bytes, 0 to 1, degrees Celsius, watts; None where not available.

    `problem` and `error` are the reading's: a GPU can be lost between two looks at the inventory.
    """

    info: GpuInfo
    memory_used: int | None
    utilisation: float | None
    temperature: int | None
    power: float | None
    slots: tuple[SlotReading, ...]
    problem: str | None = None
    error: int | None = None


@dataclass(frozen=True, slots=True)
class GpuReading:
    """All GPUs of the machine at one moment."""

    taken: datetime
    driver_version: str
    gpus: tuple[GpuMeasurement, ...]

    @property
    def slots(self) -> tuple[SlotInfo, ...]:
        """The slots that can be given: those of GPUs without a problem."""
        return tuple(
            reading.info for gpu in self.gpus if gpu.problem is None for reading in gpu.slots
        )


def mig_profile(
    device_name: str, *, gi_slices: int, ci_slices: int, memory: int, gpu_memory: int | None
) -> str:
    """The MIG profile of an instance, from its name in NVML, else from its attributes.

    Names end in the profile ("NVIDIA A100-SXM4-40GB MIG 1g.5gb"); old drivers give the plain
    product name. `memory` and `gpu_memory` are bytes. The number of gigabytes in a profile is the
    instance's part of the GPU in eighths, rounded up, times the whole (as NVIDIA's own tools
    count it): 4.75 GiB are called 5gb.
    """
    last = device_name.split()[-1] if device_name.split() else ""
    if PROFILE.fullmatch(last):
        return last.lower()
    gib = 1 << 30
    if gpu_memory:
        eighths = -(-memory * 8 // gpu_memory)
        gigabytes = round(eighths / 8 * -(-gpu_memory // gib))
    else:
        gigabytes = -(-memory // gib)
    part = "" if ci_slices == gi_slices else f"{ci_slices}c."
    return f"{part}{gi_slices}g.{gigabytes}gb"
