"""The MIG profiles of one GPU as the driver names them, and where each may be placed."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pynvml

from ds01_jupyter.core.gpu import nvml_calls as ask
from ds01_jupyter.core.gpu.geometry import A30, SEVEN_SLICES_ALL, GpuGeometry, Profile
from ds01_jupyter.core.gpu.nvml_calls import Error, Handle
from ds01_jupyter.core.gpu.slots import PROFILE, mig_profile

_MIB = 1 << 20
_MEDIA = (
    pynvml.NVML_GPU_INSTANCE_PROFILE_1_SLICE_REV1,
    pynvml.NVML_GPU_INSTANCE_PROFILE_2_SLICE_REV1,
)
_SKIPPED = ask.MISSING | ask.STALE


@dataclass(frozen=True)
class ProfileTable:
    """The profiles of a GPU. `names` is by NVML's `id` of a profile, `most` the greatest number
    of instances of one profile.

    Where the driver does not tell the places (not root, or MIG is off) they are NVIDIA's published
    ones for GPUs of seven and of four slices; a profile whose places nobody knows has none.
    """

    geometry: GpuGeometry
    names: Mapping[int, str]
    most: int

    @classmethod
    def read(cls, handle: Handle) -> ProfileTable:
        """Ask the driver. Raises NVML's errors."""
        size = ask.optional(ask.memory, handle)
        found = []
        for number in range(pynvml.NVML_GPU_INSTANCE_PROFILE_COUNT):
            about = _about(handle, number)
            if about is not None:
                found.append((number, about))
        compute = max((int(about.sliceCount) for _, about in found), default=1)
        profiles: dict[str, Profile] = {}
        names: dict[int, str] = {}
        for number, about in found:
            name = _name(number, about, None if size is None else size[0])
            names[int(about.id)] = name
            starts, span = _places(handle, int(about.id), compute)
            # A name that stands for two ids could not be asked for.
            profiles.setdefault(
                name,
                Profile(
                    name,
                    span,
                    int(about.sliceCount),
                    starts,
                    int(about.instanceCount),
                    int(about.memorySizeMB) * _MIB,
                    int(about.id),
                ),
            )
        ends = [start + item.memory_slices for item in profiles.values() for start in item.starts]
        geometry = GpuGeometry(tuple(profiles.values()), max(ends, default=compute), compute)
        most = max((item.maximum for item in profiles.values()), default=1)
        return cls(geometry, names, max(most, compute))


def _about(handle: Handle, number: int) -> Any | None:
    """What NVML tells of a profile; None where this GPU has none of that number."""
    for version in (2, 1):
        try:
            return pynvml.nvmlDeviceGetGpuInstanceProfileInfo(handle, number, version=version)
        except Error as error:
            if error.value == pynvml.NVML_ERROR_FUNCTION_NOT_FOUND:
                continue
            if error.value not in _SKIPPED:
                raise
            return None
    return None


def _name(number: int, about: Any, gpu_memory: int | None) -> str:
    text = getattr(about, "name", "")
    words = (text.decode() if isinstance(text, bytes) else str(text)).split()
    if words and PROFILE.fullmatch(words[-1]):
        return words[-1].lower()
    slices = int(about.sliceCount)
    plain = mig_profile(
        "",
        gi_slices=slices,
        ci_slices=slices,
        memory=int(about.memorySizeMB) * _MIB,
        gpu_memory=gpu_memory,
    )
    return f"{plain}+me" if number in _MEDIA else plain


def _places(handle: Handle, identifier: int, compute: int) -> tuple[tuple[int, ...], int]:
    """Where instances of a profile may start, and how many memory slices they take."""
    count = ctypes.c_uint(0)
    try:
        call = pynvml.nvmlDeviceGetGpuInstancePossiblePlacements
        call(handle, identifier, None, ctypes.byref(count))
        array = (pynvml.c_nvmlGpuInstancePlacement_t * count.value)()
        call(handle, identifier, array, ctypes.byref(count))
    except Error as error:
        if error.value not in _SKIPPED | {pynvml.NVML_ERROR_NO_PERMISSION}:
            raise
        return _published(identifier, compute)
    if not count.value:
        return _published(identifier, compute)
    starts = tuple(sorted({int(array[number].start) for number in range(count.value)}))
    return starts, int(array[0].size)


def _published(identifier: int, compute: int) -> tuple[tuple[int, ...], int]:
    for geometry in (SEVEN_SLICES_ALL, A30):
        if geometry.compute_slices == compute:
            for profile in geometry.profiles:
                if profile.identifier == identifier:
                    return profile.starts, profile.memory_slices
    return (), 1
