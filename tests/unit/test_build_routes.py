"""Which route an engine builds by, the command of buildx, and what it writes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ds01_jupyter.core import buildkit
from ds01_jupyter.core.build_log import BuildKitLog
from ds01_jupyter.core.build_routes import CONTAINERD_STORE, Wish, choose, route_of
from ds01_jupyter.core.buildx import RawJson, arguments, environment, find_buildx
from ds01_jupyter.core.engine import BuildPlan, Silent
from ds01_jupyter.core.errors import BuildFailed, ConfigurationError, EngineFailed

STORE = {"driver-type": CONTAINERD_STORE}
PLUGIN = Path("/plugins/docker-buildx")


@pytest.mark.parametrize(
    ("wish", "version", "status", "plugin", "route"),
    [
        ("auto", "1.41", {}, PLUGIN, "api"),
        ("auto", "1.45", STORE, PLUGIN, "buildx"),
        ("auto", "1.45", STORE, None, "classic"),
        ("auto", "1.40", {}, PLUGIN, "classic"),
        ("buildx", "1.41", {}, PLUGIN, "buildx"),
        ("api", "1.45", STORE, PLUGIN, "api"),
        ("classic", "1.45", {}, PLUGIN, "classic"),
    ],
)
def test_the_route_is_the_first_that_works(
    wish: Wish, version: str, status: dict[str, str], plugin: Path | None, route: str
) -> None:
    choice = choose(wish, version, status, "linux", plugin)
    assert choice.route == route
    assert bool(choice.note) is (route == "classic"), "why there is no BuildKit"


def test_a_route_that_there_is_not_is_refused() -> None:
    assert route_of("buildx") == "buildx"
    with pytest.raises(ConfigurationError, match="kaniko"):
        route_of("kaniko")


def test_the_command_is_a_list_and_labels_stay_raw() -> None:
    plan = BuildPlan(
        {}, "x:latest", labels={"a": 'b, "c" $(id) \\ ü=;\n'}, build_args={"K": "v"}, cache=False
    )
    command = arguments(PLUGIN, plan, Path("/t/id"))
    assert command[:2] == [str(PLUGIN), "build"]
    assert '--label=a=b, "c" $(id) \\ ü=;\n' in command
    assert {"--build-arg=K=v", "--no-cache", "--tag=x:latest", "--provenance=false"} <= {*command}
    assert command[-1] == "-"
    with pytest.raises(EngineFailed):
        arguments(PLUGIN, BuildPlan({}, "x", labels={"a=b": "c"}), Path("/t/id"))


def test_the_plugin_sees_no_secret_of_the_server() -> None:
    given = {"PATH": "/bin", "JUPYTER_TOKEN": "s", "DOCKER_CONFIG": "/root/.docker", "HOME": "/r"}
    seen = environment("unix:///d.sock", Path("/t"), given)
    assert seen == {
        "PATH": "/bin", "HOME": "/t", "DOCKER_CONFIG": "/t", "DOCKER_HOST": "unix:///d.sock",
    }  # fmt: skip


def test_a_plugin_that_is_named_must_be_there(tmp_path: Path) -> None:
    assert find_buildx(str(tmp_path / "none")) is None
    program = tmp_path / "docker-buildx"
    program.write_text("")
    assert find_buildx(str(program)) is None, "it cannot be run"
    program.chmod(0o755)
    assert find_buildx(str(program)) == program


# Recorded from buildx 0.13.1, shortened.
DIGEST = "sha256:786873b30abd87fcb5637be5f8b24a0db6f8748ff270aac249ee9dcaf92f5433"
NAME = '[4/4] RUN ["python3","-c","exit(7)"]'
BEGUN = {"vertexes": [{"digest": DIGEST, "name": NAME, "started": "2026-11-23T16:22:43.6Z"}]}
TOLD = {"logs": [{"vertex": DIGEST, "stream": 1, "data": "aGVsbG8Kdwo=", "timestamp": "x"}]}
FAILED = {
    "vertexes": [
        {**BEGUN["vertexes"][0], "completed": "2026-11-23T16:22:43.9Z", "error": "exit code: 7"}
    ]
}
RECORDED = "\n".join(json.dumps(part, indent=2) for part in (BEGUN, TOLD, FAILED))
RECORDED += "\nDockerfile:4\n--------------------\nERROR: failed to solve: exit code: 7\n"


@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_its_output_is_taken_apart_however_it_is_cut(size: int) -> None:
    raw = RawJson()
    pieces = [RECORDED[at : at + size] for at in range(0, len(RECORDED), size)]
    found = [status for piece in pieces for status in raw.feed(piece)]
    raw.end()
    assert found == [BEGUN, TOLD, FAILED]
    assert raw.problem == "failed to solve: exit code: 7"


def test_words_that_are_no_json_are_the_problem() -> None:
    raw = RawJson()
    assert list(raw.feed("Cannot connect to the")) == []
    raw.end()
    assert raw.problem == "Cannot connect to the"


def test_statuses_say_the_same_as_those_of_the_api() -> None:
    lines: list[str] = []

    class Heard(Silent):
        def log(self, text: str) -> None:
            lines.append(text)

    log = BuildKitLog(BuildPlan({}, "x"), Heard())
    for status in (BEGUN, TOLD, FAILED):
        log.heard(status)
    with pytest.raises(BuildFailed) as caught:
        log.heard({"error": "failed to solve: exit code: 7"})
    assert caught.value.details["log"] == ["hello", "w"]
    assert lines[-2:] == ["hello", "w"]
    log.heard({"id": buildkit.IMAGE_ID, "aux": {"ID": "sha256:1"}})
    assert log.image_id == "sha256:1"
