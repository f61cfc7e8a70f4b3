"""The generated half of `ds01_jupyter/openapi.yaml`: the schemas of the documents.

The paths are written by hand. After a change of `core/models.py`, refresh the schemas with

    python -m tests.server.openapi_tools
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from pydantic.json_schema import models_json_schema

from ds01_jupyter.core import mig_documents, models

FILE = Path(__file__).parents[2] / "ds01_jupyter" / "openapi.yaml"
MARK = "    # ---- generated from core/models.py by `python -m tests.server.openapi_tools` ----\n"

REQUESTS = (
    models.ImageRequest,
    models.ImportRequest,
    models.ImageUpdateRequest,
    models.ImageShareRequest,
    models.ImagePruneRequest,
    models.ImageRollbackRequest,
    models.ContainerRequest,
    models.LimitsCheckRequest,
    models.CordonRequest,
    models.KeepAliveRequest,
    models.ReservationRequest,
    mig_documents.MigLayoutRequest,
)
ANSWERS = (
    models.About,
    models.Catalogue,
    models.Tiers,
    models.LimitsReport,
    models.CheckReport,
    models.GpuSnapshot,
    models.GpuHistory,
    models.DockerfilePreview,
    models.Resolution,
    models.ImageBuild,
    models.ImageDiff,
    models.PrunedImage,
    models.ImageImport,
    models.Image,
    models.Container,
    models.Logs,
    models.Notice,
    mig_documents.MigLayout,
    mig_documents.MigPlan,
    models.QueueEntry,
    models.Reservation,
    models.Explanation,
    models.Operation,
    models.OperationEvent,
    models.ErrorDocument,
)


def generated_schemas() -> dict[str, Any]:
    """The schema of every document, by name, as the models define them now."""
    wanted: list[Any] = [(model, "validation") for model in REQUESTS]
    wanted += [(model, "serialization") for model in ANSWERS]
    _, document = models_json_schema(wanted, ref_template="#/components/schemas/{model}")
    return dict(document["$defs"])


def refresh() -> None:
    """Replace everything below the mark."""
    written, found, _ = FILE.read_text(encoding="utf-8").partition(MARK)
    if not found:
        raise SystemExit(f"{FILE} lacks the line\n{MARK}")
    schemas = yaml.safe_dump(generated_schemas(), sort_keys=True, width=98, allow_unicode=True)
    lines = "".join(f"    {line}\n" if line else "\n" for line in schemas.splitlines())
    FILE.write_text(written + MARK + lines, encoding="utf-8")


if __name__ == "__main__":
    refresh()
