"""The notice in a workspace, `/workspace/.ds01-notice`: written for people who are in the container
and look at nothing else.

The folder is its owner's, who may put anything there at any time, and this process may be root. So
no link is followed, nothing is opened that is no plain file, nothing is replaced or removed that
does not begin with our mark, and nothing else in the workspace is touched.
"""

from __future__ import annotations

import errno
import logging
import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path, PurePosixPath

from ds01_jupyter.core.beneath import Folder, open_beneath
from ds01_jupyter.core.errors import CoreError, InvalidInput
from ds01_jupyter.core.lifecycle.words import FILE_MARK

NAME = ".ds01-notice"
MAX_BYTES = 8192

log = logging.getLogger(__name__)


def may_write(uid: int) -> bool:
    """Whether a notice for this person is ours to write: root's, and one's own server's."""
    return os.geteuid() in (0, uid)


def write_notice(workspace: str, text: str, uid: int) -> bool:
    """Put the notice into a workspace, owned by `uid`; whether it stands there now.

    It appears whole or not at all. False where something else lies in its place, or the folder
    cannot be written.
    """
    content = text.encode()[:MAX_BYTES]
    with suppress(CoreError, OSError), _open(workspace) as folder:
        there = _read(folder.descriptor)
        if there == content:
            return True
        if there is not None and not _ours(there):
            return False
        _put(folder.descriptor, content, uid)
        return True
    log.debug("no notice in %s", workspace)
    return False


def remove_notice(workspace: str) -> bool:
    """Take the notice away; whether there is none (any more)."""
    try:
        with _open(workspace) as folder:
            there = _read(folder.descriptor)
            if there is not None and _ours(there):
                os.unlink(NAME, dir_fd=folder.descriptor)
    except CoreError:
        return True  # the folder is gone, or is none of ours any more
    except OSError as error:
        if error.errno == errno.ENOENT:
            return True
        log.debug("the notice in %s stays: %s", workspace, error)
        return False
    return True


def _open(workspace: str) -> Folder:
    path = PurePosixPath(workspace)
    if not path.is_absolute():
        raise InvalidInput(f"{workspace!r} is no absolute path.")
    return open_beneath(Path("/"), path.relative_to("/"), create=False)


def _read(folder: int) -> bytes | None:
    """What lies in its place: None for nothing, empty for what is no plain file."""
    try:
        # Without O_NONBLOCK a pipe of that name would keep us waiting for its other end.
        descriptor = os.open(
            NAME, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder
        )
    except FileNotFoundError:
        return None
    except OSError:
        return b""
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return b""
        return os.read(descriptor, MAX_BYTES + 1)
    finally:
        os.close(descriptor)


def _ours(content: bytes) -> bool:
    return content.split(b"\n", 1)[0] == FILE_MARK.encode()


def _put(folder: int, content: bytes, uid: int) -> None:
    aside = f"{NAME}.{secrets.token_hex(6)}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(aside, flags, 0o644, dir_fd=folder)
    try:
        try:
            os.write(descriptor, content)
            os.fchmod(descriptor, 0o644)
            if os.geteuid() == 0:
                os.fchown(descriptor, uid, os.fstat(folder).st_gid)
        finally:
            os.close(descriptor)
        # A link that was put in its place meanwhile is replaced, not followed.
        os.rename(aside, NAME, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:
        with suppress(OSError):
            os.unlink(aside, dir_fd=folder)
        raise
