"""Several test processes share one engine; the last to leave stops it."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from .dockerd import Engine
from .paths import RigPaths


class EngineUse:
    """From its creation until `release`, this process uses the engine and it stays up.

    The engine is stopped by the last user, and only if a test session started it: one that a
    person started with ``tests.rig up`` is theirs, and so is one with ``DS01_RIG_KEEP`` set.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._handle = _users_file(engine.paths).open("a")
        try:
            # Waits while the last user of an earlier session stops the engine.
            fcntl.flock(self._handle, fcntl.LOCK_SH)
            if engine.up():
                _marker(engine.paths).touch()
        except BaseException:
            self._handle.close()
            raise

    def release(self) -> None:
        """Leave; stops the engine if nobody else uses it and it is ours to stop."""
        try:
            # With LOCK_NB this fails while another process holds its own share. The kernel gives
            # up our share before it tries, so of two that leave at once one succeeds.
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        else:
            marker = _marker(self._engine.paths)
            if marker.exists() and not os.environ.get("DS01_RIG_KEEP"):
                self._engine.down()
                marker.unlink()
        finally:
            self._handle.close()


def keep(paths: RigPaths) -> None:
    """The engine belongs to a person now: no test session stops it."""
    _marker(paths).unlink(missing_ok=True)


def _users_file(paths: RigPaths) -> Path:
    paths.root.mkdir(parents=True, exist_ok=True)
    return paths.root / "users.lock"


def _marker(paths: RigPaths) -> Path:
    return paths.root / "started-by-tests"
