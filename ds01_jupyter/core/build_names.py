"""Names while something is built: each of a person's by one build at a time, and the temporary name
that an image has until everything is there."""

from __future__ import annotations

import re
import secrets
import threading
from collections.abc import Callable
from typing import Self

from ds01_jupyter.core.engine import Engine
from ds01_jupyter.core.errors import Conflict, NotFound
from ds01_jupyter.core.processes import ProcessIdentity, is_alive, process_identity

BUILDING = "ds01-jupyter/build"
"""Repository of the names that images have while they are built."""

_BOOT_ID = re.compile(r"([0-9a-f]{8})([0-9a-f]{4})([0-9a-f]{4})([0-9a-f]{4})([0-9a-f]{12})")
_TAG = re.compile(
    r"(?P<mark>[0-9a-f]{16})-(?P<boot>[0-9a-f]{32})-(?P<namespace>\d+)-(?P<pid>\d+)-(?P<ticks>\d+)"
    r"-[0-9a-f]{16}"
)


class Building:
    """A name that one build has for itself until `release`; also a context that releases it."""

    def __init__(self, release: Callable[[], None]) -> None:
        self._release = release

    def release(self) -> None:
        """Let another build have the name. Twice is fine."""
        release, self._release = self._release, _nothing
        release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


class BuildNames:
    """The names that are being built by this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._taken: set[str] = set()

    def take(self, reference: str, name: str) -> Building:
        """Have the image `reference` for one build; `Conflict` (of `name`) while another has it."""
        with self._lock:
            if reference in self._taken:
                raise being_built(name)
            self._taken.add(reference)
        return Building(lambda: self._give_back(reference))

    def _give_back(self, reference: str) -> None:
        with self._lock:
            self._taken.discard(reference)


def being_built(name: str) -> Conflict:
    """The refusal of a second build of one name."""
    return Conflict(
        f"The image {name} is being built already.",
        hint="Wait for that build, or cancel it (`%ds01 operations` lists yours).",
        name=name,
    )


# ---- the temporary name --------------------------------------------------------------------------


def temporary_name(mark: str) -> str:
    """A reference of its own for a build of this process; `mark` is that of its ledger.

    It says which process builds: what a killed one left can be told from what is being built.
    """
    me = process_identity()
    boot = me.boot_id.replace("-", "")
    words = (mark, boot, me.namespace, me.pid, me.start_ticks, secrets.token_hex(8))
    return f"{BUILDING}:{'-'.join(map(str, words))}"


def sweep(engine: Engine, mark: str) -> list[str]:
    """Remove the temporary names of builds whose process is certainly dead; returns them.

    Only those of the ledger with this `mark`: it lies on this machine, so that its processes can be
    looked up here, while the engine may serve other machines too. An image that has another name
    by now keeps that. Raises `EngineUnavailable`.
    """
    swept = []
    for image in engine.list_images():
        for reference in image.references:
            builder = _builder(reference, mark)
            if builder is None or is_alive(builder):
                continue
            try:
                engine.remove_image(reference)
            except (NotFound, Conflict):
                continue  # another process sweeps as well, or a container was made from it by hand
            swept.append(reference)
    return swept


def _builder(reference: str, mark: str) -> ProcessIdentity | None:
    """Who builds under a temporary name; None for any other name, and for another ledger's."""
    repository, _, tag = reference.rpartition(":")
    match = _TAG.fullmatch(tag) if repository == BUILDING else None
    if match is None or match["mark"] != mark:
        return None
    boot = _BOOT_ID.fullmatch(match["boot"])
    assert boot is not None
    return ProcessIdentity(
        int(match["pid"]), int(match["ticks"]), "-".join(boot.groups()), int(match["namespace"])
    )


def _nothing() -> None:
    """What is left to release after the first time."""
