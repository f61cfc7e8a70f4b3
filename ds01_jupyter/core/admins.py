"""Who may do what concerns everybody on the machine."""

from __future__ import annotations

from collections.abc import Sequence

from ds01_jupyter.core.errors import Forbidden
from ds01_jupyter.core.identity import Person


def is_admin(person: Person, admins: Sequence[str]) -> bool:
    """Whether somebody is root (uid 0) or one of `admins`."""
    return person.uid == 0 or person.name in admins


def require_admin(person: Person, admins: Sequence[str], what: str) -> None:
    """Raise `Forbidden` for who is neither root (uid 0) nor one of `admins`; `what` is the verb."""
    if is_admin(person, admins):
        return
    raise Forbidden(
        f"Only an admin of this machine may {what}.",
        hint=f"Ask one of: {', '.join(admins) or 'root'}.",
        user=person.name,
    )
