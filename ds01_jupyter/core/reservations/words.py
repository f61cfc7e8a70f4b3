"""How reservations are spoken of: moments, spans, what is wrong, and what people are told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta

from ds01_jupyter.core.gpu.quota import equivalents, exact, in_words
from ds01_jupyter.core.gpu.slots import WHOLE, SlotInfo
from ds01_jupyter.core.models import LimitValues
from ds01_jupyter.core.reservations.keeping import How, Keeping
from ds01_jupyter.core.reservations.promises import Promise, Situation

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
# Not strftime's: these words stand in English sentences, whatever the locale is.


def at(moment: datetime) -> str:
    """A moment on this machine's clock: `Tue 1 Dec 2026 09:00 CET`."""
    local = moment.astimezone()
    day = f"{DAYS[local.weekday()]} {local.day} {MONTHS[local.month - 1]} {local.year}"
    return f"{day} {local:%H:%M} {local.tzname() or ''}".rstrip()


def span(start: datetime, end: datetime) -> str:
    """`Tue 1 Dec 2026 09:00 to 18:00 CET`, the day of the end only where it is another one."""
    first, last = start.astimezone(), end.astimezone()
    if first.date() == last.date() and first.tzname() == last.tzname():
        return f"{at(start).rpartition(' ')[0]} to {last:%H:%M} {last.tzname() or ''}".rstrip()
    return f"{at(start)} to {at(end)}"


def hours(length: timedelta) -> str:
    """`24 hours`, `1 hour`, `30 minutes`."""
    minutes = round(length.total_seconds() / 60)
    if minutes % 60:
        return (
            f"{minutes} minutes" if minutes < 120 else f"{length.total_seconds() / 3600:.1f} hours"
        )
    return "1 hour" if minutes == 60 else f"{minutes // 60} hours"


def what(promise: Promise) -> str:
    """What is promised: `slot 0:1`, `a whole GPU`, `2 x 1g.5gb`."""
    if promise.kind == "slot":
        return f"slot {promise.slot}"
    if promise.kind == "whole":
        return "a whole GPU" if promise.count == 1 else f"{promise.count} whole GPUs"
    return f"{promise.count} x {promise.profile}"


def kept_for(promise: Promise) -> str:
    """For whom a slot is kept, for who would have liked to have it."""
    when = span(promise.start, promise.end)
    return f"{promise.who}, reserved for {when} (reservation {promise.id})"


def makes_way(promise: Promise, slot: str) -> str:
    """For what somebody has to make way, as the end of a sentence."""
    return f"slot {slot} is reserved for {promise.who} from {at(promise.start)} on"


def problem(promise: Promise, situation: Situation, keeping: Keeping) -> str | None:
    """Why a promise cannot be kept as things are; None when it can."""
    failing = keeping.failing(promise)
    if not failing:
        return None
    reasons = list(dict.fromkeys(_reasons(promise, situation, keeping)))
    fitting = promise.fitting(situation.slots)
    if len(fitting) < promise.count:
        if promise.kind == "slot":
            there = next((each for each in situation.slots if each.slot == promise.slot), None)
            now = "" if there is None else f" (what has that name now is {_kind(there.profile)})"
            return f"There is no slot {promise.slot} ({_kind(promise.profile)}) any more{now}."
        reasons.append(f"this machine has {len(fitting)} of the kind {_kind(promise.profile)} now")
    elif len(keeping.of(promise)) < promise.count:
        reasons.append("what else would do is promised to others for that time")
    words = "; ".join(reasons)
    if promise.count == 1:
        return f"{words[:1].upper()}{words[1:]}."
    return f"{failing} of its {promise.count} slots cannot be kept: {words}."


def beyond(promise: Promise, limits: LimitValues, slots: Sequence[SlotInfo]) -> str | None:
    """Why somebody with these limits could not use all of it, though it is kept; None: they could.

    A promise lifts no limit.
    """
    who, most = promise.user, limits.max_mig_instances
    if promise.profile == WHOLE and not limits.allow_full_gpu:
        return f"It is kept, but the group of {who} may not have whole GPUs."
    if most is not None and most < promise.count:
        return f"It is kept, but {who} may have {most} of its {promise.count} slots only."
    compute, share = limits.max_gpu_equivalents, equivalents(slots)
    if compute is not None and exact(compute) < share:
        return (
            f"It is kept, but {who} may have {in_words(exact(compute))} GPU-equivalents only, and "
            f"it is {in_words(share)}."
        )
    return None


def _reasons(promise: Promise, situation: Situation, keeping: Keeping) -> Sequence[str]:
    found = []
    for kept in keeping.of(promise):
        if kept.how is not How.CANNOT:
            continue
        slot = kept.slot
        if slot.gpu_uuid in situation.cordoned:
            why = situation.cordoned[slot.gpu_uuid].rstrip(".")
            found.append(f"GPU {slot.gpu_index} is cordoned ({why})")
        elif slot.uuid in situation.foreign:
            user = situation.foreign[slot.uuid]
            found.append(f"slot {slot.slot} is in use by {user}, which was started around ds01")
        else:
            found.append(f"GPU {slot.gpu_index} is being partitioned anew")
    return found


def profiles(situation: Situation) -> str:
    """What this machine has: `2 x whole, 7 x 1g.5gb`."""
    counts = Counter(slot.profile for slot in situation.slots)
    return ", ".join(f"{number} x {profile}" for profile, number in counts.items())


def _kind(profile: str) -> str:
    return "whole GPU" if profile == WHOLE else profile
