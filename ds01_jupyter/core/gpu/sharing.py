"""GPUs that an admin lets several containers use at a time.

A GPU that is declared shareable by N containers is not given as a whole; instead it has N slots of
the kind `share`, `0/1` to `0/N`. The driver time-slices between them: nothing isolates memory or
faults, and everybody who gets or sees one is told so (`note`). Docker is given the GPU itself
(`SlotInfo.device`). A GPU in MIG mode cannot be shared like that: its instances are given as ever.

What is declared can change while leases live. They stay what they are: a GPU that is had as a whole
is not shared before it is given back, shares that were given stay shares, and while a GPU has as
many containers as are allowed by now, or more, nobody new comes in (`in_force`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from ds01_jupyter.core.gpu.slots import (
    SHARED,
    GpuInfo,
    GpuMeasurement,
    ProcessReading,
    SlotInfo,
    SlotReading,
)

LEAST, MOST = 2, 64
"""How many containers may share a GPU."""


@dataclass(frozen=True)
class SharedGpu:
    """A declaration: `gpu` is the index or the UUID (any case) of a GPU for that many
    `containers`."""

    gpu: str
    containers: int

    def names(self, index: int, uuid: str) -> bool:
        """Whether it is this GPU that is meant."""
        return self.gpu == str(index) or (bool(uuid) and self.gpu.lower() == uuid.lower())


Declared = Callable[[], Sequence[SharedGpu]]


class HasSlot(Protocol):
    """A lease."""

    @property
    def info(self) -> SlotInfo:
        """The slot as it was given."""


# ---- slots ---------------------------------------------------------------------------------------


def shares(gpu: GpuInfo, containers: int) -> tuple[SlotInfo, ...]:
    """The slots of a GPU that so many containers share."""
    return tuple(
        share(gpu.index, gpu.uuid, number, containers) for number in range(1, containers + 1)
    )


def share(index: int, uuid: str, number: int, containers: int) -> SlotInfo:
    """Share `number` (from 1) of a GPU that so many `containers` share."""
    return SlotInfo(
        slot=f"{index}/{number}",
        uuid=f"{uuid}#{number}",
        kind="share",
        profile=SHARED,
        gpu_index=index,
        gpu_uuid=uuid,
        memory_total=None,
        share=1 / containers,
    )


def containers_of(slot: SlotInfo) -> int | None:
    """How many containers share the GPU of a slot; None for a slot that is had alone."""
    return max(LEAST, round(1 / slot.share)) if slot.kind == "share" else None


def note(slot: SlotInfo) -> str | None:
    """What everybody is told of a share; None for any other slot."""
    containers = containers_of(slot)
    if containers is None:
        return None
    others = "1 other" if containers == LEAST else f"{containers - 1} others"
    return f"time-sliced with up to {others}, no isolation of memory or faults"


def divided(gpus: tuple[GpuInfo, ...], declared: Sequence[SharedGpu]) -> tuple[GpuInfo, ...]:
    """The GPUs, with shares in the place of a whole GPU that is declared shareable."""
    found = []
    for gpu in gpus:
        containers = _containers(gpu, declared)
        found.append(gpu if containers is None else replace(gpu, slots=shares(gpu, containers)))
    return tuple(found)


def measured(gpu: GpuMeasurement, declared: Sequence[SharedGpu]) -> GpuMeasurement:
    """The same for what a GPU does now."""
    containers = _containers(gpu.info, declared)
    if containers is None:
        return gpu
    processes = gpu.slots[0].processes if gpu.slots else ()
    slots = shares(gpu.info, containers)
    readings = tuple(SlotReading(slot, None, None, processes) for slot in slots)
    return replace(gpu, info=replace(gpu.info, slots=slots), slots=readings)


def _containers(gpu: GpuInfo, declared: Sequence[SharedGpu]) -> int | None:
    """How many containers share a GPU; None for one that is not shared, or cannot be."""
    if gpu.mig or not gpu.uuid or [slot.kind for slot in gpu.slots] != ["gpu"]:
        return None
    meant = (one for one in declared if one.names(gpu.index, gpu.uuid))
    return next((one.containers for one in meant), None)


# ---- what holds beside live leases ---------------------------------------------------------------


def in_force(slots: Sequence[SlotInfo], leases: Sequence[HasSlot]) -> list[SlotInfo]:
    """The slots that there are beside the live `leases` of this host.

    The same as `slots` but for GPUs that were declared shareable, or not any more, or for fewer
    containers, while somebody had them: see the head of this module.
    """
    held: dict[str, dict[str, SlotInfo]] = {}
    for lease in leases:
        if lease.info.kind != "mig":
            held.setdefault(lease.info.gpu_uuid, {})[lease.info.uuid] = lease.info
    if not held:
        return list(slots)
    by_gpu: dict[str, list[SlotInfo]] = {}
    for slot in slots:
        by_gpu.setdefault(slot.gpu_uuid, []).append(slot)
    found: list[SlotInfo] = []
    for uuid, there in by_gpu.items():
        leased = held.get(uuid)
        if not leased or any(slot.kind == "mig" for slot in there):
            found += there
        else:
            found += _beside(there, leased)
    return found


def _beside(there: Sequence[SlotInfo], leased: Mapping[str, SlotInfo]) -> list[SlotInfo]:
    """The slots of one GPU that is not in MIG mode and has leases."""
    whole = [slot for slot in leased.values() if slot.kind == "gpu"]
    if whole:
        return [slot for slot in there if slot.kind == "gpu"] or whole
    declared = {slot.uuid: slot for slot in there if slot.kind == "share"}
    kept = [declared.get(uuid, slot) for uuid, slot in leased.items()]
    free = [slot for slot in declared.values() if slot.uuid not in leased]
    room = max(0, len(declared) - len(kept))
    return sorted((*kept, *free[:room]), key=lambda slot: slot.order)


def present(lease: SlotInfo, slots: Iterable[SlotInfo]) -> SlotInfo | None:
    """What a leased slot is now, among all slots of the machine; None when it is not there.

    A GPU that is had as a whole or by shares is there as long as it can be given without MIG, as
    a whole or by shares.
    """
    for slot in slots:
        if slot.uuid == lease.uuid:
            return slot
        if lease.kind != "mig" and slot.kind != "mig" and slot.gpu_uuid == lease.gpu_uuid:
            return lease
    return None


def user_of(slot: SlotInfo, users: Mapping[str, str]) -> str | None:
    """Who uses a slot according to `users` (by UUID of slots), in whatever way its GPU was divided
    when that was found out; None: nobody."""
    if slot.kind == "mig":
        return users.get(slot.uuid)
    for uuid, name in users.items():
        if uuid.partition("#")[0] == slot.gpu_uuid:
            return name
    return None


def readings_in_force(gpu: GpuMeasurement, leases: Sequence[HasSlot]) -> tuple[SlotReading, ...]:
    """The readings of the slots that there are beside the live leases (see `in_force`).

    A leased slot that cannot be there any more (MIG was switched) is not among them.
    """
    known = {reading.info.uuid: reading for reading in gpu.slots}
    if gpu.info.mig or not known:
        return gpu.slots
    here = [lease for lease in leases if lease.info.gpu_uuid == gpu.info.uuid]
    slots = in_force([reading.info for reading in gpu.slots], here)
    processes = gpu.slots[0].processes
    return tuple(known.get(slot.uuid) or _reading(gpu, slot, processes) for slot in slots)


def _reading(
    gpu: GpuMeasurement, slot: SlotInfo, processes: tuple[ProcessReading, ...]
) -> SlotReading:
    if slot.kind == "share":
        return SlotReading(slot, None, None, processes)
    return SlotReading(slot, gpu.memory_used, gpu.utilisation, processes)
