"""Images: a person's own ones, and what a container may start from."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from ds01_jupyter.core import dockerfile_store as store
from ds01_jupyter.core import models
from ds01_jupyter.core.builder import build_image
from ds01_jupyter.core.catalogue import CatalogueFile
from ds01_jupyter.core.dockerfile import digest
from ds01_jupyter.core.engine import ContainerSummary, Engine, ImageSummary, Reporter
from ds01_jupyter.core.errors import Conflict, Forbidden, InvalidInput, NotFound
from ds01_jupyter.core.identity import Person
from ds01_jupyter.core.image_draft import Draft, draft
from ds01_jupyter.core.labels import PREFIX
from ds01_jupyter.core.ledger import ImageRow, Ledger
from ds01_jupyter.core.names import image_name, is_reference, split_full_name, split_reference
from ds01_jupyter.core.own_image import make_own_image
from ds01_jupyter.core.packages import TierFile
from ds01_jupyter.core.settings import Settings
from ds01_jupyter.core.wording import did_you_mean, quoted


@dataclass(frozen=True)
class ResolvedImage:
    """What a container may start from. `framework` as AIME's label has it; `architecture` is
    empty when nothing tells it."""

    reference: str
    framework: str
    architecture: str


class Images:
    """The images of this machine, as one person may see and use them.

    `catalogue` and `tiers` are asked each time: an admin edits the files.
    """

    def __init__(
        self,
        engine: Engine,
        ledger: Ledger,
        catalogue: Callable[[], CatalogueFile],
        tiers: Callable[[], TierFile],
        settings: Settings,
    ) -> None:
        self._engine = engine
        self._ledger = ledger
        self._catalogue = catalogue
        self._tiers = tiers
        self._settings = settings
        self._lock = threading.Lock()
        self._building: set[str] = set()

    # ---- building --------------------------------------------------------------------------

    def preview(
        self, person: Person, request: models.ImageRequest, architecture: str
    ) -> models.DockerfilePreview:
        """The Dockerfile as it would be built; nothing is written."""
        return self._draft(person, request, architecture).preview()

    def check_words(self, request: models.ImageRequest) -> None:
        """Refuse a name or package that cannot be meant, before driver and Docker are asked."""
        image_name(request.name)
        self._tiers().select(request)

    def check(self, person: Person, request: models.ImageRequest, architecture: str) -> None:
        """Refuse now what `create` would refuse before it begins."""
        self._draft(person, request, architecture).refuse_edited()

    def create(
        self,
        person: Person,
        request: models.ImageRequest,
        architecture: str,
        progress: Reporter,
    ) -> models.Image:
        """Build an image, or build the one of that name anew."""
        drafted = self._draft(person, request, architecture)
        drafted.refuse_edited()
        with self._alone(drafted):
            row = build_image(self._engine, self._ledger, drafted, progress)
        details = {"reference": row.reference, "image": row.image_id, "base": row.base_image}
        self._ledger.record(person.name, row.owner, "image.create", row.name, "done", details)
        return self.get(person, row.name)

    def own_image(
        self,
        person: Person,
        source: str,
        container: str,
        progress: Reporter,
        labels: Mapping[str, str],
    ) -> str:
        """Make the own image of the container `NAME._.UID`; returns its reference."""
        return make_own_image(self._engine, person, source, container, progress, labels)

    def _draft(self, person: Person, request: models.ImageRequest, architecture: str) -> Draft:
        return draft(
            self._engine,
            self._ledger,
            self._catalogue(),
            self._tiers(),
            self._settings,
            person,
            request,
            architecture,
        )

    @contextmanager
    def _alone(self, drafted: Draft) -> Iterator[None]:
        """One build of a name at a time."""
        with self._lock:
            if drafted.reference in self._building:
                raise Conflict(
                    f"The image {drafted.request.name} is being built already.",
                    hint="Wait for that build, or cancel it.",
                    name=drafted.request.name,
                )
            self._building.add(drafted.reference)
        try:
            yield
        finally:
            with self._lock:
                self._building.discard(drafted.reference)

    # ---- looking ---------------------------------------------------------------------------

    def list(self, person: Person) -> list[models.Image]:
        """A person's own images that are still there, by name."""
        present = {ref: image for image in self._engine.list_images() for ref in image.references}
        containers = self._engine.list_containers()
        return [
            self._document(row, present[row.reference], containers)
            for row in self._ledger.list_images(person.uid)
            if row.reference in present
        ]

    def get(self, person: Person, name: str) -> models.Image:
        """One image of a person; `NotFound`."""
        row = self._row(person, name)
        found = self._engine.image(row.reference)
        if found is None:
            raise NotFound(
                f"The image {name} was removed from Docker.",
                hint="Build it again; its Dockerfile is still there.",
                name=name,
                dockerfile=row.dockerfile,
            )
        return self._document(row, found, self._engine.list_containers())

    def dockerfile(self, person: Person, name: str) -> models.DockerfilePreview:
        """The Dockerfile of an image as it lies on disk, with the files of its context."""
        row = self._row(person, name)
        location = store.stored(self._settings, person, row.dockerfile)
        text = store.read(location, person)
        if text is None:
            raise NotFound(
                f"The Dockerfile of {name} is gone from {row.dockerfile}.",
                hint="Build the image again to have it written anew.",
                path=row.dockerfile,
            )
        return models.DockerfilePreview(
            path=row.dockerfile,
            dockerfile=text,
            files=store.read_context(location, person),
            base_image=row.base_image,
            state="same" if digest(text) == row.dockerfile_sha256 else "edited",
        )

    def remove(self, person: Person, name: str) -> None:
        """Remove an image that no container uses; its Dockerfile stays."""
        row = self._row(person, name)
        found = self._engine.image(row.reference)
        if found is not None:
            users = self._users(row, found, self._engine.list_containers())
            if users:
                raise Conflict(
                    f"The image {name} is used by {', '.join(users)}.",
                    hint="Remove these containers first; their workspaces stay.",
                    name=name,
                    containers=list(users),
                )
            self._engine.remove_image(row.reference)
        self._ledger.delete_image(person.uid, name)
        details = {"reference": row.reference, "image": row.image_id}
        self._ledger.record(person.name, row.owner, "image.remove", name, "done", details)

    def resolve(self, person: Person, text: str) -> ResolvedImage:
        """What a person means by an image: the name of one's own, a reference, or an id.

        Raises `Forbidden` for an image or container image of somebody else, `NotFound`,
        `InvalidInput`.
        """
        rows = self._ledger.list_images()
        mine = next(
            (r for r in rows if r.uid == person.uid and text in (r.name, r.reference)), None
        )
        if mine is not None:
            self.get(person, mine.name)
            request = _request(mine)
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

    # ---- helpers ---------------------------------------------------------------------------

    def _row(self, person: Person, name: str) -> ImageRow:
        row = self._ledger.get_image(person.uid, image_name(name))
        if row is None:
            names = [one.name for one in self._ledger.list_images(person.uid)]
            raise NotFound(
                f"You have no image {name}.",
                hint=did_you_mean(name, names) or "Build one with `%ds01 image create`.",
                name=name,
            )
        return row

    def _refuse_others(
        self, person: Person, text: str, found: ImageSummary, rows: Sequence[ImageRow]
    ) -> None:
        """By the ledger and by the name of a container's image, never by a label."""
        owners = {r.uid for r in rows if r.image_id == found.id or r.reference in found.references}
        for reference in found.references:
            parts = split_reference(reference)
            of_container = split_full_name(parts[1]) if parts and parts[1] else None
            if of_container is not None:
                owners.add(of_container[1])
        if owners and person.uid not in owners:
            raise Forbidden(
                f"The image {text} belongs to somebody else.",
                hint="Ask its owner for the Dockerfile, and build it as your own.",
                image=text,
            )

    def _framework_of(self, found: ImageSummary) -> str | None:
        for row in self._catalogue().rows:
            if row.image in found.references or f"{row.image}:latest" in found.references:
                return f"{row.framework}-{row.version}"
        return None

    def _users(
        self, row: ImageRow, found: ImageSummary, containers: Sequence[ContainerSummary]
    ) -> tuple[str, ...]:
        """Names of the containers that were made from an image, or that use it directly."""
        ours = {one.full_name: one for one in self._ledger.containers()}
        users = []
        for container in containers:
            made = ours.get(container.full_name)
            from_it = made is not None and made.document.get("image") == row.reference
            if from_it or container.image_id == found.id or container.image == row.reference:
                mine = made is not None and made.uid == row.uid
                users.append(made.name if made is not None and mine else container.full_name)
        return tuple(sorted(users))

    def _document(
        self, row: ImageRow, found: ImageSummary, containers: Sequence[ContainerSummary]
    ) -> models.Image:
        request = _request(row)
        return models.Image(
            name=row.name,
            reference=row.reference,
            id=found.id,
            managed=True,
            owner=row.owner,
            framework=f"{request.framework}-{request.version}",
            base_image=row.base_image,
            created=row.created,
            size=found.size,
            base=request.base,
            use_cases=request.use_cases,
            pip=request.pip,
            apt=request.apt,
            dockerfile=row.dockerfile,
            containers=list(self._users(row, found, containers)),
        )


def _request(row: ImageRow) -> models.ImageRequest:
    return models.ImageRequest.model_validate_json(row.request_json)
