"""Helpers for sentences that people read: quoting what they typed, guessing what they meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

MAX_QUOTED = 60
LEAST_LIKENESS = 0.5


def quoted(text: str, limit: int = MAX_QUOTED) -> str:
    """What a person typed, in quotes, on one line, control characters escaped, cut to `limit`."""
    shown = text if len(text) <= limit else text[: limit - 3] + "..."
    return repr(shown)


def nearest(word: str, choices: Iterable[str]) -> str | None:
    """The choice that looks most like `word` (case does not count), or None when none does."""
    by_folded: dict[str, str] = {}
    for choice in choices:
        by_folded.setdefault(choice.casefold(), choice)
    wanted = word.strip().casefold()
    if not wanted:
        return None
    for folded, choice in by_folded.items():
        if folded.startswith(wanted):
            return choice
    # Matching is quadratic, and nobody means a choice by a page of text.
    scores = {folded: _likeness(wanted[:MAX_QUOTED], folded) for folded in by_folded}
    best = max(scores, key=scores.__getitem__, default=None)
    return by_folded[best] if best is not None and scores[best] >= LEAST_LIKENESS else None


def _likeness(word: str, choice: str) -> float:
    """0 to 1; a common beginning counts more (Winkler's weight), so 2.4.1 is nearer to 2.4.0 than
    to 2.7.1."""
    ratio = difflib.SequenceMatcher(None, word, choice).ratio()
    if ratio < LEAST_LIKENESS:
        return 0.0
    common = 0
    while word[common : common + 1] == choice[common : common + 1] != "" and common < 4:
        common += 1
    return ratio + 0.1 * common * (1 - ratio)


def did_you_mean(word: str, choices: Iterable[str]) -> str:
    """A sentence for a hint: the nearest choice, or all the choices, or nothing to choose from."""
    names = list(choices)
    near = nearest(word, names)
    if near is not None:
        return f"Did you mean {near!r}?"
    if not names:
        return ""
    return "There is " + ", ".join(names) + "."
