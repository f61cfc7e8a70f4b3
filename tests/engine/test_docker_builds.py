"""Builds and pulls on the real engine: both builders, failure, cancel, and what they leave."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pytest

from ds01_jupyter.core.docker_engine import DockerEngine
from ds01_jupyter.core.engine import BuildPlan, Silent
from ds01_jupyter.core.errors import BuildFailed, Cancelled, CoreError, NotFound
from tests.rig.fixtures import RigEngine

pytestmark = pytest.mark.engine
Builder = Literal["buildkit", "classic"]
Route = Literal["api", "buildx", "classic"]


@pytest.fixture(params=["api", "buildx", "classic"])
def route(request: pytest.FixtureRequest) -> Route:
    return request.param  # type: ignore[no-any-return]


@pytest.fixture
def builder(route: Route) -> Builder:
    return "classic" if route == "classic" else "buildkit"


@pytest.fixture
def engine(rig_engine: RigEngine, request: pytest.FixtureRequest) -> Iterator[DockerEngine]:
    """By the route of the test, where it asks for one."""
    wanted = request.getfixturevalue("route") if "route" in request.fixturenames else "auto"
    plugin = request.getfixturevalue("rig_buildx") if wanted == "buildx" else ""
    found = DockerEngine(rig_engine.docker_host, build_route=wanted, buildx=str(plugin))
    yield found
    found.close()


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
        if text == self._cancel_at:
            threading.Thread(target=self.cancel).start()


def made_with(rig_engine: RigEngine, mark: str) -> tuple[list[Any], list[Any]]:
    """Every image (intermediate ones too) and container that has the mark in its environment."""
    client = rig_engine.client()
    try:
        images = []
        for row in client.api.images(all=True):
            try:
                config = client.api.inspect_image(row["Id"])["Config"]
            except Exception:
                continue
            if f"MARK={mark}" in (config["Env"] or []):
                images.append(row["Id"])
        containers = [
            one.id
            for one in client.containers.list(all=True, ignore_removed=True)
            if f"MARK={mark}" in (one.attrs["Config"]["Env"] or [])
        ]
    finally:
        client.close()
    return images, containers


def processes(mark: str) -> list[str]:
    """Processes of this machine with the mark in their command line."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:
            continue
        if mark.encode() in words:
            found.append(path.parent.name)
    return found


def plan(rig_engine: RigEngine, mark: str, builder: Builder, *steps: str) -> BuildPlan:
    lines = [f"FROM {rig_engine.base_image}", f"ENV MARK={mark}", "COPY a.txt /a.txt", *steps]
    files = {"Dockerfile": "\n".join(lines).encode(), "a.txt": f"text of {mark}\n".encode()}
    return BuildPlan(
        files=files,
        reference=f"{mark}:latest",
        labels={"ds01t": 'ann" aime.mlc.USER="root $PATH \\ ü'},
        titles={"a.txt": "The text"},
        builder=builder,
    )


def test_a_build_reports_its_steps_and_keeps_labels_as_they_are(
    rig_engine: RigEngine, engine: DockerEngine, unique_name: str, builder: Builder, route: Route
) -> None:
    assert engine.info().route == route
    heard = Heard()
    wanted = plan(rig_engine, unique_name, builder, 'RUN ["cat", "/a.txt"]')
    built = engine.build(wanted, heard)
    try:
        found = engine.image(unique_name)
        assert found is not None
        assert found.id == built
        assert found.references == (f"{unique_name}:latest",)
        assert found.labels["ds01t"] == 'ann" aime.mlc.USER="root $PATH \\ ü'
        assert "aime.mlc.USER" not in found.labels
        assert found.environment["MARK"] == unique_name
        assert f"text of {unique_name}" in heard.lines
        shown = [detail for _, _, detail in heard.steps]
        assert any(re.fullmatch(r"step \d+ of \d+: The text", detail) for detail in shown)
        fractions = [fraction for _, fraction, _ in heard.steps if fraction is not None]
        assert fractions == sorted(fractions)
        assert {phase for phase, _, _ in heard.steps} == {"build"}
        assert any(image.id == built for image in engine.list_images())
    finally:
        engine.remove_image(unique_name)
    assert made_with(rig_engine, unique_name) == ([], [])


def test_a_failed_build_says_why_and_leaves_nothing(
    rig_engine: RigEngine, engine: DockerEngine, unique_name: str, builder: Builder
) -> None:
    failing = 'RUN ["python3", "-c", "print(\'E: Unable to locate package nix\'); exit(7)"]'
    wanted = plan(rig_engine, unique_name, builder, 'RUN ["touch", "/b"]', failing)
    with pytest.raises(BuildFailed, match="there is no package nix") as caught:
        engine.build(wanted, Heard())
    assert "7" in caught.value.details["problem"]
    assert caught.value.details["log"] == ["E: Unable to locate package nix"]
    assert engine.image(unique_name) is None
    assert made_with(rig_engine, unique_name) == ([], [])


def test_a_failed_build_keeps_the_image_that_bore_the_name(
    rig_engine: RigEngine, engine: DockerEngine, unique_name: str, builder: Builder
) -> None:
    before = engine.build(plan(rig_engine, unique_name, builder), Silent())
    try:
        with pytest.raises(BuildFailed):
            engine.build(plan(rig_engine, unique_name, builder, 'RUN ["false"]'), Silent())
        found = engine.image(unique_name)
        assert found is not None
        assert found.id == before
    finally:
        engine.remove_image(unique_name)


