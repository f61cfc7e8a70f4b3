"""Building images: our way against the seed's, on the rig's engine, in turn in the same minutes.

Our way is what people get: `Images.create` with its resolve, its build over BuildKit with uv and
the check in the end. The seed's way is a Dockerfile for the classic builder, with
`pip install --no-cache-dir` tier by tier and a dated label right under FROM.

Both install the same packages: a base tier for data science, a use case, and one's own; without
xgboost, whose 350 MB of NVIDIA's libraries would only make both slower. A round takes two to three
minutes, so there are few; our caches are emptied before each cold build. The look before a build is
compared on the tiers as they are shipped.
"""

from __future__ import annotations

import io
import itertools
import os
import shutil
import sys
import tarfile
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import docker

from benchmarks.measure import Figure, median, timed
from ds01_jupyter.core import dockerfile, image_draft
from ds01_jupyter.core.catalogue import CatalogueFile
from ds01_jupyter.core.docker_engine import DockerEngine
from ds01_jupyter.core.engine import Silent
from ds01_jupyter.core.identity import Person
from ds01_jupyter.core.images import Images
from ds01_jupyter.core.ledger import Ledger
from ds01_jupyter.core.models import ImageRequest
from ds01_jupyter.core.packages import TierFile
from ds01_jupyter.core.resolve import resolver
from ds01_jupyter.core.settings import DATA, Settings
from tests.rig.base_image import PYTORCH_TAG

ROUNDS = 3
QUICK = 5
"""Times that what takes a moment is done in a round: no change, and the look."""
NAME = "ds01-bench-images"
BASE = ["numpy", "pandas", "matplotlib", "seaborn", "scikit-learn", "scipy", "tqdm"]
USE_CASE = ["lightgbm", "optuna"]
OWN = ["einops"]
TIERS = """\
base:
  title: Base
  why: The base tier of the comparison.
  packages: [{base}]
use_cases:
  ml:
    title: Machine learning
    why: The use case of the comparison.
    packages: [{ml}]
"""
OWN_STEP, SECOND_USER = "one more of one's own", "a second user"
STEPS = ("cold", "no change", OWN_STEP, SECOND_USER, "one more in the base tier")
_uids = itertools.count(1_600_000_000 + os.getpid())


class Ours:
    """`Images` with a ledger, a cache of packages and tiers of this run's own."""

    def __init__(self, folder: Path, host: str) -> None:
        self.folder = folder
        self.engine = DockerEngine(host)
        self.ledger = Ledger(folder / "ledger.sqlite")
        self.catalogue = folder / "ml_images.repo"
        self.catalogue.write_text(f"Pytorch, 2.5.1, CUDA_ADA, {PYTORCH_TAG}\n")
        self.tiers = folder / "tiers.yaml"
        self.have_tiers(BASE)
        self.images = Images(
            self.engine,
            self.ledger,
            lambda: CatalogueFile.load(self.catalogue),
            lambda: TierFile.load(self.tiers),
            Settings(tiers=self.tiers),
        )

    def have_tiers(self, base: list[str]) -> None:
        """The packages that the lab offers."""
        names = [", ".join(f"{{name: {n}, why: x.}}" for n in many) for many in (base, USE_CASE)]
        self.tiers.write_text(TIERS.format(base=names[0], ml=names[1]))

    def someone(self) -> Person:
        """A person with a home of their own."""
        uid = next(_uids)
        home = self.folder / str(uid)
        home.mkdir()
        os.chown(home, uid, uid)
        return Person(f"u{uid}", uid, uid, home)

    def create(self, person: Person, own: list[str]) -> str:
        """Build the image as the wizard does; returns its id."""
        return self.images.create(person, _request(own), "CUDA_ADA", Silent()).id

    def resolve(self, person: Person, own: list[str]) -> None:
        """A look at what would be installed, not from memory."""
        self.images._resolver._answers.clear()
        found = self.images.resolution(person, _request(own), "CUDA_ADA")
        if not found.ok or not found.checked:
            raise RuntimeError(str(found))

    def close(self) -> None:
        """Remove what was built, and give ledger and engine back."""
        for image in self.engine.list_images():
            for reference in image.references:
                if reference.startswith(f"{NAME}-"):
                    self.engine.remove_image(reference, force=True)
        self.engine.close()
        self.ledger.close()


