"""A GPU snapshot as HTML. Colour is never the only sign: every slot says its state in words."""

from __future__ import annotations

from ds01_jupyter.core.models import Gpu, GpuSnapshot, Slot
from ds01_jupyter.render import reservation_views, units
from ds01_jupyter.render.machine_views import sharing
from ds01_jupyter.widgets.gpu_choice import slices
from ds01_jupyter.widgets.markup import escape, size

# Compute slices of a GPU that can be partitioned: seven on all models but the A30.
_SLICES = 7
_SLICES_A30 = 4


def snapshot_html(snapshot: GpuSnapshot, user: str) -> str:
    """All GPUs of the machine, as `user` sees them."""
    if snapshot.problem and not snapshot.gpus:
        return f"<p class='ds01-notice'>{escape(snapshot.problem)}</p>"
    problem = f"<p class='ds01-notice'>{escape(snapshot.problem)}</p>" if snapshot.problem else ""
    slots = [slot for gpu in snapshot.gpus for slot in gpu.slots]
    free = sum(slot.state == "free" for slot in slots)
    mine = sum(_kind(slot, user) == "mine" for slot in slots)
    driver = f" · driver {escape(snapshot.driver)}" if snapshot.driver else ""
    head = (
        f"<h3 class='ds01-heading'>GPUs of {escape(snapshot.host)}</h3>"
        f"<p class='ds01-muted' role='status'>{free} of {len(slots)} slots free · {mine} yours"
        f"{driver} · {escape(snapshot.taken.astimezone().strftime('%H:%M:%S'))}</p>"
    )
    rows = "".join(_gpu(gpu, user) for gpu in snapshot.gpus)
    return f"{head}{problem}<div class='ds01-gpus'>{rows}</div>{_LEGEND}"


def _gpu(gpu: Gpu, user: str) -> str:
    slots = "".join(_slot(slot, gpu, user) for slot in gpu.slots) + _rest(gpu)
    problem = f"<p class='ds01-gpu-problem'>{escape(gpu.problem)}</p>" if gpu.problem else ""
    told = sharing(gpu)
    note = f"<p class='ds01-gpu-note ds01-muted'>{escape(told)}</p>" if told else ""
    temperature = "n/a" if gpu.temperature is None else f"{gpu.temperature} °C"
    power = "n/a" if gpu.power is None else f"{gpu.power:.0f} W"
    load = "n/a" if gpu.utilisation is None else units.percent(gpu.utilisation)
    return (
        f"<section class='ds01-gpu-row' aria-label='GPU {gpu.index}'>"
        f"<header><b>GPU {gpu.index}</b> <span>{escape(gpu.name)}</span>"
        f"<span class='ds01-gpu-figures'>{_figure('Temperature', temperature)}"
        f"{_figure('Power', power)}{_figure('Load', load)}</span></header>"
        f"{_memory(gpu.memory_used, gpu.memory_total)}"
        f"<div class='ds01-slots' role='list'>{slots}</div>{note}{problem}</section>"
    )


def _figure(term: str, value: str) -> str:
    return f"<span title='{term}'><span class='ds01-muted'>{term}</span> {escape(value)}</span>"


def _memory(used: int | None, total: int | None) -> str:
    """A bar with its figures; without both there is no bar to draw."""
    words = f"Memory {size(used)} of {size(total)}"
    if used is None or not total:
        return f"<div class='ds01-memory'><span>{escape(words)}</span></div>"
    percent = min(100, round(100 * used / total))
    return (
        f"<div class='ds01-memory'><span>{escape(words)}</span>"
        f"<div class='ds01-meter' role='meter' aria-label='Memory' aria-valuemin='0' "
        f"aria-valuemax='100' aria-valuenow='{percent}'>"
        f"<div style='width:{percent}%'></div></div></div>"
    )


def _kind(slot: Slot, user: str) -> str:
    if slot.state == "leased" and slot.lease is not None:
        return "mine" if slot.lease.owner == user else "other"
    return slot.state


def _slot(slot: Slot, gpu: Gpu, user: str) -> str:
    kind = _kind(slot, user)
    who, container = _holder(slot, kind)
    part = slices(slot.profile)
    weight = part if part is not None else _total(gpu)
    profile = "whole GPU" if slot.kind == "gpu" else slot.profile
    memory = f"{size(slot.memory_used)} of {size(slot.memory_total)}"
    if slot.kind == "share":
        memory = "" if slot.memory_used is None else size(slot.memory_used)
    reserved = reservation_views.of_slot(slot)
    words = (slot.slot, profile, who, container, memory, slot.note, reserved)
    title = " · ".join(text for text in words if text)
    return (
        f"<div class='ds01-slot ds01-slot-{kind}' role='listitem' style='flex-grow:{weight}' "
        f"title='{escape(title)}' data-slot='{escape(slot.slot)}'>"
        f"<span class='ds01-slot-name'>{escape(slot.slot)}</span>"
        f"<span class='ds01-slot-profile'>{escape(profile)}</span>"
        f"<b class='ds01-slot-who'>{escape(who)}</b>"
        f"<span class='ds01-slot-container'>{escape(container)}</span></div>"
    )


def _holder(slot: Slot, kind: str) -> tuple[str, str]:
    """Who has it, and for which container."""
    if slot.lease is not None:
        who = "yours" if kind == "mine" else slot.lease.owner
        state = "" if slot.lease.state == "active" else f", {_STATES[slot.lease.state]}"
        return who + state, slot.lease.container
    if kind == "foreign":
        return "not ours", slot.used_by or ""
    return kind if kind in ("free", "cordoned") else "unusable", ""


_STATES = {"pending": "starting", "held": "stopped"}


def _total(gpu: Gpu) -> int:
    """Compute slices of the whole GPU."""
    return _SLICES_A30 if "A30" in gpu.name.split() or "-A30" in gpu.name else _SLICES


def _rest(gpu: Gpu) -> str:
    """What of a partitioned GPU belongs to no instance."""
    parts = [part for slot in gpu.slots if (part := slices(slot.profile)) is not None]
    left = _total(gpu) - sum(parts)
    if not parts or left <= 0:
        return ""
    return (
        f"<div class='ds01-slot ds01-slot-none' role='listitem' style='flex-grow:{left}' "
        "title='Not part of any MIG instance'><span class='ds01-slot-profile'>no instance</span>"
        "</div>"
    )


_LEGEND = (
    "<p class='ds01-legend'>"
    + "".join(
        f"<span><i class='ds01-slot-{kind}' aria-hidden='true'></i>{words}</span>"
        for kind, words in (
            ("free", "free"),
            ("mine", "yours"),
            ("other", "somebody else's"),
            ("foreign", "used without a lease"),
            ("cordoned", "cordoned: given to nobody"),
            ("unusable", "unusable"),
        )
    )
    + "</p>"
)
