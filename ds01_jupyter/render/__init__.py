"""Showing documents to people: in a terminal through rich, in a notebook as HTML.

Views are made of a few plain blocks (`blocks`); two painters know how a block looks (`terminal`,
`page`). All text passes `blocks.clean` and the painter's own escaping, so that no name, label or
log line can bring markup, HTML or control characters along.
"""

from __future__ import annotations

from ds01_jupyter.render.blocks import Callout, Cell, Code, Column, Note, Pairs, Table, clean
from ds01_jupyter.render.view import View

__all__ = ["Callout", "Cell", "Code", "Column", "Note", "Pairs", "Table", "View", "clean"]
