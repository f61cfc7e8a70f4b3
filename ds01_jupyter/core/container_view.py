"""A container as the API shows it, whoever made it."""

from __future__ import annotations

from typing import Literal

from ds01_jupyter.core import models
from ds01_jupyter.core.engine import ContainerSummary
from ds01_jupyter.core.labels import NONE, PREFIX
from ds01_jupyter.core.ledger import ContainerRow
from ds01_jupyter.core.names import split_full_name


def made_by(
    summary: ContainerSummary, row: ContainerRow | None
) -> Literal["ds01", "aime", "docker"]:
    """Ours by the ledger; AIME's by its labels; else plain Docker's."""
    if row is not None:
        return "ds01"
    return "aime" if PREFIX in summary.labels else "docker"


def own_number(summary: ContainerSummary) -> int | None:
    """The uid in `NAME._.UID`, None for other names."""
    parts = split_full_name(summary.full_name)
    return parts[1] if parts else None


def container_document(
    summary: ContainerSummary,
    row: ContainerRow | None,
    gpus: list[models.SlotReference],
    life: models.ContainerLife | None = None,
) -> models.Container:
    """Owner and folders from the ledger where it is ours, else from the labels (for people)."""
    maker = made_by(summary, row)
    parts = split_full_name(summary.full_name)
    labels = summary.labels
    kept = row.document if row is not None else {}
    return models.Container(
        name=row.name if row else (parts[0] if parts else summary.full_name),
        full_name=summary.full_name,
        id=summary.id,
        managed=row is not None,
        owner=row.owner if row else labels.get(f"{PREFIX}.USER") or labels.get(PREFIX),
        state=summary.state,
        status=summary.status,
        image=str(kept.get("image") or summary.image),
        framework=kept.get("framework") or labels.get(f"{PREFIX}.FRAMEWORK"),
        gpus=gpus,
        workspace=kept.get("workspace") or _path(labels.get(f"{PREFIX}.WORK_MOUNT")),
        data=kept.get("data") or _path(labels.get(f"{PREFIX}.DATA_MOUNT")),
        models=kept.get("models") or _path(labels.get(f"{PREFIX}.MODELS_MOUNT")),
        created=summary.created,
        made_by=maker,
        life=life,
    )


def _path(value: str | None) -> str | None:
    return None if value in (None, "", NONE) else value
