"""The driver as an admin wants its GPUs given: some of them by shares."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace

from ds01_jupyter.core.errors import ConfigurationError
from ds01_jupyter.core.gpu.nvml import NvmlDriver
from ds01_jupyter.core.gpu.sharing import Declared, SharedGpu, divided, measured
from ds01_jupyter.core.gpu.slots import GpuReading, Inventory


class LastKnown:
    """What is declared; while the file is refused, what was declared before (nothing is given away
    then, but everybody goes on looking at the GPUs)."""

    def __init__(self, declared: Declared) -> None:
        """`declared` may raise `ConfigurationError`."""
        self._declared = declared
        self._last: Sequence[SharedGpu] = ()

    def __call__(self) -> Sequence[SharedGpu]:
        """The declarations."""
        with suppress(ConfigurationError):
            self._last = self._declared()
        return self._last


class SharingDriver(NvmlDriver):
    """The driver, with the shares of what is declared in the place of whole GPUs."""

    def __init__(
        self,
        library: str = "",
        declared: Declared = tuple,
        *,
        refresh: float = 5.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`declared` is asked at every look; by default nothing is declared."""
        super().__init__(library, refresh=refresh, clock=clock)
        self._declared = declared

    def inventory(self, *, fresh: bool = False) -> Inventory:
        """All GPUs and slots; `fresh` looks again whatever is known (before giving one away)."""
        found, declared = self.bare(fresh=fresh), self._declared()
        return replace(found, gpus=divided(found.gpus, declared)) if declared else found

    def bare(self, *, fresh: bool = False) -> Inventory:
        """The same without shares: every GPU that is not in MIG mode as a whole."""
        return super().inventory(fresh=fresh)

    def snapshot(self) -> GpuReading:
        """What all GPUs and slots do now.

        Memory and utilisation of a share are not known: the driver tells those of the GPU. Every
        share comes with all processes of its GPU.
        """
        reading, declared = super().snapshot(), self._declared()
        if not declared:
            return reading
        return replace(reading, gpus=tuple(measured(gpu, declared) for gpu in reading.gpus))
