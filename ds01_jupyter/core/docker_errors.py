"""Docker's errors in the words of `core.errors`: the one place where they are translated."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import requests
from docker.errors import APIError, DockerException
from urllib3.exceptions import HTTPError

from ds01_jupyter.core.errors import (
    Conflict,
    CoreError,
    DiskFull,
    EngineFailed,
    EngineUnavailable,
    InvalidInput,
    NotFound,
)

NO_SPACE = re.compile(r"no space left on device|disk quota exceeded", re.IGNORECASE)
_MISSING_MOUNT = re.compile(r"bind source path does not exist: (?P<path>.+)")
_NO_PROGRAM = re.compile(
    r"exec: \\?\"(?P<program>[^\"\\]+)\\?\": .*(?:no such file|not found|permission)"
)
_NO_GPU = re.compile(r"could not select device driver|nvidia-container-(cli|runtime)|libnvidia-ml")


@contextmanager
def translated(subject: str = "") -> Iterator[None]:
    """Run a call to Docker; `subject` names what it is about in the messages."""
    try:
        yield
    except CoreError:
        raise
    except APIError as error:
        raise from_answer(error.status_code, error.explanation or str(error), subject) from error
    except (requests.exceptions.Timeout, TimeoutError) as error:
        raise EngineUnavailable(
            "Docker did not answer in time.",
            hint="It may be busy; try again, and tell your admin when it stays so.",
        ) from error
    except (requests.exceptions.RequestException, HTTPError, OSError, DockerException) as error:
        raise _unreachable(error) from error


def from_answer(status: int | None, text: str, subject: str = "") -> CoreError:
    """The error for an answer of Docker: HTTP status and its sentence."""
    text = " ".join(str(text).split())
    if NO_SPACE.search(text):
        return disk_full(text)
    missing = _MISSING_MOUNT.search(text)
    if missing:
        path = missing["path"].strip()
        return InvalidInput(
            f"The folder {path} does not exist.", hint="Create it, or choose another.", path=path
        )
    program = _NO_PROGRAM.search(text)
    if program:
        return InvalidInput(
            f"The image has no {program['program']} that could be run, so no container of it can "
            "start.",
            hint="Choose an image made for working in, such as one from the catalogue.",
            program=program["program"],
            docker=text,
        )
    if _NO_GPU.search(text):
        return EngineFailed(
            "Docker could not give the container its GPU.",
            hint="Your admin should check the driver and the NVIDIA container toolkit.",
            docker=text,
        )
    if status == 404:
        return NotFound(f"Docker has no {subject or 'such object'}.", docker=text)
    if status == 409:
        return Conflict(_sentence(subject, text), docker=text)
    if status == 400:
        return InvalidInput(_sentence(subject, text), docker=text)
    return EngineFailed(_sentence(subject, text), docker=text)


def disk_full(text: str) -> DiskFull:
    """The error for a disk without space, as Docker or a build step told it."""
    return DiskFull(
        "The disk of the Docker engine is full.",
        hint="Remove images that nobody needs, or ask your admin for space.",
        docker=text,
    )


def _sentence(subject: str, text: str) -> str:
    about = f" about {subject}" if subject else ""
    return f"Docker said no{about}: {text.rstrip('.')}."


def _unreachable(error: BaseException) -> EngineUnavailable:
    text = str(error)
    if "Permission denied" in text:
        return EngineUnavailable(
            "You may not use Docker on this machine.",
            hint="Ask your admin to put you in the group docker, then log in again.",
            docker=text,
        )
    return EngineUnavailable(
        "Docker is not running, or cannot be reached.",
        hint="Ask your admin to start it (systemctl start docker).",
        docker=text,
    )
