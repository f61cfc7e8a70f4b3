"""Long work while it runs, and the whole way through the wizards."""

from __future__ import annotations

import subprocess
import sys
import threading
from typing import Any

import pytest
from ipywidgets.widgets import widget as ipywidgets_widget

from ds01_jupyter import widgets
from ds01_jupyter.core.models import ErrorDocument, StepProgress
from ds01_jupyter.widgets.background import Background
from ds01_jupyter.widgets.container_panel import ContainerPanel
from ds01_jupyter.widgets.journey import BuiltPanel, Journey
from ds01_jupyter.widgets.operation_view import REFRESH, OperationView, progress_html
from ds01_jupyter.widgets.problem import Problem
from tests.unit.widgets_source import ScriptedSource, refusal

WAIT = 30.0


class Followed:
    """A view of an operation, with what it reported."""

    def __init__(self, source: ScriptedSource) -> None:
        self.source = source
        self.ended: list[Any] = []
        self.back: list[Problem | None] = []
        self.background = Background()
        self.settled = threading.Event()
        self.view = OperationView(
            lambda: source,
            self.background,
            source.operation("op").model_copy(update={"state": "queued"}),
            succeeded=self._succeeded,
            back=self.back.append,
        )
        self.view.footer.observe(self._offered, "children")

    def _offered(self, change: Any) -> None:
        if self.view.cancel not in change["new"]:
            self.settled.set()

    def _succeeded(self, operation: Any) -> None:
        self.ended.append(operation)
        self.settled.set()

    def follow(self) -> OperationView:
        self.settled.clear()
        self.view.follow()
        return self.view

    def settle(self) -> OperationView:
        """Wait until the view offers what to do next."""
        assert self.settled.wait(WAIT)
        return self.view


def test_progress_and_log_are_shown() -> None:
    source = ScriptedSource()
    step = StepProgress(phase="build", fraction=0.4, detail="step 2 of 5: Base <packages>")
    source.script = [
        {"kind": "state", "state": "running"},
        {"kind": "progress", "progress": step},
        {"kind": "log", "text": "Collecting <numpy>\nDone"},
    ]
    shown = threading.Event()
    source.pause = lambda: None if shown.wait(WAIT) else pytest.fail("nothing was shown")
    followed = Followed(source)
    followed.view.bar.observe(
        lambda change: shown.set() if "step 2 of 5" in change["new"] else None, "value"
    )
    view = followed.follow()
    followed.settle()
    assert [each.state for each in followed.ended] == ["succeeded"]
    assert view.output.lines == ["Collecting <numpy>", "Done"]
    assert "Collecting &lt;numpy&gt;" in view.output.widget.value
    assert "ds01-progress-succeeded" in view.bar.value


def test_a_flood_of_output_is_written_in_batches() -> None:
    source = ScriptedSource()
    source.script = [{"kind": "log", "text": f"line {number}"} for number in range(5000)]
    followed = Followed(source)
    written: list[str] = []
    followed.view.output.widget.observe(lambda change: written.append(change["new"]), "value")
    followed.follow()
    followed.settle()
    assert 0 < len(written) < 500, "not one message a line"
    assert "line 4999" in written[-1]
    assert len(followed.view.output.lines) == 500
    assert REFRESH >= 0.2


def test_a_failure_shows_why_and_the_way_back() -> None:
    source = ScriptedSource()
    source.script = [{"kind": "log", "text": "no such package"}]
    source.ending = "failed"
    source.error = ErrorDocument(code="build_failed", message="It stopped at step 3.", hint="Look.")
    followed = Followed(source)
    view = followed.follow()
    followed.settle()
    assert "It stopped at step 3." in view.problem.value
    assert view.output.lines == ["no such package"], "the log stays in sight"
    assert view.footer.children == (view.change,)
    view.change.click()
    assert [problem.message for problem in followed.back if problem] == ["It stopped at step 3."]
    assert followed.ended == []


def test_cancel_asks_the_server_and_waits_for_the_end() -> None:
    source = ScriptedSource()
    source.pause = lambda: None if source.cancelled.wait(WAIT) else pytest.fail("not cancelled")
    followed = Followed(source)
    view = followed.follow()
    view.cancel.click()
    assert view.cancel.disabled
    followed.settle()
    assert source.requests("cancel_operation") == ["op"]
    assert "It was cancelled" in view.problem.value
    view.change.click()
    assert followed.back == [None]


def test_a_broken_connection_can_be_taken_up_where_it_broke() -> None:
    source = ScriptedSource()
    source.script = [{"kind": "log", "text": "first"}]
    followed = Followed(source)
    source.refuse["operation"] = refusal("The server is away.", "server_unreachable")
    view = followed.follow()
    followed.settle()
    assert "The server is away." in view.problem.value
    assert view.again in view.footer.children
    del source.refuse["operation"]
    source.script.append({"kind": "log", "text": "second"})
    followed.settled.clear()
    view.again.click()
    followed.settle()
    assert view.output.lines.count("first") == 1, "nothing is shown twice"
    assert len(followed.ended) == 1


def test_a_closed_view_reports_nothing() -> None:
    source = ScriptedSource()
    gate = threading.Event()
    source.pause = lambda: None if gate.wait(WAIT) else pytest.fail("never let go")
    followed = Followed(source)
    followed.follow()
    followed.view.close()
    gate.set()
    for thread in threading.enumerate():
        if thread.name == "ds01-operation-view":
            thread.join(WAIT)
    assert followed.ended == []
    assert source.requests("cancel_operation") == [], "the work itself goes on"


