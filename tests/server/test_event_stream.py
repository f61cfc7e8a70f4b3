"""Following an operation over server-sent events."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from ds01_jupyter.app import THREADS, DS01App
from ds01_jupyter.core.models import Operation, OperationEvent
from ds01_jupyter.core.operations import Progress, Work
from ds01_jupyter.handlers import sse
from tests.server.conftest import Ask

PATIENCE = 20.0
Begin = Callable[[Work], Operation]


def parsed(body: bytes) -> list[tuple[int, str, OperationEvent]]:
    """Id, name and document of each event."""
    events = []
    for block in body.decode().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if line[:1] != ":")
        if fields:
            event = OperationEvent.model_validate_json(fields["data"])
            events.append((int(fields["id"]), fields["event"], event))
    return events


def chatty(progress: Progress) -> dict[str, Any]:
    progress.step("pull", 0.25)
    progress.log("one\ntwo: three")
    return {}


async def test_all_events_and_then_the_end(ask: Ask, begin_work: Begin) -> None:
    operation = begin_work(chatty)
    answer = await ask("GET", f"operations/{operation.id}/events")
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "text/event-stream"
    assert answer.headers["Cache-Control"] == "no-cache"
    assert answer.headers["X-Accel-Buffering"] == "no"
    events = parsed(answer.body)
    assert [(key, name) for key, name, _ in events] == [
        (1, "state"),
        (2, "progress"),
        (3, "log"),
        (4, "state"),
    ]
    assert [key for key, _, event in events if event.id != key] == []
    assert events[2][2].text == "one\ntwo: three"
    assert events[3][2].state == "succeeded"


async def test_resume(ask: Ask, begin_work: Begin, jp_auth_header: dict[str, str]) -> None:
    path = f"operations/{begin_work(chatty).id}/events"
    everything = parsed((await ask("GET", path)).body)
    headers = {**jp_auth_header, "Last-Event-ID": "2"}
    assert parsed((await ask("GET", path, headers=headers)).body) == everything[2:]
    assert parsed((await ask("GET", f"{path}?after=3")).body) == everything[3:]
    # the header is what a browser sends when it reconnects to the address it was given
    assert parsed((await ask("GET", f"{path}?after=1", headers=headers)).body) == everything[2:]
    ended = await ask("GET", f"{path}?after=4")
    assert (ended.status, ended.body) == (200, b"")


async def test_an_unknown_operation_is_404_and_no_stream(ask: Ask) -> None:
    answer = await ask("GET", "operations/0123456789abcdef/events")
    assert (answer.status, answer.json["code"]) == (404, "not_found")


async def test_silence_is_filled_with_comments(
    ask: Ask, begin_work: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sse, "HEARTBEAT", 0.02)
    go, parts = threading.Event(), []

    def received(part: bytes) -> None:
        parts.append(part)
        if b"".join(parts).count(b": alive\n\n") >= 3:
            go.set()

    operation = begin_work(lambda progress: {"went": go.wait(PATIENCE)})
    path = f"operations/{operation.id}/events"
    assert (await ask("GET", path, streaming_callback=received)).status == 200
    assert go.is_set()
    assert [event.state for _, _, event in parsed(b"".join(parts))] == ["running", "succeeded"]


async def test_fifty_streams_leave_the_server_free(
    ask: Ask, begin_work: Begin, http_server_client: Any
) -> None:
    go, seen = threading.Event(), asyncio.Semaphore(0)

    def work(progress: Progress) -> dict[str, Any]:
        assert go.wait(PATIENCE)
        for number in range(100):
            progress.log(str(number))
        return {}

    path = f"operations/{begin_work(work).id}/events"
    http_server_client.max_clients = 60
    bodies: list[list[bytes]] = [[] for _ in range(50)]

    def receiver(parts: list[bytes]) -> Callable[[bytes], None]:
        def received(part: bytes) -> None:
            parts.append(part)
            seen.release()

        return received

    following = [
        asyncio.ensure_future(ask("GET", path, streaming_callback=receiver(parts)))
        for parts in bodies
    ]
    for _ in following:
        await asyncio.wait_for(seen.acquire(), PATIENCE)
    assert len(following) > THREADS * 2
    assert (await ask("GET", "operations")).status == 200
    go.set()
    assert {answer.status for answer in await asyncio.gather(*following)} == {200}
    assert [len(parsed(b"".join(parts))) for parts in bodies] == [102] * len(bodies)


async def test_a_client_that_leaves_is_forgotten(
    ask: Ask,
    begin_work: Begin,
    app: DS01App,
    http_server: Any,
    jp_base_url: str,
    jp_auth_header: dict[str, str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    go = threading.Event()
    operation = begin_work(lambda progress: {"went": go.wait(PATIENCE)})
    job = app.lab_and_owner()[0]._operations._jobs[operation.id]
    (sock,) = http_server._sockets.values()
    reader, writer = await asyncio.open_connection("127.0.0.1", sock.getsockname()[1])
    writer.write(
        f"GET {jp_base_url}ds01/api/operations/{operation.id}/events HTTP/1.1\r\n"
        f"Host: 127.0.0.1\r\nAuthorization: {jp_auth_header['Authorization']}\r\n\r\n".encode()
    )
    await asyncio.wait_for(reader.readuntil(b"running"), PATIENCE)
    assert len(job._listeners) == 1
    writer.close()
    for _ in range(1000):
        if not job._listeners:
            break
        await asyncio.sleep(0.01)
    assert job._listeners == []
    go.set()
    await ask("GET", f"operations/{operation.id}/events")
    assert "Traceback" not in caplog.text
    assert "Uncaught" not in caplog.text


async def test_cancel(ask: Ask, begin_work: Begin, jp_base_url: str) -> None:
    begun = threading.Event()

    def work(progress: Progress) -> dict[str, Any]:
        stop = threading.Event()
        progress.on_cancel(stop.set)
        begun.set()
        assert stop.wait(PATIENCE)
        progress.check()
        return {}

    operation = begin_work(work)
    path = f"operations/{operation.id}"
    assert begun.wait(PATIENCE)
    assert (await ask("GET", path)).json["state"] == "running"
    answer = await ask("DELETE", path)
    assert answer.status == 202
    assert answer.headers["Location"] == f"{jp_base_url}ds01/api/{path}"
    assert parsed((await ask("GET", f"{path}/events")).body)[-1][2].state == "cancelled"
    ended = (await ask("GET", path)).json
    assert (ended["state"], ended["error"]["code"]) == ("cancelled", "cancelled")
    assert [each["id"] for each in (await ask("GET", "operations")).json] == [operation.id]
    assert (await ask("DELETE", path)).json["state"] == "cancelled"
