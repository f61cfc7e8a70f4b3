"""Notices to people: what was warned of and what was done, as a list and one by one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime

from ds01_jupyter.core import models
from ds01_jupyter.render.blocks import Block, Callout, Cell, Column, Note, Table, Tone
from ds01_jupyter.render.life_views import remedy
from ds01_jupyter.render.moments import clock, moment
from ds01_jupyter.render.units import UNKNOWN
from ds01_jupyter.render.view import View

TONES: dict[str, Tone] = {"warning": "warn", "done": "bad", "gpu": "warn"}
COMMAND = re.compile(r"`%?ds01 ([^`]*)`|%?\bds01 (container [a-z-]+ [A-Za-z0-9_-]+)")
COLUMNS = (
    Column("When", keep=True),
    Column("Container"),
    Column("What", from_width=90),
    Column("Notice"),
)


def notices(
    documents: Sequence[models.Notice], prog: str = "ds01", now: datetime | None = None
) -> View:
    """What was warned of and done, newest last."""
    now = now or datetime.now(UTC)
    rows = tuple(
        (
            Cell(clock(one.time, now), "dim"),
            Cell(one.container or UNKNOWN, "strong" if one.container else "dim"),
            Cell(one.what.replace("_", " "), "dim"),
            Cell(one.message, tone_of(one, now)),
        )
        for one in documents
    )
    empty = "Nothing to tell: no container of yours was stopped or is about to be."
    blocks: list[Block] = [Table(COLUMNS, rows, empty=empty)]
    if hints := [one for one in documents if pending(one, now) and help_for(one, prog)]:
        blocks.append(Note(help_for(hints[-1], prog)))
    return View(*blocks, data=list(documents))


def pending(notice: models.Notice, now: datetime) -> bool:
    """Whether it is a warning of something that has not happened yet."""
    return notice.kind == "warning" and notice.at is not None and notice.at > now


def tone_of(notice: models.Notice, now: datetime) -> Tone:
    """The colour of a notice; a warning that is over is grey."""
    if notice.kind == "warning" and not pending(notice, now):
        return "dim"
    return TONES.get(notice.kind, "")


def help_for(notice: models.Notice, prog: str) -> str:
    """What to do about a notice: the lab's own hint, its commands as one types them here, or ours.

    The lab writes its hints for a file in the workspace too, where a command has no backquotes.
    """
    if notice.hint:
        return COMMAND.sub(lambda found: f"`{prog} {found[1] or found[2]}`", notice.hint)
    return remedy(notice.what, notice.container, prog) if notice.container else ""


def announce(
    fresh: Sequence[models.Notice], prog: str = "%ds01", now: datetime | None = None
) -> View:
    """New notices for the end of a cell's output: what, when, and what to do."""
    now = now or datetime.now(UTC)
    return View(*(_callout(one, prog, now) for one in fresh), data=list(fresh))


def _callout(notice: models.Notice, prog: str, now: datetime) -> Callout:
    notes = [Note(notice.message)]
    if notice.at is not None:
        when = moment(notice.at, now) if notice.at > now else clock(notice.at, now)
        notes.append(Note(f"When: {when}.", "dim"))
    over = notice.kind == "warning" and not pending(notice, now)
    if (text := help_for(notice, prog)) and not over:
        notes.append(Note(text))
    title = f"ds01: {notice.container}" if notice.container else "ds01"
    return Callout(tuple(notes), title=title, tone=tone_of(notice, now))
