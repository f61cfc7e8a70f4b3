"""Resolving inside the real base image, on a real BuildKit."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ds01_jupyter.core.errors import BuildFailed
from ds01_jupyter.core.models import Resolution
from ds01_jupyter.core.resolve.lock import Lock
from tests.engine.image_lab import ARCHITECTURE, Heard, ImageLab
from tests.rig.fixtures import RigEngine

pytestmark = pytest.mark.engine


@pytest.fixture
def lab(rig_engine: RigEngine, tmp_path: Path, unique_name: str) -> Iterator[ImageLab]:
    lab = ImageLab(rig_engine, tmp_path, unique_name)
    yield lab
    lab.clean()


def resolve(lab: ImageLab, **changes: list[str]) -> Resolution:
    return lab.images.resolution(lab.person, lab.request(**changes), ARCHITECTURE)


def test_all_tiers_are_resolved_together_and_nothing_is_left(lab: ImageLab) -> None:
    found = resolve(lab, base=["tqdm", "numpy"], pip=["einops>=0.8", "torch"])
    assert found.ok
    assert found.framework["torch"] == "2.5.1+cu121"
    by_name = {package.name: package for package in found.packages}
    assert (by_name["numpy"].tier, by_name["numpy"].state) == ("base", "new")
    assert (by_name["einops"].tier, by_name["einops"].asked) == ("custom", True)
    assert (by_name["torch"].state, by_name["torch"].version) == ("present", "2.5.1+cu121")
    assert found.download == sum(package.size or 0 for package in found.packages)
    assert found.download > 10_000_000  # numpy alone
    assert lab.left() == []
    assert lab.files() == []
    # Others use the engine too: what a look leaves bears the mark of its ledger.
    references = [one for image in lab.engine.list_images() for one in image.references]
    assert [one for one in references if lab.ledger.mark in one] == []


def test_the_same_question_is_answered_from_memory(lab: ImageLab) -> None:
    first = resolve(lab, pip=["einops"])
    heard: list[str] = []
    build, lab.engine.build = lab.engine.build, lambda *_: heard.append("asked")  # type: ignore[method-assign,assignment]
    try:
        assert resolve(lab, pip=["einops"]) == first
    finally:
        lab.engine.build = build  # type: ignore[method-assign]
    assert heard == []


@pytest.mark.parametrize(
    ("packages", "kind", "package"),
    [
        (["torchvision>=0.21"], "framework", "torchvision"),
        (["scikit-lern"], "not_found", "scikit-lern"),
        (["six<1.16", "six>=1.17"], "conflict", "six"),
        (["six==99.99"], "no_version", "six"),
        (["gym==0.21.0"], "no_wheel", "gym"),
        (["opencv-python"], "opencv", "opencv-python"),
        (["torchtext"], "framework", "torchtext"),
    ],
)
def test_what_does_not_go_together_is_said_before_anything_is_built(
    lab: ImageLab, packages: list[str], kind: str, package: str
) -> None:
    found = resolve(lab, pip=packages)
    assert not found.ok
    problem = found.problems[0]
    assert (problem.kind, problem.package) == (kind, package)
    assert problem.suggestion


def test_a_build_that_cannot_come_to_its_end_does_not_begin(lab: ImageLab) -> None:
    heard = Heard()
    request = lab.request(base=["tqdm"], pip=["torchvision>=0.21"])
    with pytest.raises(BuildFailed) as caught:
        lab.images.create(lab.person, request, ARCHITECTURE, heard)
    assert caught.value.details["problems"][0]["kind"] == "framework"
    assert "build" not in {phase for phase, _, _ in heard.steps}
    assert lab.left() == []
    assert lab.files() == []


def test_the_build_keeps_to_the_lock_and_the_image_holds_it(lab: ImageLab) -> None:
    found = resolve(lab, base=["tqdm"], pip=["einops"])
    image = lab.create(base=["tqdm"], pip=["einops"])
    lock = Lock.read(lab.run(image.reference, "cat", "/opt/ds01/lock.json"))
    assert lock is not None
    versions = {package.name: package.version for package in found.packages}
    assert lock.pins() == versions
    installed = lab.run(image.reference, "python3", "-m", "pip", "list", "--format=freeze")
    assert f"einops=={versions['einops']}" in installed.splitlines()


def test_an_older_version_in_the_lock_is_what_is_installed(
    lab: ImageLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What others have already is kept to, so that layers are shared."""
    resolver = lab.images._resolver
    monkeypatch.setattr(resolver, "_earlier", lambda _: {"tqdm": "4.66.0"})
    image = lab.create(base=["tqdm"])
    installed = lab.run(image.reference, "python3", "-m", "pip", "list", "--format=freeze")
    assert "tqdm==4.66.0" in installed.splitlines()
    # Where one's own packages need more, what others have does not count.
    found = resolve(lab, base=["tqdm"], pip=["tqdm>=4.67"])
    assert found.ok
    assert {p.name: p.version for p in found.packages}["tqdm"] != "4.66.0"


def test_a_package_without_a_wheel_is_compiled_and_the_labs_tiers_are_locked(
    lab: ImageLab,
) -> None:
    found = resolve(lab, base=["tqdm"], pip=["docopt==0.6.2"])
    assert [problem.kind for problem in found.problems] == ["no_wheel"]
    image = lab.create(base=["tqdm"], pip=["docopt==0.6.2"])
    lock = Lock.read(lab.run(image.reference, "cat", "/opt/ds01/lock.json"))
    assert lock is not None
    assert set(lock.packages) == {"tqdm"}
    installed = lab.run(image.reference, "python3", "-m", "pip", "list", "--format=freeze")
    assert "docopt==0.6.2" in installed.splitlines()


def test_a_base_that_is_not_here_is_not_fetched_for_a_look(lab: ImageLab) -> None:
    lab.catalogue.write_text(f"Pytorch, 9.9, {ARCHITECTURE}, aimehub/ds01-nowhere\n")
    found = resolve(lab, pip=["einops"])
    assert (found.ok, found.checked) == (True, False)
    assert "not on this machine" in found.note
