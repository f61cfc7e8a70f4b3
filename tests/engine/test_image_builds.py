"""The builds of an image, on the real engine: change, compare, go back, out of date."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ds01_jupyter.core.engine import ContainerPlan
from ds01_jupyter.core.errors import (
    BuildFailed,
    Conflict,
    DockerfileEdited,
    Forbidden,
    InvalidInput,
    NotFound,
)
from ds01_jupyter.core.identity import Directory, Person
from ds01_jupyter.core.image_builds.service import ImageBuilds
from ds01_jupyter.core.models import (
    Image,
    ImagePruneRequest,
    ImageShareRequest,
    ImageUpdateRequest,
)
from tests.engine.image_lab import ARCHITECTURE, Heard, ImageLab
from tests.rig.fixtures import RigEngine

pytestmark = pytest.mark.engine


class Bench(ImageLab):
    """An image lab with the use cases of builds."""

    def __init__(self, rig: RigEngine, folder: Path, name: str) -> None:
        super().__init__(rig, folder, name)
        self.builds = ImageBuilds(self.engine, self.ledger, self.images)

    def update(self, **changes: Any) -> Image:
        """Update the image, as the lab does it."""
        wanted = ImageUpdateRequest(**changes)
        request = self.builds.updated(self.person, self.name, wanted)
        return self.images.create(self.person, request, ARCHITECTURE, Heard(), fresh=wanted.refresh)

    def dockerfile(self) -> Path:
        """The image's Dockerfile on disk."""
        return self.person.home / "dockerfiles" / f"{self.name}.Dockerfile"

    def installed(self) -> dict[str, str]:
        """What is installed in the image."""
        reference = f"{self.name}-john.doe:latest"
        text = self.run(reference, "python3", "-m", "pip", "list", "--format=freeze")
        return dict(line.split("==") for line in text.splitlines() if "==" in line)


class Accounts(Directory):
    """The machine's accounts, and those of a test."""

    def __init__(self) -> None:
        super().__init__()
        self.known: dict[str, Person] = {}

    def canonical(self, name: str) -> Person:
        return self.known[name] if name in self.known else super().canonical(name)


@pytest.fixture
def lab(rig_engine: RigEngine, tmp_path: Path, unique_name: str) -> Iterator[Bench]:
    lab = Bench(rig_engine, tmp_path, unique_name)
    yield lab
    lab.clean()


def test_an_update_adds_and_removes_and_says_what_changed(lab: Bench) -> None:
    lab.create(base=["tqdm"], pip=["six<1.17"])
    image = lab.update(add_pip=["einops"], remove_pip=["six"])
    assert (image.build, image.pip, image.outdated) == (2, ["einops"], [])
    installed = lab.installed()
    assert "einops" in installed
    assert "six" not in installed
    diff = lab.builds.diff(lab.person, lab.name, None, None)
    assert (diff.before, diff.after) == (1, 2)
    assert {(one.name, one.before is None) for one in diff.changes} == {
        ("einops", True),
        ("six", False),
    }


def test_an_update_leaves_the_versions_that_fit_and_a_refresh_takes_the_newest(
    lab: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lab.images._resolver, "_earlier", lambda _: {"tqdm": "4.66.0"})
    lab.create(base=["tqdm"])
    monkeypatch.setattr(lab.images._resolver, "_earlier", lambda _: {})
    lab.update(add_pip=["einops"])
    assert lab.installed()["tqdm"] == "4.66.0"
    lab.update(refresh=True)
    assert lab.installed()["tqdm"] != "4.66.0"


