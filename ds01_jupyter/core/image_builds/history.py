"""The builds of images as they are kept: written down, listed, gone back to, forgotten."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from ds01_jupyter.core.cleanup import quietly
from ds01_jupyter.core.engine import Engine, ImageSummary
from ds01_jupyter.core.errors import Conflict, CoreError, NotFound
from ds01_jupyter.core.image_builds import tables
from ds01_jupyter.core.image_builds.documents import ImageBuild
from ds01_jupyter.core.image_builds.tables import BuildRow
from ds01_jupyter.core.ledger import ImageRow, Ledger
from ds01_jupyter.core.packages import CUSTOM
from ds01_jupyter.core.resolve.lock import Lock

KEPT = 3
"""Builds of an image that are kept: the present one, and those before it."""
SHARE_FOR = timedelta(days=7)
"""How long the versions that somebody has are taken for others with the same tiers."""
PACKAGES_FILE = "/opt/ds01/packages.json"


@dataclass(frozen=True)
class Built:
    """What a build came to, besides the row of its image."""

    base_image_id: str
    dockerfile: str
    lock: Lock | None
    shared_key: str | None


class Builds:
    """The builds of everybody's images, in one ledger and on one engine."""

    def __init__(self, engine: Engine, ledger: Ledger) -> None:
        self._engine = engine
        self._ledger = ledger

    def of(self, uid: int, name: str) -> list[BuildRow]:
        """The builds of an image, newest first; none for one from before they were kept."""
        with self._ledger.reading() as connection:
            return tables.builds(connection, uid, name)

    def record(self, image: ImageRow, built: Built) -> None:
        """Write down a build that has become its image's present one, and let the oldest go.

        A build that brought the image that is there already is not another one. Whatever fails here
        leaves the image as it is, only without a way back.
        """
        there = self.of(image.uid, image.name)
        if any(build.image_id == image.image_id for build in there):
            return
        number = there[0].number + 1 if there else 1
        reference = f"{image.reference.rpartition(':')[0]}:build-{number}"
        found = self._engine.image(image.image_id)
        self._engine.tag(image.image_id, reference)
        row = BuildRow(
            uid=image.uid,
            name=image.name,
            number=number,
            reference=reference,
            image_id=image.image_id,
            base_image=image.base_image,
            base_image_id=built.base_image_id,
            request=image.request_json,
            dockerfile=built.dockerfile,
            lock=None if built.lock is None else built.lock.text(),
            shared_key=built.shared_key,
            packages=self._packages(image.image_id),
            size=0 if found is None else found.size,
            created=datetime.now(UTC),
        )
        with self._ledger.writing() as connection:
            tables.insert_build(connection, row)
        self._let_go(image, there[KEPT - 1 :])

    def present(self, image: ImageRow) -> BuildRow | None:
        """The build that an image's name stands for."""
        builds = self.of(image.uid, image.name)
        return next((build for build in builds if build.image_id == image.image_id), None)

    def documents(self, image: ImageRow, here: Mapping[str, ImageSummary]) -> list[ImageBuild]:
        """The builds for people, newest first; `here` are the engine's images by id."""
        return [
            ImageBuild(
                number=build.number,
                current=build.image_id == image.image_id,
                created=build.created,
                image_id=build.image_id,
                base_image=build.base_image,
                size=build.size,
                packages=None if build.packages is None else dict(build.packages),
                available=build.image_id in here,
            )
            for build in self.of(image.uid, image.name)
        ]

    def find(self, image: ImageRow, number: int | None) -> BuildRow:
        """A build by its number; None: the one before the present one. `NotFound`."""
        builds = self.of(image.uid, image.name)
        if number is None:
            now = next((n for n, b in enumerate(builds) if b.image_id == image.image_id), 0)
            builds_before = builds[now + 1 :]
            if not builds_before:
                raise NotFound(
                    f"There is no build of {image.name} before the present one.",
                    hint=f"The last {KEPT} builds are kept.",
                    name=image.name,
                )
            return builds_before[0]
        for build in builds:
            if build.number == number:
                return build
        raise NotFound(
            f"There is no build {number} of {image.name} (any more).",
            hint=f"There is {', '.join(str(build.number) for build in builds) or 'none'}.",
            name=image.name,
            builds=[build.number for build in builds],
        )

    def go_back(self, image: ImageRow, build: BuildRow) -> ImageRow:
        """Let the image's name stand for an earlier build; returns its row.

        Raises `Conflict` for the present one, `NotFound` when its image was removed.
        """
        if build.image_id == image.image_id:
            raise Conflict(
                f"Build {build.number} is the present one of {image.name}.",
                hint=f"`%ds01 image builds {image.name}` lists them.",
                name=image.name,
            )
        if self._engine.image(build.image_id) is None:
            raise NotFound(
                f"The image of build {build.number} of {image.name} was removed from Docker.",
                hint="Build it anew, or go back to another one.",
                name=image.name,
            )
        back = ImageRow(
            uid=image.uid,
            name=image.name,
            owner=image.owner,
            reference=image.reference,
            image_id=build.image_id,
            request_json=build.request,
            dockerfile=image.dockerfile,
            dockerfile_sha256=image.dockerfile_sha256,
            base_image=build.base_image,
            created=build.created,
        )
        self._engine.tag(build.image_id, image.reference)
        try:
            self._ledger.save_image(back)
        except CoreError:
            self._engine.tag(image.image_id, image.reference)
            raise
        return back

    def forget(self, image: ImageRow) -> None:
        """Let all builds of an image go with it."""
        self._let_go(image, self.of(image.uid, image.name))

    def drop(self, image: ImageRow, build: BuildRow) -> None:
        """Let one build go."""
        self._let_go(image, [build])

    def pins(self, shared_key: str) -> dict[str, str]:
        """The exact versions that others with the same tiers have; empty: nobody, or long ago."""
        since = (datetime.now(UTC) - SHARE_FOR).isoformat()
        with self._ledger.reading() as connection:
            text = tables.shared_lock(connection, shared_key, since)
        lock = None if text is None else Lock.read(text)
        return {} if lock is None else lock.pins(but=frozenset({CUSTOM}))

    def _let_go(self, image: ImageRow, gone: list[BuildRow]) -> None:
        for build in gone:
            quietly(self._engine.remove_image, build.reference)
        with self._ledger.writing() as connection:
            numbers = [build.number for build in gone]
            tables.delete_builds(connection, image.uid, image.name, numbers)

    def _packages(self, image_id: str) -> dict[str, str] | None:
        raw = self._engine.read_file(image_id, PACKAGES_FILE)
        try:
            packages = None if raw is None else json.loads(raw)
        except ValueError:
            return None
        if not isinstance(packages, dict):
            return None
        return {str(name): str(version) for name, version in packages.items()}
