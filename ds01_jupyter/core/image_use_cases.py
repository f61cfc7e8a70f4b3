"""The use cases of the lab that concern images."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

from ds01_jupyter.core import models
from ds01_jupyter.core.admin_files import AdminFiles
from ds01_jupyter.core.admins import require_admin
from ds01_jupyter.core.build_queue import BuildQueue
from ds01_jupyter.core.containers import Containers
from ds01_jupyter.core.identity import Directory, Person
from ds01_jupyter.core.image_builds.service import ImageBuilds
from ds01_jupyter.core.image_sources.reading import read_source
from ds01_jupyter.core.images import Images
from ds01_jupyter.core.ledger import Ledger
from ds01_jupyter.core.operations import Operations, Progress
from ds01_jupyter.core.recreation import Recreation
from ds01_jupyter.core.settings import Settings


class ImageUseCases:
    """A part of `Lab`: one method a use case; each takes the person it acts for first."""

    settings: Settings
    _accounts: Directory
    _admin: AdminFiles
    _containers: Containers
    _images: Images
    _ledger: Ledger
    _recreation: Recreation
    _image_builds: ImageBuilds
    _build_queue: BuildQueue
    _operations: Operations

    @abstractmethod
    def _architecture(self, requested: str | None) -> tuple[str, Any]:
        """The architecture to select from the catalogue, and where it comes from."""

    def images(self, person: Person) -> list[models.Image]:
        """A person's own images."""
        return self._images.list(person)

    def image(self, person: Person, name: str) -> models.Image:
        """One image of a person."""
        return self._images.get(person, name)

    def preview_image(
        self, person: Person, request: models.ImageRequest
    ) -> models.DockerfilePreview:
        """The Dockerfile as it would be built; nothing is written."""
        self._images.check_words(request)
        architecture = self._architecture(request.architecture)[0]
        return self._images.preview(person, request, architecture)

    def resolve_image(self, person: Person, request: models.ImageRequest) -> models.Resolution:
        """What the packages of an image come to; nothing is written, built or pulled."""
        self._images.check_words(request)
        architecture = self._architecture(request.architecture)[0]
        return self._images.resolution(person, request, architecture)

    def import_packages(self, person: Person, request: models.ImportRequest) -> models.ImageImport:
        """The packages of a file that a person has; nothing is written."""
        return read_source(request, self._images.framework_of_reference)

    def create_image(self, person: Person, request: models.ImageRequest) -> models.Operation:
        """Start building an image."""
        self._images.check_words(request)
        architecture = self._architecture(request.architecture)[0]
        building = self._images.begin(person, request, architecture)

        def work(progress: Progress) -> dict[str, Any]:
            image = self._images.create(person, request, architecture, progress, building)
            return image.model_dump(mode="json")

        try:
            return self._operations.start(
                person,
                "image.create",
                f"Build the image {request.name}",
                work,
                undo=building.release,
                gate=lambda progress: self._build_queue.turn(person, request.name, progress),
            )
        except BaseException:
            building.release()
            raise

    def image_dockerfile(self, person: Person, name: str) -> models.DockerfilePreview:
        """The stored Dockerfile of an image."""
        return self._images.dockerfile(person, name)

    def remove_image(self, person: Person, name: str) -> None:
        """Remove an image that no container uses; its Dockerfile stays."""
        self._images.remove(person, name)

    # ---- builds of an image --------------------------------------------------------------

    def image_builds(self, person: Person, name: str) -> list[models.ImageBuild]:
        """The builds of an image that are kept, newest first."""
        return self._image_builds.list(person, name)

    def image_diff(
        self, person: Person, name: str, before: int | None, after: int | None
    ) -> models.ImageDiff:
        """What differs between two builds; absent: the present one and the one before it."""
        return self._image_builds.diff(person, name, before, after)

    def update_image(
        self, person: Person, name: str, changes: models.ImageUpdateRequest
    ) -> models.Operation:
        """Start building an image anew with changes."""
        request = self._image_builds.updated(person, name, changes)
        self._images.check_words(request)
        architecture = self._architecture(request.architecture)[0]
        for container in changes.recreate:
            self._containers.own(person, container)  # one that is not there is refused now
        building = self._images.begin(person, request, architecture)

        def work(progress: Progress) -> dict[str, Any]:
            image = self._images.create(
                person, request, architecture, progress, building, fresh=changes.refresh
            )
            for container in changes.recreate:
                self._recreate(person, container, progress)
            return image.model_dump(mode="json")

        try:
            return self._operations.start(
                person,
                "image.update",
                f"Update the image {name}",
                work,
                undo=building.release,
                gate=lambda progress: self._build_queue.turn(person, name, progress),
            )
        except BaseException:
            building.release()
            raise

    def share_image(
        self, person: Person, name: str, request: models.ImageShareRequest
    ) -> models.Image:
        """Let a user or a group start containers from an image of one's own."""
        return self._images.share(person, name, request, self._accounts)

    def unshare_image(
        self, person: Person, name: str, request: models.ImageShareRequest
    ) -> models.Image:
        """End that; containers that were made from the image go on."""
        return self._images.unshare(person, name, request, self._accounts)

    def prune_images(
        self, person: Person, request: models.ImagePruneRequest
    ) -> Sequence[models.PrunedImage]:
        """Remove the images that nobody needs any more, or tell which these are."""
        if request.everybody:
            require_admin(person, self.settings.admins, "remove images of others")
        return self._images.prune(person, request)

    def recreate_container(self, person: Person, name: str) -> models.Operation:
        """Start making a container anew from its image as it is now."""
        row, _ = self._containers.own(person, name)

        def work(progress: Progress) -> dict[str, Any]:
            self._recreate(person, name, progress)
            return self._containers.get(person, name).model_dump(mode="json")

        return self._operations.start(
            person, "container.recreate", f"Make the container {row.name} anew", work
        )

    def _recreate(self, person: Person, name: str, progress: Progress) -> None:
        row, summary = self._containers.own(person, name)
        limits = self._admin.limits().for_person(person)
        self._recreation.recreate(person, row, summary, limits, progress)
        self._ledger.record(person.name, row.owner, "container.recreate", row.full_name, "done", {})

    def rollback_image(
        self, person: Person, name: str, request: models.ImageRollbackRequest
    ) -> models.Image:
        """Let an image's name stand for an earlier build of it."""
        return self._image_builds.rollback(person, name, request.to)
