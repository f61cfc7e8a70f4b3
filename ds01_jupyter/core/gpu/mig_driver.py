"""MIG instances through NVML: reading them, and the single steps that make and destroy them.

MIG mode is never changed and no GPU is ever reset. Instances are always made at a place that we
choose, since what fits depends on the order when the driver chooses. Only root may look at places
and change instances.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from typing import TypeVar

import pynvml

from ds01_jupyter.core.errors import Conflict, CoreError, DriverFailed, DriverUnavailable, Forbidden
from ds01_jupyter.core.gpu import nvml_calls as ask
from ds01_jupyter.core.gpu.geometry import Placed
from ds01_jupyter.core.gpu.mig_profiles import ProfileTable
from ds01_jupyter.core.gpu.mig_state import GpuInstance, MigDevice, MigGpu
from ds01_jupyter.core.gpu.nvml_calls import Error, Handle
from ds01_jupyter.core.gpu.nvml_session import SESSION, unavailable
from ds01_jupyter.core.gpu.nvml_walk import RESTLESS, LayoutChanged, silence
from ds01_jupyter.core.gpu.slots import SlotInfo, mig_profile

T = TypeVar("T")

WALKS = 8
"""How often a GPU is looked at again while its instances change under the look."""
_SHARED = pynvml.NVML_COMPUTE_INSTANCE_ENGINE_PROFILE_SHARED


class MigDriver:
    """Reads and changes the MIG instances of this machine. Any number of threads may read.

    `library` as for `NvmlDriver`. Every method raises `DriverUnavailable` when the driver does not
    answer; those that change something also `Forbidden` (not root), `Conflict` (in use, or not as
    it was read) and `DriverFailed`.
    """

    def __init__(self, library: str = "") -> None:
        self._library = library

    # ---- reading -----------------------------------------------------------------------------

    def read(self) -> tuple[MigGpu, ...]:
        """All GPUs with their instances and processes."""
        count = int(self._ask(pynvml.nvmlDeviceGetCount))
        return tuple(self.read_gpu(index) for index in range(count))

    def read_gpu(self, index: int) -> MigGpu:
        """One GPU; a GPU that does not answer has a `problem`."""
        for _ in range(WALKS):
            try:
                return self._ask(lambda: _read(index))
            except LayoutChanged:
                continue
        return _silent(index, RESTLESS)

    def _ask(self, question: Callable[[], T]) -> T:
        for last in (False, True):
            generation = SESSION.ensure(self._library)
            try:
                return question()
            except Error as error:
                # Another part of this process (gpustat, nvitop) may have shut NVML down.
                if error.value == pynvml.NVML_ERROR_UNINITIALIZED and not last:
                    SESSION.lost(generation)
                    continue
                raise unavailable(error) from error
        raise AssertionError("unreachable")

    # ---- changing ------------------------------------------------------------------------------

    def destroy_devices(self, gpu: MigGpu, instance: GpuInstance) -> None:
        """Destroy the compute instances of a GPU instance, which must be as it was read."""

        def work(handle: Handle) -> None:
            found = _same_instance(gpu, handle, instance)
            for device in instance.devices:
                compute = pynvml.nvmlGpuInstanceGetComputeInstanceById(found, device.ci)
                about = pynvml.nvmlComputeInstanceGetInfo(compute)
                if pynvml.nvmlDeviceGetUUID(about.device) != device.uuid:
                    raise _changed(gpu)
                pynvml.nvmlComputeInstanceDestroy(compute)

        self._change(gpu, f"destroy {instance}", work)

    def destroy_instance(self, gpu: MigGpu, instance: GpuInstance) -> None:
        """Destroy a GPU instance that has no compute instance any more."""

        def work(handle: Handle) -> None:
            pynvml.nvmlGpuInstanceDestroy(_same_instance(gpu, handle, instance))

        self._change(gpu, f"destroy {instance}", work)

    def create_instance(self, gpu: MigGpu, placed: Placed) -> GpuInstance:
        """Make a GPU instance at exactly this place. It has no device yet."""
        assert gpu.geometry is not None
        profile = gpu.geometry.by_name[placed.profile]

        def work(handle: Handle) -> GpuInstance:
            place = pynvml.c_nvmlGpuInstancePlacement_t(placed.start, profile.memory_slices)
            # By reference: pynvml hands on what it is given, and the driver follows a pointer.
            made = pynvml.nvmlDeviceCreateGpuInstanceWithPlacement(
                handle, profile.identifier, ctypes.byref(place)
            )
            about = pynvml.nvmlGpuInstanceGetInfo(made)
            return GpuInstance(int(about.id), placed.profile, int(about.placement.start))

        return self._change(gpu, f"make {placed.profile} at {placed.start}", work)

    def create_device(
        self, gpu: MigGpu, instance: GpuInstance, slices: int | None = None
    ) -> SlotInfo:
        """Make the device of a GPU instance: all of it, or only so many compute slices.

        From this moment on the slot can be seen, and claimed, by everybody.
        """
        assert gpu.geometry is not None
        profile = gpu.geometry.by_name[instance.profile]
        wanted = profile.compute_slices if slices is None else slices

        def work(handle: Handle) -> SlotInfo:
            found = _same_instance(gpu, handle, instance)
            number = _compute_profile(found, wanted)
            made = pynvml.nvmlGpuInstanceCreateComputeInstance(found, number)
            about = pynvml.nvmlComputeInstanceGetInfo(made)
            part = "" if wanted == profile.compute_slices else f"{wanted}c."
            return SlotInfo(
                slot=f"{gpu.index}:{instance.profile}",
                uuid=pynvml.nvmlDeviceGetUUID(about.device),
                kind="mig",
                profile=f"{part}{instance.profile}",
                gpu_index=gpu.index,
                gpu_uuid=gpu.uuid,
                memory_total=profile.memory,
                share=wanted / gpu.geometry.compute_slices if gpu.geometry else 0.0,
                gi=instance.gi,
                ci=int(about.id),
            )

        return self._change(gpu, f"make the device of {instance}", work)

    def _change(self, gpu: MigGpu, doing: str, work: Callable[[Handle], T]) -> T:
        SESSION.ensure(self._library)
        try:
            handle = pynvml.nvmlDeviceGetHandleByIndex(gpu.index)
            if pynvml.nvmlDeviceGetUUID(handle) != gpu.uuid:
                raise _changed(gpu)
            return work(handle)
        except LayoutChanged as error:
            raise _changed(gpu) from error
        except Error as error:
            raise _refusal(gpu, doing, error) from error


# ---- reading one GPU -----------------------------------------------------------------------------


def _read(index: int) -> MigGpu:
    try:
        return _answering(index)
    except Error as error:
        if error.value == pynvml.NVML_ERROR_UNINITIALIZED:
            raise
        if error.value in ask.STALE:
            raise LayoutChanged from error
        return _silent(index, silence(error))


def _silent(index: int, problem: str) -> MigGpu:
    return MigGpu(index, "", "unknown GPU", 0, False, False, False, None, problem=problem)


def _answering(index: int) -> MigGpu:
    handle = pynvml.nvmlDeviceGetHandleByIndex(index)
    uuid = pynvml.nvmlDeviceGetUUID(handle)
    name = pynvml.nvmlDeviceGetName(handle)
    device_id = int(pynvml.nvmlDeviceGetPciInfo(handle).pciDeviceId)
    try:
        modes = pynvml.nvmlDeviceGetMigMode(handle)
    except Error as error:
        if error.value not in ask.MISSING:
            raise
        return MigGpu(index, uuid, name, device_id, False, False, False, None)
    enabled, pending = (bool(mode == pynvml.NVML_DEVICE_MIG_ENABLE) for mode in modes)
    table = ProfileTable.read(handle)
    instances: tuple[GpuInstance, ...] = ()
    exact = True
    if enabled:
        devices = _devices(index, handle)
        told = _instances(handle, table, devices)
        exact = told is not None
        instances = _by_devices(devices) if told is None else told
    return MigGpu(
        index, uuid, name, device_id, True, enabled, pending, table.geometry, instances, exact
    )


def _devices(index: int, handle: Handle) -> dict[int, list[MigDevice]]:
    """The MIG devices by the id of their GPU instance."""
    size = ask.optional(ask.memory, handle)
    running = ask.optional(ask.processes, handle)
    found: dict[int, list[MigDevice]] = {}
    seen: set[str] = set()
    for number in range(pynvml.nvmlDeviceGetMaxMigDeviceCount(handle)):
        try:
            device = pynvml.nvmlDeviceGetMigDeviceHandleByIndex(handle, number)
        except Error as error:
            if error.value == pynvml.NVML_ERROR_NOT_FOUND:
                continue  # indices may have holes
            raise
        gi = int(pynvml.nvmlDeviceGetGpuInstanceId(device))
        ci = int(pynvml.nvmlDeviceGetComputeInstanceId(device))
        attributes = pynvml.nvmlDeviceGetAttributes(device)
        uuid = pynvml.nvmlDeviceGetUUID(device)
        if uuid in seen:
            raise LayoutChanged
        seen.add(uuid)
        if running is None:  # the GPU tells everything to root only
            own = [process.pid for _, _, process in ask.optional(ask.processes, device) or ()]
        else:
            own = [each.pid for where, part, each in running if (where, part) == (gi, ci)]
        profile = mig_profile(
            pynvml.nvmlDeviceGetName(device),
            gi_slices=attributes.gpuInstanceSliceCount,
            ci_slices=attributes.computeInstanceSliceCount,
            memory=ask.memory(device)[0],
            gpu_memory=None if size is None else size[0],
        )
        found.setdefault(gi, []).append(
            MigDevice(
                uuid,
                f"{index}:{number}",
                ci,
                profile,
                int(attributes.computeInstanceSliceCount),
                tuple(own),
            )
        )
    return found


def _instances(
    handle: Handle, table: ProfileTable, devices: dict[int, list[MigDevice]]
) -> tuple[GpuInstance, ...] | None:
    """The GPU instances with their places; None when we may not see them.

    Raises `LayoutChanged` when devices and instances are not of the same moment.
    """
    found = []
    try:
        for identifier, name in table.names.items():
            count = ctypes.c_uint(0)
            array = (pynvml.c_nvmlGpuInstance_t * table.most)()
            pynvml.nvmlDeviceGetGpuInstances(handle, identifier, array, ctypes.byref(count))
            for number in range(count.value):
                about = pynvml.nvmlGpuInstanceGetInfo(array[number])
                own = tuple(devices.pop(int(about.id), ()))
                found.append(GpuInstance(int(about.id), name, int(about.placement.start), own))
    except Error as error:
        if error.value == pynvml.NVML_ERROR_NO_PERMISSION:
            return None
        raise
    if devices:
        raise LayoutChanged
    return tuple(sorted(found, key=lambda item: (item.start or 0, item.gi)))


def _by_devices(devices: dict[int, list[MigDevice]]) -> tuple[GpuInstance, ...]:
    return tuple(
        GpuInstance(gi, own[0].profile.rpartition("c.")[2], None, tuple(own))
        for gi, own in sorted(devices.items())
    )


# ---- changing ------------------------------------------------------------------------------------


def _same_instance(gpu: MigGpu, handle: Handle, instance: GpuInstance) -> Handle:
    """The GPU instance of this id, if it is still the one that was read."""
    try:
        found = pynvml.nvmlDeviceGetGpuInstanceById(handle, instance.gi)
        about = pynvml.nvmlGpuInstanceGetInfo(found)
    except Error as error:
        if error.value in ask.STALE:
            raise LayoutChanged from error
        raise
    known = gpu.geometry.profile(instance.profile) if gpu.geometry else None
    expected = (known.identifier if known else None, instance.start)
    if (int(about.profileId), int(about.placement.start)) != expected:
        raise LayoutChanged
    return found


def _compute_profile(instance: Handle, slices: int) -> int:
    """The id of the compute profile with so many slices."""
    for number in range(pynvml.NVML_COMPUTE_INSTANCE_PROFILE_COUNT):
        for version in (2, 1):
            try:
                about = pynvml.nvmlGpuInstanceGetComputeInstanceProfileInfo(
                    instance, number, _SHARED, version=version
                )
            except Error as error:
                if error.value == pynvml.NVML_ERROR_FUNCTION_NOT_FOUND:
                    continue
                if error.value not in ask.MISSING | ask.STALE:
                    raise
                break
            if int(about.sliceCount) == slices:
                return int(about.id)
            break
    raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)


def _changed(gpu: MigGpu) -> Conflict:
    return Conflict(
        f"The MIG instances of GPU {gpu.index} were changed by somebody else meanwhile.",
        hint="Look at the plan again (ds01 mig plan).",
        gpu=gpu.index,
    )


def not_root() -> Forbidden:
    """Only root may change (and see the places of) MIG instances."""
    return Forbidden(
        "Changing MIG instances needs root, and this server does not run as root.",
        hint="Run `sudo ds01 mig apply` against a server that root started, or use nvidia-smi "
        "mig as root.",
        uid=os.getuid(),
    )


def _refusal(gpu: MigGpu, doing: str, error: Error) -> CoreError:
    """What NVML's no to a change means."""
    if error.value == pynvml.NVML_ERROR_NO_PERMISSION:
        return not_root()
    if error.value in ask.GONE:
        return DriverUnavailable(f"GPU {gpu.index}: {silence(error)}", gpu=gpu.index)
    about = {"gpu": gpu.index, "step": doing, "nvml_code": error.value, "nvml_error": str(error)}
    if error.value == pynvml.NVML_ERROR_IN_USE:
        return Conflict(
            f"GPU {gpu.index} is in use: the driver would not {doing}.",
            hint="A process or a monitor (nvidia-smi, DCGM) holds it; ds01 gpus shows processes.",
            **about,
        )
    if error.value == pynvml.NVML_ERROR_UNINITIALIZED:
        return unavailable(error)
    return DriverFailed(
        f"The NVIDIA driver would not {doing} on GPU {gpu.index}: {error}.",
        hint="ds01 mig export shows what is there now.",
        **about,
    )
