"""What a command answers: something to look at, and the documents behind it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ds01_jupyter.render.blocks import Block

if TYPE_CHECKING:
    from rich.console import Console

PLAIN_WIDTH = 100


class View:
    """Blocks to look at and, in `data`, the documents of the API behind them.

    Shows itself as HTML in a notebook and as a rich table in a terminal.
    """

    def __init__(self, *blocks: Block, data: Any = None) -> None:
        self.blocks: tuple[Block, ...] = blocks
        self.data = data

    def __add__(self, other: View) -> View:
        """Both, one below the other; the data is the first one's."""
        return View(*self.blocks, *other.blocks, data=self.data)

    def __repr__(self) -> str:
        return self.text()

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        return {"text/html": self.html(), "text/plain": self.text()}

    def html(self) -> str:
        """For a notebook."""
        from ds01_jupyter.render.page import paint

        return paint(self.blocks)

    def text(self, width: int = PLAIN_WIDTH) -> str:
        """Plain text without colours, at most `width` columns wide."""
        from ds01_jupyter.render.terminal import plain

        return plain(self.blocks, width)

    def show(self, console: Console) -> None:
        """Print it on a terminal."""
        from ds01_jupyter.render.terminal import paint

        paint(self.blocks, console)

    def json(self) -> str:
        """The documents as the API has them."""
        return json.dumps(documents(self.data), indent=2, ensure_ascii=False)


def documents(data: Any) -> Any:
    """Documents (or lists of them) as plain JSON values."""
    if hasattr(data, "model_dump"):
        return data.model_dump(mode="json")
    if isinstance(data, dict):
        return {key: documents(value) for key, value in data.items()}
    if isinstance(data, Sequence) and not isinstance(data, str):
        return [documents(item) for item in data]
    return data
