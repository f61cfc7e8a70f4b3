"""Blocks as HTML for a notebook, in the colours of JupyterLab's theme.

Every piece of text passes `_escape`; nothing else writes text into the page.
"""

from __future__ import annotations

import html
from collections.abc import Iterable

from ds01_jupyter.render.blocks import Block, Callout, Cell, Code, Note, Pairs, Table, clean

STYLE = """<style>
.ds01-view { container-type: inline-size; font-size: var(--jp-ui-font-size1, 13px);
  line-height: 1.45; }
.ds01-view table.ds01-table { border-collapse: collapse; margin: 2px 0 8px 0; font-size: inherit;
  border: none; }
.ds01-view table.ds01-table th, .ds01-view table.ds01-table td { text-align: left;
  padding: 3px 14px 3px 0; border: none; background: none; vertical-align: top;
  color: inherit; max-width: 32em; white-space: normal; overflow-wrap: anywhere; }
.ds01-view table.ds01-table tbody tr { background: none; }
.ds01-view table.ds01-table thead th { font-weight: 600; white-space: nowrap;
  border-bottom: 1px solid var(--jp-border-color1, #8888); }
.ds01-view table.ds01-table tbody td, .ds01-view table.ds01-table tbody th {
  border-bottom: 1px solid var(--jp-border-color3, #8883); }
.ds01-view table.ds01-table th[scope=row] { font-weight: 400; opacity: .75; }
.ds01-view table.ds01-table .ds01-right { text-align: right; font-variant-numeric: tabular-nums; }
.ds01-view table.ds01-table .ds01-keep { white-space: nowrap; }
@container (max-width: 560px) { .ds01-view table.ds01-table .ds01-from-70 { display: none; } }
@container (max-width: 760px) { .ds01-view table.ds01-table .ds01-from-100 { display: none; } }
.ds01-view .ds01-title { font-weight: 600; margin: 6px 0 2px 0; }
.ds01-view p { margin: 2px 0 4px 0; }
.ds01-view pre { font-size: var(--jp-code-font-size, 12px); margin: 2px 0 8px 0; padding: 6px 10px;
  border-left: 3px solid var(--jp-border-color2, #8886); max-height: 32em; overflow: auto;
  color: inherit; background: none; white-space: pre; }
.ds01-view .ds01-strong { font-weight: 600; }
.ds01-view .ds01-dim { opacity: .7; }
.ds01-view .ds01-code { font-family: var(--jp-code-font-family, monospace); }
.ds01-view .ds01-good { color: var(--jp-success-color1, #388e3c); }
.ds01-view .ds01-warn { color: var(--jp-warn-color1, #c05600); }
.ds01-view .ds01-bad { color: var(--jp-error-color1, #d32f2f); }
.ds01-view .ds01-bar { display: inline-block; width: 84px; height: 8px; margin-right: 8px;
  border-radius: 4px; background: var(--jp-border-color2, #8886); overflow: hidden;
  vertical-align: middle; }
.ds01-view code { user-select: all; }
.ds01-view .ds01-callout { border-left: 4px solid currentColor; border-radius: 3px;
  margin: 6px 0; padding: 6px 12px; opacity: 1; max-width: 72ch;
  background: color-mix(in srgb, currentColor 8%, var(--jp-layout-color1, transparent)); }
.ds01-view .ds01-callout-text { color: var(--jp-ui-font-color1, inherit); }
.ds01-view .ds01-callout .ds01-title { margin-top: 0; }
.ds01-view .ds01-bar > span { display: block; height: 100%; background: currentColor; }
</style>"""


def paint(blocks: Iterable[Block]) -> str:
    """The blocks as one element that brings its style along."""
    return f'{STYLE}<div class="ds01-view">{"".join(_block(block) for block in blocks)}</div>'


def _block(block: Block) -> str:
    if isinstance(block, Table):
        return _title(block.title) + _table(block)
    if isinstance(block, Pairs):
        rows = "".join(
            f'<tr><th scope="row">{_escape(name)}</th><td>{_cell(cell)}</td></tr>'
            for name, cell in block.rows
        )
        return f'{_title(block.title)}<table class="ds01-table"><tbody>{rows}</tbody></table>'
    if isinstance(block, Note):
        return f"<p{_class(block.tone)}>{_with_commands(block.text)}</p>"
    if isinstance(block, Callout):
        inner = "".join(_block(note) for note in block.notes)
        tone = f" ds01-{block.tone}" if block.tone else ""
        # The edge takes the colour of its own element; the sentences in it keep the text's.
        return (
            f'<div class="ds01-callout{tone}" role="note"><div class="ds01-callout-text">'
            f"{_title(block.title)}{inner}</div></div>"
        )
    return f"{_title(block.title)}<pre>{_escape_lines(block)}</pre>"


def _table(table: Table) -> str:
    if not table.rows:
        return f'<p class="ds01-dim">{_escape(table.empty)}</p>'
    marks = [
        " ".join(
            name
            for name, wanted in (
                ("ds01-right", column.right),
                ("ds01-keep", column.keep),
                # A character is about seven pixels wide; two steps do for all tables.
                ("ds01-from-70", 0 < column.from_width < 100),
                ("ds01-from-100", column.from_width >= 100),
            )
            if wanted
        )
        for column in table.columns
    ]
    opened = [
        (f' class="{mark}"' if mark else "")
        + (f' style="min-width:{column.width}ch"' if column.width else "")
        for mark, column in zip(marks, table.columns, strict=True)
    ]
    head = "".join(
        f'<th scope="col"{mark}>{_escape(column.title)}</th>'
        for column, mark in zip(table.columns, opened, strict=True)
    )
    rows = "".join(
        "<tr>"
        + "".join(f"<td{mark}>{_cell(cell)}</td>" for cell, mark in zip(row, opened, strict=True))
        + "</tr>"
        for row in table.rows
    )
    return f'<table class="ds01-table"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>'


def _cell(cell: Cell) -> str:
    bar = ""
    if cell.bar is not None:
        width = round(max(0.0, min(cell.bar, 1.0)) * 100)
        bar = f'<span class="ds01-bar"><span style="width:{width}%"></span></span>'
    return f"<span{_class(cell.tone)}>{bar}{_escape(cell.text)}</span>"


def _class(tone: str) -> str:
    return f' class="ds01-{tone}"' if tone else ""


def _title(text: str) -> str:
    return f'<div class="ds01-title">{_escape(text)}</div>' if text else ""


def _with_commands(text: str) -> str:
    """A sentence, with what stands in backquotes as code."""
    parts = text.split("`")
    if len(parts) % 2 == 0:
        return _escape(text)
    return "".join(
        f"<code>{_escape(part)}</code>" if number % 2 else _escape(part)
        for number, part in enumerate(parts)
    )


def _escape(text: str) -> str:
    return html.escape(clean(text))


def _escape_lines(block: Code) -> str:
    return html.escape(clean(block.text, lines=True))
