"""One thread that looks, for any number that want to know.

Looking at the GPUs costs calls to the driver, which may be slow and may hang. So only the sampler's
own thread makes them; what it found is published by replacing one reference, and readers take that
and no lock that the driver could hold. It starts with the first reader, looks often while somebody
reads, seldom while nobody does, and ends when nobody has for long: an idle machine costs nothing.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

from ds01_jupyter.core.errors import CoreError

T = TypeVar("T")
Listener = Callable[[], None]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Pace:
    """Seconds.

    `interval` between two looks while somebody reads, `slow` once nobody has read for `watched`;
    after `idle` without a reader there are none. A reader waits `patience` for a first look or for
    one that is not older than `stale`.
    """

    interval: float = 1.5
    slow: float = 10.0
    watched: float = 30.0
    idle: float = 3600.0
    stale: float = 5.0
    patience: float = 5.0


@dataclass(frozen=True)
class Published(Generic[T]):
    """What a look found: a value, or why there is none. `number` counts looks from 1; it went on
    from `began` to `at` by the sampler's clock."""

    number: int
    began: float
    at: float
    value: T | None = None
    error: CoreError | None = None


class Sampler(Generic[T]):
    """Calls `take` in a thread of its own for as long as somebody wants to know.

    `take` answers or raises `CoreError`. `clock` counts seconds (monotonic).
    """

    def __init__(
        self,
        take: Callable[[], T],
        *,
        pace: Pace | None = None,
        name: str = "ds01-gpu-sampler",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.pace = pace or Pace()
        self._take = take
        self._name = name
        self._clock = clock
        self._changed = threading.Condition()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self._published: Published[T] | None = None
        self._taking: float | None = None
        self._asked = 0.0
        self._expired = -math.inf
        self._stopped = False
        self._listeners: list[Listener] = []

    # ---- readers -----------------------------------------------------------------------------

    def latest(self) -> Published[T] | None:
        """The last look, not older than `pace.stale` unless the driver hangs; None before any.

        Waits only when there is nothing (fresh) yet and a look may still bring it: at most
        `pace.patience`, and not at all once a look has hung for that long.
        """
        # The usual way: one reference, no lock, no call to the driver.
        published = self._published
        self._asked = now = self._clock()
        if published is not None and self._good(published, now) and self._alive():
            return published
        with self._changed:
            self._start_or_wake()
            before = 0 if published is None else published.number
            self._changed.wait_for(
                lambda: self._stopped or self._hangs() or self._newer(before),
                timeout=self._patience_left(),
            )
            return self._published

    def expire(self) -> None:
        """Something has changed that a look would show: the next reader gets one that began after
        this moment."""
        self._expired = self._clock()

    @property
    def published(self) -> Published[T] | None:
        """The last look, however old; asking for it is no sign of interest."""
        return self._published

    def age(self, published: Published[T]) -> float:
        """How many seconds ago a look ended."""
        return max(0.0, self._clock() - published.at)

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Have `listener` called (in the sampler's thread) after every look, and look often;
        call what is returned to end that."""
        with self._changed:
            self._listeners.append(listener)
            self._asked = self._clock()
            self._start_or_wake()

        def detach() -> None:
            with self._changed:
                if listener in self._listeners:
                    self._listeners.remove(listener)

        return detach

    # ---- life --------------------------------------------------------------------------------

    @property
    def running(self) -> bool:
        """Whether the thread is there."""
        return self._alive()

    @property
    def hanging(self) -> float | None:
        """Seconds that the present look has taken when that is too long, else None."""
        began = self._taking
        if began is None:
            return None
        taken = self._clock() - began
        return taken if taken > self.pace.stale else None

    def stop(self, timeout: float = 5.0) -> bool:
        """End the thread for good; False when it hangs in the driver and was left behind."""
        with self._changed:
            self._stopped = True
            thread = self._thread
            self._changed.notify_all()
        self._wake.set()
        if thread is None or thread is threading.current_thread():
            return True
        thread.join(timeout)
        return not thread.is_alive()

    def _alive(self) -> bool:
        # Threads do not survive a fork: the child's copy of ours says that it is not alive.
        thread = self._thread
        return thread is not None and thread.is_alive()

    def _start_or_wake(self) -> None:
        """See to it that a look comes soon, and to no more than one."""
        if self._stopped:
            return
        if self._alive():
            if self._taking is None or self._taking < self._expired:
                self._wake.set()
            return
        self._taking = self._clock()  # until the thread is at it
        self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
        self._thread.start()

    def _good(self, published: Published[T], now: float) -> bool:
        """Whether a look may be served: one that is older was made at the slow pace."""
        oldest = max(self.pace.stale, 2 * self.pace.interval)
        return published.began >= self._expired and now - published.at <= oldest

    def _newer(self, number: int) -> bool:
        """Whether there was another look after that one, and after the last `expire`."""
        published = self._published
        if published is None or published.number <= number:
            return False
        return published.began >= self._expired

    def _number(self) -> int:
        return 0 if self._published is None else self._published.number

    def _hangs(self) -> bool:
        return self._patience_left() <= 0

    def _patience_left(self) -> float:
        began = self._taking
        if began is None:
            return self.pace.patience
        return max(0.0, self.pace.patience - (self._clock() - began))

    # ---- the thread --------------------------------------------------------------------------

    def _run(self) -> None:
        while True:
            self._wake.clear()
            if self._stopped:
                return
            self._look()
            with self._changed:
                pause = self._pause()
                if pause is None:
                    # Decided under the lock: whoever asks from now on starts another thread.
                    self._thread = None
                    return
            self._wake.wait(pause)

    def _look(self) -> None:
        self._taking = began = self._clock()
        value: T | None = None
        error: CoreError | None = None
        try:
            value = self._take()
        except CoreError as refusal:
            error = refusal
        except Exception as defect:
            log.exception("looking at the GPUs")
            error = CoreError(
                "The GPUs could not be looked at.",
                hint="The server's log says why.",
                defect=repr(defect),
            )
        with self._changed:
            self._published = Published(self._number() + 1, began, self._clock(), value, error)
            self._taking = None
            listeners = list(self._listeners)
            self._changed.notify_all()
        for listener in listeners:
            try:
                listener()
            except Exception:
                log.exception("telling of a look at the GPUs")

    def gear(self) -> Literal["watched", "slow", "idle"]:
        """How often it looks now."""
        unasked = self._clock() - self._asked
        if self._listeners or unasked < self.pace.watched:
            return "watched"
        return "slow" if unasked < self.pace.idle else "idle"

    def _pause(self) -> float | None:
        if self._stopped or self.gear() == "idle":
            return None
        return self.pace.slow if self.gear() == "slow" else self.pace.interval
