"""Views of MIG layouts: what a layout would change, and what was changed."""

from __future__ import annotations

from collections.abc import Sequence

from ds01_jupyter.core import mig_documents as documents
from ds01_jupyter.render.blocks import Block, Cell, Column, Note, Table
from ds01_jupyter.render.view import View

COLUMNS = (
    Column("GPU", right=True, keep=True),
    Column("Stays"),
    Column("Goes"),
    Column("Is made"),
    Column("In the way"),
)


def plan(document: documents.MigPlan) -> View:
    """What each GPU needs; GPUs that are as they should be are only counted."""
    if document.matches:
        blocks: list[Block] = [Note(f"The machine is as {document.label} says.", "good")]
        return View(*blocks, *_notes(document.notes), data=document)
    changed = [gpu for gpu in document.gpus if gpu.differences]
    blocks = [Table(COLUMNS, tuple(_row(gpu) for gpu in changed), title=document.label)]
    same = len(document.gpus) - len(changed)
    if same:
        blocks.append(Note(f"{same} of {len(document.gpus)} GPUs are so already.", "dim"))
    for gpu in changed:
        blocks += [Note(f"GPU {gpu.index}: {gpu.problem}", "bad")] if gpu.problem else []
        blocks += [Note(f"GPU {gpu.index}: {gpu.advice}")] if gpu.advice else []
    in_the_way = [item.text for gpu in changed for item in gpu.in_the_way]
    blocks += [Note(f"In the way: {text}", "warn") for text in in_the_way]
    if not document.possible:
        blocks.append(Note("It cannot be applied now; nothing would be touched.", "bad"))
    return View(*blocks, *_notes(document.notes), data=document)


def outcome(document: documents.MigOutcome) -> View:
    """What was done."""
    if not document.changed:
        return View(Note(f"The machine was as {document.label} says.", "good"), data=document)
    columns = (Column("GPU", right=True, keep=True), Column("Before"), Column("Now"))
    rows = tuple(
        (
            Cell(str(change.index), "strong"),
            Cell(listed(change.before), "dim"),
            Cell(listed(change.after), "good"),
        )
        for change in document.changed
    )
    return View(
        Table(columns, rows, title=f"MIG layout {document.label}"),
        *_notes(document.notes),
        data=document,
    )


def differences(document: documents.MigPlan) -> list[str]:
    """`GPU 2: 2 x 1g.5gb, should be 3`."""
    return [f"GPU {gpu.index}: {text}" for gpu in document.gpus for text in gpu.differences]


def moves(gpu: documents.MigGpuPlan) -> str:
    """`GPU 2: - 3g.20gb at 4, + 1g.5gb at 4`."""
    words = [f"- {item.text}" for item in gpu.destroy]
    words += [f"+ {item.text}" for item in (*gpu.finish, *gpu.create)]
    return f"GPU {gpu.index}: {', '.join(words) or 'nothing'}"


def listed(texts: Sequence[str]) -> str:
    """Instances in one cell."""
    return ", ".join(texts) or "none"


def _row(gpu: documents.MigGpuPlan) -> tuple[Cell, ...]:
    made = [item.text for item in gpu.finish] + [item.text for item in gpu.create]
    users = list(dict.fromkeys(item.container or f"pid {item.pid}" for item in gpu.in_the_way))
    return (
        Cell(str(gpu.index), "strong"),
        Cell(listed([item.text for item in gpu.keep]), "dim"),
        Cell(listed([item.text for item in gpu.destroy]), "warn" if gpu.destroy else "dim"),
        Cell(listed(made), "good" if made else "dim"),
        Cell(listed(users), "bad" if users else "dim"),
    )


def _notes(texts: Sequence[str]) -> list[Note]:
    return [Note(text, "dim") for text in texts]
