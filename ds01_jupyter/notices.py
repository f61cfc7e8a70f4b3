"""What a notebook tells ahead of time: notices of the lab, shown once, after the next cell.

`magics` arranges that `start` runs after the first cell of a kernel. A daemon thread then asks
the lab about once a minute. It does so with the standard library alone: most kernels never have a
notice to show, and they should not pay for httpx and pydantic. DS01_NOTICES=off turns it off.
"""

from __future__ import annotations

import json
import logging
import os
import random
import threading
from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ds01_jupyter.client_error import ClientError
from ds01_jupyter.discovery import Server, discover

if TYPE_CHECKING:
    from collections.abc import Callable

    from ds01_jupyter.core.models import Notice

log = logging.getLogger(__name__)

EVERY = 60.0
"""Seconds between two looks, give or take a quarter, so that kernels do not ask in step."""
FIRST = (1.0, 3.0)
"""Seconds from the first cell to the first look: at least, at most."""
LONGEST = 900.0
"""Seconds between two looks while there is no server that answers."""
TIMEOUT = 5.0
MAX_ANSWER = 1024 * 1024
VARIABLE = "DS01_NOTICES"


class Follower:
    """Looks for new notices in a thread; `take` hands out what is to be shown now.

    `ask` answers with the notices (as JSON has them) after an id; it raises `ClientError`,
    `OSError` or `ValueError` where nobody can be asked.
    """

    def __init__(self, ask: Callable[[int], list[Any]] | None = None) -> None:
        self._ask = ask or notices_after
        self._begun = datetime.now(UTC)
        self._after = 0
        self._seen: set[tuple[int, datetime]] = set()
        self._fresh: dict[tuple[str | None, str, int], Notice] = {}
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._failures = 0

    # ---- in the kernel's thread ------------------------------------------------------------

    def start(self) -> Follower:
        """Begin to look, in a thread that ends with the kernel."""
        threading.Thread(target=self._run, name="ds01-notices", daemon=True).start()
        return self

    def stop(self) -> None:
        """Look no more."""
        self._over.set()

    def take(self, now: datetime | None = None) -> list[Notice]:
        """What was not shown yet, oldest first, without warnings of what has happened by now."""
        if not self._fresh:
            return []
        now = now or datetime.now(UTC)
        with self._lock:
            fresh, self._fresh = list(self._fresh.values()), {}
        return [one for one in fresh if one.kind != "warning" or one.at is None or one.at > now]

    # ---- in its own thread -----------------------------------------------------------------

    def look(self) -> None:
        """Ask once, and keep what is new.

        What is older than this kernel was shown elsewhere, or nobody was there to see it: only
        what is still to come is told again.
        """
        fresh = [raw for raw in self._ask(self._after) if self._is_new(raw)]
        if not fresh:
            return
        # Both are dear, and needed only now that there is something to show.
        import ds01_jupyter.render.terminal  # noqa: F401
        from ds01_jupyter.core.models import Notice

        for raw in fresh:
            try:
                self._keep(Notice.model_validate(raw))
            except ValueError as error:
                log.debug("a notice that this version does not know: %s", error)

    def _is_new(self, raw: Any) -> bool:
        """Whether it is to be shown, told without the document's own class."""
        try:
            number, time = int(raw["id"]), datetime.fromisoformat(raw["time"])
            at = datetime.fromisoformat(raw["at"]) if raw.get("at") else None
            warns = raw["kind"] == "warning"
        except (TypeError, KeyError) as error:
            raise ValueError(f"not a notice: {error!r}") from error
        self._after = max(self._after, number)
        if (number, time) in self._seen:
            return False
        self._seen.add((number, time))
        return time >= self._begun or (warns and at is not None and at > datetime.now(UTC))

    def _keep(self, notice: Notice) -> None:
        """To be shown. A later warning of the same thing takes the place of an earlier one."""
        number = 0 if notice.kind == "warning" else notice.id
        key = (notice.container, notice.what, number)
        with self._lock:
            self._fresh.pop(key, None)
            self._fresh[key] = notice

    def _run(self) -> None:
        # A moment later, so that the first cells have the machine for themselves.
        self._over.wait(random.uniform(*FIRST))  # noqa: S311 - spreads load, hides nothing
        while not self._over.is_set():
            self._over.wait(self.step())

    def step(self) -> float:
        """One look, whatever comes of it; the seconds until the next one."""
        try:
            self.look()
        except (ClientError, OSError, ValueError) as error:
            # No server, one without the extension, one that restarts: nobody asked for this look,
            # so nobody is told. The numbers may begin anew when the lab comes back.
            log.debug("no notices: %s", error)
            self._after = 0
            self._failures += 1
        else:
            self._failures = 0
        pause: float = min(EVERY * 2**self._failures, LONGEST)
        return pause * random.uniform(0.75, 1.25)  # noqa: S311


def wanted() -> bool:
    """Whether this kernel is to show notices at all."""
    return os.environ.get(VARIABLE, "").strip().casefold() not in ("off", "0", "no", "false")


def show(follower: Follower) -> None:
    """Show what is new below the cell that has just run."""
    fresh = follower.take()
    if not fresh:
        return
    from IPython import display

    from ds01_jupyter.render.notice_views import announce

    publish: Callable[..., Any] = display.display
    publish(announce(fresh))


def notices_after(number: int) -> list[Any]:
    """The person's notices with larger ids than `number`, as the API has them.

    The server is looked for each time, as the client does it: it may have been restarted.
    Raises `ClientError`, `OSError` or `ValueError`.
    """
    server = discover()
    answer = json.loads(_get(server, f"ds01/api/notices?after={number}"))
    if not isinstance(answer, list):
        raise ValueError(f"a list was expected, {type(answer).__name__} came")
    return answer


def _get(server: Server, path: str) -> bytes:
    """The body of an answer. Like the client it takes no proxy and follows no redirect, so that
    nobody else sees the secret."""
    from http.client import HTTPConnection, HTTPException, HTTPSConnection

    parts = urlsplit(f"{server.url}{path}")
    host = parts.hostname or ""
    if parts.scheme == "https":
        from ds01_jupyter.trust import certificates

        context = certificates(server)
        connection: HTTPConnection = HTTPSConnection(
            host, parts.port, timeout=TIMEOUT, context=context
        )
    else:
        connection = HTTPConnection(host, parts.port, timeout=TIMEOUT)
    headers = {"Accept": "application/json"}
    if server.authorization:
        headers["Authorization"] = server.authorization
    try:
        with closing(connection):
            connection.request("GET", f"{parts.path}?{parts.query}", headers=headers)
            response = connection.getresponse()
            if response.status != 200:
                raise ClientError(f"The server answered with {response.status}.")
            return response.read(MAX_ANSWER)
    except HTTPException as error:
        raise ClientError(f"The server's answer was not understood: {error!r}.") from error
