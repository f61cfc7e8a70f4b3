"""Moments as people type them: `2026-12-01 09:00`, `tomorrow 9:00`, `fri 18:00`, `+8h`, `now`.

What has no offset is the person's local time (TZ, else the machine's). A time that the clock skips
or shows twice when summer time begins or ends is refused, not guessed.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta

from ds01_jupyter.commands.parser import UsageProblem
from ds01_jupyter.core.units import parse_duration

FORMS = 'Such as "2026-12-01 09:00", "tomorrow 9:00", "fri 18:00", "18:00", "+8h" or "now".'
DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")

_CLOCK = re.compile(r"([01]?[0-9]|2[0-4])(?::([0-5][0-9]))?(?::([0-5][0-9]))?", re.ASCII)
_STAMP = re.compile(
    r"([0-9]{4}-[0-9]{1,2}-[0-9]{1,2})(?:[T ]([0-9:]+))?(?:\.[0-9]+)? ?(Z|[+-][0-9]{2}:?[0-9]{2})?",
    re.ASCII | re.IGNORECASE,
)


def parse_when(
    text: str,
    option: str,
    *,
    after: datetime | None = None,
    whole_day: bool = False,
    now: datetime | None = None,
) -> datetime:
    """The moment that is meant, in UTC.

    A time of day alone is the next such time from `after` (absent: now) on. A day alone is its
    beginning, or with `whole_day` its end. Raises `UsageProblem`, naming the `option`.
    """
    here = (now or datetime.now(UTC)).astimezone()
    word = " ".join(text.replace(",", " ").split())
    low = word.lower()
    if low == "now":
        return here.astimezone(UTC)
    if low.startswith(("+", "in ")):
        return _ahead(low, option, here)
    if match := _STAMP.fullmatch(word):
        return _stamp(match, text, option, whole_day=whole_day)
    first, _, rest = low.partition(" ")
    day = _day(first, here.date())
    if day is not None:
        if not rest:
            return _local(day + timedelta(days=whole_day), time(), option)
        return _at(day, rest, text, option)
    if _CLOCK.fullmatch(low) and ":" in low:
        return _next(low, text, option, (after or here).astimezone())
    raise UsageProblem(f"{option} cannot be {text!r}: it is no moment.", hint=FORMS)


def _ahead(low: str, option: str, here: datetime) -> datetime:
    word = low.removeprefix("+").removeprefix("in ").strip()
    try:
        return (here + parse_duration(word)).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise UsageProblem(f"{option} cannot be {low!r}: {error}.", hint=FORMS) from error


def _stamp(match: re.Match[str], text: str, option: str, *, whole_day: bool) -> datetime:
    try:
        year, month, number = (int(part) for part in match[1].split("-"))
        day = date(year, month, number)
    except ValueError as error:
        raise UsageProblem(
            f"{option} cannot be {text!r}: there is no such day.", hint=FORMS
        ) from error
    if match[3] is None:
        if match[2] is None:
            return _local(day + timedelta(days=whole_day), time(), option)
        return _at(day, match[2], text, option)
    if match[2] is None:
        raise UsageProblem(
            f"{option} cannot be {text!r}: it has an offset, but no time.", hint=FORMS
        )
    days, clock = _clock(match[2], text, option)
    zone = datetime.fromisoformat(f"2000-01-01T00:00:00{match[3].upper()}").tzinfo
    return datetime.combine(day + timedelta(days=days), clock, zone).astimezone(UTC)


def _day(word: str, today: date) -> date | None:
    if word in ("today", "tomorrow"):
        return today + timedelta(days=word == "tomorrow")
    if len(word) >= 3:
        for number, name in enumerate(DAYS):
            if name.startswith(word):
                # The next one: whoever means today says so.
                return today + timedelta(days=(number - today.weekday() - 1) % 7 + 1)
    return None


def _at(day: date, word: str, text: str, option: str) -> datetime:
    days, clock = _clock(word.removeprefix("at ").strip(), text, option)
    return _local(day + timedelta(days=days), clock, option)


def _next(word: str, text: str, option: str, after: datetime) -> datetime:
    days, clock = _clock(word, text, option)
    today = after.date() + timedelta(days=days)
    found = _local(today, clock, option)
    return found if found > after else _local(today + timedelta(days=1), clock, option)


def _clock(word: str, text: str, option: str) -> tuple[int, time]:
    """Days to add (24:00 is the next day's beginning) and the time of day."""
    match = _CLOCK.fullmatch(word)
    if match is None or (
        match[1] == "24" and any(part not in (None, "00") for part in match.groups()[1:])
    ):
        raise UsageProblem(f"{option} cannot be {text!r}: {word!r} is no time of day.", hint=FORMS)
    hour, minute, second = (int(part or 0) for part in match.groups())
    return (1, time()) if hour == 24 else (0, time(hour, minute, second))


def _local(day: date, clock: time, option: str) -> datetime:
    """A local time as a moment; refused where the clocks skip it or show it twice."""
    plain = datetime.combine(day, clock)
    try:
        first, second = plain.astimezone(), plain.replace(fold=1).astimezone()
    except (OverflowError, OSError, ValueError) as error:
        raise UsageProblem(
            f"{option} cannot be {plain}: that is too far away.", hint=FORMS
        ) from error
    if first.utcoffset() != second.utcoffset():
        shown = f"{plain:%Y-%m-%d %H:%M}"
        if first.replace(tzinfo=None) != plain:
            raise UsageProblem(
                f"{option}: there is no {shown} here; the clocks go forward then.",
                hint="Give a time before or after it.",
            )
        offsets = " or ".join(f"{shown}{each:%z}" for each in (first, second))
        raise UsageProblem(
            f"{option}: {shown} is there twice; the clocks go back then.",
            hint=f"Say which one: {offsets}.",
        )
    return first.astimezone(UTC)
