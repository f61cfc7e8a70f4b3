"""What the tests of traps (docs/images-traps.md) share: a base of the small index, its lab, and
Dockerfiles that a person changed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ds01_jupyter.core.identity import Person
from tests.engine.image_lab import ARCHITECTURE, ImageLab
from tests.rig.fixtures import RigEngine

_TIERS = """\
base:
  title: Base
  why: Of this test.
  packages: [{{name: "{package}", why: A test.}}]
"""


class TrapLab(ImageLab):
    """A lab whose framework is an image of the engine's, by name."""

    def of(self, base: str) -> None:
        """The framework that everything is built on."""
        self.catalogue.write_text(f"Pytorch, 2.5.1, CUDA_ADA, {base}\n")

    def tier(self, package: str) -> None:
        """Have a base tier of one package."""
        path = self.folder / "tiers.yaml"
        path.write_text(_TIERS.format(package=package))
        object.__setattr__(self.settings, "tiers", path)

    def packages(self) -> dict[str, str]:
        """What is installed in the person's image."""
        reference = f"{self.name}-{self.person.name}:latest"
        text = self.run(reference, "python3", "-m", "pip", "list", "--format=freeze")
        return dict(line.split("==") for line in text.splitlines() if "==" in line)

    def edited(self, *instructions: str, person: Person | None = None) -> Path:
        """Our Dockerfile on disk with instructions of the person before the proof."""
        person = person or self.person
        preview = self.images.preview(person, self.request(), ARCHITECTURE)
        path = Path(preview.path)
        path.parent.mkdir(exist_ok=True)
        lines = "\n".join([*instructions, "# The proof"])
        path.write_text(preview.dockerfile.replace("# The proof", lines))
        for made in (path.parent, path):
            os.chown(made, person.uid, person.gid)
        return path


@contextmanager
def trap_lab(rig: RigEngine, folder: Path, name: str, base: str = "") -> Iterator[TrapLab]:
    """A lab that cleans up after itself; `base` is not the rig's own."""
    lab = TrapLab(rig, folder, name)
    if base:
        lab.of(base)
    try:
        yield lab
    finally:
        lab.clean()
