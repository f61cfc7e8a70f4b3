"""Images of one's own on the real engine: built, proven, kept, never half there."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from ds01_jupyter.core import builder, image_draft
from ds01_jupyter.core.engine import BuildPlan, ContainerPlan, ImageDetails, Silent
from ds01_jupyter.core.errors import (
    BuildFailed,
    Cancelled,
    Conflict,
    DiskFull,
    DockerfileEdited,
    Forbidden,
    InvalidInput,
    NotFound,
    RegistryUnavailable,
)
from tests.engine.image_lab import ARCHITECTURE, Heard, ImageLab
from tests.rig.fixtures import RigEngine

pytestmark = pytest.mark.engine


@pytest.fixture
def lab(rig_engine: RigEngine, tmp_path: Path, unique_name: str) -> Iterator[ImageLab]:
    found = ImageLab(rig_engine, tmp_path, unique_name)
    yield found
    found.clean()


@pytest.fixture(params=["buildkit", "classic"])
def either(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both builders, one after the other."""
    if request.param == "classic":
        monkeypatch.setattr(image_draft, "uv_reference", lambda: None)
    return str(request.param)


def shared_layers(one: ImageDetails, other: ImageDetails) -> list[str]:
    """The layers that two images have in common, from the bottom."""
    pairs = zip(one.layers, other.layers, strict=False)
    return [mine for mine, yours in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs)]


def test_an_image_with_all_that_was_promised(lab: ImageLab, either: str) -> None:
    heard = Heard()
    request = lab.request(base=["tqdm"], pip=["einops>=0.8"], apt=["tree"])
    image = lab.images.create(lab.person, request, ARCHITECTURE, heard)

    assert image.reference == f"{lab.name}-john.doe:latest"
    assert (image.owner, image.framework) == ("john.doe", "Pytorch-2.5.1")
    phases = [phase for phase, _, _ in heard.steps]
    resolved = ["resolve"] if either == "buildkit" else []
    assert list(dict.fromkeys(phases)) == ["prepare", *resolved, "build", "check"]
    assert any(": Debian packages" in detail for _, _, detail in heard.steps)
    assert any(": Base image" in detail for _, _, detail in heard.steps)

    found = lab.engine.image(image.reference)
    assert found is not None
    assert found.id == image.id
    assert {k: v for k, v in found.labels.items() if k.startswith("aime.mlc")} == {
        "aime.mlc.FRAMEWORK": "Pytorch-2.5.1",
        "aime.mlc.ARCH": "CUDA_ADA",
        "aime.mlc.IMAGE.NAME": lab.name,
        "aime.mlc.IMAGE.OWNER": "john.doe",
        "aime.mlc.IMAGE.UID": str(lab.person.uid),
        "aime.mlc.IMAGE.BASE": lab.rig.base_image,
        "aime.mlc.IMAGE.TIERS": "base custom",
    }
    expected = {
        "PYTHONUNBUFFERED": "1",
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
        "HF_HOME": "/workspace/.cache/huggingface",
        "TORCH_HOME": "/workspace/.cache/torch",
        "PIP_CONSTRAINT": "/opt/ds01/constraints.txt",
        "UV_CONSTRAINT": "/opt/ds01/constraints.txt",
    }
    assert expected.items() <= found.environment.items()

    user = f"{lab.person.uid}:{lab.person.gid}"
    identity = lab.run(image.reference, "bash", "-c", "id; echo ~; ls -a ~; pwd", user=user)
    assert f"uid={lab.person.uid}(john.doe) gid={lab.person.gid}(john.doe)" in identity
    assert "/home/john.doe" in identity
    assert ".bashrc" in identity
    assert identity.endswith("/workspace\n")
    python = (
        "import torch, torchvision, tqdm, einops, glob;"
        "print(torch.__version__, torchvision.__version__);"
        "print(len(glob.glob(einops.__path__[0] + '/__pycache__/*.pyc')) > 0)"
    )
    assert lab.run(image.reference, "python3", "-c", python, user=user) == (
        "2.5.1+cu121 0.20.1+cu121\nTrue\n"
    )
    assert lab.run(image.reference, "tree", "--version").startswith("tree")
    rubbish = "find /var/lib/apt/lists /root /opt/ds01/bin -type f -size +100k 2>&1 || true"
    assert "/" not in lab.run(image.reference, "sh", "-c", rubbish).replace("/opt/ds01/bin", "")
    listed = image.model_copy(update={"packages": None})  # these are told of one image only
    assert lab.images.list(lab.person) == [listed]
    assert len(lab.left()) == 1


