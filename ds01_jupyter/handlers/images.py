"""Images of one's own, and the Dockerfiles behind them."""

# jupyter_server's `authorized` has no types that mypy could follow
# mypy: disable-error-code="untyped-decorator"

from __future__ import annotations

from jupyter_server.auth.decorator import authorized
from tornado import web

from ds01_jupyter.handlers.base import RESOURCE, DS01Handler
from ds01_jupyter.handlers.bodies import (
    image_prune_request,
    image_request,
    image_rollback_request,
    image_share_request,
    image_update_request,
    import_request,
)


class ImagesHandler(DS01Handler):
    """All images of a person."""

    actions = {"GET": "image.list", "POST": "image.create"}

    @web.authenticated
    @authorized("read", RESOURCE)
    async def get(self) -> None:
        """Answer a list of `Image`."""
        self.answer(await self.call(lambda lab, person: lab.images(person)))

    @web.authenticated
    @authorized("write", RESOURCE)
    async def post(self) -> None:
        """Begin to build the image of an `ImageRequest`; answer 202 with the `Operation`."""
        request = await self.document(image_request)
        await self.begin(lambda lab, person: lab.create_image(person, request))


class ImageHandler(DS01Handler):
    """One image of a person."""

    actions = {"GET": "image.show", "DELETE": "image.remove"}

    @web.authenticated
    @authorized("read", RESOURCE)
    async def get(self, name: str) -> None:
        """Answer an `Image`."""
        self.answer(await self.call(lambda lab, person: lab.image(person, name)))

    @web.authenticated
    @authorized("write", RESOURCE)
    async def delete(self, name: str) -> None:
        """Remove the image; its Dockerfile stays. Answer 204."""
        await self.call(lambda lab, person: lab.remove_image(person, name))
        self.answer_nothing()


class ImageDockerfileHandler(DS01Handler):
    """The Dockerfile of an image."""

    actions = {"GET": "dockerfile.show"}

    @web.authenticated
    @authorized("read", RESOURCE)
    async def get(self, name: str) -> None:
        """Answer a `DockerfilePreview` of the stored Dockerfile."""
        self.answer(await self.call(lambda lab, person: lab.image_dockerfile(person, name)))


class ImageBuildsHandler(DS01Handler):
    """The builds of an image."""

    actions = {"GET": "image.builds"}

    @web.authenticated
    @authorized("read", RESOURCE)
    async def get(self, name: str) -> None:
        """Answer a list of `ImageBuild`, newest first."""
        self.answer(await self.call(lambda lab, person: lab.image_builds(person, name)))


class ImageDiffHandler(DS01Handler):
    """What differs between two builds."""

    actions = {"GET": "image.diff"}

    @web.authenticated
    @authorized("read", RESOURCE)
    async def get(self, name: str) -> None:
        """Answer the `ImageDiff` from build `?before=` to build `?after=`; absent: the present one
        and the one before it."""
        before, after = self.optional_number("before"), self.optional_number("after")
        self.answer(
            await self.call(lambda lab, person: lab.image_diff(person, name, before, after))
        )


class ImageUpdateHandler(DS01Handler):
    """Change an image."""

    actions = {"POST": "image.update"}

    @web.authenticated
    @authorized("write", RESOURCE)
    async def post(self, name: str) -> None:
        """Begin to build an image anew with the changes of an `ImageUpdateRequest`; answer 202."""
        request = await self.document(image_update_request)
        await self.begin(lambda lab, person: lab.update_image(person, name, request))


class ImageRollbackHandler(DS01Handler):
    """Go back to an earlier build."""

    actions = {"POST": "image.rollback"}

    @web.authenticated
    @authorized("write", RESOURCE)
    async def post(self, name: str) -> None:
        """Let the image's name stand for the build of an `ImageRollbackRequest`; answer the
        `Image`."""
        request = await self.document(image_rollback_request)
        self.answer(await self.call(lambda lab, person: lab.rollback_image(person, name, request)))


class ImageShareHandler(DS01Handler):
    """Share an image."""

    actions = {"POST": "image.share"}

    @web.authenticated
    @authorized("write", RESOURCE)
    async def post(self, name: str) -> None:
        """Let the user or group of an `ImageShareRequest` start containers from the image; answer
        the `Image`."""
        request = await self.document(image_share_request)
        self.answer(await self.call(lambda lab, person: lab.share_image(person, name, request)))


class ImageUnshareHandler(DS01Handler):
    """End the sharing of an image."""

    actions = {"POST": "image.unshare"}

    @web.authenticated
    @authorized("write", RESOURCE)
    async def post(self, name: str) -> None:
        """End a share as in an `ImageShareRequest`; answer the `Image`."""
        request = await self.document(image_share_request)
        self.answer(await self.call(lambda lab, person: lab.unshare_image(person, name, request)))


class PruneHandler(DS01Handler):
    """Remove images that nobody needs."""

    actions = {"POST": "image.prune"}

    @web.authenticated
    @authorized("write", RESOURCE)
    async def post(self) -> None:
        """Answer a list of `PrunedImage`: what goes by an `ImagePruneRequest`, or went."""
        request = await self.document(image_prune_request)
        self.answer(await self.call(lambda lab, person: lab.prune_images(person, request)))


class DockerfileHandler(DS01Handler):
    """A Dockerfile that could be."""

    actions = {"POST": "dockerfile.preview"}

    @web.authenticated
    @authorized("write", RESOURCE)
    async def post(self) -> None:
        """Answer the `DockerfilePreview` of an `ImageRequest`; nothing is written."""
        request = await self.document(image_request)
        self.answer(await self.call(lambda lab, person: lab.preview_image(person, request)))


class ResolutionHandler(DS01Handler):
    """What packages come to."""

    actions = {"POST": "image.resolve"}

    @web.authenticated
    @authorized("write", RESOURCE)
    async def post(self) -> None:
        """Answer the `Resolution` of an `ImageRequest`; nothing is written, built or pulled."""
        request = await self.document(image_request)
        self.answer(await self.call(lambda lab, person: lab.resolve_image(person, request)))


class ImportHandler(DS01Handler):
    """Packages from a file that a person has."""

    actions = {"POST": "image.import"}

    @web.authenticated
    @authorized("write", RESOURCE)
    async def post(self) -> None:
        """Answer the `ImageImport` of an `ImportRequest`; nothing is written."""
        request = await self.document(import_request)
        self.answer(await self.call(lambda lab, person: lab.import_packages(person, request)))


routes = [
    ("images", ImagesHandler),
    ("images/{name}", ImageHandler),
    ("images/{name}/dockerfile", ImageDockerfileHandler),
    ("images/{name}/builds", ImageBuildsHandler),
    ("images/{name}/diff", ImageDiffHandler),
    ("images/{name}/update", ImageUpdateHandler),
    ("images/{name}/rollback", ImageRollbackHandler),
    ("images/{name}/share", ImageShareHandler),
    ("images/{name}/unshare", ImageUnshareHandler),
    ("prune", PruneHandler),
    ("dockerfile", DockerfileHandler),
    ("resolution", ResolutionHandler),
    ("packages/import", ImportHandler),
]
