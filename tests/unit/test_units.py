"""Sizes and durations as people write them."""

from __future__ import annotations

from datetime import timedelta
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ds01_jupyter.core.units import (
    format_duration,
    format_size,
    parse_duration,
    parse_share,
    parse_size,
)

GIB = 1024**3


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("32g", 32 * GIB),
        ("32G", 32 * GIB),
        ("32GB", 32 * GIB),
        ("32GiB", 32 * GIB),
        ("32 gib", 32 * GIB),
        ("1.5g", 3 * GIB // 2),
        ("512m", 512 * 1024**2),
        ("64k", 65536),
        ("1t", 1024 * GIB),
        ("1024", 1024),
        ("1024b", 1024),
        ("0.1g", 107374182),
    ],
)
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "text",
    [
        *("", "g", "3x", "-1g", "1,5g", "1e3", "0x10", "32 g b", "1..5g", "\u0663g", "9999999p"),
        *("nan", "inf", "32gg", "32i", "9" * 30, "1" * 50),
    ],
)
def test_sizes_that_are_none(text: str) -> None:
    with pytest.raises(ValueError, match="size"):
        parse_size(text)


@settings(deadline=None)
@given(st.integers(0, 2**63 - 1))
def test_the_written_form_of_a_size_is_read_back(size: int) -> None:
    assert parse_size(format_size(size).replace(" bytes", "b")) == size


@pytest.mark.parametrize(
    ("text", "duration"),
    [
        ("48h", timedelta(hours=48)),
        ("0.5h", timedelta(minutes=30)),
        ("30m", timedelta(minutes=30)),
        ("90s", timedelta(seconds=90)),
        ("2d", timedelta(days=2)),
        ("2 d", timedelta(days=2)),
        ("0h", timedelta(0)),
        ("0", timedelta(0)),
        ("1h30m", timedelta(minutes=90)),
        ("1d 12h", timedelta(hours=36)),
        ("1d2h3m4s", timedelta(days=1, hours=2, minutes=3, seconds=4)),
        ("1.5h30m", timedelta(hours=2)),
        ("3650d", timedelta(days=3650)),
    ],
)
def test_durations(text: str, duration: timedelta) -> None:
    assert parse_duration(text) == duration


@pytest.mark.parametrize(
    "text",
    [
        *("", "48", "0.5", "00", "h", "-1h", "1w", "48H", "3651d", "9" * 39, "1h 30", "30m1h"),
        *("1h1h", "1 h 30", "1hm", ".5h", "5.h", "\u0663h", "1h\n30m", "1e3s", "h30m"),
    ],
)
def test_durations_that_are_none(text: str) -> None:
    with pytest.raises(ValueError, match=r"duration|longer"):
        parse_duration(text)


@settings(deadline=None)
@given(st.integers(0, 3650 * 86400))
def test_the_written_form_of_a_duration_is_read_back(seconds: int) -> None:
    duration = timedelta(seconds=seconds)
    assert parse_duration(format_duration(duration)) == duration


def test_f13_half_an_hour_is_not_five() -> None:
    assert parse_duration("0.5h") == timedelta(minutes=30)
    assert parse_duration("05h") == timedelta(hours=5)


@pytest.mark.parametrize(("text", "share"), [("3/7", (3, 7)), ("1 / 4", (1, 4)), ("14/7", (2, 1))])
def test_shares(text: str, share: tuple[int, int]) -> None:
    assert parse_share(text) == Fraction(*share)


@pytest.mark.parametrize("text", ["1/0", "/7", "1/", "-1/7", "1/7/7", "1.5/7", "1", "\u0661/7"])
def test_shares_that_are_none(text: str) -> None:
    with pytest.raises(ValueError, match="such as"):
        parse_share(text)
