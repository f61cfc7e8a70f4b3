"""The end of a log: bounded, escaped, and written to the browser in batches."""

from __future__ import annotations

import re
from collections import deque
from typing import Any

from ds01_jupyter.widgets.markup import escape
from ds01_jupyter.widgets.panel import html

MAX_LINES = 500
MAX_COLUMNS = 2000
_ANSI = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b[()][A-Z0-9]|\x1b.")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


def clean(text: str) -> list[str]:
    """Lines without colours and control characters; of an overwritten line its last state."""
    lines = []
    for raw in text.split("\n"):
        last = raw.rstrip("\r").rpartition("\r")[2]
        lines.append(_CONTROL.sub("", _ANSI.sub("", last))[:MAX_COLUMNS])
    if lines and not lines[-1]:
        lines.pop()
    return lines


class LogView:
    """The last `MAX_LINES` lines. `add` is cheap; `flush` writes what is new, if anything is."""

    def __init__(self, label: str) -> None:
        self._label = label
        self._lines: deque[str] = deque(maxlen=MAX_LINES)
        self._dropped = 0
        self._dirty = False
        self.widget: Any = html("", "ds01-log")

    @property
    def lines(self) -> list[str]:
        """The lines that are kept."""
        return list(self._lines)

    def add(self, text: str) -> None:
        """Take in output; several lines at once are fine."""
        fresh = clean(text)
        self._dropped += max(0, len(self._lines) + len(fresh) - MAX_LINES)
        self._lines.extend(fresh)
        self._dirty = self._dirty or bool(fresh)

    def clear(self) -> None:
        """Forget everything."""
        self._lines.clear()
        self._dropped, self._dirty = 0, True

    def flush(self) -> None:
        """Write to the browser. Copying the deque is safe while another thread adds to it."""
        if not self._dirty:
            return
        self._dirty = False
        earlier = f"… {self._dropped} earlier lines\n" if self._dropped else ""
        # role=log would speak every line of a build; the state above it is what is announced.
        self.widget.value = (
            f"<pre tabindex='0' aria-label='{escape(self._label)}'>"
            f"{escape(earlier + chr(10).join(self._lines.copy()))}</pre>"
        )
