"""The documents of reservations; `models` says what holds of all of them."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from ds01_jupyter.core.document import MAX_TEXT, Document


class ReservationRequest(Document):
    """Slots for a user or a group, from a start to an end. Exactly one of `user` and `group`."""

    gpu: str = Field(max_length=MAX_TEXT)
    """A slot (`0:1`, or its UUID), a MIG profile (`1g.5gb`), or `whole`."""
    gpus: int = Field(default=1, ge=1, le=16)
    user: str | None = Field(default=None, max_length=MAX_TEXT)
    group: str | None = Field(default=None, max_length=MAX_TEXT)
    """A group of the limits file."""
    start: datetime | None = None
    """With an offset. Absent: now."""
    end: datetime
    reason: str = Field(default="", max_length=MAX_TEXT)
    notice_hours: float = Field(default=24.0, ge=0, le=24 * 365)
    """How long ahead people are told whose containers would have to end for it; where the start is
    nearer than that and somebody would have to go, it is refused."""


class ReservationConflict(Document):
    """What is in the way: a lease, or another reservation."""

    slot: str
    kind: Literal["lease", "reservation"]
    who: str
    container: str | None = None
    reservation: int | None = None
    until: datetime | None = None
    """When it is over at the latest; None: nobody can say."""


class Reservation(Document):
    """A promise. `slots` are those set aside for it as of now (they may change until it begins,
    where any slot of a kind was asked for)."""

    id: int
    gpu: str
    gpus: int
    user: str | None
    group: str | None
    start: datetime
    end: datetime
    reason: str
    by: str
    created: datetime
    notice_hours: float = 24.0
    """How long before the start nobody else is given what it needs any more."""
    state: Literal["upcoming", "active", "over", "cancelled"]
    slots: list[str] = Field(default_factory=list)
    """Names of slots such as `0:1`."""
    in_the_way: list[ReservationConflict] = Field(default_factory=list)
    """Leases that must end for it, and will be ended at its start."""
    problem: str | None = None
    """Why it cannot be kept as things are."""
