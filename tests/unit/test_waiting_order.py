"""Points and places: priority, fair share with decay, and time that lets nobody starve."""

from __future__ import annotations

import math
import sqlite3
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ds01_jupyter.core.clock import Moment
from ds01_jupyter.core.ledger import Ledger
from ds01_jupyter.core.processes import process_identity
from ds01_jupyter.core.waiting import fair_share
from ds01_jupyter.core.waiting.order import WAITING_POINTS, Ranking
from ds01_jupyter.core.waiting.tables import Entry
from tests.unit.waiting_kit import HOUR, NOON

NOW = Moment(NOON, "boot", 1_000_000.0)
WEEK = timedelta(days=7)


def entry(number: int, priority: int = 50, hours: float = 0.0, uid: int | None = None) -> Entry:
    """A place of somebody who has waited for so many hours."""
    return Entry(
        id=number,
        uid=1000 + number if uid is None else uid,
        owner="x",
        name=f"box{number}",
        gpu="any",
        gpus=1,
        request="{}",
        priority=priority,
        state="waiting",
        created=NOON - hours * HOUR,
        boot_id="boot",
        boot_seconds=NOW.boot_seconds - hours * 3600,
        finished=None,
        claim_id=None,
        operation=None,
        problem=None,
        tries=0,
        server=process_identity(),
        seen=None,
    )


def ranking(**used: float) -> Ranking:
    return Ranking(NOW, {int(uid[1:]): hours for uid, hours in used.items()}, 10.0)


# ---- fair share --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("share", "start", "end", "expected"),
    [
        (1.0, HOUR, timedelta(0), 1.0),
        (0.5, HOUR, timedelta(0), 0.5),
        (1.0, WEEK + HOUR, WEEK, 0.5),
        (1.0, 2 * WEEK + HOUR, 2 * WEEK, 0.25),
        (3 / 7, WEEK + 7 * HOUR, WEEK, 1.5),
    ],
)
def test_an_hour_counts_as_an_hour_and_half_a_week_later(
    share: float, start: timedelta, end: timedelta, expected: float
) -> None:
    had = fair_share.decayed(share, NOON - start, NOON - end, NOON)
    assert had == pytest.approx(expected, rel=0.025)


@given(
    share=st.floats(0.01, 1.0),
    ago=st.floats(0, 2000),
    lasted=st.floats(0.001, 2000),
)
def test_the_integral_is_exact(share: float, ago: float, lasted: float) -> None:
    end = NOON - ago * HOUR
    start = end - lasted * HOUR
    life = WEEK / HOUR
    steps = 2000
    width = lasted / steps
    summed = sum(
        share * 2 ** (-(ago + (number + 0.5) * width) / life) * width for number in range(steps)
    )
    assert fair_share.decayed(share, start, end, NOON) == pytest.approx(summed, rel=1e-4, abs=1e-9)


@given(st.floats(0, 500), st.floats(0, 500), st.floats(0, 500))
def test_use_adds_up_however_it_was_cut(first: float, second: float, ago: float) -> None:
    end = NOON - ago * HOUR
    middle = end - second * HOUR
    start = middle - first * HOUR
    parts = fair_share.decayed(1.0, start, middle, NOON) + fair_share.decayed(
        1.0, middle, end, NOON
    )
    assert fair_share.decayed(1.0, start, end, NOON) == pytest.approx(parts, rel=1e-6, abs=1e-6)


def test_a_clock_that_was_set_gives_nobody_anything() -> None:
    assert fair_share.decayed(1.0, NOON + HOUR, NOON + 2 * HOUR, NOON) == 0.0
    assert fair_share.decayed(1.0, NOON, NOON - HOUR, NOON) == 0.0
    assert fair_share.decayed(1.0, NOON - HOUR, NOON + 9 * HOUR, NOON) == pytest.approx(1, rel=0.01)


def test_fair_is_the_mean_of_those_whom_it_concerns() -> None:
    assert fair_share.fair({1: 30.0, 2: 10.0}) == 20.0
    assert fair_share.fair({1: 30.0, 2: 10.0}, {2, 3}) == pytest.approx(40 / 3)
    assert fair_share.fair({1: 30.0, 2: 0.001}) == pytest.approx(30.001)
    assert fair_share.fair({}) == 1.0
    assert fair_share.fair({1: 0.2}) == 1.0, "minutes make no difference between people"


def test_points_of_a_fair_share() -> None:
    assert fair_share.points(0, 20) == 50
    assert fair_share.points(20, 20) == 25
    assert fair_share.points(40, 20) == 12.5
    assert fair_share.points(1e9, 20) == 0.0


