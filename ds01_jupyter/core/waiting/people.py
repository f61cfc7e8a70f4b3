"""Who the people are that wait, by their number."""

from __future__ import annotations

import os
from collections.abc import Callable

from ds01_jupyter.core.errors import Forbidden
from ds01_jupyter.core.identity import Person, person_of_uid
from ds01_jupyter.core.limits import PersonLimits
from ds01_jupyter.core.people import LimitsOf


class People:
    """The people that this process has to do with.

    On a workstation a server acts for the account that runs it; one that runs as root (the broker
    of a lab) acts for everybody.
    """

    def __init__(
        self,
        limits_of: LimitsOf,
        limits: Callable[[Person], PersonLimits],
        uid: int | None = None,
    ) -> None:
        """`limits_of` knows everybody's limits by number, `limits` those of a person; `uid` is the
        account of this process."""
        self._limits_of = limits_of
        self._limits = limits
        self._uid = os.getuid() if uid is None else uid
        self._met: dict[int, Person] = {}

    def meet(self, person: Person) -> None:
        """Somebody whom the server has identified."""
        self._met[person.uid] = person

    def serves(self, uid: int) -> bool:
        """Whether this process may make containers for that person, and knows who it is (a name
        service may be away)."""
        if self._uid not in (0, uid):
            return False
        try:
            self.person(uid)
        except Forbidden:
            return False
        return True

    def person(self, uid: int) -> Person:
        """The person with that number. Raises `Forbidden` when there is no such account."""
        return self._met.get(uid) or person_of_uid(uid)

    def limits_of(self, uid: int) -> PersonLimits | None:
        """The limits of a number; see `LimitsOf`."""
        met = self._met.get(uid)
        return self._limits_of(uid) if met is None else self._limits(met)
