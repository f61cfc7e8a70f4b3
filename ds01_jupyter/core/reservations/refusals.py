"""How a booking is refused: what cannot be meant, and what is in the way of it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from ds01_jupyter.core.errors import Conflict, InvalidInput, NotFound
from ds01_jupyter.core.gpu.slots import WHOLE
from ds01_jupyter.core.reservations import words
from ds01_jupyter.core.reservations.documents import ReservationConflict
from ds01_jupyter.core.reservations.promises import Promise, Situation
from ds01_jupyter.core.wording import did_you_mean, quoted

SHOWN = 3
"""Entries that the sentence of a refusal names; all of them are in its details."""


def not_a_span(start: datetime, end: datetime) -> InvalidInput:
    """The end is not after the start."""
    return InvalidInput(
        f"It would end ({words.at(end)}) before it begins ({words.at(start)})."
        if end < start
        else f"It would begin and end at the same moment ({words.at(start)}).",
        hint="Give an end after the start.",
    )


def past(end: datetime) -> InvalidInput:
    """All of it has passed."""
    return InvalidInput(
        f"{words.at(end)} has passed: nothing can be reserved up to then.",
        hint="Give an end that is still to come.",
    )


def too_long(days: int) -> InvalidInput:
    """It lasts too long, or is too far ahead."""
    return InvalidInput(
        f"A reservation ends within {days} days from now.",
        hint="Check the year; what is to last is a matter for resource-limits.yaml.",
        days=days,
    )


def without_offset(name: str) -> InvalidInput:
    """A time that could be meant anywhere on earth."""
    return InvalidInput(
        f"The field {name} is wrong: it has no offset from UTC.",
        hint="Write it as 2026-12-01T09:00:00+01:00, or with Z for UTC.",
        field=name,
    )


def one_of_both() -> InvalidInput:
    """For a person or a group."""
    return InvalidInput(
        "A reservation is for a user or for a group, and for one of them only.",
        hint="Give `user` or `group`.",
    )


def no_group(group: str, groups: Sequence[str]) -> NotFound:
    """The limits file has no such group."""
    return NotFound(
        f"There is no group {quoted(group)} in the limits file.",
        hint=did_you_mean(group, groups),
        group=group[:200],
        groups=list(groups),
    )


def not_reservable(gpu: str) -> InvalidInput:
    """Any slot, none, or an amount of memory."""
    return InvalidInput(
        f"{gpu!r} cannot be reserved: it has to be clear what is set aside.",
        hint='Name a slot such as "0:1", a MIG profile such as "1g.5gb", or "whole".',
        gpu=gpu,
    )


def too_few(promise: Promise, situation: Situation) -> InvalidInput:
    """The machine does not have so many."""
    have = len(promise.fitting(situation.slots))
    kind = "whole GPUs" if promise.profile == WHOLE else f"slots {promise.profile}"
    return InvalidInput(
        f"This machine has only {have} {kind}, and {promise.count} were asked for.",
        hint=f"It has {words.profiles(situation)}.",
        asked=promise.count,
        there=have,
    )


def in_the_way(
    promise: Promise, conflicts: Sequence[ReservationConflict], *, notice: bool
) -> Conflict:
    """Somebody has it: other promises, or (with `notice`) leases that would have to be ended at
    shorter notice than people are given."""
    named = "; ".join(entry(each) for each in conflicts[:SHOWN])
    more = f" and {len(conflicts) - SHOWN} more" if len(conflicts) > SHOWN else ""
    if notice:
        length = words.hours(promise.notice)
        message = (
            f"Somebody would have to be stopped for it at {words.at(promise.start)}, with less "
            f"than {length} of notice: {named}{more}."
        )
        hint = (
            "Begin later, choose other slots, or give people less notice (`--notice 2h`): then "
            "they are told now, and stopped at the start."
        )
    else:
        message = f"{words.what(promise).capitalize()} cannot be had then: {named}{more}."
        hint = "Choose another time or other slots, or cancel what is in the way."
    return Conflict(
        message,
        hint=hint,
        conflicts=[each.model_dump(mode="json") for each in conflicts],
    )


def not_possible(promise: Promise, problem: str) -> Conflict:
    """It could not be kept, for another reason than somebody's lease or promise."""
    return Conflict(
        f"{words.what(promise).capitalize()} cannot be promised as things are: {problem}",
        hint="`ds01 gpus` shows how the slots are; reserve it when that is well again.",
        problem=problem,
    )


def entry(conflict: ReservationConflict) -> str:
    """What is in the way, in words."""
    if conflict.kind == "reservation":
        until = "" if conflict.until is None else f" until {words.at(conflict.until)}"
        where = f"slot {conflict.slot} is" if conflict.slot else "it is"
        return f"{where} reserved for {conflict.who}{until} (reservation {conflict.reservation})"
    until = (
        "nobody can say until when"
        if conflict.until is None
        else f"until {words.at(conflict.until)} at the latest"
    )
    return f"slot {conflict.slot} is used by {conflict.who} ({conflict.container}), {until}"


def unknown(number: int) -> NotFound:
    """There is no such reservation."""
    return NotFound(
        f"There is no reservation {number}.",
        hint="`ds01 reservations --all` shows all that there are and were.",
        id=number,
    )


def over(promise: Promise) -> Conflict:
    """It cannot be cancelled any more."""
    how = "was cancelled" if promise.cancelled is not None else "is over"
    return Conflict(
        f"Reservation {promise.id} {how} already.",
        hint="`ds01 reservations` shows those that stand.",
        id=promise.id,
    )
