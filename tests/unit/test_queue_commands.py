"""`--wait`, `ds01 queue` and `ds01 why`: what they ask for, what they show, what Ctrl-C keeps."""

from __future__ import annotations

import io
import signal
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from ds01_jupyter import cli, completion, queue_watch
from ds01_jupyter.client import Client, ClientError
from ds01_jupyter.commands import run
from ds01_jupyter.commands.create import container_step
from ds01_jupyter.commands.notebook import Following, NotebookContext
from ds01_jupyter.commands.parser import UsageProblem
from ds01_jupyter.commands.progress import TerminalProgress
from ds01_jupyter.commands.terminal import TerminalContext
from ds01_jupyter.commands.work import Work
from ds01_jupyter.core import models
from ds01_jupyter.render import View
from ds01_jupyter.widgets.leave_button import LeaveButton
from tests.unit import lab_standin as lab
from tests.unit import queue_documents as made
from tests.unit.lab_standin import Answer, Request, Standin, event

FULL = {
    "code": "no_free_slot",
    "message": "No 1g.5gb is free now.",
    "hint": "`--wait` waits for it in the queue; `%ds01 why` says who has what.",
    "details": {},
}
REQUEST = models.ContainerRequest(name="demo", image="demo", gpu="1g.5gb")
CREATE = ["container", "create", "demo", "--image", "demo", "--gpu", "1g.5gb"]


def place(**values: Any) -> dict[str, Any]:
    """A place in the queue as the API has it."""
    return made.entry(**{"name": "demo", "gpu": "1g.5gb", **values}).model_dump(mode="json")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue_watch, "PACE", 0.01)


@pytest.fixture
def standin() -> Iterator[Standin]:
    with lab.running(Standin()) as server:
        explained = made.explanation().model_dump(mode="json")
        ended = lab.operation(
            "succeeded",
            id="two",
            kind="container.create",
            result=lab.container(),
            finished=lab.NOW,
        )
        server.replies = {
            "GET about": Answer(body=lab.about()),
            "GET limits": Answer(body=lab.limits()),
            "GET containers": Answer(body=[]),
            "POST containers": Answer(409, FULL),
            "POST queue": Answer(202, place()),
            "GET queue": Answer(body=[place()]),
            "GET queue/7": Answer(body=place()),
            "DELETE queue/7": Answer(204),
            "GET why?gpu=any&gpus=1": Answer(body=explained),
            "GET why?gpu=2g.10gb&gpus=2": Answer(body=explained),
            "GET containers/demo/why": Answer(
                body={**explained, "past": ["It was idle for 48 h and was stopped."]}
            ),
            "GET operations/two": Answer(body=ended),
            "GET operations/two/events": lambda _: Answer(
                chunks=iter([event(1, "state", state="succeeded")])
            ),
        }
        yield server


@pytest.fixture
def client(standin: Standin) -> Iterator[Client]:
    with Client(standin.server(), timeout=5) as connected:
        yield connected


@pytest.fixture(params=[TerminalContext, NotebookContext])
def context(request: pytest.FixtureRequest, client: Client) -> Any:
    where = request.param()
    where._client = client
    return where


def turn_comes(standin: Standin) -> None:
    """Place 2, place 1, then it is made."""
    standin.replies["GET queue/7"] = [
        Answer(body=place(position=1)),
        Answer(body=place(state="starting", position=None, operation="two")),
    ]


# ---- waiting ---------------------------------------------------------------------------------


def test_waiting_joins_the_queue_only_when_nothing_fits(
    context: Any, standin: Standin, client: Client
) -> None:
    standin.replies["POST containers"] = Answer(202, lab.operation(id="two"))
    work = Work(client, [container_step(REQUEST, wait=True)])
    assert work.start().wait(10).state == "succeeded"
    assert "POST queue" not in standin.asked()


def test_waiting_goes_from_the_queue_to_the_running_container(
    standin: Standin, client: Client
) -> None:
    turn_comes(standin)
    work = Work(client, [container_step(REQUEST, wait=True)])
    seen: list[Any] = []

    class Look:
        def changed(self, work: Work, line: str | None = None) -> None:
            seen.append(None if work.place is None else (work.place.state, work.place.position))

    work.listen(Look())
    work.start().wait(10)
    assert work.state == "succeeded"
    assert list(dict.fromkeys(seen)) == [
        None,
        ("waiting", 2),
        ("waiting", 1),
        ("starting", None),
    ]
    assert work.place is None, "it does not wait any more"
    posts = [request for request in standin.requests if request.method == "POST"]
    assert [request.path for request in posts] == ["containers", "queue"]
    assert posts[0].body == posts[1].body == REQUEST.model_dump(mode="json")


