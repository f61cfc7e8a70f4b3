"""How the allocator says no: what the limit is, what is in use, what would free it, what can be
had instead."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

from ds01_jupyter.core.errors import Conflict, CoreError, LimitReached, NoFreeSlot, NotFound
from ds01_jupyter.core.gpu.quota import in_words
from ds01_jupyter.core.gpu.request import GpuRequest
from ds01_jupyter.core.gpu.sharing import user_of
from ds01_jupyter.core.gpu.slots import SHARED, WHOLE, SlotInfo
from ds01_jupyter.core.ledger import ContainerRow, LeaseRow

CPU_ONLY = 'gpu="none" (CPU only)'


def name_taken(name: str) -> Conflict:
    """A container of that person has the name, or is just being made with it."""
    return Conflict(
        f"You have a container named {name} already, or it is just being created.",
        hint="Choose another name, or remove that one first.",
        name=name,
    )


def slots_per_container(limit: int, asked: int) -> LimitReached:
    """One container may not have so many slots."""
    if limit == 0:
        hint = f"Create it with {CPU_ONLY}."
    else:
        hint = f"Ask for at most {limit}, or use several containers."
    return LimitReached(
        f"One container may have at most {_slots(limit)}, and this one asks for {asked}.",
        hint=hint,
        key="max_slots_per_container",
        limit=limit,
        in_use=0,
        asked=asked,
        containers=[],
    )


def container_limit(limit: int, mine: Sequence[ContainerRow]) -> LimitReached:
    """The person has as many containers as allowed."""
    names = [row.name for row in mine]
    if limit == 0:
        hint = "Your group may not create containers; ask your admin."
    else:
        hint = f"Remove one of yours first: {_listed(names)}. Its workspace stays."
    return LimitReached(
        f"You may have at most {_number(limit, 'container')}, and you have {len(mine)}.",
        hint=hint,
        key="max_containers",
        limit=limit,
        in_use=len(mine),
        asked=1,
        containers=names,
    )


def slot_limit(limit: int, asked: int, owned: Sequence[LeaseRow]) -> LimitReached:
    """The person would have more slots than allowed."""
    names = list(dict.fromkeys(lease.name for lease in owned))
    if names and limit > 0:
        hint = f"Remove one that holds a slot ({_listed(names)}), or create this one with "
        hint += f"{CPU_ONLY}."
    elif limit > 0:
        hint = f"Ask for fewer slots, or create it with {CPU_ONLY}."
    else:
        hint = f"Create it with {CPU_ONLY}, or ask your admin for GPU access."
    return LimitReached(
        f"You may have at most {_slots(limit)}: you have {len(owned)} and ask for {asked} more.",
        hint=hint,
        key="max_mig_instances",
        limit=limit,
        in_use=len(owned),
        asked=asked,
        containers=names,
    )


def equivalents_limit(
    limit: Fraction, used: Fraction, asked: Fraction, owned: Sequence[LeaseRow]
) -> LimitReached:
    """The person would have more compute than the quota; `asked` is the least that would do."""
    names = list(dict.fromkeys(lease.name for lease in owned))
    if limit == 0:
        hint = f"Create it with {CPU_ONLY}, or ask your admin for GPU access."
    elif names:
        hint = f"Ask for a smaller slot, remove one that holds a slot ({_listed(names)}), or "
        hint += f"create this one with {CPU_ONLY}."
    else:
        hint = f"Ask for a smaller slot, or create it with {CPU_ONLY}."
    return LimitReached(
        f"You may have {in_words(limit)} GPU-equivalents (a whole GPU is 1): you have "
        f"{in_words(used)}, and this needs {in_words(asked)} more.",
        hint=hint,
        key="max_gpu_equivalents",
        limit=round(float(limit), 4),
        in_use=round(float(used), 4),
        asked=round(float(asked), 4),
        containers=names,
    )


def no_whole_gpu(
    request: GpuRequest, slots: Sequence[SlotInfo], owned: Sequence[LeaseRow]
) -> LimitReached:
    """Whole GPUs are not for this person, and nothing else would do."""
    parts = _profiles([slot for slot in slots if slot.kind != "gpu"])
    instead = f"Ask for a part of one ({_in_words(parts)} here)" if parts else "Ask your admin"
    whole = [lease for lease in owned if lease.info.kind == "gpu"]
    return LimitReached(
        "Your group may not have whole GPUs.",
        hint=f"{instead}, or create it with {CPU_ONLY}.",
        key="allow_full_gpu",
        limit=0,
        in_use=len(whole),
        asked=request.count,
        containers=list(dict.fromkeys(lease.name for lease in whole)),
    )


def beyond_quota(
    request: GpuRequest, free: Sequence[SlotInfo], left: Fraction | None, *, whole: bool
) -> NoFreeSlot:
    """Slots are free, but those that this person may have are not among them."""
    profiles = _profiles([slot for slot in free if request.matches(slot)])
    reasons = [] if left is None else [f"{in_words(left)} GPU-equivalents are left to you"]
    reasons += [] if whole else ["whole GPUs are not for your group"]
    return NoFreeSlot(
        f"What is free now is more than you may have: {' and '.join(reasons)}.",
        hint=f"Free now: {_in_words(profiles)}. Wait for a smaller slot, remove a container of "
        f"yours that holds one, or create this one with {CPU_ONLY}.",
        asked=str(request),
        count=request.count,
        free=profiles,
        left=None if left is None else round(float(left), 4),
    )


def no_such_slot(request: GpuRequest, slots: Sequence[SlotInfo]) -> CoreError:
    """Nothing on this machine could ever match, free or not."""
    profiles = _profiles(slots)
    details: dict[str, Any] = {"asked": str(request), "profiles": profiles}
    if not slots:
        return NoFreeSlot(
            "This machine has no GPU slot that could be given.",
            hint=f"ds01 gpus says why; a container can be created with {CPU_ONLY}.",
            **details,
            free=[],
            busy=0,
        )
    if request.kind == "slot":
        parts = (f"{request.value}:", f"{request.value}/")
        inside = [slot for slot in slots if slot.slot.startswith(parts)]
        shown = [slot.slot for slot in inside or slots]
        how = "shared" if inside and inside[0].kind == "share" else "partitioned"
        why = f" (that GPU is {how})" if inside else ""
        return NotFound(
            f"There is no slot {request.value} on this machine{why}.",
            hint=f"There are {_listed(shown)}.",
            **details,
        )
    if request.kind == "memory":
        return _too_little_memory(request, slots, details)
    if request.value == SHARED:
        message = "No GPU of this machine is shared."
    else:
        message = f"This machine has no slot of the kind {request.value or 'whole GPU'}."
    return NotFound(message, hint=f"It has {_in_words(profiles)}.", **details)


def _too_little_memory(
    request: GpuRequest, slots: Sequence[SlotInfo], details: Mapping[str, Any]
) -> NotFound:
    """No slot has so much memory for itself; what is not known is not enough."""
    known = [slot for slot in slots if slot.memory_total is not None]
    largest = max(known, key=lambda slot: slot.memory_total or 0, default=None)
    has = "no slot tells how much it has"
    if largest is not None:
        has = f"the largest slot has {_gib(largest.memory_total or 0)} ({largest.profile})"
    hint = f"It has {_in_words(_profiles(slots))}."
    if any(slot.kind == "share" for slot in slots):
        hint += " A share of a GPU has no memory of its own, so it does not count."
    return NotFound(
        f"This machine has no {str(request)[2:] if request.count == 1 else request}: {has}.",
        hint=hint,
        **details,
    )


def repartitioning() -> NoFreeSlot:
    """An admin changes the MIG layout, again and again."""
    return NoFreeSlot(
        "The GPUs of this machine are being partitioned anew.",
        hint=f"Try again in a minute, or create it with {CPU_ONLY}.",
        free=[],
    )


def none_free(
    request: GpuRequest,
    slots: Sequence[SlotInfo],
    free: Sequence[SlotInfo],
    leases: Sequence[LeaseRow],
    foreign: Mapping[str, str],
) -> NoFreeSlot:
    """What was asked for exists, but not enough of it is free now."""
    fitting = sum(request.matches(slot) for slot in free)
    profiles = _profiles(free)
    details: dict[str, Any] = {
        "asked": str(request),
        "count": request.count,
        "free": profiles,
        "busy": len(slots) - len(free),
    }
    if request.kind == "slot":
        who = _user_of(request, slots, leases, foreign)
        details["used_by"] = who
        message = f"The slot {request.value} is in use by {who}."
    elif fitting:
        message = f"Only {fitting} of the {request.count} slots that you asked for are free."
    elif request.kind == "any":
        message = "No GPU slot is free now."
    else:
        message = f"{str(request)[0].upper()}{str(request)[1:]} is not free now."
    if profiles:
        hint = f"Free now: {_in_words(profiles)}. Or create it with {CPU_ONLY}."
    else:
        hint = f"All GPU slots are in use; try later, or create it with {CPU_ONLY}."
    return NoFreeSlot(message, hint=hint, **details)


def kept_for_others(
    request: GpuRequest,
    free: Sequence[SlotInfo],
    allowed: Sequence[SlotInfo],
    kept: Mapping[str, str],
) -> NoFreeSlot:
    """Enough is free, but it is kept: reserved, or somebody in the queue comes first. `kept` says
    for whom, by the UUID of a slot."""
    whose = dict.fromkeys(
        kept[slot.uuid] for slot in free if slot.uuid in kept and request.matches(slot)
    )
    profiles = _profiles(allowed)
    instead = f"Free for you now: {_in_words(profiles)}. " if profiles else ""
    return NoFreeSlot(
        f"What is free now is kept for others: {_listed(list(whose), most=3)}.",
        hint=f"{instead}Wait in the queue, or create it with {CPU_ONLY}.",
        asked=str(request),
        count=request.count,
        free=profiles,
        kept=list(whose),
    )


def _user_of(
    request: GpuRequest,
    slots: Sequence[SlotInfo],
    leases: Sequence[LeaseRow],
    foreign: Mapping[str, str],
) -> str:
    wanted = next(slot for slot in slots if request.matches(slot))
    for lease in leases:
        if lease.info.bars(wanted):
            return f"{lease.owner} ({lease.name})"
    return user_of(wanted, foreign) or "somebody else"


def _profiles(slots: Sequence[SlotInfo]) -> list[dict[str, Any]]:
    """Profiles with their number, smallest first."""
    sizes = {slot.profile: (slot.share, slot.memory_total or 0) for slot in slots}
    counts = Counter(slot.profile for slot in slots)
    return [
        {"profile": profile, "count": counts[profile]}
        for profile in sorted(sizes, key=lambda profile: sizes[profile])
    ]


def _in_words(profiles: Sequence[Mapping[str, Any]]) -> str:
    names = {WHOLE: "whole GPU", SHARED: "share"}
    words = [
        _number(item["count"], names[item["profile"]])
        if item["profile"] in names
        else f"{item['count']} x {item['profile']}"
        for item in profiles
    ]
    return ", ".join(words)


def _gib(size: int) -> str:
    return f"{size / 2**30:.4g} GiB"


def _listed(names: Sequence[str], most: int = 8) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _slots(count: int) -> str:
    return _number(count, "GPU slot")


def _number(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
