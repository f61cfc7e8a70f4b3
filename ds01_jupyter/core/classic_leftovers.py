"""What a classic build leaves in Docker when it does not come to its end: layers without a name."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from docker.errors import APIError

SETTLE = 5.0
"""Seconds that an interrupted build gets to drop its last container."""


class Leftovers:
    """Layers to remove. One that another build uses just now is tried again later."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[str, None] = {}

    def add(self, images: Iterable[str]) -> None:
        """Take over the layers of a build that was given up, oldest first."""
        with self._lock:
            self._waiting.update(dict.fromkeys(images))

    def sweep(self, api: Any) -> None:
        """Remove what nobody uses, youngest first; costs nothing when nothing waits."""
        with self._lock:
            waiting = list(reversed(self._waiting))
        for image in waiting:
            try:
                gone = _remove_unnamed(api, image)
            except APIError as error:
                gone = error.status_code == 404
            if gone:
                with self._lock:
                    self._waiting.pop(image, None)


def _remove_unnamed(api: Any, image: str) -> bool:
    # Another build may have ended with this very layer, and given it a name.
    if not api.inspect_image(image)["RepoTags"]:
        api.remove_image(image)
    return True


def await_end(api: Any, container_id: str | None) -> None:
    """Wait until the builder has dropped the container of its running step; else drop it."""
    if container_id is None:
        return
    deadline = time.monotonic() + SETTLE
    with suppress(APIError):  # it is gone, or just going
        while time.monotonic() < deadline:
            api.inspect_container(container_id)
            time.sleep(0.05)
        api.remove_container(container_id, force=True, v=True)
