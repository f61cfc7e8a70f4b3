"""Bad input on the real engine: one clear sentence, at once where it can be, and nothing left."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from ds01_jupyter.core import models
from ds01_jupyter.core.errors import (
    ConfigurationError,
    CoreError,
    DriverUnavailable,
    InvalidInput,
)
from ds01_jupyter.core.image_draft import UID_LABEL
from tests.engine.conftest import Desk
from tests.rig.fixtures import RigEngine

pytestmark = pytest.mark.engine

FRAMEWORK = {"framework": "Pytorch", "version": "2.5.1"}
NO_LIBRARY = "/nonexistent/libnvidia-ml.so.1"


def container(**wishes: object) -> models.ContainerRequest:
    body = {"name": "c", "gpu": "none", "framework": FRAMEWORK, **wishes}
    return models.ContainerRequest.model_validate(body)


def image(**wishes: object) -> models.ImageRequest:
    return models.ImageRequest.model_validate({"name": "i", "base": "none", **FRAMEWORK, **wishes})


def refused(kind: type[CoreError], call: Callable[[], object]) -> CoreError:
    """The refusal, which says what is wrong and what to do next."""
    with pytest.raises(kind) as caught:
        call()
    assert caught.value.message.endswith(".")
    assert "\n" not in caught.value.message
    assert caught.value.hint
    return caught.value


@pytest.fixture
def bare(make_desk: Callable[..., Desk]) -> Desk:
    """A machine without Docker, driver and configured architecture."""
    return make_desk(
        docker_host="unix:///nonexistent/docker.sock", nvml_library=NO_LIBRARY, architecture=""
    )


@pytest.mark.parametrize("name", ["a b", "a.b", "a/b", "a\nb", "-a", "ü", "x" * 200, "", "a\0b"])
def test_a_bad_name_is_said_before_docker_or_the_driver_is_missed(bare: Desk, name: str) -> None:
    refused(InvalidInput, lambda: bare.lab.create_container(bare.person, container(name=name)))
    refused(InvalidInput, lambda: bare.lab.create_image(bare.person, image(name=name)))
    refused(InvalidInput, lambda: bare.lab.preview_image(bare.person, image(name=name)))


@pytest.mark.parametrize(
    "packages",
    [{"pip": ["numpy; rm -rf /"]}, {"pip": ["-r x"]}, {"apt": ["git-"]}, {"apt": ["-o x"]},
     {"base": ["nope"]}, {"use_cases": ["nope"]}],
)  # fmt: skip
def test_so_is_a_bad_package(bare: Desk, packages: dict[str, list[str]]) -> None:
    refused(InvalidInput, lambda: bare.lab.create_image(bare.person, image(**packages)))


@pytest.mark.parametrize("gpu", ["", "all", "-1", "0;id", "MIG-...", "device=0"])
def test_so_is_a_gpu_that_cannot_be_meant(bare: Desk, gpu: str) -> None:
    refused(InvalidInput, lambda: bare.lab.create_container(bare.person, container(gpu=gpu)))


def test_without_a_driver_the_architecture_is_what_to_say(make_desk: Callable[..., Desk]) -> None:
    desk = make_desk(nvml_library=NO_LIBRARY, architecture="")
    said = refused(DriverUnavailable, lambda: desk.lab.create_container(desk.person, container()))
    assert "architecture" in said.hint
    assert 'gpu="none"' not in said.hint, "that is what was asked for"
    desk.lab.preview_image(desk.person, image(architecture="CUDA_ADA"))


def test_images_for_amd_are_refused_beside_an_nvidia_driver(desk: Desk) -> None:
    wish = image(architecture="ROCM6")
    assert "AMD" in refused(InvalidInput, lambda: desk.lab.preview_image(desk.person, wish)).message


def test_a_catalogue_without_one_good_row_is_named_with_its_place(
    make_desk: Callable[..., Desk], tmp_path: Path
) -> None:
    file = tmp_path / "ml_images.repo"
    file.write_text("# AIME\nPytorch, 2.5.1\n")
    desk = make_desk(catalogue=file)
    said = refused(ConfigurationError, lambda: desk.lab.catalogue(desk.person))
    assert f"{file}:2" in said.message
    file.write_text("")
    assert str(file) in refused(ConfigurationError, lambda: desk.lab.catalogue(desk.person)).message


@pytest.mark.parametrize("kind", ["file", "link", "below a link", "read-only", "of another"])
def test_a_workspace_that_cannot_be_used_is_refused_at_once(desk: Desk, kind: str) -> None:
    home = desk.person.home
    wanted = home / "it"
    if kind == "file":
        wanted.write_text("")
    elif "link" in kind:
        wanted.symlink_to("/etc")
    else:
        wanted.mkdir(mode=0o555 if kind == "read-only" else 0o755)
        if kind == "read-only":
            os.chown(wanted, desk.person.uid, desk.person.gid)
    path = wanted / "sub" if kind == "below a link" else wanted
    request = container(workspace=str(path), gpu="1g.5gb")
    said = refused(InvalidInput, lambda: desk.lab.create_container(desk.person, request))
    assert str(wanted) in said.message
    assert desk.lab.operations(desk.person) == []
    assert (desk.mine(), desk.leased()) == ([], {})


def test_a_workspace_that_a_group_may_write_is_fine(desk: Desk) -> None:
    shared = desk.person.home / "shared"
    shared.mkdir()
    os.chown(shared, 0, desk.person.gid)
    shared.chmod(0o775)
    assert desk.create("c", gpu="none", workspace=str(shared)).workspace == str(shared)


@pytest.mark.parametrize(
    ("with_account", "code", "lacks"),
    [(True, "invalid_input", "no /bin/bash"), (False, "build_failed", "python3")],
)
def test_an_image_that_nobody_can_work_in_is_named_as_that(
    desk: Desk, with_account: bool, code: str, lacks: str
) -> None:
    empty = f"ds01t-empty-{desk.person.uid}"
    changes = [f"LABEL {UID_LABEL}={desk.person.uid}"] if with_account else []
    desk.docker.api.import_image_from_data(b"\0" * 10240, repository=empty, changes=changes)
    try:
        request = container(framework=None, image=f"{empty}:latest", gpu="1g.5gb")
        ended = desk.finish(desk.lab.create_container(desk.person, request))
    finally:
        desk.docker.api.remove_image(f"{empty}:latest", force=True)
    assert ended.error is not None
    assert (ended.state, ended.error.code) == ("failed", code)
    assert lacks in ended.error.message
    assert "runc" not in ended.error.message
    assert ended.error.hint
    assert (desk.mine(), desk.leased()) == ([], {})


def failure(desk: Desk, request: models.ImageRequest) -> models.ErrorDocument:
    ended = desk.finish(desk.lab.create_image(desk.person, request))
    assert ended.state == "failed"
    assert ended.error is not None
    assert ended.error.hint
    return ended.error


def test_a_version_that_there_is_not_is_named(desk: Desk) -> None:
    said = failure(desk, image(pip=["six==99.99"]))
    assert (said.code, said.details["package"]) == ("build_failed", "six")
    assert "There is no six==99.99" in said.message


def test_what_is_wrong_with_a_dockerfile_of_ones_own_is_said(
    desk: Desk, rig_engine: RigEngine
) -> None:
    file = desk.person.home / "dockerfiles" / "i.Dockerfile"
    file.parent.mkdir()
    file.write_text(f"FROM {rig_engine.base_image}\nBROKEN line\n")
    os.chown(file, desk.person.uid, desk.person.gid)
    keep = image(dockerfile="keep")
    assert "BROKEN" in failure(desk, keep).message
    file.write_text("")
    assert "empty" in failure(desk, keep).message
    file.write_text("FROM 127.0.0.1:1/ds01t/nosuch\n")
    assert "FROM" in failure(desk, keep).message
    file.unlink()
    file.mkdir()
    said = refused(InvalidInput, lambda: desk.lab.create_image(desk.person, keep))
    assert str(file) in said.message
