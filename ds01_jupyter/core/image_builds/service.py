"""What a person does with the builds of an image: look, compare, change, go back."""

from __future__ import annotations

from ds01_jupyter.core import models
from ds01_jupyter.core.engine import Engine
from ds01_jupyter.core.identity import Person
from ds01_jupyter.core.image_builds.changes import difference, updated
from ds01_jupyter.core.image_builds.history import Builds
from ds01_jupyter.core.images import Images
from ds01_jupyter.core.ledger import Ledger


class ImageBuilds:
    """The builds of one's own images."""

    def __init__(self, engine: Engine, ledger: Ledger, images: Images) -> None:
        self._engine = engine
        self._ledger = ledger
        self._images = images
        self._builds = Builds(engine, ledger)

    def list(self, person: Person, name: str) -> list[models.ImageBuild]:
        """The builds of an image, newest first; `NotFound`."""
        here = {image.id: image for image in self._engine.list_images()}
        return self._builds.documents(self._images.row(person, name), here)

    def diff(
        self, person: Person, name: str, before: int | None, after: int | None
    ) -> models.ImageDiff:
        """What differs from build `before` to build `after`; `NotFound`.

        Absent: `after` is the present one, and `before` the one before the present one.
        """
        row = self._images.row(person, name)
        newer = self._builds.present(row) if after is None else self._builds.find(row, after)
        older = self._builds.find(row, before)
        return difference(older, newer or self._builds.find(row, after))

    def updated(
        self, person: Person, name: str, changes: models.ImageUpdateRequest
    ) -> models.ImageRequest:
        """What the image is to be; `NotFound`, `InvalidInput`."""
        row = self._images.row(person, name)
        request = models.ImageRequest.model_validate_json(row.request_json)
        return updated(request, changes)

    def rollback(self, person: Person, name: str, number: int | None) -> models.Image:
        """Let the name stand for an earlier build; containers go on with what they have.

        The Dockerfile stays as it is on disk: it is the person's, and the next build is made from
        it. Raises `NotFound`, `Conflict`.
        """
        with self._images.alone(person, name) as row:
            build = self._builds.find(row, number)
            back = self._builds.go_back(row, build)
        details = {"from": row.image_id, "to": back.image_id, "build": build.number}
        self._ledger.record(person.name, row.owner, "image.rollback", name, "done", details)
        return self._images.get(person, name)
