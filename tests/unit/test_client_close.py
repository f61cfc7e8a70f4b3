"""A client that is closed leaves no connection open, whatever its other threads are doing."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ds01_jupyter.client import Client
from ds01_jupyter.client_error import ClientError
from tests.unit.lab_standin import Answer, Standin, about, running


@pytest.fixture
def standin() -> Iterator[Standin]:
    with running(Standin()) as server:
        server.replies["GET about"] = Answer(body=about())
        server.replies["GET gpus/stream"] = Answer(chunks=iter([b": hello\n\n"]))
        yield server


@pytest.mark.parametrize(
    "ask",
    [lambda client: client.about(), lambda client: next(client.gpu_events(patience=0.0))],
    ids=["a request", "a stream"],
)
def test_a_connection_that_is_just_made_is_closed_too(
    standin: Standin, monkeypatch: pytest.MonkeyPatch, ask: Callable[[Client], object]
) -> None:
    made: list[socket.socket] = []
    connected, go = threading.Event(), threading.Event()
    create = socket.create_connection

    def slowly(*arguments: Any, **options: Any) -> socket.socket:
        made.append(create(*arguments, **options))
        connected.set()
        assert go.wait(30)
        return made[-1]

    monkeypatch.setattr(socket, "create_connection", slowly)
    client = Client(standin.server(), timeout=5)
    refused: list[BaseException] = []

    def work() -> None:
        try:
            ask(client)
        except BaseException as error:
            refused.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    assert connected.wait(30)
    client.close()
    go.set()
    thread.join()
    assert [one.fileno() for one in made] == [-1]
    assert len(refused) == 1
    assert isinstance(refused[0], ClientError | RuntimeError)


def test_what_was_open_is_closed(standin: Standin, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[socket.socket] = []
    create = socket.create_connection

    def counting(*arguments: Any, **options: Any) -> socket.socket:
        made.append(create(*arguments, **options))
        return made[-1]

    monkeypatch.setattr(socket, "create_connection", counting)
    with Client(standin.server(), timeout=5) as client:
        client.about()
        client.about()
        assert len(made) == 1
        assert made[0].fileno() != -1
    assert made[0].fileno() == -1
