"""Docker's errors in our words."""

from __future__ import annotations

import pytest
import requests
from docker.errors import APIError, DockerException

from ds01_jupyter.core.docker_errors import from_answer, translated
from ds01_jupyter.core.errors import (
    Cancelled,
    Conflict,
    CoreError,
    DiskFull,
    EngineFailed,
    EngineUnavailable,
    InvalidInput,
    NotFound,
)


@pytest.mark.parametrize(
    ("status", "text", "kind"),
    [
        (404, "No such container: x", NotFound),
        (409, 'Conflict. The container name "/x" is already in use', Conflict),
        (400, "invalid mount config: bind source path does not exist: /nope", InvalidInput),
        (400, "invalid reference format", InvalidInput),
        (500, "write /var/lib/docker/x: no space left on device", DiskFull),
        (500, 'could not select device driver "" with capabilities: [[gpu]]', EngineFailed),
        (500, "something else", EngineFailed),
        (None, "disk quota exceeded", DiskFull),
    ],
)
def test_each_answer_has_its_kind(status: int | None, text: str, kind: type[CoreError]) -> None:
    error = from_answer(status, text, "container x")
    assert type(error) is kind
    assert error.message.endswith(".")
    assert text in error.details.get("docker", text)


def test_a_missing_folder_is_named() -> None:
    error = from_answer(400, "bind source path does not exist: /home/a b")
    assert error.message == "The folder /home/a b does not exist."
    assert error.details["path"] == "/home/a b"


@pytest.mark.parametrize(
    "raised",
    [
        requests.exceptions.ConnectionError("refused"),
        requests.exceptions.ReadTimeout("slow"),
        DockerException("Error while fetching server API version"),
        ConnectionResetError("gone"),
        TimeoutError("slow"),
    ],
)
def test_an_engine_that_does_not_answer_is_unavailable(raised: Exception) -> None:
    with pytest.raises(EngineUnavailable) as caught, translated():
        raise raised
    assert caught.value.hint


def test_missing_permission_is_told_apart() -> None:
    raised = requests.exceptions.ConnectionError("PermissionError(13, 'Permission denied')")
    with pytest.raises(EngineUnavailable, match="may not use Docker"), translated():
        raise raised


def test_our_own_errors_pass_through() -> None:
    with pytest.raises(Cancelled), translated():
        raise Cancelled("stop")


def test_an_api_error_without_an_answer_is_a_failure() -> None:
    with pytest.raises(EngineFailed), translated():
        raise APIError("odd")
