"""Whether Docker and the NVIDIA driver answer, and what they are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ds01_jupyter.core import models
from ds01_jupyter.core.engine import Engine
from ds01_jupyter.core.errors import CoreError, DriverUnavailable
from ds01_jupyter.core.gpu.nvml import NvmlDriver


def docker_availability(engine: Engine) -> models.Availability:
    """Docker's version and what it can do, or why it does not answer."""

    def ask() -> dict[str, Any]:
        info = engine.info()
        details = {"buildkit": info.buildkit, "storage": info.storage_driver, "gpu": info.gpu}
        return {"version": info.version, "details": details}

    return _probed(ask)


def driver_availability(driver: NvmlDriver, library: str) -> models.Availability:
    """The driver's version and how many GPUs and slots it shows, or why it does not answer.

    `library` is the one that was asked for in place of the system's (a simulated driver).
    """

    def ask() -> dict[str, Any]:
        inventory = driver.inventory()
        if not inventory.gpus:
            raise DriverUnavailable("The NVIDIA driver answers, but it has no GPU.")
        details = {"gpus": len(inventory.gpus), "slots": len(inventory.slots)}
        return {
            "version": inventory.driver_version,
            "details": {**details, "library": library or None},
        }

    return _probed(ask)


def _probed(ask: Callable[[], dict[str, Any]]) -> models.Availability:
    try:
        return models.Availability(available=True, **ask())
    except CoreError as error:
        return models.Availability(available=False, problem=f"{error.message} {error.hint}".strip())
