"""What this machine has, as far as quotas can be held against it."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TypeVar

from ds01_jupyter.core.engine import EngineInfo
from ds01_jupyter.core.errors import DriverUnavailable, EngineUnavailable
from ds01_jupyter.core.gpu.slots import Inventory
from ds01_jupyter.core.limit_warnings import Hardware

T = TypeVar("T")


def this_machine(engine: Callable[[], EngineInfo], driver: Callable[[], Inventory]) -> Hardware:
    """The hardware: CPUs as the engine counts them, GPUs as the driver does; what does not answer
    is left out. GPUs that are out of order count: they will be back. `driver` tells them undivided:
    which are shared is for the file to say."""
    info, inventory = _if_there(engine), _if_there(driver)
    cpus = info.cpus if info is not None else None
    if inventory is None:
        return Hardware(cpus=cpus or os.cpu_count(), memory=_memory())
    slots = inventory.slots
    return Hardware(
        cpus=cpus or os.cpu_count(),
        memory=_memory(),
        gpus=len(inventory.gpus),
        slots=len(slots),
        whole=sum(slot.kind == "gpu" for slot in slots),
        smallest=min((slot.share for slot in slots), default=None),
        cards=inventory.gpus,
    )


def _if_there(ask: Callable[[], T]) -> T | None:
    try:
        return ask()
    except (EngineUnavailable, DriverUnavailable):
        return None


def _memory() -> int | None:
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        return None
