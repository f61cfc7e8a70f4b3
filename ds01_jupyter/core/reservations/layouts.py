"""MIG layouts and reservations: what is promised stands in the way of a layout without it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

from ds01_jupyter.core.gpu.mig_obstacles import Obstacle
from ds01_jupyter.core.gpu.mig_plan import GpuPlan, LayoutPlan
from ds01_jupyter.core.gpu.slots import SlotInfo
from ds01_jupyter.core.reservations import words
from ds01_jupyter.core.reservations.promises import Promise

BrokenBy = Callable[[Collection[str], Sequence[SlotInfo]], Sequence[tuple[Promise, list[SlotInfo]]]]
"""The promises that could not be kept any more without some slots (UUIDs) and with some others,
each with the slots that are set aside for it now."""


def with_promises(plan: LayoutPlan, broken_by: BrokenBy) -> LayoutPlan:
    """The plan, with the promises that its layout would break as obstacles.

    A promise of any slot of a kind is in the way only where the new layout has too few of them.
    """
    changes = [each for each in plan.changes if not each.problem]
    if not changes:
        return plan
    gone = {device.uuid for each in changes for item in each.destroy for device in item.devices}
    made = [slot for each in changes for slot in _made(each)]
    obstacles: dict[int, list[Obstacle]] = {}
    for promise, slots in broken_by(gone, made):
        going = [slot for slot in slots if slot.uuid in gone] or slots
        for slot in going:
            hit = next((each for each in changes if each.gpu.uuid == slot.gpu_uuid), changes[0])
            obstacles.setdefault(hit.gpu.index, []).append(_obstacle(promise, slot))
    return replace(
        plan,
        gpus=tuple(
            replace(each, obstacles=(*each.obstacles, *obstacles.get(each.gpu.index, ())))
            for each in plan.gpus
        ),
    )


def _made(plan: GpuPlan) -> list[SlotInfo]:
    """The slots that are yet to be made, as far as it matters for what they can be promised for."""
    gpu = plan.gpu
    return [
        SlotInfo(
            slot=f"{gpu.index}:new{number}",
            uuid=f"new-{gpu.uuid}-{number}",
            kind="mig",
            profile=profile,
            gpu_index=gpu.index,
            gpu_uuid=gpu.uuid,
            memory_total=None,
            share=0.0,
            mig_index=1000 + number,
        )
        for number, (profile, _) in enumerate(
            [*plan.create, *((item.profile, item.start) for item in plan.finish)]
        )
    ]


def _obstacle(promise: Promise, slot: SlotInfo) -> Obstacle:
    when = words.span(promise.start, promise.end)
    return Obstacle(
        "reservation",
        slot.slot,
        slot.profile,
        owner=promise.who,
        state=f"reservation {promise.id}, {when}",
    )