def test_use_is_read_from_the_leases_by_an_index(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.sqlite")
    with ledger.writing() as connection:
        _lease(connection, 1, 1.0, NOON - 10 * HOUR, NOON - 8 * HOUR, "released")
        _lease(connection, 1, 0.5, NOON - 4 * HOUR, NOON - 3 * HOUR, "active")
        _lease(connection, 2, 1.0, NOON - 100 * WEEK, NOON - 99 * WEEK, "released")
    with ledger.reading() as connection:
        found = fair_share.usage(connection, NOON)
        plan = connection.execute(f"EXPLAIN QUERY PLAN {fair_share.USED}", ("2026",)).fetchall()
    ledger.close()
    assert found == {1: pytest.approx(2 + 2, rel=0.05)}
    assert "SCAN leases" not in [row["detail"] for row in plan]


def _lease(
    connection: sqlite3.Connection,
    uid: int,
    share: float,
    created: object,
    since: object,
    state: str,
) -> None:
    number = connection.execute("SELECT count(*) FROM leases").fetchone()[0]
    if state != "released":
        connection.execute(
            "INSERT INTO containers VALUES ('c', 'f', 'n', ?, 'o', NULL, 'pending', 1, 1, 'b', 1,"
            " '2026', 1.0, '{}')",
            (uid,),
        )
    connection.execute(
        "INSERT INTO leases (claim_id, full_name, name, uid, owner, priority, host, slot_uuid,"
        " slot, kind, profile, gpu_uuid, gpu_index, share, state, created, since, boot_id,"
        " boot_seconds) VALUES ('c', 'f', 'n', ?, 'o', 1, 'h', ?, 's', 'mig', 'p', 'g', 0, ?, ?, ?,"
        " ?, 'b', 1.0)",
        (uid, f"uuid{number}", share, state, created.isoformat(), since.isoformat()),  # type: ignore[attr-defined]
    )


# ---- places ------------------------------------------------------------------------------------


def test_more_points_come_first_and_of_equals_who_came_first() -> None:
    places = [entry(1), entry(2, priority=60), entry(3), entry(4, hours=1), entry(5, uid=1)]
    order = ranking(u1=100.0).order(places)
    assert [each.id for each in order] == [2, 4, 1, 3, 5]


def test_who_waits_gains_six_points_an_hour() -> None:
    assert ranking().of(entry(1, hours=10)).waiting == pytest.approx(10 * WAITING_POINTS)
    assert ranking().of(entry(1, hours=10)).total == pytest.approx(50 + 50 + 60)


def test_a_reboot_or_a_clock_that_was_set_takes_no_time_away() -> None:
    place = entry(1, hours=10)
    rebooted = Moment(NOON, "another boot", 5.0)
    assert Ranking(rebooted, {}, 1.0).of(place).waiting == pytest.approx(60)
    set_back = Moment(NOON - 100 * HOUR, "boot", NOW.boot_seconds)
    assert Ranking(set_back, {}, 1.0).of(place).waiting == pytest.approx(60)


def test_who_comes_now_stands_behind_equals() -> None:
    places = [entry(1), entry(2, priority=10)]
    points = ranking().points(9, 50)
    assert [each.id for each in ranking().ahead_of(points, places)] == [1]


@given(st.floats(0, 100), st.floats(0, 1e6))
def test_nobody_who_comes_can_pass_whoever_has_waited_long_enough(
    priority: float, used: float
) -> None:
    """The most that anybody can have on arrival is 150; the least who waits passes that in 25 h."""
    best = ranking().points(9, 100)
    waited = entry(1, priority=int(priority), hours=25.1, uid=7)
    assert Ranking(NOW, {7: used}, 10.0).of(waited).total > best.total


@given(st.lists(st.tuples(st.integers(0, 100), st.floats(0, 200)), min_size=2, max_size=8))
def test_no_priority_is_inverted(people: list[tuple[int, float]]) -> None:
    """Of two with the same use, who has the higher priority and has not waited less is first."""
    places = [entry(i, priority, hours) for i, (priority, hours) in enumerate(people, 1)]
    order = {each.id: place for place, each in enumerate(ranking().order(places))}
    for one in places:
        for other in places:
            waited = NOW.since(one.since) >= NOW.since(other.since)
            if one.priority > other.priority and waited:
                assert order[one.id] < order[other.id]


def test_the_document_is_rounded_and_adds_up() -> None:
    shown = ranking(u1001=3.0).of(entry(1, hours=1 / 3)).document()
    assert shown.priority == 50.0
    assert shown.fair_share == pytest.approx(50 * 2**-0.3, abs=0.05)
    assert shown.waiting == 2.0
    assert math.isclose(shown.total, 50 + 50 * 2**-0.3 + 2, abs_tol=0.06)
