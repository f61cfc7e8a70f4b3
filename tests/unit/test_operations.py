"""Long work: states, events, cancel, and what is left of it after a restart."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ds01_jupyter.core.errors import Conflict, LimitReached, NotFound, ShuttingDown
from ds01_jupyter.core.identity import Person, process_owner
from ds01_jupyter.core.ledger import Ledger
from ds01_jupyter.core.models import Operation, OperationEvent
from ds01_jupyter.core.operation_job import MAX_EVENTS
from ds01_jupyter.core.operations import Operations, Progress

ME = Person("me", 1000, 1000, Path("/home/me"))
OTHER = Person("other", 1001, 1001, Path("/home/other"))
PATIENCE = 20.0


class MemoryStore:
    """Remembers like the ledger does, for as long as the test lasts."""

    def __init__(self) -> None:
        self.kept: dict[str, tuple[int, Operation]] = {}
        self.states: list[str] = []
        self.broken = False

    def save_operation(self, operation: Operation, uid: int) -> None:
        if self.broken:
            raise OSError("disk I/O error")
        self.kept[operation.id] = (uid, operation)
        self.states.append(operation.state)

    def load_operations(self, uid: int) -> list[Operation]:
        return [operation for owner, operation in self.kept.values() if owner == uid]


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def operations(store: MemoryStore) -> Iterator[Operations]:
    made = Operations(store, parallel=1)
    yield made
    made.close(timeout=PATIENCE)


def nothing(progress: Progress) -> dict[str, Any]:
    return {}


def begin(operations: Operations, work: Callable[[Progress], dict[str, Any]], **more: Any) -> str:
    return operations.start(ME, "image.create", "Build", work, **more).id


def followed(operations: Operations, key: str, after: int = 0) -> list[OperationEvent]:
    """All events until the end; fails when there is silence for long."""
    told = []
    for event in operations.events(ME, key, after=after, timeout=PATIENCE):
        assert event is not None, "no event for too long"
        told.append(event)
    return told


def states(events: list[OperationEvent]) -> list[str | None]:
    return [event.state for event in events if event.kind == "state"]


def test_success(operations: Operations, store: MemoryStore) -> None:
    def work(progress: Progress) -> dict[str, Any]:
        progress.step("pull", 0.5, "half")
        progress.log("a line")
        return {"name": "x"}

    key = begin(operations, work)
    events = followed(operations, key)

    assert [event.id for event in events] == [1, 2, 3, 4]
    assert [event.kind for event in events] == ["state", "progress", "log", "state"]
    assert states(events) == ["running", "succeeded"]
    assert events[2].text == "a line"
    ended = operations.get(ME, key)
    assert (ended.state, ended.result, ended.error) == ("succeeded", {"name": "x"}, None)
    assert ended.progress is not None
    assert ended.progress.fraction == 0.5
    assert ended.finished is not None
    assert store.states == ["queued", "running", "succeeded"]


def test_failure_keeps_the_error(operations: Operations) -> None:
    def work(progress: Progress) -> dict[str, Any]:
        raise LimitReached("You have 3 of 3 containers.", hint="Remove one.", limit=3)

    key = begin(operations, work)
    assert states(followed(operations, key)) == ["running", "failed"]
    error = operations.get(ME, key).error
    assert error is not None
    assert (error.code, error.hint, error.details) == (
        "limit_reached",
        "Remove one.",
        {"limit": 3},
    )


@pytest.mark.parametrize("raised", [ZeroDivisionError("1/0"), SystemExit(3)])
def test_an_unknown_exception_is_reported_and_the_thread_goes_on(
    operations: Operations, raised: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    def work(progress: Progress) -> dict[str, Any]:
        raise raised

    key = begin(operations, work)
    assert states(followed(operations, key)) == ["running", "failed"]
    error = operations.get(ME, key).error
    assert error is not None
    assert error.code == "internal_error"
    assert type(raised).__name__ in error.message
    assert "failed" in caplog.text
    assert states(followed(operations, begin(operations, nothing))) == ["running", "succeeded"]


def test_cancel_while_running_interrupts_the_wait(operations: Operations) -> None:
    interrupted, waiting = threading.Event(), threading.Event()

    def work(progress: Progress) -> dict[str, Any]:
        progress.on_cancel(interrupted.set)
        waiting.set()
        assert interrupted.wait(PATIENCE)
        progress.step("next")
        raise AssertionError("went on after the cancel")

    key = begin(operations, work)
    assert waiting.wait(PATIENCE)
    operations.cancel(ME, key)
    assert states(followed(operations, key)) == ["running", "cancelled"]
    error = operations.get(ME, key).error
    assert error is not None
    assert error.code == "cancelled"


def test_an_error_that_the_cancel_caused_is_a_cancel(operations: Operations) -> None:
    closed, waiting = threading.Event(), threading.Event()

    def work(progress: Progress) -> dict[str, Any]:
        progress.on_cancel(closed.set)
        waiting.set()
        closed.wait(PATIENCE)
        raise LimitReached("the stream is closed")

    key = begin(operations, work)
    assert waiting.wait(PATIENCE)
    operations.cancel(ME, key)
    assert states(followed(operations, key))[-1] == "cancelled"
    error = operations.get(ME, key).error
    assert error is not None
    assert error.details["ended_with"]["message"] == "the stream is closed"


def test_cancel_before_it_began_undoes_at_once(operations: Operations) -> None:
    go, undone, ran = threading.Event(), [], []
    first = begin(operations, lambda progress: {"went": go.wait(PATIENCE)})

    def work(progress: Progress) -> dict[str, Any]:
        ran.append(1)
        return {}

    queued = begin(operations, work, undo=lambda: undone.append(1))
    assert operations.cancel(ME, queued).state == "cancelled"
    assert undone == [1]
    assert states(followed(operations, queued)) == ["cancelled"]
    go.set()
    assert states(followed(operations, first)) == ["running", "succeeded"]
    assert states(followed(operations, begin(operations, nothing)))[-1] == "succeeded"
    assert ran == []
    assert undone == [1]


def test_undo_does_not_run_for_work_that_began(operations: Operations) -> None:
    undone: list[int] = []
    key = begin(operations, nothing, undo=lambda: undone.append(1))
    followed(operations, key)
    operations.cancel(ME, key)
    assert undone == []


def test_cancel_after_the_end_changes_nothing(operations: Operations) -> None:
    late: list[int] = []

    def work(progress: Progress) -> dict[str, Any]:
        progress.on_cancel(lambda: late.append(1))
        return {}

    key = begin(operations, work)
    followed(operations, key)
    assert operations.cancel(ME, key).state == "succeeded"
    assert late == []


def test_replay_after_an_id(operations: Operations) -> None:
    def work(progress: Progress) -> dict[str, Any]:
        for number in range(10):
            progress.log(str(number))
        return {}

    key = begin(operations, work)
    everything = followed(operations, key)
    assert [event.id for event in everything] == list(range(1, 13))
    assert followed(operations, key, after=7) == everything[7:]
    assert followed(operations, key, after=12) == []
    assert followed(operations, key, after=99) == []


def test_only_the_newest_events_are_kept(operations: Operations) -> None:
    def work(progress: Progress) -> dict[str, Any]:
        for number in range(MAX_EVENTS):
            progress.log(str(number))
        return {}

    key = begin(operations, work)
    followed(operations, key)
    kept = followed(operations, key)
    assert len(kept) == MAX_EVENTS
    assert [event.id for event in kept] == list(range(3, MAX_EVENTS + 3))


def test_silence_yields_none(operations: Operations) -> None:
    go = threading.Event()
    key = begin(operations, lambda progress: {"went": go.wait(PATIENCE)})
    stream = operations.events(ME, key, timeout=0.01)
    first = next(stream)
    assert first is None or first.state == "running"
    seen = [next(stream) for _ in range(3)]
    assert None in seen
    go.set()
    assert [each.state for each in stream if each is not None][-1:] == ["succeeded"]


def test_many_readers_see_every_event_once_without_threads_of_ours(
    operations: Operations,
) -> None:
    go = threading.Event()

    def work(progress: Progress) -> dict[str, Any]:
        assert go.wait(PATIENCE)
        for number in range(500):
            progress.log(str(number))
        return {}

    key = begin(operations, work)
    threads = threading.active_count()
    woken = threading.Event()
    streams = [operations.events(ME, key) for _ in range(50)]
    detach = [stream.subscribe(woken.set) for stream in streams]
    assert threading.active_count() == threads
    go.set()
    told: list[list[int]] = [[] for _ in streams]
    deadline = time.monotonic() + PATIENCE
    while not all(stream.ended for stream in streams):
        assert time.monotonic() < deadline
        assert woken.wait(PATIENCE), "nobody called"
        woken.clear()
        for stream, ids in zip(streams, told, strict=True):
            ids += [event.id for event in stream.take()]
    assert all(ids == list(range(1, 503)) for ids in told)
    for leave in detach:
        leave()


def test_whoever_sees_the_final_state_can_have_its_event(operations: Operations) -> None:
    """The ledger may be slow: a reader must not leave between the state and its event."""
    for _ in range(30):
        key = begin(operations, nothing)
        stream = operations.events(ME, key)
        while not stream.ended:
            events = stream.take()
        assert events[-1].state == "succeeded"


def test_a_listener_that_fails_does_not_stop_the_work(operations: Operations) -> None:
    go = threading.Event()

    def work(progress: Progress) -> dict[str, Any]:
        assert go.wait(PATIENCE)
        return {}

    key = begin(operations, work)

    def broken() -> None:
        raise RuntimeError("Event loop is closed")

    operations.events(ME, key).subscribe(broken)
    go.set()
    assert states(followed(operations, key))[-1] == "succeeded"


def test_an_outcome_that_cannot_be_saved_is_shown(
    operations: Operations, store: MemoryStore, caplog: pytest.LogCaptureFixture
) -> None:
    def work(progress: Progress) -> dict[str, Any]:
        store.broken = True
        return {"name": "x"}

    key = begin(operations, work)
    assert states(followed(operations, key)) == ["running", "succeeded"]
    assert operations.get(ME, key).result == {"name": "x"}
    operations.close(timeout=PATIENCE)
    assert "could not be saved" in caplog.text


def test_anybody_elses_is_not_found(operations: Operations) -> None:
    key = begin(operations, nothing)
    followed(operations, key)
    assert operations.list(OTHER) == []
    assert [each.id for each in operations.list(ME)] == [key]
    for look in (operations.get, operations.cancel, operations.events):
        with pytest.raises(NotFound):
            look(OTHER, key)
    with pytest.raises(NotFound):
        operations.get(ME, "0" * 16)


def test_close_cancels_and_waits(store: MemoryStore) -> None:
    operations = Operations(store, parallel=2)
    running, cleaned = threading.Barrier(3), []

    def work(progress: Progress) -> dict[str, Any]:
        stop = threading.Event()
        progress.on_cancel(stop.set)
        running.wait(PATIENCE)
        try:
            assert stop.wait(PATIENCE)
            progress.check()
        finally:
            cleaned.append(1)
        return {}

    undone: list[int] = []
    keys = [begin(operations, work), begin(operations, work)]
    keys.append(begin(operations, work, undo=lambda: undone.append(1)))
    running.wait(PATIENCE)
    assert operations.close(timeout=PATIENCE)
    assert [operations.get(ME, key).state for key in keys] == ["cancelled"] * 3
    assert cleaned == [1, 1]
    assert undone == [1]
    with pytest.raises(ShuttingDown):
        begin(operations, nothing)


def test_close_does_not_wait_for_ever(store: MemoryStore) -> None:
    operations = Operations(store)
    deaf, begun = threading.Event(), threading.Event()

    def work(progress: Progress) -> dict[str, Any]:
        begun.set()
        return {"heard": deaf.wait(PATIENCE)}

    key = begin(operations, work)
    assert begun.wait(PATIENCE)
    assert not operations.close(timeout=0.05)
    assert operations.get(ME, key).state == "running"
    assert all(thread.daemon for thread in threading.enumerate() if "ds01-operation" in thread.name)
    deaf.set()
    followed(operations, key)


def test_work_of_another_living_process_is_polled_and_not_cancelled(store: MemoryStore) -> None:
    elsewhere = Operations(store)
    go = threading.Event()
    key = elsewhere.start(
        ME, "container.create", "Create", lambda progress: {"went": go.wait(PATIENCE)}
    ).id
    here = Operations(store)
    stream = here.events(ME, key, timeout=PATIENCE)
    first = next(stream)
    assert first is not None
    assert first.state in {"queued", "running"}
    with pytest.raises(Conflict):
        here.cancel(ME, key)
    go.set()
    rest = [event for event in stream if event is not None]
    assert rest[-1].state == "succeeded"
    assert rest[-1].id > first.id
    assert here.cancel(ME, key).state == "succeeded"
    elsewhere.close(timeout=PATIENCE)


CHILD = """
import sys, time
from pathlib import Path
from ds01_jupyter.core.identity import process_owner
from ds01_jupyter.core.ledger import Ledger
from ds01_jupyter.core.operations import Operations

def work(progress):
    print("begun", flush=True)
    time.sleep(60)
    return {}

Operations(Ledger(Path(sys.argv[1]))).start(process_owner(), "image.create", "Build", work)
time.sleep(60)
"""


def test_what_a_dead_process_left_is_interrupted(tmp_path: Path) -> None:
    """On the real ledger: a child begins an operation and is killed in the middle of it."""
    person, path = process_owner(), tmp_path / "ledger.sqlite"
    with subprocess.Popen(
        [sys.executable, "-c", CHILD, str(path)],
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"begun\n"
        ledger = Ledger(path)
        assert [each.state for each in Operations(ledger).list(person)] == ["running"]
        child.kill()
    (left,) = Operations(ledger).list(person)
    assert left.state == "interrupted"
    events = [event for event in Operations(ledger).events(person, left.id, after=4) if event]
    assert [(event.id, event.state) for event in events] == [(5, "interrupted")]
    ledger.close()
