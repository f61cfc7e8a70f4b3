"""The image that one container owns, so that AIME's mlc-remove takes nothing from anybody."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from ds01_jupyter.core.engine import BuildPlan, Silent
from ds01_jupyter.core.errors import Cancelled, Forbidden, RegistryUnavailable
from tests.engine.image_lab import ImageLab
from tests.rig.fixtures import RigEngine

pytestmark = pytest.mark.engine
LABELS = {"aime.mlc.FRAMEWORK": "Pytorch-2.5.1"}


@pytest.fixture
def lab(rig_engine: RigEngine, tmp_path: Path, unique_name: str) -> Iterator[ImageLab]:
    found = ImageLab(rig_engine, tmp_path, unique_name)
    yield found
    found.clean()


def own(lab: ImageLab, source: str, name: str = "thesis") -> str:
    full = f"{lab.name}-{name}._.{lab.person.uid}"
    return lab.images.own_image(lab.person, source, full, Silent(), LABELS)


def test_of_an_image_of_ones_own(lab: ImageLab) -> None:
    image = lab.create()
    first, second = own(lab, image.reference, "a"), own(lab, image.reference, "b")
    assert first == f"{lab.name}-john.doe:{lab.name}-a._.{lab.person.uid}"
    ids = {image.id}
    for reference in (first, second):
        found = lab.engine.image(reference)
        source = lab.engine.image(image.id)
        assert found is not None
        assert source is not None
        ids.add(found.id)
        assert found.layers == source.layers  # it costs no space
        assert found.references == (reference,)
        assert found.labels["aime.mlc.FRAMEWORK"] == "Pytorch-2.5.1"
        assert not {"aime.mlc", "aime.mlc.USER", "aime.mlc.NAME"} & found.labels.keys()
    assert len(ids) == 3
    # What mlc-remove does: by id, with all that it names.
    found = lab.engine.image(first)
    assert found is not None
    lab.engine.remove_image(found.id)
    assert lab.engine.image(first) is None
    assert lab.engine.image(image.reference) is not None
    assert lab.engine.image(second) is not None


def test_b24_of_a_bare_framework_it_gets_the_account(lab: ImageLab) -> None:
    reference = own(lab, lab.rig.base_image)
    assert reference.startswith(f"{lab.rig.base_image}:{lab.name}")
    user = f"{lab.person.uid}:{lab.person.gid}"
    assert lab.run(reference, "id", "-un", user=user) == "john.doe\n"
    base, found = lab.engine.image(lab.rig.base_image), lab.engine.image(reference)
    assert base is not None
    assert found is not None
    assert found.size - base.size < 100_000
    lab.engine.remove_image(found.id)
    assert lab.engine.image(lab.rig.base_image) is not None


def test_by_id(lab: ImageLab) -> None:
    image = lab.create()
    for text in (image.id, image.id.removeprefix("sha256:")[:12]):
        reference = own(lab, text, "a")
        assert reference == f"{lab.name}-john.doe:{lab.name}-a._.{lab.person.uid}"
        lab.engine.remove_image(reference)


def test_of_an_image_without_a_name(lab: ImageLab) -> None:
    name = f"{lab.name}:x"
    files = {"Dockerfile": f"FROM {lab.rig.base_image}\nENV MARK={lab.name}\n".encode()}
    image_id = lab.engine.build(BuildPlan(files=files, reference=name), Silent())
    other = {"Dockerfile": f"FROM {lab.rig.base_image}\nENV MARK=2\n".encode()}
    lab.engine.build(BuildPlan(files=other, reference=name), Silent())
    found = lab.engine.image(image_id)
    assert found is not None
    assert found.references == ()
    reference = own(lab, image_id)
    assert reference.startswith(f"ds01:{lab.name}")
    made = lab.engine.image(reference)
    assert made is not None
    assert made.environment["MARK"] == lab.name
    lab.engine.remove_image(reference)


def test_of_a_name_with_registry_and_tag(lab: ImageLab) -> None:
    image = lab.create()
    lab.engine.tag(image.id, f"127.0.0.1:5000/{lab.name}/x:5.4.2-complete")
    reference = own(lab, f"127.0.0.1:5000/{lab.name}/x:5.4.2-complete")
    assert reference == f"127.0.0.1:5000/{lab.name}/x:{lab.name}-thesis._.{lab.person.uid}"


def test_a_colleagues_account_is_no_account_of_mine(lab: ImageLab) -> None:
    image = lab.create()
    eve = lab.someone("eve")
    full = f"{lab.name}-e._.{eve.uid}"
    reference = lab.images.own_image(eve, image.id, full, Silent(), {})
    assert lab.run(reference, "id", "-un", user=str(eve.uid)) == "eve\n"
    with pytest.raises(Forbidden):
        lab.images.resolve(lab.person, reference)
    assert lab.images.resolve(eve, reference).reference == reference


def test_root_needs_no_account(lab: ImageLab) -> None:
    root = replace(lab.person, name="root", uid=0, gid=0)
    full = f"{lab.name}-r._.0"
    reference = lab.images.own_image(root, lab.rig.base_image, full, Silent(), {})
    base, found = lab.engine.image(lab.rig.base_image), lab.engine.image(reference)
    assert base is not None
    assert found is not None
    assert found.layers == base.layers
    assert found.id != base.id


def test_nothing_is_left_when_it_cannot_be_made(lab: ImageLab) -> None:
    with pytest.raises(RegistryUnavailable):
        own(lab, f"127.0.0.1:9/{lab.name}")
    cancelled = Silent()
    cancelled.cancel()
    full = f"{lab.name}-c._.1"
    with pytest.raises(Cancelled):
        lab.images.own_image(lab.person, lab.rig.base_image, full, cancelled, {})
    assert lab.left() == []
