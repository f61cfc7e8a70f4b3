"""The labels that make AIME's own commands work on our containers.

Both generations of AIME's tools read them: v1 wants VERSION=3, v2 MLC_VERSION=4; v2 splits all
labels of a container at commas, so no value may hold one, inherited ones included. Ownership is
never read from them: a user could have written them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

PREFIX = "aime.mlc"
NONE = "-"
CLAIM = f"{PREFIX}.CLAIM"
SLOTS = f"{PREFIX}.SLOTS"
LEDGER = f"{PREFIX}.LEDGER"
"""Which ledger a container is in: what a lost one may take up again."""
GPUS = f"{PREFIX}.GPUS"


@dataclass(frozen=True)
class ContainerFacts:
    """What the labels of one container tell. Paths are those on the host; `-` means none."""

    user: str
    name: str
    framework: str
    architecture: str
    workspace: str
    data: str | None
    models: str | None
    devices: tuple[str, ...]
    slots: tuple[str, ...]
    claim: str
    ledger: str


def container_labels(facts: ContainerFacts, inherited: Mapping[str, str]) -> dict[str, str]:
    """Labels for `docker create`; those of the image that would break AIME's lists are emptied.

    Every key that AIME's tools read is set here, so nothing inherited can stand in for one.
    """
    labels = {key: "" for key, value in inherited.items() if "," in key + value}
    labels.update(
        {
            PREFIX: facts.user,
            f"{PREFIX}.NAME": facts.name,
            f"{PREFIX}.USER": facts.user,
            f"{PREFIX}.VERSION": "3",
            f"{PREFIX}.MLC_VERSION": "4",
            f"{PREFIX}.ARCH": facts.architecture or NONE,
            f"{PREFIX}.WORK_MOUNT": facts.workspace,
            f"{PREFIX}.DATA_MOUNT": facts.data or NONE,
            f"{PREFIX}.MODELS_MOUNT": facts.models or NONE,
            f"{PREFIX}.FRAMEWORK": facts.framework,
            GPUS: " ".join(facts.devices) or NONE,
            SLOTS: " ".join(facts.slots) or NONE,
            CLAIM: facts.claim,
            LEDGER: facts.ledger,
        }
    )
    return {key: plain(value) for key, value in labels.items()}


def plain(value: str) -> str:
    """A value that AIME's own splitting leaves whole."""
    return re.sub(r"[,\x00-\x1f\x7f]", "_", value)