def test_pip_in_a_container_keeps_the_framework_too(lab: ImageLab) -> None:
    image = lab.create()
    script = "PIP_BREAK_SYSTEM_PACKAGES=1 pip install 'torchvision>=0.21' 2>&1; echo code $?"
    output = lab.run(image.reference, "bash", "-c", script)
    assert "code 1" in output
    assert "torchvision" in output


def test_no_change_is_the_same_image_and_one_more_package_another(lab: ImageLab) -> None:
    first = lab.create(base=["tqdm"])
    again = lab.create(base=["tqdm"])
    details = lab.engine.image(first.reference)
    other = lab.create(base=["tqdm"], pip=["einops"])
    changed = lab.engine.image(other.reference)
    assert first.id == again.id
    assert other.id != first.id
    assert details is not None
    assert changed is not None
    # Base image (two), scripts, freeze, and the tier's two.
    assert len(shared_layers(details, changed)) == 6
    # The one before is not left dangling: it has the name of its build.
    assert lab.left() == [other.reference]
    assert sorted(lab.kept()) == [f"{lab.name}-john.doe:build-{n}" for n in (1, 2)]
    assert (first.build, again.build, other.build) == (1, 1, 2)


def test_two_people_share_the_layers_of_the_same_tiers(lab: ImageLab) -> None:
    mine = lab.engine.image(lab.create(base=["tqdm"]).id)
    bob = lab.someone("Bob@lab")
    yours = lab.engine.image(lab.create(bob, base=["tqdm"]).id)
    assert mine is not None
    assert yours is not None
    assert mine.references != yours.references
    # All but the account's two steps and the working folder.
    assert len(mine.layers) - len(shared_layers(mine, yours)) == 3
    assert abs(mine.size - yours.size) < 100_000
    assert [image.owner for image in lab.images.list(bob)] == ["Bob@lab"]
    assert lab.run(yours.references[0], "id", "-un", user=str(bob.uid)) == "Bob@lab\n"


def test_f19_an_account_costs_next_to_nothing_whatever_its_number(lab: ImageLab) -> None:
    """useradd would write a sparse lastlog of many gigabytes for such a number."""
    image = lab.create()
    base = lab.engine.image(lab.rig.base_image)
    assert base is not None
    assert image.size - base.size < 500_000


def test_the_tensorflow_base_keeps_its_own(lab: ImageLab) -> None:
    image = lab.create(framework="tensorflow")
    constraints = lab.run(image.reference, "cat", "/opt/ds01/constraints.txt")
    assert "tensorflow==2.16.1" in constraints


def test_a_package_that_wants_another_torch_fails_the_build(lab: ImageLab, either: str) -> None:
    with pytest.raises(BuildFailed) as caught:
        lab.create(pip=["torchvision>=0.21"])
    if either == "buildkit":
        assert "stays as it is" in caught.value.message
    else:
        assert "do not fit together, or not with the framework" in caught.value.message
    assert "torchvision" in "\n".join(caught.value.details["log"])
    assert lab.files() == []
    assert lab.left() == []
    assert lab.ledger.list_images() == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"pip": ["scikit-lern-ds01"]}, "no package scikit-lern-ds01"),
        ({"apt": ["ffmpg-ds01"]}, "no package ffmpg-ds01"),
        ({"base": ["tqdm"], "pip": ["tqdm<4.0,>=4.1"]}, "do not fit together"),
    ],
)
def test_a_mistake_in_a_package_is_named_and_leaves_nothing(
    lab: ImageLab, changes: dict[str, list[str]], words: str
) -> None:
    with pytest.raises(BuildFailed, match=words):
        lab.create(**changes)
    assert lab.files() == []
    assert lab.left() == []


def test_a_framework_that_was_replaced_fails_the_check(lab: ImageLab) -> None:
    """The proof does not rely on the constraints: here a Dockerfile goes around them."""
    preview = lab.images.preview(lab.person, lab.request(), ARCHITECTURE)
    metadata = "/usr/local/lib/python3.11/dist-packages/torch-2.5.1+cu121.dist-info/METADATA"
    spoil = f'RUN ["sed", "-i", "s/^Version: .*/Version: 2.15.0/", "{metadata}"]\n'
    edited = preview.dockerfile.replace("# The proof", f"{spoil}# The proof")
    path = Path(preview.path)
    path.parent.mkdir()
    os.chown(path.parent, lab.person.uid, lab.person.gid)
    path.write_text(edited)
    os.chown(path, lab.person.uid, lab.person.gid)
    with pytest.raises(BuildFailed, match=r"torch was replaced: 2\.5\.1\+cu121 became 2\.15\.0"):
        lab.create(dockerfile="keep")
    assert path.read_text() == edited
    assert lab.left() == []


