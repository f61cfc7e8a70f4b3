"""What the database keeps of the queue, and what it refuses."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from ds01_jupyter.core.clock import Moment
from ds01_jupyter.core.errors import LedgerUnavailable
from ds01_jupyter.core.ledger import Ledger
from ds01_jupyter.core.processes import boot_id, process_identity
from ds01_jupyter.core.waiting import tables
from ds01_jupyter.core.waiting.tables import Entry
from tests.unit.waiting_kit import NOON

NOW = Moment(NOON, boot_id(), 5_000.0)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    found = Ledger(tmp_path / "ledger.sqlite")
    yield found
    found.close()


def join(ledger: Ledger, name: str = "box", uid: int = 1, now: Moment = NOW) -> int:
    with ledger.writing() as connection:
        return tables.insert(
            connection,
            host="here",
            uid=uid,
            owner=f"u{uid}",
            name=name,
            gpu="any",
            gpus=1,
            request="{}",
            priority=50,
            now=now,
        )


def get(ledger: Ledger, number: int) -> Entry:
    with ledger.reading() as connection:
        found = tables.get(connection, "here", number)
    assert found is not None
    return found


def test_a_place_is_served_once(ledger: Ledger) -> None:
    number = join(ledger)
    with ledger.writing() as connection:
        assert tables.begin(connection, number, "claim", "op")
        assert not tables.begin(connection, number, "other", "op2")
    served = get(ledger, number)
    assert (served.state, served.claim_id, served.operation) == ("starting", "claim", "op")
    assert served.server == process_identity()


def test_it_goes_back_to_its_old_place(ledger: Ledger) -> None:
    number = join(ledger)
    before = get(ledger, number)
    with ledger.writing() as connection:
        tables.begin(connection, number, "claim", "op")
        assert not tables.back(connection, number, "another operation")
        assert tables.back(connection, number, "op", died=True)
    assert get(ledger, number) == replace(before, tries=1)


def test_with_a_problem_it_goes_back_asleep(ledger: Ledger) -> None:
    number = join(ledger)
    with ledger.writing() as connection:
        tables.begin(connection, number, "claim", "op")
        tables.back(connection, number, "op", problem="Docker does not answer.")
    found = get(ledger, number)
    assert (found.seen, found.problem) == (None, "Docker does not answer.")
    assert found.asleep(NOW)


def test_it_ends_once_and_by_whom_it_may(ledger: Ledger) -> None:
    number = join(ledger)
    with ledger.writing() as connection:
        assert not tables.end(connection, number, "done", NOW, operation="op")
        tables.begin(connection, number, "claim", "op")
        assert not tables.end(connection, number, "cancelled", NOW)
        assert tables.end(connection, number, "done", NOW, operation="op")
        assert not tables.end(connection, number, "done", NOW, operation="op")
        assert tables.active(connection, "here") == []
    assert get(ledger, number).finished == NOON


@pytest.mark.parametrize(
    "change",
    [
        "state = 'starting'",
        "state = 'done'",
        "state = 'failed', finished = '2026'",
        "claim_id = 'x'",
        "state = 'running'",
        "priority = 100",
        "created = '2020'",
        "boot_seconds = 0.0",
        "uid = 2",
    ],
)
def test_what_cannot_be_is_refused(ledger: Ledger, change: str) -> None:
    number = join(ledger)
    with pytest.raises(LedgerUnavailable), ledger.writing() as connection:
        connection.execute(f"UPDATE waiting SET {change} WHERE id = ?", (number,))
    assert get(ledger, number).state == "waiting"


def test_what_has_ended_never_waits_again(ledger: Ledger) -> None:
    number = join(ledger)
    with ledger.writing() as connection:
        tables.end(connection, number, "cancelled", NOW)
    with (
        pytest.raises(LedgerUnavailable, match="never waits again"),
        ledger.writing() as connection,
    ):
        connection.execute("UPDATE waiting SET state = 'waiting', finished = NULL")


def test_one_name_waits_once_for_each_person(ledger: Ledger) -> None:
    join(ledger)
    join(ledger, uid=2)
    with pytest.raises(LedgerUnavailable, match="UNIQUE"):
        join(ledger)


def test_the_past_is_bounded_for_each_person(ledger: Ledger) -> None:
    numbers = []
    for index in range(tables.KEPT_ENDED + 5):
        numbers.append(join(ledger, f"box{index}"))
        with ledger.writing() as connection:
            moment = replace(NOW, wall=NOON + timedelta(minutes=index))
            tables.end(connection, numbers[-1], "cancelled", moment)
    other = join(ledger, uid=2)
    with ledger.reading() as connection:
        kept = tables.ended(connection, "here", 1, 1000)
        assert [entry.id for entry in kept] == numbers[:4:-1]
        assert [entry.id for entry in tables.active(connection, "here")] == [other]


def test_other_hosts_are_not_ours(ledger: Ledger) -> None:
    number = join(ledger)
    with ledger.reading() as connection:
        assert tables.active(connection, "there") == []
        assert tables.get(connection, "there", number) is None
        assert not tables.anybody(connection, "there")
        assert tables.anybody(connection, "here")


@pytest.mark.parametrize(
    ("change", "asleep"),
    [
        ({}, False),
        ({"seen": NOW.boot_seconds - tables.SILENT_SECONDS - 1}, True),
        ({"seen": None}, True),
        ({"server": replace(process_identity(), start_ticks=1)}, True),
        ({"server": replace(process_identity(), boot_id="before")}, True),
    ],
)
def test_asleep_is_whose_server_cannot_make_it_now(
    ledger: Ledger, change: dict[str, object], asleep: bool
) -> None:
    found = replace(get(ledger, join(ledger)), **change)  # type: ignore[arg-type]
    assert found.asleep(NOW) is asleep


def test_a_server_that_attends_takes_it_up(ledger: Ledger) -> None:
    number = join(ledger)
    with ledger.writing() as connection:
        connection.execute("UPDATE waiting SET start_ticks = 1")
        tables.attend(connection, number, replace(NOW, boot_seconds=6_000.0))
    found = get(ledger, number)
    assert (found.server, found.seen) == (process_identity(), 6_000.0)
    with ledger.writing() as connection:
        tables.attend(connection, number, NOW, "no image")
    assert (get(ledger, number).seen, get(ledger, number).problem) == (None, "no image")


def test_looking_whether_anybody_waits_reads_an_index(ledger: Ledger) -> None:
    join(ledger)
    seen: list[str] = []
    with ledger.reading() as connection:
        connection.set_trace_callback(seen.append)
        tables.anybody(connection, "here")
        connection.set_trace_callback(None)
        rows = connection.execute(f"EXPLAIN QUERY PLAN {seen[0]}").fetchall()
    assert all("USING INDEX one_wait_a_name" in row["detail"] for row in rows), [*map(tuple, rows)]


def test_rows_are_read_whole(ledger: Ledger) -> None:
    found = get(ledger, join(ledger))
    assert found.since == NOW
    assert sqlite3.sqlite_version_info >= (3, 37), "STRICT tables"
