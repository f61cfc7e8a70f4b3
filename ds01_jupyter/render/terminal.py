"""Blocks in a terminal, through rich. Text goes in as `Text`, never as markup."""

from __future__ import annotations

import io
from collections.abc import Iterable
from typing import Any

from rich import box
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.style import Style
from rich.table import Table as RichTable
from rich.text import Text

from ds01_jupyter.render.blocks import Block, Callout, Cell, Code, Note, Pairs, Table, clean

STYLES = {
    "": Style.null(),
    "strong": Style(bold=True),
    "dim": Style(dim=True),
    "good": Style(color="green"),
    "warn": Style(color="yellow"),
    "bad": Style(color="red"),
    "code": Style(color="cyan"),
}
PIPE_WIDTH = 200
"""Columns of a table that is not printed on a terminal: wide enough not to break its rows."""
BAR_WIDTH = 8
GAP = 2
"""Columns between two columns of a table, and in front of a titled one."""
PLAIN: dict[str, Any] = {
    "markup": False,
    "emoji": False,
    "highlight": False,
    # In a kernel rich would publish what it prints, whatever file it is given.
    "force_jupyter": False,
}


def make_console(width: int | None = None, *, stderr: bool = False) -> Console:
    """A console that takes text as it is: no markup, no emoji codes, no guessed highlighting."""
    return Console(width=width, stderr=stderr, **PLAIN)


def plain(blocks: Iterable[Block], width: int) -> str:
    """The blocks as text without colours."""
    buffer = io.StringIO()
    console = Console(file=buffer, width=width, color_system=None, **PLAIN)
    paint(blocks, console)
    return "\n".join(line.rstrip() for line in buffer.getvalue().splitlines())


def paint(blocks: Iterable[Block], console: Console) -> None:
    """Print the blocks with an empty line before what has a title."""
    for number, block in enumerate(blocks):
        if number and not isinstance(block, Note) and block.title:
            console.print()
        console.print(renderable(block, console.width), soft_wrap=isinstance(block, Code))


def stacked(blocks: Iterable[Block], width: int) -> RenderableType:
    """The blocks as one thing, for a picture that is replaced by the next one."""
    parts: list[RenderableType] = []
    for number, block in enumerate(blocks):
        if number and not isinstance(block, Note) and block.title:
            parts.append(Text())
        parts.append(renderable(block, width))
    return Group(*parts)


def renderable(block: Block, width: int) -> RenderableType:
    """One block as rich has it, for a console of that many columns."""
    if isinstance(block, Table):
        return _table(block, width)
    if isinstance(block, Pairs):
        return _pairs(block)
    if isinstance(block, Note):
        return Text(clean(block.text), style=STYLES[block.tone])
    if isinstance(block, Callout):
        return _callout(block)
    # Not indented: what is copied from here should be what is there.
    text = Text(clean(block.text, lines=True))
    return Group(Text(clean(block.title), style="bold"), text) if block.title else text


def cell_text(cell: Cell) -> Text:
    """A cell: its bar, if it has one, and its text."""
    text = Text(style=STYLES[cell.tone])
    if cell.bar is not None:
        filled = round(max(0.0, min(cell.bar, 1.0)) * BAR_WIDTH)
        text.append("█" * filled).append("░" * (BAR_WIDTH - filled), style="dim").append(" ")
    return text.append(clean(cell.text))


def _table(table: Table, width: int) -> RenderableType:
    if not table.rows:
        return _titled(table.title, Text(clean(table.empty), style=STYLES["dim"]))
    painted = RichTable(
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        padding=(0, 1, 0, 0),
        show_edge=False,
        show_header=table.header,
    )
    shown = [number for number, one in enumerate(table.columns) if one.from_width <= width]
    columns = [table.columns[number] for number in shown]
    lined_up = sum(column.width for column in columns) + len(columns) * GAP <= width
    for column in columns:
        painted.add_column(
            Text(clean(column.title), style="bold"),
            justify="right" if column.right else "left",
            no_wrap=column.keep,
            min_width=column.width if lined_up and column.width else None,
            # Nothing is cut off: a long name goes on in the next line.
            overflow="fold",
        )
    for row in table.rows:
        painted.add_row(*(cell_text(row[number]) for number in shown))
    return _titled(table.title, painted)


def _pairs(pairs: Pairs) -> RenderableType:
    grid = RichTable.grid(padding=(0, 2))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for name, cell in pairs.rows:
        grid.add_row(Text(clean(name), style=STYLES["dim"]), cell_text(cell))
    return _titled(pairs.title, grid)


def _callout(callout: Callout) -> RenderableType:
    notes = Group(*(Text(clean(note.text), style=STYLES[note.tone]) for note in callout.notes))
    if not callout.title:
        return notes
    title = Text(clean(callout.title), style=STYLES[callout.tone] + Style(bold=True))
    return Group(title, Padding(notes, (0, 0, 0, GAP), expand=False))


def _titled(title: str, content: RenderableType) -> RenderableType:
    if not title:
        return content
    return Group(Text(clean(title), style="bold"), Padding(content, (0, 0, 0, GAP), expand=False))
