"""`ds01 image update NAME` in a terminal: questions, a typo mended, the build, the containers."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.unit import image_documents as documents
from tests.unit import lab_standin as lab
from tests.unit.lab_standin import Answer, Request, Standin, event
from tests.unit.test_cli import ROOT, on_terminal
from tests.unit.test_image_commands import catalogue


def tiers() -> dict[str, Any]:
    """A base and two use cases."""

    def tier(key: str) -> dict[str, Any]:
        return {"key": key, "title": key.upper(), "why": "For it.", "packages": [], "apt": []}

    return {"base": tier("base"), "use_cases": [tier("cv"), tier("nlp")]}


@pytest.fixture
def standin() -> Iterator[Standin]:
    image = lab.image(
        build=1, pip=["six", "tqdm"], base="none", use_cases=["cv"], containers=["demo", "b"]
    )
    recreated = lab.operation("succeeded", kind="container.recreate", result=lab.container())
    built = lab.operation("succeeded", kind="image.update", result={**image, "build": 2})

    def resolve(request: Request) -> Answer:
        bad = [documents.typo()] if "einopps" in request.body["pip"] else []
        packages = [documents.package(name) for name in request.body["pip"]]
        return Answer(body=documents.resolution(*packages, problems=bad))

    with lab.running(Standin()) as server:
        server.replies = {
            "GET catalogue": Answer(body=catalogue()),
            "GET packages": Answer(body=tiers()),
            "GET containers": Answer(body=[]),
            "GET images/demo": Answer(body=image),
            "GET images/demo/diff?before=1&after=2": Answer(body=documents.diff()),
            "POST resolution": resolve,
            "POST images/demo/update": Answer(202, lab.operation(kind="image.update")),
            "POST containers/demo/recreate": Answer(202, {**recreated, "id": "op2"}),
            "GET operations/op1/events": lambda _: ended(),
            "GET operations/op2/events": lambda _: ended(),
            "GET operations/op1": Answer(body=built),
            "GET operations/op2": Answer(body={**recreated, "id": "op2"}),
        }
        yield server


def ended() -> Answer:
    return Answer(chunks=iter([event(1, "state", state="succeeded")]))


@pytest.fixture
def environment(standin: Standin, tmp_path: Path) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "LANG": "C.UTF-8",
        "TERM": "xterm",
        "PYTHONPATH": str(ROOT),
        "JUPYTER_RUNTIME_DIR": str(tmp_path),
        "DS01_SERVER_URL": f"{standin.url()}?token=abc",
    }


ANSWERS = ["six\n", "einopps\n", "ffmpeg\n", "nlp\n", "\n", "y\n", "y\n"]
"""Remove, add, Debian packages, use cases, newest; the suggestion; build."""


def test_change_build_and_recreate(standin: Standin, environment: dict[str, str]) -> None:
    output, status = on_terminal(environment, ["image", "update", "demo"], [*ANSWERS, "1\n"])
    assert status == 0, output
    for words in (
        "There is no package einopps",
        "Put einops in the place of einopps?",
        "Image demo is build 2 now.",
        "everything outside the workspace goes",
        "3/3 Containers",
    ):
        assert words in " ".join(output.split())
    (changes,) = [one.body for one in standin.requests if one.path == "images/demo/update"]
    assert changes["add_pip"] == ["einops"]
    assert changes["remove_pip"] == ["six"]
    assert changes["add_apt"] == ["ffmpeg"]
    assert changes["use_cases"] == ["nlp"]
    assert changes["refresh"] is False
    assert "POST containers/demo/recreate" in standin.asked()
    assert "POST containers/b/recreate" not in standin.asked()


def test_an_edited_dockerfile_is_a_question(standin: Standin, environment: dict[str, str]) -> None:
    edited = {
        "code": "dockerfile_edited", "message": "It was changed by hand.", "hint": "", "details": {}
    }  # fmt: skip
    begun = Answer(202, lab.operation(kind="image.update"))
    standin.replies["POST images/demo/update"] = [Answer(409, edited), begun]
    answers = [*ANSWERS[:1], "einops\n", *ANSWERS[2:5], "y\n", "keep\n", "\n"]
    output, status = on_terminal(environment, ["image", "update", "demo"], answers)
    assert status == 0, output
    assert "It was changed by hand." in output
    sent = [one.body["dockerfile"] for one in standin.requests if one.path.endswith("/update")]
    assert sent == ["update", "keep"]


def test_saying_no_builds_nothing(standin: Standin, environment: dict[str, str]) -> None:
    answers = [*ANSWERS[:1], "einops\n", *ANSWERS[2:5], "n\n"]
    output, status = on_terminal(environment, ["image", "update", "demo"], answers)
    assert status == 1
    assert "Nothing was changed." in output
    assert "POST images/demo/update" not in standin.asked()
