"""`--from FILE`: what people have already. The file is read here; the server gets its text."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from ds01_jupyter.client_error import ClientError
from ds01_jupyter.commands.context import Context
from ds01_jupyter.commands.image_change import joined
from ds01_jupyter.core import models
from ds01_jupyter.core.image_sources.documents import MAX_SOURCE


def taken(context: Context, arguments: Namespace) -> list[models.ImageImport]:
    """What the files of `--from` hold; notes on what was not taken are shown. `ClientError`."""
    from ds01_jupyter.render import resolution_views

    found = []
    for name in arguments.files or ():
        document = context.client().import_packages(
            Path(name).name, text_of(name), arguments.extra or ()
        )
        context.show(resolution_views.imported(document, name))
        found.append(document)
    return found


def take_files(context: Context, arguments: Namespace) -> None:
    """Put what `--from` holds into the options; what was given as an option counts more."""
    for document in taken(context, arguments):
        if document.framework and not arguments.framework:
            arguments.framework = document.framework
            arguments.version = arguments.version or document.version
        arguments.pip = joined(document.pip, arguments.pip or [])
        arguments.apt = list(dict.fromkeys([*document.apt, *(arguments.apt or [])]))


def text_of(name: str) -> str:
    """The text of a file here. Raises `ClientError` for what is no text or far too long."""
    path = Path(name).expanduser()
    try:
        if path.stat().st_size > MAX_SOURCE:
            raise ClientError(
                f"{name} is too large: {path.stat().st_size} bytes, at most {MAX_SOURCE} are read.",
                hint="Give a requirements.txt, pyproject.toml, environment.yml or Dockerfile.",
                code="invalid_input",
            )
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ClientError(
            f"{name} is not a text file.", hint="It must be UTF-8.", code="invalid_input"
        ) from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ClientError(
            f"{name} cannot be read: {reason}.",
            hint=f"It is looked for from {Path.cwd()}.",
            code="not_found",
        ) from error
