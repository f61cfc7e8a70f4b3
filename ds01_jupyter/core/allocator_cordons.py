"""What a cordoned GPU means to who asks for a slot, or wants to start on one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ds01_jupyter.core.errors import Conflict, CoreError, NoFreeSlot, NotFound
from ds01_jupyter.core.gpu.request import GpuRequest
from ds01_jupyter.core.gpu.slots import SlotInfo
from ds01_jupyter.core.ledger_cordons import CordonRow
from ds01_jupyter.core.ledger_rows import LeaseRow

Cordoned = Mapping[str, CordonRow]


def with_cordons(
    refusal: CoreError, request: GpuRequest, slots: Sequence[SlotInfo], cordoned: Cordoned
) -> CoreError:
    """The refusal, with the cordoned GPUs that would have served where there are any.

    `slots` are all of the machine's. What exists on cordoned GPUs only is not free, rather than
    not there.
    """
    kept = {slot.gpu_uuid for slot in slots if request.matches(slot) and slot.gpu_uuid in cordoned}
    if not kept:
        return refusal
    rows = sorted((cordoned[uuid] for uuid in kept), key=lambda row: row.gpu_index)
    words = "; ".join(f"GPU {row.gpu_index}: {row.reason.rstrip('.')}" for row in rows)
    details = {
        **refusal.details,
        "cordoned": [{"gpu": row.gpu_index, "reason": row.reason} for row in rows],
    }
    if isinstance(refusal, NotFound) or request.kind == "slot" or len(kept) == _gpus(slots):
        return NoFreeSlot(
            f"What you asked for ({request}) is only on a GPU that is cordoned now ({words}).",
            hint="It is given again when it is well; `ds01 gpus` shows what is free.",
            **details,
        )
    hint = f"{refusal.hint} Cordoned, and given to nobody until well again: {words}.".strip()
    return type(refusal)(refusal.message, hint=hint, **details)


def refuse_resume(lease: LeaseRow, cordoned: Cordoned) -> None:
    """Raise `Conflict` for a stopped container whose slot is on a cordoned GPU; it keeps it."""
    row = cordoned.get(lease.gpu_uuid)
    if row is None or lease.state == "released":
        return
    raise Conflict(
        f"The GPU of {lease.name} is cordoned: {row.reason}",
        hint="It can be started when the GPU is well again and keeps its slot meanwhile; or "
        "remove the container and create it again on another GPU (its workspace stays).",
        gpu=row.gpu_index,
        slot=lease.slot,
        since=row.since.isoformat(),
    )


def _gpus(slots: Sequence[SlotInfo]) -> int:
    return len({slot.gpu_uuid for slot in slots})
