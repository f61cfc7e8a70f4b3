"""What an admin says about builds, on the real engine: mirrors, images, time, size; and what is
left when a build is stopped in any of its phases."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ds01_jupyter.core import builder
from ds01_jupyter.core.docker_engine import DockerEngine
from ds01_jupyter.core.engine import BuildPlan, Silent
from ds01_jupyter.core.errors import (
    BuildFailed,
    Cancelled,
    ConfigurationError,
    CoreError,
    DiskFull,
    Forbidden,
    LimitReached,
)
from ds01_jupyter.core.images import Images
from ds01_jupyter.core.packages import TierFile
from tests.engine.image_lab import ARCHITECTURE, Heard, ImageLab
from tests.engine.package_index import package_index
from tests.engine.test_docker_builds import processes
from tests.rig.fixtures import RigEngine
from tests.rig.registry import Registry
from tests.rig.slow_line import slow_line

pytestmark = pytest.mark.engine


@pytest.fixture
def lab(rig_engine: RigEngine, tmp_path: Path, unique_name: str) -> Iterator[ImageLab]:
    lab = ImageLab(rig_engine, tmp_path, unique_name)
    yield lab
    lab.clean()


@pytest.fixture
def set_up(lab: ImageLab, request: pytest.FixtureRequest) -> Callable[..., None]:
    """Have the lab's images made as an admin configured it; `route` says how."""

    def configure(route: str = "auto", **settings: Any) -> None:
        lab.settings = replace(lab.settings, **settings)
        plugin = request.getfixturevalue("rig_buildx") if route == "buildx" else ""
        lab.engine.close()
        wish: Any = route
        lab.engine = DockerEngine(lab.rig.docker_host, build_route=wish, buildx=str(plugin))
        images = lab.images
        lab.images = Images(
            lab.engine,
            lab.ledger,
            images._catalogue,
            lambda: TierFile.load(lab.settings.tiers),
            lab.settings,
        )

    return configure


def exported(lab: ImageLab, reference: str, needles: list[str]) -> list[str]:
    """Which of some texts stand anywhere in an image as `docker save` gives it, or in what `docker
    history --no-trunc` shows."""
    client = lab.rig.client()
    try:
        history = str(client.api.history(reference)) + str(client.api.inspect_image(reference))
        found = {needle for needle in needles if needle in history}
        rest = b""
        for chunk in client.api.get_image(reference):
            window = rest + chunk
            found |= {needle for needle in needles if needle.encode() in window}
            rest = window[-200:]
    finally:
        client.close()
    return sorted(found)


@pytest.mark.parametrize("route", ["api", "buildx"])
def test_mirrors_and_certificates_serve_a_build_and_are_not_in_the_image(
    lab: ImageLab, set_up: Callable[..., None], tmp_path: Path, route: str
) -> None:
    package = lab.name.replace("-", "_")
    with package_index(lab.rig, tmp_path, package) as (index, certificate):
        address = f"{index.server_address[0]!s}:{index.server_address[1]}"
        set_up(
            route,
            package_indexes=(f"https://{address}/simple",),
            ca_bundle=str(certificate),
        )
        image = lab.create(pip=[package])
        assert [path for path in index.asked if path.endswith(".whl")]
    assert lab.run(image.reference, "python3", "-c", f"import {package}") == ""
    body = certificate.read_text().splitlines()[3]
    # That it would be seen: the package's own name is there.
    assert exported(lab, image.reference, [address, body, package]) == [package]


def test_without_the_certificate_the_mirror_is_not_believed(
    lab: ImageLab, set_up: Callable[..., None], tmp_path: Path
) -> None:
    package = lab.name.replace("-", "_")
    with package_index(lab.rig, tmp_path, package) as (index, _):
        host, port = index.server_address[:2]
        set_up(package_indexes=(f"https://{host!s}:{port}/simple",))
        with pytest.raises(BuildFailed):
            lab.create(pip=[package])
    assert lab.left() == []


def test_the_classic_builder_uses_the_mirror_too(
    lab: ImageLab, set_up: Callable[..., None], tmp_path: Path
) -> None:
    package = lab.name.replace("-", "_")
    with package_index(lab.rig, tmp_path, package) as (index, certificate):
        host, port = index.server_address[:2]
        url = f"https://{host!s}:{port}/simple"
        set_up("classic", package_indexes=(url,), ca_bundle=str(certificate))
        image = lab.create(pip=[package])
    assert lab.run(image.reference, "python3", "-c", f"import {package}") == ""


def test_a_mirror_with_a_password_is_refused_before_anything_is_made(
    lab: ImageLab, set_up: Callable[..., None]
) -> None:
    set_up(package_indexes=("https://ann:s3cret@mirror.example/simple",))
    with pytest.raises(ConfigurationError) as caught:
        lab.create()
    assert "s3cret" not in str(caught.value.document())
    assert lab.left() == []
    assert lab.files() == []


def edited(lab: ImageLab, *lines: str) -> None:
    """Build once, then add lines to the Dockerfile by hand."""
    image = lab.create()
    path = Path(image.dockerfile)
    path.write_text(path.read_text() + "\n".join(lines) + "\n")


@pytest.mark.parametrize(
    "line", ["COPY --from=evil.example/x /a /b", "FROM evil.example/x",
             "RUN --mount=from=evil.example/x,target=/x true"]
)  # fmt: skip
def test_a_dockerfile_by_hand_keeps_to_the_images_that_are_allowed(
    lab: ImageLab, set_up: Callable[..., None], line: str
) -> None:
    set_up(allowed_images=("registry.lab.example/*",))
    edited(lab, line)
    with pytest.raises(Forbidden, match=r"evil\.example/x") as caught:
        lab.images.begin(lab.person, lab.request(dockerfile="keep"), ARCHITECTURE)
    assert caught.value.details["allowed"] == ["registry.lab.example/*"]


