"""Booking, looking and cancelling, on a real ledger and the simulated driver."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from ds01_jupyter.core import ledger_cordons
from ds01_jupyter.core.errors import (
    Conflict,
    Forbidden,
    InvalidInput,
    NotFound,
)
from ds01_jupyter.core.ledger_cordons import KnownGpu
from ds01_jupyter.core.models import ReservationRequest
from tests.rig.nvml import Machine
from tests.unit.reservation_desk import (
    GAMES,
    MAIL,
    ROOT,
    ReservationDesk,
    account,
    seven,
)


@pytest.fixture
def desk(gpu_machine: Machine, simulated_nvml: Path, tmp_path: Path) -> Iterator[ReservationDesk]:
    """One GPU with two instances 1g.5gb."""
    seven(gpu_machine, 2)
    desk = ReservationDesk(simulated_nvml, tmp_path)
    yield desk
    desk.close()


def test_what_is_booked_can_be_read_back(desk: ReservationDesk) -> None:
    made = desk.book("1g.5gb", 48, 50, reason="  exam\n week ", notice=12)
    assert made == desk.shown(made.id)
    assert (made.gpu, made.gpus, made.user, made.group) == ("1g.5gb", 1, "games", None)
    assert made.end - made.start == timedelta(hours=2)
    assert timedelta(hours=47, minutes=59) < made.start - desk.now < timedelta(hours=48)
    assert (made.reason, made.by, made.state) == ("exam week", "root", "upcoming")
    assert (made.notice_hours, made.slots, made.problem) == (12.0, ["0:0"], None)
    assert desk.history() == [("root", "reservation.book", f"reservation {made.id}")]


@pytest.mark.parametrize("spelling", ["games", "5", "games@lab.example"])
def test_b22_a_person_is_found_by_any_spelling(desk: ReservationDesk, spelling: str) -> None:
    """One account, however it is spelt."""
    assert account("games").uid == 5
    assert desk.book("0:0", 1, 2, user=spelling).user == "games"
    assert desk.rows()[0][7] == 5


def test_only_admins_book_and_cancel(desk: ReservationDesk) -> None:
    error = desk.refused("0:0", 1, 2, person=GAMES)
    assert isinstance(error, Forbidden)
    made = desk.book("0:0", 1, 2)
    with pytest.raises(Forbidden):
        desk.reservations.cancel(GAMES, made.id)
    assert desk.shown(made.id).state == "upcoming"


@pytest.mark.parametrize(
    ("gpu", "start", "end", "more", "kind", "says"),
    [
        ("1g.5gb", 2, 2, {}, InvalidInput, "same moment"),
        ("1g.5gb", 3, 2, {}, InvalidInput, "before it begins"),
        ("1g.5gb", -3, -2, {}, InvalidInput, "has passed"),
        ("1g.5gb", None, -1, {}, InvalidInput, "would end"),
        ("1g.5gb", 1, 24 * 400, {}, InvalidInput, "within 366 days"),
        ("any", 1, 2, {}, InvalidInput, "'any' cannot be reserved"),
        ("none", 1, 2, {}, InvalidInput, "'none' cannot be reserved"),
        (">=5GB", 1, 2, {}, InvalidInput, "cannot be reserved"),
        ("big", 1, 2, {}, InvalidInput, "is not a GPU request"),
        ("0:9", 1, 2, {}, NotFound, "no slot 0:9"),
        ("3g.20gb", 1, 2, {}, NotFound, "no slot of the kind 3g.20gb"),
        ("whole", 1, 2, {}, NotFound, "whole GPU"),
        ("1g.5gb", 1, 2, {"gpus": 3}, InvalidInput, "only 2 slots 1g.5gb, and 3"),
        ("1g.5gb", 1, 2, {"user": "nobody-here"}, NotFound, "nobody-here"),
        ("1g.5gb", 1, 2, {"group": "visoin"}, NotFound, "no group 'visoin'"),
        ("1g.5gb", 1, 2, {"group": "vision", "user": "games"}, InvalidInput, "one of them only"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    desk: ReservationDesk,
    gpu: str,
    start: float | None,
    end: float,
    more: dict[str, object],
    kind: type[Exception],
    says: str,
) -> None:
    error = desk.refused(gpu, start, end, **more)
    assert isinstance(error, kind)
    assert says in error.message


def test_a_misspelt_group_is_guessed(desk: ReservationDesk) -> None:
    assert "vision" in desk.refused("1g.5gb", 1, 2, group="visoin").hint


def test_a_time_without_an_offset_is_refused(desk: ReservationDesk) -> None:
    request = ReservationRequest(gpu="0:0", user="games", end=datetime(2030, 1, 1))
    with pytest.raises(InvalidInput, match="offset"):
        desk.reservations.book(ROOT, request)


def test_b6_a_moment_is_the_same_in_every_offset(desk: ReservationDesk) -> None:
    """09:00+05:30 is 03:30Z; the ledger keeps UTC."""
    zone = timezone(timedelta(hours=5, minutes=30))
    start = desk.at(30).astimezone(zone)
    request = ReservationRequest(gpu="0:0", user="games", start=start, end=start + timedelta(1))
    made = desk.reservations.book(ROOT, request)
    assert desk.shown(made.id).start == start
    assert str(desk.rows()[0][10]).endswith("+00:00")
    # Right before it there is room, and not a moment later, whatever the offset says.
    desk.book("0:0", 28, 29.9)
    late = ReservationRequest(
        gpu="0:0",
        user="games",
        start=desk.at(28),
        end=(start + timedelta(minutes=1)).astimezone(timezone(timedelta(hours=-8))),
    )
    with pytest.raises(Conflict):
        desk.reservations.book(ROOT, late)


def test_a_start_that_has_passed_is_now(desk: ReservationDesk) -> None:
    before = desk.now
    made = desk.book("0:0", -2, 2)
    assert before <= made.start <= desk.now
    assert made.state == "active"


def test_a_conflict_names_the_other_reservation(desk: ReservationDesk) -> None:
    first = desk.book("0:0", 24, 30)
    error = desk.refused("0:0", 29, 40, group="audio")
    assert error.code == "conflict"
    [conflict] = error.details["conflicts"]
    assert (conflict["kind"], conflict["slot"]) == ("reservation", "0:0")
    assert (conflict["reservation"], conflict["who"]) == (first.id, "games")
    assert datetime.fromisoformat(conflict["until"]) == first.end
    assert f"(reservation {first.id})" in error.message
    desk.book("0:0", 30, 40, group="audio")


def test_a_profile_is_refused_when_all_slots_are_promised(desk: ReservationDesk) -> None:
    desk.book("1g.5gb", 24, 30)
    desk.book("0:1", 26, 28)
    error = desk.refused("1g.5gb", 27, 29)
    assert {each["slot"] for each in error.details["conflicts"]} == {"0:0", "0:1"}
    desk.book("1g.5gb", 28, 29)


def test_a_promise_moves_aside_for_a_named_slot(desk: ReservationDesk) -> None:
    """Any of a kind was promised, so the one that is named can be had."""
    some = desk.book("1g.5gb", 24, 30)
    assert some.slots == ["0:0"]
    named = desk.book("0:0", 24, 30)
    assert (named.slots, desk.shown(some.id).slots) == (["0:0"], ["0:1"])


def test_leases_are_in_the_way_where_there_is_no_time_for_notice(desk: ReservationDesk) -> None:
    desk.slots("one")
    desk.slots("two")
    error = desk.refused("1g.5gb", 5, 8)
    [conflict] = error.details["conflicts"]
    assert (conflict["kind"], conflict["who"], conflict["container"]) == (
        "lease",
        "daemon",
        "two",
    )
    assert conflict["until"] is None
    assert "24 hours of notice" in error.message
    assert "nobody can say until when" in error.message
    made = desk.book("1g.5gb", 5, 8, notice=4)
    assert [each.container for each in made.in_the_way] == ["two"]


def test_a_lease_that_ends_in_time_is_not_in_the_way(desk: ReservationDesk) -> None:
    """Two hours of run time, and given back at once."""
    desk.slots("one", person=MAIL)
    desk.slots("two", person=MAIL)
    desk.refused("1g.5gb", 1.5, 8, gpus=2)
    made = desk.book("1g.5gb", 2.5, 8, gpus=2)
    assert made.in_the_way == []
    assert made.slots == ["0:0", "0:1"]


def test_the_holders_own_lease_is_not_in_the_way(desk: ReservationDesk) -> None:
    desk.slots("one", person=GAMES)
    desk.slots("two")
    made = desk.book("1g.5gb", None, 2)
    assert (made.slots, made.in_the_way) == (["0:0"], [])


def test_a_cordoned_gpu_is_not_promised(desk: ReservationDesk) -> None:
    gpu = desk.driver.inventory().gpus[0]
    with desk.ledger.writing() as connection:
        known = KnownGpu(gpu.uuid, 0, "x")
        ledger_cordons.insert_cordon(connection, "here", known, "admin", "a new fan", "root")
    error = desk.refused("0:0", 24, 30)
    assert "GPU 0 is cordoned (a new fan)" in error.message


def test_what_is_used_around_ds01_is_not_promised(desk: ReservationDesk) -> None:
    desk.foreign = {slot.uuid: "stray" for slot in desk.driver.inventory().slots[:1]}
    assert "stray" in desk.refused("0:0", 24, 30).message
    assert desk.book("1g.5gb", 24, 30).slots == ["0:1"]


def test_the_list_has_what_stands_and_on_demand_all(desk: ReservationDesk) -> None:
    later, sooner = desk.book("0:0", 40, 41), desk.book("0:0", 1, 2)
    gone = desk.book("0:1", 5, 6)
    desk.reservations.cancel(ROOT, gone.id)
    assert [each.id for each in desk.reservations.all()] == [sooner.id, later.id]
    desk.pass_hours(3)
    assert [each.id for each in desk.reservations.all()] == [later.id]
    states = {each.id: each.state for each in desk.reservations.all(everything=True)}
    assert states == {later.id: "upcoming", sooner.id: "over", gone.id: "cancelled"}


def test_cancelling_frees_the_time(desk: ReservationDesk) -> None:
    made = desk.book("0:0", 1, 5)
    desk.refused("0:0", 2, 3)
    desk.reservations.cancel(ROOT, made.id)
    desk.book("0:0", 2, 3)
    for number, kind in ((made.id, Conflict), (99, NotFound)):
        with pytest.raises(kind):
            desk.reservations.cancel(ROOT, number)
    assert ("root", "reservation.cancel", f"reservation {made.id}") in desk.history()


def test_what_is_over_cannot_be_cancelled(desk: ReservationDesk) -> None:
    made = desk.book("0:0", 1, 2)
    desk.pass_hours(3)
    with pytest.raises(Conflict, match="is over already"):
        desk.reservations.cancel(ROOT, made.id)


def test_without_a_driver_the_list_says_so(desk: ReservationDesk, gpu_machine: Machine) -> None:
    made = desk.book("0:0", 1, 5)
    gpu_machine.sys(init=9)
    desk.driver.close()
    shown = desk.shown(made.id)
    assert shown.slots == []
    assert "which slots are kept" in str(shown.problem)
    assert desk.reservations.evictions() == {}
