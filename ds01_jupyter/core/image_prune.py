"""Which images nobody needs any more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from ds01_jupyter.core.engine import Engine
from ds01_jupyter.core.image_builds.history import Builds
from ds01_jupyter.core.image_builds.tables import BuildRow
from ds01_jupyter.core.image_view import ImageView
from ds01_jupyter.core.ledger import ImageRow
from ds01_jupyter.core.models import PrunedImage


@dataclass(frozen=True)
class Unneeded:
    """An image that can go, or (with a `build`) an earlier build of one that stays."""

    row: ImageRow
    build: BuildRow | None
    document: PrunedImage


def unneeded(
    engine: Engine,
    rows: Sequence[ImageRow],
    builds: Builds,
    view: ImageView,
    before: datetime,
) -> list[Unneeded]:
    """Images from before a moment that no container uses; and the builds from before it that are
    not the present ones of the images that stay."""
    images = engine.list_images()
    by_reference = {ref: image for image in images for ref in image.references}
    containers = engine.list_containers()
    found = []
    for row in rows:
        image = by_reference.get(row.reference)
        used = image is not None and view.users(row, image, containers)
        if not used and row.created < before:
            size = 0 if image is None else image.size
            found.append(_item(row, None, row.reference, size, row.created))
            continue
        found += [
            _item(row, build, build.reference, build.size, build.created)
            for build in builds.of(row.uid, row.name)
            if build.image_id != row.image_id and build.created < before
        ]
    return found


def _item(
    row: ImageRow, build: BuildRow | None, reference: str, size: int, created: datetime
) -> Unneeded:
    document = PrunedImage(
        name=row.name,
        owner=row.owner,
        build=None if build is None else build.number,
        reference=reference,
        size=size,
        created=created,
    )
    return Unneeded(row, build, document)
