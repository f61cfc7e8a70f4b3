"""Checking a limits file."""

# jupyter_server's `authorized` has no types that mypy could follow
# mypy: disable-error-code="untyped-decorator"

from __future__ import annotations

from jupyter_server.auth.decorator import authorized
from tornado import web

from ds01_jupyter.handlers.base import RESOURCE, DS01Handler
from ds01_jupyter.handlers.bodies import limits_check_request


class LimitsCheckHandler(DS01Handler):
    """The text of a limits file."""

    actions = {"POST": "limits.check.preview"}

    @web.authenticated
    @authorized("write", RESOURCE)
    async def post(self) -> None:
        """Answer the `CheckReport` of a `LimitsCheckRequest`; nothing is changed."""
        request = await self.document(limits_check_request)
        self.answer(await self.call(lambda lab, person: lab.check_limits(person, request.text)))


routes = [
    ("limits/check", LimitsCheckHandler),
]
