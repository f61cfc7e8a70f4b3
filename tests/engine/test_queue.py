"""The queue on the real engine: who waits gets what others give back, without asking again."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ds01_jupyter.core import models
from ds01_jupyter.core.clock import ShiftedClock
from ds01_jupyter.core.errors import (
    Conflict,
    CoreError,
    Forbidden,
    InvalidInput,
    LimitReached,
    NoFreeSlot,
    NotFound,
)
from ds01_jupyter.core.identity import Person
from ds01_jupyter.core.lab import Lab
from ds01_jupyter.core.waiting.queue import MOST_PLACES
from tests.engine.conftest import Desk
from tests.engine.queue_server import QueueServer
from tests.rig.fixtures import RigEngine
from tests.rig.nvml import Machine

pytestmark = pytest.mark.engine

SLOT = "2:0"


def request(name: str, **wishes: object) -> models.ContainerRequest:
    choice = {"framework": "Pytorch", "version": "2.5.1"}
    values = {"name": name, "gpu": SLOT, "framework": choice, **wishes}
    return models.ContainerRequest.model_validate(values)


def until(condition: Callable[[], object], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.1)


def state(desk: Desk, person: Person, number: int) -> str:
    return desk.lab.queue_entry(person, number).state


@pytest.fixture
def other(make_desk: Callable[..., Desk]) -> Person:
    """Somebody else, to be cleaned up after like everybody."""
    return make_desk().person


def test_b36_what_one_gives_back_another_gets_by_itself(desk: Desk, other: Person) -> None:
    desk.create("first", gpu=SLOT)
    entry = desk.lab.join_queue(other, request("second"))
    assert (entry.state, entry.position, entry.mine, entry.name) == ("waiting", 1, True, "second")
    seen = desk.lab.queue(desk.person)[0]
    assert (seen.id, seen.mine, seen.name, seen.user) == (entry.id, False, None, other.name)
    desk.lab.stop_container(desk.person, "first")
    desk.lab.remove_container(desk.person, "first")
    until(lambda: state(desk, other, entry.id) == "done")
    made = desk.lab.container(other, "second")
    assert (made.state, [slot.slot for slot in made.gpus]) == ("running", [SLOT])
    ended = desk.lab.queue_entry(other, entry.id)
    assert ended.operation is not None
    operation = desk.lab.operation(other, ended.operation)
    assert (operation.state, operation.kind) == ("succeeded", "container.create")
    assert [entry.state for entry in desk.lab.queue(other)] == ["done"]
    assert desk.lab.queue(desk.person) == []
    messages = [notice.message for notice in desk.lab.notices(other)]
    assert any("second" in message and "queue" in message for message in messages)


def test_nobody_overtakes_who_waits(
    desk: Desk, make_desk: Callable[..., Desk], other: Person
) -> None:
    desk.create("first", gpu=SLOT)
    number = desk.lab.join_queue(other, request("second")).id
    desk.lab._waiting.dispatcher.close()  # its server is slow
    desk.lab.stop_container(desk.person, "first")
    desk.lab.remove_container(desk.person, "first")
    with pytest.raises(NoFreeSlot) as error:
        desk.lab.create_container(desk.person, request("again"))
    assert other.name in error.value.message
    assert state(desk, other, number) == "waiting"
    explained = desk.lab.why(desk.person, SLOT)
    assert (explained.outcome, explained.code, explained.ahead) == ("later", "no_free_slot", 1)
    assert explained.message == error.value.message
    assert [each.who for each in explained.obstacles] == [
        f"{other.name}, who comes first in the queue"
    ]
    quicker = make_desk().lab
    quicker.why(other, "none")  # from now on it knows who that is
    quicker._waiting.dispatcher.wake()
    until(lambda: state(desk, other, number) == "done")


def test_what_is_left_is_left_and_nothing_is_made(desk: Desk, other: Person) -> None:
    desk.create("first", gpu=SLOT)
    number = desk.lab.join_queue(other, request("second")).id
    with pytest.raises(Forbidden, match=other.name):
        desk.lab.leave_queue(desk.person, number)
    desk.lab.leave_queue(other, number)
    desk.lab.leave_queue(other, number)  # twice is fine
    left = desk.lab.queue_entry(other, number)
    assert (left.state, left.position, left.operation) == ("cancelled", None, None)
    with pytest.raises(NotFound):
        desk.lab.queue_entry(desk.person, number)
    again = desk.lab.join_queue(other, request("second")).id
    admin = Person("root", 0, 0, Path("/root"))
    desk.lab.leave_queue(admin, again)
    assert state(desk, other, again) == "cancelled"
    told = [notice.message for notice in desk.lab.notices(other)]
    assert told == ["root took your container second out of the queue."]
    assert desk.lab.queue(desk.person) == []


def test_what_is_being_made_already_is_cancelled(desk: Desk, other: Person) -> None:
    desk.lab._operations._parallel = 0  # it stays queued
    number = desk.lab.join_queue(other, request("second")).id
    until(lambda: state(desk, other, number) == "starting")
    assert desk.leased() == {SLOT: "pending"}
    desk.lab.leave_queue(other, number)
    until(lambda: state(desk, other, number) == "cancelled")
    assert desk.leased() == {}


def test_what_no_waiting_helps_is_refused_at_once(desk: Desk, other: Person) -> None:
    lab = desk.lab
    cases: list[tuple[models.ContainerRequest, type[CoreError], str]] = [
        (request("a", gpu="none"), InvalidInput, "nothing to wait for"),
        (request("a", gpu="9:9"), NotFound, "There is no slot 9:9"),
        (request("a", gpu="1g.5gb", gpus=3), LimitReached, "at most 2 GPU slots"),
        (request("a b"), InvalidInput, "name"),
        (request("a", framework=None, image="nope"), NotFound, "nope"),
        (request("a", workspace="/etc"), InvalidInput, "/etc"),
    ]
    for wish, error, words in cases:
        with pytest.raises(error, match=words):
            lab.join_queue(other, wish)
    desk.create("first", gpu=SLOT)
    with pytest.raises(Conflict, match="first"):
        lab.join_queue(desk.person, request("first"))
    for index in range(MOST_PLACES):
        lab.join_queue(other, request(f"box{index}"))
        with pytest.raises(Conflict, match="waits in the queue already"):
            lab.join_queue(other, request(f"box{index}"))
    with pytest.raises(LimitReached, match="at most 5 places") as refusal:
        lab.join_queue(other, request("one-more"))
    assert refusal.value.details["key"] == "max_places_in_queue"
    assert [entry.position for entry in lab.queue(desk.person)] == [1, 2, 3, 4, 5]


# ---- what cannot be any more -------------------------------------------------------------------


def test_a_place_that_can_never_be_served_ends_with_its_reason(
    desk: Desk, other: Person, unique_name: str
) -> None:
    desk.create("first", gpu=SLOT)
    image = desk.docker.images.get(RigEngine.base_image)
    image.tag(unique_name, "1")
    wishes = [
        request("lowered"),
        request("unmade", framework=None, image=f"{unique_name}:1"),
    ]
    lowered, unmade = [desk.lab.join_queue(other, wish).id for wish in wishes]
    desk.docker.images.remove(f"{unique_name}:1")
    dispatcher = desk.lab._waiting.dispatcher
    until(lambda: dispatcher.tries)
    dispatcher._memory.clear()  # as after a minute
    dispatcher.wake()
    until(lambda: state(desk, other, unmade) == "failed")
    assert "There is no image" in (desk.lab.queue_entry(other, unmade).problem or "")
    assert state(desk, other, lowered) == "waiting"
    limits = Path(desk.settings.limits)
    limits.write_text(limits.read_text().replace("max_mig_instances: 2", "max_mig_instances: 0"))
    desk.lab._waiting.machine.stage._limits_of._known.clear()  # type: ignore[attr-defined]
    dispatcher.wake()
    until(lambda: state(desk, other, lowered) == "failed")
    assert "at most 0 GPU slots" in (desk.lab.queue_entry(other, lowered).problem or "")
    told = [notice.message for notice in desk.lab.notices(other)]
    assert all("does not wait in the queue any more" in message for message in told)
    assert len(told) == 2


def test_a_name_that_was_taken_meanwhile_is_told(desk: Desk, other: Person) -> None:
    desk.create("first", gpu=SLOT)
    number = desk.lab.join_queue(other, request("second")).id
    made = desk.lab.create_container(other, request("second", gpu="none"))
    for _ in desk.lab.operation_events(other, made.id):
        pass
    desk.lab.stop_container(desk.person, "first")
    desk.lab.remove_container(desk.person, "first")

    def given_up() -> bool:
        desk.lab._waiting.dispatcher.wake()
        return state(desk, other, number) == "failed"

    until(given_up)
    assert "named second" in (desk.lab.queue_entry(other, number).problem or "")
    assert [lease.slot for lease in desk.lab._ledger.live_leases()] == []


def test_what_is_missing_for_long_is_given_up(
    desk: Desk, other: Person, gpu_machine: Machine
) -> None:
    clock = ShiftedClock()
    lab = Lab(desk.settings, clock)
    desk.create("first", gpu=SLOT)
    number = lab.join_queue(other, request("second", gpu="3g.20gb")).id
    with gpu_machine.edit() as lines:
        [gone] = [line for line in lines if line.startswith("gi gpu=2 ") and "profile=9 " in line]
        ending = gone.split()[2].replace("id=", "gi=")
        lines[:] = [
            line for line in lines if line != gone and not line.startswith(f"ci gpu=2 {ending} ")
        ]
    dispatcher = lab._waiting.dispatcher
    dispatcher.wake()
    until(lambda: [each.missing for each in dispatcher._memory.values()] != [None])
    assert state(desk, other, number) == "waiting", "an admin may be at work"
    clock.advance(minutes=2)
    dispatcher.wake()
    until(lambda: state(desk, other, number) == "failed")
    problem = lab.queue_entry(other, number).problem or ""
    assert problem == "This machine does not have a slot 3g.20gb any more."
    lab.close()


# ---- servers come and go -----------------------------------------------------------------------


def test_a_place_survives_the_end_of_its_server(desk: Desk, other: Person) -> None:
    desk.create("first", gpu=SLOT)
    with QueueServer(desk.settings, other, request("second")) as server:
        number = server.ready()
        before = desk.lab.queue(desk.person)[0]
        assert (before.id, before.asleep, before.position) == (number, False, 1)
        server.kill()
    asleep = desk.lab.queue(desk.person)[0]
    assert (asleep.id, asleep.asleep, asleep.position) == (number, True, 1)
    assert asleep.estimate is not None
    assert (asleep.estimate.at, asleep.created) == (None, before.created)
    with QueueServer(desk.settings, other) as server:
        server.ready()
        until(lambda: not desk.lab.queue(desk.person)[0].asleep)
        awake = desk.lab.queue(desk.person)[0]
        assert (awake.id, awake.created, awake.position) == (number, before.created, 1)
        desk.lab.stop_container(desk.person, "first")
        desk.lab.remove_container(desk.person, "first")
        until(lambda: not desk.lab.queue(desk.person))
        until(lambda: desk.leased() == {SLOT: "active"})


def test_two_servers_of_one_person_make_one_container(desk: Desk, other: Person) -> None:
    desk.create("first", gpu=SLOT)
    with (
        QueueServer(desk.settings, other, request("second")) as one,
        QueueServer(desk.settings, other, request("third")) as two,
    ):
        assert sorted((one.ready(), two.ready())) == [1, 2]
        desk.lab.stop_container(desk.person, "first")
        desk.lab.remove_container(desk.person, "first")
        until(lambda: [e.position for e in desk.lab.queue(desk.person)] == [1])
        until(lambda: desk.leased() == {SLOT: "active"})
    names = {container.name for container in desk.lab.containers(other)}
    waiting = {entry.id: entry for entry in desk.lab.queue(other) if entry.state == "waiting"}
    assert len(names) == len(waiting) == 1
    assert names | {entry.name or "" for entry in waiting.values()} == {"second", "third"}


STEPS = (
    *("queue.joined", "claim.written", "claim.committed", "queue.started", "workspace.opened"),
    *("image.made", "create.done", "activate.committed", "start.done", "create.recorded"),
    *("queue.settling", "queue.settled"),
)


def test_whatever_dies_at_any_step_the_next_server_makes_it_right(
    desk: Desk, make_desk: Callable[..., Desk]
) -> None:
    """All at the same time: one server for each step, killed there; then one that goes on."""
    people = {step: make_desk().person for step in STEPS}
    servers = {
        step: QueueServer(desk.settings, person, request("box", gpu="any"), crash=step)
        for step, person in people.items()
    }
    try:
        ends = {step: server.died() for step, server in servers.items()}
    finally:
        for server in servers.values():
            server.process.kill()
            server.close()
    assert ends == dict.fromkeys(STEPS, -signal.SIGKILL)
    first = next(iter(people.values()))
    with QueueServer(desk.settings, first, crash="queue.recovered") as one:
        one.ready()
    for person in people.values():
        desk.lab.why(person, "none")  # from now on our server knows them all
    desk.lab._waiting.dispatcher.wake()
    until(lambda: not desk.lab.queue(desk.person), 60)
    for step, person in people.items():
        [entry] = desk.lab.queue(person)
        assert (entry.state, entry.name) == ("done", "box"), step
        [box] = [each for each in desk.lab.containers(person) if each.managed]
        assert (box.state, len(box.gpus)) == ("running", 1), step
        told = [notice.message for notice in desk.lab.notices(person)]
        assert len(told) == 1, (step, told)
    slots = [lease.slot_uuid for lease in desk.lab._ledger.live_leases()]
    assert len(slots) == len(set(slots)) == len(STEPS)


def test_a_server_that_stops_lets_the_place_wait(
    make_desk: Callable[..., Desk], other: Person
) -> None:
    desk = make_desk()
    desk.lab._operations._parallel = 0  # it stays queued until the server stops
    number = desk.lab.join_queue(other, request("second")).id
    until(lambda: state(desk, other, number) == "starting")
    desk.lab.close()
    entry = desk.lab.queue_entry(other, number)
    assert (entry.state, entry.position, entry.operation) == ("waiting", 1, None)
    assert desk.leased() == {}
    next_one = make_desk()
    next_one.lab.why(other, "none")  # from now on it knows who that is
    next_one.lab._waiting.dispatcher.wake()
    until(lambda: state(next_one, other, number) == "done")


# ---- what it costs -----------------------------------------------------------------------------


def test_an_idle_queue_asks_neither_docker_nor_the_driver(desk: Desk, other: Person) -> None:
    """Nobody waits: no calls at all. Somebody waits and nothing changes: none between the looks."""
    lab = desk.lab
    dispatcher = lab._waiting.dispatcher
    looks: list[str] = []
    look = lab._waiting.machine.look
    lab._waiting.machine.look = lambda: (looks.append("look"), look())[1]  # type: ignore[method-assign]
    desk.create("first", gpu=SLOT)
    for _ in range(5):
        dispatcher.round()
    assert (looks, dispatcher.tries) == ([], 0)
    lab.join_queue(other, request("second"))
    until(lambda: dispatcher.tries == 1)
    looks.clear()
    for _ in range(5):
        dispatcher.round()
    assert looks == []
