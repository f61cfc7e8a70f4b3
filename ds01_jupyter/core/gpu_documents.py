"""The documents of GPUs and slots that cross the API; `models` says what holds of all of them."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from ds01_jupyter.core.document import MAX_TEXT, Document


class GpuProcess(Document):
    """A process on a GPU; memory in bytes."""

    pid: int
    memory: int | None
    user: str | None = None
    container: str | None = None


class LeaseView(Document):
    """Who has a slot, for which container, since when."""

    owner: str
    container: str
    state: Literal["pending", "active", "held"]
    since: datetime


class SlotReservation(Document):
    """For whom a slot is set aside next, or now (`active`); which slot it is can change until then,
    where any of a kind was promised."""

    id: int
    who: str
    start: datetime
    end: datetime
    active: bool


class Slot(Document):
    """What can be given: a whole GPU (`0`), a MIG instance (`0:1`), or a share of a GPU that
    several containers use at a time (`0/1`)."""

    slot: str
    uuid: str
    """The driver's; for a share the GPU's and its number, `GPU-...#1`."""
    kind: Literal["gpu", "mig", "share"]
    profile: str
    """MIG profile such as `1g.5gb`; `whole` for a GPU, `shared` for a share."""
    shared_by: int | None = None
    """How many containers may share the GPU; None for a slot that is had alone."""
    note: str | None = None
    """What to know of it: that a share is time-sliced with others, and isolates nothing."""
    memory_total: int | None
    """None for a share: it has none of its own."""
    memory_used: int | None
    """For a share what the processes in its container use."""
    utilisation: float | None
    """0 to 1; None where the driver has none (MIG, shares)."""
    state: Literal["free", "leased", "foreign", "unusable", "cordoned"]
    """`foreign`: used by a container that has no lease; `unusable`: lost, or MIG is on but has no
    instance here; `cordoned`: nobody's, and not given because its GPU is cordoned."""
    problem: str | None = None
    """Why it cannot be used although it is leased: its MIG instance is not what it was."""
    lease: LeaseView | None = None
    used_by: str | None = None
    """Name of the foreign container."""
    reservation: SlotReservation | None = None
    processes: list[GpuProcess] = Field(default_factory=list)


class Cordon(Document):
    """Why a GPU is given to nobody, since when, and who said so (`health`: nobody, it was seen)."""

    cause: Literal["silent", "missing", "xid", "admin"]
    reason: str
    xid: int | None = None
    since: datetime
    by: str
    needs_reset: bool = False
    """Whether it ends only after a reboot or a new driver, or when an admin says so."""


class GpuHealth(Document):
    """Whether a GPU answers and may be given: `well`, `cordoned` (it answers), or `silent`."""

    state: Literal["well", "cordoned", "silent"] = "well"
    cordons: list[Cordon] = Field(default_factory=list)


class Gpu(Document):
    """A physical GPU with its slots. Temperature in degrees Celsius, power in watts."""

    index: int
    uuid: str
    name: str
    mig: bool
    memory_total: int | None
    memory_used: int | None
    utilisation: float | None
    temperature: int | None
    power: float | None
    problem: str | None = None
    health: GpuHealth = Field(default_factory=GpuHealth)
    slots: list[Slot]


class GpuSnapshot(Document):
    """All GPUs of a machine at one moment, `age` seconds ago."""

    taken: datetime
    age: float = 0.0
    host: str
    driver: str | None
    problem: str | None = None
    gpus: list[Gpu]


class GpuSeries(Document):
    """What a GPU or a MIG instance did, a figure a frame; None where the driver has none.

    Bytes, 0 to 1, degrees Celsius, watts. Temperature and power are the GPU's alone.
    """

    slot: str
    """`0` for a GPU, `0:1` for a MIG instance."""
    uuid: str
    kind: Literal["gpu", "mig"]
    gpu: int
    memory_used: list[int | None]
    utilisation: list[float | None]
    temperature: list[int | None]
    power: list[float | None]


class GpuHistory(Document):
    """The last hour, in frames of `step` seconds that begin at `times`. Where nobody looked at
    the GPUs, frames are missing."""

    host: str
    step: float
    times: list[datetime]
    series: list[GpuSeries]


class CordonRequest(Document):
    """Why an admin takes a GPU out of use."""

    reason: str = Field(min_length=1, max_length=MAX_TEXT)