def test_a_failed_rebuild_keeps_the_working_image_and_its_files(lab: ImageLab) -> None:
    image = lab.create(pip=["einops"])
    before = {path: path.read_text() for path in lab.person.home.rglob("*") if path.is_file()}
    with pytest.raises(BuildFailed):
        lab.create(pip=["torchvision>=0.21"])
    assert lab.images.get(lab.person, lab.name) == image
    assert before == {
        path: path.read_text() for path in lab.person.home.rglob("*") if path.is_file()
    }
    assert lab.left() == [image.reference]


def test_a_cancelled_build_leaves_nothing(lab: ImageLab, either: str) -> None:
    # The account is this person's only: its step cannot have been kept from an earlier build.
    heard = Heard(cancel_at="Your account")
    with pytest.raises(Cancelled):
        lab.images.create(lab.person, lab.request(apt=["tree"]), ARCHITECTURE, heard)
    assert lab.files() == []
    assert lab.left() == []
    assert lab.ledger.list_images() == []
    lab.create()  # the name is not taken


def test_a_cancel_at_the_last_moment_takes_back_files_and_name(lab: ImageLab) -> None:
    class Late(Heard):
        def step(self, phase: str, fraction: float | None = None, detail: str = "") -> None:
            super().step(phase, fraction, detail)
            if phase == "check":
                self.cancel()

    with pytest.raises(Cancelled):
        lab.images.create(lab.person, lab.request(), ARCHITECTURE, Late())
    assert lab.files() == []
    assert lab.left() == []
    assert lab.ledger.list_images() == []

    image = lab.create()
    before = {path: path.read_text() for path in lab.person.home.rglob("*") if path.is_file()}
    with pytest.raises(Cancelled):
        lab.images.create(lab.person, lab.request(pip=["einops"]), ARCHITECTURE, Late())
    assert before == {
        path: path.read_text() for path in lab.person.home.rglob("*") if path.is_file()
    }
    assert lab.images.get(lab.person, lab.name) == image
    assert lab.left() == [image.reference]


def test_b28_a_hand_edited_dockerfile_is_asked_about(lab: ImageLab) -> None:
    lab.create()
    path = lab.person.home / "dockerfiles" / f"{lab.name}.Dockerfile"
    edited = path.read_text() + 'RUN ["touch", "/mine"]\n'
    path.write_text(edited)

    preview = lab.images.preview(lab.person, lab.request(), ARCHITECTURE)
    assert preview.state == "edited"
    with pytest.raises(DockerfileEdited) as caught:
        lab.images.begin(lab.person, lab.request(), ARCHITECTURE).release()
    assert '-RUN ["touch", "/mine"]' in caught.value.details["diff"]
    with pytest.raises(DockerfileEdited):
        lab.create(pip=["einops"])
    assert path.read_text() == edited

    kept = lab.create(dockerfile="keep")
    assert lab.run(kept.reference, "ls", "/mine") == "/mine\n"
    assert path.read_text() == edited
    assert lab.images.dockerfile(lab.person, lab.name).state == "edited"
    with pytest.raises(DockerfileEdited):  # it is still theirs
        lab.create()

    replaced = lab.create(dockerfile="replace")
    assert path.read_text() == lab.images.dockerfile(lab.person, lab.name).dockerfile
    assert path.with_name(f"{path.name}.bak-1").read_text() == edited
    with pytest.raises(Exception, match="No such file"):
        lab.run(replaced.reference, "ls", "/mine")
    assert lab.images.dockerfile(lab.person, lab.name).state == "same"


def test_a_dockerfile_of_ours_is_updated_without_asking(lab: ImageLab) -> None:
    lab.create()
    request = lab.request(pip=["einops"])
    assert lab.images.preview(lab.person, request, ARCHITECTURE).state == "changed"
    lab.create(pip=["einops"])
    assert lab.images.preview(lab.person, request, ARCHITECTURE).state == "same"
    stored = lab.images.dockerfile(lab.person, lab.name)
    assert "tier-custom.txt" in stored.dockerfile
    assert "einops" in stored.files["tier-custom.txt"]


