"""Figures as people read them."""

from __future__ import annotations

from datetime import UTC, datetime

import humanize

UNKNOWN = "-"


def size(value: float | None, unlimited: bool = False) -> str:
    """Bytes in binary units; None is `unlimited` for a limit, `-` (not known) otherwise."""
    if value is None:
        return "unlimited" if unlimited else UNKNOWN
    text = humanize.naturalsize(value, binary=True, format="%.1f")
    return text.replace(".0 ", " ")


def count(value: float | None) -> str:
    """A limit that is a number; None is unlimited."""
    return "unlimited" if value is None else f"{value:g}"


def ago(moment: datetime | None, now: datetime | None = None) -> str:
    """How long ago, in one unit."""
    if moment is None:
        return UNKNOWN
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    seconds = ((now or datetime.now(UTC)) - moment).total_seconds()
    # A clock that is a little off must not tell of the future.
    return humanize.naturaltime(max(seconds, 0.0))


def percent(fraction: float | None) -> str:
    """A share in per cent."""
    return UNKNOWN if fraction is None else f"{round(fraction * 100)} %"


def of(used: float | None, total: float | None) -> str:
    """`3 of 40 GiB`: a part and a whole in the whole's unit."""
    if used is None or total is None:
        return f"{size(used)} of {size(total)}"
    number, _, unit = size(total).partition(" ")
    scale = total / float(number) if float(number) else 1.0
    return f"{used / scale:.1f} of {number} {unit}".replace(".0 of", " of")


def since(moment: datetime | None, now: datetime | None = None) -> str:
    """How long something lasts, for a narrow column: `5 min`, `3 h`, `12 d`."""
    if moment is None:
        return UNKNOWN
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    seconds = max(((now or datetime.now(UTC)) - moment).total_seconds(), 0.0)
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= length:
            return f"{int(seconds // length)} {unit}"
    return f"{int(seconds)} s"
