"""A place in the queue is watched until its turn: left, lost and stopped on the way."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from ds01_jupyter import queue_watch
from ds01_jupyter.client_error import ClientError
from ds01_jupyter.core import models
from ds01_jupyter.queue_watch import QueueWatch
from tests.unit.queue_documents import NOW, entry


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue_watch, "PACE", 0.001)


class Desk:
    """Answers with one entry after the other, the last one again and again; errors are raised."""

    def __init__(self, *answers: Any) -> None:
        self.answers: Iterator[Any] = iter(answers)
        self.last: Any = None
        self.left: list[int] = []
        self.refuse: ClientError | None = None
        self.looks = 0

    def queue_entry(self, entry_id: int) -> models.QueueEntry:
        self.looks += 1
        assert self.looks < 500, "it looks without an end"
        self.last = next(self.answers, self.last)
        if isinstance(self.last, ClientError):
            raise self.last
        assert isinstance(self.last, models.QueueEntry)
        return self.last

    def leave_queue(self, entry_id: int) -> None:
        self.left.append(entry_id)
        if self.refuse is not None:
            raise self.refuse

    def operation(self, operation_id: str) -> models.Operation:
        return models.Operation(
            id=operation_id, kind="container.create", title="x", owner="alice", state="running",
            created=NOW,
        )  # fmt: skip


def gone() -> ClientError:
    return ClientError("The server is away.", hint="Look.", code="server_unreachable")


def watch(desk: Desk, first: models.QueueEntry | None = None) -> tuple[QueueWatch, list[Any]]:
    told: list[Any] = []
    return QueueWatch(
        desk, first or entry(), lambda now: told.append((now.state, now.position))
    ), told


def test_it_is_watched_until_its_operation_is_there() -> None:
    desk = Desk(
        entry(position=1),
        entry(state="starting", position=None),
        entry(state="starting", position=None, operation="op9"),
    )
    watching, told = watch(desk)
    operation = watching.run()
    assert operation is not None
    assert operation.id == "op9"
    assert told == [("waiting", 2), ("waiting", 1), ("starting", None), ("starting", None)]
    assert desk.left == []


def test_one_that_begins_at_once_is_not_looked_at_again() -> None:
    desk = Desk()
    watching, _ = watch(desk, entry(state="starting", position=None, operation="op9"))
    assert watching.run() is not None
    assert desk.looks == 0


def test_leaving_gives_the_place_up() -> None:
    desk = Desk(entry())
    watching, told = watch(desk)
    watching.leave()
    with pytest.raises(ClientError) as caught:
        watching.run()
    assert caught.value.code == "cancelled"
    assert desk.left == [7]
    assert told[-1] == ("cancelled", None)


def test_a_turn_that_came_before_the_leaving_is_answered_with_its_operation() -> None:
    desk = Desk(
        entry(state="starting", position=None),
        entry(state="starting", position=None, operation="op9"),
    )
    desk.refuse = ClientError("It is starting.", code="conflict")
    watching, _ = watch(desk)
    watching.leave()
    operation = watching.run()
    assert operation is not None
    assert operation.id == "op9", "whoever asked to leave can cancel it"


def test_a_place_that_cannot_be_given_up_says_why() -> None:
    desk = Desk(entry())
    desk.refuse = ClientError("The ledger is locked.", code="ledger_unavailable")
    watching, _ = watch(desk)
    watching.leave()
    with pytest.raises(ClientError, match="The ledger is locked"):
        watching.run()


def test_stopping_keeps_the_place() -> None:
    desk = Desk(entry())
    watching, told = watch(desk)
    watching.stop()
    assert watching.run() is None
    assert (desk.left, told) == ([], [])


@pytest.mark.parametrize(
    ("last", "code", "said"),
    [
        (entry(state="failed", position=None, problem="The image is gone."), "failed", "is gone"),
        (entry(state="failed", position=None), "failed", "could not be made"),
        (entry(state="cancelled", position=None), "cancelled", "given up"),
        (entry(state="done", position=None), "conflict", "was made"),
    ],
)
def test_what_comes_to_nothing_says_why(last: models.QueueEntry, code: str, said: str) -> None:
    watching, _ = watch(Desk(last))
    with pytest.raises(ClientError, match=said) as caught:
        watching.run()
    assert caught.value.code == code


def test_a_server_that_is_away_is_asked_again() -> None:
    watching, _ = watch(Desk(gone(), gone(), entry(operation="op9")))
    assert watching.run() is not None


def test_a_server_that_stays_away_is_left_and_the_place_is_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(queue_watch, "PATIENCE", 0.0)
    desk = Desk(gone())
    watching, _ = watch(desk)
    with pytest.raises(ClientError) as caught:
        watching.run()
    assert caught.value.hint == "Look. The place in the queue is kept."
    assert desk.left == []


def test_other_refusals_end_the_watch() -> None:
    watching, _ = watch(Desk(ClientError("No such entry.", code="not_found")))
    with pytest.raises(ClientError, match="No such entry"):
        watching.run()
