"""From what a person asked for to a build: checked once, before anything is made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from ds01_jupyter.core import dockerfile_store as store
from ds01_jupyter.core.build_site import site_text
from ds01_jupyter.core.catalogue import CatalogueFile, Row
from ds01_jupyter.core.dockerfile import BuildContext, ImageSpec, build_files, render
from ds01_jupyter.core.engine import BuildPlan, Engine
from ds01_jupyter.core.identity import Person
from ds01_jupyter.core.image_builds import sections
from ds01_jupyter.core.labels import PREFIX, plain
from ds01_jupyter.core.ledger import ImageRow, Ledger
from ds01_jupyter.core.models import DockerfilePreview, ImageRequest
from ds01_jupyter.core.names import image_name, image_reference
from ds01_jupyter.core.packages import PackageSelection, TierFile
from ds01_jupyter.core.resolve.lock import Lock
from ds01_jupyter.core.settings import Settings
from ds01_jupyter.core.uv_image import uv_reference

IMAGE_PREFIX = f"{PREFIX}.IMAGE"
UID_LABEL = f"{IMAGE_PREFIX}.UID"
CACHE_NAMESPACE = "BUILDKIT_CACHE_MOUNT_NS"
SHARED_NAMESPACE = "ds01"


class LastBuild(Protocol):
    """The build that an image's name stands for: its Dockerfile, and its lock as JSON."""

    @property
    def dockerfile(self) -> str:
        """The text that was built."""

    @property
    def lock(self) -> str | None:
        """The exact versions; None when nothing was resolved."""


@dataclass(frozen=True)
class Draft:
    """An image as it would be built: every name and package is known to be well-formed."""

    person: Person
    request: ImageRequest
    architecture: str
    row: Row
    selection: PackageSelection
    reference: str
    location: store.Location
    context: BuildContext
    uv_image: str | None
    """None: the classic builder builds, with pip."""
    current: str | None
    """The Dockerfile that lies on disk."""
    state: store.FileState
    stored: Mapping[str, str]
    """The context that lies beside a Dockerfile that somebody edited; empty for a rendered one."""
    recorded: ImageRow | None
    """The image of that name as it was built last."""
    written: str | None = None
    """The Dockerfile of the build before, with the marked parts as we wrote them."""
    before: Lock | None = None
    """The exact versions of the build before."""
    fresh: bool = False
    """Whether the newest versions of everything are wanted, and not those of before."""
    lock: Lock | None = None
    """The exact versions, once they are resolved."""
    download: int | None = None
    """Bytes that the packages are to fetch; None when that is not known."""

    @property
    def framework(self) -> str:
        """As AIME's labels have it: `Pytorch-2.5.1`."""
        return f"{self.row.framework}-{self.row.version}"

    @property
    def kept(self) -> bool:
        """Whether a Dockerfile that was edited by hand is built as it is."""
        return self.state == "edited" and self.request.dockerfile == "keep"

    @property
    def renewed(self) -> bool:
        """Whether the marked parts of a Dockerfile that was edited by hand are renewed."""
        return self.state == "edited" and self.request.dockerfile == "update"

    @property
    def text(self) -> str:
        """The Dockerfile that is built."""
        if self.current is not None and self.kept:
            return self.current
        if self.current is not None and self.renewed:
            return sections.merged(self.current, self.context.dockerfile) or self.current
        return self.context.dockerfile

    @property
    def files(self) -> dict[str, str]:
        """The build context: as rendered, and what else a kept Dockerfile may name."""
        return {**self.stored, **self.context.files}

    def preview(self) -> DockerfilePreview:
        """The document that a person sees before the build."""
        return DockerfilePreview(
            path=str(self.location.path),
            dockerfile=self.context.dockerfile,
            files=dict(self.context.files),
            base_image=self.row.image,
            state=self.state,
        )

    def refuse_edited(self) -> None:
        """Raise `DockerfileEdited` when nobody said what to do with a changed Dockerfile, or when
        its marked parts are to be renewed and the changes are within them."""
        if self.state != "edited" or self.request.dockerfile in ("keep", "replace"):
            return
        assert self.current is not None
        if self.renewed and sections.merged(self.current, self.context.dockerfile) is not None:
            changed = sections.touched(self.current, self.written or self.current)
            if not changed:
                return
        raise store.refuse_edited(self.location, self.current, self.context.dockerfile)

    def plan(self, reference: str, inherited: Mapping[str, str]) -> BuildPlan:
        """What the engine is asked; `inherited` are the labels of the base image."""
        # A Dockerfile that somebody wrote could mount any cache of the engine by its name. In a
        # namespace of the person it reaches only the person's own.
        by_hand = self.kept or self.renewed
        namespace = f"ds01-{self.person.uid}" if by_hand else SHARED_NAMESPACE
        return BuildPlan(
            files=build_files(self.files, self.text),
            reference=reference,
            labels=self._labels(inherited),
            titles=self.context.titles,
            build_args={CACHE_NAMESPACE: namespace} if self.uv_image else {},
            builder="buildkit" if self.uv_image else "classic",
        )

    def _labels(self, inherited: Mapping[str, str]) -> dict[str, str]:
        tiers = " ".join(layer.key for layer in self.selection.layers)
        return without_commas(inherited) | {
            key: plain(value)
            for key, value in {
                f"{PREFIX}.FRAMEWORK": self.framework,
                f"{PREFIX}.ARCH": self.architecture,
                f"{IMAGE_PREFIX}.NAME": self.request.name,
                f"{IMAGE_PREFIX}.OWNER": self.person.name,
                UID_LABEL: str(self.person.uid),
                f"{IMAGE_PREFIX}.BASE": self.row.image,
                f"{IMAGE_PREFIX}.TIERS": tiers or "-",
            }.items()
        }


