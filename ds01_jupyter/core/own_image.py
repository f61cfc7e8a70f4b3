"""The image that one container owns: `REPO:NAME._.UID`, with an id of its own.

AIME's mlc-remove deletes the image of the container that it removes. It may do so with this one:
no other container uses it, and what it is made from keeps its name.
"""

from __future__ import annotations

from collections.abc import Mapping

from ds01_jupyter.core import account
from ds01_jupyter.core.builder import have_image
from ds01_jupyter.core.dockerfile import script
from ds01_jupyter.core.engine import BuildPlan, Engine, ImageDetails, Reporter
from ds01_jupyter.core.identity import Person
from ds01_jupyter.core.image_draft import IMAGE_PREFIX, UID_LABEL, without_commas
from ds01_jupyter.core.labels import plain
from ds01_jupyter.core.names import split_reference

CONTAINER_LABEL = f"{IMAGE_PREFIX}.CONTAINER"
UNNAMED = "ds01"
"""Repository for a container of an image that is known by its id only."""


def make_own_image(
    engine: Engine,
    person: Person,
    source: str,
    container: str,
    progress: Reporter,
    labels: Mapping[str, str],
) -> str:
    """Make the image of the container named `container` and return its reference.

    `source` is any reference or id; one that the engine lacks is pulled. An image without the
    person's account gets it. Raises what a build raises; then nothing is left.
    """
    details = have_image(engine, source, progress)
    reference = f"{_repository(source, details)}:{container}"
    has_account = details.labels.get(UID_LABEL) == str(person.uid)
    lines = []
    files: dict[str, bytes] = {}
    if account.needs_account(person) and not has_account:
        names = (account.SCRIPT, account.FILE)
        files = {account.SCRIPT: script(account.SCRIPT).encode()}
        files[account.FILE] = account.account_file(person).encode()
        lines = ["USER root", f"COPY {' '.join(names)} /opt/ds01/", f"RUN {account.COMMAND}"]
    # BuildKit knows images by name only; an id is the classic builder's.
    by_name = engine.info().buildkit and bool(details.references)
    base = details.references[0] if by_name else details.id
    files["Dockerfile"] = "\n".join([f"FROM {base}", *lines, ""]).encode()
    own = {
        **without_commas(details.labels),
        CONTAINER_LABEL: container,
        UID_LABEL: str(person.uid),
        **labels,
    }
    plan = BuildPlan(
        files=files,
        reference=reference,
        labels={key: plain(value) for key, value in own.items()},
        titles={"account.": account.TITLE, "FROM ": "The image of the container"},
        builder="buildkit" if by_name else "classic",
    )
    engine.build(plan, progress)
    return reference


def _repository(source: str, details: ImageDetails) -> str:
    """The name to tag under, without a registry's tag or digest: AIME adds its own tag to it."""
    for reference in (source, *details.references):
        if details.id.removeprefix("sha256:").startswith(reference.removeprefix("sha256:")):
            continue
        parts = split_reference(reference)
        if parts is not None:
            return parts[0]
    return UNNAMED