def _request(own: list[str]) -> ImageRequest:
    return ImageRequest(framework="Pytorch", name=NAME, base="defaults", use_cases=["ml"], pip=own)


@contextmanager
def own_caches() -> Iterator[Callable[[], None]]:
    """Caches of packages and of steps that nobody else has; yields what empties them.

    A new namespace is a new, empty cache of packages. The steps of a build are kept by their text,
    so a line with a number of its own makes all of them new.
    """
    kept = (image_draft.SHARED_NAMESPACE, resolver.SHARED_NAMESPACE, dockerfile.script)

    def empty() -> None:
        mark = uuid.uuid4().hex
        image_draft.SHARED_NAMESPACE = resolver.SHARED_NAMESPACE = f"ds01-bench-{mark}"  # type: ignore[misc]
        text = kept[2]("distributions.py") + f"# {mark}\n"
        dockerfile.script = lambda name: text if name == "distributions.py" else kept[2](name)

    try:
        yield empty
    finally:
        image_draft.SHARED_NAMESPACE, resolver.SHARED_NAMESPACE, dockerfile.script = kept  # type: ignore[misc]


class Seed:
    """The Dockerfile of the shell scripts, for the classic builder."""

    def __init__(self, client: docker.DockerClient) -> None:
        self.client = client
        self.salt = ""

    def build(self, user: str, base: list[str], own: list[str]) -> str:
        """Build it and return its id; each day, here each build, has another date."""
        lines = [
            f"FROM {PYTORCH_TAG}",
            f'LABEL aime.mlc.CREATED="{time.time_ns()}" salt="{self.salt}"',
            "ENV PIP_BREAK_SYSTEM_PACKAGES=1",
            *(f"RUN pip install --no-cache-dir {' '.join(tier)}" for tier in (base, USE_CASE, own)),
            f'LABEL aime.mlc.USER="{user}"',
            "WORKDIR /workspace",
        ]
        text = "\n".join(lines).encode()
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as tar:
            entry = tarfile.TarInfo("Dockerfile")
            entry.size = len(text)
            tar.addfile(entry, io.BytesIO(text))
        buffer.seek(0)
        image, _ = self.client.images.build(
            fileobj=buffer, custom_context=True, tag=f"{NAME}-seed-{user}", rm=True, forcerm=True
        )
        return str(image.id)

    def dry_run(self, packages: list[str]) -> None:
        """`pip install --dry-run` of the packages and the use case, in the base."""
        command = ["pip", "install", "--dry-run", "--quiet", "--no-cache-dir"]
        command += ["--break-system-packages", *packages, *USE_CASE]
        self.client.containers.run(PYTORCH_TAG, command, remove=True)

    def close(self) -> None:
        """Remove what was built."""
        for image in self.client.images.list():
            for tag in image.tags:
                if tag.startswith(f"{NAME}-seed-"):
                    self.client.images.remove(tag, force=True)
        self.client.close()


