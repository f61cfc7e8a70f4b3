"""The NVIDIA driver library of this process: loaded and initialised once, and again when needed.

pynvml loads `libnvidia-ml.so.1` by that name and has no option for a path. An object that is
already loaded under the SONAME wins, so another library (the simulated driver) is loaded first.
A process can only ever have one.
"""

from __future__ import annotations

import ctypes
import os
import threading

import pynvml

from ds01_jupyter.core.errors import DriverUnavailable

_CPU_ONLY = 'Without a GPU, create containers with gpu="none".'


class NvmlSession:
    """Keeps NVML initialised for all drivers of this process.

    Every initialisation has a number: handles of an earlier one must not be used any more.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._generation = 0
        self._pid = 0

    def ensure(self, library: str) -> int:
        """Initialise NVML unless it is, and return the number of the initialisation.

        Raises `DriverUnavailable`; the next call tries again, since drivers come back.
        """
        with self._lock:
            # NVML does not survive fork(): a child needs an initialisation of its own.
            if self._pid == os.getpid():
                return self._generation
            _load(library)
            try:
                pynvml.nvmlInit()
            except pynvml.NVMLError as error:
                raise unavailable(error) from error
            self._pid = os.getpid()
            self._generation += 1
            return self._generation

    def lost(self, generation: int) -> None:
        """Somebody else in this process shut NVML down; initialise it again at the next call."""
        with self._lock:
            if generation == self._generation:
                self._pid = 0

    def close(self) -> None:
        """Shut NVML down; the library stays loaded, and the next call initialises it again."""
        with self._lock:
            if self._pid != os.getpid():
                return
            self._pid = 0
            try:
                pynvml.nvmlShutdown()
            except pynvml.NVMLError as error:
                if error.value != pynvml.NVML_ERROR_UNINITIALIZED:
                    raise unavailable(error) from error


SESSION = NvmlSession()


def _load(library: str) -> None:
    if not library:
        return
    try:
        wanted = ctypes.CDLL(library, mode=ctypes.RTLD_GLOBAL)
    except OSError as error:
        raise DriverUnavailable(
            f"The NVIDIA driver library {library} cannot be loaded.",
            hint="Check the path in the setting nvml_library, or leave it empty to use the "
            "system's driver.",
            library=library,
            reason=str(error),
        ) from error
    try:
        found = ctypes.CDLL("libnvidia-ml.so.1")
    except OSError:
        found = None
    # The linker gives the same handle for the same object; anything else means that this process
    # has another driver library already, and that one would silently be asked instead.
    if found is None or found._handle != wanted._handle:
        raise DriverUnavailable(
            f"The library {library} cannot take the place of the NVIDIA driver in this process.",
            hint="It must have the SONAME libnvidia-ml.so.1, and no other driver library may be "
            "loaded before it: restart the server.",
            library=library,
        )


def unavailable(error: pynvml.NVMLError) -> DriverUnavailable:
    """What an NVML error that concerns the whole driver means to a person."""
    message, hint = _SENTENCES.get(
        error.value,
        (f"The NVIDIA driver does not answer ({error}).", f"Ask your admin. {_CPU_ONLY}"),
    )
    return DriverUnavailable(message, hint=hint, nvml_code=error.value, nvml_error=str(error))


_SENTENCES: dict[int, tuple[str, str]] = {
    pynvml.NVML_ERROR_LIBRARY_NOT_FOUND: (
        "There is no NVIDIA driver on this machine (libnvidia-ml.so.1 was not found).",
        f"An admin can install the driver. {_CPU_ONLY}",
    ),
    pynvml.NVML_ERROR_DRIVER_NOT_LOADED: (
        "The NVIDIA driver is installed but not loaded.",
        f"Ask your admin to load it (sudo modprobe nvidia) or to reboot. {_CPU_ONLY}",
    ),
    pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH: (
        "The NVIDIA driver was updated but the old one is still loaded.",
        f"Ask your admin to reboot the machine. {_CPU_ONLY}",
    ),
    pynvml.NVML_ERROR_NO_PERMISSION: (
        "This account may not use the NVIDIA driver.",
        f"Ask your admin for access to /dev/nvidia*. {_CPU_ONLY}",
    ),
    pynvml.NVML_ERROR_UNINITIALIZED: (
        "The NVIDIA driver was shut down while it was being asked.",
        "Try again.",
    ),
}
