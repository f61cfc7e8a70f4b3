"""`container keep-alive`, `notices`, and what a terminal says of containers about to go."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ds01_jupyter import cli
from ds01_jupyter.client import Client, ClientError
from ds01_jupyter.commands import run
from ds01_jupyter.commands.notebook import NotebookContext
from ds01_jupyter.commands.parser import UsageProblem
from ds01_jupyter.commands.terminal import TerminalContext
from tests.unit import lab_standin as lab
from tests.unit.lab_standin import Answer, Standin
from tests.unit.lives import HOUR, deadline, life, notice


def ahead(**by: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=5, **by)).isoformat()


def soon() -> dict[str, Any]:
    """A container that stops for idling in 40 minutes."""
    stops = deadline("idle_stop", ahead(minutes=40), 48, True)
    time = life(stops, activity="idle", idle=47.4 * HOUR)
    return lab.container(life=time)


@pytest.fixture
def standin() -> Iterator[Standin]:
    with lab.running(Standin()) as server:
        kept = life(deadline("idle_stop", ahead(hours=72), 48), keep_alive_until=ahead(hours=24))
        server.replies = {
            "POST containers/demo/keep-alive": Answer(body=lab.container(life=kept)),
            "GET notices?after=0": Answer(body=[notice(at=ahead(minutes=30))]),
            "GET containers": Answer(body=[soon()]),
            "GET containers/demo": Answer(body=soon()),
            "GET about": Answer(body=lab.about()),
            "GET limits": Answer(body=lab.limits()),
        }
        yield server


@pytest.fixture(params=[TerminalContext, NotebookContext])
def context(request: pytest.FixtureRequest, standin: Standin) -> Iterator[Any]:
    place = request.param()
    with Client(standin.server(), timeout=5) as client:
        place._client = client
        yield place


def answer(context: Any, line: str) -> Any:
    return run(context, line.split())


def test_keep_alive(context: Any, standin: Standin) -> None:
    view = answer(context, "container keep-alive demo")
    assert view.text().startswith("demo is kept alive: it may idle until ")
    assert "(in 1 d)" in view.text()
    assert view.data.life.keep_alive_until is not None
    answer(context, "container keep-alive demo --hours 0.5")
    assert [request.body for request in standin.requests] == [{}, {"hours": 0.5}]
    document = answer(context, "container keep-alive demo --json")
    assert document["life"]["keep_alive_until"]


@pytest.mark.parametrize("hours", ["0", "-1", "nan", "inf", "9000"])
def test_hours_that_nobody_can_mean(context: Any, standin: Standin, hours: str) -> None:
    with pytest.raises(ClientError, match=rf"hours cannot be -?{hours.strip('-')}") as caught:
        answer(context, f"container keep-alive demo --hours={hours}")
    assert caught.value.code == "invalid_input"
    assert standin.requests == []


def test_hours_are_a_number(context: Any) -> None:
    with pytest.raises(UsageProblem, match="--hours cannot be 'two': give a number"):
        answer(context, "container keep-alive demo --hours two")


def test_notices(context: Any) -> None:
    view = answer(context, "notices")
    assert "demo has been idle for 47 h of 48 h." in view.text()
    assert f"`{context.prog} container keep-alive demo`" in view.text()
    assert [one["id"] for one in answer(context, "notices --json")] == [1]


@pytest.mark.parametrize("line", ["container list", "container show demo", "status"])
def test_what_shows_a_container_shows_its_time(context: Any, line: str) -> None:
    text = answer(context, line).text(200)
    assert "stops in 40 min (idle 47 h of 48 h)" in text
    assert f"`{context.prog} container keep-alive demo`" in text


def test_a_stopped_container_says_how_long_its_gpu_is_kept(context: Any, standin: Standin) -> None:
    time = life(
        deadline("gpu_release", ahead(hours=24), 24),
        deadline("removal", ahead(days=14), 336),
        activity=None,
        activity_from=None,
        idle=None,
    )
    stopped = lab.container(state="exited", life=time)
    standin.replies["POST containers/demo/stop"] = Answer(body=stopped)
    text = answer(context, "container stop demo").text(300)
    assert "its workspace is kept, and its GPU slot until tomorrow " in text
    assert f"`{context.prog} container remove demo` frees the slot" in text


def test_a_notebook_hands_the_name_to_its_wizards(standin: Standin) -> None:
    context = NotebookContext()
    with Client(standin.server(), timeout=5) as client:
        context._client = client
        for line, name in (
            ("create Thesis", "thesis"),
            ("image create vision", "vision"),
            ("create", ""),
        ):
            journey = answer(context, line)
            assert journey.wizard.framework.name.value == name
            journey.close()
        journey = answer(context, "container create run-1")
        assert journey.wizard.setup_page.name.value == "run-1"
        journey.close()


# ---- the reminder of a terminal


@pytest.fixture
def terminal(standin: Standin, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Standin:
    """`cli.main` finds the stand-in."""
    monkeypatch.setenv("DS01_SERVER_URL", f"{standin.url()}?token=abc")
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path))
    standin.replies["GET images"] = Answer(body=[lab.image()])
    return standin


def said(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[str, str]:
    assert cli.main(words) == 0
    out, err = capsys.readouterr()
    return out, err


def test_one_line_on_stderr_when_something_is_near(
    terminal: Standin, capsys: pytest.CaptureFixture[str]
) -> None:
    out, err = said(capsys, "image", "list")
    assert err == (
        "demo stops in 40 min (idle 47 h of 48 h). `ds01 container keep-alive demo` keeps it "
        "running.\n"
    )
    assert "stops in" not in out
    assert terminal.asked() == ["GET images", "GET containers"]


@pytest.mark.parametrize(
    "words",
    [
        ["image", "list", "--json"],
        ["container", "list"],
        ["container", "show", "demo"],
        ["status"],
        ["notices"],
        ["help"],
        ["container", "keep-alive", "demo"],
    ],
    ids=" ".join,
)
def test_no_line_where_nobody_reads_it_or_the_answer_has_it(
    terminal: Standin, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    out, err = said(capsys, *words)
    assert err == ""
    assert out
    asked = terminal.asked()
    assert asked.count("GET containers") == (words in (["container", "list"], ["status"]))
    if "--json" in words:
        assert json.loads(out)[0]["name"] == "demo"


@pytest.mark.parametrize(
    "reply",
    [
        Answer(503, {"code": "docker_unavailable", "message": "Docker does not answer."}),
        Answer(body=[lab.container()]),
        Answer(body=[lab.container(life=life(deadline("idle_stop", None, 48)))]),
        Answer(raw=b"<html>"),
    ],
    ids=["no Docker", "no life", "nothing near", "garbled"],
)
def test_no_line_where_nothing_is_known_to_be_near(
    terminal: Standin, capsys: pytest.CaptureFixture[str], reply: Answer
) -> None:
    terminal.replies["GET containers"] = reply
    assert said(capsys, "image", "list")[1] == ""


def test_a_refusal_stands_alone(terminal: Standin, capsys: pytest.CaptureFixture[str]) -> None:
    terminal.replies["GET images"] = Answer(500, {"code": "x", "message": "It broke."})
    assert cli.main(["image", "list"]) == 1
    assert capsys.readouterr().err == "It broke.\n"
    assert "GET containers" not in terminal.asked()


def test_everybodys_containers_do_not_speak_of_ones_own(
    terminal: Standin, capsys: pytest.CaptureFixture[str]
) -> None:
    terminal.replies["GET containers?all=true"] = Answer(body=[lab.container("other")])
    assert "demo stops in 40 min" in said(capsys, "container", "list", "--all")[1]
