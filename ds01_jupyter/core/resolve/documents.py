"""The documents of a resolution; `models` says what holds of all of them."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ds01_jupyter.core.document import Document

ProblemKind = Literal[
    "not_found", "no_version", "no_wheel", "conflict", "framework", "opencv", "network", "other"
]


class ResolvedPackage(Document):
    """A package as the image would have it."""

    name: str
    version: str
    tier: str
    """Key of the tier that brings it: `base`, a use case, or `custom`."""
    asked: bool
    """Whether a tier names it; else something that it names needs it."""
    state: Literal["new", "present", "changed"]
    """`present`: the framework's image has it already and it fits; `changed`: it has another
    version, which is replaced."""
    was: str | None = None
    """The version in the framework's image, when it is changed."""
    size: int | None = None
    """Bytes to download; None where the index does not tell."""


class ResolutionProblem(Document):
    """Why it cannot be installed, or would not work."""

    kind: ProblemKind
    package: str | None
    message: str
    """One or two sentences in plain words."""
    suggestion: str = ""
    """What to do."""
    replace: str | None = None
    """A requirement to put in the place of `package`, where there is one; empty: leave it out."""
    said: str = ""
    """The resolver's own words, for those who want to know."""


class Resolution(Document):
    """What the tiers and one's own packages come to, on top of a framework's image."""

    ok: bool
    """Whether it can be built."""
    checked: bool
    """False where nothing could be looked at: the classic builder, or the base is not here yet."""
    base_image: str
    python: str | None = None
    framework: dict[str, str] = Field(default_factory=dict)
    """Packages of the framework with their versions; these stay as they are."""
    packages: list[ResolvedPackage] = Field(default_factory=list)
    problems: list[ResolutionProblem] = Field(default_factory=list)
    download: int | None = None
    """Bytes to fetch from the index, for packages that are not in the build's cache."""
    note: str = ""
    """Why nothing was looked at, or what else to know."""
    seconds: float = 0.0
