"""Following an operation: order, resumption, and ends that nobody told."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from ds01_jupyter import event_stream
from ds01_jupyter.client import Client, ClientError
from ds01_jupyter.core.models import OperationEvent
from tests.unit import lab_standin as lab
from tests.unit.lab_standin import Answer, Standin, event

EVENTS, OPERATION = "GET operations/op1/events", "GET operations/op1"
RUNNING = event(1, "state", state="running")
STEP = event(2, "progress", progress={"phase": "build", "fraction": 0.5, "detail": ""})
LINE = event(3, "log", text="hello")
END = event(4, "state", state="succeeded")


@pytest.fixture
def standin(monkeypatch: pytest.MonkeyPatch) -> Iterator[Standin]:
    monkeypatch.setattr(event_stream, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(event_stream, "LONGEST_PAUSE", 0.02)
    with lab.running(Standin()) as server:
        yield server


@pytest.fixture
def client(standin: Standin) -> Iterator[Client]:
    with Client(standin.server(), timeout=5) as made:
        yield made


def stream(*chunks: bytes) -> Answer:
    return Answer(chunks=iter(chunks))


def ids(events: Any) -> list[int]:
    return [one.id for one in events]


def resumed_at(standin: Standin) -> list[str | None]:
    found = [r for r in standin.requests if r.path.endswith("/events")]
    return [request.headers.get("Last-Event-ID") for request in found]


def test_all_events_in_order(standin: Standin, client: Client) -> None:
    standin.replies[EVENTS] = stream(b": hello\n\n", RUNNING, STEP, b":\n\n", LINE, END)
    events = list(client.events("op1"))
    assert ids(events) == [1, 2, 3, 4]
    assert [one.kind for one in events] == ["state", "progress", "log", "state"]
    assert events[1].progress is not None
    assert events[1].progress.fraction == 0.5
    assert events[2].text == "hello"
    assert resumed_at(standin) == [None]


def test_a_broken_stream_goes_on_where_it_broke(standin: Standin, client: Client) -> None:
    standin.replies[EVENTS] = [stream(RUNNING, STEP), stream(LINE[:-5]), stream(LINE, END)]
    standin.replies[OPERATION] = Answer(body=lab.operation())
    assert ids(client.events("op1")) == [1, 2, 3, 4]
    assert resumed_at(standin) == [None, "2", "2"]


def test_beginning_later(standin: Standin, client: Client) -> None:
    standin.replies[EVENTS] = stream(END)
    assert ids(client.events("op1", after=3)) == [4]
    assert resumed_at(standin) == ["3"]


def test_a_stream_that_does_not_tell_the_end(standin: Standin, client: Client) -> None:
    standin.replies[EVENTS] = stream(RUNNING, STEP)
    standin.replies[OPERATION] = Answer(body=lab.operation("failed", finished=lab.NOW))
    events = list(client.events("op1"))
    assert ids(events) == [1, 2, 3]
    assert (events[-1].kind, events[-1].state) == ("state", "failed")


def test_a_proxy_whose_server_restarts(standin: Standin, client: Client) -> None:
    away = Answer(503, raw=b"<html>Service unavailable</html>")
    standin.replies[EVENTS] = [stream(RUNNING), away, away, stream(END)]
    standin.replies[OPERATION] = [away]
    assert ids(client.events("op1")) == [1, 4]


def test_a_refusal_is_not_tried_again(standin: Standin, client: Client) -> None:
    body = {"code": "not_found", "message": "There is no operation op1.", "hint": ""}
    standin.replies[EVENTS] = Answer(404, body)
    with pytest.raises(ClientError) as caught:
        list(client.events("op1"))
    assert caught.value.code == "not_found"
    assert len(standin.requests) == 1


def test_patience_ends(standin: Standin, client: Client) -> None:
    standin.replies[EVENTS] = Answer(503)
    with pytest.raises(ClientError) as caught:
        list(client.events("op1", patience=0.1))
    assert caught.value.code == "server_unreachable"
    assert len(standin.requests) > 1


def test_what_is_no_event(standin: Standin, client: Client) -> None:
    standin.replies[EVENTS] = stream(b"data: {}\n\n")
    with pytest.raises(ClientError) as caught:
        list(client.events("op1"))
    assert caught.value.code == "bad_answer"


def test_wait_returns_the_end(standin: Standin, client: Client) -> None:
    standin.replies[EVENTS] = stream(RUNNING, LINE, END)
    ended = lab.operation("succeeded", result=lab.image(), finished=lab.NOW)
    standin.replies[OPERATION] = [Answer(body=lab.operation()), Answer(body=ended)]
    seen: list[OperationEvent] = []
    operation = client.wait("op1", seen.append)
    assert operation.state == "succeeded"
    assert operation.result is not None
    assert operation.result["name"] == "demo"
    assert ids(seen) == [1, 3, 4]