def test_without_wait_a_refusal_is_a_refusal(context: Any, standin: Standin) -> None:
    with pytest.raises(ClientError) as caught:
        run(context, [*CREATE, "--block"])
    assert (caught.value.code, caught.value.hint) == ("no_free_slot", FULL["hint"])
    assert "POST queue" not in standin.asked()


def test_other_refusals_do_not_wait(standin: Standin, client: Client) -> None:
    refusal = {**FULL, "code": "limit_reached", "message": "2 of 2."}
    standin.replies["POST containers"] = Answer(409, refusal)
    work = Work(client, [container_step(REQUEST, wait=True)])
    with pytest.raises(ClientError, match="2 of 2"):
        work.start().wait(10)
    assert "POST queue" not in standin.asked()


def test_the_image_is_built_before_one_waits(context: Any, standin: Standin) -> None:
    turn_comes(standin)
    built = lab.operation("succeeded", id="one", result=lab.image(), finished=lab.NOW)
    standin.replies["POST images"] = Answer(202, lab.operation(id="one"))
    standin.replies["GET operations/one"] = Answer(body=built)
    standin.replies["GET operations/one/events"] = Answer(
        chunks=iter([event(1, "state", state="succeeded")])
    )
    line = ["create", "demo", "--framework", "Pytorch", "--gpu", "1g.5gb", "--wait", "--block"]
    view = run(context, line)
    assert isinstance(view, View)
    assert view.data.name == "demo"
    posts = [one for one in standin.asked() if one.startswith("POST")]
    assert posts == ["POST images", "POST containers", "POST queue"]


def test_ctrl_c_keeps_the_place_and_says_how_to_leave(standin: Standin, client: Client) -> None:
    work = Work(client, [container_step(REQUEST, wait=True)])

    def interrupt() -> None:
        while work.place is None:
            threading.Event().wait(0.01)
        threading.Event().wait(0.2)
        signal.raise_signal(signal.SIGINT)

    threading.Thread(target=interrupt).start()
    with pytest.raises(ClientError) as caught:
        work.start().wait(20)
    assert caught.value.code == "interrupted"
    assert "container demo keeps its place in the queue (place 2)" in caught.value.message
    assert "`%ds01 queue leave 7` gives the place up" in caught.value.hint
    assert "DELETE queue/7" not in standin.asked()
    assert work._watch is not None
    work._watch.stop()
    assert work._done.wait(10)


def test_cancelling_leaves_the_queue(standin: Standin, client: Client) -> None:
    work = Work(client, [container_step(REQUEST, wait=True)]).start()
    while work.place is None:
        threading.Event().wait(0.01)
    assert "in the queue, place 2" in repr(work)
    work.cancel()
    with pytest.raises(ClientError, match="given up"):
        work.wait(10)
    assert work.state == "cancelled"
    assert standin.asked().count("DELETE queue/7") == 1
    assert not any(one.startswith("DELETE operations") for one in standin.asked())


def test_cancelled_while_the_place_is_on_its_way(standin: Standin, client: Client) -> None:
    work = Work(client, [container_step(REQUEST, wait=True)])

    def slow(_: Request) -> Answer:
        work.cancel()
        return Answer(202, place())

    standin.replies["POST queue"] = slow
    with pytest.raises(ClientError):
        work.start().wait(10)
    assert work.state == "cancelled"
    assert standin.asked().count("DELETE queue/7") == 1


# ---- how it is shown -------------------------------------------------------------------------


@pytest.mark.parametrize("width", [60, 120])
def test_a_terminal_shows_place_and_estimate_live(width: int, client: Client) -> None:
    from rich.console import Console

    work = Work(client, [container_step(REQUEST, wait=True)])
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)
    shown = TerminalProgress(console, work)
    work.place = made.entry(gpu="1g.5gb")
    with console.capture() as captured:
        console.print(shown._picture())
    text = " ".join(captured.get().split())
    for words in ("container demo waits for 1g.5gb", "Place 2 in the queue.", "Any moment now",
                  "Ctrl-C stops watching; the place is kept."):  # fmt: skip
        assert words in text
    assert "ds01 queue leave 7 gives it up." in text


def test_a_pipe_gets_a_line_when_the_place_changes(standin: Standin, client: Client) -> None:
    from rich.console import Console

    standin.replies["GET queue/7"] = [
        Answer(body=place()),
        Answer(body=place()),
        Answer(body=place(position=1)),
        Answer(body=place(state="starting", position=None, operation="two")),
    ]
    output = io.StringIO()
    work = Work(client, [container_step(REQUEST, wait=True)])
    with TerminalProgress(Console(file=output, width=200), work):
        work.start().wait(10)
    lines = output.getvalue().splitlines()
    assert sum("Place 2 in the queue." in line for line in lines) == 1
    assert sum("You are next." in line for line in lines) == 1
    assert lines[-1].startswith("✓ container demo")


