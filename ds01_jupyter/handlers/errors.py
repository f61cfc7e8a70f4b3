"""The one place where errors become HTTP answers."""

from __future__ import annotations

from typing import Any

from tornado.web import HTTPError

from ds01_jupyter.core.errors import CoreError, InvalidInput


class TooLarge(CoreError):
    """The body is larger than any request needs."""

    status, code = 413, "too_large"


class NoSuchRoute(CoreError):
    """Nothing is served at this address."""

    status, code = 404, "not_found"


_TOLD: dict[int, tuple[str, str, str]] = {
    400: ("invalid_input", "The request cannot be understood.", ""),
    403: (
        "forbidden",
        "You are not logged in to this Jupyter server, or its token is wrong.",
        "Log in again, or restart the kernel if the server was restarted.",
    ),
    404: ("not_found", "There is nothing at this address.", ""),
    405: ("method_not_allowed", "This address does not know that method.", ""),
}
_UNKNOWN = (
    "internal_error",
    "The server made a mistake.",
    "This is a defect; the server's log has the traceback.",
)


def error_answer(status: int, error: BaseException | None) -> tuple[int, dict[str, Any]]:
    """The status and the `ErrorDocument` (as a dict) for what went wrong.

    `status` is what tornado would answer. What an unexpected error says stays in the log.
    """
    if isinstance(error, CoreError):
        return error.status, error.document()
    code, message, hint = _TOLD.get(status, _UNKNOWN)
    if isinstance(error, HTTPError) and error.log_message and status < 500:
        message = _formatted(error)
    return status, {"code": code, "message": message, "hint": hint, "details": {}}


def _formatted(error: HTTPError) -> str:
    template = error.log_message or ""
    try:
        return template % error.args if error.args else template
    except (TypeError, ValueError):
        return template


def wrong_value(name: str, problem: str, **details: Any) -> InvalidInput:
    """A parameter of the query or a header that cannot be meant."""
    return InvalidInput(f"The parameter {name} {problem}.", parameter=name, **details)
