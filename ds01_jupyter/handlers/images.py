"""Images of one's own, and the Dockerfiles behind them."""

# jupyter_server's `authorized` has no types that mypy could follow
# mypy: disable-error-code="untyped-decorator"

from __future__ import annotations

from jupyter_server.auth.decorator import authorized
from tornado import web

from ds01_jupyter.handlers.base import RESOURCE, DS01Handler
from ds01_jupyter.handlers.bodies import image_request


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


class DockerfileHandler(DS01Handler):
    """A Dockerfile that could be."""

    actions = {"POST": "dockerfile.preview"}

    @web.authenticated
    @authorized("write", RESOURCE)
    async def post(self) -> None:
        """Answer the `DockerfilePreview` of an `ImageRequest`; nothing is written."""
        request = await self.document(image_request)
        self.answer(await self.call(lambda lab, person: lab.preview_image(person, request)))


routes = [
    ("images", ImagesHandler),
    ("images/{name}", ImageHandler),
    ("images/{name}/dockerfile", ImageDockerfileHandler),
    ("dockerfile", DockerfileHandler),
]
