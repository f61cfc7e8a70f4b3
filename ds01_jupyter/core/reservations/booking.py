"""Making a promise, or refusing it with what is in the way. Pure: looks at a `Situation`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta

from ds01_jupyter.core.allocator_refusals import no_such_slot
from ds01_jupyter.core.gpu.request import GpuRequest
from ds01_jupyter.core.gpu.slots import WHOLE, SlotInfo
from ds01_jupyter.core.reservations import refusals
from ds01_jupyter.core.reservations.documents import ReservationConflict, ReservationRequest
from ds01_jupyter.core.reservations.keeping import How, Keeping, Kept, keep
from ds01_jupyter.core.reservations.promises import Promise, Situation
from ds01_jupyter.core.reservations.words import problem

MAX_AHEAD = timedelta(days=366)
"""How far ahead a reservation may end: beyond that a year was misspelt."""
SLACK = timedelta(minutes=1)
"""What a person's typing may take from the notice."""
NEW = 2**62
"""Number of a promise that has none yet: the last of all."""


def times(request: ReservationRequest, now: datetime) -> tuple[datetime, datetime]:
    """Start and end of what is asked for; a start that has passed is now.

    Raises `InvalidInput`.
    """
    for name, moment in (("start", request.start), ("end", request.end)):
        if moment is not None and moment.tzinfo is None:
            raise refusals.without_offset(name)
    start = request.start or now
    if request.end <= start:
        raise refusals.not_a_span(start, request.end)
    if request.end <= now:
        raise refusals.past(request.end)
    if request.end > now + MAX_AHEAD:
        raise refusals.too_long(MAX_AHEAD.days)
    return max(start, now), request.end


def wish(request: ReservationRequest) -> GpuRequest:
    """What is asked for. Raises `InvalidInput`."""
    found = GpuRequest.parse(request.gpu, request.gpus)
    if found.kind not in ("slot", "profile", "whole"):
        raise refusals.not_reservable(request.gpu)
    return found


def described(promise: Promise, found: GpuRequest, situation: Situation) -> Promise:
    """The promise with what is promised. Raises `NotFound` or `InvalidInput` where this machine
    does not have it."""
    matching = [slot for slot in situation.slots if found.matches(slot)]
    if not matching:
        raise no_such_slot(found, situation.slots)
    if found.kind == "slot":
        slot: SlotInfo = matching[0]
        return replace(
            promise, kind="slot", profile=slot.profile, slot_uuid=slot.uuid, slot=slot.slot
        )
    profile = WHOLE if found.kind == "whole" else matching[0].profile
    kind = "whole" if found.kind == "whole" else "profile"
    made = replace(promise, kind=kind, profile=profile, count=found.count)  # type: ignore[arg-type]
    if len(matching) < found.count:
        raise refusals.too_few(made, situation)
    return made


def check(promise: Promise, before: Situation) -> Keeping:
    """How everything is kept with one more promise.

    Raises `Conflict` where it, or another one, could not be kept then; or where leases would have
    to be ended for it at shorter notice than was promised to their owners.
    """
    after = replace(before, promises=[*before.promises, promise])
    old, new = keep(before), keep(after)
    worse = [each for each in before.promises if new.failing(each) > old.failing(each)]
    if new.failing(promise) or worse:
        rivals = list(_rivals(promise, before, old))
        said = problem(promise, after, new)
        if rivals:
            raise refusals.in_the_way(promise, rivals, notice=False)
        raise refusals.not_possible(promise, said or "others could not be kept.")
    hasty = list(_hasty(after, old, new))
    if hasty:
        raise refusals.in_the_way(promise, hasty, notice=True)
    return new


def _rivals(
    promise: Promise, situation: Situation, keeping: Keeping
) -> Iterator[ReservationConflict]:
    """The promises at the same time that have slots which would do."""
    fitting = {slot.uuid for slot in promise.fitting(situation.slots)}
    for other in situation.promises:
        if other.end <= promise.start or promise.end <= other.start:
            continue
        for kept in keeping.of(other):
            if kept.slot.uuid in fitting:
                yield ReservationConflict(
                    slot=kept.slot.slot,
                    kind="reservation",
                    who=other.who,
                    reservation=other.id,
                    until=other.end,
                )


def _hasty(after: Situation, old: Keeping, new: Keeping) -> Iterator[ReservationConflict]:
    """The leases that would have to be ended now though they had not to before, and that too soon
    for their owners to be told in time."""
    known = {
        claim.claim_id
        for promise in after.promises
        for kept in old.of(promise)
        for claim in kept.leaving
    }
    for promise in after.promises:
        if promise.start - after.now >= promise.notice - SLACK:
            continue
        for kept in new.of(promise):
            if any(each.claim_id not in known for each in kept.leaving):
                yield from leaving(kept)


def leaving(kept: Kept) -> Iterator[ReservationConflict]:
    """The leases that have to be ended for a slot."""
    if kept.how is not How.EVICT:
        return
    for each in kept.leaving:
        yield ReservationConflict(
            slot=each.slot.slot,
            kind="lease",
            who=each.owner,
            container=each.name,
            until=each.ends,
        )
