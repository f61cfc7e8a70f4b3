"""A reservation begins: who is in the way was told and is stopped, and its holder has the slot."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from ds01_jupyter.core import models
from ds01_jupyter.core.errors import Conflict, NoFreeSlot
from ds01_jupyter.core.identity import Person, person_of_uid
from tests.engine.conftest import Desk
from tests.engine.keeping import LIMITS, Keeping, Make

pytestmark = pytest.mark.engine


@pytest.fixture
def here(make: Make) -> Keeping:
    """Somebody who has a slot."""
    return make()


@pytest.fixture
def holder(here: Keeping, make_desk: Callable[..., Desk], accounts: dict[int, Person]) -> Desk:
    """A member of the group vision, served by the same server."""
    desk = make_desk()
    accounts[desk.person.uid] = desk.person
    here.limits.write_text(f"{LIMITS}groups:\n  vision: {{members: [{desk.person.name}]}}\n")
    desk.lab.close()
    return replace(desk, lab=here.desk.lab)


def reserve(
    here: Keeping, gpu: str, start: float, end: float, **more: object
) -> models.Reservation:
    """By the admin, for the group, in hours from now on."""
    now = here.clock.now().wall
    request = models.ReservationRequest.model_validate(
        {
            "gpu": gpu,
            "group": "vision",
            "start": now + timedelta(hours=start),
            "end": now + timedelta(hours=end),
            **more,
        }
    )
    return here.desk.lab.reserve(person_of_uid(0), request)


def test_it_begins(here: Keeping, holder: Desk) -> None:
    lab = here.desk.lab
    mine = here.desk.create("c", gpu="3:0")
    other = here.desk.create("d", gpu="3:1")
    kept = here.desk.person.home / "workspace" / "c" / "thesis.txt"
    kept.write_text("kept")
    here.round()
    made = reserve(here, "3:0", 3, 6, notice_hours=2)
    assert [each.container for each in made.in_the_way] == ["c"]

    # Told at once, with the moment; and shown as a deadline.
    [notice] = [each for each in lab.notices(here.desk.person) if each.kind == "reservation"]
    assert (notice.container, notice.at) == ("c", made.start)
    [deadline] = [each for each in here.life().deadlines if each.what == "reservation_stop"]
    assert abs(deadline.at - made.start) < timedelta(seconds=1)
    assert deadline.limit is None
    assert not deadline.near

    # From two hours before it begins nobody else is given a slot for it.
    here.round(hours=2.4)
    assert here.state() == "running"
    assert here.deadline("reservation_stop").near
    assert "reservation_stop" in [what for _, what in here.told("warning")]
    assert "reserved" in here.notice.read_text()

    # At the start it is stopped, to the minute; the container and its workspace stay.
    here.round(minutes=35)
    assert here.state() == "running"
    here.round(seconds=61)
    assert here.state() == "exited"
    assert here.desk.leased() == {"3:1": "active"}
    assert here.show("d").state == "running"
    assert kept.read_text() == "kept"
    assert here.show("c").gpus == []
    lab._reservations.round()
    history = [
        row.action for row in lab._ledger.history(999) if row.action.startswith("reservation.")
    ]
    assert history == ["reservation.evict", "reservation.begin", "reservation.book"]

    # Nobody else gets it, not even who had it.
    with pytest.raises(NoFreeSlot, match="kept for others"):
        here.desk.create("e", gpu="3:0")
    with pytest.raises(Conflict, match="given back"):
        lab.start_container(here.desk.person, "c")

    # Whom it was promised to has it.
    theirs = holder.create("theirs", gpu="3:0")
    assert [slot.slot for slot in theirs.gpus] == ["3:0"]
    assert theirs.gpus[0].uuid == mine.gpus[0].uuid != other.gpus[0].uuid
    shown = lab.reservation(holder.person, made.id)
    assert (shown.state, shown.slots, shown.in_the_way, shown.problem) == (
        "active",
        ["3:0"],
        [],
        None,
    )

    # When it is over, what runs goes on.
    here.round(hours=4)
    assert lab.reservation(holder.person, made.id).state == "over"
    assert here.desk.leased() == {"3:1": "active", "3:0": "active"}
    names = {each.name: each.state for each in lab.containers(holder.person)}
    assert names["theirs"] == "running"


def test_who_has_stopped_gives_the_slot_back_too(here: Keeping, holder: Desk) -> None:
    here.desk.create("c", gpu="3:0")
    here.desk.lab.stop_container(here.desk.person, "c")
    here.round()
    reserve(here, "3:0", 1, 2, notice_hours=1)
    here.round(minutes=59)
    assert here.desk.leased() == {"3:0": "held"}
    here.round(minutes=2)
    assert here.desk.leased() == {}
    assert here.state() == "exited"
    assert [slot.slot for slot in holder.create("theirs", gpu="3:0").gpus] == ["3:0"]


def test_a_slot_that_comes_free_in_time_spares_who_was_told(here: Keeping, holder: Desk) -> None:
    """Seven of a kind, all of them taken: one has to go, until another one is removed."""
    here.limits.write_text(
        here.limits.read_text()
        .replace("max_mig_instances: 4", "max_mig_instances: 20")
        .replace("max_slots_per_container: 2", "max_slots_per_container: 16")
    )
    slots = [s for gpu in here.desk.lab.gpus(here.desk.person).gpus for s in gpu.slots]
    count = sum(slot.profile == "1g.5gb" for slot in slots)
    here.desk.create("c", gpu="1g.5gb", gpus=count - 1)
    here.desk.create("d", gpu="1g.5gb")
    made = reserve(here, "1g.5gb", 2, 4, notice_hours=1)
    assert [each.container for each in made.in_the_way] == ["d"]
    here.desk.lab.stop_container(here.desk.person, "c")
    here.desk.lab.remove_container(here.desk.person, "c")
    here.round(hours=1.9)
    here.round(minutes=10)
    here.round(minutes=2)
    assert here.state("d") == "running"
    assert [what for _, what in here.told("reservation")][-1] == "reservation_spared"
    assert len(holder.create("theirs", gpu="1g.5gb").gpus) == 1
