"""Which rows of the catalogue fit this machine.

AIME's architecture names stand for the CUDA generation of an image, not only for a GPU: AIME
picks them by the CUDA version of the host. We take it from the driver itself (NVML), which says
what the kernel side can run, and never guess when the driver does not answer.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ds01_jupyter.core.catalogue import Origin, unknown_architecture
from ds01_jupyter.core.errors import (
    ConfigurationError,
    CoreError,
    DriverUnavailable,
    InvalidInput,
    NotFound,
)

CUDA_GENERATIONS = ("CUDA_AMPERE", "CUDA_ADA", "CUDA_BLACKWELL")
"""The generations that a driver can stand for, oldest first."""

_AMPERE, _ADA, _BLACKWELL = range(3)
SAY_IT = (
    "Name the architecture (for example architecture='CUDA_ADA'), or ask your admin to set it "
    "in the configuration of the server (DS01App.architecture)."
)


@dataclass(frozen=True)
class DriverFacts:
    """What the NVIDIA driver says of the machine.

    `cuda_version` is the newest CUDA that the driver supports, (12, 8) for 12.8.
    `compute_capabilities` has one entry a GPU, (8, 0) for an A100; empty without GPUs.
    """

    cuda_version: tuple[int, int]
    compute_capabilities: tuple[tuple[int, int], ...] = ()


def choose_architecture(
    requested: str | None,
    configured: str,
    driver: DriverFacts | None,
    known: Iterable[str],
) -> tuple[str, Origin]:
    """The architecture to use, and where it comes from: request, configuration, then driver.

    `known` are the catalogue's architectures; upper and lower case do not count. Raises
    `NotFound` for a name that the catalogue does not have, `InvalidInput` or
    `ConfigurationError` for ROCm on a machine with an NVIDIA driver (AIME refuses that too), and
    `DriverUnavailable` when nothing is said and the driver cannot tell.
    """
    names = tuple(known)
    if requested is not None:
        name = _known(requested, names)
        _refuse_rocm(name, driver, InvalidInput)
        return name, "request"
    if configured:
        name = _known(configured, names)
        _refuse_rocm(name, driver, ConfigurationError)
        return name, "configuration"
    if driver is None:
        raise DriverUnavailable(
            "The NVIDIA driver does not say which architecture this machine has.", hint=SAY_IT
        )
    return _of_driver(driver, names), "driver"


def _of_driver(driver: DriverFacts, known: tuple[str, ...]) -> str:
    """AIME's rule by CUDA version, kept within what every GPU of the machine can run.

    - CUDA 12.8 or newer: CUDA_BLACKWELL; 12.0 to 12.7: CUDA_ADA; older: CUDA_AMPERE.
    - Images of the Blackwell generation are built without GPUs older than compute capability
      7.5, so the oldest GPU may hold the choice back to CUDA_ADA.
    - Ada and Hopper GPUs (8.9, 9.0) need CUDA_ADA or newer, Blackwell GPUs (10 and above)
      CUDA_BLACKWELL: older images hold no code for them.

    Where the catalogue lacks the newest generation, the next older one that all GPUs can run is
    taken: a driver runs images of older CUDA versions. A CUDA driver never leads to ROCm.
    """
    if driver.cuda_version >= (12, 8):
        newest = _BLACKWELL
    elif driver.cuda_version >= (12, 0):
        newest = _ADA
    else:
        newest = _AMPERE
    capabilities = driver.compute_capabilities
    if any(c < (7, 5) for c in capabilities):
        newest = min(newest, _ADA)
    oldest = max((_least_generation(c) for c in capabilities), default=_AMPERE)
    if oldest > newest:
        raise _contradiction(driver, CUDA_GENERATIONS[oldest])
    able = [CUDA_GENERATIONS[index] for index in range(newest, oldest - 1, -1)]
    for name in able:
        if name in known:
            return name
    raise NotFound(
        f"The catalogue has no images for this machine ({' or '.join(able)}).",
        hint="Ask your admin for a catalogue that has them.",
        architectures=list(known),
        fitting=able,
        **_figures(driver),
    )


def _least_generation(capability: tuple[int, int]) -> int:
    if capability >= (10, 0):
        return _BLACKWELL
    if capability >= (8, 9):
        return _ADA
    return _AMPERE


def _contradiction(driver: DriverFacts, needed: str) -> DriverUnavailable:
    newest_gpu = max(driver.compute_capabilities)
    oldest_gpu = min(driver.compute_capabilities)
    cuda = f"CUDA {driver.cuda_version[0]}.{driver.cuda_version[1]}"
    if oldest_gpu < (7, 5) and needed == "CUDA_BLACKWELL" and driver.cuda_version >= (12, 8):
        message = "The GPUs of this machine are too far apart for one choice of images."
    else:
        message = f"The NVIDIA driver ({cuda}) is too old for a GPU of this machine ({needed})."
    return DriverUnavailable(
        message,
        hint=SAY_IT,
        needed=needed,
        newest_gpu=list(newest_gpu),
        oldest_gpu=list(oldest_gpu),
        **_figures(driver),
    )


def _figures(driver: DriverFacts) -> dict[str, list[int] | list[list[int]]]:
    return {
        "cuda_version": list(driver.cuda_version),
        "compute_capabilities": [list(c) for c in driver.compute_capabilities],
    }


def _known(name: str, known: tuple[str, ...]) -> str:
    wanted = name.strip().casefold()
    for candidate in known:
        if candidate.casefold() == wanted:
            return candidate
    raise unknown_architecture(name, known)


def _refuse_rocm(name: str, driver: DriverFacts | None, error: type[CoreError]) -> None:
    if driver is not None and name.upper().startswith("ROCM"):
        raise error(
            f"{name} is for AMD GPUs, and this machine has an NVIDIA driver.",
            hint="Take one of the CUDA architectures.",
            architecture=name,
        )
