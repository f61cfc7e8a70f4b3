"""What a person was told."""

# jupyter_server's `authorized` has no types that mypy could follow
# mypy: disable-error-code="untyped-decorator"

from __future__ import annotations

from jupyter_server.auth.decorator import authorized
from tornado import web

from ds01_jupyter.handlers.base import RESOURCE, DS01Handler

MAX_ID = 10**17


class NoticesHandler(DS01Handler):
    """Warnings ahead of time, and what was done."""

    actions = {"GET": "notice.list"}

    @web.authenticated
    @authorized("read", RESOURCE)
    async def get(self) -> None:
        """Answer a list of `Notice`, one's own after the number `?after=` (0), newest last."""
        after = self.number("after", 0, 0, MAX_ID)
        self.answer(await self.call(lambda lab, person: lab.notices(person, after)))


routes = [
    ("notices", NoticesHandler),
]
