"""Whose a container is, what a name means, and how it is refused."""

from __future__ import annotations

from ds01_jupyter.core.container_view import made_by, own_number
from ds01_jupyter.core.engine import ContainerSummary
from ds01_jupyter.core.errors import Forbidden, NotFound
from ds01_jupyter.core.identity import Person
from ds01_jupyter.core.labels import PREFIX
from ds01_jupyter.core.ledger import ContainerRow
from ds01_jupyter.core.names import full_name, split_full_name


def full(name: str, person: Person) -> str:
    """`NAME._.UID` of what a person calls a container."""
    return name if split_full_name(name) else full_name(name, person.uid)


def belongs_to_another(summary: ContainerSummary, row: ContainerRow | None, person: Person) -> bool:
    """By the ledger, else by AIME's name of a container; plain Docker's are everybody's."""
    if row is not None and row.container_id == summary.id:
        return row.uid != person.uid
    if made_by(summary, None) == "docker":
        return False
    uid = own_number(summary)
    if uid is not None:
        return uid != person.uid
    return summary.labels.get(f"{PREFIX}.USER", person.name) != person.name


def missing(name: str) -> NotFound:
    """There is no such container."""
    return NotFound(
        f"There is no container {name}.",
        hint="`%ds01 container list` shows those that you have.",
        name=name,
    )


def not_yours(name: str) -> Forbidden:
    """It is another person's."""
    return Forbidden(
        f"The container {name} belongs to somebody else.",
        hint="`%ds01 container list` shows those that you have.",
        name=name,
    )


def not_managed(name: str) -> Forbidden:
    """The ledger does not hold it."""
    return Forbidden(
        f"The container {name} was not made by ds01.",
        hint="Use the tool that made it (mlc-stop, mlc-remove or docker).",
        name=name,
    )
