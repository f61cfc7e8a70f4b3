"""Open and make folders beneath a trusted root without following a link on the way.

A path is checked and used in one walk: every component is opened relative to the one before it,
with O_NOFOLLOW, so a link that is put in its place meanwhile is refused and not followed.
"""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from ds01_jupyter.core.errors import DiskFull, InvalidInput, NotFound
from ds01_jupyter.core.identity import Person

_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass
class Folder:
    """A folder that was opened beneath a root; `made` are the folders that had to be created."""

    path: Path
    descriptor: int
    made: list[Path] = field(default_factory=list)

    def close(self) -> None:
        """Close the descriptor; the folder stays."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1

    def undo(self) -> None:
        """Remove what was created for this, deepest first, as far as it is still empty."""
        self.close()
        for path in reversed(self.made):
            try:
                path.rmdir()
            except OSError:
                return

    def __enter__(self) -> Folder:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_beneath(
    root: Path, relative: PurePosixPath, *, create: bool, owner: tuple[int, int] | None = None
) -> Folder:
    """Walk from `root` (resolved first: it is trusted) down `relative`.

    Missing folders are made when `create` is set, with mode 0755 and, when this process is root,
    given to `owner` (uid, gid). Raises `InvalidInput` for a link or a file on the way, `NotFound`
    for a missing folder.
    """
    if relative.is_absolute() or ".." in relative.parts:
        raise InvalidInput(f"{str(relative)!r} is not a path below {root}.")
    here = Path(os.path.realpath(root))
    folder = Folder(path=here, descriptor=_open_root(here))
    try:
        for part in relative.parts:
            _step(folder, part, create=create, owner=owner)
    except BaseException:
        folder.undo()
        raise
    return folder


def may_write(descriptor: int, person: Person) -> bool:
    """Whether `person` may put files into an open folder.

    The kernel is asked where this process is that person; for somebody else the mode of the folder
    tells, unless an access control list has more to say than we read.
    """
    if os.geteuid() == person.uid or person.uid == 0:
        return os.access(f"/proc/self/fd/{descriptor}", os.W_OK | os.X_OK, effective_ids=True)
    if "system.posix_acl_access" in os.listxattr(descriptor):
        return True
    facts = os.fstat(descriptor)
    if facts.st_uid == person.uid:
        shift = 6
    elif facts.st_gid == person.gid or facts.st_gid in os.getgrouplist(person.name, person.gid):
        shift = 3
    else:
        shift = 0
    return facts.st_mode >> shift & 0o3 == 0o3


def _open_root(root: Path) -> int:
    try:
        return os.open(root, _OPEN)
    except OSError as error:
        raise NotFound(
            f"The folder {root} cannot be opened: {error.strerror}.",
            hint="Choose a folder elsewhere, or ask your admin about this one.",
            path=str(root),
        ) from error


def _step(folder: Folder, part: str, *, create: bool, owner: tuple[int, int] | None) -> None:
    target = folder.path / part
    made = False
    try:
        if create:
            made = _make(folder, part)
        descriptor = os.open(part, _OPEN, dir_fd=folder.descriptor)
    except OSError as error:
        raise _refusal(target, error) from error
    if made:
        folder.made.append(target)
        if owner is not None and os.geteuid() == 0:
            os.fchown(descriptor, *owner)
    os.close(folder.descriptor)
    folder.path, folder.descriptor = target, descriptor


def _make(folder: Folder, part: str) -> bool:
    try:
        os.mkdir(part, 0o755, dir_fd=folder.descriptor)
    except FileExistsError:
        return False
    return True


def _refusal(target: Path, error: OSError) -> InvalidInput | NotFound | DiskFull:
    if error.errno in (errno.ELOOP, errno.ENOTDIR):
        if target.is_symlink():
            return InvalidInput(
                f"{target} is a link, and links are not followed here.",
                hint=f"Give the folder that it points to: {os.path.realpath(target)}",
                path=str(target),
            )
        return InvalidInput(
            f"{target} is not a folder.", hint="Choose another name.", path=str(target)
        )
    if error.errno == errno.ENOENT:
        return NotFound(
            f"The folder {target} does not exist.",
            hint="Check the spelling, or create it first.",
            path=str(target),
        )
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DiskFull(
            f"There is no space left to create {target}.",
            hint="Remove files that you no longer need.",
            path=str(target),
        )
    return InvalidInput(
        f"{target} cannot be used: {error.strerror}.",
        hint="Choose a folder that you may read and write.",
        path=str(target),
    )
