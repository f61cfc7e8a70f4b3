"""Bad requests over HTTP, on a machine with neither Docker nor driver: status, code and a hint."""

from __future__ import annotations

from typing import Any

import pytest

from tests.server.conftest import Ask

FRAMEWORK = {"framework": "Pytorch", "version": "2.5.1"}
IMAGE = {"name": "i", "base": "none", **FRAMEWORK}
CONTAINER = {"name": "c", "gpu": "none", "framework": FRAMEWORK}


@pytest.fixture
def docker_host() -> str:
    """No engine."""
    return "unix:///nonexistent/docker.sock"


@pytest.mark.parametrize(
    ("path", "body", "status", "code"),
    [
        ("images", {**IMAGE, "name": "a b"}, 400, "invalid_input"),
        ("images", {**IMAGE, "name": "x" * 200}, 400, "invalid_input"),
        ("images", {**IMAGE, "name": "../x"}, 400, "invalid_input"),
        ("images", {**IMAGE, "pip": ["numpy; rm -rf /"]}, 400, "invalid_input"),
        ("images", {**IMAGE, "pip": ["$(id)"]}, 400, "invalid_input"),
        ("images", {**IMAGE, "pip": ["numpy\n-r x"]}, 400, "invalid_input"),
        ("images", {**IMAGE, "pip": ["https://x/y.whl"]}, 400, "invalid_input"),
        ("images", {**IMAGE, "apt": ["git-"]}, 400, "invalid_input"),
        ("images", {**IMAGE, "apt": ["-o x"]}, 400, "invalid_input"),
        ("images", {**IMAGE, "framework": "Pytorhc"}, 404, "not_found"),
        ("images", {**IMAGE, "version": "99"}, 404, "not_found"),
        ("images", {**IMAGE, "architecture": "CUDA_X"}, 404, "not_found"),
        ("images", {**IMAGE, "architecture": "ROCM6"}, 400, "invalid_input"),
        ("images", {**IMAGE, "project": "/etc"}, 400, "invalid_input"),
        ("images", IMAGE, 503, "docker_unavailable"),
        ("images", {**IMAGE, "base": 1}, 400, "invalid_input"),
        ("images", {"name": "i"}, 400, "invalid_input"),
        ("containers", {**CONTAINER, "name": "a\nb"}, 400, "invalid_input"),
        ("containers", {**CONTAINER, "name": "-a"}, 400, "invalid_input"),
        ("containers", {**CONTAINER, "gpu": "0;id"}, 400, "invalid_input"),
        ("containers", {**CONTAINER, "workspace": "/etc"}, 400, "invalid_input"),
        ("containers", {**CONTAINER, "workspace": "relative"}, 400, "invalid_input"),
        ("containers", {**CONTAINER, "framework": {"framework": "X"}}, 404, "not_found"),
        ("containers", {**CONTAINER, "framework": {"x": 1}}, 400, "invalid_input"),
        ("containers", {"name": "c", "image": "a b"}, 400, "invalid_input"),
        ("containers", {"name": "c", "gpu": "none"}, 400, "invalid_input"),
    ],
)
async def test_each_is_told_clearly(
    ask: Ask, path: str, body: dict[str, Any], status: int, code: str
) -> None:
    answer = await ask("POST", path, body=body)
    assert (answer.status, answer.json["code"]) == (status, code), answer.json
    assert answer.json["message"].endswith(".")
    assert "\n" not in answer.json["message"]
    assert answer.json["hint"]
    assert (await ask("GET", "operations")).json == []