def test_what_comes_from_the_catalogue_is_always_allowed(
    lab: ImageLab, set_up: Callable[..., None]
) -> None:
    set_up(allowed_images=("registry.lab.example/*",))
    edited(lab, 'RUN ["true"]', "COPY --from=" + lab.rig.tensorflow_image + " /etc/passwd /h")
    lab.create(dockerfile="keep", pip=["einops"])


def test_an_image_that_is_too_large_does_not_replace_the_one_there_is(
    lab: ImageLab, set_up: Callable[..., None]
) -> None:
    before = lab.create()
    built = lab.images.row(lab.person, lab.name)
    set_up(image_gigabytes=0.001)
    with pytest.raises(LimitReached, match=r"may have 0\.001 GB") as caught:
        lab.create(pip=["einops"])
    assert caught.value.details["limit"] == 1_000_000
    assert caught.value.details["size"] > 1_000_000
    assert lab.images.row(lab.person, lab.name).image_id == built.image_id
    assert lab.left() == [before.reference]


def test_space_for_three_times_the_download_is_asked_for_before_the_build(
    lab: ImageLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(builder, "PER_DOWNLOAD", 10**12)
    heard = Heard()
    with pytest.raises(DiskFull, match="free; a build needs") as caught:
        lab.images.create(lab.person, lab.request(pip=["einops"]), ARCHITECTURE, heard)
    assert caught.value.details["needed"] > 10**15
    assert "build" not in {phase for phase, *_ in heard.steps}
    assert lab.left() == []


@pytest.mark.parametrize("route", ["api", "buildx", "classic"])
def test_a_build_that_takes_too_long_is_stopped_and_leaves_nothing(
    lab: ImageLab, set_up: Callable[..., None], route: str
) -> None:
    set_up(route)
    edited(lab, f'RUN ["python3", "-c", "import time; time.sleep(90)", "{lab.name}"]')
    before = lab.left()
    set_up(route, build_minutes=0.05)
    with pytest.raises(BuildFailed, match=r"longer than the 0\.05 minutes") as caught:
        lab.create(dockerfile="keep")
    assert caught.value.details["problem"] == "time limit"
    gone(lab, before)


def gone(lab: ImageLab, before: list[str]) -> None:
    """What a stopped build must not leave: processes, images, containers."""
    for _ in range(100):
        if not processes(lab.name):
            break
        threading.Event().wait(0.1)
    assert processes(lab.name) == []
    assert lab.left() == before
    assert not [one for one in lab.engine.list_containers() if lab.name in str(one.labels)]


class Stopping(Heard):
    """Cancels with the first report of a phase."""

    def __init__(self, phase: str) -> None:
        super().__init__()
        self._phase = phase

    def step(self, phase: str, fraction: float | None = None, detail: str = "") -> None:
        super().step(phase, fraction, detail)
        if phase == self._phase:
            threading.Thread(target=self.cancel).start()


@pytest.mark.parametrize("route", ["api", "buildx"])
@pytest.mark.parametrize("phase", ["prepare", "resolve", "build", "check"])
def test_a_cancel_in_any_phase_leaves_nothing(
    lab: ImageLab, set_up: Callable[..., None], tmp_path: Path, route: str, phase: str
) -> None:
    package = lab.name.replace("-", "_")
    with package_index(lab.rig, tmp_path, package) as (index, certificate):
        host, port = index.server_address[:2]
        url = f"https://{host!s}:{port}/simple"
        set_up(route, package_indexes=(url,), ca_bundle=str(certificate))
        if phase == "resolve":
            index.held.clear()  # the resolver waits for the index when the cancel comes
        heard = Stopping(phase)
        with pytest.raises(Cancelled):
            lab.images.create(lab.person, lab.request(pip=[package]), ARCHITECTURE, heard)
    assert heard.steps[-1][0] == phase
    gone(lab, [])
    assert lab.kept() == []
    assert lab.files() == []
    now = [image for image in lab.engine.list_images() if not image.references]
    mine = [image for image in now if image.labels.get("aime.mlc.IMAGE.NAME") == lab.name]
    assert mine == []


def test_a_cancel_in_the_pull_leaves_nothing(lab: ImageLab, rig_registry: Registry) -> None:
    client = lab.rig.client()
    try:
        own = f"{lab.name}-base"
        build = {"Dockerfile": _noise(lab.rig.base_image), "noise": os.urandom(3_000_000)}
        lab.engine.build(BuildPlan(build, f"{own}:latest"), Silent())
        rig_registry.push(client, own, own)
        client.images.remove(own)
    finally:
        client.close()
    assert rig_registry.address is not None
    with slow_line(rig_registry.address, bytes_per_second=200_000) as address:
        lab.catalogue.write_text(f"Pytorch, 2.5.1, CUDA_ADA, {address}/{own}\n")
        heard = Stopping("pull")
        with pytest.raises(Cancelled):
            lab.images.create(lab.person, lab.request(), ARCHITECTURE, heard)
        assert {phase for phase, *_ in heard.steps} == {"prepare", "pull"}
        assert lab.left() == []
        assert lab.files() == []


def _noise(base: str) -> bytes:
    return f"FROM {base}\nCOPY noise /noise\n".encode()


def test_a_failed_build_on_any_route_leaves_the_ledger_as_it_was(
    lab: ImageLab, set_up: Callable[..., None]
) -> None:
    set_up("buildx")
    lab.create()
    built = lab.images.row(lab.person, lab.name)
    with pytest.raises(CoreError):
        lab.create(pip=["torch==1.0"])
    assert lab.images.row(lab.person, lab.name) == built