def test_a_dockerfile_that_was_edited_during_the_build_is_left_alone(lab: ImageLab) -> None:
    lab.create()
    path = lab.person.home / "dockerfiles" / f"{lab.name}.Dockerfile"

    class Editing(Heard):
        def step(self, phase: str, fraction: float | None = None, detail: str = "") -> None:
            super().step(phase, fraction, detail)
            if phase == "check":
                path.write_text("# mine\n")

    heard = Editing()
    lab.images.create(lab.person, lab.request(pip=["einops"]), ARCHITECTURE, heard)
    assert path.read_text() == "# mine\n"
    assert any("left as it is" in line for line in heard.lines)


def test_a_project_gets_its_own_dockerfile(lab: ImageLab) -> None:
    project = lab.person.home / "thesis"
    project.mkdir()
    os.chown(project, lab.person.uid, lab.person.gid)
    image = lab.create(project="~/thesis")
    assert image.dockerfile == str(project / "Dockerfile")
    assert (project / ".ds01" / "freeze.py").is_file()
    assert not (lab.person.home / "dockerfiles").exists()
    assert lab.images.dockerfile(lab.person, lab.name).state == "same"
    with pytest.raises(NotFound):
        lab.create(project="~/no-such-project")
    with pytest.raises(InvalidInput):
        lab.create(project="/etc")


def test_what_is_stored_can_be_built_by_hand(lab: ImageLab, either: str) -> None:
    lab.create(base=["tqdm"])
    preview = lab.images.dockerfile(lab.person, lab.name)
    (command,) = [line[4:] for line in preview.dockerfile.splitlines() if "docker build" in line]
    reference = f"{lab.name}-by-hand:latest"
    command = command.replace(f"{lab.name}-john.doe:latest", reference)
    # Debian's own client, which the rig installs: newer ones build with a plugin only.
    environment = {"PATH": "/usr/bin:/bin", "DOCKER_HOST": lab.rig.docker_host}
    environment |= {"HOME": str(lab.folder), "DOCKER_BUILDKIT": "0"}
    done = subprocess.run(
        command, shell=True, env=environment, capture_output=True, text=True, timeout=280
    )
    assert done.returncode == 0, done.stderr
    assert lab.run(reference, "python3", "-c", "import tqdm, torch; print('ok')") == "ok\n"


def test_a_kept_dockerfile_finds_its_files_whatever_is_chosen_now(lab: ImageLab) -> None:
    lab.create(pip=["six"])
    path = lab.person.home / "dockerfiles" / f"{lab.name}.Dockerfile"
    edited = path.read_text() + 'ENV MINE="1"\n'
    path.write_text(edited)
    image = lab.create(base=["tqdm"], dockerfile="keep")
    assert path.read_text() == edited
    assert lab.run(image.reference, "python3", "-c", "import six; print('ok')") == "ok\n"


def test_one_cannot_reach_the_shared_cache_of_packages(lab: ImageLab) -> None:
    """A person's own Dockerfile may mount what it likes; it sees only caches of its own."""
    lab.create(base=["tqdm"])
    path = lab.person.home / "dockerfiles" / f"{lab.name}.Dockerfile"
    ls = 'RUN --mount=type=cache,id=ds01-uv,target=/c ["sh", "-c", "ls -A /c | wc -l > /count"]\n'
    path.write_text(f"FROM {lab.rig.base_image}\n{ls}")
    image = lab.create(base=["tqdm"], dockerfile="keep")
    assert lab.run(image.reference, "cat", "/count").strip() == "0"


def test_commas_in_labels_of_the_base_do_not_reach_aimes_lists(lab: ImageLab) -> None:
    base = f"{lab.name}-base:latest"
    files = {"Dockerfile": f"FROM {lab.rig.base_image}\n".encode()}
    labels = {"title": "PyTorch, CUDA 12", "plain": "x"}
    lab.engine.build(BuildPlan(files=files, reference=base, labels=labels), Silent())
    lab.catalogue.write_text(f"Pytorch, 2.5.1, CUDA_ADA, {lab.name}-base\n")
    found = lab.engine.image(lab.create().reference)
    assert found is not None
    assert found.labels["title"] == ""
    assert found.labels["plain"] == "x"
    assert not any("," in value for value in found.labels.values())


def test_a_base_image_that_cannot_be_had(lab: ImageLab) -> None:
    lab.catalogue.write_text(f"Pytorch, 2.5.1, CUDA_ADA, 127.0.0.1:9/{lab.name}\n")
    with pytest.raises(RegistryUnavailable):
        lab.create()
    assert lab.files() == []
    assert lab.left() == []


