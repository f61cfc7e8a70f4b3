"""Why something was refused, in the one form in which every view shows it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from ds01_jupyter.core.models import ErrorDocument
from ds01_jupyter.render.problem import figures_of
from ds01_jupyter.widgets.markup import escape
from ds01_jupyter.widgets.panel import html

_QUIET = frozenset({"field"})
"""Figures that are for the wizard and not for the person."""


@dataclass(frozen=True)
class Problem:
    """`message` is one sentence, `hint` says what to do next, `details` holds the figures."""

    message: str
    hint: str = ""
    code: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, error: Exception | ErrorDocument) -> Problem:
        """From whatever the client raised, or from the error of an operation."""
        if isinstance(error, ValidationError):
            return cls._of_validation(error)
        message = getattr(error, "message", None)
        if message is None:
            hint = "This is a defect of the wizard; what was entered is still here."
            return cls(f"Unexpected error: {error!r}", hint, "unexpected")
        return cls(
            str(message),
            str(getattr(error, "hint", "") or ""),
            str(getattr(error, "code", "") or ""),
            dict(getattr(error, "details", None) or {}),
        )

    @classmethod
    def _of_validation(cls, error: ValidationError) -> Problem:
        """A document that could not even be made, because a text is far too long, say."""
        first = error.errors()[0]
        place = str(first["loc"][0]) if first["loc"] else ""
        return cls(f"{place}: {first['msg']}.", "", "invalid_input", {"field": place})

    def culprit(self, entered: Mapping[str, str | Sequence[str]]) -> str | None:
        """The name of the field that caused it, of those in `entered`; None when it cannot be told.

        The refusal names what it speaks of (`name`, `kind: pip`, ...); where it does not, the
        field is the one whose text it quotes, the longest such text if there are several.
        """
        for key in ("field", "kind"):
            named = self.details.get(key)
            if isinstance(named, str) and named in entered:
                return named
        for name, value in entered.items():
            if name in self.details and self.details[name] == value:
                return name
        matches = [
            (len(text), name)
            for name, value in entered.items()
            for text in ([value] if isinstance(value, str) else value)
            if self._quotes(text)
        ]
        return max(matches)[1] if matches else None

    def _quotes(self, text: str) -> bool:
        if not text:
            return False
        if text in self.details.values():
            return True
        return re.search(rf"(?<![\w-]){re.escape(text)}(?![\w-])", self.message) is not None


def problem_html(problem: Problem, *, with_figures: bool = True) -> str:
    """The sentence, what to do next, and the figures."""
    shown = {key: value for key, value in problem.details.items() if key not in _QUIET}
    figures = figures_of(shown) if with_figures else ""
    return (
        "<div class='ds01-problem' role='alert'>"
        f"<p class='ds01-problem-message'>{escape(problem.message)}</p>"
        + (f"<p class='ds01-problem-hint'>{escape(problem.hint)}</p>" if problem.hint else "")
        + (f"<p class='ds01-figures'>{escape(figures)}</p>" if figures else "")
        + "</div>"
    )


def problem_box() -> Any:
    """The place for a problem; fill its value with `problem_html`, or empty it."""
    return html("", "ds01-problem-box")
