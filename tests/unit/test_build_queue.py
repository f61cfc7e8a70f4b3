"""Turns at building: on one ledger, by several servers, with people taking turns."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from ds01_jupyter.core import build_queue_table as table
from ds01_jupyter.core.build_queue import MAX_WAITING, BuildQueue
from ds01_jupyter.core.engine import Amount, Silent
from ds01_jupyter.core.errors import Cancelled, LimitReached
from ds01_jupyter.core.identity import Person
from ds01_jupyter.core.ledger import Ledger
from ds01_jupyter.core.models import Operation
from ds01_jupyter.core.operations import Operations
from ds01_jupyter.core.processes import process_identity

ME = process_identity()


def person(uid: int) -> Person:
    return Person(f"u{uid}", uid, uid, Path("/nowhere"))


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    found = Ledger(tmp_path / "ledger.sqlite")
    yield found
    found.close()


def turn(ticket: int, uid: int, *, building: bool = False) -> table.Turn:
    return table.Turn(ticket, uid, building, ME)


def test_people_take_turns_however_many_one_asks_for() -> None:
    asked = [turn(1, 7), turn(2, 7), turn(3, 7), turn(4, 8), turn(5, 9), turn(6, 8)]
    assert [one.ticket for one in table.order(asked, {})] == [1, 4, 5, 2, 6, 3]


def test_who_builds_already_comes_after_those_who_do_not() -> None:
    asked = [turn(1, 7, building=True), turn(2, 7), turn(3, 8), turn(4, 8)]
    assert [one.ticket for one in table.order(asked, {})] == [3, 2, 4]


def test_who_had_no_turn_for_longest_is_next() -> None:
    asked = [turn(1, 7), turn(2, 8), turn(3, 9)]
    assert [one.ticket for one in table.order(asked, {7: 2, 8: 1})] == [3, 2, 1]


class Heard(Silent):
    """Tells when it was told its place."""

    def __init__(self) -> None:
        super().__init__()
        self.places: list[tuple[int | None, int | None, str]] = []
        self.told = threading.Event()
        self._amount = Amount()

    def measure(self, amount: Amount) -> None:
        self._amount = amount

    def step(self, phase: str, fraction: float | None = None, detail: str = "") -> None:
        super().step(phase, fraction, detail)
        assert phase == "wait"
        self.places.append((self._amount.done, self._amount.total, detail))
        self.told.set()


def waiting(
    queue: BuildQueue, uid: int, name: str, order: list[str]
) -> tuple[Heard, threading.Thread]:
    heard = Heard()

    def build() -> None:
        try:
            with queue.turn(person(uid), name, heard):
                order.append(name)
        except Cancelled:
            order.append(f"{name} cancelled")

    thread = threading.Thread(target=build)
    thread.start()
    assert heard.told.wait(20)
    return heard, thread


def rows(ledger: Ledger) -> int:
    with ledger.reading() as connection:
        return len(table.turns(connection))


def test_two_servers_share_one_queue_and_take_turns(ledger: Ledger) -> None:
    one, other = BuildQueue(ledger, 1), BuildQueue(ledger, 1)
    order: list[str] = []
    with one.turn(person(7), "first", Silent()):
        second, a = waiting(one, 7, "second", order)
        third, b = waiting(other, 8, "third", order)
        assert second.places[0] == (0, 1, "place 1 of 1 in the queue for builds")
        assert third.places[0] == (0, 2, "place 1 of 2 in the queue for builds"), "it is their turn"
        assert order == []
    a.join(20)
    b.join(20)
    assert order == ["third", "second"]
    assert (1, 2) in [place[:2] for place in second.places], "somebody who had no turn came first"
    assert rows(ledger) == 0


def test_who_waits_can_be_cancelled_and_leaves_nothing(ledger: Ledger) -> None:
    queue = BuildQueue(ledger, 1)
    order: list[str] = []
    with queue.turn(person(7), "first", Silent()):
        heard, thread = waiting(queue, 8, "second", order)
        heard.cancel()
        thread.join(20)
        assert order == ["second cancelled"]
        assert rows(ledger) == 1


def test_the_turn_of_a_dead_server_comes_back(ledger: Ledger) -> None:
    dead = replace(ME, start_ticks=ME.start_ticks + 1)
    with ledger.writing() as connection:
        for number in range(3):
            table.begin(connection, table.join(connection, number, "x", dead))
            table.join(connection, number, "y", dead)
    with BuildQueue(ledger, 1).turn(person(7), "mine", Silent()):
        assert rows(ledger) == 1


def test_who_waits_goes_on_when_a_server_dies_meanwhile(ledger: Ledger) -> None:
    dead = replace(ME, start_ticks=ME.start_ticks + 1)
    queue = BuildQueue(ledger, 1)
    order: list[str] = []
    with queue.turn(person(7), "first", Silent()):
        _, thread = waiting(queue, 7, "second", order)
        with ledger.writing() as connection:
            table.begin(connection, table.join(connection, 8, "x", dead))
            table.join(connection, 9, "y", dead)
    thread.join(20)
    assert order == ["second"]
    assert rows(ledger) == 0


def test_one_person_cannot_fill_the_queue(ledger: Ledger) -> None:
    with ledger.writing() as connection:
        for number in range(MAX_WAITING):
            table.join(connection, 7, str(number), ME)
    with pytest.raises(LimitReached), BuildQueue(ledger, 99).turn(person(7), "x", Silent()):
        pass
    with BuildQueue(ledger, 99).turn(person(8), "x", Silent()):
        assert rows(ledger) == MAX_WAITING + 1


def test_a_build_that_waits_takes_no_place_from_other_work(ledger: Ledger) -> None:
    operations, queue = Operations(ledger, parallel=1), BuildQueue(ledger, 1)
    me, given_back = person(7), threading.Event()

    def start(name: str) -> Operation:
        return operations.start(
            me,
            "image.create",
            name,
            lambda progress: {"built": name},
            undo=given_back.set,
            gate=lambda progress: queue.turn(me, name, progress),
        )

    def end(operation: Operation) -> Operation:
        for _ in operations.events(me, operation.id):
            pass
        return operations.get(me, operation.id)

    with queue.turn(person(8), "other", Silent()):
        waits, cancelled = start("a"), start("b")
        other = operations.start(me, "container.create", "c", lambda progress: {"made": "c"})
        assert end(other).state == "succeeded"
        phases = [
            event.progress.phase
            for event, _ in zip(operations.events(me, waits.id), range(1), strict=False)
            if event is not None and event.progress is not None
        ]
        assert phases == ["wait"]
        assert operations.get(me, waits.id).state == "queued"
        assert operations.cancel(me, cancelled.id).state == "cancelled"
        assert given_back.is_set()
    assert end(waits).result == {"built": "a"}
    assert operations.close()
    assert rows(ledger) == 0


def test_a_gate_that_breaks_ends_the_operation(ledger: Ledger) -> None:
    operations = Operations(ledger)

    def gate(_: object) -> BuildQueue:
        raise LimitReached("Too many.")

    started = operations.start(person(7), "image.create", "x", lambda _: {}, gate=gate)  # type: ignore[arg-type]
    for _ in operations.events(person(7), started.id):
        pass
    ended = operations.get(person(7), started.id)
    assert ended.state == "failed"
    assert ended.error is not None
    assert ended.error.code == "limit_reached"
    operations.close()
