"""Sizes and durations as people write them: `32g`, `48h`."""

from __future__ import annotations

import re
from datetime import timedelta
from fractions import Fraction

_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?(?:([kmgtp])(?:i?b)?|b)?", re.IGNORECASE | re.ASCII)
_FACTORS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5}
MAX_SIZE = 2**63 - 1

_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?([smhd])", re.ASCII)
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
MAX_DURATION = timedelta(days=3650)


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
    """The time of `48h`, `30m`, `0.5h`, `2d`, `90s`; the unit is not optional.

    Raises ValueError with what is expected.
    """
    match = _DURATION.fullmatch(text.strip()) if len(text) <= 40 else None
    if match is None:
        raise ValueError("a duration is a number with s, m, h or d, such as 48h or 30m")
    return in_range(Fraction(match[1]) * _SECONDS[match[2]])


def in_range(seconds: Fraction) -> timedelta:
    """The time of a number of seconds; ValueError beyond ten years."""
    if seconds > int(MAX_DURATION.total_seconds()):
        raise ValueError("this is longer than ten years; null means without limit")
    return timedelta(microseconds=round(seconds * 1_000_000))
