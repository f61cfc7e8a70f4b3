"""Reservations as documents."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Literal

from ds01_jupyter.core.gpu_documents import GpuSnapshot, SlotReservation
from ds01_jupyter.core.models import LimitValues
from ds01_jupyter.core.reservations import words
from ds01_jupyter.core.reservations.booking import leaving
from ds01_jupyter.core.reservations.documents import Reservation
from ds01_jupyter.core.reservations.keeping import How, Keeping
from ds01_jupyter.core.reservations.promises import Promise, Situation

State = Literal["upcoming", "active", "over", "cancelled"]


def state_of(promise: Promise, now: datetime) -> State:
    """Where a promise stands."""
    if promise.cancelled is not None:
        return "cancelled"
    if promise.end <= now:
        return "over"
    return "active" if promise.begun(now) else "upcoming"


def document(
    promise: Promise,
    now: datetime,
    situation: Situation | None,
    keeping: Keeping | None,
    *,
    unknown: str | None = None,
    limits: LimitValues | None = None,
) -> Reservation:
    """A promise with the slots that are set aside for it.

    Without a `situation` it cannot be told which; `unknown` then says why. `limits` are those of
    the person whom it is for.
    """
    state = state_of(promise, now)
    stands = state in ("upcoming", "active")
    kept = keeping.of(promise) if stands and keeping is not None else ()
    problem = None
    if stands:
        known = situation is not None and keeping is not None
        problem = words.problem(promise, situation, keeping) if known else unknown  # type: ignore[arg-type]
        if problem is None and limits is not None:
            problem = words.beyond(promise, limits, [each.slot for each in kept])
    return Reservation(
        id=promise.id,
        gpu=promise.gpu,
        gpus=promise.count,
        user=promise.user,
        group=promise.group,
        start=promise.start,
        end=promise.end,
        reason=promise.reason,
        by=promise.by,
        created=promise.created or promise.start,
        state=state,
        notice_hours=promise.notice.total_seconds() / 3600,
        slots=[each.slot.slot for each in kept if each.how is not How.CANNOT],
        in_the_way=[conflict for each in kept for conflict in leaving(each)],
        problem=problem,
    )


def marked(snapshot: GpuSnapshot, found: Mapping[str, SlotReservation]) -> GpuSnapshot:
    """The GPUs with the reservations of their slots (by UUID)."""
    gpus = [
        gpu.model_copy(
            update={
                "slots": [
                    slot.model_copy(update={"reservation": found.get(slot.uuid)})
                    for slot in gpu.slots
                ]
            }
        )
        for gpu in snapshot.gpus
    ]
    return snapshot.model_copy(update={"gpus": gpus})


def next_of_slots(situation: Situation, keeping: Keeping) -> Mapping[str, SlotReservation]:
    """The next (or present) reservation of each slot, by its UUID."""
    found: dict[str, SlotReservation] = {}
    for promise in sorted(situation.promises, key=lambda each: (each.start, each.id)):
        for kept in keeping.of(promise):
            if kept.how is not How.CANNOT:
                found.setdefault(
                    kept.slot.uuid,
                    SlotReservation(
                        id=promise.id,
                        who=promise.who,
                        start=promise.start,
                        end=promise.end,
                        active=promise.begun(situation.now),
                    ),
                )
    return found
