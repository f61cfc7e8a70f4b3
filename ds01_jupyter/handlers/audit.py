"""The audit trail: one event for every state change and every refusal, emitted in one place.

Admins attach handlers to `EventLogger` (jupyter_events); without any, emitting costs nothing.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from jupyter_events import EventLogger

    from ds01_jupyter.core.operation_events import EventStream

SCHEMA_ID = "https://ds01-jupyter.readthedocs.io/events/action/v1"
SCHEMA_FILE = Path(__file__).parent.parent / "events" / "action_v1.yaml"
MAX_SUBJECT = 200


class Action(NamedTuple):
    """Who did what to whose thing, and what came of it.

    `actor` made the request, for the resources of `owner`; `outcome` is `done`, `accepted` (long
    work began), `refused`, or how long work ended; `code` is the code of the error, if any.
    """

    action: str
    actor: str
    owner: str
    subject: str
    outcome: str
    code: str = ""
    operation: str = ""


class Audit:
    """Emits actions, and follows long work to its end."""

    def __init__(self, event_logger: EventLogger) -> None:
        self._event_logger = event_logger
        self._following: dict[str, Action] = {}
        event_logger.register_event_schema(SCHEMA_FILE)

    @property
    def running(self) -> dict[str, str]:
        """The operations under way that this server began: id and action."""
        return {key: action.action for key, action in self._following.items()}

    def record(self, action: Action) -> None:
        """Emit one action; on the event loop only."""
        short = action._replace(subject=action.subject[:MAX_SUBJECT])
        self._event_logger.emit(schema_id=SCHEMA_ID, data=short._asdict())

    def follow(self, stream: EventStream, action: Action) -> None:
        """Emit `action` again when its operation ends, with the outcome; on the event loop."""
        from ds01_jupyter.core.operation_events import FINAL

        loop = asyncio.get_running_loop()
        self._following[action.operation] = action

        def look() -> None:
            if stream.operation.state in FINAL:
                loop.call_soon_threadsafe(ended)

        def ended() -> None:
            detach()
            if self._following.pop(action.operation, None) is None:
                return
            operation = stream.operation
            code = operation.error.code if operation.error else ""
            self.record(action._replace(outcome=operation.state, code=code))

        detach = stream.subscribe(look)
        look()
