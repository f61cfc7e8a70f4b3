"""Promises, leases and slots in the words of the tests; hours are from noon on."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from ds01_jupyter.core.gpu.slots import WHOLE, SlotInfo
from ds01_jupyter.core.reservations.keeping import How, Keeping
from ds01_jupyter.core.reservations.promises import Occupant, Promise, Situation

NOON = datetime(2026, 12, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
ANNA, BEN, CARL, DORA = 1001, 1002, 1003, 1004


def at(hours: float) -> datetime:
    """So many hours after noon."""
    return NOON + hours * HOUR


def mig(gpu: int, index: int, profile: str = "1g.5gb") -> SlotInfo:
    name = f"{gpu}:{index}"
    return SlotInfo(name, f"MIG-{name}", "mig", profile, gpu, f"GPU-{gpu}", 5, 1 / 7, index)


def whole(gpu: int) -> SlotInfo:
    return SlotInfo(str(gpu), f"GPU-{gpu}", "gpu", WHOLE, gpu, f"GPU-{gpu}", 40, 1.0)


def promise(
    number: int,
    start: float,
    end: float,
    *,
    slot: SlotInfo | None = None,
    profile: str = "1g.5gb",
    count: int = 1,
    uid: int | None = ANNA,
    group: str | None = None,
    notice: float = 24,
    **more: object,
) -> Promise:
    kind = "slot" if slot else "whole" if profile == WHOLE else "profile"
    return Promise(
        id=number,
        kind=kind,  # type: ignore[arg-type]
        profile=slot.profile if slot else profile,
        count=count,
        start=at(start),
        end=at(end),
        notice=notice * HOUR,
        uid=None if group else uid,
        user=None if group else f"user{uid}",
        group=group,
        slot_uuid=slot.uuid if slot else None,
        slot=slot.slot if slot else None,
        **more,  # type: ignore[arg-type]
    )


def lease(
    slot: SlotInfo,
    uid: int = BEN,
    ends: float | None = None,
    *,
    claim: str = "",
    priority: int = 10,
    age: float = 1,
    number: int = 1,
    told: bool = False,
    group: str | None = None,
) -> Occupant:
    return Occupant(
        claim_id=claim or f"claim-{slot.slot}",
        lease_id=number,
        slot=slot,
        uid=uid,
        group=group,
        owner=f"user{uid}",
        name=f"box-{slot.slot}",
        priority=priority,
        created=at(-age),
        ends=None if ends is None else at(ends),
        told=told,
    )


def look(
    slots: Sequence[SlotInfo],
    promises: Sequence[Promise],
    *occupants: Occupant,
    foreign: Sequence[str] = (),
    cordoned: Sequence[str] = (),
) -> Situation:
    return Situation(
        NOON,
        slots,
        promises,
        occupants,
        dict.fromkeys(foreign, "stray"),
        dict.fromkeys(cordoned, "it is ill"),
    )


def names(keeping: Keeping, number: int) -> list[str]:
    return [kept.slot.slot for kept in keeping.kept[number]]


def hows(keeping: Keeping, number: int) -> list[How]:
    return [kept.how for kept in keeping.kept[number]]


SEVEN = [mig(0, index) for index in range(7)]