def one_round(ours: Ours, seed: Seed, seconds: dict[str, list[tuple[float, float]]]) -> None:
    """Every step once, ours and the seed's next to each other."""
    ours.have_tiers(BASE)
    ann, bob = ours.someone(), ours.someone()

    def both(step: str, mine: Callable[[], Any], theirs: Callable[[], Any]) -> None:
        told = seconds.setdefault(step, [])
        # The date makes each build of the seed's a whole one: once is enough where no target is.
        known = told[0][1] if told and step in (OWN_STEP, SECOND_USER) else None
        told.append((timed(mine), timed(theirs) if known is None else known))
        print(f"  {step}: {told[-1]}", file=sys.stderr, flush=True)

    both("cold", lambda: ours.create(ann, OWN), lambda: seed.build("ann", BASE, OWN))
    both("no change", lambda: ours.create(ann, OWN), lambda: seed.build("ann", BASE, OWN))
    for _ in range(QUICK - 1):
        fast = timed(lambda: ours.create(ann, OWN))
        seconds["no change"].append((fast, seconds["no change"][-1][1]))
    more = [*OWN, "plotly"]
    both(OWN_STEP, lambda: ours.create(ann, more), lambda: seed.build("ann", BASE, more))
    both(SECOND_USER, lambda: ours.create(bob, OWN), lambda: seed.build("bob", BASE, OWN))
    ours.have_tiers([*BASE, "tabulate"])
    base = [*BASE, "tabulate"]
    both(STEPS[4], lambda: ours.create(ann, OWN), lambda: seed.build("ann", base, OWN))
    shipped = [tier.name for tier in TierFile.load(DATA / "tiers.yaml").base.packages]
    ours.have_tiers(shipped)
    ours.resolve(ann, OWN)  # what both ask the index for is on the machine then
    both("resolve", lambda: ours.resolve(ann, OWN), lambda: seed.dry_run([*shipped, *OWN]))
    for _ in range(QUICK - 1):
        fast = timed(lambda: ours.resolve(ann, OWN))
        seconds["resolve"].append((fast, seconds["resolve"][-1][1]))


def figures() -> list[Figure]:
    """The five builds, the sizes, and the look before a build."""
    seconds: dict[str, list[tuple[float, float]]] = {}
    folder = Path(tempfile.mkdtemp(prefix="ds01-bench-"))
    folder.chmod(0o755)
    ours, seed = Ours(folder, os.environ["DOCKER_HOST"]), Seed(docker.from_env(timeout=600))
    try:
        with own_caches() as empty:
            for number in range(ROUNDS):
                empty()
                seed.salt = str(number)
                one_round(ours, seed, seconds)
        sizes = [
            next(i.attrs["Size"] for i in seed.client.images.list() if any(
                tag.startswith(start) for tag in i.tags))
            for start in (f"{NAME}-u", f"{NAME}-seed-ann")
        ]  # fmt: skip
    finally:
        ours.close()
        seed.close()
        shutil.rmtree(folder)
    return [*_builds(seconds), _size(*sizes), _look(seconds["resolve"])]


def _builds(seconds: dict[str, list[tuple[float, float]]]) -> list[Figure]:
    targets = dict(zip(STEPS, (1 / 2, 1 / 100, None, None, 1 / 3.5), strict=True))
    found = []
    for step, target in targets.items():
        mine, theirs = (median([pair[n] for pair in seconds[step]]) for n in (0, 1))
        note = f"{mine:.2f} s against {theirs:.1f} s, {theirs / mine:.1f} times as fast"
        found.append(Figure(f"image, {step}: ours / the seed's", mine / theirs, target, "x", note))
    return found


def _size(mine: int, theirs: int) -> Figure:
    note = f"{mine / 1e6:.0f} MB against {theirs / 1e6:.0f} MB"
    return Figure("image, size: ours / the seed's", mine / theirs, 1, "x", note)


def _look(pairs: list[tuple[float, float]]) -> Figure:
    mine, theirs = (median([pair[n] for pair in pairs]) for n in (0, 1))
    note = f"{mine:.2f} s against {theirs:.1f} s"
    return Figure("resolve / pip install --dry-run", mine / theirs, 1 / 5, "x", note)


if __name__ == "__main__":
    from benchmarks.__main__ import rig

    rig()
    start = time.perf_counter()
    for figure in figures():
        print(figure)
    print(f"{time.perf_counter() - start:.0f} s, {Path(__file__).name}")