def test_a_dockerfile_that_cannot_be_read_is_a_failed_build(
    rig_engine: RigEngine, engine: DockerEngine, unique_name: str, builder: Builder
) -> None:
    with pytest.raises(BuildFailed) as caught:
        engine.build(plan(rig_engine, unique_name, builder, "NONSENSE x"), Silent())
    assert "NONSENSE" in caught.value.details["problem"].upper()
    assert made_with(rig_engine, unique_name) == ([], [])


def test_f46_a_cancelled_build_ends_its_step_and_leaves_nothing(
    rig_engine: RigEngine, engine: DockerEngine, unique_name: str, builder: Builder
) -> None:
    code = "print('begun', flush=True); import time; time.sleep(90)"
    sleeping = f'RUN ["python3", "-c", "{code}", "{unique_name}"]'
    wanted = plan(rig_engine, unique_name, builder, 'RUN ["touch", "/b"]', sleeping)
    heard = Heard(cancel_at="begun")
    with pytest.raises(Cancelled):
        engine.build(wanted, heard)
    assert "begun" in heard.lines
    deadline = time.monotonic() + 10
    while processes(unique_name) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert processes(unique_name) == []
    assert made_with(rig_engine, unique_name) == ([], [])
    assert engine.image(unique_name) is None


def test_a_build_that_was_cancelled_before_it_began_is_not_made(
    rig_engine: RigEngine, engine: DockerEngine, unique_name: str, builder: Builder
) -> None:
    cancelled = Silent()
    cancelled.cancel()
    with pytest.raises(Cancelled):
        engine.build(plan(rig_engine, unique_name, builder, 'RUN ["sleep", "30"]'), cancelled)
    assert made_with(rig_engine, unique_name) == ([], [])


def test_a_cancel_after_the_end_does_no_harm(
    rig_engine: RigEngine, engine: DockerEngine, unique_name: str, builder: Builder
) -> None:
    heard = Silent()
    built = engine.build(plan(rig_engine, unique_name, builder), heard)
    heard.cancel()
    found = engine.image(unique_name)
    assert found is not None
    assert found.id == built
    engine.remove_image(unique_name)


def test_f34_the_automatic_choice_is_buildkit_here(
    rig_engine: RigEngine, engine: DockerEngine, unique_name: str
) -> None:
    mount = 'RUN --mount=type=tmpfs,target=/mnt ["true"]'
    wanted = plan(rig_engine, unique_name, "buildkit", mount)
    auto = BuildPlan(files=wanted.files, reference=wanted.reference)
    engine.build(auto, Silent())  # the classic builder does not know --mount
    engine.remove_image(unique_name)


def test_equal_contexts_hit_the_cache(
    rig_engine: RigEngine, engine: DockerEngine, unique_name: str, builder: Builder
) -> None:
    stamp = 'RUN ["python3", "-c", "import time; open(\'/t\', \'w\').write(str(time.time()))"]'
    wanted = plan(rig_engine, unique_name, builder, stamp)
    engine.build(wanted, Silent())
    first = engine.image(unique_name)
    engine.build(wanted, Silent())
    second = engine.image(unique_name)
    assert first is not None
    assert second is not None
    assert first.layers == second.layers
    engine.remove_image(unique_name)


def test_classic_builds_survive_the_removal_of_what_they_share(
    rig_engine: RigEngine, engine: DockerEngine, unique_name: str
) -> None:
    """A build that fails cleans up, and with it goes what another took from the cache."""
    steps = [f'RUN ["touch", "/{number}"]' for number in range(4)]
    shared = plan(rig_engine, unique_name, "classic", *steps)
    broken = plan(rig_engine, unique_name, "classic", *steps, 'RUN ["false"]')

    def fail(_: int) -> None:
        with pytest.raises(BuildFailed, match="RUN") as caught:
            engine.build(replace(broken, reference=f"{unique_name}-broken:x"), Silent())
        assert "'false' returned" in caught.value.details["problem"]

    with ThreadPoolExecutor(1) as pool:
        failures = pool.map(fail, range(6))
        for _ in range(6):
            engine.build(shared, Silent())
            engine.remove_image(unique_name)
        list(failures)
    # Removing an image while another build stands on its layers leaves these, as Docker does.
    for image in made_with(rig_engine, unique_name)[0]:
        with suppress(CoreError):
            engine.remove_image(image)


def test_tags_and_removal(rig_engine: RigEngine, engine: DockerEngine, unique_name: str) -> None:
    built = engine.build(plan(rig_engine, unique_name, "buildkit"), Silent())
    engine.tag(built, f"127.0.0.1:5000/{unique_name}:a.b_c")
    found = engine.image(built)
    assert found is not None
    assert set(found.references) == {
        f"{unique_name}:latest",
        f"127.0.0.1:5000/{unique_name}:a.b_c",
    }
    engine.remove_image(unique_name)
    assert engine.image(built) is not None
    engine.remove_image(f"127.0.0.1:5000/{unique_name}:a.b_c")
    assert engine.image(built) is None
    with pytest.raises(NotFound):
        engine.remove_image(unique_name)
