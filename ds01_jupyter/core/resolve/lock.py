"""The lock of an image: for each tier the exact packages that it brings.

A tier's lock holds what the tiers up to it bring and those before it do not, so that it is the same
text for everybody with the same tiers: that is why people can share the layers above their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as checked_dataclass

UNLOCKED = "# Nothing was resolved beforehand: the installer decides.\n"


@checked_dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class LockedPackage:
    """One package: `version`, the `tier` that brings it, the SHA-256 of its wheel where known."""

    version: str
    tier: str
    sha256: str | None = None


@dataclass(frozen=True)
class Lock:
    """Packages by name, resolved for the base image with the id `base_image_id`. `question` stands
    for all that was asked: the same question again has this answer until somebody wants it anew."""

    base_image_id: str
    packages: Mapping[str, LockedPackage]
    question: str = ""

    def file(self, tier: str) -> str:
        """The pins of one tier as a file of constraints."""
        lines = [
            f"{name}=={package.version}"
            for name, package in sorted(self.packages.items())
            if package.tier == tier
        ]
        return "".join(f"{line}\n" for line in ["# Exact versions, as resolved", *lines])

    def pins(self, *, but: frozenset[str] = frozenset()) -> dict[str, str]:
        """Name and version of what the tiers bring, `but` some."""
        return {n: p.version for n, p in self.packages.items() if p.tier not in but}

    def text(self) -> str:
        """As JSON, to be kept with the image."""
        return _DOCUMENT.dump_json(self, indent=1).decode() + "\n"

    @classmethod
    def read(cls, text: str) -> Lock | None:
        """The lock that `text` wrote; None for anything else (an image may hold anything)."""
        try:
            return _DOCUMENT.validate_json(text)
        except ValidationError:
            return None


_DOCUMENT = TypeAdapter(Lock)
