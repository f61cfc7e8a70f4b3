"""What a person may start a container from."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from ds01_jupyter.core.catalogue import CatalogueFile
from ds01_jupyter.core.engine import Engine, ImageSummary
from ds01_jupyter.core.errors import Forbidden, InvalidInput, NotFound
from ds01_jupyter.core.identity import Person
from ds01_jupyter.core.image_builds import tables
from ds01_jupyter.core.image_shares import Shares
from ds01_jupyter.core.image_view import image_request
from ds01_jupyter.core.labels import PREFIX
from ds01_jupyter.core.ledger import ImageRow, Ledger
from ds01_jupyter.core.names import is_reference, split_full_name, split_reference
from ds01_jupyter.core.wording import did_you_mean, quoted


@dataclass(frozen=True)
class ResolvedImage:
    """What a container may start from. `framework` as AIME's label has it; `architecture` is
    empty when nothing tells it."""

    reference: str
    framework: str
    architecture: str


class ImageUse:
    """Finds what a person means by an image, and refuses what is not theirs."""

    def __init__(
        self,
        engine: Engine,
        ledger: Ledger,
        catalogue: Callable[[], CatalogueFile],
        groups_of: Callable[[Person], Collection[str]],
    ) -> None:
        """`groups_of` tells the groups that images can be shared with a person through."""
        self._engine = engine
        self._ledger = ledger
        self._catalogue = catalogue
        self._groups_of = groups_of
        self._shares = Shares(ledger)

    def resolve(self, person: Person, text: str) -> ResolvedImage:
        """What a person means by an image: the name of one's own, a reference, or an id.

        Raises `Forbidden` for an image or container image of somebody else that is not shared,
        `NotFound`, `InvalidInput`.
        """
        rows = self._ledger.list_images()
        mine = next(
            (r for r in rows if r.uid == person.uid and text in (r.name, r.reference)), None
        )
        if mine is not None:
            if self._engine.image(mine.reference) is None:
                raise NotFound(
                    f"The image {mine.name} was removed from Docker.",
                    hint="Build it again; its Dockerfile is still there.",
                    name=mine.name,
                    dockerfile=mine.dockerfile,
                )
            request = image_request(mine)
            framework = f"{request.framework}-{request.version}"
            return ResolvedImage(mine.reference, framework, request.architecture or "")
        if not is_reference(text) and not text.startswith("sha256:"):
            raise InvalidInput(
                f"{quoted(text)} is not the name of an image.",
                hint="Give the name of one of yours, or a reference such as NAME:TAG.",
                image=text,
            )
        found = self._engine.image(text)
        if found is None:
            names = [row.name for row in rows if row.uid == person.uid]
            raise NotFound(
                f"There is no image {quoted(text)} on this machine.",
                hint=did_you_mean(text, names) or "Build one first, or start from a framework.",
                image=text,
            )
        self._refuse_others(person, text, found, rows)
        label = found.labels.get(f"{PREFIX}.FRAMEWORK")
        framework = label or self._framework_of(found) or "Custom-image"
        return ResolvedImage(text, framework, found.labels.get(f"{PREFIX}.ARCH", ""))

    def shared(self, person: Person) -> list[ImageRow]:
        """The images of others that a person may start from."""
        wanted = self._shares.with_person(person, self._groups_of(person))
        return [row for row in self._ledger.list_images() if (row.uid, row.name) in wanted]

    def _refuse_others(
        self, person: Person, text: str, found: ImageSummary, rows: Sequence[ImageRow]
    ) -> None:
        """By the ledger and by the name of a container's image, never by a label."""
        present = [r for r in rows if r.image_id == found.id or r.reference in found.references]
        owners = {row.uid for row in present}
        with self._ledger.reading() as connection:
            owners |= tables.builders(connection, found.id)
        for reference in found.references:
            parts = split_reference(reference)
            of_container = split_full_name(parts[1]) if parts and parts[1] else None
            if of_container is not None:
                owners.add(of_container[1])
        if not owners or person.uid in owners:
            return
        shared = {(row.uid, row.name) for row in self.shared(person)}
        if any((row.uid, row.name) in shared for row in present):
            return
        raise Forbidden(
            f"The image {text} belongs to somebody else.",
            hint="Ask its owner to share it with you (`%ds01 image share`).",
            image=text,
        )

    def _framework_of(self, found: ImageSummary) -> str | None:
        for row in self._catalogue().rows:
            if row.image in found.references or f"{row.image}:latest" in found.references:
                return f"{row.framework}-{row.version}"
        return None
