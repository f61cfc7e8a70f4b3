"""Exemptions from time limits, for single people and for a time.

A date means the whole of that day, on this machine's clock, with or without quotes; a time without
an offset is this machine's local time. An exemption that cannot be read is a mistake of the file,
and never silently no exemption.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from ds01_jupyter.core.limit_keys import DURATIONS
from ds01_jupyter.core.limit_people import Entry
from ds01_jupyter.core.wording import did_you_mean, nearest
from ds01_jupyter.core.yaml_file import Mistakes, Node

_WHO, _UNTIL = ("user", "username"), ("expires_on", "until")
_KEYS = (*_WHO, "exempt_from", *_UNTIL, "reason")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
_TIME = re.compile(
    _DATE.pattern + r"[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2})?(?: ?(?:Z|[+-][0-9]{2}:[0-9]{2}))?",
    re.ASCII,
)


@dataclass(frozen=True)
class Exemption:
    """One person is exempt from some time limits (`DURATIONS`) until a moment (None: for good)."""

    entry: Entry
    limits: frozenset[str]
    until: datetime | None
    reason: str = ""

    def holds(self, moment: datetime) -> bool:
        """Whether it still holds at a moment (with a time zone)."""
        return self.until is None or moment < self.until


def read_exemptions(node: Node, mistakes: Mistakes) -> Iterator[Exemption]:
    """The entries of the section; what is wrong with one goes to `mistakes`."""
    for item in node.sequence():
        with mistakes.gathered():
            found = _exemption(item, mistakes)
            if found is not None:
                yield found


def _exemption(item: Node, mistakes: Mistakes) -> Exemption | None:
    """One entry, or None when something about it is wrong."""
    before = len(mistakes.found)
    for key, node in item.mapping().items():
        if key not in _KEYS:
            near = nearest(key, _KEYS)
            hint = f"Did you mean {near!r}?" if near else ""
            mistakes.add(node.mistake("this key has no meaning here", hint=hint, of_key=True))
    entry, limits, until, reason = None, frozenset[str](), None, ""
    with mistakes.gathered():
        who = _one_of(item, _WHO)
        entry = Entry.at(who, who.word(), "exemptions")
    with mistakes.gathered():
        limits = frozenset(_limits(_one_of(item, ("exempt_from",)), mistakes))
    with mistakes.gathered():
        end = _one_of(item, _UNTIL)
        until = None if end.value is None else _moment(end)
    with mistakes.gathered():
        why = item.mapping().get("reason")
        reason = "" if why is None or why.value is None else why.word()
    if len(mistakes.found) > before:
        return None
    assert entry is not None
    return Exemption(entry, limits, until, reason)


def _one_of(item: Node, names: tuple[str, ...]) -> Node:
    found = [item.mapping()[name] for name in names if name in item.mapping()]
    if not found:
        more = "; null means without end" if names == _UNTIL else ""
        raise item.mistake(f"{names[0]} is missing{more}")
    if len(found) > 1:
        raise found[1].mistake(
            f"line {found[0].key_line} says the same in another spelling", of_key=True
        )
    return found[0]


def _limits(node: Node, mistakes: Mistakes) -> Iterator[str]:
    items = node.sequence() if isinstance(node.value, list) else [node]
    if not items:
        raise node.mistake("this names no limit", of_key=True)
    for item in items:
        with mistakes.gathered():
            name = item.word()
            if name not in DURATIONS:
                raise item.mistake(
                    "nobody can be exempt from this; it is a time limit",
                    hint=did_you_mean(name, DURATIONS),
                )
            yield name


def _moment(node: Node) -> datetime:
    text = node.word().strip()
    try:
        if _DATE.fullmatch(text):
            day = date.fromisoformat(text) + timedelta(days=1)
            return datetime.combine(day, time()).astimezone()
        if _TIME.fullmatch(text):
            return datetime.fromisoformat(text.replace(" +", "+").replace(" -", "-")).astimezone()
    except (ValueError, OverflowError):
        pass
    raise node.mistake("this is a date such as 2026-07-31, or 2026-07-31 18:00")
