"""What the admin allows of a build: which images it may use, how long it may take, how large its
image may be."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from ds01_jupyter.core.engine import Amount, Reporter
from ds01_jupyter.core.errors import BuildFailed, Cancelled, CoreError, LimitReached
from ds01_jupyter.core.image_policy import refuse_others
from ds01_jupyter.core.settings import Settings

OUT_OF_TIME = "Making the image"
GIGABYTE = 10**9


@dataclass(frozen=True)
class BuildRules:
    """The admin's rules for one build."""

    allowed_images: tuple[str, ...] = ()
    """Patterns; empty: any image."""
    ours: frozenset[str] = frozenset()
    """Images that always may be used: the catalogue's, and the one that lends uv."""
    minutes: float = 0.0
    gigabytes: float = 0.0

    def check_images(self, dockerfile: str) -> None:
        """Raise `Forbidden` for a Dockerfile with images that may not be used."""
        refuse_others(dockerfile, self.allowed_images, self.ours)

    def check_size(self, size: int) -> None:
        """Raise `LimitReached` for an image of more bytes than it may have."""
        if self.gigabytes and size > self.gigabytes * GIGABYTE:
            raise LimitReached(
                f"The image would have {size / GIGABYTE:.1f} GB; images here may have "
                f"{self.gigabytes:g} GB.",
                hint="Leave out what you do not need; large data belongs into the workspace.",
                size=size,
                limit=round(self.gigabytes * GIGABYTE),
            )

    @contextmanager
    def timed(self, progress: Reporter) -> Iterator[Reporter]:
        """A reporter for the build, which is cancelled when its time is up: `BuildFailed` then."""
        if not self.minutes:
            yield progress
            return
        watch = _Watch(progress)
        timer = threading.Timer(self.minutes * 60, watch.expire)
        timer.daemon = True
        timer.start()
        try:
            yield watch
        except CoreError as error:
            # A wait that was interrupted may surface as another error than `Cancelled`.
            if not watch.expired or _cancelled(progress):
                raise
            raise BuildFailed(
                f"The image took longer than the {self.minutes:g} minutes that are allowed here.",
                hint="Ask for fewer packages, or ask your admin for more time.",
                step=OUT_OF_TIME,
                package=None,
                log=[],
                problem="time limit",
                minutes=self.minutes,
            ) from error
        finally:
            timer.cancel()


def rules_of(settings: Settings, catalogue: Collection[str], uv_image: str | None) -> BuildRules:
    """The rules as they are configured."""
    return BuildRules(
        settings.allowed_images,
        frozenset({*catalogue, *([uv_image] if uv_image else [])}),
        settings.build_minutes,
        settings.image_gigabytes,
    )


def _cancelled(progress: Reporter) -> bool:
    try:
        progress.check()
    except Cancelled:
        return True
    return False


class _Watch:
    """Passes everything on, and can cancel the work by itself."""

    def __init__(self, progress: Reporter) -> None:
        self._progress = progress
        self._lock = threading.Lock()
        self._actions: list[Callable[[], None]] = []
        self.expired = False
        self.log = progress.log

    def expire(self) -> None:
        """Cancel the work: its time is up."""
        with self._lock:
            self.expired = True
            actions = list(self._actions)
        for action in actions:
            action()

    def measure(self, amount: Amount) -> None:
        self._progress.measure(amount)

    def step(self, phase: str, fraction: float | None = None, detail: str = "") -> None:
        self.check()
        self._progress.step(phase, fraction, detail)

    def check(self) -> None:
        self._progress.check()
        if self.expired:
            raise Cancelled("The time of the build is up.")

    def on_cancel(self, action: Callable[[], None]) -> None:
        self._progress.on_cancel(action)
        with self._lock:
            self._actions.append(action)
            due = self.expired
        if due:
            action()
