"""From an image to the request that it was built by, and to one with changes.

It serves to ask what a change would come to; the server reckons for itself what is built.
"""

from __future__ import annotations

from collections.abc import Sequence

from ds01_jupyter.client_error import ClientError
from ds01_jupyter.core import models
from ds01_jupyter.render.requirement_names import requirement_name


def request_of(image: models.Image, frameworks: Sequence[str] = ()) -> models.ImageRequest:
    """What an image is built from. `frameworks` are those of the catalogue, to tell their names
    from the versions behind them. Raises `ClientError` for an image that is not one's own."""
    if not image.managed or not image.framework:
        raise ClientError(
            f"{image.name or image.reference} is not an image of yours, so it cannot be changed.",
            hint="Build one of your own from the same framework.",
            code="invalid_input",
        )
    framework, version = _parted(image.framework, frameworks)
    return models.ImageRequest(
        name=image.name,
        framework=framework,
        version=version or None,
        base=image.base or "none",
        use_cases=image.use_cases,
        pip=image.pip,
        apt=image.apt,
        dockerfile="update",
    )


def changed(
    request: models.ImageRequest, changes: models.ImageUpdateRequest
) -> models.ImageRequest:
    """The request with an update's changes; a package in another version replaces the old one."""
    gone = {requirement_name(text) for text in (*changes.remove_pip, *changes.add_pip)}
    pip = [text for text in request.pip if requirement_name(text) not in gone]
    apt = [name for name in request.apt if name not in changes.remove_apt]
    given = {
        key: value
        for key in ("use_cases", "base", "version")
        if (value := getattr(changes, key)) is not None
    }
    packages = {
        "pip": [*pip, *changes.add_pip],
        "apt": [*apt, *(name for name in changes.add_apt if name not in apt)],
        "dockerfile": changes.dockerfile,
    }
    return request.model_copy(update={**packages, **given})


def replaced(packages: Sequence[str], problem: models.ResolutionProblem) -> list[str]:
    """Requirements with a problem's suggestion taken: another one in its place, or none."""
    if problem.package is None or problem.replace is None:
        return list(packages)
    wrong = requirement_name(problem.package)
    found = []
    for text in packages:
        if requirement_name(text) != wrong:
            found.append(text)
        elif problem.replace and problem.replace not in found:
            found.append(problem.replace)
    return found


def joined(before: Sequence[str], after: Sequence[str]) -> list[str]:
    """Both lists of requirements; one of `after` takes the place of its like in `before`."""
    names = {requirement_name(text) for text in after}
    return [text for text in before if requirement_name(text) not in names] + list(after)


def fixable(packages: Sequence[str], problem: models.ResolutionProblem) -> bool:
    """Whether taking the suggestion changes these requirements."""
    return replaced(packages, problem) != list(packages)


def hopeless(resolution: models.Resolution) -> bool:
    """Whether a build is bound to be refused.

    An index that does not answer now may answer then, and a package of one's own without a wheel
    is compiled in the build.
    """
    kinds = {problem.kind for problem in resolution.problems}
    return not resolution.ok and not kinds <= {"network", "no_wheel"}


def _parted(text: str, frameworks: Sequence[str]) -> tuple[str, str]:
    """`Pytorch-2.8.0-aime` -> `Pytorch`, `2.8.0-aime`."""
    for name in sorted(frameworks, key=len, reverse=True):
        if text.startswith(f"{name}-"):
            return name, text[len(name) + 1 :]
    name, _, version = text.partition("-")
    return name, version
