"""Views of the machine: its GPUs, a person's limits, and the overview of everything."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from ds01_jupyter.core import models
from ds01_jupyter.render import life_views, reservation_views
from ds01_jupyter.render.blocks import Block, Cell, Column, Note, Pairs, Table, Tone
from ds01_jupyter.render.units import UNKNOWN, count, of, percent, since, size
from ds01_jupyter.render.view import View

SLOT_COLUMNS = (
    Column("Slot", keep=True),
    Column("Profile", keep=True),
    Column("Who"),
    Column("Container"),
    Column("Memory"),
    Column("For"),
)
BAR_COLUMNS = 9
"""What a bar takes of a column in a terminal."""
WIDEST = 24
"""Longer names go on in the next line rather than pushing the other columns out of sight."""


def gpus(snapshot: models.GpuSnapshot, user: str | None = None) -> View:
    """The map of slots: who has what. `user` is marked as `you`."""
    blocks: list[Block] = []
    if snapshot.problem:
        blocks.append(Note(snapshot.problem, "bad"))
    blocks += _cards(snapshot.gpus, user)
    blocks += [Note(gpu.problem, "bad") for gpu in snapshot.gpus if gpu.problem]
    blocks += _cordons(snapshot.gpus)
    blocks += [
        Note(slot.problem, "bad") for gpu in snapshot.gpus for slot in gpu.slots if slot.problem
    ]
    blocks += [Note(text, "warn") for gpu in snapshot.gpus if (text := sharing(gpu))]
    blocks += reservation_views.of_gpus(snapshot.gpus)
    if snapshot.gpus:
        blocks.append(Note(free_slots(snapshot.gpus)))
    elif not snapshot.problem:
        blocks.append(Note("This machine has no NVIDIA GPU.", "dim"))
    return View(*blocks, data=snapshot)


def sharing(gpu: models.Gpu) -> str:
    """What everybody is to know of the shares of a GPU; empty where there are none."""
    notes = dict.fromkeys(slot.note for slot in gpu.slots if slot.note)
    return " ".join(f"The shares of GPU {gpu.index} are {note}." for note in notes)


def _cordons(cards: Sequence[models.Gpu]) -> list[Block]:
    """Why GPUs are given to nobody, and what ends that."""
    notes: list[Block] = []
    for gpu in cards:
        for cordon in gpu.health.cordons:
            if cordon.reason == gpu.problem:
                continue  # stands there already
            if cordon.cause == "admin":
                ends = f"{cordon.by} said so; an admin can end it."
            elif cordon.needs_reset:
                ends = "It ends after a reboot, or when an admin says so."
            else:
                ends = "It ends when the GPU has answered well for a minute."
            reason = cordon.reason.rstrip(".")
            text = f"GPU {gpu.index} is cordoned since {since(cordon.since)}: {reason}. {ends}"
            notes.append(Note(text, "warn"))
    return notes


def free_slots(cards: Sequence[models.Gpu]) -> str:
    """One sentence on what can be had now: `Free now: 2 x whole, 5 x 1g.5gb.`"""
    free = Counter(slot.profile for gpu in cards for slot in gpu.slots if slot.state == "free")
    if not free:
        return "Free now: nothing. `--gpu none` makes a container without a GPU."
    return f"Free now: {', '.join(f'{number} x {name}' for name, number in free.items())}."


def _cards(cards: Sequence[models.Gpu], user: str | None) -> list[Table]:
    """A table a GPU, all with columns of the same width."""
    rows = {gpu.uuid: tuple(_slot(slot, user) for slot in gpu.slots) for gpu in cards}
    columns = tuple(
        replace(
            column, width=_width(column, [row[number] for found in rows.values() for row in found])
        )
        for number, column in enumerate(SLOT_COLUMNS)
    )
    first = next((gpu.uuid for gpu in cards if gpu.slots), None)
    return [
        Table(
            columns,
            rows[gpu.uuid],
            title=_card_title(gpu),
            empty="No slot can be given here.",
            header=gpu.uuid == first,
        )
        for gpu in cards
    ]


def _width(column: Column, cells: Sequence[Cell]) -> int:
    texts = [len(column.title)]
    texts += [len(cell.text) + (0 if cell.bar is None else BAR_COLUMNS) for cell in cells]
    return min(max(texts), WIDEST)


def _card_title(gpu: models.Gpu) -> str:
    facts = [
        f"GPU {gpu.index}",
        gpu.name,
        of(gpu.memory_used, gpu.memory_total) if sharing(gpu) else size(gpu.memory_total),
        "MIG" if gpu.mig else None,
        f"{percent(gpu.utilisation)} busy" if gpu.utilisation is not None else None,
        f"{gpu.temperature} °C" if gpu.temperature is not None else None,
        f"{gpu.power:.0f} W" if gpu.power is not None else None,
    ]
    return "  ".join(fact for fact in facts if fact)


def _slot(slot: models.Slot, user: str | None) -> tuple[Cell, ...]:
    who, tone, container, lasts = _holder(slot, user)
    fraction = None
    if slot.memory_total and slot.memory_used is not None:
        fraction = slot.memory_used / slot.memory_total
    return (
        Cell(slot.slot, "strong"),
        Cell(slot.profile),
        Cell(who, tone),
        Cell(container),
        Cell(_memory(slot), bar=fraction),
        Cell(lasts, "dim"),
    )


def _memory(slot: models.Slot) -> str:
    """What is in use of the slot's own memory; a share has none of its own."""
    if slot.shared_by is not None:
        return size(slot.memory_used)
    return of(slot.memory_used, slot.memory_total)


