"""Building a draft: base image, build, files, name, ledger; all of it or nothing."""

from __future__ import annotations

import logging
import os
import shutil
from contextlib import ExitStack
from datetime import UTC, datetime

from ds01_jupyter.core import dockerfile_store as store
from ds01_jupyter.core.build_names import sweep, temporary_name
from ds01_jupyter.core.build_rules import BuildRules
from ds01_jupyter.core.cleanup import quietly as quietly
from ds01_jupyter.core.engine import Engine, ImageDetails, Reporter
from ds01_jupyter.core.errors import DiskFull, EngineFailed
from ds01_jupyter.core.image_builds.history import Builds, Built
from ds01_jupyter.core.image_draft import Draft
from ds01_jupyter.core.ledger import ImageRow, Ledger
from ds01_jupyter.core.resolve.locking import locked
from ds01_jupyter.core.resolve.resolver import Resolver
from ds01_jupyter.core.uv_image import ensure_uv_image

log = logging.getLogger(__name__)

MIN_FREE = 2 * 1024**3
"""Bytes that must be free before a build or pull begins."""
PER_DOWNLOAD = 3
"""A package is on the disk as it came, unpacked in the cache, and in the image."""
FREE = BuildRules()
"""Where the admin has no rules."""


def build_image(
    engine: Engine,
    ledger: Ledger,
    resolver: Resolver,
    builds: Builds,
    draft: Draft,
    progress: Reporter,
    rules: BuildRules = FREE,
) -> ImageRow:
    """Build a draft by the admin's `rules` and return its row in the ledger.

    Its packages are resolved first, and the build keeps to what came out.
    The image has a temporary name until everything is there; the one that bore the name before
    stays until then, and goes when no container uses it. Raises `BuildFailed`, `DiskFull`,
    `RegistryUnavailable`, `Cancelled`, `InvalidInput` (the Dockerfile's place), `Forbidden` (an
    image that may not be used), `LimitReached` (its size); then nothing has changed: no image, no
    container, no file.
    """
    with rules.timed(progress) as watched:
        return _build(engine, ledger, resolver, builds, draft, watched, rules)


def _build(
    engine: Engine,
    ledger: Ledger,
    resolver: Resolver,
    builds: Builds,
    draft: Draft,
    progress: Reporter,
    rules: BuildRules,
) -> ImageRow:
    rules.check_images(draft.text)
    progress.step("prepare", 0.0, draft.request.name)
    check_space(engine)
    base = have_image(engine, draft.row.image, progress)
    if draft.uv_image:
        ensure_uv_image(engine, draft.uv_image, progress)
    if left := sweep(engine, ledger.mark):
        log.info("removed what killed builds had left: %s", " ".join(left))
    draft, shared_key = locked(resolver, draft, base, progress)
    if draft.download:
        check_space(engine, max(MIN_FREE, draft.download * PER_DOWNLOAD))
    temporary = temporary_name(ledger.mark)
    image_id = engine.build(draft.plan(temporary, base.labels), progress)
    with ExitStack() as cleanup:
        cleanup.callback(quietly, engine.remove_image, temporary)
        progress.step("check", 0.5, "the labels of the image")
        rules.check_size(check_labels(engine, temporary).size)
        row = _publish(engine, ledger, draft, image_id, progress)
        builds.record(row, Built(base.id, draft.text, draft.lock, shared_key))
        return row


def _publish(
    engine: Engine, ledger: Ledger, draft: Draft, image_id: str, progress: Reporter
) -> ImageRow:
    """Files, name and ledger: each is taken back when a later one fails."""
    row = ImageRow(
        uid=draft.person.uid,
        name=draft.request.name,
        owner=draft.person.name,
        reference=draft.reference,
        image_id=image_id,
        request_json=_request_json(draft),
        dockerfile=str(draft.location.path),
        # Of what we would have written: a file kept as edited stays recognisable as edited.
        dockerfile_sha256=draft.context.sha256,
        base_image=draft.row.image,
        created=datetime.now(UTC),
    )
    old = engine.image(draft.reference)
    with ExitStack() as undo:
        change = _write_files(draft, progress)
        undo.callback(change.undo)
        engine.tag(image_id, draft.reference)
        if old is None:
            undo.callback(quietly, engine.remove_image, draft.reference)
        else:
            undo.callback(engine.tag, old.id, draft.reference)
        progress.check()
        ledger.save_image(row)
        undo.pop_all()
    if old is not None and old.id != image_id:
        _drop(engine, old.id)
    return row


def _drop(engine: Engine, image_id: str) -> None:
    """Remove an image that lost its name, unless it has another or a container uses it."""
    found = engine.image(image_id)
    if found is not None and not found.references:
        quietly(engine.remove_image, image_id)


def _write_files(draft: Draft, progress: Reporter) -> store.Change:
    now = store.read(draft.location, draft.person)
    text: str | None = draft.text
    if now != draft.current:
        progress.log(f"{draft.location.path} was changed during the build and is left as it is.")
        text = None
    elif draft.kept:
        text = None
    keep_old = draft.state == "edited" and draft.request.dockerfile == "replace"
    return store.write(draft.location, draft.person, text, draft.files, keep_old=keep_old)


def _request_json(draft: Draft) -> str:
    """The request with what was left open in it, as it was decided."""
    settled = {
        "framework": draft.row.framework,
        "version": draft.row.version,
        "architecture": draft.architecture,
    }
    # What was said about this build's Dockerfile does not hold for the next.
    settled["dockerfile"] = "ask"
    return draft.request.model_copy(update=settled).model_dump_json()


def have_image(engine: Engine, reference: str, progress: Reporter) -> ImageDetails:
    """An image of the catalogue, pulled when the engine does not have it."""
    return engine.image(reference) or engine.pull(reference, progress)


def check_space(engine: Engine, needed: int = MIN_FREE) -> None:
    """Raise `DiskFull` when the engine's disk has less than `needed` bytes free.

    An engine on another machine cannot be asked; a build that runs out of space there says so.
    """
    root = engine.info().root_dir
    if not root or not os.path.isdir(root):  # noqa: PTH112 - a path of the engine's machine
        return
    try:
        free = shutil.disk_usage(root).free
    except OSError:
        return
    if free < needed:
        raise DiskFull(
            f"The disk for images has {free / 1e9:.1f} GB free; a build needs "
            f"{needed / 1e9:.1f} GB.",
            hint="Remove images that nobody needs, or ask your admin for space.",
            needed=needed,
            free=free,
        )


def check_labels(engine: Engine, reference: str) -> ImageDetails:
    """The image; `EngineFailed` when a label of it would break the lists of AIME's tools."""
    built = engine.image(reference)
    if built is None:
        raise EngineFailed("Docker built the image but does not have it.")
    bad = [key for key, value in built.labels.items() if "," in key + value]
    if bad:
        raise EngineFailed(
            f"The label {bad[0]} of the image holds a comma, at which AIME's tools stumble.",
            hint="Set it to another value in the Dockerfile, or ask the maker of the base image.",
            labels=bad,
        )
    return built
