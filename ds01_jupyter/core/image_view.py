"""An image as people see it: what is in it, who uses it, and whether it is out of date."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ds01_jupyter.core import dockerfile_store as store
from ds01_jupyter.core import models
from ds01_jupyter.core.engine import ContainerSummary, Engine, ImageSummary
from ds01_jupyter.core.errors import CoreError
from ds01_jupyter.core.identity import Person
from ds01_jupyter.core.image_builds.history import Builds
from ds01_jupyter.core.image_builds.tables import BuildRow
from ds01_jupyter.core.image_shares import Shares
from ds01_jupyter.core.ledger import ImageRow, Ledger
from ds01_jupyter.core.settings import Settings


def image_request(row: ImageRow) -> models.ImageRequest:
    """What was asked for when the image was built."""
    return models.ImageRequest.model_validate_json(row.request_json)


class ImageView:
    """Makes the documents of images."""

    def __init__(
        self,
        engine: Engine,
        ledger: Ledger,
        builds: Builds,
        shares: Shares,
        settings: Settings,
    ) -> None:
        self._engine = engine
        self._ledger = ledger
        self._builds = builds
        self._settings = settings
        self._shares = shares

    def document(
        self,
        person: Person,
        row: ImageRow,
        found: ImageSummary,
        containers: Sequence[ContainerSummary],
        present: Mapping[str, ImageSummary] | None = None,
    ) -> models.Image:
        """An image of `person`; `present` are the engine's images by reference, where known."""
        request = image_request(row)
        build = self._builds.present(row)
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
            build=None if build is None else build.number,
            outdated=[] if build is None else self._outdated(person, row, build, present),
            containers=list(self.users(row, found, containers)),
            shared_with=[
                models.ImageShare(kind=one.kind, name=one.label) for one in self._shares.of(row)
            ],
        )

    def of_another(self, row: ImageRow, found: ImageSummary) -> models.Image:
        """An image that its owner shares: what it is, not who uses it or where it comes from."""
        request = image_request(row)
        return models.Image(
            name=row.name,
            reference=row.reference,
            id=found.id,
            managed=False,
            owner=row.owner,
            framework=f"{request.framework}-{request.version}",
            base_image=row.base_image,
            created=row.created,
            size=found.size,
            base=request.base,
            use_cases=request.use_cases,
            pip=request.pip,
            apt=request.apt,
            shared_by=row.owner,
        )

    def users(
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

    def _outdated(
        self,
        person: Person,
        row: ImageRow,
        build: BuildRow,
        present: Mapping[str, ImageSummary] | None,
    ) -> list[str]:
        """Why a build now would bring something else, in words."""
        reasons = []
        if self._text_now(person, row) not in (None, build.dockerfile):
            reasons.append("Its Dockerfile was changed after it was built.")
        base = self._base(row.base_image, present)
        if base is not None and base.id != build.base_image_id:
            reasons.append("The framework's image is another one than it was built on.")
        return reasons

    def _base(
        self, reference: str, present: Mapping[str, ImageSummary] | None
    ) -> ImageSummary | None:
        if present is None:
            return self._engine.image(reference)
        return present.get(reference) or present.get(f"{reference}:latest")

    def _text_now(self, person: Person, row: ImageRow) -> str | None:
        """Its Dockerfile as it lies on disk; None where it cannot be read."""
        try:
            return store.read(store.stored(self._settings, person, row.dockerfile), person)
        except CoreError:
            return None
