"""Commands against a server's answers: what they ask for, and what they answer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from ds01_jupyter.client import Client, ClientError
from ds01_jupyter.commands import run
from ds01_jupyter.commands.notebook import Following, NotebookContext
from ds01_jupyter.commands.parser import UsageProblem
from ds01_jupyter.commands.terminal import TerminalContext
from ds01_jupyter.render import View
from tests.unit import lab_standin as lab
from tests.unit.lab_standin import Answer, Standin, event


@pytest.fixture
def standin() -> Iterator[Standin]:
    with lab.running(Standin()) as server:
        server.replies = {
            "GET about": Answer(body=lab.about()),
            "GET limits": Answer(body=lab.limits()),
            "GET gpus": Answer(body=lab.gpus(lab.slot("0:0"))),
            "GET containers": Answer(body=[lab.container()]),
            "GET containers?all=true": Answer(body=[lab.container(), lab.container("b")]),
            "GET containers/demo": Answer(body=lab.container()),
            "GET images": Answer(body=[lab.image()]),
            "GET images/demo": Answer(body=lab.image()),
            "GET operations": Answer(body=[lab.operation()]),
            "POST containers/demo/stop": Answer(body=lab.container(state="exited")),
            "POST containers/demo/start": Answer(body=lab.container()),
            "DELETE containers/demo": Answer(204),
            "DELETE images/demo": Answer(204),
            "GET containers/demo/logs?tail=200": Answer(body={"text": "hello\n"}),
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


@pytest.mark.parametrize(
    ("line", "asked", "said"),
    [
        ("container list", ["GET containers"], "demo"),
        ("container list --all", ["GET containers?all=true"], "ada"),
        ("container show demo", ["GET containers/demo"], "demo._.1000"),
        ("container start demo", ["POST containers/demo/start"], "demo runs on 0:1 (1g.5gb)."),
        ("container stop demo", ["POST containers/demo/stop"], "so is its GPU slot"),
        ("container logs demo", ["GET containers/demo/logs?tail=200"], "hello"),
        ("container remove demo --yes", ["DELETE containers/demo"], "slots are free again"),
        ("image list", ["GET images"], "base, cv"),
        ("image show demo", ["GET images/demo"], "demo-ada:latest"),
        ("image remove demo --yes", ["DELETE images/demo"], "its Dockerfile stays"),
        ("gpus", ["GET gpus", "GET about"], "Free now: 1 x 1g.5gb."),
        ("limits", ["GET limits"], "1 of 3"),
        ("operations", ["GET operations"], "Build the image demo"),
        ("operations list", ["GET operations"], "Build the image demo"),
        ("status", ["GET about", "GET limits", "GET containers"], "gpu1 (workstation)"),
        ("version", ["GET about"], "The server runs 0.1.0 on gpu1."),
    ],
)
def test_simple_commands(
    context: Any, standin: Standin, line: str, asked: list[str], said: str
) -> None:
    view = answer(context, line)
    assert isinstance(view, View)
    assert said in view.text(140)
    assert standin.asked() == asked


@pytest.mark.parametrize("line", ["container list", "container list --all", "image list"])
def test_json_is_what_the_api_has(context: Any, line: str) -> None:
    documents = answer(context, f"{line} --json")
    assert isinstance(documents, list)
    assert {document["owner"] for document in documents} == {"ada"}
    assert documents == [one.model_dump(mode="json") for one in answer(context, line).data]


def test_status_as_json(context: Any) -> None:
    document = answer(context, "status --json")
    assert document["about"]["user"] == "ada"
    assert document["limits"]["usage"]["containers"] == 1
    assert [one["name"] for one in document["containers"]] == ["demo"]


def test_status_goes_on_without_docker(context: Any, standin: Standin) -> None:
    away = {"available": False, "problem": "Docker does not answer."}
    standin.replies["GET about"] = Answer(body=lab.about(docker=away))
    error = {"code": "docker_unavailable", "message": "Docker does not answer.", "hint": ""}
    standin.replies["GET limits"] = standin.replies["GET containers"] = Answer(503, error)
    view = answer(context, "status")
    assert view.text().count("Docker does not answer.") == 1
    assert view.data["limits"] is view.data["containers"] is None
    broken = {"code": "configuration_error", "message": "Line 3 is wrong.", "hint": ""}
    standin.replies["GET limits"] = Answer(500, broken)
    assert "Line 3 is wrong." in answer(context, "status").text()


def test_version_without_a_server(context: Any, standin: Standin) -> None:
    standin.replies["GET about"] = Answer(403)
    view = answer(context, "version")
    assert view.data["server"] is None
    assert "No server" in view.text()


@pytest.mark.parametrize("what", ["container", "image"])
def test_removing_without_a_yes_changes_nothing(context: Any, standin: Standin, what: str) -> None:
    with pytest.raises(ClientError) as caught:
        answer(context, f"{what} remove demo")
    assert caught.value.code == "needs_confirmation"
    assert f"`{context.prog} {what} remove demo --yes`" in caught.value.hint
    assert not [request for request in standin.asked() if request.startswith("DELETE")]


def test_help(context: Any, standin: Standin) -> None:
    for line in ("", "help", "--help"):
        assert f"usage: {context.prog}" in answer(context, line).text()
    assert f"usage: {context.prog} image create" in answer(context, "help image create").text()
    assert "--gpu WHAT" in answer(context, "create --help").text()
    with pytest.raises(UsageProblem, match="Did you mean 'image'"):
        answer(context, "help imgae")
    assert standin.asked() == []


def test_a_group_without_a_command(context: Any) -> None:
    with pytest.raises(UsageProblem, match="create, resolve, list, show, update"):
        answer(context, "image")


def test_a_container_has_one_source(context: Any, standin: Standin) -> None:
    with pytest.raises(UsageProblem, match="not from both"):
        answer(context, "container create x --image i --framework F")
    assert standin.asked() == []


@pytest.mark.parametrize("tail", ["0", "-3"])
def test_logs_of_no_lines(context: Any, tail: str) -> None:
    with pytest.raises(UsageProblem, match="number of lines"):
        run(context, ["container", "logs", "demo", f"--tail={tail}"])


@pytest.mark.parametrize(
    ("containers", "limit", "message"),
    [
        ([lab.container("new")], 3, "You have a container new already."),
        ([], 1, "You have 1 of 1 containers"),
    ],
)
def test_what_would_be_refused_after_the_build_is_refused_before_it(
    context: Any, standin: Standin, containers: list[Any], limit: int, message: str
) -> None:
    standin.replies["GET containers"] = Answer(body=containers)
    standin.replies["GET limits"] = Answer(body=lab.limits(1, limit))
    with pytest.raises(ClientError, match=message) as caught:
        answer(context, "create new --framework Pytorch")
    assert "POST images" not in standin.asked()
    assert context.prog in caught.value.hint


def test_somebody_elses_container_of_that_name_is_no_hindrance(
    context: Any, standin: Standin
) -> None:
    standin.replies["GET containers"] = Answer(body=[lab.container("new", managed=False)])
    standin.replies["POST images"] = Answer(409, {"code": "conflict", "message": "So far."})
    with pytest.raises(ClientError, match=r"So far\."):
        answer(context, "create new --framework Pytorch --block")


def created(standin: Standin) -> None:
    """Laying down a whole `create new`."""
    standin.replies["GET containers"] = Answer(body=[])
    for path, number, result in (
        ("images", "one", lab.image("new")),
        ("containers", "two", lab.container("new")),
    ):
        kind = "image.create" if path == "images" else "container.create"
        document = lab.operation("succeeded", id=number, kind=kind, result=result)
        standin.replies[f"POST {path}"] = Answer(202, lab.operation(id=number))
        standin.replies[f"GET operations/{number}"] = Answer(body=document)
        end = event(1, "state", state="succeeded")
        standin.replies[f"GET operations/{number}/events"] = Answer(chunks=iter([end]))


def test_create_does_it_all(context: Any, standin: Standin) -> None:
    created(standin)
    line = "create New --framework Pytorch --use-case cv --gpu 1g.5gb --workspace /w --block"
    standin.replies["GET containers"] = Answer(body=[])
    view = answer(context, line)
    assert "Container new" in view.text()
    assert f"`{context.prog} container stop new` stops it" in view.text(200)
    image, container = [request.body for request in standin.requests if request.body]
    assert (image["name"], image["use_cases"], image["dockerfile"]) == ("new", ["cv"], "ask")
    assert (container["name"], container["image"]) == ("New", "new")
    assert (container["gpu"], container["workspace"]) == ("1g.5gb", "/w")


def test_a_notebook_has_a_handle_at_once(standin: Standin) -> None:
    created(standin)
    context = NotebookContext()
    with Client(standin.server(), timeout=5) as client:
        context._client = client
        handle = answer(context, "create new --framework Pytorch")
        assert isinstance(handle, Following)
        handle.wait(10)
        handle.settle()
        assert handle.state == "succeeded"
        assert handle.result.name == "new"
        assert repr(handle) == "container new: succeeded"
        assert "It runs." in handle.picture().text()


def test_the_picture_of_running_work(standin: Standin) -> None:
    from ds01_jupyter.commands.work import Step, Work
    from ds01_jupyter.core.models import StepProgress

    with Client(standin.server()) as client:
        work = Work(client, [Step("image x", lambda c: c.operation("1")), Step("c", lambda c: c)])  # type: ignore[arg-type, return-value]
        handle = Following(NotebookContext(), work)
        assert "1/2 image x" in handle.picture().text()
        work.progress = StepProgress(phase="build", fraction=0.5, detail="[b]step 3[/b]")
        work.log.extend(f"line {number}\x1b[31m" for number in range(20))
        text = handle.picture().text()
        assert "████░░░░ build" in text
        assert "[b]step 3[/b]" in text
        assert "line 19" in text
        assert "line 11" not in text
        work.error, work.state, work._ended = ClientError("It broke.", hint="So."), "failed", True
        assert handle.picture().text() == "It broke.\nSo."
        assert handle.result is None


def test_nobody_can_be_asked(standin: Standin) -> None:
    context = TerminalContext()
    with Client(standin.server()) as client:
        context._client = client
        with pytest.raises(UsageProblem, match="needs NAME and --framework F") as caught:
            answer(context, "create")
        assert "`ds01 create demo --framework Pytorch`" in caught.value.hint
        with pytest.raises(UsageProblem, match="needs --image IMAGE"):
            answer(context, "container create x")
    assert standin.asked() == []


def test_a_notebook_opens_the_wizards(standin: Standin) -> None:
    context = NotebookContext()
    with Client(standin.server()) as client:
        context._client = client
        for line in ("create", "image create", "container create"):
            widget = answer(context, line)
            assert type(widget).__name__ == "Journey"
            widget.close()
