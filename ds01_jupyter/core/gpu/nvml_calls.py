"""Single questions to NVML, with the traps of pynvml and of old drivers behind them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import pynvml

from ds01_jupyter.core.gpu.slots import ProcessReading

T = TypeVar("T")
Handle = Any
Error = pynvml.NVMLError

GONE = frozenset({pynvml.NVML_ERROR_GPU_IS_LOST, pynvml.NVML_ERROR_RESET_REQUIRED})
"""The GPU does not answer at all."""
SICK = GONE | {
    pynvml.NVML_ERROR_IRQ_ISSUE,
    pynvml.NVML_ERROR_CORRUPTED_INFOROM,
    pynvml.NVML_ERROR_UNKNOWN,
}
"""Errors of a whole GPU that mean it is ill (and not, say, that this account may not use it)."""
STALE = frozenset({pynvml.NVML_ERROR_INVALID_ARGUMENT, pynvml.NVML_ERROR_NOT_FOUND})
"""A MIG handle or index that was right a moment ago is not any more."""
MISSING = frozenset(
    {
        pynvml.NVML_ERROR_FUNCTION_NOT_FOUND,
        pynvml.NVML_ERROR_NOT_SUPPORTED,
        pynvml.NVML_ERROR_ARGUMENT_VERSION_MISMATCH,
    }
)
"""This driver, or this product, has no such thing."""
ESSENTIAL = GONE | {pynvml.NVML_ERROR_UNINITIALIZED}
"""Errors that say more than "this figure is not available"."""

_SLICES_BY_PROFILE: Sequence[int] = (
    pynvml.NVML_GPU_INSTANCE_PROFILE_8_SLICE,
    pynvml.NVML_GPU_INSTANCE_PROFILE_7_SLICE,
    pynvml.NVML_GPU_INSTANCE_PROFILE_6_SLICE,
    pynvml.NVML_GPU_INSTANCE_PROFILE_4_SLICE,
    pynvml.NVML_GPU_INSTANCE_PROFILE_3_SLICE,
    pynvml.NVML_GPU_INSTANCE_PROFILE_2_SLICE,
)


def optional(call: Callable[[Handle], T], handle: Handle) -> T | None:
    """A figure, or None where the driver does not have it or does not tell it to us."""
    try:
        return call(handle)
    except Error as error:
        if error.value in ESSENTIAL:
            raise
        return None


def memory(handle: Handle) -> tuple[int, int]:
    """Total and used bytes, without what the driver keeps for itself where it can tell."""
    try:
        info = pynvml.nvmlDeviceGetMemoryInfo(handle, version=pynvml.nvmlMemory_v2)
    except TypeError:
        # gpustat, imported anywhere in this process, puts a one-argument version in its place.
        info = pynvml.nvmlDeviceGetMemoryInfo(handle)
    except Error as error:
        if error.value not in MISSING:
            raise
        info = pynvml.nvmlDeviceGetMemoryInfo(handle)
    return int(info.total), int(info.used)


def mig_enabled(handle: Handle) -> bool:
    """Whether MIG is on now (a pending change counts from the next reset)."""
    try:
        return bool(pynvml.nvmlDeviceGetMigMode(handle)[0] == pynvml.NVML_DEVICE_MIG_ENABLE)
    except Error as error:
        if error.value in MISSING:
            return False
        raise


def compute_slices(handle: Handle) -> int:
    """Compute slices of the whole GPU: 7 on most, 4 on an A30 (its largest profile)."""
    for profile in _SLICES_BY_PROFILE:
        for version in (2, 1):
            try:
                info = pynvml.nvmlDeviceGetGpuInstanceProfileInfo(handle, profile, version=version)
                return int(info.sliceCount)
            except Error as error:
                if error.value in ESSENTIAL:
                    raise
                if error.value != pynvml.NVML_ERROR_FUNCTION_NOT_FOUND:
                    break  # this profile is not on this product
    return int(pynvml.nvmlDeviceGetMaxMigDeviceCount(handle))


def utilisation(handle: Handle) -> float:
    """Part of the last sample period in which a kernel ran, 0 to 1."""
    return int(pynvml.nvmlDeviceGetUtilizationRates(handle).gpu) / 100


def temperature(handle: Handle) -> int:
    """Degrees Celsius."""
    try:
        return int(pynvml.nvmlDeviceGetTemperatureV(handle, pynvml.NVML_TEMPERATURE_GPU))
    except (AttributeError, Error) as error:
        if isinstance(error, Error) and error.value not in MISSING:
            raise
        return int(pynvml.nvmlDeviceGetTemperature(handle, pynvml.NVML_TEMPERATURE_GPU))


def power(handle: Handle) -> float:
    """Watts."""
    return int(pynvml.nvmlDeviceGetPowerUsage(handle)) / 1000


def processes(handle: Handle) -> list[tuple[int, int, ProcessReading]]:
    """Compute processes with the ids of their GPU and compute instance (for a GPU without MIG
    these mean nothing)."""
    try:
        found = pynvml.nvmlDeviceGetComputeRunningProcesses(handle)
    except pynvml.NVMLLibraryMismatchError:
        # Not an NVMLError: a driver that does not know version 3 of the call yet.
        found = pynvml.nvmlDeviceGetComputeRunningProcesses_v2(handle)
    return [
        (
            int(item.gpuInstanceId),
            int(item.computeInstanceId),
            ProcessReading(
                int(item.pid), None if item.usedGpuMemory is None else int(item.usedGpuMemory)
            ),
        )
        for item in found
    ]
