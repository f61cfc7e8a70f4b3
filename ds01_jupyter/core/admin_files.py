"""The files that an admin edits, read again when they change."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

from ds01_jupyter.core.catalogue import CatalogueFile
from ds01_jupyter.core.identity import Directory
from ds01_jupyter.core.limits import LimitsFile
from ds01_jupyter.core.packages import TierFile
from ds01_jupyter.core.settings import Settings

T = TypeVar("T")


class AdminFiles:
    """Catalogue, tiers and limits as they are now. Raises `ConfigurationError` for a mistake."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._accounts = Directory(settings.domains)
        self._lock = threading.Lock()
        self._held: dict[Path, tuple[tuple[int, ...], Any]] = {}

    def catalogue(self) -> CatalogueFile:
        """The rows of AIME's catalogue."""
        return self._read(self._settings.catalogue, CatalogueFile.load)

    def tiers(self) -> TierFile:
        """The packages on offer."""
        return self._read(self._settings.tiers, TierFile.load)

    def limits(self) -> LimitsFile:
        """Who may have how much."""
        return self._read(
            self._settings.limits,
            lambda path: LimitsFile.load(path, self._accounts),
            LimitsFile.changed,
        )

    def _read(
        self, path: Path, load: Callable[[Path], T], changed: Callable[[T], bool] = lambda _: False
    ) -> T:
        """`changed` says whether something else that was read with the file is not what it was."""
        with self._lock:
            stamp = _stamp(path)
            held = self._held.get(path)
            if held is not None and stamp is not None and held[0] == stamp:
                known = cast(T, held[1])
                if not changed(known):
                    return known
            value = load(path)
            if stamp is not None:
                self._held[path] = (stamp, value)
            return value


def _stamp(path: Path) -> tuple[int, ...] | None:
    """What changes with a file's content; None when it cannot be told (the loader says why)."""
    file = path / "ml_images.repo" if path.is_dir() else path
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
