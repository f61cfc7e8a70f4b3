"""Leases whose slot is not (or not the same) there any more.

MIG instances are made and destroyed by admins and by other tools, and vanish with a reset of the
GPU or the machine. A UUID proves nothing then: drivers may give a new instance the UUID of the old
one. So a slot is the same only when everything that we know of it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ds01_jupyter.core.gpu.sharing import present
from ds01_jupyter.core.gpu.slots import GpuInfo, SlotInfo
from ds01_jupyter.core.ledger_rows import LeaseRow


def unusable_leases(leases: Sequence[LeaseRow], gpus: Sequence[GpuInfo]) -> Mapping[int, str]:
    """For each lease (by its id) that has lost its slot, a sentence that says how.

    `leases` are live ones of this host, `gpus` all GPUs as the driver shows them now. A lease on
    a GPU that gives no answer is not judged: nothing is known of its instances.
    """
    by_uuid = {gpu.uuid: gpu for gpu in gpus if gpu.uuid}
    unread = any(not gpu.uuid for gpu in gpus)
    found = {}
    for lease in leases:
        if lease.uid < 0:
            continue  # held while an admin changes the layout: it is meant to go
        why = _why(lease, by_uuid.get(lease.gpu_uuid), unread=unread)
        if why:
            found[lease.id] = why
    return found


def same_slot(lease: LeaseRow, slot: SlotInfo) -> bool:
    """Whether a slot is the very one that was leased."""
    return _identity(lease.info) == _identity(slot)


def _why(lease: LeaseRow, gpu: GpuInfo | None, *, unread: bool) -> str | None:
    was = f"The slot {lease.slot} ({lease.profile}) of {lease.name}"
    if gpu is None:
        return None if unread else f"{was} is on a GPU that is not in this machine now."
    if gpu.error is not None:
        return None
    here = present(lease.info, gpu.slots)
    if here is not None:
        if same_slot(lease, here):
            return None
        return (
            f"{was} is another one now under the same UUID ({here.profile}, GPU instance "
            f"{here.gi}): the GPU was partitioned anew."
        )
    if lease.info.kind == "gpu" and gpu.mig:
        return f"{was} is not a whole GPU any more: MIG was switched on."
    if lease.info.kind == "share" and gpu.mig:
        return f"{was} is no share of a whole GPU any more: MIG was switched on."
    if lease.info.kind == "mig" and not gpu.mig:
        return f"{was} is gone: MIG was switched off on its GPU."
    if gpu.problem is not None and gpu.slots:
        return None  # it does not stand still; the next look tells
    return f"{was} is gone: its MIG instance was destroyed."


def _identity(slot: SlotInfo) -> tuple[object, ...]:
    return (slot.uuid, slot.kind, slot.profile, slot.gpu_uuid, slot.gi, slot.ci)