def _holder(slot: models.Slot, user: str | None) -> tuple[str, Tone, str, str]:
    """Who has a slot, in which colour, in which container, since when."""
    if slot.lease:
        mine = slot.lease.owner == user
        who = "you" if mine else slot.lease.owner
        state = "" if slot.lease.state == "active" else f" ({slot.lease.state})"
        return (
            f"{who}{state}",
            "strong" if mine else "",
            slot.lease.container,
            since(slot.lease.since),
        )
    if slot.state == "foreign":
        return "outside ds01", "warn", slot.used_by or UNKNOWN, ""
    if slot.state == "unusable":
        return "unusable", "bad", "", ""
    if slot.state == "cordoned":
        return "cordoned", "warn", "", ""
    return "free", "good", "", ""


def limits(report: models.LimitsReport) -> View:
    """What a person may have, and how much of it is in use."""
    values = report.limits
    per_container = values.max_slots_per_container
    rows = [
        ("containers", meter(report.usage.containers, values.max_containers)),
        ("GPU slots", meter(report.usage.slots, values.max_mig_instances)),
        *_compute(report),
        ("slots a container", Cell(count(per_container))),
        ("CPUs a container", Cell(count(values.max_cpus))),
        ("memory a container", Cell(size(values.memory, unlimited=True))),
        ("memory and swap", Cell(size(values.memory_swap, unlimited=True))),
        ("shared memory", Cell(size(values.shm_size))),
        ("processes", Cell(count(values.pids_limit))),
        ("priority", Cell(str(values.priority))),
    ]
    title = f"Limits of {report.user} (group {values.group})"
    blocks: list[Block] = [Pairs(tuple(rows), title=title)]
    if report.times is not None:
        times = life_views.time_limits(report.times)
        cells = tuple((name, Cell(text)) for name, text in times.items())
        blocks.append(Pairs(cells, title="Time limits"))
    return View(*blocks, Note(f"From {report.source}", "dim"), data=report)


def _compute(report: models.LimitsReport) -> list[tuple[str, Cell]]:
    """How much compute, where that is limited; and whether whole GPUs are."""
    rows = []
    most, used = report.limits.max_gpu_equivalents, report.usage.gpu_equivalents
    if most is not None:
        tone: Tone = "warn" if used >= most else "good"
        text = f"{used:.2f} of {most:.2f} (a whole GPU is 1)"
        rows.append(("GPU-equivalents", Cell(text, tone, bar=min(used / most, 1) if most else 1.0)))
    if not report.limits.allow_full_gpu:
        rows.append(("whole GPUs", Cell("not for your group")))
    return rows


def usage(report: models.LimitsReport) -> View:
    """The two limits that people meet, in short."""
    rows = (
        ("containers", meter(report.usage.containers, report.limits.max_containers)),
        ("GPU slots", meter(report.usage.slots, report.limits.max_mig_instances)),
    )
    return View(Pairs(rows, title="In use"), data=report)


def meter(used: int, limit: int | None) -> Cell:
    """`2 of 3` with a bar; a limit that is reached is marked."""
    if limit is None:
        return Cell(f"{used} (unlimited)")
    tone: Tone = "warn" if used >= limit else "good"
    return Cell(f"{used} of {limit}", tone, bar=used / limit if limit else 1.0)


def availability(part: models.Availability) -> Cell:
    """Whether Docker or the GPUs answer, and if not, why."""
    if part.available:
        return Cell(part.version or "ready", "good")
    return Cell(part.problem or "not available", "bad")


def about(document: models.About) -> View:
    """What this server is, for whom, and whether its parts answer."""
    rows = (
        ("you are", Cell(f"{document.user} (uid {document.uid})", "strong")),
        ("machine", Cell(f"{document.host} ({document.mode})")),
        ("Docker", availability(document.docker)),
        ("NVIDIA driver", availability(document.gpu)),
        ("architecture", Cell(document.architecture or UNKNOWN)),
        ("ds01-jupyter", Cell(document.version)),
    )
    return View(Pairs(rows), data=document)
