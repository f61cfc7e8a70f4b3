"""A thread that does one thing again and again, and outlives whatever goes wrong with it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from ds01_jupyter.core.errors import CoreError

STOP_TIMEOUT = 5.0

log = logging.getLogger(__name__)


class Ticker:
    """Calls `work` every `every` seconds, and sooner when woken, in a daemon thread.

    What goes wrong is said once, and once when it works again; the next round comes in any case.
    """

    def __init__(self, name: str, every: float, work: Callable[[], object]) -> None:
        """`name` is the thread's and stands in the log."""
        self._name = name
        self._every = every
        self._work = work
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self._problem: str | None = None
        self.rounds = 0
        """How many rounds were made, for tests and for the curious."""

    def start(self) -> None:
        """Begin, unless it has begun or was closed."""
        with self._lock:
            if self._thread is None and not self._stop.is_set():
                self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                self._thread.start()

    def wake(self) -> None:
        """Do the next round now."""
        self._wake.set()

    def close(self) -> None:
        """End the thread; waits a few seconds for it at most."""
        self._stop.set()
        self._wake.set()
        with self._lock:
            thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(STOP_TIMEOUT)

    def once(self) -> None:
        """One round, here and now; what goes wrong is logged."""
        try:
            self._work()
        except CoreError as error:
            self._failed(error.message, known=True)
        except Exception as error:
            self._failed(repr(error), known=False)
        else:
            if self._problem is not None and not self._stop.is_set():
                log.info("ds01: %s works again", self._name)
            self._problem = None
        self.rounds += 1

    def _run(self) -> None:
        while not self._stop.is_set():
            # Cleared first: who wakes us from now on gets a round of their own.
            self._wake.clear()
            self.once()
            self._wake.wait(self._every)

    def _failed(self, problem: str, *, known: bool) -> None:
        if self._stop.is_set() or problem == self._problem:
            return
        self._problem = problem
        if known:
            log.warning("ds01: %s: %s", self._name, problem)
        else:
            log.exception("ds01: %s failed; it is tried again", self._name)
