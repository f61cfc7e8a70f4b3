"""The documents of a container's time; `models` says what holds of all of them."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from ds01_jupyter.core.document import Document

DeadlineKind = Literal["idle_stop", "runtime_stop", "reservation_stop", "gpu_release", "removal"]


class Deadline(Document):
    """Something that will happen to a container by itself.

    `at` is when, if nothing changes until then (for `idle_stop`: if it goes on doing nothing; None
    while it works). `limit` in seconds is the time limit behind it, None for a reservation.
    """

    what: DeadlineKind
    at: datetime | None
    limit: float | None
    near: bool
    """Whether it is so near that people are warned."""
    message: str
    """One sentence for the person whose container it is."""


class ContainerLife(Document):
    """What is known of a container's time. Durations in seconds; None where nothing can tell."""

    running: float | None
    """Time that it has run in all, restarts included; counts towards `max_runtime`."""
    idle: float | None
    """Time without work up to the last look; 0 while it works."""
    activity: Literal["active", "idle", "unknown"] | None
    """At the last look; None when it does not run."""
    activity_from: Literal["gpu", "cpu", "keep_alive"] | None
    """What told it: the GPU's utilisation, CPU and network where NVML has none, or its owner."""
    keep_alive_until: datetime | None
    exempt: list[str] = Field(default_factory=list)
    """Keys of the time limits that do not hold for it now, by an exemption."""
    deadlines: list[Deadline] = Field(default_factory=list)
    """Soonest first; those without a moment last."""


class KeepAliveRequest(Document):
    """For how long a container is not to be stopped for idling."""

    hours: float | None = Field(default=None, gt=0, le=24 * 365)
    """Absent: as long as an admin allows (24 hours unless set)."""


class Notice(Document):
    """Something that a person should know: a warning ahead of time, or what was done."""

    id: int
    time: datetime
    kind: Literal["warning", "done", "reservation", "queue", "gpu"]
    container: str | None
    """Name of the person's container, where one is concerned."""
    what: str
    """Such as `idle_stop`; the key of what it is about."""
    message: str
    hint: str = ""
    at: datetime | None = None
    """When it will happen, or happened."""


class TimeLimits(Document):
    """A person's time limits in seconds; None is without limit."""

    idle_timeout: float | None
    """A container that does nothing is stopped after it."""
    max_runtime: float | None
    """A container is stopped when all its runs together have lasted so long."""
    gpu_hold_after_stop: float | None
    """A stopped container keeps its GPU slots so long."""
    container_hold_after_stop: float | None
    """A stopped container is removed after it; its workspace stays."""
    created_timeout: float | None
    """A container that was never started is removed after it."""
    exempt_until: dict[str, datetime | None] = Field(default_factory=dict)
    """The limits that an exemption lifts now, and until when (None: for good)."""
    keep_alive: float | None = None
    """How long a person can put an idle stop off at a time."""
