"""Dockerfiles on disk: where they lie, whether somebody changed one, and writing them safely.

A Dockerfile and its context are the person's files: folders are opened component by component
without following links, files are replaced whole by a rename, and a change that does not come to
its end is taken back.
"""

from __future__ import annotations

import difflib
import errno
import os
import re
import secrets
import stat
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Literal

from ds01_jupyter.core.beneath import Folder
from ds01_jupyter.core.dockerfile import KERNEL_FILE, SCRIPTS, digest, is_sealed
from ds01_jupyter.core.errors import CoreError, DiskFull, DockerfileEdited, InvalidInput, NotFound
from ds01_jupyter.core.identity import Person
from ds01_jupyter.core.settings import Settings
from ds01_jupyter.core.workspace import Place, place

FileState = Literal["new", "same", "changed", "edited"]
MAX_BYTES = 1024 * 1024
PROJECT_CONTEXT = ".ds01"
_OURS = re.compile(r"tier-[a-z0-9_-]+\.(?:txt|lock)|apt-packages\.txt|account\.json|lock\.json")


@dataclass(frozen=True)
class Location:
    """Where the Dockerfile of an image lies, and its context beside it."""

    place: Place
    file: str
    context: str
    in_project: bool

    @property
    def path(self) -> Path:
        """The Dockerfile."""
        return self.place.path / self.file

    @property
    def context_path(self) -> Path:
        """The folder of its context."""
        return self.place.path / self.context

    def context_place(self) -> Place:
        """The context's folder as a place to open."""
        return Place(self.place.root, self.place.relative / self.context)


def locate(settings: Settings, person: Person, image: str, project: str | None) -> Location:
    """`~/dockerfiles/<image>.Dockerfile`, or the project's own `Dockerfile`.

    Raises `InvalidInput` for a project outside of the roots for workspaces.
    """
    if project is None:
        central = place(settings.dockerfiles, person, (_above(settings),), "Dockerfile")
        return Location(central, f"{image}.Dockerfile", f"{image}.context", in_project=False)
    folder = place(project, person, settings.workspace_roots, "project")
    return Location(folder, "Dockerfile", PROJECT_CONTEXT, in_project=True)


def _above(settings: Settings) -> str:
    """The folder that holds the central one: an admin's setting is trusted that far."""
    return str(PurePosixPath(settings.dockerfiles).parent)


def read(location: Location, person: Person) -> str | None:
    """The Dockerfile that lies there; None when there is none.

    Raises `InvalidInput` for a link, a folder, another person's file, or what is no text;
    `NotFound` for a project that does not exist.
    """
    try:
        folder = location.place.open(person, create=False)
    except NotFound:
        if location.in_project:
            raise
        return None
    with folder:
        raw = _read(folder, location.file, person)
    if raw is None:
        return None
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise InvalidInput(
            f"{location.path} is not a text file.", hint="Move it away.", path=str(location.path)
        ) from error


def state(current: str | None, rendered: str, recorded_sha256: str | None) -> FileState:
    """What lies on disk, against what would be written and what was written last.

    A file of ours says itself that nobody changed it: the ledger forgets an image that was removed,
    and knows nothing of one whose build was killed at its end.
    """
    if current is None:
        return "new"
    if current == rendered:
        return "same"
    return "changed" if digest(current) == recorded_sha256 or is_sealed(current) else "edited"


def refuse_edited(location: Location, current: str, rendered: str) -> DockerfileEdited:
    """The refusal to write over a file that somebody changed, with the difference."""
    lines = difflib.unified_diff(
        current.splitlines(), rendered.splitlines(), "yours", "new", lineterm=""
    )
    return DockerfileEdited(
        f"{location.path} was changed by hand and would be written over.",
        hint="Keep it (it is built as it is), or replace it (the old one is kept beside it).",
        path=str(location.path),
        diff="\n".join(lines),
    )


@dataclass
class Change:
    """What was written, so that it can be taken back."""

    location: Location
    person: Person
    before: list[tuple[Place, str, bytes | None]] = field(default_factory=list)
    made: list[Folder] = field(default_factory=list)

    def undo(self) -> None:
        """Put every file back as it was, as far as that is possible."""
        for where, name, content in reversed(self.before):
            with suppress(OSError, CoreError), where.open(self.person, create=False) as folder:
                if content is None:
                    os.unlink(name, dir_fd=folder.descriptor)
                else:
                    _replace(folder, name, content, self.person)
        for folder in reversed(self.made):
            folder.undo()


def write(
    location: Location,
    person: Person,
    dockerfile: str | None,
    files: Mapping[str, str],
    *,
    keep_old: bool,
) -> Change:
    """Write a Dockerfile (None: leave the one that lies there) and its context.

    With `keep_old` the one that lies there stays as `<name>.bak-<n>`. Raises `DiskFull`,
    `InvalidInput`; then nothing has changed.
    """
    change = Change(location, person)
    try:
        if dockerfile is not None:
            with _opened(location.place, change) as folder:
                if keep_old:
                    _keep_old(folder, location, change)
                _put(folder, location.place, location.file, dockerfile.encode(), change)
        where = location.context_place()
        with _opened(where, change) as folder:
            for name in _stale(folder, files):
                _put(folder, where, name, None, change)
            for name, text in files.items():
                _put(folder, where, name, text.encode(), change)
    except OSError as error:
        change.undo()
        raise _refusal(location, error) from error
    except BaseException:
        change.undo()
        raise
    return change


