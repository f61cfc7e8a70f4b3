"""Lives, warnings and notices in the ledger: what is written comes back, and stays in bounds."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ds01_jupyter.core.clock import Moment
from ds01_jupyter.core.errors import LedgerUnavailable
from ds01_jupyter.core.ledger import Ledger
from ds01_jupyter.core.lifecycle import tables
from ds01_jupyter.core.lifecycle.life import Counters, KeepAlive, Life

NOON = datetime(2026, 3, 28, 12, 0, tzinfo=UTC)
NOW = Moment(NOON, "b", 12345.678)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """An empty ledger."""
    ledger = Ledger(tmp_path / "ledger.sqlite")
    yield ledger
    ledger.close()


@pytest.fixture(scope="module")
def memory() -> Iterator[sqlite3.Connection]:
    """The tables alone."""
    connection = sqlite3.connect(":memory:", check_same_thread=False)
    connection.row_factory = sqlite3.Row
    connection.executescript(tables.LIFECYCLE)
    yield connection
    connection.close()


moments = st.builds(
    Moment,
    st.datetimes(datetime(2020, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC)),
    st.sampled_from(["one", "two"]),
    st.floats(-1e9, 1e9),
)
amounts = st.floats(0, 1e12)
lives = st.builds(
    Life,
    claim_id=st.just("c"),
    made=moments,
    ran=amounts,
    run=st.datetimes(datetime(2020, 1, 1), timezones=st.just(UTC)),
    run_seconds=amounts,
    idle=amounts,
    activity=st.sampled_from([None, "active", "idle", "unknown"]),
    activity_from=st.sampled_from([None, "gpu", "cpu", "keep_alive"]),
    looked=moments,
    counters=st.builds(
        Counters, st.one_of(st.none(), amounts), st.one_of(st.none(), st.integers(0, 2**60))
    ),
    keep=st.one_of(st.none(), st.builds(KeepAlive, moments, st.floats(1, 1e9))),
    stopped=st.one_of(st.none(), moments),
    ending=st.sampled_from([None, "idle_stop", "runtime_stop", "reservation_stop"]),
)


@given(lives)
def test_a_life_comes_back_as_it_was(memory: sqlite3.Connection, life: Life) -> None:
    tables.save_life(memory, life)
    assert tables.life(memory, "c") == life
    never = Life("n", life.made, keep=life.keep)
    tables.save_life(memory, never)
    assert tables.lives(memory) == {"c": life, "n": never}


@pytest.mark.parametrize(
    "wrong",
    [
        {"ran": -1.0},
        {"idle": -1.0},
        {"activity": "busy"},
        {"ending": "removal"},
        {"looked": None},
        {"run": None, "stopped": NOW},
        {"keep": KeepAlive(NOW, 0)},
    ],
    ids=str,
)
def test_the_database_refuses_a_life_that_cannot_be(
    ledger: Ledger, wrong: dict[str, object]
) -> None:
    life = Life("c", NOW, run=NOON, looked=NOW)
    with pytest.raises(LedgerUnavailable), ledger.writing() as connection:
        tables.save_life(connection, replace(life, **wrong))  # type: ignore[arg-type]


def test_warnings_keep_the_moment_of_the_first(ledger: Ledger) -> None:
    later = Moment(NOON + timedelta(minutes=5), "b", 12345.678 + 300)
    with ledger.writing() as connection:
        tables.set_warning(connection, "c", "removal", 1, NOW)
        tables.set_warning(connection, "c", "removal", 2, later)
        tables.set_warning(connection, "d", "removal", 1, later)
        assert tables.warnings(connection) == {
            ("c", "removal"): tables.Warned(2, NOW),
            ("d", "removal"): tables.Warned(1, later),
        }
        tables.set_warning(connection, "c", "removal", 0, later)
        assert list(tables.warnings(connection)) == [("d", "removal")]


def test_lives_go_with_their_containers(ledger: Ledger) -> None:
    with ledger.writing() as connection:
        tables.save_life(connection, Life("gone", NOW))
        tables.set_warning(connection, "gone", "removal", 1, NOW)
        tables.forget_gone(connection)
        assert tables.lives(connection) == {}
        assert tables.warnings(connection) == {}


def tell(ledger: Ledger, uid: int, text: str, *, when: datetime = NOON) -> int:
    with ledger.writing() as connection:
        return tables.add_notice(
            connection, uid, "done", "removal", text, container="c", hint="h", at=NOON, time=when
        )


def told(ledger: Ledger, uid: int, after: int = 0) -> list[str]:
    with ledger.reading() as connection:
        return [row.message for row in tables.notices(connection, uid, after)]


def test_notices_are_ones_own_and_in_order(ledger: Ledger) -> None:
    first = tell(ledger, 1001, "one")
    tell(ledger, 1002, "other")
    second = tell(ledger, 1001, "two")
    assert (told(ledger, 1001), told(ledger, 1001, first)) == (["one", "two"], ["two"])
    assert (told(ledger, 1001, second), told(ledger, 1003)) == ([], [])
    with ledger.reading() as connection:
        [row] = tables.notices(connection, 1002)
    assert (row.container, row.hint, row.at, row.time) == ("c", "h", NOON, NOON)


def test_nobodys_uid_is_told_nothing(ledger: Ledger) -> None:
    assert tell(ledger, -1, "maintenance") == 0
    assert told(ledger, -1) == []


def test_notices_are_bounded_for_each_person(ledger: Ledger) -> None:
    with ledger.writing() as connection:
        for number in range(tables.KEPT_NOTICES + 20):
            tables.add_notice(connection, 1, "done", "x", str(number))
        tables.add_notice(connection, 2, "done", "x", "theirs")
    assert told(ledger, 1) == [str(number) for number in range(20, tables.KEPT_NOTICES + 20)]
    assert told(ledger, 2) == ["theirs"]


def test_a_number_is_never_used_again(ledger: Ledger) -> None:
    """Who asks for what came after a notice gets it, whatever was dropped meanwhile."""
    last = tell(ledger, 1, "old", when=NOON - timedelta(days=31))
    with ledger.writing() as connection:
        tables.forget_notices(connection, NOW)
    assert told(ledger, 1) == []
    assert tell(ledger, 1, "new") > last


def test_old_notices_go_so_that_nothing_is_left_of_who_has_left(ledger: Ledger) -> None:
    tell(ledger, 1, "old", when=NOON - timedelta(days=30, minutes=1))
    tell(ledger, 1, "young", when=NOON - timedelta(days=29))
    with ledger.writing() as connection:
        tables.forget_notices(connection, NOW)
    assert told(ledger, 1) == ["young"]
