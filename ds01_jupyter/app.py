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
from traitlets import Float, Int, List, Unicode, default

from ds01_jupyter.core.errors import Forbidden, ShuttingDown
from ds01_jupyter.handlers.audit import Audit
from ds01_jupyter.handlers.routes import tornado_handlers

if TYPE_CHECKING:
    from jupyter_server.serverapp import ServerApp

    from ds01_jupyter.core.identity import Person
    from ds01_jupyter.core.lab import Lab
    from ds01_jupyter.core.settings import Settings
    from ds01_jupyter.ticket import Ticket

T = TypeVar("T")

TEXTS = ("docker_host", "nvml_library", "architecture", "dockerfiles")
PATHS = ("ledger", "catalogue", "tiers", "limits")
ROOTS = ("workspace_roots", "data_roots", "model_roots")

THREADS = 8
STOP_TIMEOUT = 40.0
"""Seconds that cancelled work has to clean up after itself when the server stops."""


class DS01App(ExtensionApp):
    """GPU containers for a lab, under `ds01/api/`."""

    name = "ds01"
    description = "GPU containers for a lab: AIME images, MIG slots, limits."
    extension_url = "/lab"

    docker_host = Unicode(
        "",
        help="URL of the Docker engine, such as unix:///run/docker.sock. Empty: as the docker "
        "command finds it (DOCKER_HOST, the current context, the default socket).",
    ).tag(config=True)
    nvml_library = Unicode(
        help="Path of the libnvidia-ml.so.1 to load. Empty: the driver's own. The default is "
        "taken from the environment variable DS01_NVML_LIBRARY.",
    ).tag(config=True)
    ledger = Unicode(
        "",
        help="File that remembers who has which slot. Empty: /var/lib/ds01/ledger.sqlite where "
        "that folder is writable (one ledger for the machine), else one of the user's own.",
    ).tag(config=True)
    catalogue = Unicode(
        "",
        help="AIME's list of images (ml_images.repo). Empty: /etc/ds01/ml_images.repo if it is "
        "there, else the list that comes with the package.",
    ).tag(config=True)
    tiers = Unicode(
        "",
        help="YAML file with the tiers of packages on offer. Empty: /etc/ds01/tiers.yaml if it "
        "is there, else the tiers that come with the package.",
    ).tag(config=True)
    limits = Unicode(
        "",
        help="YAML file with limits for groups and users. Empty: "
        "/etc/ds01/resource-limits.yaml if it is there, else the limits of the package.",
    ).tag(config=True)
    architecture = Unicode(
        "",
        help="Column of the catalogue that fits this machine, such as CUDA_ADA. Empty: the "
        "NVIDIA driver is asked.",
    ).tag(config=True)
    workspace_roots = List(
        Unicode(),
        allow_none=True,
        default_value=None,
        help="Folders under which a workspace may lie; ~ is the home of the person. None: that "
        "home only.",
    ).tag(config=True)
    data_roots = List(
        Unicode(),
        allow_none=True,
        default_value=None,
        help="Folders under which data may lie that a container mounts; [] allows none. None: "
        "/data, /datasets and the home of the person.",
    ).tag(config=True)
    model_roots = List(
        Unicode(),
        allow_none=True,
        default_value=None,
        help="Folders under which models may lie that a container mounts; [] allows none. None: "
        "/models and the home of the person.",
    ).tag(config=True)
    dockerfiles = Unicode(
        "",
        help="Folder for the Dockerfiles of images; ~ is the home of the person. Empty: "
        "~/dockerfiles.",
    ).tag(config=True)
    admins = List(
        Unicode(),
        allow_none=True,
        default_value=None,
        help="Accounts that may do what concerns everybody on this machine, such as change the "
        "MIG layout; root always may, and needs no entry. None: root only.",
    ).tag(config=True)
    ignored_xids = List(
        Int(),
        default_value=[13, 31, 43, 45, 68, 109],
        help="XID errors of the NVIDIA driver for which a GPU stays in use, because they are "
        "faults of a program. For every other one it is cordoned until it is well again.",
    ).tag(config=True)
    reconcile_seconds = Float(
        60.0,
        min=0.0,
        help="Seconds after which the ledger is brought in line with Docker, besides at the start "
        "and whenever Docker reports something. 0: only when somebody asks for something.",
    ).tag(config=True)
    parallel_operations = Int(
        4,
        min=1,
        help="How many images and containers may be made at the same time.",
    ).tag(config=True)

    domains = List(
        Unicode(),
        help="Domains that names in the limits may carry for this machine's own accounts: with "
        "lab.example and LAB, both u.ser@lab.example and LAB\\u.ser mean u.ser.",
    ).tag(config=True)

    @default("nvml_library")
    def _default_nvml_library(self) -> str:
        return os.environ.get("DS01_NVML_LIBRARY", "")

    # What does not come from configuration, and must not show in the settings: no traits.
    # Class attributes, since `stop_extension` also runs after a start that failed half way.
    audit: Audit
    ticket: Ticket | None = None
    account_name: str = ""
    _ticket_file: Path | None = None
    _lab: Lab | None = None
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

    def core_settings(self) -> Settings:
        """The settings of the core; what is empty (or None) here has the core's default."""
        from ds01_jupyter.core.settings import Settings

        given: dict[str, Any] = {key: getattr(self, key) for key in TEXTS if getattr(self, key)}
        for key in PATHS:
            if getattr(self, key):
                given[key] = Path(getattr(self, key)).expanduser()
        for key in ROOTS:
            if getattr(self, key) is not None:
                given[key] = tuple(getattr(self, key))
        given["ignored_xids"] = tuple(self.ignored_xids)
        given["reconcile_seconds"] = self.reconcile_seconds
        if self.admins is not None:
            given["admins"] = tuple(self.admins)
        return Settings(
            parallel_operations=self.parallel_operations, domains=tuple(self.domains), **given
        )

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
        """Long work under way, which keeps an idle server from being shut down."""
        return self.audit.running or None

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
