"""A refusal: one sentence, what to do next, and the figures behind it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ds01_jupyter.client_error import ClientError
from ds01_jupyter.render.blocks import Block, Code, Note
from ds01_jupyter.render.view import View

QUIET = frozenset({"server", "error", "said", "runtime_dir", "ignored", "servers"})
"""Figures for whoever looks for a fault, not for a person who reads the sentence."""
MAX_FIGURES = 8


def problem(error: ClientError) -> View:
    """The refusal as a view; its data is the API's error document."""
    blocks: list[Block] = [Note(error.message, "bad")]
    if error.hint:
        blocks.append(Note(error.hint))
    figures = figures_of(error.details, said=f"{error.message} {error.hint}")
    if figures:
        blocks.append(Note(figures, "dim"))
    blocks += [
        Code(text, title=title.replace("_", " "))
        for title, text in _long_texts(error.details).items()
    ]
    return View(*blocks, data=error.document())


def figures_of(details: Mapping[str, Any], said: str = "") -> str:
    """The short values in one line: `limit: 2 · in use: 2 · asked: 1`.

    Words that were `said` already are left out.
    """
    shown = []
    for key, value in details.items():
        text = _short(value)
        repeated = isinstance(value, str) and value in said
        if key not in QUIET and text and not repeated:
            shown.append(f"{key.replace('_', ' ')}: {text}")
    return " · ".join(shown[:MAX_FIGURES])


def _short(value: Any) -> str:
    if isinstance(value, bool | int | float):
        return str(value)
    if isinstance(value, str) and len(value) <= 80 and "\n" not in value:
        return value
    short_list = isinstance(value, list) and len(value) <= 20
    if short_list and all(isinstance(item, str | int | float) for item in value):
        text = ", ".join(str(item) for item in value)
        return text if len(text) <= 160 and "\n" not in text else ""
    return ""


def _long_texts(details: Mapping[str, Any]) -> dict[str, str]:
    """Log lines and the like, which keep their lines."""
    found = {}
    for key, value in details.items():
        if key in QUIET or _short(value):
            continue
        if isinstance(value, list) and value and all(isinstance(item, str) for item in value):
            found[key] = "\n".join(value)
        elif isinstance(value, str) and value.strip():
            found[key] = value
    return found
