"""What a client asks about images."""

from __future__ import annotations

from collections.abc import Sequence

from ds01_jupyter.client_answers import part
from ds01_jupyter.client_requests import Requests
from ds01_jupyter.core import models


class ImageCalls(Requests):
    """A part of `Client`: its methods mirror the API one to one."""

    def images(self) -> list[models.Image]:
        """One's own images and the others on the machine."""
        return self._many(models.Image, "images")

    def image(self, name: str) -> models.Image:
        """One image of one's own."""
        return self._one(models.Image, "GET", f"images/{part(name)}")

    def create_image(self, request: models.ImageRequest) -> models.Operation:
        """Begin to build an image; `wait` for the operation to end."""
        return self._one(models.Operation, "POST", "images", body=request.model_dump(mode="json"))

    def remove_image(self, name: str) -> None:
        """Remove an image of one's own."""
        self._send("DELETE", f"images/{part(name)}")

    def image_dockerfile(self, name: str) -> models.DockerfilePreview:
        """The Dockerfile that an image was built from."""
        return self._one(models.DockerfilePreview, "GET", f"images/{part(name)}/dockerfile")

    def image_builds(self, name: str) -> list[models.ImageBuild]:
        """The builds of an image that are kept, newest first."""
        return self._many(models.ImageBuild, f"images/{part(name)}/builds")

    def image_diff(
        self, name: str, before: int | None = None, after: int | None = None
    ) -> models.ImageDiff:
        """What differs between two builds; absent: the present one and the one before it."""
        numbers = {"before": before, "after": after}
        params = {key: number for key, number in numbers.items() if number is not None}
        return self._one(models.ImageDiff, "GET", f"images/{part(name)}/diff", params=params)

    def update_image(self, name: str, changes: models.ImageUpdateRequest) -> models.Operation:
        """Begin to build an image anew with changes."""
        body = changes.model_dump(mode="json")
        return self._one(models.Operation, "POST", f"images/{part(name)}/update", body=body)

    def rollback_image(self, name: str, to: int | None = None) -> models.Image:
        """Go back to an earlier build; absent: the one before the present one."""
        body = models.ImageRollbackRequest(to=to).model_dump(mode="json")
        return self._one(models.Image, "POST", f"images/{part(name)}/rollback", body=body)

    def share_image(
        self, name: str, user: str | None = None, group: str | None = None
    ) -> models.Image:
        """Let a user or a group start containers from an image of one's own."""
        body = {"user": user, "group": group}
        return self._one(models.Image, "POST", f"images/{part(name)}/share", body=body)

    def unshare_image(
        self, name: str, user: str | None = None, group: str | None = None
    ) -> models.Image:
        """End that; containers that were made from the image go on."""
        body = {"user": user, "group": group}
        return self._one(models.Image, "POST", f"images/{part(name)}/unshare", body=body)

    def prune_images(self, request: models.ImagePruneRequest) -> list[models.PrunedImage]:
        """Remove the images that nobody needs any more, or tell which these are."""
        body = request.model_dump(mode="json")
        return self._many(models.PrunedImage, "prune", "POST", body=body)

    def resolve_image(self, request: models.ImageRequest) -> models.Resolution:
        """What the packages of an image come to; nothing is built."""
        body = request.model_dump(mode="json")
        return self._one(models.Resolution, "POST", "resolution", body=body)

    def import_packages(
        self, filename: str, text: str, extras: Sequence[str] = ()
    ) -> models.ImageImport:
        """The packages of a requirements.txt, pyproject.toml, environment.yml or Dockerfile."""
        body = {"filename": filename, "text": text, "extras": list(extras)}
        return self._one(models.ImageImport, "POST", "packages/import", body=body)

    def preview_dockerfile(self, request: models.ImageRequest) -> models.DockerfilePreview:
        """The Dockerfile as it would be built; nothing is written."""
        body = request.model_dump(mode="json")
        return self._one(models.DockerfilePreview, "POST", "dockerfile", body=body)
