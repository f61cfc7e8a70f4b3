"""Long work: list, look, follow, cancel."""

# jupyter_server's `authorized` has no types that mypy could follow
# mypy: disable-error-code="untyped-decorator"

from __future__ import annotations

from jupyter_server.auth.decorator import authorized
from tornado import web

from ds01_jupyter.handlers.base import RESOURCE, DS01Handler
from ds01_jupyter.handlers.sse import EventStreamHandler


class OperationsHandler(DS01Handler):
    """All operations of a person."""

    _track_activity = False
    actions = {"GET": "operation.list"}

    @web.authenticated
    @authorized("read", RESOURCE)
    async def get(self) -> None:
        """Answer a list of `Operation`, newest first."""
        self.answer(await self.call(lambda lab, person: lab.operations(person)))


class OperationHandler(DS01Handler):
    """One operation."""

    _track_activity = False
    actions = {"GET": "operation.show", "DELETE": "operation.cancel"}

    @web.authenticated
    @authorized("read", RESOURCE)
    async def get(self, operation_id: str) -> None:
        """Answer an `Operation`."""
        self.answer(await self.call(lambda lab, person: lab.operation(person, operation_id)))

    @web.authenticated
    @authorized("write", RESOURCE)
    async def delete(self, operation_id: str) -> None:
        """Ask the work to stop; answer 202 with the `Operation` as it stands."""
        self.answer_operation(
            await self.call(lambda lab, person: lab.cancel_operation(person, operation_id))
        )


class OperationEventsHandler(EventStreamHandler):
    """What an operation tells while it runs."""

    actions = {"GET": "operation.follow"}

    @web.authenticated
    @authorized("read", RESOURCE)
    async def get(self, operation_id: str) -> None:
        """Stream each `OperationEvent` after `Last-Event-ID` (or `?after=`) until the end."""
        after = self.last_event_id()
        await self.send(
            await self.call(
                lambda lab, person: lab.operation_events(person, operation_id, after=after)
            )
        )


routes = [
    ("operations", OperationsHandler),
    ("operations/{operation_id}", OperationHandler),
    ("operations/{operation_id}/events", OperationEventsHandler),
]
