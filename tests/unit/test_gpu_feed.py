"""Following the GPUs: one event for all, when something has changed."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from ds01_jupyter.core.errors import LimitReached
from ds01_jupyter.core.gpu.feed import MAX_STREAMS, fingerprint
from ds01_jupyter.core.gpu.sampler import Pace
from ds01_jupyter.core.models import GpuSnapshot
from tests.rig.nvml import Machine
from tests.unit.desk import ANNA, BEN
from tests.unit.house import ONCE, PATIENCE, House, hangs_until, open_house, until


@pytest.fixture
def house(gpu_machine: Machine, simulated_nvml: Path, tmp_path: Path) -> Iterator[House]:
    yield from open_house(simulated_nvml, tmp_path)


def test_all_followers_get_the_same_event_made_once(house: House) -> None:
    feed = house.feed()
    streams = [feed.follow(person) for person in (ANNA, BEN) for _ in range(MAX_STREAMS)]
    events = [next(stream) for stream in streams]
    assert len({id(event) for event in events}) == 1
    assert GpuSnapshot.model_validate_json(events[0].data).gpus[0].index == 0
    for stream in streams:
        stream.close()


def test_nothing_is_sent_while_nothing_changes(house: House, gpu_machine: Machine) -> None:
    feed = house.feed()
    board = house.boards[-1][0]
    with feed.follow(ANNA) as stream:
        assert next(stream).id == 1
        looks = board.sampler.published
        assert looks is not None
        until(lambda: (board.sampler.published or looks).number > looks.number + 5)
        assert stream.take() is None
        gpu_machine.set(0, temp=80)
        changed = next(stream)
        assert changed.id == 2
        assert GpuSnapshot.model_validate_json(changed.data).gpus[0].temperature == 80
        house.desk.claim("box", "0")
        assert '"owner":"anna"' in next(stream).data


def test_a_slow_follower_gets_the_newest(house: House, gpu_machine: Machine) -> None:
    feed = house.feed()
    with feed.follow(ANNA) as slow, feed.follow(ANNA) as fast:
        next(fast)
        for temperature in (50, 60, 70):
            gpu_machine.set(0, temp=temperature)
            next(fast)
        event = slow.take()
        assert event is not None
        assert event.id == 4
        assert slow.take() is None


def test_streams_of_one_person_are_bounded(house: House) -> None:
    feed = house.feed(ONCE)
    streams = [feed.follow(ANNA) for _ in range(MAX_STREAMS)]
    with pytest.raises(LimitReached) as error:
        feed.follow(ANNA)
    assert error.value.details["limit"] == MAX_STREAMS
    other = feed.follow(BEN)
    streams.pop().close()
    streams.append(feed.follow(ANNA))
    for stream in (*streams, other):
        stream.close()
        stream.close()
    assert feed._followers == {}


def test_the_sampler_rests_when_the_last_follower_has_left(house: House) -> None:
    pace = Pace(interval=0.01, slow=0.01, watched=0.02, idle=0.05, stale=PATIENCE, patience=30)
    feed = house.feed(pace)
    sampler = house.boards[-1][0].sampler
    with feed.follow(ANNA) as stream:
        next(stream)
        seen = sampler.published
        assert seen is not None
        until(lambda: (sampler.published or seen).number > seen.number + 20)
        assert sampler.running, "a follower does not ask, but wants to know"
    until(lambda: not sampler.running)


def test_followers_hear_that_the_driver_hangs(house: House) -> None:
    gate = threading.Event()
    feed = house.feed(Pace(interval=0.01, stale=0.1, patience=0.1))
    with feed.follow(ANNA) as stream:
        next(stream)
        house.docker = hangs_until(gate)
        event = next(stream)
        while '"problem":"These figures are' not in event.data:
            event = next(stream)
        gate.set()
        while '"problem":"These figures are' in event.data:
            event = next(stream)


def test_followers_hear_of_a_driver_that_never_answered(house: House) -> None:
    gate = threading.Event()
    house.docker = hangs_until(gate)
    feed = house.feed(Pace(interval=0.01, stale=0.1, patience=0.1))
    with feed.follow(ANNA) as stream:
        snapshot = GpuSnapshot.model_validate_json(next(stream).data)
        gate.set()
    assert snapshot.gpus == []
    assert "has not answered" in (snapshot.problem or "")


def test_streams_end_with_the_server(house: House) -> None:
    feed = house.feed()
    stream = feed.follow(ANNA)
    next(stream)
    feed.close()
    assert list(stream) == []
    stream.close()


def test_the_fingerprint_sees_what_people_see(house: House) -> None:
    snapshot = house.board(ONCE).snapshot()
    same = snapshot.model_copy(update={"age": 3.0})
    assert fingerprint(same) == fingerprint(snapshot)
    gpu = snapshot.gpus[0]
    for change in (
        {"temperature": 90},
        {"utilisation": 0.9},
        {"utilisation": None},
        {"problem": "lost"},
        {"slots": [gpu.slots[0].model_copy(update={"state": "cordoned"})]},
        {"slots": [gpu.slots[0].model_copy(update={"memory_used": 30 << 30})]},
    ):
        other = snapshot.model_copy(
            update={"gpus": [gpu.model_copy(update=change), *snapshot.gpus[1:]]}
        )
        assert fingerprint(other) != fingerprint(snapshot), change
