"""What time brings: beginnings and ends, who has to make way, notices, problems."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ds01_jupyter.core.errors import (
    LedgerUnavailable,
)
from ds01_jupyter.core.ledger import Ledger
from tests.rig.nvml import Machine, gpus
from tests.unit.reservation_desk import (
    BIN,
    DAEMON,
    GAMES,
    MAIL,
    ROOT,
    ReservationDesk,
    seven,
)


@pytest.fixture
def desk(gpu_machine: Machine, simulated_nvml: Path, tmp_path: Path) -> Iterator[ReservationDesk]:
    """One GPU with two instances 1g.5gb."""
    seven(gpu_machine, 2)
    desk = ReservationDesk(simulated_nvml, tmp_path)
    yield desk
    desk.close()


def test_whoever_is_in_the_way_is_told_at_booking_and_leaves_at_the_start(
    desk: ReservationDesk,
) -> None:
    desk.slots("one")
    desk.slots("two", person=BIN)
    made = desk.book("1g.5gb", 30, 40)
    [notice] = desk.told(BIN)
    assert (notice.kind, notice.what, notice.container) == (
        "reservation",
        "reservation_stop",
        "two",
    )
    assert notice.at == made.start
    assert "reserved for games" in notice.message
    assert "workspace stay" in notice.hint
    assert desk.told(DAEMON) == []
    assert desk.pass_hours(29) == {}
    assert desk.pass_hours(1.01) == {"two": made_words(made.start)}
    assert len(desk.told(BIN)) == 1


def made_words(start: datetime) -> str:
    from ds01_jupyter.core.reservations import words

    return f"slot 0:1 is reserved for games from {words.at(start)} on"


def test_nobody_leaves_needlessly(desk: ReservationDesk) -> None:
    """Somebody else gives a slot back before: it is kept, and the other one is left alone."""
    desk.slots("one")
    desk.slots("two", person=BIN)
    desk.book("1g.5gb", 30, 40)
    desk.pass_hours(10)
    desk.release("one")
    assert desk.pass_hours(1) == {}
    assert [each.what for each in desk.told(BIN)] == ["reservation_stop", "reservation_spared"]
    desk.no_slot("new")
    assert desk.pass_hours(30) == {}


def test_who_was_told_stays_the_one(desk: ReservationDesk) -> None:
    """A lease that would have been chosen, had it been there in time, does not change it."""
    desk.slots("one", "0:0", person=GAMES)
    desk.slots("two", "0:1", person=BIN)
    desk.book("1g.5gb", 30, 40, user="mail")
    assert len(desk.told(BIN)) == 1
    desk.release("one")
    desk.pass_hours(0.1)
    assert desk.told(BIN)[-1].what == "reservation_spared"
    desk.slots("three", "0:0", person=DAEMON)
    desk.pass_hours(0.1)
    [last] = [each for each in desk.told(DAEMON) if each.what == "reservation_stop"]
    desk.release("two")
    desk.slots("four", "0:1", person=BIN)
    desk.pass_hours(0.1)
    assert list(desk.pass_hours(30)) == ["three"]
    assert [each.id for each in desk.told(DAEMON)] == [last.id]


def test_the_end_of_who_left_is_in_the_history(desk: ReservationDesk) -> None:
    desk.slots("one")
    desk.slots("two", person=BIN)
    made = desk.book("1g.5gb", 30, 40)
    assert "two" in desk.pass_hours(30.01)
    desk.release("two")
    assert desk.pass_hours(0.01) == {}
    desk.pass_hours(11)
    assert desk.history() == [
        ("root", "reservation.book", f"reservation {made.id}"),
        ("reservations", "reservation.begin", f"reservation {made.id}"),
        ("reservations", "reservation.evict", "two"),
        ("reservations", "reservation.end", f"reservation {made.id}"),
    ]


def test_who_leaves_before_is_no_eviction(desk: ReservationDesk) -> None:
    desk.slots("one")
    desk.slots("two", person=BIN)
    desk.book("1g.5gb", 30, 40)
    desk.release("two")
    desk.pass_hours(31)
    assert "reservation.evict" not in [action for _, action, _ in desk.history()]


def test_a_slot_given_later_is_told_with_its_full_notice(desk: ReservationDesk) -> None:
    """Taken after the booking and before the protection: it is told at the next look."""
    made = desk.book("1g.5gb", 48, 50, gpus=2)
    desk.slots("late", person=BIN)
    assert desk.told(BIN) == []
    desk.pass_hours(0.02)
    [notice] = desk.told(BIN)
    assert notice.at == made.start


def test_who_is_told_late_has_an_hour(desk: ReservationDesk) -> None:
    """A slot breaks down shortly before the start, and another one has to be freed instead."""
    desk.slots("one", "0:1", person=BIN)
    made = desk.book("1g.5gb", 5, 8)
    assert made.slots == ["0:0"]
    desk.pass_hours(4.9)
    desk.foreign = {slot.uuid: "stray" for slot in desk.driver.inventory().slots[:1]}
    assert desk.pass_hours(0.05) == {}
    [notice] = desk.told(BIN)
    assert notice.at == notice.time + timedelta(hours=1)
    assert desk.pass_hours(0.5) == {}
    assert list(desk.pass_hours(0.51)) == ["one"]


def test_without_notice_it_is_at_once(desk: ReservationDesk) -> None:
    desk.slots("one", count=2, person=BIN)
    desk.book("1g.5gb", None, 8, notice=0)
    assert len(desk.told(BIN)) == 1
    assert list(desk.pass_hours(0)) == ["one"]


def test_beginning_and_end_are_told_to_the_holder_once(desk: ReservationDesk) -> None:
    desk.book("0:0", 1, 2)
    for _ in range(3):
        desk.pass_hours(0.4)
    assert [each.message for each in desk.told(GAMES)][1].startswith("Your reservation 1 has begun")
    desk.pass_hours(2)
    desk.pass_hours(2)
    messages = [each.message for each in desk.told(GAMES)]
    assert len(messages) == 3
    assert "root reserved slot 0:0 for you" in messages[0]
    assert messages[2] == "Your reservation 1 (slot 0:0) is over."


def test_the_members_of_a_group_hear_of_it(desk: ReservationDesk) -> None:
    desk.book("0:0", 1, 2, group="audio", reason="a lesson")
    for person in (DAEMON, BIN):
        [notice] = desk.told(person)
        assert "for the group audio" in notice.message
        assert "(a lesson)" in notice.message
    assert desk.told(MAIL) == []


def test_cancelling_spares_those_in_the_way(desk: ReservationDesk) -> None:
    desk.slots("one", count=2, person=BIN)
    made = desk.book("1g.5gb", 30, 40)
    desk.reservations.cancel(ROOT, made.id)
    assert [each.what for each in desk.told(BIN)] == ["reservation_stop", "reservation_spared"]
    assert desk.pass_hours(31) == {}


def test_begun_while_no_server_ran(desk: ReservationDesk) -> None:
    """Beginning and end are written by the first who looks, however late."""
    desk.book("0:0", 1, 2)
    desk.pass_hours(24)
    assert [action for _, action, _ in desk.history()] == [
        "reservation.book",
        "reservation.begin",
        "reservation.end",
    ]


def test_a_problem_is_told_to_admins_and_the_holder_and_when_it_is_over(
    desk: ReservationDesk,
) -> None:
    made = desk.book("0:0", 30, 40)
    uuid = desk.driver.inventory().slots[0].uuid
    desk.foreign = {uuid: "stray"}
    desk.pass_hours(0.1)
    desk.pass_hours(0.1)
    for person in (ROOT, GAMES):
        problems = [each for each in desk.told(person) if each.what == "reservation_problem"]
        assert len(problems) == 1
        assert "stray" in problems[0].message
    assert "stray" in str(desk.shown(made.id).problem)
    desk.foreign = {}
    desk.pass_hours(0.1)
    assert desk.told(ROOT)[-1].message.endswith("can be kept again.")
    assert desk.shown(made.id).problem is None


def test_a_repartition_reassigns_or_says_the_problem(
    desk: ReservationDesk, gpu_machine: Machine
) -> None:
    named = desk.book("0:0", 30, 40)
    some = desk.book("1g.5gb", 30, 40)
    with gpu_machine.edit() as lines:
        lines[:] = gpus(1, "a100-40", {0: [(14, 0), (19, 2)]})
    assert [slot.profile for slot in desk.driver.inventory(fresh=True).slots] == [
        "2g.10gb",
        "1g.5gb",
    ]
    desk.pass_hours(0.1)
    assert desk.shown(some.id).slots == ["0:1"]
    assert "no slot 0:0 (1g.5gb) any more" in str(desk.shown(named.id).problem)
    assert "now is 2g.10gb" in desk.told(ROOT)[-1].message


def test_b31_two_servers_write_everything_once(
    desk: ReservationDesk, simulated_nvml: Path, tmp_path: Path
) -> None:
    """Any number of servers look after the same ledger."""
    other = ReservationDesk(simulated_nvml, tmp_path, clock=desk.clock)
    desk.slots("one", count=2, person=BIN)
    desk.book("1g.5gb", 30, 40)
    for hours in (1, 30, 1):
        desk.pass_hours(hours)
        other.pass_hours(0)
    assert len(desk.told(BIN)) == 1
    assert [action for _, action, _ in desk.history()].count("reservation.begin") == 1
    other.close()


def test_a_promise_of_another_host_is_none_of_ours(desk: ReservationDesk) -> None:
    desk.book("1g.5gb", None, 5, gpus=2)
    with desk.ledger.writing() as connection:
        connection.execute("UPDATE reservations SET host = 'there'")
    assert desk.slots("box", count=2) == ["0:0", "0:1"]
    assert desk.reservations.all(everything=True) == []


def test_of_slots_says_who_comes_next(desk: ReservationDesk) -> None:
    first, second = desk.book("0:0", 1, 2), desk.book("0:0", 2, 3, group="audio")
    slots = desk.driver.inventory().slots
    found = desk.reservations.of_slots(slots, {})
    assert set(found) == {slots[0].uuid}
    assert (found[slots[0].uuid].id, found[slots[0].uuid].active) == (first.id, False)
    desk.pass_hours(2.5)
    now = desk.reservations.of_slots(slots, {})[slots[0].uuid]
    assert (now.id, now.who, now.active) == (second.id, "the group audio", True)


def test_a_layout_that_breaks_a_promise_is_known(desk: ReservationDesk) -> None:
    desk.book("0:1", 30, 40)
    some = desk.book("1g.5gb", 30, 40)
    slots = desk.driver.inventory().slots
    broken = desk.reservations.broken_by({slots[1].uuid}, [])
    assert [(each.id, [slot.slot for slot in there]) for each, there in broken] == [(1, ["0:1"])]
    gone = {slot.uuid for slot in slots}
    other = replace(slots[0], uuid="new", profile="2g.10gb")
    assert {each.id for each, _ in desk.reservations.broken_by(gone, [other])} == {1, some.id}
    # Any slot of the kind will do for the one, and none but its own for the other.
    same = [replace(slots[0], uuid="new", slot="0:7")]
    assert [each.id for each, _ in desk.reservations.broken_by(gone, same)] == [1]
    assert desk.reservations.broken_by((), []) == []


def test_a_damaged_ledger_keeps_what_was_promised(desk: ReservationDesk, tmp_path: Path) -> None:
    """Docker knows nothing of promises: they are taken over, but for what makes no sense."""
    made = desk.book("0:0", 30, 40)
    bad = desk.book("0:1", 30, 40)
    with desk.ledger.writing() as connection:
        connection.execute(
            "UPDATE reservations SET starts = '2026', ends = 'soon' WHERE id = ?", (bad.id,)
        )
    desk.ledger.close()
    asked: list[int] = []

    def survey() -> Any:
        asked.append(1)
        return lambda connection, facts: None

    desk.reservations._ledger = again = Ledger(tmp_path / "ledger.sqlite", survey=survey)
    with pytest.raises(LedgerUnavailable, match="cannot be read"):
        desk.reservations.all(everything=True)
    assert [each.id for each in desk.reservations.all(everything=True)] == [made.id]
    assert asked == [1]
    assert desk.reservations.get(made.id).slots == ["0:0"]
    again.close()


def test_times_are_stored_so_that_text_sorts_like_time() -> None:
    from ds01_jupyter.core.reservations.tables import text

    base = datetime(2026, 12, 1, 9, tzinfo=UTC)
    moments = [base + timedelta(microseconds=step) for step in (0, 1, 10, 999_999, 1_000_000)]
    assert sorted(map(text, moments)) == list(map(text, moments))
