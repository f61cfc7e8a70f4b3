"""Moments as people type them, in a place where the clocks change."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from ds01_jupyter.commands.parser import UsageProblem
from ds01_jupyter.commands.when import parse_when

NOW = datetime(2026, 11, 23, 14, 30, 15, tzinfo=UTC)
"""A Monday, 15:30 in Berlin."""


@pytest.fixture(autouse=True)
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def utc(text: str) -> datetime:
    return datetime.fromisoformat(f"{text}+00:00")


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("now", "2026-11-23 14:30:15"),
        ("NOW", "2026-11-23 14:30:15"),
        ("2026-12-01 09:00", "2026-12-01 08:00"),
        ("2026-12-01T09:00", "2026-12-01 08:00"),
        ("2026-12-1 9:00", "2026-12-01 08:00"),
        ("2026-07-01 09:00", "2026-07-01 07:00"),
        ("2026-12-01 09:00:30", "2026-12-01 08:00:30"),
        ("2026-12-01", "2026-11-30 23:00"),
        ("2026-12-01 24:00", "2026-12-01 23:00"),
        ("2026-12-01T09:00Z", "2026-12-01 09:00"),
        ("2026-12-01 09:00z", "2026-12-01 09:00"),
        ("2026-12-01T09:00:00+05:30", "2026-12-01 03:30"),
        ("2026-12-01 09:00 -0800", "2026-12-01 17:00"),
        ("today 18:00", "2026-11-23 17:00"),
        ("tomorrow 9:00", "2026-11-24 08:00"),
        ("tomorrow  at 9", "2026-11-24 08:00"),
        ("Tomorrow", "2026-11-23 23:00"),
        ("fri 18:00", "2026-11-27 17:00"),
        ("friday 18", "2026-11-27 17:00"),
        ("mon 9:00", "2026-11-30 08:00"),
        ("18:00", "2026-11-23 17:00"),
        ("9:00", "2026-11-24 08:00"),
        ("+8h", "2026-11-23 22:30:15"),
        ("in 1h30m", "2026-11-23 16:00:15"),
        # the same instant in both, an hour apart on the clock
        ("2026-10-25 01:30", "2026-10-24 23:30"),
        ("2026-10-25 03:30", "2026-10-25 02:30"),
        ("2026-10-25 02:30+02:00", "2026-10-25 00:30"),
        ("2026-10-25 02:30+01:00", "2026-10-25 01:30"),
    ],
)
def test_moments(text: str, moment: str) -> None:
    assert parse_when(text, "--from", now=NOW) == utc(moment)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-12-01", "2026-12-01 23:00"),
        ("tomorrow", "2026-11-24 23:00"),
        ("2026-12-01 18:00", "2026-12-01 17:00"),
        ("18:00", "2026-12-01 17:00"),
        ("9:00", "2026-12-02 08:00"),
    ],
)
def test_an_end_is_that_of_the_day_and_after_the_start(text: str, moment: str) -> None:
    start = utc("2026-12-01 09:00")
    found = parse_when(text, "--to", after=start, whole_day=True, now=NOW)
    assert found == utc(moment)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "it is no moment"),
        ("soon", "it is no moment"),
        ("18", "it is no moment"),
        ("tomorrow 25:00", "'25:00' is no time of day"),
        ("tomorrow 24:30", "'24:30' is no time of day"),
        ("2026-13-01 09:00", "no such day"),
        ("2026-02-30", "no such day"),
        ("2026-12-01 9:61", "no time of day"),
        ("2026-12-01+01:00", "it has an offset, but no time"),
        ("+8", "a duration is a number with"),
        ("1.12.2026 9:00", "it is no moment"),
        ("fr 9:00", "it is no moment"),
    ],
)
def test_what_is_no_moment_is_said(text: str, says: str) -> None:
    with pytest.raises(UsageProblem, match="--from") as error:
        parse_when(text, "--from", now=NOW)
    assert says in error.value.message
    assert error.value.hint


def test_a_time_that_the_clocks_skip_is_refused() -> None:
    with pytest.raises(UsageProblem, match="there is no 2026-03-29 02:30 here"):
        parse_when("2026-03-29 02:30", "--from", now=NOW)
    assert parse_when("2026-03-29 01:59", "--from", now=NOW) == utc("2026-03-29 00:59")
    assert parse_when("2026-03-29 03:00", "--from", now=NOW) == utc("2026-03-29 01:00")


def test_a_time_that_comes_twice_is_asked_about() -> None:
    with pytest.raises(UsageProblem, match="is there twice") as error:
        parse_when("2026-10-25 02:30", "--from", now=NOW)
    assert "2026-10-25 02:30+0200 or 2026-10-25 02:30+0100" in error.value.hint


def test_what_the_hint_offers_is_understood() -> None:
    assert parse_when("2026-10-25 02:30+0100", "--from", now=NOW) == utc("2026-10-25 01:30")
