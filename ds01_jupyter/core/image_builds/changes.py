"""What differs between two builds, and what an update makes of a request."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from ds01_jupyter.core.errors import InvalidInput
from ds01_jupyter.core.image_builds.documents import ImageDiff, ImageUpdateRequest, PackageChange
from ds01_jupyter.core.image_builds.tables import BuildRow
from ds01_jupyter.core.models import ImageRequest
from ds01_jupyter.core.requirements import parse_apt, parse_requirement
from ds01_jupyter.core.wording import did_you_mean, quoted


def difference(before: BuildRow, after: BuildRow) -> ImageDiff:
    """Packages that came, went or changed, by name; and the Dockerfiles."""
    old, new = before.packages or {}, after.packages or {}
    changes = [
        PackageChange(name=name, before=old.get(name), after=new.get(name))
        for name in sorted({*old, *new})
        if old.get(name) != new.get(name)
    ]
    lines = difflib.unified_diff(
        before.dockerfile.splitlines(),
        after.dockerfile.splitlines(),
        f"build {before.number}",
        f"build {after.number}",
        lineterm="",
    )
    return ImageDiff(
        before=before.number,
        after=after.number,
        changes=changes,
        base_changed=before.base_image_id != after.base_image_id,
        dockerfile="\n".join(lines),
    )


def updated(request: ImageRequest, changes: ImageUpdateRequest) -> ImageRequest:
    """The request of an image with an update's changes.

    A package that is added in another version takes the place of the old one. Raises `InvalidInput`
    for what is no package, and for one to remove that the image does not have of its own.
    """
    new: dict[str, object] = {"dockerfile": changes.dockerfile}
    added = [parse_requirement(text) for text in changes.add_pip]
    kept = _without(request.pip, changes.remove_pip, "pip")
    names = {_name(text) for text in added}
    pip = [text for text in kept if _name(text) not in names] + added
    apt = _without(request.apt, changes.remove_apt, "apt")
    apt += [name for name in map(parse_apt, changes.add_apt) if name not in apt]
    new |= {
        key: value
        for key, value in {
            "use_cases": changes.use_cases,
            "base": changes.base,
            "version": changes.version,
        }.items()
        if value is not None
    }
    return request.model_copy(update={**new, "pip": pip, "apt": apt})


def _without(there: Sequence[str], unwanted: Iterable[str], kind: str) -> list[str]:
    left = list(there)
    for text in unwanted:
        name = _name(parse_requirement(text)) if kind == "pip" else parse_apt(text)
        rest = [one for one in left if (_name(one) if kind == "pip" else one) != name]
        if rest == left:
            raise InvalidInput(
                f"{quoted(text)} is not among the {kind} packages that you added to this image.",
                hint=did_you_mean(name, there)
                or "What the tiers bring is chosen with the base and the use cases.",
                package=text,
                packages=list(there),
            )
        left = rest
    return left


def _name(requirement: str) -> str:
    return canonicalize_name(Requirement(requirement).name)
