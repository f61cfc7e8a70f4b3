"""Slots that are free and yet not for everybody: the seam between the allocator and whatever keeps
slots for somebody (reservations, the queue)."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from ds01_jupyter.core.gpu.request import GpuRequest
from ds01_jupyter.core.gpu.slots import SlotInfo
from ds01_jupyter.core.models import LimitValues


@dataclass(frozen=True)
class Asking:
    """Who asks for slots.

    `until` is when the slots are free again at the latest, by the person's time limits; None:
    nobody can say. `entry` is the number of the queue entry that asks, None for who asks directly.
    `memory` (in use in per cent, by UUID of GPUs without MIG) and `demand` (a weight for each
    profile) are what `placement` chooses by, besides the leases.
    """

    uid: int
    name: str
    request: GpuRequest
    limits: LimitValues
    until: datetime | None = None
    entry: int | None = None
    memory: Mapping[str, float] = field(default_factory=dict)
    demand: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Fenced:
    """What a fence lets through.

    Any combination of the `allowed` slots may be taken together. Those in `reluctant` (UUIDs) are
    given last. `kept` says, by UUID, for whom or what each of the others is kept.
    """

    allowed: tuple[SlotInfo, ...]
    reluctant: frozenset[str] = frozenset()
    kept: Mapping[str, str] = field(default_factory=dict)


class Fence(Protocol):
    """Keeps some of the free slots for others than the one who asks."""

    def fence(
        self,
        connection: sqlite3.Connection,
        asking: Asking,
        slots: Sequence[SlotInfo],
        free: Sequence[SlotInfo],
    ) -> Fenced:
        """Of the `free` ones among all `slots` of this host, those that `asking` may have.

        Called inside the transaction of a claim: it looks with `connection` and with nothing else.
        """


def through(
    fences: Sequence[Fence],
    connection: sqlite3.Connection,
    asking: Asking,
    slots: Sequence[SlotInfo],
    free: Sequence[SlotInfo],
) -> Fenced:
    """What all fences let through, one after another."""
    passed = Fenced(tuple(free))
    for fence in fences:
        found = fence.fence(connection, asking, slots, passed.allowed)
        passed = Fenced(
            found.allowed, passed.reluctant | found.reluctant, {**found.kept, **passed.kept}
        )
    return passed
