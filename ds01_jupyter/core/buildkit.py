"""BuildKit's progress: as it crosses the Engine API, a few protobuf fields decoded by hand, and as
buildx writes it with `--progress=rawjson`.

An event `{"id": "moby.buildkit.trace", "aux": "<base64>"}` holds a `StatusResponse` of
BuildKit's control API: 1 = vertexes, 2 = statuses, 3 = logs. A vertex is a step.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

TRACE = "moby.buildkit.trace"
IMAGE_ID = "moby.image.id"
_STEP = re.compile(
    r"^\[(?:[^\]\s]+\s)?\s*(?P<number>\d+)/(?P<total>\d+)\]\s+(?P<text>.*)$", re.DOTALL
)


@dataclass(frozen=True)
class Vertex:
    """A step: started, completed, from the cache, or failed with an `error`."""

    digest: str
    name: str
    cached: bool
    started: bool
    completed: bool
    error: str

    @property
    def step(self) -> tuple[int, int, str] | None:
        """Number, total and instruction of a Dockerfile's step; None for BuildKit's own work."""
        found = _STEP.match(self.name)
        if found is None:
            return None
        return int(found["number"]), int(found["total"]), found["text"]


@dataclass(frozen=True)
class VertexLog:
    """Output of a step; it may end in the middle of a line."""

    vertex: str
    text: str


def decode(aux: str) -> Iterator[Vertex | VertexLog]:
    """The vertexes and logs of one event; ValueError when it is not what BuildKit sends."""
    try:
        raw = base64.b64decode(aux, validate=True)
    except binascii.Error as error:
        raise ValueError(f"not base64: {error}") from error
    for number, value in _fields(raw):
        if number == 1:
            yield _vertex(_bytes(value))
        elif number == 3:
            yield _log(_bytes(value))


def of_json(status: Mapping[str, Any]) -> Iterator[Vertex | VertexLog]:
    """The same from a status of buildx; ValueError when it is not what buildx writes."""
    for vertex in status.get("vertexes") or ():
        yield Vertex(
            digest=str(vertex["digest"]),
            name=str(vertex.get("name", "")),
            cached=bool(vertex.get("cached")),
            started=bool(vertex.get("started")),
            completed=bool(vertex.get("completed")),
            error=str(vertex.get("error") or ""),
        )
    for log in status.get("logs") or ():
        try:
            text = base64.b64decode(log.get("data") or "", validate=True)
        except binascii.Error as error:
            raise ValueError(f"not base64: {error}") from error
        yield VertexLog(str(log["vertex"]), text.decode(errors="replace"))


def _vertex(raw: bytes) -> Vertex:
    digest = name = error = ""
    cached = started = completed = False
    for number, value in _fields(raw):
        if number == 1:
            digest = _text(value)
        elif number == 3:
            name = _text(value)
        elif number == 4:
            cached = bool(value)
        elif number == 5:
            started = True
        elif number == 6:
            completed = True
        elif number == 7:
            error = _text(value)
    return Vertex(digest, name, cached, started, completed, error)


def _log(raw: bytes) -> VertexLog:
    vertex = text = ""
    for number, value in _fields(raw):
        if number == 1:
            vertex = _text(value)
        elif number == 4:
            text = _text(value)
    return VertexLog(vertex, text)


def _bytes(value: int | bytes) -> bytes:
    if isinstance(value, int):
        raise ValueError("a message was expected, not a number")
    return value


def _text(value: int | bytes) -> str:
    return _bytes(value).decode(errors="replace")


def _fields(raw: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Number and value of each field: an int for varints, bytes for all else."""
    at = 0
    while at < len(raw):
        key, at = _varint(raw, at)
        number, wire = key >> 3, key & 7
        if wire == 0:
            value, at = _varint(raw, at)
            yield number, value
            continue
        if wire == 2:
            length, at = _varint(raw, at)
        elif wire in (1, 5):
            length = 8 if wire == 1 else 4
        else:
            raise ValueError(f"unknown wire type {wire}")
        if at + length > len(raw):
            raise ValueError("a field is cut off")
        yield number, raw[at : at + length]
        at += length


def _varint(raw: bytes, at: int) -> tuple[int, int]:
    result = shift = 0
    while True:
        if at >= len(raw) or shift > 63:
            raise ValueError("a number is cut off")
        byte = raw[at]
        at += 1
        result |= (byte & 0x7F) << shift
        if byte < 0x80:
            return result, at
        shift += 7