def test_a_notebook_shows_the_place_and_a_button_to_leave(
    standin: Standin, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    published: list[Any] = []
    monkeypatch.setattr(
        "ds01_jupyter.commands.notebook._publish",
        lambda function, *arguments, **_: published.append((function, *arguments)),
    )
    context = NotebookContext()
    context._client = client
    following = run(context, [*CREATE, "--wait"])
    assert isinstance(following, Following)
    button = next(shown for _, shown in published if isinstance(shown, LeaveButton))
    while button.layout.display == "none":
        threading.Event().wait(0.01)
    text = following.picture().text()
    assert "Place 2 in the queue" in text
    assert "`%ds01 queue leave 7` gives the place up." in text
    button.leave.click()
    with pytest.raises(ClientError, match="given up"):
        following.wait(10)
    assert button.closed, "there is nothing to leave any more"
    assert "DELETE queue/7" in standin.asked()


def test_a_notebook_without_wait_has_no_button(
    standin: Standin, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    published: list[Any] = []
    monkeypatch.setattr(
        "ds01_jupyter.commands.notebook._publish",
        lambda function, *arguments, **_: published.append(function),
    )
    context = NotebookContext()
    context._client = client
    with pytest.raises(ClientError, match="is free now"):
        run(context, CREATE).wait(10)
    assert published.count("display") == 1


# ---- queue and why ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "asked", "said"),
    [
        ("queue", "GET queue", "you (demo)"),
        ("queue list", "GET queue", "1g.5gb"),
        ("why", "GET why?gpu=any&gpus=1", "No slot 2g.10gb is free now."),
        ("why --gpu 2g.10gb --gpus 2", "GET why?gpu=2g.10gb&gpus=2", "its longest run time ends"),
        ("why demo", "GET containers/demo/why", "It was idle for 48 h and was stopped."),
    ],
)
def test_simple_commands(context: Any, standin: Standin, line: str, asked: str, said: str) -> None:
    assert said in run(context, line.split()).text(140)
    assert standin.asked() == [asked]
    document = run(context, [*line.split(), "--json"])
    assert isinstance(document, list if line.startswith("queue") else dict)


def test_a_number_of_slots_below_one_is_not_asked_for(context: Any, standin: Standin) -> None:
    with pytest.raises(UsageProblem, match="--gpus cannot be 0"):
        run(context, ["why", "--gpus", "0"])
    assert standin.asked() == []


def test_leaving_the_queue(context: Any, standin: Standin) -> None:
    assert "its place was given up" in run(context, ["queue", "leave", "7"]).text()
    assert standin.asked()[-1] == "DELETE queue/7"


def test_leaving_twice_is_no_error(context: Any, standin: Standin) -> None:
    standin.replies["GET queue/7"] = Answer(body=place(state="done", position=None))
    assert "had its turn and was made" in run(context, ["queue", "leave", "7"]).text()
    assert "DELETE queue/7" not in standin.asked()


def test_following_ends_with_the_container(context: Any, standin: Standin) -> None:
    standin.replies["GET queue/7"] = [
        Answer(body=place()),
        Answer(body=place()),
        Answer(body=place(state="starting", position=None, operation="two")),
    ]
    view = run(context, ["queue", "follow", "7", "--block"])
    assert view.data.full_name == "demo._.1000"


def test_following_what_is_over_or_somebody_elses_is_told_at_once(
    context: Any, standin: Standin
) -> None:
    standin.replies["GET queue/7"] = Answer(body=place(state="failed", position=None, problem="X."))
    assert "could not be made: X." in run(context, ["queue", "follow", "7"]).text()
    standin.replies["GET queue/7"] = Answer(body=place(mine=False, name=None))
    assert "Place 2 in the queue" in run(context, ["queue", "follow", "7"]).text()


def test_a_place_is_a_number(context: Any) -> None:
    with pytest.raises(UsageProblem, match="ID cannot be 'x'"):
        run(context, ["queue", "leave", "x"])


def test_places_are_completed(standin: Standin, client: Client) -> None:
    others = place(id=9, mine=False, name=None)
    over = place(id=5, state="done", position=None)
    standin.replies["GET queue"] = Answer(body=[place(), others, over])
    names = completion.Names()
    names._client = client
    assert completion.for_shell(["queue", "leave", ""], names) == ["7"]
    assert completion.for_shell(["queue", ""], names) == ["list", "follow", "leave"]


def test_a_terminal_names_its_own_commands(
    standin: Standin, client: Client, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setattr(TerminalContext, "client", lambda _: client)
    monkeypatch.setattr(TerminalContext, "forget_client", lambda _: None)
    assert cli.main(CREATE) == cli.REFUSED
    error = capsys.readouterr().err
    assert "`ds01 why` says who has what" in " ".join(error.split())
    assert "%ds01" not in error
