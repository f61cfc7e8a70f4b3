"""Moments ahead and estimates as people read them, in local time."""

from __future__ import annotations

from datetime import UTC, datetime

from ds01_jupyter.core import models
from ds01_jupyter.render.units import UNKNOWN

WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
# Not strftime's: a notebook may have set a locale, and these words stand in English sentences.


def span(seconds: float) -> str:
    """A length of time in at most two units: `5 min`, `2 h 5 min`, `3 d 4 h`."""
    minutes = max(int(seconds // 60), 0)
    if minutes < 1:
        return "less than a minute"
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours} h {minutes} min" if minutes and hours < 10 else f"{hours} h"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h" if hours and days < 10 else f"{days} d"


def clock(at: datetime | None, now: datetime | None = None) -> str:
    """A moment for a narrow column: `14:30`, `tomorrow 14:30`, `Thu 14:30`, `12 Jan 14:30`."""
    if at is None:
        return UNKNOWN
    local, here = _local(at, now)
    day = _day(local, here)
    return f"{day} {local:%H:%M}".strip()


def moment(at: datetime, now: datetime | None = None) -> str:
    """A moment for a sentence: `at 14:30 (in 2 h)`, `on Thu at 14:30 (in 3 d)`.

    One that has passed is `any moment now`: whoever says it looks ahead.
    """
    local, here = _local(at, now)
    seconds = (local - here).total_seconds()
    if seconds <= 0:
        return "any moment now"
    day = _day(local, here)
    on = "" if day in ("", "tomorrow") else "on "
    return f"{on}{day} at {local:%H:%M} (in {span(seconds)})".strip()


def expected(estimate: models.Estimate | None, now: datetime | None = None) -> str:
    """An estimate in one sentence that promises no more than it says; empty without one."""
    if estimate is None:
        return ""
    why = f": {estimate.because.rstrip('.')}" if estimate.because else ""
    if estimate.at is None:
        return f"Nobody can say when{why}."
    when = moment(estimate.at, now)
    if when == "any moment now":
        return f"Any moment now{why}."
    if estimate.certain:
        return f"At the latest {when}{why}."
    return f"Probably {when}, but that is not certain{why}."


def expected_short(estimate: models.Estimate | None, now: datetime | None = None) -> str:
    """An estimate for a narrow column: `by 14:30`, `about 14:30`, `nobody can say`."""
    if estimate is None:
        return UNKNOWN
    if estimate.at is None:
        return "nobody can say"
    local, here = _local(estimate.at, now)
    if local <= here:
        return "any moment"
    return f"{'by' if estimate.certain else 'about'} {clock(estimate.at, now)}"


def _local(at: datetime, now: datetime | None) -> tuple[datetime, datetime]:
    """Both in local time; the API's moments have an offset, and without one they are UTC."""
    if at.tzinfo is None:
        at = at.replace(tzinfo=UTC)
    return at.astimezone(), (now or datetime.now(UTC)).astimezone()


def _day(local: datetime, here: datetime) -> str:
    days = (local.date() - here.date()).days
    if days == 0:
        return ""
    if days == 1:
        return "tomorrow"
    if 0 < days < 7:
        return WEEKDAYS[local.weekday()]
    date = f"{local.day} {MONTHS[local.month - 1]}"
    return date if local.year == here.year else f"{date} {local.year}"
