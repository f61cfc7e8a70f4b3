"""A small lab for tests of images: the real engine and ledger, one person, a short catalogue."""

from __future__ import annotations

import itertools
import os
import threading
from pathlib import Path
from typing import Any

from ds01_jupyter.core.catalogue import CatalogueFile
from ds01_jupyter.core.docker_engine import DockerEngine
from ds01_jupyter.core.engine import Silent
from ds01_jupyter.core.identity import Person
from ds01_jupyter.core.images import Images
from ds01_jupyter.core.ledger import Ledger
from ds01_jupyter.core.models import Image, ImageRequest
from ds01_jupyter.core.packages import TierFile
from ds01_jupyter.core.settings import DATA, Settings
from tests.rig.fixtures import RigEngine

ARCHITECTURE = "CUDA_ADA"
_uids = itertools.count(1_700_000_000)


class Heard(Silent):
    """Keeps what was reported, and cancels once a line holds `cancel_at`."""

    def __init__(self, cancel_at: str = "\0") -> None:
        super().__init__()
        self.steps: list[tuple[str, float | None, str]] = []
        self.lines: list[str] = []
        self._cancel_at = cancel_at

    def step(self, phase: str, fraction: float | None = None, detail: str = "") -> None:
        super().step(phase, fraction, detail)
        self.steps.append((phase, fraction, detail))

    def log(self, text: str) -> None:
        self.lines.append(text)
        if self._cancel_at in text:
            threading.Thread(target=self.cancel).start()


class ImageLab:
    """Everything made here has the test's unique name in it, and goes with `clean()`."""

    def __init__(self, rig: RigEngine, folder: Path, name: str) -> None:
        self.rig = rig
        self.name = name
        self.folder = folder
        self.engine = DockerEngine(rig.docker_host)
        self.ledger = Ledger(folder / "ledger.sqlite")
        self.settings = Settings(tiers=DATA / "tiers.yaml")
        self.catalogue = folder / "ml_images.repo"
        self.catalogue.write_text(
            f"Pytorch, 2.5.1, CUDA_ADA, {rig.base_image}\n"
            f"Tensorflow, 2.16.1, CUDA_ADA, {rig.tensorflow_image}\n"
        )
        self.images = Images(
            self.engine,
            self.ledger,
            lambda: CatalogueFile.load(self.catalogue),
            lambda: TierFile.load(self.settings.tiers),
            self.settings,
        )
        self.person = self.someone("john.doe")

    def someone(self, account: str) -> Person:
        """Another person with a home of their own."""
        uid = next(_uids)
        home = self.folder / "home" / str(uid)
        home.mkdir(parents=True)
        if os.geteuid() == 0:
            os.chown(home, uid, uid + 1)
        return Person(account, uid, uid + 1, home)

    def request(self, **changes: Any) -> ImageRequest:
        """A small image: nothing but what `changes` ask for."""
        wanted: dict[str, Any] = {"framework": "Pytorch", "name": self.name, "base": "none"}
        return ImageRequest(**wanted | changes)

    def create(self, person: Person | None = None, **changes: Any) -> Image:
        """Build it."""
        request = self.request(**changes)
        return self.images.create(person or self.person, request, ARCHITECTURE, Heard())

    def run(self, reference: str, *command: str, user: str = "") -> str:
        """Run a command in a container of an image and return its output."""
        client = self.rig.client()
        try:
            output: bytes = client.containers.run(
                reference, list(command), entrypoint="", user=user, remove=True, stderr=True
            )
        finally:
            client.close()
        return output.decode()

    def files(self) -> list[str]:
        """Everything in the person's home."""
        home = self.person.home
        return sorted(str(path.relative_to(home)) for path in home.rglob("*"))

    def left(self) -> list[str]:
        """References that are there because of this test, finished or not; without the names of
        the builds that are kept."""
        return [reference for reference in self._all() if ":build-" not in reference]

    def kept(self) -> list[str]:
        """The names of the builds that are kept."""
        return [reference for reference in self._all() if ":build-" in reference]

    def _all(self) -> list[str]:
        return [
            reference
            for image in self.engine.list_images()
            for reference in image.references or (image.id,)
            if self.name in reference
            or self.name in image.labels.get("aime.mlc.IMAGE.NAME", "")
            or self.name in image.labels.get("aime.mlc.IMAGE.CONTAINER", "")
        ]

    def clean(self) -> None:
        """Remove the containers and images that bear the name."""
        for container in self.engine.list_containers():
            if self.name in container.full_name:
                self.engine.remove_container(container.id, force=True)
        for reference in self._all():
            self.engine.remove_image(reference, force=True)
        self.engine.close()
        self.ledger.close()
