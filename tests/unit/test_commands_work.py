"""Long work: operations in a row, cancelling, interrupting, and what is said when it fails."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator

import pytest

from ds01_jupyter.client import Client, ClientError
from ds01_jupyter.commands.work import Step, Work
from ds01_jupyter.core import models
from tests.unit import lab_standin as lab
from tests.unit.lab_standin import Answer, Request, Standin, event


@pytest.fixture
def standin() -> Iterator[Standin]:
    with lab.running(Standin()) as server:
        yield server


@pytest.fixture
def client(standin: Standin) -> Iterator[Client]:
    with Client(standin.server(), timeout=5) as made:
        yield made


IMAGE = Step(
    "image demo", lambda c: c.create_image(models.ImageRequest(name="demo", framework="Pytorch"))
)
CONTAINER = Step(
    "container demo",
    lambda c: c.create_container(models.ContainerRequest(name="demo", image="demo")),
    "The image is built.",
)


class Seen:
    """Writes down what a listener is told."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.numbers: list[int] = []
        self.changed_once = threading.Event()

    def changed(self, work: Work, line: str | None = None) -> None:
        if line is not None:
            self.lines.append(line)
        if not self.numbers or self.numbers[-1] != work.number:
            self.numbers.append(work.number)
        self.changed_once.set()


def lays_down(standin: Standin, **ends: dict[str, object]) -> None:
    """Both operations, ending as said."""
    for path, number, result in (("images", "one", lab.image()), ("containers", "two", None)):
        end = ends.get(path, {"state": "succeeded", "result": result or lab.container()})
        document = lab.operation(**{"id": number, "finished": lab.NOW, **end})
        standin.replies[f"POST {path}"] = Answer(202, lab.operation(id=number))
        standin.replies[f"GET operations/{number}"] = Answer(body=document)
        chunks = [event(1, "log", text=f"log of {number}"), event(2, "state", state=end["state"])]
        standin.replies[f"GET operations/{number}/events"] = Answer(chunks=iter(chunks))


def ended(work: Work) -> Work:
    with pytest.raises(ClientError):
        work.start().wait(10)
    assert work.done
    return work


def test_one_after_the_other(standin: Standin, client: Client) -> None:
    lays_down(standin)
    work, seen = Work(client, [IMAGE, CONTAINER]), Seen()
    work.listen(seen)
    assert work.start().wait(10) is work
    assert work.state == "succeeded"
    assert [one.id for one in work.operations] == ["one", "two"]
    assert work.operations[-1].result is not None
    assert seen.lines == list(work.log) == ["log of one", "log of two"]
    assert seen.numbers == [0, 1]
    posts = [request for request in standin.asked() if request.startswith("POST")]
    assert posts == ["POST images", "POST containers"]
    assert repr(work) == "container demo: succeeded"


def test_what_follows_a_failure_is_not_begun(standin: Standin, client: Client) -> None:
    error = {"code": "build_failed", "message": "Step 3 failed.", "hint": "Look.", "details": {}}
    lays_down(standin, images={"state": "failed", "error": error})
    work = ended(Work(client, [IMAGE, CONTAINER]))
    assert work.state == "failed"
    assert work.error is not None
    assert (work.error.code, work.error.hint) == ("build_failed", "Look.")
    assert "POST containers" not in standin.asked()
    assert "Step 3 failed." in repr(work)


def test_what_is_done_is_said_when_the_next_step_is_refused(
    standin: Standin, client: Client
) -> None:
    lays_down(standin)
    refusal = {"code": "limit_reached", "message": "2 of 2.", "hint": "Remove one.", "details": {}}
    standin.replies["POST containers"] = Answer(409, refusal)
    work = ended(Work(client, [IMAGE, CONTAINER]))
    assert work.error is not None
    assert (work.state, work.error.code) == ("failed", "limit_reached")
    assert work.error.hint == "Remove one. The image is built."
    assert work.number == 1


