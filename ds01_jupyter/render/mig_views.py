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
)


def plan(document: documents.MigPlan) -> View:
    """What each GPU needs; GPUs that are as they should be are only counted."""
    if document.matches:
        blocks: list[Block] = [Note(f"The machine is as {document.label} says.", "good")]
        return View(*blocks, *_notes(document.notes), data=document)
    changed = [gpu for gpu in document.gpus if gpu.differences]
    # Where a GPU has a problem nothing was worked out: a row would look as if it had nothing.
    rows = tuple(_row(gpu) for gpu in changed if not gpu.problem)
    title = f"MIG layout {document.label}"
    blocks = [Table(COLUMNS, rows, title=title)] if rows else [Note(title, "strong")]
    same = len(document.gpus) - len(changed)
    if same:
        blocks.append(Note(f"{same} of {len(document.gpus)} GPUs are so already.", "dim"))
    for gpu in changed:
        blocks += [Note(f"GPU {gpu.index}: {gpu.problem}", "bad")] if gpu.problem else []
        blocks += [Note(f"GPU {gpu.index}: {gpu.advice}")] if gpu.advice else []
        blocks += [Note(f"In the way: {item.text}", "warn") for item in gpu.in_the_way]
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
    """Instances in one cell, those of one profile together: `1g.5gb at 0, 1, 2; 3g.20gb at 4`."""
    places: dict[str, list[str]] = {}
    for text in texts:
        profile, _, place = text.partition(" at ")
        places.setdefault(profile, []).append(place)
    return "; ".join(_at(profile, found) for profile, found in places.items()) or "none"


def _at(profile: str, places: Sequence[str]) -> str:
    if all(places):
        return f"{profile} at {', '.join(places)}"
    return profile if len(places) == 1 else f"{len(places)} x {profile}"  # without root: no places


def _row(gpu: documents.MigGpuPlan) -> tuple[Cell, ...]:
    made = (*gpu.finish, *gpu.create)
    return (
        Cell(str(gpu.index), "strong"),
        Cell(listed([item.text for item in gpu.keep]), "dim"),
        Cell(listed([item.text for item in gpu.destroy]), "warn" if gpu.destroy else "dim"),
        Cell(listed([item.text for item in made]), "good" if made else "dim"),
    )


def _notes(texts: Sequence[str]) -> list[Note]:
    return [Note(text, "dim") for text in texts]
