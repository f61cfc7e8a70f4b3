"""What a view is made of. Blocks hold plain text only; how they look is the painters' business."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import Literal

Tone = Literal["", "strong", "dim", "good", "warn", "bad", "code"]

_ESCAPES = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"  # CSI: colours, cursor
    r"|\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?"  # OSC, DCS and their kind, with their text
    r"|\x1b[@-_a-z]?"
)


def clean(text: object, *, lines: bool = False) -> str:
    """The text without escape sequences, control characters and reordering marks.

    `lines` keeps line breaks (of a carriage return only what it left on the line, as a terminal
    would show it); otherwise they become spaces.
    """
    plain = _ESCAPES.sub("", str(text)).replace("\r\n", "\n").replace("\t", "    ")
    if lines:
        plain = "\n".join(_last_written(line) for line in plain.split("\n"))
    kept = "".join(_safe(character, lines) for character in plain)
    return kept.encode("utf-8", "replace").decode("utf-8")


def _last_written(line: str) -> str:
    parts = [part for part in line.split("\r") if part.strip()]
    return parts[-1] if parts else ""


def _safe(character: str, lines: bool) -> str:
    if character == "\n" and lines:
        return character
    category = unicodedata.category(character)
    if character in "\n\r" or category in ("Zl", "Zp"):
        return " "
    # Cc: control characters; Cf: bidirectional overrides, zero width characters and such.
    return "" if category in ("Cc", "Cf") else character


@dataclass(frozen=True)
class Cell:
    """A piece of text with a meaning (`tone`) and, where it measures something, a bar (0 to 1)."""

    text: str
    tone: Tone = ""
    bar: float | None = None


@dataclass(frozen=True)
class Column:
    """A column's heading; `right` aligns figures, `keep` never breaks its cells.

    `width` is the least number of characters, so that tables below each other line up. A terminal
    with fewer than `from_width` characters leaves the column out, so that the others stay readable.
    """

    title: str
    right: bool = False
    keep: bool = False
    width: int = 0
    from_width: int = 0


@dataclass(frozen=True)
class Table:
    """Rows of cells, one for each column. `empty` is said where there are no rows.

    `header` is False for the later ones of several tables that belong together.
    """

    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    title: str = ""
    empty: str = "Nothing here."
    header: bool = True


@dataclass(frozen=True)
class Pairs:
    """Names and values below each other."""

    rows: tuple[tuple[str, Cell], ...]
    title: str = ""


@dataclass(frozen=True)
class Note:
    """A sentence or two."""

    text: str
    tone: Tone = ""


@dataclass(frozen=True)
class Code:
    """Text that keeps its lines: a Dockerfile, a log, a help page."""

    text: str
    title: str = ""


@dataclass(frozen=True)
class Callout:
    """A few sentences that stand out from what is around them; `tone` colours their edge."""

    notes: tuple[Note, ...]
    title: str = ""
    tone: Tone = ""


Block = Table | Pairs | Note | Code | Callout