def test_going_back_and_forth(lab: Bench) -> None:
    first = lab.create(base=["tqdm"])
    second = lab.update(add_pip=["einops"])
    back = lab.builds.rollback(lab.person, lab.name, None)
    assert (back.id, back.build, back.pip) == (first.id, 1, [])
    assert "einops" not in lab.installed()
    with pytest.raises(Conflict):
        lab.builds.rollback(lab.person, lab.name, 1)
    with pytest.raises(NotFound):
        lab.builds.rollback(lab.person, lab.name, None)
    forth = lab.builds.rollback(lab.person, lab.name, 2)
    assert (forth.id, forth.pip) == (second.id, ["einops"])
    actions = [row.action for row in lab.ledger.history() if row.action.startswith("image.roll")]
    assert actions == ["image.rollback"] * 2


def test_the_last_three_builds_are_kept_and_go_with_the_image(lab: Bench) -> None:
    lab.create()
    for package in ("einops", "tqdm", "six"):
        lab.update(add_pip=[package])
    builds = lab.builds.list(lab.person, lab.name)
    assert [(build.number, build.current, build.available) for build in builds] == [
        (4, True, True),
        (3, False, True),
        (2, False, True),
    ]
    assert sorted(lab.kept()) == [f"{lab.name}-john.doe:build-{n}" for n in (2, 3, 4)]
    lab.images.remove(lab.person, lab.name)
    assert lab.kept() == lab.left() == []
    with pytest.raises(NotFound):
        lab.builds.list(lab.person, lab.name)


def test_a_failed_update_leaves_image_builds_and_files(lab: Bench) -> None:
    image = lab.create(base=["tqdm"])
    before = {path: path.read_text() for path in lab.person.home.rglob("*") if path.is_file()}
    with pytest.raises(BuildFailed):
        lab.update(add_pip=["torchvision>=0.21"])
    assert lab.images.get(lab.person, lab.name) == image
    assert before == {
        path: path.read_text() for path in lab.person.home.rglob("*") if path.is_file()
    }


def test_an_edited_dockerfile_keeps_what_was_written_around_the_packages(lab: Bench) -> None:
    lab.create(base=["tqdm"])
    text = lab.dockerfile().read_text()
    mark = "# <<< ds01 packages <<<\n"
    lab.dockerfile().write_text(text.replace(mark, f"{mark}ENV THESIS=42\n"))
    (reason,) = lab.images.get(lab.person, lab.name).outdated
    assert "Dockerfile was changed" in reason

    image = lab.update(add_pip=["einops"])
    assert image.outdated == []
    assert "ENV THESIS=42" in lab.dockerfile().read_text()
    assert lab.run(image.reference, "printenv", "THESIS") == "42\n"
    assert "einops" in lab.installed()
    # And once more: it stays recognised as the person's.
    lab.update(remove_pip=["einops"])
    assert "ENV THESIS=42" in lab.dockerfile().read_text()
    assert "einops" not in lab.installed()


def test_a_change_within_the_packages_is_asked_about(lab: Bench) -> None:
    lab.create(base=["tqdm"])
    text = lab.dockerfile().read_text()
    edited = text.replace("# What was resolved", "RUN echo mine\n# What was resolved")
    lab.dockerfile().write_text(edited)
    with pytest.raises(DockerfileEdited):
        lab.update(add_pip=["einops"])
    assert lab.dockerfile().read_text() == edited


def test_f44_no_package_is_no_empty_step(lab: Bench) -> None:
    lab.create(base=["tqdm"], pip=["einops"])
    image = lab.update(base="none", remove_pip=["einops"])
    text = lab.dockerfile().read_text()
    assert "install.py" not in text.replace("COPY distributions.py", "").split('freeze.py"]')[1]
    assert image.pip == []


def test_another_image_of_the_framework_is_noticed(lab: Bench) -> None:
    copy = f"{lab.name}-base:latest"
    lab.engine.tag(lab.rig.base_image, copy)
    lab.catalogue.write_text(f"Pytorch, 2.5.1, {ARCHITECTURE}, {copy}\n")
    assert lab.create().outdated == []
    lab.engine.tag(lab.rig.tensorflow_image, copy)
    (reason,) = lab.images.get(lab.person, lab.name).outdated
    assert "framework's image" in reason
    lab.engine.remove_image(copy)


