"""Which of the free slots to take.

Slots are exclusive. The smallest that fits goes first (best fit), so that what is big stays free
for those who need it. Among equals the score of the seed system decides (its audit, section 4.3,
`score_gpu`), taken over the physical GPU of each slot:

    |highest priority of the leases on the GPU - priority of the person| x 100
      + leases on the GPU x 10
      + memory in use on the GPU in per cent

Lower is better: neighbours of like priority, then the less busy GPU. A GPU without leases has no
difference. What then is still equal goes in the order of GPU and MIG index.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ds01_jupyter.core.gpu.request import GpuRequest
from ds01_jupyter.core.gpu.slots import SlotInfo


@dataclass(frozen=True)
class GpuOccupancy:
    """What is on one physical GPU: the priority of each lease, and memory in use in per cent
    (0 where the driver does not tell)."""

    priorities: tuple[int, ...] = ()
    memory_percent: float = 0.0

    def score(self, priority: int) -> float:
        """The seed's score for one more lease of this `priority`; lower is better."""
        distance = abs(max(self.priorities) - priority) if self.priorities else 0
        return distance * 100 + len(self.priorities) * 10 + self.memory_percent

    def with_lease(self, priority: int) -> GpuOccupancy:
        """The same with one more lease."""
        return GpuOccupancy((*self.priorities, priority), self.memory_percent)


def choose(
    candidates: Sequence[SlotInfo],
    request: GpuRequest,
    priority: int,
    occupancy: Mapping[str, GpuOccupancy],
) -> tuple[SlotInfo, ...]:
    """`request.count` distinct slots of `candidates` (all free), or none when too few fit.

    `occupancy` is by UUID of the physical GPU; one that is not in it is empty. With a count above
    one the choice is repeated, each time with the slots taken so far counted as leases.
    """
    left = [slot for slot in candidates if request.matches(slot)]
    on_gpu = dict(occupancy)
    chosen: list[SlotInfo] = []
    for _ in range(request.count):
        if not left:
            return ()
        best = min(left, key=lambda slot: _rank(slot, priority, on_gpu))
        left = [slot for slot in left if not _excludes(best, slot)]
        chosen.append(best)
        on_gpu[best.gpu_uuid] = _of(on_gpu, best).with_lease(priority)
    return tuple(chosen)


def _rank(
    slot: SlotInfo, priority: int, occupancy: Mapping[str, GpuOccupancy]
) -> tuple[float, float, bool, float, tuple[int, int]]:
    # A variant such as 1g.5gb+me exists once a GPU: it is not spent on who did not ask for it.
    size = (slot.share, slot.memory_total or 0, "+" in slot.profile)
    return (*size, _of(occupancy, slot).score(priority), slot.order)


def _of(occupancy: Mapping[str, GpuOccupancy], slot: SlotInfo) -> GpuOccupancy:
    return occupancy.get(slot.gpu_uuid, GpuOccupancy())


def _excludes(taken: SlotInfo, other: SlotInfo) -> bool:
    """The same slot, or a whole GPU beside its own instances."""
    same_gpu = taken.gpu_uuid == other.gpu_uuid
    return taken.uuid == other.uuid or (same_gpu and "gpu" in (taken.kind, other.kind))