@pytest.mark.parametrize(
    ("state", "fraction", "expected"),
    [
        ("running", 0.5, ["aria-valuenow='50'", "50 %"]),
        ("running", 0.0, ["aria-valuenow='0'", "0 %"]),
        ("running", None, ["ds01-progress-open"]),
        ("succeeded", None, ["width:100%"]),
        ("interrupted", 0.5, ["Interrupted"]),
    ],
)
def test_a_bar_says_what_is_known(state: str, fraction: float | None, expected: list[str]) -> None:
    html = progress_html(state, StepProgress(phase="p", fraction=fraction), "3 s")
    for text in expected:
        assert text in html
    assert ("aria-valuenow" in html) is (fraction is not None or state == "succeeded")


# ---- the whole way


def settled(journey: Journey, kind: type[Any]) -> Any:
    """Wait until a view of `kind` is on the stage, and loaded."""
    shown = threading.Event()
    journey.stage.observe(
        lambda change: shown.set() if isinstance(change["new"][0], kind) else None, "children"
    )
    if not isinstance(journey.view, kind):
        assert shown.wait(WAIT), journey.view
    journey.background.drain()
    return journey.view


def press(journey: Journey, button: Any) -> None:
    button.click()
    journey.background.drain()


def test_from_an_image_straight_on_to_the_container() -> None:
    from ds01_jupyter.widgets.container_phases import ContainerWizard

    source = ScriptedSource()
    source.script = [{"kind": "log", "text": "built"}]
    journey = widgets.create_wizard(source)
    journey.background.drain()
    assert journey.wizard is not None
    assert "Part 1 of 2: your image" in journey.wizard.header.value
    for _ in range(3):
        press(journey, journey.wizard.next)
    wizard = settled(journey, ContainerWizard)
    assert "Part 2 of 2: your container" in wizard.header.value
    assert wizard.page.title == "Name, folders and GPU"
    assert "Image my-pytorch is built." in wizard.notice.value
    press(journey, wizard.back)
    assert wizard.image.own.value == "my-pytorch"
    for _ in range(3):
        press(journey, wizard.next)
    panel = settled(journey, ContainerPanel)
    assert "my-pytorch is running" in panel.heading.value
    assert source.requests("create_container")[0].image == "my-pytorch"
    journey.close()


def test_the_image_wizard_ends_with_a_choice() -> None:
    journey = widgets.image_wizard(ScriptedSource())
    journey.background.drain()
    assert journey.wizard is not None
    for _ in range(3):
        press(journey, journey.wizard.next)
    built = settled(journey, BuiltPanel)
    press(journey, built.create)
    assert "Create a container" in journey.wizard.header.value
    journey.close()


def test_a_failed_build_leads_back_with_everything_entered() -> None:
    source = ScriptedSource()
    source.ending = "failed"
    source.error = ErrorDocument(code="build_failed", message="There is no package einopss.")
    journey = widgets.create_wizard(source)
    journey.background.drain()
    wizard: Any = journey.wizard
    press(journey, wizard.next)
    wizard.packages.pip.control.value = "six\neinopss"
    press(journey, wizard.next)
    press(journey, wizard.next)
    view = settled(journey, OperationView)
    assert view.join(WAIT)
    offered = threading.Event()
    view.footer.observe(lambda _: offered.set(), "children")
    if view.change not in view.footer.children:
        assert offered.wait(WAIT)
    view.change.click()
    assert journey.view is wizard
    assert wizard.page.title == "Packages"
    assert "There is no package einopss." in wizard.packages.pip.problem.value
    assert wizard.packages.pip.value == "six\neinopss"
    journey.close()


def test_nothing_is_left_of_a_closed_wizard() -> None:
    before = set(ipywidgets_widget._instances)
    threads = set(threading.enumerate())
    journey = widgets.create_wizard(ScriptedSource())
    journey.background.drain()
    assert journey.wizard is not None
    for _ in range(2):
        press(journey, journey.wizard.next)
    journey.close()
    left = [ipywidgets_widget._instances[key] for key in set(ipywidgets_widget._instances) - before]
    assert left == []
    for thread in set(threading.enumerate()) - threads:
        thread.join(WAIT)
        assert not thread.is_alive()


def test_each_function_may_be_called_again() -> None:
    source = ScriptedSource()
    for _ in range(2):
        for make in (
            widgets.create_wizard,
            widgets.image_wizard,
            widgets.container_wizard,
            widgets.gpu_map,
        ):
            make(source).close()


def test_importing_the_package_imports_no_widgets() -> None:
    check = "import ds01_jupyter.widgets, sys; print('ipywidgets' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_without_a_client_the_server_is_looked_for_later(monkeypatch: pytest.MonkeyPatch) -> None:
    from ds01_jupyter.client import Client

    def nobody(*_: object, **__: object) -> Client:
        raise refusal("There is no Jupyter server here.", "no_server")

    monkeypatch.setattr(Client, "discover", nobody)
    journey = widgets.create_wizard()
    journey.background.drain()
    assert journey.wizard is not None
    assert "There is no Jupyter server here." in journey.wizard.problem.value
    journey.close()
