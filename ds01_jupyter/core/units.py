"""Sizes, durations and shares as people write them: `32g`, `48h`, `1h30m`, `3/7`."""

from __future__ import annotations

import re
from datetime import timedelta
from fractions import Fraction

_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?(?:([kmgtp])(?:i?b)?|b)?", re.IGNORECASE | re.ASCII)
_FACTORS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5}
MAX_SIZE = 2**63 - 1

_PART = r"[0-9]+(?:\.[0-9]+)?"
_DURATION = re.compile(
    rf"(?=[0-9])(?:({_PART}) ?d *)?(?:({_PART}) ?h *)?(?:({_PART}) ?m *)?(?:({_PART}) ?s)?",
    re.ASCII,
)
SECONDS = {"d": 86400, "h": 3600, "m": 60, "s": 1}
"""Seconds of each unit of a duration, the largest first."""
MAX_DURATION = timedelta(days=3650)

_SHARE = re.compile(r"([0-9]{1,6}) ?/ ?([0-9]{1,4})", re.ASCII)


def parse_size(text: str) -> int:
    """Bytes of `32g`, `512m`, `1.5g`, `32GiB`, `1024`; every unit is a power of 1024, as in Docker.

    Raises ValueError with what is expected.
    """
    match = _SIZE.fullmatch(text.strip()) if len(text) <= 40 else None
    if match is None:
        raise ValueError("a size is a number with k, m, g or t, such as 32g or 512m")
    size = int(Fraction(match[1]) * 1024 ** _FACTORS[(match[2] or "").lower()])
    if size > MAX_SIZE:
        raise ValueError("this size is larger than any machine's")
    return size


def format_size(size: int) -> str:
    """The shortest exact form in Docker's units: 34359738368 is `32g`."""
    for unit in ("t", "g", "m", "k"):
        factor = 1024 ** _FACTORS[unit]
        if size >= factor and size % factor == 0:
            return f"{size // factor}{unit}"
    return f"{size} bytes"


def parse_duration(text: str) -> timedelta:
    """The time of `48h`, `30m`, `0.5h`, `2d`, `90s`, `1h30m`; only zero goes without a unit.

    Raises ValueError with what is expected.
    """
    word = text.strip()
    if word == "0":
        return timedelta(0)
    match = _DURATION.fullmatch(word) if len(text) <= 40 else None
    if match is None:
        raise ValueError("a duration is a number with s, m, h or d, such as 48h, 30m or 1h30m")
    parts = zip(match.groups(), SECONDS.values(), strict=True)
    return in_range(sum((Fraction(part) * unit for part, unit in parts if part), Fraction(0)))


def format_duration(duration: timedelta) -> str:
    """The way back: two days are `2d`, 90 minutes `1h30m`, nothing `0`; in whole seconds."""
    left, text = int(duration.total_seconds()), ""
    for unit, seconds in SECONDS.items():
        count, left = divmod(left, seconds)
        text += f"{count}{unit}" if count else ""
    return text or "0"


def parse_share(text: str) -> Fraction:
    """A part of a GPU written as a fraction: `3/7`. Raises ValueError with what is expected."""
    match = _SHARE.fullmatch(text.strip())
    if match is None or int(match[2]) == 0:
        raise ValueError("this is a number such as 1, 0.5 or 3/7")
    return Fraction(int(match[1]), int(match[2]))


def in_range(seconds: Fraction) -> timedelta:
    """The time of a number of seconds; ValueError beyond ten years."""
    if seconds > int(MAX_DURATION.total_seconds()):
        raise ValueError("this is longer than ten years; null means without limit")
    return timedelta(microseconds=round(seconds * 1_000_000))
