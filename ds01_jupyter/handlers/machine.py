"""What the lab has to offer: the server itself, catalogue, packages, limits, GPUs."""

# jupyter_server's `authorized` has no types that mypy could follow
# mypy: disable-error-code="untyped-decorator"

from __future__ import annotations

from functools import cache
from pathlib import Path

from jupyter_server.auth.decorator import authorized
from tornado import web

from ds01_jupyter.handlers.base import RESOURCE, DS01Handler

SPECIFICATION = Path(__file__).parent.parent / "openapi.yaml"


@cache
def _specification() -> str:
    return SPECIFICATION.read_text(encoding="utf-8")


class AboutHandler(DS01Handler):
    """What this server is, and whether Docker and the driver answer."""

    actions = {"GET": "about.show"}

    @web.authenticated
    @authorized("read", RESOURCE)
    async def get(self) -> None:
        """Answer an `About`."""
        self.answer(await self.call(lambda lab, person: lab.about(person)))


class CatalogueHandler(DS01Handler):
    """The frameworks on offer."""

    actions = {"GET": "catalogue.show"}

    @web.authenticated
    @authorized("read", RESOURCE)
    async def get(self) -> None:
        """Answer the `Catalogue` of the machine's architecture, or of `?architecture=`."""
        wanted = self.get_query_argument("architecture", None) or None
        self.answer(await self.call(lambda lab, person: lab.catalogue(person, wanted)))


class PackagesHandler(DS01Handler):
    """The tiers of packages on offer."""

    actions = {"GET": "packages.show"}

    @web.authenticated
    @authorized("read", RESOURCE)
    async def get(self) -> None:
        """Answer the `Tiers`."""
        self.answer(await self.call(lambda lab, _: lab.tiers()))


class LimitsHandler(DS01Handler):
    """A person's limits."""

    actions = {"GET": "limits.show"}

    @web.authenticated
    @authorized("read", RESOURCE)
    async def get(self) -> None:
        """Answer a `LimitsReport`."""
        self.answer(await self.call(lambda lab, person: lab.limits(person)))


class GpusHandler(DS01Handler):
    """The GPUs and who has what."""

    _track_activity = False
    actions = {"GET": "gpus.show"}

    @web.authenticated
    @authorized("read", RESOURCE)
    async def get(self) -> None:
        """Answer a `GpuSnapshot`."""
        self.answer(await self.call(lambda lab, person: lab.gpus(person)))


class SpecificationHandler(DS01Handler):
    """The description of this API."""

    actions = {"GET": "spec.show"}

    @web.authenticated
    @authorized("read", RESOURCE)
    async def get(self) -> None:
        """Answer the OpenAPI document."""
        self.finish(_specification(), set_content_type="application/yaml")


routes = [
    ("about", AboutHandler),
    ("catalogue", CatalogueHandler),
    ("packages", PackagesHandler),
    ("limits", LimitsHandler),
    ("gpus", GpusHandler),
    ("spec", SpecificationHandler),
]
