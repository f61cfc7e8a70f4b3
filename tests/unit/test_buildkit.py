"""Reading BuildKit's progress messages."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ds01_jupyter.core.buildkit import Vertex, VertexLog, decode


def varint(number: int) -> bytes:
    out = b""
    while True:
        out += bytes([number & 0x7F | (0x80 if number > 0x7F else 0)])
        number >>= 7
        if not number:
            return out


def message(*fields: tuple[int, int | bytes]) -> bytes:
    out = b""
    for number, value in fields:
        if isinstance(value, int):
            out += varint(number << 3) + varint(value)
        else:
            out += varint(number << 3 | 2) + varint(len(value)) + value
    return out


def encoded(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def test_a_vertex_with_all_that_is_used() -> None:
    vertex = message(
        (1, b"sha256:abc"), (2, b"sha256:input"), (3, b"[ 3/11] RUN x"), (4, 1), (5, b""), (6, b"")
    )
    (found,) = decode(encoded(message((1, vertex))))
    assert found == Vertex("sha256:abc", "[ 3/11] RUN x", True, True, True, "")
    assert found.step == (3, 11, "RUN x")


def test_a_failed_vertex_and_its_log() -> None:
    raw = message(
        (1, message((1, b"v"), (3, b"[2/2] RUN y"), (7, b"exit code: 1"))),
        (2, message((1, b"status"))),
        (3, message((1, b"v"), (3, 2), (4, "grün\n".encode()))),
    )
    vertex, log = decode(encoded(raw))
    assert isinstance(vertex, Vertex)
    assert vertex.error == "exit code: 1"
    assert not vertex.completed
    assert log == VertexLog("v", "grün\n")


@pytest.mark.parametrize(
    ("name", "step"),
    [
        ("[internal] load build definition from Dockerfile", None),
        ("exporting to image", None),
        ("[stage-0 2/4] COPY a /b", (2, 4, "COPY a /b")),
        ("[1/4] FROM registry.example/library/x", (1, 4, "FROM registry.example/library/x")),
        ('[ 9/10] RUN ["a",\n "b"]', (9, 10, 'RUN ["a",\n "b"]')),
    ],
)
def test_only_steps_of_the_dockerfile_have_a_number(
    name: str, step: tuple[int, int, str] | None
) -> None:
    assert Vertex("d", name, False, True, False, "").step == step


@pytest.mark.parametrize("raw", [b"\x0a\x05ab", b"\xff", b"\x08", b"\x0b", b"\x08" + b"\xff" * 12])
def test_what_is_cut_off_is_refused(raw: bytes) -> None:
    with pytest.raises(ValueError, match=r"cut off|wire type"):
        list(decode(encoded(raw)))


def test_what_is_not_base64_is_refused() -> None:
    with pytest.raises(ValueError, match="base64"):
        list(decode("!!!"))


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(raw: bytes) -> None:
    try:
        list(decode(encoded(raw)))
    except ValueError:
        return
