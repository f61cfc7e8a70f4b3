"""Following the GPUs over server-sent events, through broken connections."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import httpx
from httpx_sse import SSEError, connect_sse
from pydantic import ValidationError

from ds01_jupyter.client import refusal, unreachable
from ds01_jupyter.client_error import ClientError
from ds01_jupyter.core.models import GpuSnapshot
from ds01_jupyter.event_stream import FIRST_PAUSE, LONGEST_PAUSE, PASSING, STREAM_TIMEOUT

if TYPE_CHECKING:
    from ds01_jupyter.client import Client


def follow(http: httpx.Client, client: Client, *, patience: float) -> Iterator[GpuSnapshot]:
    """Snapshots as they come, see `Client.gpu_events`."""
    pause, last_contact = FIRST_PAUSE, time.monotonic()
    while True:
        trouble: Exception | None = None
        try:
            for snapshot in _stream(http, client):
                pause, last_contact = FIRST_PAUSE, time.monotonic()
                yield snapshot
        except (httpx.TransportError, SSEError) as error:
            trouble = error
        except ClientError as error:
            if error.status not in PASSING:
                raise
            trouble = error
        if time.monotonic() - last_contact > patience:
            trouble = trouble or httpx.ReadError("the stream ends as soon as it begins")
            raise unreachable(trouble, client.server) from trouble
        time.sleep(pause)
        pause = min(pause * 2, LONGEST_PAUSE)


def _stream(http: httpx.Client, client: Client) -> Iterator[GpuSnapshot]:
    with connect_sse(http, "GET", "gpus/stream", timeout=STREAM_TIMEOUT) as source:
        if not source.response.is_success:
            source.response.read()
            raise refusal(source.response, client.server)
        for message in source.iter_sse():
            if message.data:
                yield _snapshot(message.data)


def _snapshot(data: str) -> GpuSnapshot:
    try:
        return GpuSnapshot.model_validate_json(data)
    except ValidationError as error:
        raise ClientError(
            "The server sent a snapshot that was not understood.",
            hint="The server may run another version of ds01-jupyter: restart it and this kernel.",
            code="bad_answer",
        ) from error
