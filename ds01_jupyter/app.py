"""The server extension: configuration, start and stop.

Loading it costs every start of a server, so it imports none of docker, pynvml, pydantic or
ipywidgets, nor what only a request needs: the lab is made with the first one.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from jupyter_server.auth.identity import User
from jupyter_server.extension.application import ExtensionApp

from ds01_jupyter.app_options import Options
from ds01_jupyter.core.errors import CoreError, Forbidden, ShuttingDown
from ds01_jupyter.handlers.audit import Audit
from ds01_jupyter.handlers.routes import tornado_handlers

if TYPE_CHECKING:
    from jupyter_server.serverapp import ServerApp

    from ds01_jupyter.core.identity import Person
    from ds01_jupyter.core.lab import Lab
    from ds01_jupyter.ticket import Ticket

T = TypeVar("T")

THREADS = 8
STOP_TIMEOUT = 40.0
"""Seconds that cancelled work has to clean up after itself when the server stops."""


class DS01App(Options, ExtensionApp):
    """GPU containers for a lab, under `ds01/api/`."""

    name = "ds01"
    description = "GPU containers for a lab: AIME images, MIG slots, limits."
    extension_url = "/lab"

    # What does not come from configuration, and must not show in the settings: no traits.
    # Class attributes, since `stop_extension` also runs after a start that failed half way.
    audit: Audit
    ticket: Ticket | None = None
    account_name: str = ""
    _ticket_file: Path | None = None
    _lab: Lab | None = None
    _taking_up: asyncio.Future[None] | None = None
    _owner: Person | None = None
    _threads: ThreadPoolExecutor | None = None
    _stopping: bool = False

    # ---- start ---------------------------------------------------------------------------

    def initialize_settings(self) -> None:
        """Prepare what the handlers share."""
        assert self.serverapp is not None
        assert self.serverapp.event_logger is not None
        self._lab_lock = threading.Lock()
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="ds01")
        self.audit = Audit(self.serverapp.event_logger)

    def initialize_handlers(self) -> None:
        """Add the routes."""
        self.handlers.extend(tornado_handlers())

    async def _start_jupyter_server_extension(self, serverapp: ServerApp) -> None:
        """Leave a ticket for this server's kernels, now that its port is known."""
        from ds01_jupyter.ticket import Ticket

        self.account_name = await self.in_thread(_account_name)
        self.ticket = Ticket(serverapp.connection_url, serverapp.certfile)
        try:
            self._ticket_file = self.ticket.write(serverapp.runtime_dir)
        except OSError as error:
            # Kernels of a server with a token do without.
            self.ticket = None
            self.log.warning("ds01: no ticket for this server's kernels: %s", error)
        self._taking_up = asyncio.ensure_future(self.in_thread(self._take_up))

    def _take_up(self) -> None:
        """Make the lab at once when there are containers to look after, or somebody waits in the
        queue whom this server serves."""
        from ds01_jupyter.core.waiting.wake import has_work

        try:
            if has_work(self.core_settings().ledger, os.getuid()):
                self.lab_and_owner()
        except CoreError as error:
            self.log.warning("ds01: nothing is looked after yet: %s", error.message)

    # ---- at work -------------------------------------------------------------------------

    async def in_thread(self, work: Callable[[], T]) -> T:
        """Run `work` in one of the extension's threads, off the event loop."""
        if self._threads is None or self._stopping:
            raise ShuttingDown("The server is stopping.", hint="Try again when it runs again.")
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    def lab_and_owner(self) -> tuple[Lab, Person]:
        """The lab (made now, if this is the first request) and whom requests act for.

        On a workstation that is the account that runs the server, whoever is logged in.
        Not on the event loop. Raises `CoreError`.
        """
        with self._lab_lock:
            if self._stopping:
                raise ShuttingDown("The server is stopping.")
            if self._owner is None:
                from ds01_jupyter.core.identity import process_owner

                self._owner = process_owner()
            if self._lab is None:
                from ds01_jupyter.core.lab import Lab

                self._lab = Lab(self.core_settings())
            return self._lab, self._owner

    def ticket_user(self, authorization: str | None) -> User | None:
        """The user that this server's ticket stands for, if the header shows it."""
        if self.ticket is None or not self.ticket.admits(authorization):
            return None
        return User(username=self.account_name, name=self.account_name)

    def current_activity(self) -> dict[str, Any] | None:
        """Long work under way, which keeps an idle server from being shut down; so does a place
        in the queue, since it is this server that would make the container."""
        activity: dict[str, Any] = dict(self.audit.running)
        if self._lab is not None and self._lab.places:
            activity["queue"] = self._lab.places
        return activity or None

    # ---- stop ----------------------------------------------------------------------------

    async def stop_extension(self) -> None:
        """Withdraw the ticket, cancel long work and let it clean up, for a limited time."""
        self._stopping = True
        if self._ticket_file is not None:
            self._ticket_file.unlink(missing_ok=True)
        self.ticket = None
        if self._lab is not None and not await _in_time(self._lab.close, STOP_TIMEOUT):
            self.log.warning("ds01: long work did not end within %g s", STOP_TIMEOUT)
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)


def _account_name() -> str:
    from ds01_jupyter.core.identity import process_owner

    try:
        return process_owner().name
    except Forbidden:
        return str(os.getuid())


async def _in_time(work: Callable[[], object], seconds: float) -> bool:
    """Run `work` in a thread that cannot keep the process alive; whether it ended in time.

    What it raises is raised here.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()

    def settle(error: BaseException | None) -> None:
        if done.cancelled():
            return
        if error is None:
            done.set_result(None)
        else:
            done.set_exception(error)

    def run() -> None:
        error: BaseException | None = None
        try:
            work()
        except BaseException as raised:
            error = raised
        if not loop.is_closed():
            loop.call_soon_threadsafe(settle, error)

    threading.Thread(target=run, name="ds01-stop", daemon=True).start()
    try:
        await asyncio.wait_for(done, seconds)
    except TimeoutError:
        return False
    return True
