"""The commands behind `%ds01 ...` and `ds01 ...`: one grammar, one place to run them."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ds01_jupyter.commands.grammar import build
from ds01_jupyter.commands.parser import HelpRequested

if TYPE_CHECKING:
    from ds01_jupyter.commands.context import Context

__all__ = ["run"]


def run(context: Context, words: Sequence[str]) -> Any:
    """Run one command and return its answer: a `View`, documents, a `Work` or a widget.

    Raises `ClientError` for every refusal, `UsageProblem` (one of them) for a bad command.
    """
    parser = build(context.prog)
    try:
        arguments = parser.parse_args(list(words))
    except HelpRequested as request:
        return help_view(request.text)
    if getattr(arguments, "server", None):
        context.server = arguments.server
    module, _, function = arguments.run.partition(".")
    answer = getattr(importlib.import_module(f"{__name__}.{module}"), function)(context, arguments)
    return as_json(answer) if getattr(arguments, "json", False) else answer


def help_view(text: str) -> Any:
    """A help page."""
    from ds01_jupyter.render import Code, View

    return View(Code(text.rstrip("\n")), data=text)


def as_json(answer: Any) -> Any:
    """The documents behind a view as JSON values; other answers stay as they are."""
    from ds01_jupyter.render.view import View, documents

    return documents(answer.data) if isinstance(answer, View) else answer
