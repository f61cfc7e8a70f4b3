"""Which folders of the host a container may see: its workspace, data and models."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ds01_jupyter.core.beneath import Folder, may_write, open_beneath
from ds01_jupyter.core.errors import InvalidInput, NotFound
from ds01_jupyter.core.identity import Person

# The path becomes the value of a label, and AIME's tools split labels at commas.
_UNFIT = re.compile(r"[\x00-\x1f\x7f,\"\\]")


@dataclass(frozen=True)
class Place:
    """A folder as allowed: the root that allows it and the way down from there."""

    root: Path
    relative: PurePosixPath

    @property
    def path(self) -> Path:
        """The folder itself."""
        return Path(os.path.realpath(self.root)) / self.relative

    def open(self, person: Person, *, create: bool) -> Folder:
        """Open it for `person`, making missing folders theirs when `create` is set."""
        return open_beneath(self.root, self.relative, create=create, owner=(person.uid, person.gid))

    def check(self, person: Person, *, workspace: bool) -> None:
        """Refuse now what `open` would refuse later; nothing is made.

        A workspace may be missing, and must be writable for `person`. Raises `InvalidInput` or
        `NotFound`.
        """
        try:
            folder = self.open(person, create=False)
        except NotFound:
            if workspace:
                return
            raise
        with folder:
            if workspace and not may_write(folder.descriptor, person):
                raise InvalidInput(
                    f"You may not write in the workspace folder {self.path}.",
                    hint="Choose a folder of your own, or ask its owner for the right to write.",
                    path=str(self.path),
                )


def default_workspace(name: str) -> str:
    """Where a container's files lie when nobody said otherwise."""
    return f"~/workspace/{name}"


def place(text: str, person: Person, roots: tuple[str, ...], what: str) -> Place:
    """Find the allowed root of the folder that a person named.

    `text` is absolute or starts with `~/` (the person's home); `roots` likewise. Raises
    `InvalidInput` when no root holds it. Nothing is opened yet.
    """
    wanted = _expand(text, person, what)
    for root in roots:
        lexical = _expand(root, person, "root")
        for start in (lexical, PurePosixPath(os.path.realpath(lexical))):
            if wanted.is_relative_to(start):
                return Place(Path(start), wanted.relative_to(start))
    allowed = ", ".join(str(_expand(root, person, "root")) for root in roots) or "none"
    raise InvalidInput(
        f"The {what} folder {wanted} is outside of what may be mounted.",
        hint=f"Choose a folder below {allowed}.",
        path=str(wanted),
        allowed=[str(_expand(root, person, "root")) for root in roots],
    )


def _expand(text: str, person: Person, what: str) -> PurePosixPath:
    if not text or _UNFIT.search(text):
        raise InvalidInput(
            f"The {what} folder {text[:80]!r} has characters that cannot be used.",
            hint="Use a path without control characters, commas, quotes and backslashes.",
        )
    path = PurePosixPath(text)
    if path.parts and path.parts[0] == "~":
        path = PurePosixPath(person.home).joinpath(*path.parts[1:])
    if not path.is_absolute():
        raise InvalidInput(
            f"The {what} folder {text!r} is not an absolute path.",
            hint=f"Start it with / or ~/, for example ~/{text}",
        )
    if ".." in path.parts:
        raise InvalidInput(
            f"The {what} folder {text!r} goes up with '..'.",
            hint="Write the folder itself.",
        )
    return path