def test_too_little_space_is_said_before_anything_is_made(
    lab: ImageLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(builder.check_space, "__defaults__", (2**60,))
    with pytest.raises(DiskFull, match="free") as caught:
        lab.create()
    assert caught.value.details["needed"] == 2**60
    assert 0 < caught.value.details["free"] < 2**60
    assert lab.files() == []


def test_one_build_of_a_name_at_a_time(lab: ImageLab) -> None:
    class Nested(Heard):
        def step(self, phase: str, fraction: float | None = None, detail: str = "") -> None:
            super().step(phase, fraction, detail)
            if phase == "prepare":
                with pytest.raises(Conflict, match="being built already"):
                    lab.create()

    lab.images.create(lab.person, lab.request(), ARCHITECTURE, Nested())


def test_removal_is_refused_while_a_container_uses_it(lab: ImageLab) -> None:
    image = lab.create()
    container = lab.engine.create_container(
        ContainerPlan(f"{lab.name}._.1", image.reference, {}, "0:0", ("/bin/bash",))
    )
    with pytest.raises(Conflict, match=f"used by {lab.name}") as caught:
        lab.images.remove(lab.person, lab.name)
    assert caught.value.details["containers"] == [f"{lab.name}._.1"]
    assert lab.images.get(lab.person, lab.name).containers == [f"{lab.name}._.1"]
    # Rebuilt meanwhile, the old one stays for the container.
    rebuilt = lab.create(pip=["einops"])
    assert rebuilt.id != image.id
    assert lab.engine.image(image.id) is not None
    lab.engine.remove_container(container)
    lab.engine.remove_image(image.id)
    lab.images.remove(lab.person, lab.name)
    assert lab.images.list(lab.person) == []
    assert lab.left() == []
    assert (lab.person.home / "dockerfiles" / f"{lab.name}.Dockerfile").is_file()
    with pytest.raises(NotFound):
        lab.images.get(lab.person, lab.name)


def test_a_second_name_that_somebody_gave_survives_a_rebuild(lab: ImageLab) -> None:
    image = lab.create()
    lab.engine.tag(image.id, f"{lab.name}-kept:latest")
    assert lab.create(pip=["einops"]).id != image.id
    kept = lab.engine.image(f"{lab.name}-kept")
    assert kept is not None
    assert kept.id == image.id


def test_others_neither_see_nor_use_nor_remove_it(lab: ImageLab) -> None:
    image = lab.create()
    eve = lab.someone("eve")
    assert lab.images.list(eve) == []
    for action in (lab.images.get, lab.images.remove, lab.images.dockerfile):
        with pytest.raises(NotFound):
            action(eve, lab.name)
    for reference in (image.reference, image.id, image.reference.removesuffix(":latest")):
        with pytest.raises(Forbidden):
            lab.images.resolve(eve, reference)
    # A second name for it does not make it hers.
    lab.engine.tag(image.id, f"{lab.name}-eve:latest")
    with pytest.raises(Forbidden):
        lab.images.resolve(eve, f"{lab.name}-eve")


def test_what_a_container_may_start_from(lab: ImageLab) -> None:
    image = lab.create()
    for text in (lab.name, image.reference):
        found = lab.images.resolve(lab.person, text)
        assert found.reference == image.reference
        assert (found.framework, found.architecture) == ("Pytorch-2.5.1", "CUDA_ADA")
    bare = lab.images.resolve(lab.person, lab.rig.base_image)
    assert (bare.reference, bare.framework) == (lab.rig.base_image, "Pytorch-2.5.1")
    with pytest.raises(NotFound) as caught:
        lab.images.resolve(lab.person, f"{lab.name}x")
    assert lab.name in caught.value.hint
    for junk in ("a b", "-x", "x;y", "../x", ""):
        with pytest.raises(InvalidInput):
            lab.images.resolve(lab.person, junk)


def test_an_image_that_docker_lost_is_told_apart(lab: ImageLab) -> None:
    image = lab.create()
    lab.engine.remove_image(image.reference)
    assert lab.images.list(lab.person) == []
    with pytest.raises(NotFound, match="removed from Docker"):
        lab.images.get(lab.person, lab.name)
    lab.create()
    assert len(lab.images.list(lab.person)) == 1


def test_the_notebook_kernel_has_the_images_name(lab: ImageLab) -> None:
    image = lab.create(base=["ipykernel"])
    spec = json.loads(
        lab.run(image.reference, "cat", "/usr/local/share/jupyter/kernels/ds01/kernel.json")
    )
    assert spec["display_name"] == f"{lab.name} (Pytorch 2.5.1)"
    assert spec["argv"][0] == "/usr/bin/python3"
    listed = lab.run(image.reference, *spec["argv"][:3], "--version")
    assert listed.strip()
