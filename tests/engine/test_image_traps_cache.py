"""Traps of the cache of packages, of rebuilds and of a full disk (docs/images-traps.md)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from ds01_jupyter.core import image_draft
from ds01_jupyter.core.errors import DiskFull
from tests.engine.small_index import MARK, POISON, SmallIndex, base_of_index, small_index
from tests.engine.traps import TrapLab, trap_lab
from tests.rig.fixtures import RigEngine

pytestmark = pytest.mark.engine
SPOIL = (
    "import glob; [open(path, 'a').write('{poison}' + chr(10))"
    " for path in glob.glob('/c/**/tiny/__init__.py', recursive=True)]"
)


@pytest.fixture(scope="module")
def index(rig_engine: RigEngine) -> Iterator[SmallIndex]:
    with small_index(rig_engine) as found:
        yield found


@pytest.fixture(scope="module")
def base(rig_engine: RigEngine, index: SmallIndex) -> Iterator[str]:
    with base_of_index(rig_engine, index, f"ds01t-{os.getpid()}-cache") as name:
        yield name


@pytest.fixture
def lab(rig_engine: RigEngine, tmp_path: Path, unique_name: str, base: str) -> Iterator[TrapLab]:
    with trap_lab(rig_engine, tmp_path, unique_name, base) as lab:
        yield lab


@pytest.fixture(params=["buildkit", "classic"])
def either(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both builders, one after the other."""
    if request.param == "classic":
        monkeypatch.setattr(image_draft, "uv_reference", lambda: None)
    return str(request.param)


def poisoned(lab: TrapLab, reference: str) -> str:
    code = "import tiny; print(getattr(tiny, 'poisoned', False))"
    return lab.run(reference, "python3", "-c", code).strip()


def test_a_dockerfile_of_one_person_cannot_spoil_the_packages_of_another(
    lab: TrapLab, index: SmallIndex
) -> None:
    lab.tier("tiny<2")
    bob, eve, carol = (lab.someone(name) for name in ("bob", "eve", "carol"))
    lab.create(bob, base="defaults")
    fetched = index.downloads("tiny")
    # What eve can think of: the names as they stand in Dockerfiles, and ways out of her namespace.
    names = ["ds01-uv", f"ds01-uv-{carol.uid}", "ds01/ds01-uv", "../ds01/ds01-uv", "/ds01/ds01-uv"]
    code = SPOIL.format(poison=POISON)
    lines = [f'RUN --mount=type=cache,id={name},target=/c ["python3", "-c", "{code}"]'
             for name in names]  # fmt: skip
    lab.edited(*lines, person=eve)
    lab.create(eve, dockerfile="keep")
    lab.tier("tiny<2.0")
    image = lab.create(carol, base="defaults")
    assert poisoned(lab, image.reference) == "False"
    assert index.downloads("tiny") == fetched, "it came from the cache that both share"


def test_a_package_that_one_person_compiles_cannot_spoil_those_of_another(
    lab: TrapLab, index: SmallIndex
) -> None:
    lab.tier("tiny>=2")
    bob, eve, carol = (lab.someone(name) for name in ("bob", "eve", "carol"))
    lab.create(bob, base="defaults")
    fetched = index.downloads("tiny")
    image = lab.create(eve, pip=["runs-code"])
    assert lab.run(image.reference, "ls", f"/{MARK}") == f"/{MARK}\n"
    lab.tier("tiny>=2.0")
    image = lab.create(carol, base="defaults")
    assert poisoned(lab, image.reference) == "False"
    assert index.downloads("tiny") == fetched


def test_a_mirror_without_dates_is_asked_once_for_a_package(
    lab: TrapLab, index: SmallIndex
) -> None:
    """pip keeps nothing of such a mirror in its cache."""
    lab.create(pip=["leaf"])
    assert index.downloads("leaf") == 1
    lab.create(pip=["leaf", "tiny<3"])
    assert index.downloads("leaf") == 1


def test_a_rebuild_leaves_nothing_without_a_name(lab: TrapLab, either: str) -> None:
    first = lab.create(pip=["tiny<2"])
    second = lab.create(pip=["tiny<3"])
    assert first.id != second.id
    assert lab.left() == [second.reference]
    assert len(lab.kept()) == 2
    lab.images.remove(lab.person, lab.name)
    assert (lab.left(), lab.kept()) == ([], [])


def test_a_disk_that_fills_up_in_a_step_is_said_plainly(lab: TrapLab, either: str) -> None:
    """The disk is a small one that Docker gives each step: full is full."""
    image = lab.create()
    lab.edited('RUN ["dd", "if=/dev/zero", "of=/dev/shm/all", "bs=1M", "count=4096"]')
    with pytest.raises(DiskFull) as caught:
        lab.create(dockerfile="keep")
    assert "full" in caught.value.message
    assert caught.value.hint
    assert lab.left() == [image.reference]