def test_a_first_step_that_is_refused_says_nothing_of_repair(
    standin: Standin, client: Client
) -> None:
    refusal = {"code": "limit_reached", "message": "2 of 2.", "hint": "", "details": {}}
    standin.replies["POST containers"] = Answer(409, refusal)
    work = ended(Work(client, [CONTAINER]))
    assert work.error is not None
    assert work.error.hint == ""


def hanging(standin: Standin, gate: threading.Event) -> None:
    """An image whose build lasts until it is cancelled."""

    def chunks() -> Iterator[bytes]:
        yield event(1, "state", state="running")
        gate.wait(20)
        yield event(2, "state", state="cancelled")

    def cancel(_: Request) -> Answer:
        error = {"code": "cancelled", "message": "The operation was cancelled."}
        document = lab.operation("cancelled", error=error, finished=lab.NOW)
        standin.replies["GET operations/op1"] = Answer(body=document)
        gate.set()
        return Answer(202, lab.operation())

    standin.replies["POST images"] = Answer(202, lab.operation())
    standin.replies["GET operations/op1"] = Answer(body=lab.operation())
    standin.replies["GET operations/op1/events"] = lambda _: Answer(chunks=chunks())
    standin.replies["DELETE operations/op1"] = cancel


def test_cancelling(standin: Standin, client: Client) -> None:
    gate, seen = threading.Event(), Seen()
    hanging(standin, gate)
    work = Work(client, [IMAGE, CONTAINER])
    work.listen(seen)
    work.start()
    assert seen.changed_once.wait(10)
    while not work.operations:
        threading.Event().wait(0.01)
    work.cancel()
    with pytest.raises(ClientError, match="was cancelled"):
        work.wait(10)
    assert work.state == "cancelled"
    assert "POST containers" not in standin.asked()


def test_cancelled_while_the_request_is_on_its_way(standin: Standin, client: Client) -> None:
    hanging(standin, threading.Event())
    posted: list[Callable[[], object]] = []

    def slow(_: Request) -> Answer:
        posted[0]()
        return Answer(202, lab.operation())

    standin.replies["POST images"] = slow
    work = Work(client, [IMAGE])
    posted.append(work.cancel)
    ended(work)
    assert work.state == "cancelled"
    assert standin.asked().count("DELETE operations/op1") == 1


def test_an_interrupt_cancels_and_says_so(standin: Standin, client: Client) -> None:
    hanging(standin, threading.Event())
    work = Work(client, [IMAGE])
    began = threading.Event()
    seen = Seen()
    work.listen(seen)

    def interrupt() -> None:
        while not work.operations:
            began.wait(0.01)
        began.wait(0.2)
        signal.raise_signal(signal.SIGINT)

    threading.Thread(target=interrupt).start()
    with pytest.raises(ClientError) as caught:
        work.start().wait(20)
    assert caught.value.code == "interrupted"
    assert "image demo was cancelled" in caught.value.message
    assert "DELETE operations/op1" in standin.asked()


def test_watching_only_is_left_without_cancelling(standin: Standin, client: Client) -> None:
    gate = threading.Event()
    hanging(standin, gate)
    watch = Step("image demo", lambda c: c.operation("op1"))
    work = Work(client, [watch], owned=False)
    timer = threading.Timer(0.3, signal.raise_signal, [signal.SIGINT])
    timer.start()
    try:
        with pytest.raises(ClientError) as caught:
            work.start().wait(20)
        assert "still runs on the server" in caught.value.message
        assert "DELETE operations/op1" not in standin.asked()
    finally:
        gate.set()
        timer.join()


def test_a_listener_that_fails_does_not_stop_the_work(
    standin: Standin, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken:
        def changed(self, work: Work, line: str | None = None) -> None:
            raise ValueError("cannot draw")

    lays_down(standin)
    work = Work(client, [IMAGE])
    work.listen(Broken())
    work.start().wait(10)
    assert work.state == "succeeded"
    assert [record.getMessage() for record in caplog.records] == ["showing image demo"]
