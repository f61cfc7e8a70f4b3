"""Why something cannot be had, when it can, and what can be had now."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from datetime import datetime

from ds01_jupyter.core import models
from ds01_jupyter.render.blocks import Block, Cell, Code, Column, Note, Table, Tone
from ds01_jupyter.render.moments import clock, expected
from ds01_jupyter.render.units import UNKNOWN, count
from ds01_jupyter.render.view import View

TONES: dict[str, Tone] = {"now": "good", "later": "warn", "never": "bad"}
LIMIT_WORDS = {
    "max_containers": "containers",
    "max_mig_instances": "GPU slots",
    "max_gpu_equivalents": "GPU-equivalents",
    "max_slots_per_container": "slots a container",
    "allow_full_gpu": "whole GPUs",
}
"""What people call a limit, by its key in the limits file."""
NO_FREE_SLOT = "no_free_slot"
"""The refusal that waiting helps against."""
MOST = 8
"""Slots in the way that are listed; the others are counted."""


def explanation(
    document: models.Explanation,
    prog: str = "ds01",
    now: datetime | None = None,
    *,
    commands: bool = True,
) -> View:
    """The verdict, then what it rests on: limits, who is in the way, when, and what instead.

    `commands`: say what to type, where nobody is asked what to do next.
    """
    blocks: list[Block] = [Note(document.message, TONES[document.outcome])]
    if document.hint:
        blocks.append(Note(commands_of(document.hint, prog)))
    if document.outcome == "later" and document.estimate is not None:
        blocks.append(Note(expected(document.estimate, now), "strong"))
    blocks += _past(document.past)
    if document.limits:
        blocks.append(_limits(document.limits))
    if document.obstacles:
        blocks += _obstacles(document.obstacles, now)
    if document.ahead:
        blocks.append(Note(ahead(document.ahead)))
    if commands and (lines := _commands(document, prog)):
        blocks.append(Code(lines, title="What you can do"))
    return View(*blocks, data=document)


def waiting_helps(document: models.Explanation) -> bool:
    """Whether the queue is the way: slots are missing, and the container is not there already."""
    return document.outcome == "later" and document.code == NO_FREE_SLOT and not document.past


def taking_command(document: models.Explanation, prog: str) -> str:
    """The command that takes what was asked about."""
    number = f" --gpus {document.gpus}" if document.gpus > 1 else ""
    what = shlex.quote(document.gpu)
    return f"{prog} container create NAME --image IMAGE --gpu {what}{number}"


def waiting_command(document: models.Explanation, prog: str) -> str:
    """The command that waits for what was asked, when it cannot be had now."""
    return f"{taking_command(document, prog)} --wait"


def ahead(number: int) -> str:
    """How many come first."""
    who = "1 other comes" if number == 1 else f"{number} others come"
    return f"{who} first in the queue."


def commands_of(text: str, prog: str) -> str:
    """The commands in a sentence as a person types them here."""
    return text.replace("%ds01 ", "ds01 ").replace("`ds01 ", f"`{prog} ")


def limit_name(use: models.LimitUse) -> str:
    """What people call the limit."""
    return LIMIT_WORDS.get(use.key, use.key.replace("_", " "))


def limit_figures(use: models.LimitUse) -> tuple[str, str, float | None]:
    """In use of the limit, what is asked, and the share that is in use (or None), in words."""
    used, asked = round(use.in_use, 2), count(round(use.asked, 2))
    if use.key == "allow_full_gpu":
        return "allowed" if use.fits else "not for your group", asked, None
    if use.key == "max_slots_per_container" and use.limit is not None:
        # It is about this one container: nothing of it can be in use before.
        return f"at most {use.limit:g}", asked, None
    if use.limit is None:
        return f"{used:g} (unlimited)", asked, None
    share = min(use.in_use / use.limit, 1.0) if use.limit else 1.0
    return f"{used:g} of {use.limit:g}", asked, share


def holder(obstacle: models.Obstacle) -> str:
    """Who is in the way, with the container where its name may be known."""
    return f"{obstacle.who} ({obstacle.container})" if obstacle.container else obstacle.who


def free_when(obstacle: models.Obstacle, now: datetime | None = None) -> str:
    """When the slot is free, in as many words as are sure."""
    return "nobody can say" if obstacle.free_at is None else f"by {clock(obstacle.free_at, now)}"


def more_in_the_way(left: Sequence[models.Obstacle]) -> str:
    """A line for the slots that are not listed; empty where there are none."""
    noun = "slot" if len(left) == 1 else "slots"
    return f"and {len(left)} more {noun} in the way" if left else ""


def _limits(uses: Sequence[models.LimitUse]) -> Table:
    rows = []
    for use in uses:
        in_use, asked, share = limit_figures(use)
        tone: Tone = "good" if use.fits else "bad"
        verdict = "fits" if use.fits else "too much"
        rows.append(
            (
                Cell(limit_name(use)),
                Cell(in_use, tone, bar=share),
                Cell(asked),
                Cell(verdict, tone),
            )
        )
    columns = (
        Column("Limit"),
        Column("In use"),
        Column("Asked for", right=True),
        Column("", keep=True),
    )
    return Table(columns, tuple(rows), title="Your limits")


def _obstacles(obstacles: Sequence[models.Obstacle], now: datetime | None) -> list[Block]:
    rows = tuple(
        (
            Cell(obstacle.slot, "strong"),
            Cell(obstacle.profile),
            Cell(holder(obstacle)),
            Cell(free_when(obstacle, now), "" if obstacle.free_at else "dim"),
            Cell(obstacle.because or UNKNOWN, "dim"),
        )
        for obstacle in obstacles[:MOST]
    )
    columns = (
        Column("Slot", keep=True),
        Column("Profile", keep=True),
        Column("Who has it"),
        Column("Free"),
        Column("Because"),
    )
    more = more_in_the_way(obstacles[MOST:])
    table = Table(columns, rows, title="In the way")
    return [table, Note(more, "dim")] if more else [table]


def _commands(document: models.Explanation, prog: str) -> str:
    """Lines to copy: what can be had now, then how to wait."""
    lines = []
    for one in document.instead:
        if command := command_of(one, prog):
            lines += [f"# now: {one.words}", command]
    if document.outcome == "now" and not document.past:
        lines += ["# take it", taking_command(document, prog)]
    if waiting_helps(document):
        lines += ["# wait for it in the queue", waiting_command(document, prog)]
    return "\n".join(lines)


def command_of(alternative: models.Alternative, prog: str) -> str:
    """The command as a person types it here."""
    words = alternative.command.strip("`").removeprefix("%").removeprefix("ds01 ")
    return f"{prog} {words}" if words else ""


def _past(sentences: Sequence[str]) -> list[Block]:
    if not sentences:
        return []
    rows = tuple((Cell(text),) for text in sentences)
    return [Table((Column("What happened"),), rows)]
