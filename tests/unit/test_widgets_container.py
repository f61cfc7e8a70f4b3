"""The container wizard and the panel of a container, without a browser."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from ds01_jupyter import widgets
from ds01_jupyter.core.models import FrameworkChoice
from ds01_jupyter.widgets.background import Background
from ds01_jupyter.widgets.container_panel import ContainerPanel
from ds01_jupyter.widgets.container_phases import ContainerWizard
from ds01_jupyter.widgets.journey import Journey
from tests.unit.widgets_source import ScriptedSource, container, image, limits, refusal, snapshot


@pytest.fixture
def source() -> ScriptedSource:
    """Alice has two images."""
    made = ScriptedSource()
    made.own_images = [image("vision"), image("text")]
    return made


@pytest.fixture
def journey(source: ScriptedSource) -> Iterator[Journey]:
    """The container wizard for the second of them, loaded."""
    shown = widgets.container_wizard(source, image="text")
    shown.background.drain()
    yield shown
    shown.close()


def wizard(journey: Journey) -> ContainerWizard:
    assert isinstance(journey.wizard, ContainerWizard)
    return journey.wizard


def press(journey: Journey, button: Any) -> None:
    button.click()
    journey.background.drain()


def go_on(journey: Journey, title: str) -> None:
    press(journey, wizard(journey).next)
    assert wizard(journey).page.title == title, wizard(journey).problem.value


def to_review(journey: Journey) -> None:
    go_on(journey, "Name, folders and GPU")
    go_on(journey, "Review and create")


def asked(journey: Journey, source: ScriptedSource) -> dict[str, Any]:
    """Press Create; the request that was sent."""
    press(journey, wizard(journey).next)
    request: dict[str, Any] = source.requests("create_container")[-1].model_dump()
    return request


def test_next_next_create_is_enough(journey: Journey, source: ScriptedSource) -> None:
    to_review(journey)
    assert asked(journey, source) == {
        "name": "text",
        "image": "text",
        "framework": None,
        "workspace": None,
        "data": None,
        "models": None,
        "gpu": "any",
        "gpus": 1,
        "start": True,
    }


def test_what_was_entered_is_asked_for(journey: Journey, source: ScriptedSource) -> None:
    go_on(journey, "Name, folders and GPU")
    setup = wizard(journey).setup_page
    setup.name.control.value = "run-1"
    assert setup.workspace.control.placeholder == "~/workspace/run-1"
    setup.workspace.control.value = "~/thesis"
    setup.data.control.value = "/data/coco"
    setup.models.control.value = "/models"
    setup.gpu.control.value = "1g.5gb"
    go_on(journey, "Review and create")
    for text in ("run-1", "~/thesis", "/data/coco", "MIG 1g.5gb"):
        assert text in wizard(journey).create.summary.value
    request = asked(journey, source)
    assert (request["name"], request["workspace"], request["gpu"]) == (
        "run-1",
        "~/thesis",
        "1g.5gb",
    )
    assert (request["data"], request["models"]) == ("/data/coco", "/models")


def test_a_framework_as_it_is(journey: Journey, source: ScriptedSource) -> None:
    page = wizard(journey).image
    page.source.control.value = "framework"
    assert page.picker is not None
    page.picker.version.control.value = "2.5.1"
    to_review(journey)
    request = asked(journey, source)
    assert request["image"] is None
    assert (
        request["framework"] == FrameworkChoice(framework="Pytorch", version="2.5.1").model_dump()
    )
    assert request["name"] == "my-pytorch"


def test_another_image_of_the_machine(journey: Journey, source: ScriptedSource) -> None:
    page = wizard(journey).image
    page.source.control.value = "other"
    assert wizard(journey).next.disabled, "nothing is chosen yet"
    page.other.control.value = " python:3.12 "
    assert not wizard(journey).next.disabled
    to_review(journey)
    request = asked(journey, source)
    assert (request["image"], request["name"]) == ("python:3.12", "my-container")


def test_without_an_image_the_frameworks_are_offered(source: ScriptedSource) -> None:
    source.own_images = []
    shown = widgets.container_wizard(source)
    shown.background.drain()
    assert wizard(shown).image.source.value == "framework"
    wizard(shown).image.source.control.value = "own"
    assert wizard(shown).next.disabled
    shown.close()


def test_a_catalogue_that_cannot_be_read_does_not_hinder_an_image(
    source: ScriptedSource,
) -> None:
    source.refuse["catalogue"] = refusal("No driver.", "driver_unavailable")
    shown = widgets.container_wizard(source)
    shown.background.drain()
    assert "No driver." in wizard(shown).image.source.problem.value
    to_review(shown)
    assert asked(shown, source)["image"] == "vision"
    shown.close()


def test_without_a_driver_only_the_cpu_is_offered(journey: Journey, source: ScriptedSource) -> None:
    source.refuse["gpus"] = refusal("There is no NVIDIA driver.", "driver_unavailable")
    go_on(journey, "Name, folders and GPU")
    setup = wizard(journey).setup_page
    assert [value for _, value in setup.gpu.control.options] == ["none"]
    assert "There is no NVIDIA driver." in setup.gpu.note.value
    go_on(journey, "Review and create")
    assert asked(journey, source)["gpu"] == "none"


def test_what_is_free_can_be_looked_up_again(journey: Journey, source: ScriptedSource) -> None:
    go_on(journey, "Name, folders and GPU")
    setup = wizard(journey).setup_page
    setup.gpu.control.value = "whole"
    press(journey, setup.refresh)
    assert setup.gpu.value == "whole", "the choice stays while it is there"
    source.machine = snapshot()
    press(journey, setup.refresh)
    assert setup.gpu.value == "none"
    assert not setup.refresh.disabled


@pytest.mark.parametrize(("most", "shown"), [(1, False), (2, True), (None, True)])
def test_several_slots_where_the_limits_allow_them(
    source: ScriptedSource, most: int | None, shown: bool
) -> None:
    source.report = limits(max_slots_per_container=most)
    journey = widgets.container_wizard(source)
    journey.background.drain()
    go_on(journey, "Name, folders and GPU")
    setup = wizard(journey).setup_page
    assert (setup.count in setup._gpu_box.children) is shown
    setup.count.control.value = 2
    go_on(journey, "Review and create")
    assert asked(journey, source)["gpus"] == (2 if shown else 1)
    journey.close()


def test_no_gpu_means_one_no_gpu(source: ScriptedSource) -> None:
    source.report = limits(max_slots_per_container=4)
    journey = widgets.container_wizard(source)
    journey.background.drain()
    go_on(journey, "Name, folders and GPU")
    wizard(journey).setup_page.count.control.value = 3
    wizard(journey).setup_page.gpu.control.value = "none"
    go_on(journey, "Review and create")
    request = asked(journey, source)
    assert (request["gpu"], request["gpus"]) == ("none", 1)
    journey.close()


def test_limits_are_shown_with_what_is_in_use(journey: Journey, source: ScriptedSource) -> None:
    source.report = limits(2, memory=None, pids_limit=0)
    go_on(journey, "Name, folders and GPU")
    html = wizard(journey).setup_page.limits.value
    for text in ("student", "unlimited", "<dd>0</dd>", "2 of 3 in use", "0 of 2 in use"):
        assert text in html


@pytest.mark.parametrize(
    ("field", "text", "error"),
    [
        ("name", "a b", refusal("That is no name.", name="a b")),
        ("workspace", "/etc", refusal("The workspace folder /etc is outside.", path="/etc")),
        ("data", "/secret", refusal("The data folder '/secret' is outside.")),
    ],
)
def test_a_refusal_leads_back_to_its_field(
    journey: Journey, source: ScriptedSource, field: str, text: str, error: Exception
) -> None:
    go_on(journey, "Name, folders and GPU")
    getattr(wizard(journey).setup_page, field).control.value = text
    go_on(journey, "Review and create")
    source.refuse["create_container"] = error
    go_on(journey, "Name, folders and GPU")
    assert (
        str(getattr(error, "message", "")).split("'")[0]
        in getattr(wizard(journey).setup_page, field).problem.value
    )
    del source.refuse["create_container"]
    go_on(journey, "Review and create")
    assert getattr(wizard(journey).setup_page, field).problem.value == ""


def test_a_limit_is_shown_with_its_figures(journey: Journey, source: ScriptedSource) -> None:
    to_review(journey)
    source.refuse["create_container"] = refusal(
        "You may have 3 containers.", "limit_reached", limit=3, in_use=3
    )
    go_on(journey, "Review and create")
    assert "limit: 3 · in use: 3" in wizard(journey).problem.value


# ---- the panel


@pytest.fixture
def panel(source: ScriptedSource) -> Iterator[tuple[ContainerPanel, Background]]:
    """The panel of the running container `run-1`."""
    source.own_containers["run-1"] = container("run-1")
    background = Background()
    again: list[bool] = []
    made = ContainerPanel(lambda: source, background, "run-1", lambda: again.append(True))
    made.load()
    background.drain()
    yield made, background
    background.close()
    made.close()


def click(panel: tuple[ContainerPanel, Background], name: str) -> None:
    getattr(panel[0], name).click()
    panel[1].drain()


def test_the_panel_shows_what_one_has(panel: tuple[ContainerPanel, Background]) -> None:
    assert "run-1 is running" in panel[0].heading.value
    for text in (
        "2:1",
        "1g.5gb",
        "8 GiB",
        "unlimited",
        "/workspace",
        "docker exec -it run-1._.1000",
    ):
        assert text in panel[0].facts.value
    assert panel[0].remove.disabled


def test_stop_start_and_remove(
    panel: tuple[ContainerPanel, Background], source: ScriptedSource
) -> None:
    click(panel, "stop")
    assert "run-1 is stopped" in panel[0].heading.value
    assert panel[0].start in panel[0].footer.children
    assert not panel[0].remove.disabled
    click(panel, "start")
    assert "run-1 is running" in panel[0].heading.value
    click(panel, "stop")
    click(panel, "remove")
    assert source.requests("remove_container") == [], "it asks first"
    assert "/home/alice/workspace/run-1" in panel[0].question.value
    click(panel, "keep")
    assert panel[0].question.value == ""
    click(panel, "remove")
    click(panel, "sure")
    assert source.requests("remove_container") == ["run-1"]
    assert "run-1 was removed" in panel[0].heading.value
    assert panel[0].footer.children == (panel[0].another,)


def test_logs_are_escaped(panel: tuple[ContainerPanel, Background]) -> None:
    click(panel, "logs")
    assert "&lt;i&gt;hello" in panel[0].output.widget.value


def test_a_refusal_leaves_the_panel_usable(
    panel: tuple[ContainerPanel, Background], source: ScriptedSource
) -> None:
    source.refuse["stop_container"] = refusal("Docker does not answer.", "docker_unavailable")
    click(panel, "stop")
    assert "Docker does not answer." in panel[0].problem.value
    assert not panel[0].stop.disabled
    del source.refuse["stop_container"]
    click(panel, "stop")
    assert panel[0].problem.value == ""
    assert "run-1 is stopped" in panel[0].heading.value
