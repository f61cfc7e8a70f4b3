"""The documents of an import; `models` says what holds of all of them."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ds01_jupyter.core.document import MAX_TEXT, Document

MAX_SOURCE = 256 * 1024


class ImportRequest(Document):
    """A file that a person has, by its name and its text; nothing is opened on the server."""

    filename: str = Field(min_length=1, max_length=MAX_TEXT)
    text: str = Field(max_length=MAX_SOURCE)
    extras: list[str] = Field(default_factory=list, max_length=50)
    """Of a pyproject.toml: optional dependencies and dependency groups to take as well."""


class ImportNote(Document):
    """Something of the file that was not taken, or not as it stood there."""

    line: int | None
    """From 1, where the format has lines of its own."""
    text: str
    """What stands there."""
    why: str
    """One sentence."""
    suggestion: str | None = None
    """A pip package that could be added instead, where there is one to guess."""


class ImageImport(Document):
    """What an image would get from a file."""

    source: Literal["requirements", "pyproject", "environment", "dockerfile"]
    pip: list[str]
    apt: list[str] = Field(default_factory=list)
    framework: str | None = None
    """As the catalogue calls it, where the file tells."""
    version: str | None = None
    notes: list[ImportNote] = Field(default_factory=list)
