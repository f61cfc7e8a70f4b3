"""What is promised is kept from others and for its holder: claims on a real ledger."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ds01_jupyter.core.errors import (
    NoFreeSlot,
)
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


def test_what_is_promised_is_kept_from_others(desk: ReservationDesk) -> None:
    desk.book("1g.5gb", 5, 8, gpus=2)
    error = desk.no_slot("box")
    assert isinstance(error, NoFreeSlot)
    assert "games, reserved for" in error.details["kept"][0]
    assert desk.slots("mine", "1g.5gb", 2, person=GAMES) == ["0:0", "0:1"]


def test_one_is_left_beside_what_is_promised(desk: ReservationDesk) -> None:
    desk.book("1g.5gb", 5, 8)
    assert desk.slots("box") == ["0:1"]
    desk.no_slot("more")
    assert desk.slots("mine", person=GAMES) == ["0:0"]


def test_a_named_slot_can_be_had_when_another_one_will_do_for_the_promise(
    desk: ReservationDesk,
) -> None:
    desk.book("1g.5gb", 5, 8)
    assert desk.slots("box", "0:0") == ["0:0"]
    assert desk.shown(1).slots == ["0:1"]
    desk.no_slot("more", "0:1")


def test_what_is_used_around_ds01_keeps_no_promise(desk: ReservationDesk) -> None:
    """The other slot is all that is left for it."""
    desk.book("1g.5gb", 5, 8)
    desk.foreign = {slot.uuid: "stray" for slot in desk.driver.inventory().slots[:1]}
    desk.no_slot("box", "0:1")
    assert desk.slots("mine", person=GAMES) == ["0:1"]


def test_who_is_gone_before_it_begins_may_have_it(desk: ReservationDesk) -> None:
    """A container of mail runs for two hours at most."""
    desk.book("1g.5gb", 3, 8, gpus=2)
    assert desk.slots("short", person=MAIL) == ["0:0"]
    desk.clock.advance(hours=1.5)
    desk.no_slot("late", person=MAIL)


def test_before_the_notice_it_is_only_given_last(desk: ReservationDesk) -> None:
    desk.book("0:0", 48, 50)
    assert desk.slots("first") == ["0:1"]
    assert desk.slots("second") == ["0:0"]
    desk.release("second")
    desk.clock.advance(hours=25)
    desk.no_slot("third")


def test_a_group_has_what_was_promised_to_it(desk: ReservationDesk) -> None:
    desk.book("1g.5gb", None, 8, group="audio", gpus=2)
    desk.no_slot("box", person=GAMES)
    assert desk.slots("one", person=DAEMON) == ["0:0"]
    assert desk.slots("two", person=BIN) == ["0:1"]


def test_whose_time_it_is_has_the_slot_though_it_is_promised_to_another_afterwards(
    desk: ReservationDesk,
) -> None:
    desk.book("0:0", None, 4)
    desk.book("0:0", 4, 8, user="mail")
    desk.no_slot("early", "0:0", person=DAEMON)
    assert desk.slots("mine", "0:0", person=GAMES) == ["0:0"]
    desk.pass_hours(0.1)
    assert [each.what for each in desk.told(GAMES)][-1] == "reservation_stop"


def test_the_holder_takes_what_is_kept_and_leaves_the_rest(desk: ReservationDesk) -> None:
    desk.book("0:1", None, 8)
    assert desk.slots("mine", person=GAMES) == ["0:1"]
    # It counts towards the promise: the other one is anybody's.
    assert desk.slots("box") == ["0:0"]


def test_quotas_hold_for_what_is_reserved_too(
    gpu_machine: Machine, simulated_nvml: Path, tmp_path: Path
) -> None:
    seven(gpu_machine, 2)
    (tmp_path / "limits.yaml").write_text(
        "defaults: {max_cpus: 1, memory: 1g, max_mig_instances: 1, max_slots_per_container: 2}\n"
    )
    desk = ReservationDesk(simulated_nvml, tmp_path)
    desk.book("1g.5gb", None, 8, gpus=2)
    assert desk.no_slot("two", count=2, person=GAMES).code == "limit_reached"
    desk.close()


def test_a_promise_that_limits_keep_from_being_used_says_so(
    gpu_machine: Machine, simulated_nvml: Path, tmp_path: Path
) -> None:
    seven(gpu_machine, 3)
    (tmp_path / "limits.yaml").write_text(
        "defaults: {max_cpus: 1, memory: 1g, max_mig_instances: 2, max_gpu_equivalents: 0.2}\n"
    )
    desk = ReservationDesk(simulated_nvml, tmp_path)
    assert desk.book("1g.5gb", 1, 2).problem is None
    assert "may have 2 of its 3 slots" in str(desk.book("1g.5gb", 3, 4, gpus=3).problem)
    assert "GPU-equivalents only" in str(desk.book("1g.5gb", 5, 6, gpus=2).problem)
    # It is kept all the same, and nobody is told of a problem.
    desk.pass_hours(0.1)
    assert {each.what for each in desk.told(ROOT)} == set()
    desk.close()


def test_when_it_is_over_the_slot_is_everybodys(desk: ReservationDesk) -> None:
    desk.book("1g.5gb", None, 2, gpus=2)
    desk.slots("mine", person=GAMES)
    desk.no_slot("box")
    assert desk.pass_hours(3) == {}
    assert desk.slots("box") == ["0:1"]
    [lease] = [each for each in desk.ledger.live_leases() if each.owner == "games"]
    assert lease.state == "active"


def test_a_whole_gpu(gpu_machine: Machine, simulated_nvml: Path, tmp_path: Path) -> None:
    with gpu_machine.edit() as lines:
        lines[:] = gpus(2, "a100-40", {1: [(19, 0)]})
    desk = ReservationDesk(simulated_nvml, tmp_path)
    made = desk.book("whole", 5, 8)
    assert made.slots == ["0"]
    assert desk.slots("box") == ["1:0"]
    desk.no_slot("big", "whole")
    desk.no_slot("any")
    assert desk.slots("mine", "whole", person=GAMES) == ["0"]
    desk.close()
