"""Who a request is for. Identity comes from the server or the Hub, never from a request."""

from __future__ import annotations

import os
import pwd
from dataclasses import dataclass
from pathlib import Path

from ds01_jupyter.core.errors import Forbidden


@dataclass(frozen=True)
class Person:
    """One Unix account: `name`, numeric `uid` and `gid`, `home` and the names of its groups."""

    name: str
    uid: int
    gid: int
    home: Path
    groups: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.name


def person_of_uid(uid: int) -> Person:
    """Look an account up by its number.

    Raises `Forbidden` when the system knows no such account: without a name and a home nothing
    that we make could belong to anybody.
    """
    try:
        entry = pwd.getpwuid(uid)
    except KeyError:
        raise Forbidden(
            f"No account has the uid {uid} on this machine.",
            hint="Ask your admin to check the user directory (getent passwd).",
            uid=uid,
        ) from None
    return Person(
        name=entry.pw_name,
        uid=entry.pw_uid,
        gid=entry.pw_gid,
        home=Path(entry.pw_dir),
        groups=_group_names(entry.pw_name, entry.pw_gid),
    )


def process_owner() -> Person:
    """The account that runs this server: on a workstation, the person that it serves."""
    return person_of_uid(os.getuid())


def _group_names(name: str, gid: int) -> tuple[str, ...]:
    import grp

    names = []
    for number in os.getgrouplist(name, gid):
        try:
            names.append(grp.getgrgid(number).gr_name)
        except KeyError:
            continue
    return tuple(names)
