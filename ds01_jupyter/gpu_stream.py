"""Following the GPUs over server-sent events, through broken connections."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import httpx
from httpx_sse import SSEError

from ds01_jupyter.client_answers import unreachable
from ds01_jupyter.client_error import ClientError
from ds01_jupyter.core.models import GpuSnapshot
from ds01_jupyter.event_stream import FIRST_PAUSE, LONGEST_PAUSE, PASSING, documents

if TYPE_CHECKING:
    from ds01_jupyter.client import Client


def follow(http: httpx.Client, client: Client, *, patience: float) -> Iterator[GpuSnapshot]:
    """Snapshots as they come, see `Client.gpu_events`."""
    pause, last_contact = FIRST_PAUSE, time.monotonic()
    while True:
        trouble: Exception | None = None
        try:
            for snapshot in documents(http, client, "gpus/stream", GpuSnapshot, {}):
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
