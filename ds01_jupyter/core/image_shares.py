"""Images that their owners let others start containers from."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime

from ds01_jupyter.core.errors import InvalidInput, NotFound
from ds01_jupyter.core.identity import Directory, Person
from ds01_jupyter.core.image_builds import tables
from ds01_jupyter.core.image_builds.tables import ShareRow
from ds01_jupyter.core.ledger import ImageRow, Ledger


class Shares:
    """Who may start containers from whose images. Nobody but the owner may change one."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def of(self, row: ImageRow) -> list[ShareRow]:
        """With whom an image is shared."""
        with self._ledger.reading() as connection:
            shares = tables.shares(connection, row.uid)
        return [share for share in shares if share.name == row.name]

    def with_person(self, person: Person, groups: Collection[str]) -> set[tuple[int, str]]:
        """The images (uid of the owner, name) that others share with a person or their groups."""
        with self._ledger.reading() as connection:
            shares = tables.shares(connection)
        return {
            (share.uid, share.name)
            for share in shares
            if share.uid != person.uid
            and (
                (share.kind == "user" and share.holder == str(person.uid))
                or (share.kind == "group" and share.holder in groups)
            )
        }

    def begin(self, row: ImageRow, share: ShareRow) -> None:
        """Share an image; twice is fine."""
        if share.kind == "user" and share.holder == str(row.uid):
            raise InvalidInput(
                "The image is yours already.", hint="Name somebody else, or a group."
            )
        with self._ledger.writing() as connection:
            tables.insert_share(connection, share, datetime.now(UTC).isoformat())

    def stop(self, row: ImageRow, share: ShareRow) -> None:
        """End one share; containers that were made from the image go on. `NotFound`."""
        with self._ledger.writing() as connection:
            if not tables.delete_share(connection, row.uid, row.name, share.kind, share.holder):
                raise NotFound(
                    f"The image {row.name} is not shared with {share.label}.",
                    hint=f"`%ds01 image show {row.name}` tells with whom it is.",
                    name=row.name,
                )

    def end(self, row: ImageRow) -> None:
        """End all shares of an image."""
        with self._ledger.writing() as connection:
            tables.delete_shares(connection, row.uid, row.name)


def share_of(row: ImageRow, user: str | None, group: str | None, accounts: Directory) -> ShareRow:
    """The share that somebody means; exactly one of `user` and `group`.

    Raises `InvalidInput`, and `NotFound` for an account that there is not.
    """
    if (user is None) == (group is None):
        raise InvalidInput(
            "An image is shared with a user or with a group.", hint="Name exactly one of them."
        )
    if user is not None:
        person = accounts.canonical(user)
        return ShareRow(row.uid, row.name, "user", str(person.uid), person.name)
    assert group is not None
    if not group.strip() or len(group) > 100 or not group.isprintable():
        raise InvalidInput("This is not the name of a group.", hint="Such as students.")
    return ShareRow(row.uid, row.name, "group", group.strip(), group.strip())
