"""One walk over all GPUs and MIG instances: identities, and the handles to ask them again.

A walk is not atomic in NVML: instances that are made or destroyed meanwhile shift the indices, so
one may be seen twice or not at all. A walk that shows signs of it raises `LayoutChanged`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import pynvml

from ds01_jupyter.core.architecture import DriverFacts
from ds01_jupyter.core.gpu import nvml_calls as ask
from ds01_jupyter.core.gpu.nvml_calls import Error, Handle
from ds01_jupyter.core.gpu.slots import WHOLE, GpuInfo, Inventory, SlotInfo, mig_profile

RESTLESS = "The MIG instances of this GPU keep changing; an admin is repartitioning it."


class LayoutChanged(Exception):
    """Instances were made or destroyed while they were being looked at: look again."""


@dataclass(frozen=True)
class Device:
    """A GPU with its handle (None: it does not answer) and its MIG instances by handle."""

    info: GpuInfo
    handle: Handle | None
    instances: tuple[tuple[SlotInfo, Handle], ...] = ()


@dataclass(frozen=True)
class Layout:
    """What one walk found."""

    devices: tuple[Device, ...]
    inventory: Inventory


class Walker:
    """Walks, and remembers what never changes or cannot be asked any more."""

    def __init__(self) -> None:
        self._slices: dict[str, int] = {}
        self._known: dict[int, GpuInfo] = {}

    def walk(self, *, last: bool = False) -> Layout:
        """Look at everything once; raises `LayoutChanged` or NVML's own errors.

        With `last`, a GPU whose instances do not stand still is given up (with a problem, and
        nothing to give) so that it does not keep the others from being used.
        """
        cuda = int(pynvml.nvmlSystemGetCudaDriverVersion_v2())
        devices = tuple(
            self._device(index, last=last) for index in range(pynvml.nvmlDeviceGetCount())
        )
        _no_doubles(devices)
        gpus = tuple(device.info for device in devices)
        self._known.update({gpu.index: gpu for gpu in gpus if gpu.problem is None})
        facts = DriverFacts(
            cuda_version=(cuda // 1000, cuda % 1000 // 10),
            compute_capabilities=tuple(
                gpu.compute_capability for gpu in gpus if gpu.compute_capability is not None
            ),
        )
        return Layout(devices, Inventory(gpus, pynvml.nvmlSystemGetDriverVersion(), facts))

    def _device(self, index: int, *, last: bool) -> Device:
        try:
            return self._answering(index)
        except LayoutChanged:
            if not last:
                raise
            return Device(self._silent(index, RESTLESS), None)
        except Error as error:
            if error.value == pynvml.NVML_ERROR_UNINITIALIZED:
                raise
            if error.value in ask.STALE and not last:
                raise LayoutChanged from error
            return Device(self._silent(index, silence(error), error.value), None)

    def _answering(self, index: int) -> Device:
        handle = pynvml.nvmlDeviceGetHandleByIndex(index)
        uuid = pynvml.nvmlDeviceGetUUID(handle)
        size = ask.optional(ask.memory, handle)
        total = None if size is None else size[0]
        gpu = GpuInfo(
            index=index,
            uuid=uuid,
            name=pynvml.nvmlDeviceGetName(handle),
            mig=ask.mig_enabled(handle),
            memory_total=total,
            compute_capability=ask.optional(_capability, handle),
            slots=(),
        )
        if not gpu.mig:
            whole = SlotInfo(str(index), uuid, "gpu", WHOLE, index, uuid, total, 1.0)
            return Device(replace(gpu, slots=(whole,)), handle)
        instances = self._instances(gpu, handle)
        slots = tuple(slot for slot, _ in instances)
        problem = None if slots else "MIG is on, but no instance has been made on this GPU."
        return Device(replace(gpu, slots=slots, problem=problem), handle, instances)

    def _instances(self, gpu: GpuInfo, handle: Handle) -> tuple[tuple[SlotInfo, Handle], ...]:
        if gpu.uuid not in self._slices:
            self._slices[gpu.uuid] = ask.compute_slices(handle)
        found: list[tuple[SlotInfo, Handle]] = []
        for index in range(pynvml.nvmlDeviceGetMaxMigDeviceCount(handle)):
            try:
                instance = pynvml.nvmlDeviceGetMigDeviceHandleByIndex(handle, index)
            except Error as error:
                if error.value == pynvml.NVML_ERROR_NOT_FOUND:
                    continue  # indices may have holes
                raise
            found.append((self._slot(gpu, index, instance), instance))
        _still_there(handle, found)
        return tuple(found)

    def _slot(self, gpu: GpuInfo, index: int, instance: Handle) -> SlotInfo:
        attributes = pynvml.nvmlDeviceGetAttributes(instance)
        total, _ = ask.memory(instance)
        return SlotInfo(
            slot=f"{gpu.index}:{index}",
            uuid=pynvml.nvmlDeviceGetUUID(instance),
            kind="mig",
            profile=mig_profile(
                pynvml.nvmlDeviceGetName(instance),
                gi_slices=attributes.gpuInstanceSliceCount,
                ci_slices=attributes.computeInstanceSliceCount,
                memory=total,
                gpu_memory=gpu.memory_total,
            ),
            gpu_index=gpu.index,
            gpu_uuid=gpu.uuid,
            memory_total=total,
            share=attributes.computeInstanceSliceCount / self._slices[gpu.uuid],
            mig_index=index,
            gi=pynvml.nvmlDeviceGetGpuInstanceId(instance),
            ci=pynvml.nvmlDeviceGetComputeInstanceId(instance),
        )

    def _silent(self, index: int, problem: str, code: int | None = None) -> GpuInfo:
        known = self._known.get(index) or GpuInfo(
            index,
            "",
            "unknown GPU",
            mig=False,
            memory_total=None,
            compute_capability=None,
            slots=(),
        )
        return replace(known, problem=problem, error=code)


def _still_there(handle: Handle, found: list[tuple[SlotInfo, Handle]]) -> None:
    """Raise `LayoutChanged` unless all instances that were seen one by one are there at once.

    A handle to a destroyed instance is refused or answers for another one; any shift of the
    indices, that could have hidden one from us, moves the last.
    """
    for slot, instance in found:
        if pynvml.nvmlDeviceGetUUID(instance) != slot.uuid:
            raise LayoutChanged
    if found:
        slot = found[-1][0]
        last = pynvml.nvmlDeviceGetMigDeviceHandleByIndex(handle, slot.mig_index)
        if pynvml.nvmlDeviceGetUUID(last) != slot.uuid:
            raise LayoutChanged


def silence(error: Error) -> str:
    """Why a GPU gives no answer, as a sentence."""
    if error.value == pynvml.NVML_ERROR_GPU_IS_LOST:
        return "This GPU does not answer (it fell off the bus); an admin has to look at it."
    if error.value == pynvml.NVML_ERROR_RESET_REQUIRED:
        return "This GPU needs a reset before it can be used; an admin has to do that."
    return f"This GPU does not answer ({error}); an admin has to look at it."


def _capability(handle: Handle) -> tuple[int, int]:
    major, minor = pynvml.nvmlDeviceGetCudaComputeCapability(handle)
    return int(major), int(minor)


def _no_doubles(devices: tuple[Device, ...]) -> None:
    seen: set[str] = set()
    for device in devices:
        named = [device.info.uuid] if device.info.uuid and device.handle is not None else []
        named += [slot.uuid for slot, _ in device.instances]
        for uuid in named:
            if uuid in seen:
                raise LayoutChanged
            seen.add(uuid)
