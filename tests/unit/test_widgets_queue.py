"""Why, the queue and reservations as widgets; and the wizard when no slot is free."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest

from ds01_jupyter import queue_watch, widgets
from ds01_jupyter.core import models
from ds01_jupyter.widgets import live_view
from ds01_jupyter.widgets.background import Background
from ds01_jupyter.widgets.container_panel import ContainerPanel
from ds01_jupyter.widgets.container_phases import ContainerWizard
from ds01_jupyter.widgets.journey import Journey
from ds01_jupyter.widgets.operation_view import OperationView
from ds01_jupyter.widgets.queue_view import WaitingPanel, place_html, queue_html
from ds01_jupyter.widgets.reservation_view import reservations_html
from ds01_jupyter.widgets.why_drawing import why_html
from ds01_jupyter.widgets.why_view import RefusedPanel
from tests.unit import queue_documents as made
from tests.unit.queue_documents import LATER, NOW
from tests.unit.widgets_source import ScriptedSource, gpu, image, lease, refusal, slot, snapshot

EVIL = "<img src=x>"
PATIENCE = 30.0


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue_watch, "PACE", 0.01)


@pytest.fixture
def source() -> ScriptedSource:
    """Every slot is taken, so a container is refused."""
    scripted = ScriptedSource()
    scripted.own_images = [image("text")]
    taken = lease("bob", "run")
    scripted.machine = snapshot(
        gpu(2, slot("2:0", "2g.10gb", "leased", lease=taken), slot("2:1", "1g.5gb"))
    )
    return scripted


@pytest.fixture
def journey(source: ScriptedSource) -> Iterator[Journey]:
    shown = widgets.container_wizard(source, image="text")
    shown.background.drain()
    yield shown
    shown.close()


def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.005)


def wizard(journey: Journey) -> ContainerWizard:
    assert isinstance(journey.wizard, ContainerWizard)
    return journey.wizard


def press(journey: Journey, button: Any) -> None:
    button.click()
    journey.background.drain()


def refused(journey: Journey, source: ScriptedSource, **problem: Any) -> RefusedPanel:
    """Go through the wizard with a 2g.10gb, and be refused."""
    error = {"message": "No slot 2g.10gb is free now.", "code": "no_free_slot", **problem}
    press(journey, wizard(journey).next)
    wizard(journey).setup_page.gpu.control.value = "2g.10gb"
    press(journey, wizard(journey).next)
    source.refuse["create_container"] = refusal(**error)
    press(journey, wizard(journey).next)
    assert isinstance(journey.view, RefusedPanel)
    return journey.view


def buttons(panel: RefusedPanel) -> list[str]:
    row = panel.now_box.children[1].children if panel.now_box.children else ()
    return [each.description for each in (*row, *panel.footer.children[:-1])]


# ---- refused ---------------------------------------------------------------------------------


def test_a_choice_that_is_taken_says_that_one_can_wait(
    journey: Journey, source: ScriptedSource
) -> None:
    press(journey, wizard(journey).next)
    setup = wizard(journey).setup_page
    setup.gpu.control.value = "1g.5gb"
    assert setup.waiting not in setup._gpu_box.children
    setup.gpu.control.value = "2g.10gb"
    assert setup.waiting in setup._gpu_box.children


def test_a_refusal_shows_why_and_what_one_can_do(journey: Journey, source: ScriptedSource) -> None:
    panel = refused(journey, source)
    assert source.requests("why") == [("2g.10gb", 1)]
    for text in ("No slot 2g.10gb is free now.", "1 of 2 in use", "bob", "run time ends"):
        assert text in panel.body.value
    assert "%ds01 container create" not in panel.body.value, "there are buttons for it"
    assert buttons(panel) == [
        "Take 1g.5gb",
        "CPU only",
        "Wait in the queue",
        "Back to change things",
    ]


def test_what_became_free_meanwhile_is_created_at_once(
    journey: Journey, source: ScriptedSource
) -> None:
    source.told = made.explanation("now", instead=[])
    panel = refused(journey, source)
    assert buttons(panel) == ["CPU only", "Create it now", "Back to change things"]
    del source.refuse["create_container"]
    press(journey, panel.again)
    assert source.requests("create_container")[-1].gpu == "2g.10gb"
    assert source.requests("join_queue") == []


def test_waiting_is_not_offered_where_it_does_not_help(
    journey: Journey, source: ScriptedSource
) -> None:
    source.told = made.explanation("never", instead=[made.alternative("none")])
    panel = refused(
        journey, source, code="limit_reached", message="2 of 2.", key="max_mig_instances"
    )
    assert buttons(panel) == ["CPU only", "Back to change things"]


def test_without_an_explanation_one_can_still_wait(
    journey: Journey, source: ScriptedSource
) -> None:
    source.refuse["why"] = refusal("The ledger is damaged.", "ledger_unavailable")
    panel = refused(journey, source)
    assert "No slot 2g.10gb is free now." in panel.body.value
    assert "The ledger is damaged." in panel.problem.value
    assert "Wait in the queue" in buttons(panel)


def test_back_leads_to_the_choice_with_everything_as_entered(
    journey: Journey, source: ScriptedSource
) -> None:
    panel = refused(journey, source)
    press(journey, panel.change)
    assert journey.view is journey.wizard
    setup = wizard(journey).setup_page
    assert wizard(journey).page is setup
    assert "No slot 2g.10gb is free now." in setup.gpu.problem.value
    assert setup.gpu.value == "2g.10gb"
    assert panel.closed


@pytest.mark.parametrize(("number", "gpu_asked"), [(0, "1g.5gb"), (1, "none")])
def test_one_click_takes_what_can_be_had_now(
    journey: Journey, source: ScriptedSource, number: int, gpu_asked: str
) -> None:
    panel = refused(journey, source)
    del source.refuse["create_container"]
    row = panel.now_box.children[1].children
    source.pause = lambda: time.sleep(0.05)
    row[number].click()
    until(lambda: isinstance(journey.view, OperationView | ContainerPanel))
    until(lambda: isinstance(journey.view, ContainerPanel))
    request = source.requests("create_container")[-1]
    assert (request.gpu, request.name, request.image) == (gpu_asked, "text", "text")


def test_what_is_refused_too_is_explained_again(journey: Journey, source: ScriptedSource) -> None:
    panel = refused(journey, source)
    press(journey, panel.now_box.children[1].children[0])
    assert isinstance(journey.view, RefusedPanel)
    assert journey.view is not panel
    assert source.requests("why") == [("2g.10gb", 1), ("1g.5gb", 1)]


# ---- waiting ---------------------------------------------------------------------------------


def waiting(journey: Journey, source: ScriptedSource) -> WaitingPanel:
    press(journey, refused(journey, source).wait)
    assert isinstance(journey.view, WaitingPanel)
    return journey.view


def test_waiting_shows_the_place_until_the_container_runs(
    journey: Journey, source: ScriptedSource
) -> None:
    panel = waiting(journey, source)
    assert source.requests("join_queue")[0].gpu == "2g.10gb"
    assert "text waits for 2g.10gb" in panel.title.value
    assert "Place 2 in the queue." in panel.body.value
    source.waiting = [made.entry(position=1)]
    until(lambda: "You are next." in panel.body.value)
    source.own_containers["text"] = source_container()
    source.waiting = [made.entry(state="starting", position=None, operation="op")]
    until(lambda: isinstance(journey.view, ContainerPanel))
    assert source.requests("leave_queue") == []
    until(lambda: "text is running" in journey.view.heading.value)


def source_container() -> models.Container:
    from tests.unit.widgets_source import container

    return container("text")


def test_leaving_the_queue_returns_to_the_wizard(journey: Journey, source: ScriptedSource) -> None:
    panel = waiting(journey, source)
    panel.leave.click()
    until(lambda: journey.view is journey.wizard)
    assert source.requests("leave_queue") == [7]
    assert wizard(journey).setup_page.name.value == "text"


def test_closing_the_notebook_keeps_the_place(journey: Journey, source: ScriptedSource) -> None:
    waiting(journey, source)
    journey.close()
    until(lambda: not any(t.name == "ds01-queue-watch" for t in threading.enumerate()))
    assert source.requests("leave_queue") == []


def test_a_turn_that_came_to_nothing_says_why(journey: Journey, source: ScriptedSource) -> None:
    panel = waiting(journey, source)
    source.waiting = [made.entry(state="failed", position=None, problem="Its image is gone.")]
    until(lambda: "Its image is gone." in panel.problem.value)
    until(lambda: panel.footer.children == (panel.change,))
    press(journey, panel.change)
    assert journey.view is journey.wizard


def test_a_lost_server_can_be_asked_again(
    journey: Journey, source: ScriptedSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue_watch, "PATIENCE", 0.0)
    panel = waiting(journey, source)
    source.refuse["queue_entry"] = refusal("It is away.", "server_unreachable")
    until(lambda: panel.again in panel.footer.children)
    assert "The place in the queue is kept." in panel.problem.value
    del source.refuse["queue_entry"]
    panel.again.click()
    until(lambda: panel.problem.value == "" and panel.footer.children == (panel.leave,))


def test_a_queue_that_takes_nobody_says_why(journey: Journey, source: ScriptedSource) -> None:
    panel = refused(journey, source)
    source.refuse["join_queue"] = refusal("You wait 5 times already.", "limit_reached")
    press(journey, panel.wait)
    assert journey.view is panel
    assert "You wait 5 times already." in panel.problem.value
    assert not panel.wait.disabled


def test_the_panel_of_a_stopped_container_tells_what_happened(source: ScriptedSource) -> None:
    source.own_containers["text"] = source_container()
    source.told = made.explanation("now", past=["It was idle for 48 h and was stopped."])
    background = Background()
    panel = ContainerPanel(lambda: source, background, "text", lambda: None)
    panel.load()
    background.drain()
    assert panel.past not in panel.footer.children, "nothing happened to it yet"
    panel.stop.click()
    background.drain()
    assert panel.past in panel.footer.children
    panel.past.click()
    background.drain()
    assert "It was idle for 48 h and was stopped." in panel.question.value
    background.close()
    panel.close()


# ---- in cells of their own -------------------------------------------------------------------


def test_why_can_be_asked_about_every_kind_of_slot(source: ScriptedSource) -> None:
    shown = widgets.why(source)
    shown.drain()
    assert source.requests("why") == [("any", 1)]
    assert [value for _, value in shown.choice.options] == ["any", "1g.5gb", "2g.10gb"]
    shown.choice.value = "2g.10gb"
    shown.drain()
    assert source.requests("why")[-1] == ("2g.10gb", 1)
    assert "%ds01 container create NAME --image IMAGE --gpu 2g.10gb --wait" in shown.body.value
    shown.close()


def test_why_about_a_container(source: ScriptedSource) -> None:
    source.told = made.explanation("now", past=["It was stopped on Monday."])
    shown = widgets.why(source, container="text")
    shown.drain()
    assert source.requests("why_container") == ["text"]
    assert "It was stopped on Monday." in shown.body.value
    assert shown.choice not in shown.stage.children
    shown.close()


def test_the_queue_has_a_button_for_each_place_of_ones_own(source: ScriptedSource) -> None:
    source.waiting = [made.entry(3, mine=False, user="bob", name=None), made.entry(7)]
    shown = widgets.queue(source)
    shown.drain()
    leave = shown.bar.children[-1]
    assert leave.description == "Leave with text"
    assert len(shown.bar.children) == 3
    leave.click()
    shown.drain()
    assert source.requests("leave_queue") == [7]
    assert len(shown.bar.children) == 2
    assert "bob" in shown.body.value
    source.refuse["queue"] = refusal("It is away.", "server_unreachable")
    shown.refresh.click()
    shown.drain()
    assert "It is away." in shown.problem.value
    assert "bob" in shown.body.value, "what was last seen stays"
    shown.close()


def test_a_view_follows_until_it_is_closed(
    source: ScriptedSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_view, "INTERVAL", 0.01)
    shown = widgets.queue(source, follow=True)
    until(lambda: len(source.requests("queue")) > 3)
    shown.close()
    until(lambda: not any(t.name == "ds01-queue" for t in threading.enumerate()))


def test_reservations_stand_on_a_line_of_time(source: ScriptedSource) -> None:
    source.promised = [
        made.reservation(1, start=NOW - timedelta(hours=6), end=NOW + timedelta(hours=12)),
        made.reservation(
            2, user=None, group="vision", gpu="2g.10gb", gpus=2, slots=[], state="upcoming",
            start=NOW + timedelta(hours=24), end=NOW + timedelta(hours=48), problem="GPU 2 is ill.",
            in_the_way=[
                models.ReservationConflict(slot="2:0", kind="lease", who="ada", until=LATER)
            ],
        ),
    ]  # fmt: skip
    html = reservations_html(source.promised, NOW)
    assert "margin-left:0.0%;width:25.0%" in html, "what began before now begins at the edge"
    assert "margin-left:50.0%;width:50.0%" in html
    for text in ("group vision", "2 x 2g.10gb", "GPU 2 is ill.", "2:0: ada is in the way"):
        assert text in html
    shown = widgets.reservations(source, all=True)
    shown.drain()
    assert source.requests("reservations") == [True]
    shown.close()
    assert "Nothing is reserved." in reservations_html([], NOW)


def test_names_of_others_are_escaped() -> None:
    views = [
        why_html(
            made.explanation(
                message=EVIL,
                hint=f"`{EVIL}",
                past=[EVIL],
                limits=[made.limit_use(key=EVIL)],
                obstacles=[made.obstacle(EVIL, who=EVIL, container=EVIL, because=EVIL)],
                instead=[made.alternative(EVIL, words=EVIL)],
            )
        ),
        queue_html([made.entry(user=EVIL, mine=False, name=EVIL, gpu=EVIL)]),
        place_html(made.entry(name=EVIL, estimate=made.estimate(because=EVIL))),
        reservations_html(
            [made.reservation(user=EVIL, gpu=EVIL, reason=EVIL, slots=[EVIL], problem=EVIL)], NOW
        ),
    ]
    for html in views:
        assert "<img" not in html
        assert "&lt;img" in html


def test_an_empty_queue_and_one_that_sleeps() -> None:
    assert "Nobody waits." in queue_html([])
    html = queue_html([made.entry(asleep=True)], NOW)
    assert "1 waiting · 1 of them yours" in html
    assert ">asleep<" in html
    assert "nobody waits for it meanwhile" in html
