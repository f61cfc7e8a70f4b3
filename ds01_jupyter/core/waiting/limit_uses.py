"""A person's limits against what is asked for, one by one."""

from __future__ import annotations

from collections.abc import Sequence

from ds01_jupyter.core.gpu.quota import equivalents, exact
from ds01_jupyter.core.gpu.request import GpuRequest
from ds01_jupyter.core.gpu.slots import SlotInfo
from ds01_jupyter.core.ledger_rows import ContainerRow, LeaseRow
from ds01_jupyter.core.models import LimitValues
from ds01_jupyter.core.waiting.documents import LimitUse


def limit_uses(
    limits: LimitValues,
    request: GpuRequest,
    mine: Sequence[ContainerRow],
    owned: Sequence[LeaseRow],
    slots: Sequence[SlotInfo],
) -> list[LimitUse]:
    """Every limit that a request counts towards: what is in use (`mine` are the containers,
    `owned` the live leases) and what this would add, the least that would do among `slots`."""
    uses = [_use("max_containers", limits.max_containers, len(mine), 1)]
    if request.kind == "none":
        return uses
    uses += [
        _use("max_slots_per_container", limits.max_slots_per_container, 0, request.count),
        _use("max_mig_instances", limits.max_mig_instances, len(owned), request.count),
    ]
    matching = [slot for slot in slots if request.matches(slot)]
    allowed = [slot for slot in matching if limits.allow_full_gpu or slot.kind != "gpu"]
    if limits.max_gpu_equivalents is not None:
        least = min((exact(slot.share) for slot in allowed or matching), default=exact(0.0))
        used, asked = equivalents(lease.info for lease in owned), least * request.count
        uses.append(
            LimitUse(
                key="max_gpu_equivalents",
                limit=round(limits.max_gpu_equivalents, 4),
                in_use=round(float(used), 4),
                asked=round(float(asked), 4),
                fits=used + asked <= exact(limits.max_gpu_equivalents),
            )
        )
    if not limits.allow_full_gpu and (request.kind == "whole" or (matching and not allowed)):
        uses.append(
            LimitUse(key="allow_full_gpu", limit=0, in_use=0, asked=request.count, fits=False)
        )
    return uses


def _use(key: str, limit: int | None, in_use: int, asked: int) -> LimitUse:
    fits = limit is None or in_use + asked <= limit
    return LimitUse(key=key, limit=limit, in_use=in_use, asked=asked, fits=fits)
