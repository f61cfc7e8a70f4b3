"""Who a request is for. Identity comes from the server or the Hub, never from a request.

A person is an account of this machine, and its number (uid) is what makes it the same one: a name
can be spelt in several ways (`u.ser`, `u.ser@lab.example`, `LAB\\u.ser`), and two names that look
alike (`u-ser`, `u_ser`) are two people. The name service (NSS: files, LDAP, SSSD) is asked which
number a name has; nothing is compared after letters were taken out or replaced.
"""

from __future__ import annotations

import grp
import os
import pwd
import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ds01_jupyter.core.errors import Forbidden, NotFound
from ds01_jupyter.core.wording import quoted

MAX_NAME = 256
_NUMBER = re.compile(r"0|[1-9][0-9]{0,9}", re.ASCII)


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


class Accounts(Protocol):
    """What the limits ask about names."""

    def uid(self, name: str) -> int | None:
        """The number of the account that a name means, None where no account has it."""

    def ambiguous(self, name: str) -> bool:
        """Whether a number is the name of one account and the uid of another."""


class Directory:
    """The accounts of this machine, by any spelling of their names.

    `domains` are those that an admin declares to be this machine's own (`lab.example`, `LAB`):
    `u.ser@lab.example` and `LAB\\u.ser` then mean `u.ser` where the name service does not know them
    as they are. A domain that is not listed is never taken off: `a@x` and `a@y` stay two people.

    Answers of `uid` are kept for a while, since a name service can be far away: `keep` seconds
    where there is an account, `keep_missing` where there is none (somebody may log in for the
    first time). Safe to use from several threads.
    """

    def __init__(
        self,
        domains: Iterable[str] = (),
        *,
        keep: float = 600.0,
        keep_missing: float = 20.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._domains = frozenset(domain.strip().casefold() for domain in domains) - {""}
        self._keep = keep
        self._keep_missing = keep_missing
        self._clock = clock
        self._known: dict[str, tuple[int | None, float]] = {}

    def canonical(self, name: str) -> Person:
        """The account that a name means.

        The name service's own answer counts first; then a number is a uid (an account may be
        *called* 1001: then it is that one); then a domain of `domains` is taken off. Raises
        `NotFound` when no account is meant.
        """
        uid = self._look_up(name)
        if uid is None:
            raise NotFound(
                f"No account of this machine is called {quoted(name)}.",
                hint="Check the spelling (getent passwd NAME); a domain is taken off only when it "
                "is one of the configured domains.",
                name=name[:MAX_NAME],
            )
        return person_of_uid(uid)

    def uid(self, name: str) -> int | None:
        """The number of that account; None where there is none. May be a little out of date."""
        now = self._clock()
        known = self._known.get(name)
        if known is not None and now < known[1]:
            return known[0]
        uid = self._look_up(name)
        self._known[name] = (uid, now + (self._keep_missing if uid is None else self._keep))
        return uid

    def ambiguous(self, name: str) -> bool:
        """Whether a number is the name of one account and the uid of another."""
        by_name, by_number = _uid_of_name(name), _uid_of_number(name)
        return by_name is not None and by_number is not None and by_name != by_number

    def _look_up(self, name: str) -> int | None:
        found = _uid_of_name(name)
        if found is None:
            found = _uid_of_number(name)
        if found is None:
            plain = self._without_domain(name)
            found = None if plain is None else _uid_of_name(plain)
        return found

    def _without_domain(self, name: str) -> str | None:
        plain, at, domain = name.rpartition("@")
        if at and domain.casefold() in self._domains:
            return plain
        domain, backslash, plain = name.partition("\\")
        if backslash and domain.casefold() in self._domains:
            return plain
        return None


def canonical(name: str, domains: Iterable[str] = ()) -> Person:
    """The account that a name means; see `Directory.canonical`. Raises `NotFound`."""
    return Directory(domains).canonical(name)


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


def unix_group_exists(name: str) -> bool:
    """Whether this machine knows a Unix group of this name."""
    if "\0" in name or not name.isprintable():
        return False
    try:
        grp.getgrnam(name)
    except KeyError:
        return False
    return True


def _uid_of_name(name: str) -> int | None:
    # What no account can be called is not sent to the name service.
    if not 0 < len(name) <= MAX_NAME or not name.isprintable() or ":" in name:
        return None
    try:
        return pwd.getpwnam(name).pw_uid
    except KeyError:
        return None


def _uid_of_number(name: str) -> int | None:
    if not _NUMBER.fullmatch(name):
        return None
    try:
        return pwd.getpwuid(int(name)).pw_uid
    except KeyError:
        return None


def _group_names(name: str, gid: int) -> tuple[str, ...]:
    names = []
    for number in os.getgrouplist(name, gid):
        try:
            names.append(grp.getgrgid(number).gr_name)
        except KeyError:
            continue
    return tuple(names)
