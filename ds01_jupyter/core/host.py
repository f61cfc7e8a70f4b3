"""Which machine the slots of a ledger are on.

The name that the machine had when its ledger began is the name for good, kept in a file beside the
ledger. Leases and cordons stand under it: after a change of the host name (or with a server that
runs in a container, whose host name is another one every time) they would else be another
machine's, and every slot would be given a second time.
"""

from __future__ import annotations

import os
import platform
import secrets
from contextlib import suppress
from pathlib import Path

from ds01_jupyter.core.ledger_creation import set_mode

MAX_NAME = 253


def host_of(ledger: Path) -> str:
    """The machine's name in the ledger at that path.

    Where it cannot be kept (the folder cannot be made or written, and then nor can the ledger) it
    is the machine's name of now.
    """
    file = ledger.with_name(f"{ledger.name}.host")
    try:
        return _read(file) or _begin(file)
    except OSError:
        return platform.node()


def _read(file: Path) -> str:
    """The name that was kept; empty when there is none, or what is there cannot be one."""
    try:
        name = file.read_text(encoding="utf-8", errors="replace")[: MAX_NAME + 2].strip()
    except FileNotFoundError:
        return ""
    return name if len(name) <= MAX_NAME and name.isprintable() else ""


def _begin(file: Path) -> str:
    """Keep the machine's name of now, unless another server has just done so; returns the name."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Made aside with its final mode and content: nobody ever reads half of it.
    aside = file.with_name(f".{file.name}.{secrets.token_hex(6)}")
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        set_mode(descriptor, file.parent)
        os.write(descriptor, f"{platform.node()}\n".encode())
        with suppress(FileExistsError):
            os.link(aside, file)
    finally:
        os.close(descriptor)
        aside.unlink(missing_ok=True)
    return _read(file) or platform.node()
