"""The documents of the catalogue, the tiers and images; `models` says what holds of all of them."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from ds01_jupyter.core.document import MAX_LIST, MAX_TEXT, Document
from ds01_jupyter.core.image_builds.documents import ImageShare


class FrameworkChoice(Document):
    """A row of the catalogue. Absent version: the newest; absent architecture: the machine's."""

    framework: str = Field(min_length=1, max_length=MAX_TEXT)
    version: str | None = Field(default=None, max_length=MAX_TEXT)
    architecture: str | None = Field(default=None, max_length=MAX_TEXT)


class ImageRequest(FrameworkChoice):
    """An image of one's own: a framework and the tiers on top of it."""

    name: str = Field(max_length=MAX_TEXT)
    base: Literal["defaults", "none"] | list[str] = "defaults"
    """Base tier: the defaults, nothing, or one's own choice of its packages."""
    use_cases: list[str] = Field(default_factory=list, max_length=MAX_LIST)
    """Keys of the use case tiers, such as `cv`."""
    pip: list[str] = Field(default_factory=list, max_length=MAX_LIST)
    """Requirements of one's own, such as `einops>=0.8`."""
    apt: list[str] = Field(default_factory=list, max_length=MAX_LIST)
    """Debian packages of one's own, such as `ffmpeg`."""
    project: str | None = Field(default=None, max_length=4096)
    """Folder that gets the Dockerfile; absent: the central `~/dockerfiles`."""
    dockerfile: Literal["ask", "update", "keep", "replace"] = "ask"
    """When a Dockerfile that was edited by hand is there: refuse and ask, renew its marked parts
    and keep the rest, build it as it is, or replace it (the old one is kept beside it)."""


class CatalogueRow(Document):
    """One framework and version of the catalogue."""

    framework: str
    version: str
    architectures: list[str]
    image: str
    local: bool = False
    """Whether the image is on this machine already."""


class CatalogueProblem(Document):
    """A row that could not be read, with its place."""

    file: str
    line: int
    text: str
    problem: str


class Catalogue(Document):
    """The rows that fit the machine's architecture, in the order of the file."""

    rows: list[CatalogueRow]
    frameworks: list[str]
    architecture: str | None
    architecture_from: Literal["request", "configuration", "driver"] | None
    architectures: list[str]
    problems: list[CatalogueProblem]
    source: str


class TierPackage(Document):
    """A package of a tier and one sentence on what it is for."""

    name: str
    why: str


class Tier(Document):
    """A set of packages that belong together."""

    key: str
    title: str
    why: str
    packages: list[TierPackage]
    apt: list[TierPackage] = Field(default_factory=list)
    """Debian packages that the set needs."""


class Tiers(Document):
    """The base tier and the use cases that an admin offers."""

    base: Tier
    use_cases: list[Tier]


class DockerfilePreview(Document):
    """The Dockerfile as it would be built, with the files of its build context."""

    path: str
    dockerfile: str
    files: dict[str, str]
    base_image: str
    state: Literal["new", "same", "changed", "edited"]
    """What lies at `path` now: nothing, the same, an older one of ours, or one edited by hand."""


class Image(Document):
    """An image: one's own (`managed`), or another one on this machine."""

    name: str
    reference: str
    id: str
    managed: bool
    owner: str | None
    framework: str | None
    base_image: str | None
    created: datetime | None
    size: int
    base: Literal["defaults", "none"] | list[str] | None = None
    use_cases: list[str] = Field(default_factory=list)
    pip: list[str] = Field(default_factory=list)
    apt: list[str] = Field(default_factory=list)
    dockerfile: str | None = None
    build: int | None = None
    """Number of its present build."""
    outdated: list[str] = Field(default_factory=list)
    """Why it is not what a build would bring now: its Dockerfile, or the framework's image."""
    containers: list[str] = Field(default_factory=list)
    packages: dict[str, str] | None = None
    """Python packages with their versions; only in the view of one image."""
    shared_with: list[ImageShare] = Field(default_factory=list)
    """Who else may start containers from it."""
    shared_by: str | None = None
    """Whose it is, where somebody else shares it."""
