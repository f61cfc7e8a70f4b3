"""The time of a container in its panel: bars, words and the button that puts an idle stop off."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ds01_jupyter import widgets
from ds01_jupyter.core import models
from ds01_jupyter.widgets.background import Background
from ds01_jupyter.widgets.container_panel import ContainerPanel
from ds01_jupyter.widgets.container_phases import ContainerWizard
from ds01_jupyter.widgets.image_phases import ImageWizard
from ds01_jupyter.widgets.journey import Journey
from ds01_jupyter.widgets.life_view import life_html
from tests.unit import widgets_source
from tests.unit.lives import HOUR, NOW, at, deadline, idling, life
from tests.unit.widgets_source import ScriptedSource, image, refusal

EVIL = "<script>alert('x')</script>"


def container(life: dict[str, Any] | None, state: str = "running") -> models.Container:
    of = models.ContainerLife.model_validate(life) if life else None
    return widgets_source.container("run-1", state, life=of)


def test_a_bar_for_each_deadline() -> None:
    page = life_html(
        container(
            life(
                deadline("idle_stop", at(hours=12), 48),
                deadline("runtime_stop", at(minutes=30), 24, True),
                deadline("reservation_stop", at(hours=20), None),
                activity="idle",
                idle=36 * HOUR,
                running=23.5 * HOUR,
            )
        ),
        NOW,
    )
    assert page.count("class='ds01-deadline'") == 2
    assert page.count("ds01-deadline-near") == 1
    assert "aria-valuenow='75'" in page
    assert "aria-valuenow='98'" in page
    assert page.count("ds01-deadline-unknown") == 1, "a reservation has no length to fill"
    assert "stops in 30 min (ran 23 h of 24 h), at " in page
    assert "Save what you need to /workspace" in page
    assert "has run 23 h" in page
    assert "idle for 1 d 12 h" in page


def test_a_container_that_is_not_ours_has_no_time() -> None:
    assert life_html(container(None), NOW) == ""
    assert "No time limit holds for it." in life_html(container(life()), NOW)


def test_what_comes_from_outside_is_escaped() -> None:
    what = {**deadline("idle_stop", at(hours=1), 48), "message": EVIL}
    page = life_html(container(life(what, exempt=[EVIL])), NOW)
    assert "<script" not in page
    assert page.count("&lt;script") == 2


# ---- the panel


@pytest.fixture
def source() -> ScriptedSource:
    return ScriptedSource()


@pytest.fixture
def background() -> Iterator[Background]:
    made = Background()
    yield made
    made.close()


def panel(source: ScriptedSource, background: Background, shown: models.Container) -> Any:
    source.own_containers["run-1"] = shown
    made = ContainerPanel(lambda: source, background, "run-1", lambda: None)
    made.load()
    background.drain()
    return made


def test_keep_it_alive(source: ScriptedSource, background: Background) -> None:
    made = panel(source, background, container(idling()))
    assert made.alive in made.footer.children
    assert "ds01-deadline-near" in made.life.value
    made.alive.click()
    background.drain()
    assert source.requests("keep_alive") == [("run-1", None)]
    assert "run-1 is kept alive: it may idle until " in made.question.value
    assert "kept alive until " in made.life.value
    assert "8 GiB" in made.facts.value, "the limits are still there"
    assert not made.alive.disabled
    made.close()


def test_a_refusal_is_shown(source: ScriptedSource, background: Background) -> None:
    made = panel(source, background, container(idling()))
    source.refuse["keep_alive"] = refusal("It has been put off for as long as is allowed.")
    made.alive.click()
    background.drain()
    assert "as long as is allowed" in made.problem.value
    assert made.question.value == ""
    made.close()


@pytest.mark.parametrize(
    ("document", "offered"),
    [
        (idling(), True),
        (life(deadline("idle_stop", None, 48)), True),
        (life(deadline("runtime_stop", at(hours=1), 24)), False),
        (life(), False),
        (None, False),
    ],
)
def test_it_is_offered_where_it_changes_something(
    source: ScriptedSource, background: Background, document: dict[str, Any] | None, offered: bool
) -> None:
    made = panel(source, background, container(document))
    assert (made.alive in made.footer.children) is offered
    made.close()


# ---- a name that was given before the wizard opened


def wizard(journey: Journey) -> Any:
    journey.background.drain()
    return journey.wizard


def on(journey: Journey) -> None:
    wizard(journey).next.click()
    journey.background.drain()


def build(journey: Journey) -> None:
    """Through the image wizard, to the wizard of the container."""
    for _ in range(3):
        on(journey)
    until(lambda: isinstance(journey.wizard, ContainerWizard))
    journey.background.drain()


def until(done: Callable[[], bool]) -> None:
    """Wait for what a thread does."""
    end = time.monotonic() + 10
    while not done():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_the_name_of_the_command_is_the_name_in_the_wizards(source: ScriptedSource) -> None:
    journey = widgets.create_wizard(source, name="My-Thesis_")
    assert isinstance(wizard(journey), ImageWizard)
    assert wizard(journey).framework.name.value == "my-thesis", "as images are called"
    build(journey)
    assert source.requests("create_image")[0].name == "my-thesis"
    assert wizard(journey).setup_page.name.value == "My-Thesis_"
    journey.close()


def test_a_name_that_was_changed_since_is_the_containers_too(source: ScriptedSource) -> None:
    journey = widgets.create_wizard(source, name="thesis")
    wizard(journey).framework.name.control.value = "vision"
    build(journey)
    assert wizard(journey).setup_page.name.value == "vision"
    journey.close()


def test_without_a_name_the_wizards_suggest_one(source: ScriptedSource) -> None:
    journey = widgets.create_wizard(source)
    assert wizard(journey).framework.name.value == "my-pytorch"
    journey.close()


def test_the_name_of_a_container_and_of_an_image(source: ScriptedSource) -> None:
    source.own_images = [image("vision")]
    journey = widgets.container_wizard(source, name="run-7")
    on(journey)
    assert wizard(journey).setup_page.name.value == "run-7"
    on(journey)
    on(journey)
    until(lambda: isinstance(journey.view, ContainerPanel))
    journey.background.drain()
    journey.view.another.click()
    on(journey)
    assert wizard(journey).setup_page.name.value == "vision", "run-7 is taken now"
    journey.close()
    journey = widgets.image_wizard(source, name="text")
    assert wizard(journey).framework.name.value == "text"
    journey.close()
