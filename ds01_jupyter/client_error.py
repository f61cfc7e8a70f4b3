"""What the kernel side raises when something is refused or the server cannot be reached."""

from __future__ import annotations

import re
from typing import Any

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


class ClientError(Exception):
    """A refusal of the server, or the reason why there is no answer.

    `message` is one sentence for a person, `hint` says what to do next, `code` is the API's word
    (`limit_reached`, `server_unreachable`, ...), `status` the HTTP status (None where no server
    answered) and `details` the figures behind it.
    """

    def __init__(
        self,
        message: str,
        *,
        hint: str = "",
        code: str = "client_error",
        status: int | None = None,
        details: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.code = code
        self.status = status
        self.details = details or {}

    def document(self) -> dict[str, Any]:
        """The JSON form, as the API has it: `code`, `message`, `hint`, `details`."""
        return {
            "code": self.code,
            "message": self.message,
            "hint": self.hint,
            "details": self.details,
        }

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()

    def _render_traceback_(self) -> list[str]:
        """What IPython shows in place of a traceback: nobody's code is at fault here."""
        lines = [self.message, *([self.hint] if self.hint else [])]
        return [_CONTROL.sub("", line) for line in lines]
