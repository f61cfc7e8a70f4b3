"""Nobody starves: whatever comes, everybody who waits is served in finite time."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ds01_jupyter.core.waiting.assign import Waiter
from ds01_jupyter.core.waiting.order import WAITING_POINTS
from tests.unit.waiting_kit import HOUR, NOON, slot, waiter
from tests.unit.waiting_reality import Reality

SEVEN = [slot(f"0:{index}") for index in range(7)]
LONGEST = 4.0
PASSES_ALL = 150 / WAITING_POINTS
"""Hours after which nobody who comes can have more points."""


class Ledger:
    """Who came when, and so the order of the queue, fair shares at their worst."""

    def __init__(self) -> None:
        self.came: dict[int, datetime] = {}
        self.fair: dict[int, float] = {}

    def order(self, waiting: Sequence[Waiter], now: datetime) -> list[Waiter]:
        return sorted(waiting, key=lambda who: (-self.points(who, now), who.key))

    def points(self, who: Waiter, now: datetime) -> float:
        waited = (now - self.came[who.key]) / HOUR
        return who.limits.values.priority + self.fair.get(who.key, 0) + WAITING_POINTS * waited


def arrive(book: Ledger, who: Waiter, hours: float, fair: float = 50.0) -> tuple[datetime, Waiter]:
    book.came[who.key] = NOON + hours * HOUR
    book.fair[who.key] = fair
    return book.came[who.key], who


def play(book: Ledger, people: list[tuple[datetime, Waiter]], days: int = 60) -> Reality:
    reality = Reality(
        SEVEN, lambda who, now: who.until(now) or now + timedelta(days=999), book.order
    )
    arrivals: dict[datetime, list[Waiter]] = {}
    for at, who in people:
        arrivals.setdefault(at, []).append(who)
    reality.play(arrivals, NOON + timedelta(days=days))
    return reality


def test_b37_a_stream_of_important_people_cannot_starve_one_who_wants_everything() -> None:
    book = Ledger()
    people = [
        arrive(book, waiter(key, "1g.5gb", hours=LONGEST, priority=100), key * 0.58)
        for key in range(1, 400)
    ]
    people.append(arrive(book, waiter(1000, "1g.5gb", 7, hours=1, priority=0), 2.1, fair=0))
    reality = play(book, people)
    waited = (reality.started[1000] - book.came[1000]) / HOUR
    assert waited <= PASSES_ALL + 2 * LONGEST
    assert waited > 20, "there was a stream to starve it"


def test_several_big_ones_are_served_one_after_the_other() -> None:
    book = Ledger()
    people = [arrive(book, waiter(key, "1g.5gb", 7, hours=1), 0.1 * key) for key in range(1, 6)]
    people += [
        arrive(book, waiter(key, "1g.5gb", hours=LONGEST), key * 0.1) for key in range(100, 200)
    ]
    reality = play(book, people)
    starts = [reality.started[key] for key in range(1, 6)]
    assert starts == sorted(starts)
    assert len(reality.started) == len(people)


comers = st.lists(
    st.tuples(
        st.sampled_from([0.0, 0.1, 0.5, 1.0, 3.0, 10.0]),  # hours since the one before
        st.integers(1, 7),
        st.integers(0, 100),
        st.floats(0, 50),
        st.floats(0.1, LONGEST),
        st.integers(1, 4),
    ),
    min_size=1,
    max_size=40,
)


@settings(max_examples=60, deadline=None)
@given(comers, st.floats(0.01, 1.0))
def test_everybody_is_served_in_bounded_time(
    drawn: list[tuple[float, int, int, float, float, int]], part: float
) -> None:
    """Whoever comes, and even if they stay for a part of their time only."""
    book, at = Ledger(), 0.0
    people = []
    for key, (gap, count, priority, fair, hours, uid) in enumerate(drawn, 1):
        at += gap
        who = waiter(key, "1g.5gb", count, uid=uid, hours=hours, priority=priority)
        people.append(arrive(book, who, at, fair))
    reality = Reality(
        SEVEN,
        lambda who, now: now + part * (who.until(now) - now),  # type: ignore[operator]
        book.order,
    )
    arrivals: dict[datetime, list[Waiter]] = {}
    for when, who in people:
        arrivals.setdefault(when, []).append(who)
    reality.play(arrivals, NOON + timedelta(days=365))
    assert set(reality.started) == {who.key for _, who in people}
    assert reality.waiting == []
    for when, who in people:
        others = [other for at, other in people if other is not who]
        # Before somebody come only those who came before nobody could pass any more, each once.
        rounds = sum(1 for other in others if (book.came[other.key] - when) / HOUR <= PASSES_ALL)
        assert (reality.started[who.key] - when) / HOUR <= PASSES_ALL + LONGEST * (rounds + 1)


@pytest.mark.parametrize("hours", [1.0, LONGEST])
def test_who_could_be_served_is_never_passed_by_one_behind(hours: float) -> None:
    """At every moment: a slot that the first in order wants and may have goes to nobody else."""
    book = Ledger()
    first = arrive(book, waiter(1, "1g.5gb", hours=hours), 0.0)
    crowd = [arrive(book, waiter(key, "1g.5gb", hours=hours), 0.01 * key) for key in range(2, 30)]
    reality = play(book, [first, *crowd])
    order = sorted(reality.started, key=lambda key: reality.started[key])
    assert order == sorted(order, key=lambda key: book.came[key])
