"""Small pieces of HTML. Everything that comes from the server or a person is escaped here."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping

from ds01_jupyter.render import units


def escape(value: object) -> str:
    """Text as HTML, quotes included, so that it may stand in an attribute too."""
    return html.escape(str(value), quote=True)


def size(count: float | None) -> str:
    """Bytes for people: `4.8 GiB`; `n/a` where it is not known."""
    return "n/a" if count is None else units.size(count)


def seconds(span: float) -> str:
    """A span for people: `8 s`, `1:05 min`, `1:02:03 h`."""
    whole = int(span)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes}:{rest:02d} min"
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d} h"


def code(value: object) -> str:
    """Something to be read letter by letter: a path, a reference."""
    return f"<code>{escape(value)}</code>"


def chips(names: Iterable[str]) -> str:
    """Package names in a row."""
    inner = "".join(f"<span class='ds01-chip'>{escape(name)}</span>" for name in names)
    return f"<span class='ds01-chips'>{inner}</span>"


def facts(rows: Mapping[str, str], css: str = "") -> str:
    """A list of terms with values; the terms are escaped, the values must be HTML already."""
    inner = "".join(
        f"<div><dt>{escape(term)}</dt><dd>{value}</dd></div>" for term, value in rows.items()
    )
    return f"<dl class='ds01-facts {css}'>{inner}</dl>"
