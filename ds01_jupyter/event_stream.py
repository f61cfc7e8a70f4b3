"""Following an operation over server-sent events, through broken connections."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import quote

import httpx
from httpx_sse import SSEError, connect_sse
from pydantic import BaseModel, ValidationError

from ds01_jupyter.client_answers import FINAL, refusal, unreachable
from ds01_jupyter.client_error import ClientError
from ds01_jupyter.core.models import OperationEvent

if TYPE_CHECKING:
    from ds01_jupyter.client import Client

T = TypeVar("T", bound=BaseModel)

HEARTBEAT = 45.0
"""Seconds of silence after which an event stream is taken for dead (the server speaks every 15)."""
FIRST_PAUSE = 0.2
LONGEST_PAUSE = 5.0
PASSING = frozenset({502, 503, 504})
"""What a proxy answers while the server behind it restarts."""
STREAM_TIMEOUT = httpx.Timeout(HEARTBEAT, connect=5.0)


def follow(
    http: httpx.Client, client: Client, operation_id: str, *, after: int, patience: float
) -> Iterator[OperationEvent]:
    """The events of an operation, see `Client.events`."""
    seen, pause, last_contact = after, FIRST_PAUSE, time.monotonic()
    while True:
        trouble: Exception | None = None
        try:
            for event in _stream(http, client, operation_id, seen):
                seen, pause, last_contact = event.id, FIRST_PAUSE, time.monotonic()
                yield event
                if event.kind == "state" and event.state in FINAL:
                    return
        except (httpx.TransportError, SSEError) as error:
            trouble = error
        except ClientError as error:
            if error.status not in PASSING:
                raise
            trouble = error
        else:
            final, trouble = _ended(client, operation_id, seen)
            if final is not None:
                yield final
                return
        if trouble is None:
            last_contact = time.monotonic()
        elif time.monotonic() - last_contact > patience:
            raise unreachable(trouble, client.server) from trouble
        time.sleep(pause)
        pause = min(pause * 2, LONGEST_PAUSE)


def _stream(
    http: httpx.Client, client: Client, operation_id: str, after: int
) -> Iterator[OperationEvent]:
    headers = {"Last-Event-ID": str(after)} if after else {}
    path = f"operations/{quote(operation_id, safe='')}/events"
    return documents(http, client, path, OperationEvent, headers)


def documents(
    http: httpx.Client, client: Client, path: str, kind: type[T], headers: Mapping[str, str]
) -> Iterator[T]:
    """The documents of one connection to a stream, until the server ends it.

    Raises `ClientError` for a refusal or a document that is not understood, and what httpx raises
    when the connection breaks.
    """
    with connect_sse(http, "GET", path, headers=headers, timeout=STREAM_TIMEOUT) as source:
        if not source.response.is_success:
            source.response.read()
            raise refusal(source.response, client.server)
        for message in source.iter_sse():
            if message.data:
                yield _parsed(kind, message.data)


def _parsed(kind: type[T], data: str) -> T:
    try:
        return kind.model_validate_json(data)
    except ValidationError as error:
        raise ClientError(
            "The server sent an event that was not understood.",
            hint="The server may run another version of ds01-jupyter: restart it and this kernel.",
            code="bad_answer",
        ) from error


def _ended(
    client: Client, operation_id: str, seen: int
) -> tuple[OperationEvent | None, ClientError | None]:
    """The final event of an operation whose stream closed before it told it; or the trouble."""
    try:
        operation = client.operation(operation_id)
    except ClientError as error:
        if error.code != "server_unreachable" and error.status not in PASSING:
            raise
        return None, error
    if operation.state not in FINAL:
        return None, None
    event = OperationEvent(
        id=seen + 1,
        time=operation.finished or operation.created,
        kind="state",
        state=operation.state,
    )
    return event, None
