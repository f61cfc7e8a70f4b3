"""From a draft to one that is locked: what its packages come to stands in its context."""

from __future__ import annotations

from dataclasses import replace

from ds01_jupyter.core.build_site import SITE_FILE
from ds01_jupyter.core.dockerfile import lock_files
from ds01_jupyter.core.engine import ImageDetails, Reporter
from ds01_jupyter.core.errors import BuildFailed
from ds01_jupyter.core.image_draft import Draft
from ds01_jupyter.core.packages import CUSTOM, PackageLayer
from ds01_jupyter.core.resolve.documents import Resolution
from ds01_jupyter.core.resolve.lock import Lock
from ds01_jupyter.core.resolve.resolver import Resolver, Wanted, unchecked

RESOLVING = "Resolving the packages"


def look(
    resolver: Resolver, draft: Draft, base: ImageDetails | None, progress: Reporter
) -> Resolution:
    """What a draft comes to, for people; `base` is None where its image is not here yet."""
    if base is None:
        return unchecked(
            draft.row.image,
            "The framework's image is not on this machine yet; it is fetched with the first build.",
        )
    wanted = _wanted(draft, base, draft.selection.layers)
    if wanted is None:
        return unchecked(draft.row.image, "This Docker builds without BuildKit; pip decides.")
    own = None if draft.before is None else draft.before.pins()
    return resolver.resolve(wanted, progress, own=own, fresh=draft.fresh).resolution


def locked(
    resolver: Resolver, draft: Draft, base: ImageDetails, progress: Reporter
) -> tuple[Draft, str | None]:
    """The draft with the exact versions in its context, and what people have in common who can
    share layers with it (None: nothing was resolved).

    One whose Dockerfile was edited by hand, and one for the classic builder, stays as it is: there
    the installer decides. Raises `BuildFailed` (step `RESOLVING`, with the `problems`) when the
    packages do not go together; nothing was begun then.
    """
    layers = draft.selection.layers
    wanted = None if draft.kept else _wanted(draft, base, layers)
    if wanted is None:
        return draft, None
    before = draft.before
    if before is not None and not draft.fresh and before.question == wanted.question:
        return _with(draft, layers, before), wanted.shared_key
    progress.step("resolve", None, "all packages together, in the framework's image")
    own = None if before is None else before.pins()
    found = resolver.resolve(wanted, progress, own=own, fresh=draft.fresh)
    if found.lock is not None:
        _tell(found.resolution, progress)
        ready = _with(draft, layers, found.lock)
        return replace(ready, download=found.resolution.download), wanted.shared_key
    if not found.resolution.checked:
        progress.log(found.resolution.note)
        return draft, None
    if not _only_own_to_compile(found.resolution, layers):
        raise _refused(found.resolution)
    # A package without a wheel has to be compiled in the build, where its tier's cache is the
    # person's own; the tiers of the lab are locked all the same.
    progress.log(f"{found.resolution.problems[0].message} It is compiled in the build.")
    shared = tuple(layer for layer in layers if layer.key != CUSTOM)
    rest = _wanted(draft, base, shared)
    assert rest is not None
    found = resolver.resolve(rest, progress, own=own, fresh=draft.fresh)
    if found.lock is None:
        raise _refused(found.resolution)
    return _with(draft, shared, found.lock), wanted.shared_key


def _wanted(draft: Draft, base: ImageDetails, layers: tuple[PackageLayer, ...]) -> Wanted | None:
    if draft.uv_image is None:
        return None
    site = draft.context.files[SITE_FILE]
    return Wanted(base, draft.row.image, layers, draft.uv_image, draft.selection.apt, site)


def _with(draft: Draft, layers: tuple[PackageLayer, ...], lock: Lock) -> Draft:
    files = {**draft.context.files, **lock_files(layers, lock)}
    return replace(draft, context=replace(draft.context, files=files), lock=lock)


def _only_own_to_compile(resolution: Resolution, layers: tuple[PackageLayer, ...]) -> bool:
    return (
        bool(layers)
        and layers[-1].key == CUSTOM
        and all(problem.kind == "no_wheel" for problem in resolution.problems)
    )


def _tell(resolution: Resolution, progress: Reporter) -> None:
    new = [package for package in resolution.packages if package.state != "present"]
    size = "" if not resolution.download else f", {resolution.download / 1e6:.0f} MB"
    progress.log(f"{len(new)} packages to install{size}")


def _refused(resolution: Resolution) -> BuildFailed:
    first = resolution.problems[0]
    return BuildFailed(
        first.message,
        hint=first.suggestion,
        step=RESOLVING,
        package=first.package,
        log=first.said.splitlines(),
        problem=first.kind,
        problems=[problem.model_dump(mode="json") for problem in resolution.problems],
    )
