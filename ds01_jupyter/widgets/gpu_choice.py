"""Which slots a person can ask for, and how many of them are free now."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from ds01_jupyter.core.models import GpuSnapshot, Slot
from ds01_jupyter.widgets.markup import size

GB = 10**9
_SLICES = re.compile(r"(\d+)g\.")


def slices(profile: str) -> int | None:
    """Compute slices of a MIG profile (`3g.20gb` has 3); None for a whole GPU."""
    found = _SLICES.search(profile)
    return int(found.group(1)) if found else None


@dataclass(frozen=True)
class Offer:
    """One kind of slot: `value` is what the API is asked for, memory in bytes."""

    value: str
    title: str
    memory: int | None
    free: int
    total: int

    @property
    def label(self) -> str:
        """The offer in a line: `1g.5gb · 4.8 GiB · 7 of 9 free`."""
        memory = [size(self.memory)] if self.memory is not None else []
        count = f"{self.free} of {self.total} free" if self.free else "none free now"
        return " · ".join([self.title, *memory, count])


def offers(snapshot: GpuSnapshot) -> list[Offer]:
    """The kinds of slots that this machine has, smallest first."""
    kinds: dict[str, list[Slot]] = {}
    for slot in usable(snapshot):
        kinds.setdefault(slot.profile, []).append(slot)
    found = [(_part(slots[0]), _offer(profile, slots)) for profile, slots in kinds.items()]
    found.sort(key=lambda item: (item[0], item[1].memory or 0, item[1].value))
    return [offer for _, offer in found]


def memory_offers(snapshot: GpuSnapshot) -> list[Offer]:
    """So much memory, in whichever slot has it: every size that more than one kind of slot has,
    and not all of them. Shares have none of their own."""
    having = [slot for slot in usable(snapshot) if slot.memory_total is not None]
    sizes = sorted({(slot.memory_total or 0) // GB for slot in having})
    return [_memory_offer(size, having) for size in sizes[1:-1]]


def _memory_offer(gigabytes: int, having: list[Slot]) -> Offer:
    fitting = [slot for slot in having if (slot.memory_total or 0) >= gigabytes * GB]
    free = sum(slot.state == "free" for slot in fitting)
    title = f"At least {gigabytes} GB, in whatever slot"
    return Offer(f">={gigabytes}GB", title, None, free, len(fitting))


def usable(snapshot: GpuSnapshot) -> Iterator[Slot]:
    """The slots that can be given at all."""
    for gpu in snapshot.gpus:
        yield from (slot for slot in gpu.slots if slot.state not in ("unusable", "cordoned"))


def _part(slot: Slot) -> float:
    """How much of a GPU it is, for sorting."""
    part = slices(slot.profile)
    if slot.shared_by is not None:
        return 1 / slot.shared_by
    return 1.0 if part is None else part / 7


def _offer(profile: str, slots: list[Slot]) -> Offer:
    whole = slots[0].kind == "gpu"
    memories = [slot.memory_total for slot in slots if slot.memory_total is not None]
    title = "A whole GPU" if whole else f"MIG {profile}"
    if slots[0].kind == "share":
        title = f"A share of a GPU ({slots[0].note})"
    return Offer(
        value="whole" if whole else profile,
        title=title,
        memory=min(memories) if memories else None,
        free=sum(slot.state == "free" for slot in slots),
        total=len(slots),
    )


def none_free(snapshot: GpuSnapshot) -> set[str]:
    """The values of `options` that nothing is free for now."""
    kinds = offers(snapshot)
    busy = {offer.value for offer in (*kinds, *memory_offers(snapshot)) if not offer.free}
    return busy if any(offer.free for offer in kinds) or not kinds else busy | {"any"}


def options(snapshot: GpuSnapshot) -> list[tuple[str, str]]:
    """What to offer, as labels with the values that the API understands."""
    kinds = offers(snapshot)
    cpu = ("No GPU: CPU only", "none")
    if not kinds:
        return [cpu]
    free = next((offer for offer in kinds if offer.free), None)
    memory = f" · {size(free.memory)}" if free and free.memory is not None else ""
    smallest = f"{free.title}{memory} now" if free else "none free now"
    wishes = (*kinds, *memory_offers(snapshot))
    return [
        (f"Smallest free slot (recommended) · {smallest}", "any"),
        *((offer.label, offer.value) for offer in wishes),
        cpu,
    ]
