"""Which slots a person may have at all: whole GPUs or not, and how much compute is left of the
quota. All of it is asked inside the transaction of a claim."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from ds01_jupyter.core.allocator_refusals import beyond_quota, equivalents_limit, no_whole_gpu
from ds01_jupyter.core.errors import NoFreeSlot
from ds01_jupyter.core.gpu.placement import excludes
from ds01_jupyter.core.gpu.quota import equivalents, exact
from ds01_jupyter.core.gpu.request import GpuRequest
from ds01_jupyter.core.gpu.slots import SlotInfo
from ds01_jupyter.core.ledger import LeaseRow
from ds01_jupyter.core.models import LimitValues


class Quota:
    """What is left to one person. `owned` are the person's live leases, held ones too."""

    def __init__(self, limits: LimitValues, owned: Sequence[LeaseRow]) -> None:
        self._owned = owned
        self._whole = limits.allow_full_gpu
        self._used = equivalents(lease.info for lease in owned)
        most = limits.max_gpu_equivalents
        self._limit = None if most is None else exact(most)
        self._left: Fraction | None = None if self._limit is None else self._limit - self._used
        self._everything = self._whole and self._left is None

    def check(self, request: GpuRequest, slots: Sequence[SlotInfo]) -> None:
        """Refuse what this person could not have even if all `slots` of the machine were free.

        Raises `LimitReached`.
        """
        if request.kind == "none" or self._everything:
            return
        matching = [slot for slot in slots if request.matches(slot)]
        allowed = [slot for slot in matching if self._allows(slot)]
        if not allowed and (matching or request.kind == "whole") and not self._whole:
            raise no_whole_gpu(request, slots, self._owned)
        if allowed and self._left is not None and self._limit is not None:
            # Never less than this, whatever is chosen.
            least = min(exact(slot.share) for slot in allowed) * request.count
            if least > self._left:
                raise equivalents_limit(self._limit, self._used, least, self._owned)

    def admitted(self, slots: Sequence[SlotInfo]) -> list[SlotInfo]:
        """Those of some slots that this person may have, each for itself."""
        if self._everything:
            return list(slots)
        return [slot for slot in slots if self._allows(slot) and self.holds((slot,))]

    def holds(self, chosen: Sequence[SlotInfo]) -> bool:
        """Whether these slots together are within what is left."""
        return self._left is None or equivalents(chosen) <= self._left

    def smallest(self, slots: Sequence[SlotInfo], request: GpuRequest) -> list[SlotInfo]:
        """As many of the slots as are asked for, the smallest ones that go together: if they are
        not within what is left, no others are."""
        chosen: list[SlotInfo] = []
        for slot in sorted(slots, key=lambda slot: exact(slot.share)):
            if len(chosen) == request.count:
                break
            if request.matches(slot) and not any(excludes(other, slot) for other in chosen):
                chosen.append(slot)
        return chosen

    def refusal(self, request: GpuRequest, free: Sequence[SlotInfo]) -> NoFreeSlot:
        """The refusal where slots are free, and this person may have none of them."""
        return beyond_quota(request, free, self._left, whole=self._whole)

    def _allows(self, slot: SlotInfo) -> bool:
        return self._whole or slot.kind != "gpu"
