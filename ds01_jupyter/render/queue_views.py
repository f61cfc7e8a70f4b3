"""The queue: who waits for what, in which order and until when; and one place in it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from ds01_jupyter.core import models
from ds01_jupyter.render.blocks import Block, Cell, Column, Note, Pairs, Table, Tone
from ds01_jupyter.render.moments import expected, expected_short
from ds01_jupyter.render.units import UNKNOWN, since
from ds01_jupyter.render.view import View

COLUMNS = (
    Column("Place", right=True, keep=True),
    Column("Who"),
    Column("Waits for"),
    Column("Since", keep=True),
    Column("Points", right=True, keep=True),
    Column("Expected"),
    Column("Id", right=True, keep=True),
)
OVER: dict[str, Tone] = {"done": "good", "failed": "bad", "cancelled": "dim"}


def queue(
    entries: Sequence[models.QueueEntry], prog: str = "ds01", now: datetime | None = None
) -> View:
    """Everybody who waits, in order, and what has become of one's own lately."""
    waiting = [entry for entry in entries if entry.state in ("waiting", "starting")]
    mine = [entry for entry in waiting if entry.mine]
    rows = tuple(_row(entry, now) for entry in waiting)
    empty = "Nobody waits. What is free can be had at once."
    blocks: list[Block] = [Table(COLUMNS, rows, title="Queue" if rows else "", empty=empty)]
    if any(entry.asleep for entry in waiting):
        blocks.append(Note(ASLEEP, "dim"))
    for entry in mine:
        if words := expected(entry.estimate, now):
            blocks.append(Note(f"{target(entry)}: {words}"))
    if mine:
        leave = f"`{prog} queue leave {mine[0].id}`"
        follow = f"`{prog} queue follow {mine[0].id}`"
        blocks.append(Note(f"{follow} watches your place, {leave} gives it up.", "dim"))
    blocks += [
        Note(ended(entry), OVER[entry.state])
        for entry in entries
        if entry.mine and entry.state in OVER
    ]
    return View(*blocks, data=list(entries))


ASLEEP = (
    "asleep: the server of that person does not run. The place is kept, and nobody waits for it "
    "meanwhile."
)


def wants(entry: models.QueueEntry) -> str:
    """What an entry waits for: `1g.5gb`, `2 x whole GPU`, `any GPU slot`."""
    words = {"any": "any GPU slot", "whole": "a whole GPU", "shared": "a share of a GPU"}
    if entry.gpus > 1:
        plain = {"any": "any GPU slot", "whole": "whole GPU", "shared": "share of a GPU"}
        return f"{entry.gpus} x {plain.get(entry.gpu, entry.gpu)}"
    return words.get(entry.gpu, entry.gpu)


def target(entry: models.QueueEntry) -> str:
    """What comes of it, for its owner."""
    return f"Container {entry.name}" if entry.name else f"Entry {entry.id}"


def place(entry: models.QueueEntry) -> str:
    """Where it stands, for a sentence: `You are next`, `Place 3 of the queue`."""
    if entry.state == "starting":
        return "It is your turn: the container is being made"
    if entry.position is None:
        return "In the queue"
    return "You are next" if entry.position == 1 else f"Place {entry.position} in the queue"


def standing(entry: models.QueueEntry, now: datetime | None = None) -> str:
    """Place and estimate in a sentence or two."""
    if entry.state == "starting":
        return f"{place(entry)}."
    asleep = " Its server does not run; the place is kept." if entry.asleep else ""
    return f"{place(entry)}.{asleep} {expected(entry.estimate, now)}".rstrip()


def ended(entry: models.QueueEntry) -> str:
    """How it ended, for its owner."""
    if entry.state == "done":
        return f"{target(entry)} had its turn and was made."
    if entry.state == "cancelled":
        return f"{target(entry)} does not wait any more: its place was given up."
    why = f": {entry.problem}" if entry.problem else "."
    return f"{target(entry)} had its turn and could not be made{why}"


def points(standing: models.Standing | None) -> str:
    """What makes the order: `62.5`."""
    return UNKNOWN if standing is None else f"{standing.total:.1f}"


def points_in_words(standing: models.Standing | None) -> str:
    """Where the points come from; empty where they are not known."""
    if standing is None:
        return ""
    return (
        f"{standing.total:.1f} points: {standing.priority:.1f} for priority, "
        f"{standing.fair_share:.1f} for little use lately, {standing.waiting:.1f} for waiting"
    )


def entry(document: models.QueueEntry, prog: str = "ds01", now: datetime | None = None) -> View:
    """One place in the queue, for its owner."""
    if document.state in OVER:
        return View(Note(ended(document), OVER[document.state]), data=document)
    rows = [
        ("place", Cell(place(document), "strong")),
        ("waits for", Cell(wants(document))),
        ("in the queue", Cell(f"for {since(document.created, now)}")),
    ]
    if document.standing is not None:
        rows.append(("order", Cell(points_in_words(document.standing))))
    if words := expected(document.estimate, now):
        rows.append(("expected", Cell(words)))
    leave = f"`{prog} queue leave {document.id}` gives the place up."
    return View(Pairs(tuple(rows), title=target(document)), Note(leave, "dim"), data=document)


def _row(entry: models.QueueEntry, now: datetime | None) -> tuple[Cell, ...]:
    who = "you" if entry.mine else entry.user
    name = f" ({entry.name})" if entry.name else ""
    where = "now" if entry.state == "starting" else str(entry.position or UNKNOWN)
    if entry.asleep:
        when = Cell("asleep", "dim")
    elif entry.state == "starting":
        when = Cell("starting", "good")
    else:
        when = Cell(expected_short(entry.estimate, now))
    return (
        Cell(where, "strong" if entry.mine else ""),
        Cell(f"{who}{name}", "strong" if entry.mine else ""),
        Cell(wants(entry)),
        Cell(since(entry.created, now), "dim"),
        Cell(points(entry.standing), "dim"),
        when,
        Cell(str(entry.id), "dim"),
    )
