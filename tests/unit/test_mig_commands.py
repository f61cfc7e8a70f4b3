"""`mig export | assert | plan | apply` against a server's answers."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ds01_jupyter import cli
from ds01_jupyter.client import Client, ClientError
from ds01_jupyter.commands import run
from ds01_jupyter.commands.notebook import NotebookContext
from ds01_jupyter.commands.terminal import TerminalContext
from tests.unit import lab_standin as lab
from tests.unit.lab_standin import Answer, Standin, event

LAYOUT = "version: v1\nmig-configs:\n  current:\n    - devices: [0]\n"


def instance(profile: str, start: int) -> dict[str, Any]:
    return {"profile": profile, "start": start, "text": f"{profile} at {start}"}


def plan(matches: bool = False, **more: Any) -> dict[str, Any]:
    gpu = {
        "index": 2,
        "uuid": "GPU-2",
        "name": "NVIDIA A100",
        "differences": [] if matches else ["2 x 3g.20gb, should be 1"],
        "keep": [instance("3g.20gb", 4)],
        "finish": [],
        "destroy": [] if matches else [instance("3g.20gb", 0)],
        "create": [] if matches else [instance("1g.5gb", 0), instance("1g.5gb", 1)],
        "in_the_way": [],
        "mode_change": False,
        "problem": None,
        "advice": None,
        **more,
    }
    return {
        "host": "gpu1",
        "label": "goal",
        "matches": matches,
        "possible": not gpu["in_the_way"] and gpu["problem"] is None,
        "gpus": [gpu],
        "notes": ["A note."],
    }


OUTCOME = {
    "label": "goal",
    "changed": [{"index": 2, "before": ["3g.20gb at 0"], "after": ["1g.5gb at 0"]}],
    "notes": ["Run nvidia-ctk."],
}


@pytest.fixture
def standin() -> Iterator[Standin]:
    with lab.running(Standin()) as server:
        done = lab.operation("succeeded", kind="mig.apply", title="MIG layout", result=OUTCOME)
        server.replies = {
            "GET mig": Answer(
                body={"host": "gpu1", "label": "current", "layout": LAYOUT, "gpus": []}
            ),
            "POST mig/plan": Answer(body=plan()),
            "POST mig/apply": Answer(202, lab.operation(kind="mig.apply")),
            "GET operations/op1": Answer(body=done),
            "GET operations/op1/events?after=0": lambda request: Answer(
                chunks=iter([event(1, "state", state="succeeded")])
            ),
            "GET operations/op1/events": lambda request: Answer(
                chunks=iter([event(1, "state", state="succeeded")])
            ),
        }
        yield server


@pytest.fixture
def context(standin: Standin) -> Iterator[TerminalContext]:
    place = TerminalContext()
    with Client(standin.server(), timeout=5) as client:
        place._client = client
        yield place


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "gpus.yaml"
    path.write_text(LAYOUT)
    return path


def test_export_prints_a_layout_file_and_nothing_else(
    standin: Standin, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Client, "discover", lambda url=None: Client(standin.server()))
    assert cli.main(["mig", "export"]) == 0
    assert capsys.readouterr().out == LAYOUT


@pytest.mark.parametrize(("matches", "status"), [(True, 0), (False, 1)])
def test_assert_says_it_by_its_exit_status(
    standin: Standin,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    file: Path,
    matches: bool,
    status: int,
) -> None:
    standin.replies["POST mig/plan"] = Answer(body=plan(matches))
    monkeypatch.setattr(Client, "discover", lambda url=None: Client(standin.server()))
    assert cli.main(["mig", "assert", str(file), "goal"]) == status
    said = capsys.readouterr()
    assert ("The machine is as goal says." in said.out) == matches
    assert ("GPU 2: 2 x 3g.20gb, should be 1" in said.err) == (not matches)
    asked = next(request for request in standin.requests if request.body)
    assert asked.body == {"layout": LAYOUT, "label": "goal", "source": "gpus.yaml"}


def test_plan_shows_what_goes_and_who_is_in_the_way(
    context: TerminalContext, standin: Standin, file: Path
) -> None:
    shown = run(context, ["mig", "plan", str(file)])
    text = shown.text()
    assert "3g.20gb at 0" in text
    assert "1g.5gb at 0, 1\n" in text, "those of one profile together"
    assert f"`ds01 mig apply {file} goal` does it." in " ".join(text.split())
    line = "2:0 (3g.20gb): the container demo of anna (running)"
    obstacle = {"kind": "lease", "slot": "2:0", "profile": "3g.20gb", "container": "demo"}
    standin.replies["POST mig/plan"] = Answer(
        body=plan(in_the_way=[{**obstacle, "owner": "anna", "text": line}])
    )
    text = run(context, ["mig", "plan", str(file)]).text()
    assert line in text
    assert "nothing would be touched" in text
    assert "does it" not in text
    standin.replies["POST mig/plan"] = Answer(
        body=plan(problem="MIG mode would have to be turned on.", advice="As root: nvidia-smi.")
    )
    text = run(context, ["mig", "plan", str(file)]).text()
    assert "GPU 2: MIG mode would have to be turned on." in text
    assert "GPU 2: As root: nvidia-smi." in text


def test_apply_asks_and_says_what_it_did(
    context: TerminalContext, standin: Standin, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())
    with pytest.raises(ClientError) as error:
        run(context, ["mig", "apply", str(file)])
    assert error.value.code == "needs_confirmation"
    assert "1 instance goes and 2 are made" in error.value.message
    assert "- 3g.20gb at 0, + 1g.5gb at 0" in error.value.message
    assert error.value.hint == f"To do it: `ds01 mig apply {file} goal --yes`"
    assert "POST mig/apply" not in standin.asked()
    shown = run(context, ["mig", "apply", str(file), "--yes"])
    assert "POST mig/apply" in standin.asked()
    assert "1g.5gb at 0" in shown.text()
    assert "Run nvidia-ctk." in shown.text()


def test_apply_of_what_is_there_asks_nothing(
    context: TerminalContext, standin: Standin, file: Path
) -> None:
    standin.replies["POST mig/plan"] = Answer(body=plan(matches=True))
    assert "as goal says" in run(context, ["mig", "apply", str(file)]).text()
    assert standin.asked() == ["POST mig/plan"]


def test_the_magic_can_do_it_too(standin: Standin, file: Path) -> None:
    place = NotebookContext()
    with Client(standin.server(), timeout=5) as client:
        place._client = client
        assert "3g.20gb at 0" in run(place, ["mig", "plan", str(file)]).html()
        with pytest.raises(ClientError, match="Nothing was changed yet"):
            run(place, ["mig", "apply", str(file)])
        shown = run(place, ["mig", "apply", str(file), "--yes", "--block"])
        assert shown.data.changed[0].after == ["1g.5gb at 0"]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "No such file"),
        (b"", "is empty"),
        (b"\xff\xfe", "not UTF-8"),
        (b"x" * 200_001, "200"),
    ],
)
def test_a_file_that_cannot_be_sent_is_refused_here(
    context: TerminalContext, standin: Standin, tmp_path: Path, content: bytes | None, says: str
) -> None:
    path = tmp_path / "bad.yaml"
    if content is not None:
        path.write_bytes(content)
    for verb in ("assert", "plan", "apply"):
        with pytest.raises(ClientError, match=says):
            run(context, ["mig", verb, str(path)])
    assert standin.requests == []