def _opened(where: Place, change: Change) -> Folder:
    folder = where.open(change.person, create=True)
    if folder.made:
        change.made.append(Folder(folder.path, -1, list(folder.made)))
    return folder


def _put(folder: Folder, where: Place, name: str, content: bytes | None, change: Change) -> None:
    """Write a file (None: remove it), and note what was there."""
    old = _read(folder, name, change.person)
    if old == content:
        return
    change.before.append((where, name, old))
    if content is None:
        os.unlink(name, dir_fd=folder.descriptor)
    else:
        _replace(folder, name, content, change.person)


def _keep_old(folder: Folder, location: Location, change: Change) -> None:
    old = _read(folder, location.file, change.person)
    if old is None:
        return
    taken = set(os.listdir(folder.descriptor))  # noqa: PTH208 - a descriptor
    numbers = (f"{location.file}.bak-{n}" for n in range(1, len(taken) + 2))
    name = next(name for name in numbers if name not in taken)
    change.before.append((location.place, name, None))
    _replace(folder, name, old, change.person)


def _stale(folder: Folder, files: Mapping[str, str]) -> list[str]:
    """Package lists of an earlier request, which the context no longer has."""
    return [
        name
        for name in os.listdir(folder.descriptor)  # noqa: PTH208 - a descriptor
        if _OURS.fullmatch(name) and name not in files
    ]


def _replace(folder: Folder, name: str, content: bytes, person: Person) -> None:
    """Put a file there in one step: readers see the old or the new one, never a part."""
    temporary = f".{name}.{secrets.token_hex(6)}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(temporary, flags, 0o644, dir_fd=folder.descriptor)
    try:
        with os.fdopen(descriptor, "wb") as file:
            if os.geteuid() == 0:
                os.fchown(file.fileno(), person.uid, person.gid)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.rename(temporary, name, src_dir_fd=folder.descriptor, dst_dir_fd=folder.descriptor)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary, dir_fd=folder.descriptor)
        raise


def _read(folder: Folder, name: str, person: Person) -> bytes | None:
    path = folder.path / name
    # Not blocking: somebody may have put a pipe there.
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        descriptor = os.open(name, flags, dir_fd=folder.descriptor)
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise InvalidInput(
                f"{path} is a link, and links are not followed here.",
                hint="Put the file itself there, or move the link away.",
                path=str(path),
            ) from error
        raise InvalidInput(
            f"{path} cannot be read: {error.strerror}.",
            hint="Give yourself the right to read it, or move it away.",
            path=str(path),
        ) from error
    facts = os.fstat(descriptor)
    if not stat.S_ISREG(facts.st_mode) or facts.st_size > MAX_BYTES:
        os.close(descriptor)  # `fdopen` would refuse a folder, and leave it open
        raise InvalidInput(
            f"{path} is not a file that could be ours.",
            hint="Move it away.",
            path=str(path),
        )
    with os.fdopen(descriptor, "rb") as file:
        # A hard link could otherwise show a person, through this server, a file of somebody else.
        if os.geteuid() == 0 and person.uid not in (0, facts.st_uid):
            raise InvalidInput(
                f"{path} belongs to somebody else.", hint="Move it away.", path=str(path)
            )
        return file.read(MAX_BYTES)


def _refusal(location: Location, error: OSError) -> CoreError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DiskFull(
            f"There is no space left to write {location.path}.",
            hint="Remove files that you no longer need.",
            path=str(location.path),
        )
    return InvalidInput(
        f"{location.path} cannot be written: {error.strerror}.",
        hint="Choose a folder that you may write to.",
        path=str(location.path),
    )


def stored(settings: Settings, person: Person, path: str) -> Location:
    """The location of a Dockerfile whose path the ledger keeps.

    Raises `InvalidInput` when it does not lie below an allowed root (any more).
    """
    pure = PurePosixPath(path)
    in_project = pure.name == "Dockerfile"
    context = PROJECT_CONTEXT if in_project else f"{pure.stem}.context"
    roots = (_above(settings), *settings.workspace_roots)
    folder = place(str(pure.parent), person, roots, "Dockerfile")
    return Location(folder, pure.name, context, in_project=in_project)


def read_context(location: Location, person: Person) -> dict[str, str]:
    """The files of the context as they lie on disk: name -> text; empty without a context."""
    try:
        folder = location.context_place().open(person, create=False)
    except NotFound:
        return {}
    with folder:
        found = {}
        for name in sorted(os.listdir(folder.descriptor)):  # noqa: PTH208 - a descriptor
            if name in SCRIPTS or name == KERNEL_FILE or _OURS.fullmatch(name):
                raw = _read(folder, name, person)
                if raw is not None:
                    found[name] = raw.decode(errors="replace")
    return found