def without_commas(inherited: Mapping[str, str]) -> dict[str, str]:
    """Empty values for those inherited labels at which AIME's lists would break.

    A key with a comma cannot be undone by any value; such an image is AIME's to fix.
    """
    return {key: "" for key, value in inherited.items() if "," in value and "," not in key}


def draft(
    engine: Engine,
    ledger: Ledger,
    catalogue: CatalogueFile,
    tiers: TierFile,
    settings: Settings,
    person: Person,
    request: ImageRequest,
    architecture: str,
    last: LastBuild | None = None,
    *,
    fresh: bool = False,
) -> Draft:
    """Check a request and render its Dockerfile; nothing is written.

    Raises `InvalidInput` (name, packages, project), `NotFound` (framework, version), and
    `EngineUnavailable`: the Dockerfile depends on the builder.
    """
    name = image_name(request.name)
    row = catalogue.select(request.framework, request.version, architecture)
    selection = tiers.select(request)
    location = store.locate(settings, person, name, request.project)
    uv_image = uv_reference() if engine.info().buildkit else None
    reference = image_reference(name, person)
    context = render(
        ImageSpec(
            image=name,
            reference=reference,
            framework=row.framework,
            version=row.version,
            base_image=row.image,
            selection=selection,
            person=person,
            path=location.path,
            context=location.context_path,
            uv_image=uv_image,
            site=site_text(settings),
        )
    )
    current = store.read(location, person)
    recorded = ledger.get_image(person.uid, name)
    ours = recorded is not None and recorded.dockerfile == str(location.path)
    sha256 = recorded.dockerfile_sha256 if recorded is not None and ours else None
    state = store.state(current, context.dockerfile, sha256)
    kept = state == "edited" and request.dockerfile in ("keep", "update")
    return Draft(
        person=person,
        request=request,
        architecture=architecture,
        row=row,
        selection=selection,
        reference=reference,
        location=location,
        context=context,
        uv_image=uv_image,
        current=current,
        state=state,
        stored=store.read_context(location, person) if kept else {},
        recorded=recorded,
        written=None if last is None else last.dockerfile,
        before=None if last is None or last.lock is None else Lock.read(last.lock),
        fresh=fresh,
    )
