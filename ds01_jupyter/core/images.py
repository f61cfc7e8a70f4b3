"""Images: a person's own ones, and what a container may start from."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from packaging.requirements import Requirement

from ds01_jupyter.core import dockerfile_store as store
from ds01_jupyter.core import models
from ds01_jupyter.core.build_names import Building, BuildNames
from ds01_jupyter.core.build_rules import BuildRules, rules_of
from ds01_jupyter.core.builder import build_image
from ds01_jupyter.core.catalogue import CatalogueFile
from ds01_jupyter.core.cleanup import quietly
from ds01_jupyter.core.dockerfile import digest
from ds01_jupyter.core.engine import Engine, Reporter, Silent
from ds01_jupyter.core.errors import Conflict, NotFound
from ds01_jupyter.core.identity import Directory, Person
from ds01_jupyter.core.image_builds.history import Builds
from ds01_jupyter.core.image_draft import Draft, draft
from ds01_jupyter.core.image_prune import Unneeded, unneeded
from ds01_jupyter.core.image_shares import Shares, share_of
from ds01_jupyter.core.image_use import ImageUse, ResolvedImage
from ds01_jupyter.core.image_view import ImageView
from ds01_jupyter.core.ledger import ImageRow, Ledger
from ds01_jupyter.core.names import image_name
from ds01_jupyter.core.own_image import make_own_image
from ds01_jupyter.core.packages import TierFile
from ds01_jupyter.core.resolve.locking import look
from ds01_jupyter.core.resolve.popular import POPULAR
from ds01_jupyter.core.resolve.resolver import Resolver
from ds01_jupyter.core.settings import Settings
from ds01_jupyter.core.wording import did_you_mean


class Images:
    """The images of this machine, as one person may see and use them.

    `catalogue` and `tiers` are asked each time: an admin edits the files.
    """

    def __init__(
        self,
        engine: Engine,
        ledger: Ledger,
        catalogue: Callable[[], CatalogueFile],
        tiers: Callable[[], TierFile],
        settings: Settings,
        groups_of: Callable[[Person], Collection[str]] = lambda person: person.groups,
    ) -> None:
        """`groups_of` tells the groups that images can be shared with a person through."""
        self._engine = engine
        self._ledger = ledger
        self._catalogue = catalogue
        self._tiers = tiers
        self._settings = settings
        self._names = BuildNames()
        self._builds = Builds(engine, ledger)
        self._shares = Shares(ledger)
        self._view = ImageView(engine, ledger, self._builds, self._shares, settings)
        self._use = ImageUse(engine, ledger, catalogue, groups_of)
        self._resolver = Resolver(engine, ledger.mark, self._builds.pins, self._known_packages)

    # ---- building --------------------------------------------------------------------------

    def preview(
        self, person: Person, request: models.ImageRequest, architecture: str
    ) -> models.DockerfilePreview:
        """The Dockerfile as it would be built; nothing is written."""
        return self._draft(person, request, architecture).preview()

    def resolution(
        self, person: Person, request: models.ImageRequest, architecture: str
    ) -> models.Resolution:
        """What the packages of a request come to; nothing is written, built or pulled."""
        drafted = self._draft(person, request, architecture)
        base = self._engine.image(drafted.row.image)
        return look(self._resolver, drafted, base, Silent())

    def check_words(self, request: models.ImageRequest) -> None:
        """Refuse a name or package that cannot be meant, before driver and Docker are asked."""
        image_name(request.name)
        self._tiers().select(request)

    def begin(self, person: Person, request: models.ImageRequest, architecture: str) -> Building:
        """Refuse now what `create` would refuse before it begins, and keep the name for that build.

        Raises `Conflict` while the name is being built, `DockerfileEdited`, and what a preview
        raises. Who does not go on with `create` releases what this returns.
        """
        drafted = self._draft(person, request, architecture)
        drafted.refuse_edited()
        self._rules(drafted).check_images(drafted.text)
        return self._names.take(drafted.reference, request.name)

    def create(
        self,
        person: Person,
        request: models.ImageRequest,
        architecture: str,
        progress: Reporter,
        building: Building | None = None,
        *,
        fresh: bool = False,
    ) -> models.Image:
        """Build an image, or build the one of that name anew; `building` is from `begin`.

        `fresh` brings the newest versions that fit, not those that the image has.
        """
        with building or self.begin(person, request, architecture):
            drafted = self._draft(person, request, architecture, fresh=fresh)
            drafted.refuse_edited()
            row = build_image(
                self._engine,
                self._ledger,
                self._resolver,
                self._builds,
                drafted,
                progress,
                self._rules(drafted),
            )
        details = {"reference": row.reference, "image": row.image_id, "base": row.base_image}
        self._ledger.record(person.name, row.owner, "image.create", row.name, "done", details)
        return self.get(person, row.name)

    def own_image(
        self,
        person: Person,
        source: str,
        container: str,
        progress: Reporter,
        labels: Mapping[str, str],
    ) -> str:
        """Make the own image of the container `NAME._.UID`; returns its reference."""
        return make_own_image(self._engine, person, source, container, progress, labels)

    def _draft(
        self,
        person: Person,
        request: models.ImageRequest,
        architecture: str,
        *,
        fresh: bool = False,
    ) -> Draft:
        row = self._ledger.get_image(person.uid, image_name(request.name))
        return draft(
            self._engine,
            self._ledger,
            self._catalogue(),
            self._tiers(),
            self._settings,
            person,
            request,
            architecture,
            None if row is None else self._builds.present(row),
            fresh=fresh,
        )

    def _rules(self, drafted: Draft) -> BuildRules:
        catalogue = {row.image for row in self._catalogue().rows}
        return rules_of(self._settings, catalogue, drafted.uv_image)

    # ---- looking ---------------------------------------------------------------------------

    def list(self, person: Person) -> list[models.Image]:
        """A person's own images that are still there by name, then those that others share."""
        present = {ref: image for image in self._engine.list_images() for ref in image.references}
        containers = self._engine.list_containers()
        own = [
            self._view.document(person, row, present[row.reference], containers, present)
            for row in self._ledger.list_images(person.uid)
            if row.reference in present
        ]
        others = [
            self._view.of_another(row, present[row.reference])
            for row in self._use.shared(person)
            if row.reference in present
        ]
        return own + others

    def get(self, person: Person, name: str) -> models.Image:
        """One image of a person; `NotFound`."""
        row = self.row(person, name)
        found = self._engine.image(row.reference)
        if found is None:
            raise NotFound(
                f"The image {name} was removed from Docker.",
                hint="Build it again; its Dockerfile is still there.",
                name=name,
                dockerfile=row.dockerfile,
            )
        document = self._view.document(person, row, found, self._engine.list_containers())
        build = self._builds.present(row)
        packages = None if build is None or build.packages is None else dict(build.packages)
        return document.model_copy(update={"packages": packages})

    def dockerfile(self, person: Person, name: str) -> models.DockerfilePreview:
        """The Dockerfile of an image as it lies on disk, with the files of its context."""
        row = self.row(person, name)
        location = store.stored(self._settings, person, row.dockerfile)
        text = store.read(location, person)
        if text is None:
            raise NotFound(
                f"The Dockerfile of {name} is gone from {row.dockerfile}.",
                hint="Build the image again to have it written anew.",
                path=row.dockerfile,
            )
        return models.DockerfilePreview(
            path=row.dockerfile,
            dockerfile=text,
            files=store.read_context(location, person),
            base_image=row.base_image,
            state="same" if digest(text) == row.dockerfile_sha256 else "edited",
        )

    def remove(self, person: Person, name: str) -> None:
        """Remove an image that no container uses; its Dockerfile stays."""
        row = self.row(person, name)
        found = self._engine.image(row.reference)
        if found is not None:
            users = self._view.users(row, found, self._engine.list_containers())
            if users:
                raise Conflict(
                    f"The image {name} is used by {', '.join(users)}.",
                    hint="Remove these containers first; their workspaces stay.",
                    name=name,
                    containers=list(users),
                )
            self._engine.remove_image(row.reference)
        self._builds.forget(row)
        self._shares.end(row)
        self._ledger.delete_image(person.uid, name)
        details = {"reference": row.reference, "image": row.image_id}
        self._ledger.record(person.name, row.owner, "image.remove", name, "done", details)

    def resolve(self, person: Person, text: str) -> ResolvedImage:
        """What a person means by an image, and may start from; see `ImageUse.resolve`."""
        return self._use.resolve(person, text)

    def share(
        self, person: Person, name: str, request: models.ImageShareRequest, accounts: Directory
    ) -> models.Image:
        """Let a user or a group start containers from an image of one's own."""
        row = self.row(person, name)
        share = share_of(row, request.user, request.group, accounts)
        self._shares.begin(row, share)
        details = {"kind": share.kind, "with": share.label}
        self._ledger.record(person.name, row.owner, "image.share", name, "done", details)
        return self.get(person, name)

    def unshare(
        self, person: Person, name: str, request: models.ImageShareRequest, accounts: Directory
    ) -> models.Image:
        """End that; containers that were made from the image go on."""
        row = self.row(person, name)
        share = share_of(row, request.user, request.group, accounts)
        self._shares.stop(row, share)
        details = {"kind": share.kind, "with": share.label}
        self._ledger.record(person.name, row.owner, "image.unshare", name, "done", details)
        return self.get(person, name)

    def prune(
        self, person: Person, request: models.ImagePruneRequest
    ) -> Sequence[models.PrunedImage]:
        """Remove what nobody needs any more, or only tell it; see `ImagePruneRequest`."""
        found = unneeded(
            self._engine,
            self._ledger.list_images(None if request.everybody else person.uid),
            self._builds,
            self._view,
            datetime.now(UTC) - timedelta(days=request.days),
        )
        if not request.dry_run:
            for item in found:
                self._prune(person, item)
        return [item.document for item in found]

    def _prune(self, person: Person, item: Unneeded) -> None:
        row = item.row
        with self._names.take(row.reference, row.name):
            if item.build is not None:
                self._builds.drop(row, item.build)
            else:
                quietly(self._engine.remove_image, row.reference)
                self._builds.forget(row)
                self._shares.end(row)
                self._ledger.delete_image(row.uid, row.name)
        details = {"reference": item.document.reference, "build": item.document.build}
        self._ledger.record(person.name, row.owner, "image.prune", row.name, "done", details)

    # ---- helpers ---------------------------------------------------------------------------

    def framework_of_reference(self, reference: str) -> tuple[str, str] | None:
        """Framework and version of an image of the catalogue, None for any other."""
        for row in self._catalogue().rows:
            if reference in (row.image, f"{row.image}:latest"):
                return row.framework, row.version
        return None

    def _known_packages(self) -> set[str]:
        """Names that a person may have meant."""
        tiers = self._tiers()
        packages = [p.name for tier in (tiers.base, *tiers.use_cases) for p in tier.packages]
        return {Requirement(text).name for text in packages} | POPULAR

    @contextmanager
    def alone(self, person: Person, name: str) -> Iterator[ImageRow]:
        """An image while nobody builds it; `NotFound`, `Conflict`."""
        row = self.row(person, name)
        with self._names.take(row.reference, name):
            yield self.row(person, name)

    def row(self, person: Person, name: str) -> ImageRow:
        """An image of a person in the ledger; `NotFound`."""
        row = self._ledger.get_image(person.uid, image_name(name))
        if row is None:
            names = [one.name for one in self._ledger.list_images(person.uid)]
            raise NotFound(
                f"You have no image {name}.",
                hint=did_you_mean(name, names) or "Build one with `%ds01 image create`.",
                name=name,
            )
        return row
