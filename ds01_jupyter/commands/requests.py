"""From options to the API's request documents."""

from __future__ import annotations

import re
from argparse import Namespace
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from ds01_jupyter.client_error import ClientError
from ds01_jupyter.core import models

T = TypeVar("T")


def image_request(arguments: Namespace, name: str) -> models.ImageRequest:
    """The image that the options describe."""
    return checked(
        lambda: models.ImageRequest(
            name=name,
            framework=arguments.framework,
            version=arguments.version,
            architecture=arguments.architecture,
            base=base_tier(arguments.base),
            use_cases=split(arguments.use_case),
            pip=list(arguments.pip or ()),
            apt=split(arguments.apt),
            project=folder(arguments.project),
            dockerfile=arguments.dockerfile,
        )
    )


def container_request(
    arguments: Namespace, name: str, image: str | None
) -> models.ContainerRequest:
    """The container that the options describe, from `image` or from a bare framework."""
    framework = None
    if image is None and arguments.framework:
        framework = checked(
            lambda: models.FrameworkChoice(
                framework=arguments.framework,
                version=arguments.version,
                architecture=arguments.architecture,
            )
        )
    return checked(
        lambda: models.ContainerRequest(
            name=name,
            image=image,
            framework=framework,
            workspace=folder(arguments.workspace),
            data=folder(arguments.data),
            models=folder(arguments.models),
            gpu=arguments.gpu,
            gpus=arguments.gpus,
            start=not getattr(arguments, "no_start", False),
        )
    )


def image_name(container: str) -> str:
    """The name that the image of a container `container` gets.

    Images have small letters only, and end with a letter or digit.
    """
    return container.lower().rstrip("-_")


def base_tier(text: str | None) -> Any:
    """`defaults` (absent), `none`, or a list of packages."""
    if text is None or text.strip().casefold() == "defaults":
        return "defaults"
    if text.strip().casefold() == "none":
        return "none"
    return split([text])


def split(words: Iterable[str] | None) -> list[str]:
    """Words that may hold several, with commas or spaces between them."""
    return [part for word in words or () for part in re.split(r"[,\s]+", word) if part]


def folder(text: str | None) -> str | None:
    """A folder as the server can find it: `~` is its business, `.` is where we are."""
    if text is None or not text or text.startswith("~"):
        return text
    return str(Path.cwd() / text)


def checked(make: Callable[[], T]) -> T:
    """The document, or `ClientError` with the first thing that is wrong with it."""
    try:
        return make()
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "request"
        raise ClientError(
            f"{where} cannot be {short(first['input'])}: {first['msg']}.",
            code="invalid_input",
        ) from error


def short(value: Any) -> str:
    """A value for a sentence."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