def test_the_packages_of_a_build_are_those_of_the_image(lab: Bench) -> None:
    lab.create(base=["tqdm"])
    (build,) = lab.builds.list(lab.person, lab.name)
    assert build.packages is not None
    assert build.packages["tqdm"] == lab.installed()["tqdm"]
    assert build.packages["torch"] == "2.5.1+cu121"
    assert build.size > 0
    left = [one for one in lab.engine.list_containers() if "aime.mlc.READING" in one.labels]
    assert left == []


# ---- sharing and pruning ---------------------------------------------------------------------


def test_an_image_is_for_others_only_when_it_is_shared(lab: Bench) -> None:
    image = lab.create(base=["tqdm"])
    eve, accounts = lab.someone("eve"), Accounts()
    accounts.known["eve"] = eve
    old = f"{lab.name}-john.doe:build-1"
    for text in (image.reference, image.id, old):
        with pytest.raises(Forbidden):
            lab.images.resolve(eve, text)
    shown = lab.images.share(lab.person, lab.name, ImageShareRequest(user="eve"), accounts)
    assert [(one.kind, one.name) for one in shown.shared_with] == [("user", "eve")]
    assert lab.images.resolve(eve, image.reference).reference == image.reference
    (seen,) = lab.images.list(eve)
    assert (seen.managed, seen.shared_by, seen.containers) == (False, "john.doe", [])
    with pytest.raises(NotFound):  # it is not hers to change
        lab.images.remove(eve, lab.name)
    # A build of before is not what was shared.
    lab.update(add_pip=["einops"])
    with pytest.raises(Forbidden):
        lab.images.resolve(eve, old)
    lab.images.unshare(lab.person, lab.name, ImageShareRequest(user="eve"), accounts)
    with pytest.raises(Forbidden):
        lab.images.resolve(eve, image.reference)
    assert lab.images.list(eve) == []


def test_an_image_is_shared_with_a_group(lab: Bench) -> None:
    image = lab.create()
    lab.images.share(lab.person, lab.name, ImageShareRequest(group="vision"), Accounts())
    eve = replace(lab.someone("eve"), groups=("vision",))
    bob = replace(lab.someone("bob"), groups=("nlp",))
    assert lab.images.resolve(eve, image.reference).reference == image.reference
    with pytest.raises(Forbidden):
        lab.images.resolve(bob, image.reference)
    for request in (ImageShareRequest(), ImageShareRequest(user="eve", group="vision")):
        with pytest.raises(InvalidInput):
            lab.images.share(lab.person, lab.name, request, Accounts())


def test_pruning_tells_first_and_takes_only_what_nobody_uses(lab: Bench) -> None:
    lab.create(base=["tqdm"])
    lab.update(add_pip=["einops"])
    assert lab.images.prune(lab.person, ImagePruneRequest()) == []  # nothing is old
    everything = ImagePruneRequest(days=0)
    (told,) = lab.images.prune(lab.person, everything)
    assert (told.name, told.build) == (lab.name, None)
    assert lab.images.get(lab.person, lab.name).build == 2  # only told

    container = lab.engine.create_container(
        ContainerPlan(
            full_name=f"{lab.name}-c",
            image=f"{lab.name}-john.doe:latest",
            labels={},
            user="0:0",
            command=["true"],
        )
    )
    gone = lab.images.prune(lab.person, ImagePruneRequest(days=0, dry_run=False))
    assert [(one.name, one.build) for one in gone] == [(lab.name, 1)]
    assert [build.number for build in lab.builds.list(lab.person, lab.name)] == [2]
    lab.engine.remove_container(container, force=True)
    lab.images.prune(lab.person, ImagePruneRequest(days=0, dry_run=False))
    assert lab.images.list(lab.person) == []
    assert lab.kept() == lab.left() == []
