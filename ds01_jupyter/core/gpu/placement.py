"""Which of the free slots to take.

The smallest that fits goes first (best fit), so that what is big stays free for those who need it.
Where memory was asked for, that is the least memory and then the least compute; else the least
compute and then the least memory.

Among equals (and among all shares, where a share is what is to be given) the score of the seed
system decides (its audit, section 4.3, `score_gpu`), taken over what would be had:

    |highest priority of the leases on it - priority of the person| x 100
      + leases on it x 10
      + memory in use on it in per cent

Lower is better: neighbours of like priority, then the less busy. A slot that is had alone has
nobody on it and scores 0, whatever happens elsewhere on its GPU, so the score chooses between GPUs
that are shared, and between those only. (Over the physical GPU it would spread people over all
GPUs: memory in use is never equal on two of them.)

What the score rates equal is for `fragmentation` to choose: the slot that those who come next miss
least, by what people ask for, then the one on the GPU with least free. Of whole GPUs that are still
equal those come last on which somebody without a container is at work (memory is in use); then it
goes in the order of GPU and MIG index.

Pure functions: whoever wants to know what would be given to somebody calls them with a list.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from ds01_jupyter.core.gpu.fragmentation import Instance, Wanted, choose_instance
from ds01_jupyter.core.gpu.request import GpuRequest
from ds01_jupyter.core.gpu.slots import SlotInfo


class HasPriority(Protocol):
    """A lease: its slot, and the priority of its owner."""

    @property
    def info(self) -> SlotInfo:
        """The slot as it was given."""

    @property
    def priority(self) -> int:
        """Of the person, 0 to 100."""


IN_USE = 10.0
"""Per cent of memory: what the driver keeps for itself on an idle GPU is less."""


@dataclass(frozen=True)
class GpuOccupancy:
    """What is on one GPU that is not in MIG mode: the priority of each lease of a share, and memory
    in use in per cent (0 where the driver does not tell)."""

    priorities: tuple[int, ...] = ()
    memory_percent: float = 0.0

    def score(self, priority: int) -> float:
        """The seed's score for one more lease of this `priority`; lower is better."""
        distance = abs(max(self.priorities) - priority) if self.priorities else 0
        return distance * 100 + len(self.priorities) * 10 + self.memory_percent


def shared_occupancy(
    leases: Iterable[HasPriority], memory: Mapping[str, float]
) -> dict[str, GpuOccupancy]:
    """By UUID of the GPU: what is on those that are not in MIG mode.

    `leases` are the live ones, `memory` is in use in per cent, by UUID of the GPU.
    """
    priorities: dict[str, list[int]] = {uuid: [] for uuid in memory}
    for lease in leases:
        if lease.info.kind == "share":
            priorities.setdefault(lease.info.gpu_uuid, []).append(lease.priority)
    return {
        uuid: GpuOccupancy(tuple(found), memory.get(uuid, 0.0))
        for uuid, found in priorities.items()
    }


def choose(
    candidates: Sequence[SlotInfo],
    request: GpuRequest,
    priority: int,
    occupancy: Mapping[str, GpuOccupancy],
    demand: Mapping[str, float] | None = None,
    *,
    free: Sequence[SlotInfo] | None = None,
) -> tuple[SlotInfo, ...]:
    """`request.count` distinct slots of `candidates` (all free), or none when too few fit.

    `occupancy` (see `shared_occupancy`) is by UUID of the GPU; one that is not in it is empty.
    `demand` gives a weight to each profile that people ask for (absent: none is known). `free` is
    everything that is free, for who may have only a part of it (the `candidates`): what is missed
    is judged by it. With a count above one the choice is repeated with what is left.
    """

    def order(slot: SlotInfo) -> tuple[bool, tuple[int, int]]:
        busy = slot.kind == "gpu" and _on(slot, occupancy).memory_percent >= IN_USE
        return busy, slot.order

    slots = {slot.uuid: slot for slot in (*(free or ()), *candidates)}
    pool = [_instance(slot) for slot in sorted(slots.values(), key=order)]
    wanted = Wanted(memory=request.memory)
    left = [slot for slot in candidates if request.matches(slot)]
    chosen: list[SlotInfo] = []
    for _ in range(request.count):
        rated = {slot.uuid for slot in _rated_best(left, wanted, priority, occupancy)}
        found = choose_instance(pool, wanted, demand or {}, only=rated)
        if found is None:
            return ()
        best = slots[found.uuid]
        chosen.append(best)
        if len(chosen) < request.count:
            left = [slot for slot in left if not excludes(best, slot)]
            pool.remove(found)
    return tuple(chosen)


def _rated_best(
    left: Sequence[SlotInfo],
    wanted: Wanted,
    priority: int,
    occupancy: Mapping[str, GpuOccupancy],
) -> Sequence[SlotInfo]:
    """Those that the seed's score rates best and alike. Where the smallest is a share all shares
    compete, however many have to share each GPU; else no share does."""
    shares = [slot for slot in left if slot.kind == "share"]
    if not shares:
        return left  # each had alone, so all score 0
    if min(left, key=lambda slot: wanted.excess(_instance(slot))).kind != "share":
        return [slot for slot in left if slot.kind != "share"]
    scores = [_on(slot, occupancy).score(priority) for slot in shares]
    best = min(scores)
    return [slot for slot, score in zip(shares, scores, strict=True) if score == best]


def excludes(taken: SlotInfo, other: SlotInfo) -> bool:
    """Whether one container cannot have both: the same slot, two shares of one GPU (it would get
    the same GPU twice), or two kinds of use of one GPU."""
    twice = taken.kind == other.kind == "share" and taken.gpu_uuid == other.gpu_uuid
    return twice or taken.bars(other)


def _on(slot: SlotInfo, occupancy: Mapping[str, GpuOccupancy]) -> GpuOccupancy:
    return occupancy.get(slot.gpu_uuid, GpuOccupancy())


def _instance(slot: SlotInfo) -> Instance:
    return Instance(slot.uuid, slot.gpu_uuid, slot.profile, slot.share, slot.memory_total)
