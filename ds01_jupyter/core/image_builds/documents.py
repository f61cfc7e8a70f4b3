"""The documents of an image's builds; `models` says what holds of all of them."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from ds01_jupyter.core.document import MAX_LIST, MAX_TEXT, Document


class ImageBuild(Document):
    """One build of an image. Sizes in bytes."""

    number: int
    """From 1; each image counts for itself."""
    current: bool
    """Whether the image's name stands for this build."""
    created: datetime
    image_id: str
    base_image: str
    size: int
    packages: dict[str, str] | None
    """Python packages with their versions; None where they could not be read."""
    available: bool
    """Whether it is still there, so that one can go back to it."""


class PackageChange(Document):
    """A package in two builds; None where one does not have it."""

    name: str
    before: str | None
    after: str | None


class ImageDiff(Document):
    """What differs between two builds of an image."""

    before: int
    after: int
    changes: list[PackageChange]
    base_changed: bool
    """Whether the framework's image is another one."""
    dockerfile: str
    """Unified diff of the Dockerfiles; empty where they are the same."""


class ImageUpdateRequest(Document):
    """What changes in an image; absent: stays as it is."""

    add_pip: list[str] = Field(default_factory=list, max_length=MAX_LIST)
    remove_pip: list[str] = Field(default_factory=list, max_length=MAX_LIST)
    """Names of one's own packages, in whatever version they were asked for."""
    add_apt: list[str] = Field(default_factory=list, max_length=MAX_LIST)
    remove_apt: list[str] = Field(default_factory=list, max_length=MAX_LIST)
    use_cases: list[str] | None = Field(default=None, max_length=MAX_LIST)
    base: Literal["defaults", "none"] | list[str] | None = None
    version: str | None = Field(default=None, max_length=MAX_TEXT)
    """Another version of the framework."""
    refresh: bool = False
    """Newest versions of everything; otherwise what is there stays as far as it fits."""
    dockerfile: Literal["ask", "update", "keep", "replace"] = "update"
    """`update`: the marked parts are renewed, and what a person wrote around them stays."""
    recreate: list[str] = Field(default_factory=list, max_length=MAX_LIST)
    """Names of containers that are made anew from the new image; their workspaces stay."""


class ImageShare(Document):
    """Somebody who may start containers from an image of another."""

    kind: Literal["user", "group"]
    name: str


class ImageShareRequest(Document):
    """With whom to share; exactly one of the two."""

    user: str | None = Field(default=None, max_length=MAX_TEXT)
    group: str | None = Field(default=None, max_length=MAX_TEXT)


class ImagePruneRequest(Document):
    """Which images nobody needs any more."""

    dry_run: bool = True
    """Only tell what would go."""
    days: float = Field(default=30.0, ge=0, le=3650)
    """Images that no container uses and that are older than so many days, and the earlier builds of
    the others that are."""
    everybody: bool = False
    """Everybody's, not only one's own; for admins."""


class PrunedImage(Document):
    """An image, or an earlier build of one, that goes or went."""

    name: str
    owner: str
    build: int | None
    """None: the image itself with all its builds."""
    reference: str
    size: int
    created: datetime


class ImageRollbackRequest(Document):
    """Which build to go back to."""

    to: int | None = None
    """Absent: the one before the present one."""
    recreate: list[str] = Field(default_factory=list, max_length=MAX_LIST)
