"""`limits check`: what is wrong with a limits file, for admins."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from ds01_jupyter.client_error import ClientError
from ds01_jupyter.commands.context import Context
from ds01_jupyter.core.models import MAX_LIMITS_TEXT
from ds01_jupyter.render import View


def check(context: Context, arguments: Namespace) -> View:
    """`limits check FILE`: the exit status is 1 when there are mistakes."""
    from ds01_jupyter.render import limits_views

    text = _text(arguments.file)
    report = context.client().check_limits(text)
    context.failed = not report.ok
    return limits_views.check(report, arguments.file)


def _text(name: str) -> str:
    """The file's text; only this side reads it, the server never sees a path."""
    try:
        with Path(name).expanduser().open(encoding="utf-8", newline="") as file:
            text = file.read(MAX_LIMITS_TEXT + 1)
    except (OSError, UnicodeDecodeError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is not text in UTF-8"
        raise ClientError(f"{name} cannot be read: {reason}.", code="invalid_input") from error
    if len(text) > MAX_LIMITS_TEXT:
        raise ClientError(
            f"{name} has more than {MAX_LIMITS_TEXT} characters.",
            hint="Put the members of large groups into files of their own (members_file).",
            code="invalid_input",
        )
    return text
