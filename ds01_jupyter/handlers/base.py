"""What every handler shares: who asks, a use case in a thread, and the answer.

A verb is always written as

    @web.authenticated
    @authorized("read", RESOURCE)

with both arguments: without them jupyter_server's decorator keeps the action and resource of the
first request it sees. For the same reason a decorated verb is never inherited or given a second
name.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, cast

from jupyter_server.base.handlers import APIHandler
from jupyter_server.extension.handler import ExtensionHandlerMixin
from jupyter_server.utils import url_path_join
from tornado import web

from ds01_jupyter.core.errors import CoreError
from ds01_jupyter.handlers.audit import Action
from ds01_jupyter.handlers.errors import NoSuchRoute, error_answer, wrong_value

if TYPE_CHECKING:
    from pydantic import BaseModel

    from ds01_jupyter.app import DS01App
    from ds01_jupyter.core.identity import Person
    from ds01_jupyter.core.lab import Lab
    from ds01_jupyter.core.models import Operation
    from ds01_jupyter.core.operation_events import EventStream

T = TypeVar("T")

RESOURCE = "ds01"
PREFIX = "ds01/api"
STATE_CHANGING = frozenset({"POST", "DELETE"})


class DS01Handler(ExtensionHandlerMixin, APIHandler):
    """Base of all handlers: they parse, call one method of `Lab`, and answer."""

    auth_resource = RESOURCE
    actions: ClassVar[dict[str, str]] = {}
    """What the audit trail calls each verb of the handler; a preview is no state change."""

    _owner_name = ""
    _operation_id = ""
    _subject = ""
    _error_code = ""

    # ---- who asks ------------------------------------------------------------------------

    @property
    def app(self) -> DS01App:
        """The extension."""
        return cast("DS01App", self.extensionapp)

    async def prepare(self) -> None:  # type: ignore[override]  # as APIHandler does
        """Let the server's own kernels in by their ticket, everybody else by the server's rules.

        The default IdentityProvider honours a user that is set already (and so do those that
        build on it). One with a `get_user` of its own, such as JupyterHub's, ignores the ticket.
        """
        user = self.app.ticket_user(self.request.headers.get("Authorization"))
        if user is not None:
            self._jupyter_current_user = user
            self._token_authenticated = True
        await super().prepare()

    # ---- what they ask -------------------------------------------------------------------

    async def call(self, use_case: Callable[[Lab, Person], T]) -> T:
        """Run a use case of the lab for the person that this request acts for, in a thread."""
        lab, person = await self.app.in_thread(self.app.lab_and_owner)
        self._owner_name = person.name
        return await self.app.in_thread(lambda: use_case(lab, person))

    async def document(self, parse: Callable[[bytes], T]) -> T:
        """The body as a request document; see `bodies`. Raises `InvalidInput`."""
        body = self.request.body
        document = await self.app.in_thread(lambda: parse(body))
        self._subject = str(getattr(document, "name", ""))
        return document

    def flag(self, name: str) -> bool:
        """A query parameter that is `true` or `false` (absent: false)."""
        text = self.get_query_argument(name, "false")
        if text not in {"true", "false"}:
            raise wrong_value(name, "must be true or false")
        return text == "true"

    def number(self, name: str, default: int, low: int, high: int) -> int:
        """A whole number from `low` to `high` in the query."""
        text = self.get_query_argument(name, str(default))
        if not re.fullmatch(r"[0-9]{1,18}", text, re.ASCII) or not low <= int(text) <= high:
            raise wrong_value(name, f"must be a whole number from {low} to {high}")
        return int(text)

    def optional_number(self, name: str) -> int | None:
        """A whole number from 1 in the query; None where it is not given."""
        if not self.get_query_arguments(name):
            return None
        return self.number(name, 0, 1, 10**9)

    # ---- the answer ----------------------------------------------------------------------

    def answer(self, document: BaseModel | Sequence[BaseModel]) -> None:
        """Answer 200 with a document or a list of them."""
        if isinstance(document, Sequence):
            self.finish("[" + ",".join(each.model_dump_json() for each in document) + "]")
        else:
            self.finish(document.model_dump_json())

    def answer_nothing(self) -> None:
        """Answer 204: done, and there is nothing to say."""
        self.set_status(204)
        self.finish()

    def answer_operation(self, operation: Operation) -> None:
        """Answer 202 with an operation and where to look for it."""
        self._operation_id = operation.id
        location = url_path_join(self.base_url, PREFIX, "operations", operation.id)
        self.set_header("Location", location)
        self.set_status(202)
        self.finish(operation.model_dump_json())

    async def begin(self, use_case: Callable[[Lab, Person], Operation]) -> None:
        """Answer 202 with the long work that `use_case` began; record later how it ended."""

        def started(lab: Lab, person: Person) -> tuple[Operation, EventStream]:
            operation = use_case(lab, person)
            return operation, lab.operation_events(person, operation.id)

        operation, stream = await self.call(started)
        self._operation_id = operation.id
        self.app.audit.follow(stream, self._action("accepted"))
        self.answer_operation(operation)

    # ---- refusals ------------------------------------------------------------------------

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Answer any error as an `ErrorDocument`."""
        error = kwargs.get("exc_info", (None, None, None))[1]
        status, document = error_answer(status_code, error)
        self.set_status(status)
        self._error_code = document["code"]
        self.finish(json.dumps(document, default=str))

    def log_exception(self, typ: Any, value: BaseException | None, tb: Any) -> None:
        """A refusal is no defect: it needs no traceback."""
        if isinstance(value, CoreError):
            self.log.info("ds01: %s: %s", value.code, value.message)
        else:
            super().log_exception(typ, value, tb)

    def on_finish(self) -> None:
        """Record every state change and every refusal."""
        super().on_finish()
        status = self.get_status()
        method = self.request.method or ""
        action = self.actions.get(method, "route.unknown")
        if 400 <= status < 500:
            self.app.audit.record(self._action("refused"))
        elif method in STATE_CHANGING and not action.endswith(".preview"):
            outcome = "failed" if status >= 500 else "accepted" if self._operation_id else "done"
            self.app.audit.record(self._action(outcome))

    def _action(self, outcome: str) -> Action:
        return Action(
            action=self.actions.get(self.request.method or "", "route.unknown"),
            actor=self._actor(),
            owner=self._owner_name,
            subject=self._subject or next(iter(self.path_kwargs.values()), ""),
            outcome=outcome,
            code=self._error_code,
            operation=self._operation_id,
        )

    def _actor(self) -> str:
        """The Hub's user; else the account that runs the server, for its logins have no account.

        (jupyter_server invents an anonymous user for a token.)
        """
        user = getattr(self, "_jupyter_current_user", None)
        if user is None:
            return ""
        return str(user.username) if hasattr(user, "hub_user") else self.app.account_name


class NoRouteHandler(DS01Handler):
    """Any other address under ours: refused as JSON, and only to those who are logged in."""

    async def prepare(self) -> None:  # type: ignore[override]  # as APIHandler does
        """Refuse."""
        await super().prepare()
        if self.current_user is None:
            raise web.HTTPError(403)
        raise NoSuchRoute(
            "There is nothing at this address.",
            hint=f"{PREFIX}/spec describes what there is.",
            path=self.request.path[:200],
        )


class EventLoopBridge:
    """Wakes a coroutine from any thread."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._event = asyncio.Event()

    def wake(self) -> None:
        """Wake it; callable from any thread."""
        self._loop.call_soon_threadsafe(self._event.set)

    async def wait(self, seconds: float) -> bool:
        """Wait to be woken, for `seconds` at most; returns whether it was woken."""
        try:
            await asyncio.wait_for(self._event.wait(), seconds)
        except TimeoutError:
            return False
        self._event.clear()
        return True
