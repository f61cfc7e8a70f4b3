"""Completing words: from the grammar, from the server, and never an error."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ds01_jupyter import completion
from ds01_jupyter.commands.grammar import build
from ds01_jupyter.discovery import Server
from tests.unit import lab_standin as lab
from tests.unit.lab_standin import Answer, Standin

THERE = {
    "container": ["demo", "Old"],
    "image": ["demo", "vision"],
    "framework": ["Pytorch", "Tensorflow"],
    "use_case": ["cv", "nlp"],
    "gpu": ["any", "none", "1g.5gb", "0:0", "0:1"],
}


def found(line: str) -> list[str]:
    words, current = completion._split(line)
    lookup = lambda kind: THERE.get(kind, [])  # noqa: E731
    return completion.candidates(build(), words, current, lookup)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("con", ["container"]),
        ("container st", ["start", "stop"]),
        ("container stop ", ["demo", "Old"]),
        ("container stop o", ["Old"]),
        ("container stop demo ", []),
        ("image show v", ["vision"]),
        ("create --fra", ["--framework"]),
        ("create --framework p", ["Pytorch"]),
        ("create demo --use-case ", ["cv", "nlp"]),
        ("create demo --use-case cv n", ["nlp"]),
        ("create demo --use-case cv --fra", ["--framework"]),
        ("create demo --gpu 0:", ["0:0", "0:1"]),
        ("create demo --gpu any --bl", ["--block"]),
        ("create demo --dockerfile ", ["ask", "keep", "replace"]),
        ("create demo --json --gpu n", ["none"]),
        ("create demo --workspace ", []),
        ("container create --image d", ["demo"]),
        ("help ima", ["image"]),
        ("help image do", ["dockerfile"]),
        ("image up", ["update"]),
        ("image update d", ["demo"]),
        ("image update demo --dockerfile ", ["update", "keep", "replace", "ask"]),
        ("image update demo --recreate ", ["demo", "Old"]),
        ("image update demo --use-case ", ["cv", "nlp"]),
        ("image create demo --from ", []),
        ("image rollback v", ["vision"]),
        ("container rec", ["recreate"]),
        ("--server http://x con", ["container"]),
        ("contianer ", []),
        ("catalogue T", ["Tensorflow"]),
        ("create 'an unfinished quotation", []),
    ],
)
def test_candidates(line: str, expected: list[str]) -> None:
    assert found(line) == expected


def test_the_first_word() -> None:
    words = found("")
    assert {"create", "image", "container", "gpus", "status"} <= set(words)
    assert "__complete" not in words


def test_ipython_replaces_the_whole_word() -> None:
    given = completion.for_ipython("%ds01", "create --gpu 0:", lambda kind: THERE.get(kind, []))
    assert given == (["0:0", "0:1"], "0:")


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> completion.Names:
    monkeypatch.setattr(completion, "TIMEOUT", 0.5)
    return completion.Names()


def test_names_are_asked_for_once(names: completion.Names, monkeypatch: pytest.MonkeyPatch) -> None:
    with lab.running(Standin()) as standin:
        monkeypatch.setattr("ds01_jupyter.client.discover", lambda _: standin.server())
        standin.replies["GET containers"] = Answer(body=[lab.container()])
        standin.replies["GET gpus"] = Answer(
            body=lab.gpus(lab.slot("0:0"), lab.slot("0:1", state="unusable"))
        )
        assert [names("container") for _ in range(3)] == [["demo"]] * 3
        assert names("gpu") == ["any", "none", "whole", "1g.5gb", "5GB", "0:0"]
        assert standin.asked() == ["GET containers", "GET gpus"]
        names.close()


@pytest.mark.parametrize("kind", sorted(completion._ASK))
def test_a_server_that_refuses_or_is_not_there(
    names: completion.Names, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    with lab.running(Standin()) as standin:
        monkeypatch.setattr("ds01_jupyter.client.discover", lambda _: standin.server())
        assert names(kind) == []
        assert len(standin.requests) == 1
    gone = completion.Names()
    nobody = Server("http://127.0.0.1:9/", "", "")
    monkeypatch.setattr("ds01_jupyter.client.discover", lambda _: nobody)
    assert gone(kind) == []


def test_every_kind_of_value_is_known() -> None:
    kinds = set()
    waiting = [build()]
    while waiting:
        parser = waiting.pop()
        waiting += parser.commands().values()
        kinds |= {getattr(action, "complete", None) for action in parser.arguments()}
    assert kinds - {None, "base", "directory"} == set(completion._ASK)


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash on this machine")
def test_the_script_of_bash(tmp_path: Path) -> None:
    command = tmp_path / "ds01"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m ds01_jupyter "$@"\n')
    command.chmod(0o755)
    script = tmp_path / "ask.sh"
    script.write_text(
        'eval "$(ds01 completion bash)"\n'
        "COMP_WORDS=(ds01 container st); COMP_CWORD=2\n"
        "_ds01_complete\n"
        'printf "%s\\n" "${COMPREPLY[@]}"\n'
    )
    environment = {
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "HOME": str(tmp_path),
    }
    done = subprocess.run(
        ["bash", "--norc", str(script)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.split() == ["start", "stop"]
