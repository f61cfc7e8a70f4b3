"""The image wizard, phase by phase, without a browser."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from ds01_jupyter import widgets
from ds01_jupyter.core.models import ImageRequest
from ds01_jupyter.widgets.image_phases import ImageWizard
from ds01_jupyter.widgets.journey import Journey
from tests.unit.widgets_source import ScriptedSource, image, limits, refusal


@pytest.fixture
def source() -> ScriptedSource:
    return ScriptedSource()


@pytest.fixture
def journey(source: ScriptedSource) -> Iterator[Journey]:
    """The image wizard, loaded."""
    shown = widgets.image_wizard(source)
    shown.background.drain()
    yield shown
    shown.close()


def wizard(journey: Journey) -> ImageWizard:
    assert isinstance(journey.wizard, ImageWizard)
    return journey.wizard


def press(journey: Journey, button: Any) -> None:
    button.click()
    journey.background.drain()


def go_on(journey: Journey, title: str) -> None:
    press(journey, wizard(journey).next)
    assert wizard(journey).page.title == title, wizard(journey).problem.value


def to_review(journey: Journey) -> None:
    go_on(journey, "Packages")
    go_on(journey, "Review and build")


def test_next_next_build_is_enough(journey: Journey, source: ScriptedSource) -> None:
    assert "aria-current='step'" in wizard(journey).header.value
    assert "1/3 Framework" in wizard(journey).header.value
    to_review(journey)
    assert "3/3 Review and build" in wizard(journey).header.value
    assert wizard(journey).next.description == "Build image"
    press(journey, wizard(journey).next)
    (request,) = source.requests("create_image")
    pytorch = [row for row in source.catalogue().rows if row.framework == "Pytorch"]
    here = next(row for row in pytorch if row.local)
    assert here != pytorch[0], "the newest one would have to be downloaded"
    assert request == ImageRequest(
        name="my-pytorch", framework="Pytorch", version=here.version, base="defaults"
    )


def test_no_call_to_the_server_runs_where_cells_run(
    journey: Journey, source: ScriptedSource
) -> None:
    to_review(journey)
    assert {name.rsplit("_", 1)[0] for name in source.threads} == {"ds01-widget"}


def test_everything_chosen_is_asked_for(journey: Journey, source: ScriptedSource) -> None:
    first = wizard(journey).framework
    first.picker.framework.control.value = "Tensorflow"
    assert first.name.value == "my-tensorflow", "the suggestion follows the framework"
    first.name.control.value = "mine"
    first.picker.framework.control.value = "Pytorch"
    assert first.name.value == "mine", "what a person wrote stays"
    first.picker.version.control.value = "2.5.1"
    first.project.control.value = " ~/thesis "
    go_on(journey, "Packages")
    packages = wizard(journey).packages
    packages.base.control.value = "choose"
    boxes = {box.description: box for box in packages.own.children}
    for label, box in boxes.items():
        box.value = "<b>numpy</b>" in label or "<b>pandas</b>" in label
    packages.use_cases.children[1].value = True
    packages.pip.control.value = "einops, numpy >= 2\nsix"
    packages.apt.control.value = "ffmpeg graphviz"
    go_on(journey, "Review and build")
    press(journey, wizard(journey).next)
    (request,) = source.requests("create_image")
    assert request.model_dump() == {
        "name": "mine",
        "framework": "Pytorch",
        "version": "2.5.1",
        "architecture": None,
        "project": "~/thesis",
        "base": ["numpy", "pandas"],
        "use_cases": [source.packages().use_cases[1].key],
        "pip": ["einops", "numpy >= 2", "six"],
        "apt": ["ffmpeg", "graphviz"],
        "dockerfile": "ask",
    }


def test_back_and_next_lose_nothing(journey: Journey) -> None:
    to_review(journey)
    press(journey, wizard(journey).back)
    wizard(journey).packages.pip.control.value = "six"
    wizard(journey).packages.use_cases.children[0].value = True
    press(journey, wizard(journey).back)
    wizard(journey).framework.name.control.value = "other"
    assert wizard(journey).back.disabled
    to_review(journey)
    assert wizard(journey).packages.pip.value == "six"
    assert wizard(journey).packages.use_cases.children[0].value
    for text in ("other", "six"):
        assert text in wizard(journey).review.summary.value


def test_a_bad_name_is_refused_at_the_name(journey: Journey, source: ScriptedSource) -> None:
    source.refuse["preview_dockerfile"] = refusal("That is no name.", name="a b")
    wizard(journey).framework.name.control.value = "a b"
    go_on(journey, "Framework")
    assert "That is no name." in wizard(journey).framework.name.problem.value
    assert "Do this next." in wizard(journey).framework.name.problem.value
    assert wizard(journey).problem.value == ""
    del source.refuse["preview_dockerfile"]
    go_on(journey, "Packages")
    assert wizard(journey).framework.name.problem.value == ""


@pytest.mark.parametrize(
    ("field", "text", "details"),
    [
        ("pip", "numpy; rm -rf /", {"package": "numpy; rm -rf /", "kind": "pip"}),
        ("apt", "git-", {"package": "git-", "kind": "apt"}),
    ],
)
def test_a_bad_package_is_refused_at_its_field(
    journey: Journey, source: ScriptedSource, field: str, text: str, details: dict[str, str]
) -> None:
    go_on(journey, "Packages")
    getattr(wizard(journey).packages, field).control.value = text
    source.refuse["preview_dockerfile"] = refusal("It cannot be installed.", **details)
    go_on(journey, "Packages")
    assert source.requests("preview_dockerfile")[-1].model_dump()[field] == [text]
    shown = {name: getattr(wizard(journey).packages, name).problem.value for name in ("pip", "apt")}
    assert "It cannot be installed." in shown.pop(field)
    assert list(shown.values()) == [""]
    assert not wizard(journey).next.disabled


def test_a_use_case_that_is_gone_is_refused_at_the_use_cases(
    journey: Journey, source: ScriptedSource
) -> None:
    go_on(journey, "Packages")
    wizard(journey).packages.use_cases.children[0].value = True
    key = source.packages().use_cases[0].key
    source.refuse["preview_dockerfile"] = refusal("There is no such set.", use_case=key)
    go_on(journey, "Packages")
    assert "There is no such set." in wizard(journey).packages.use_case_problem.value


def test_a_refusal_of_an_earlier_field_goes_back_to_it(
    journey: Journey, source: ScriptedSource
) -> None:
    go_on(journey, "Packages")
    source.refuse["preview_dockerfile"] = refusal("The name is taken.", name="my-pytorch")
    go_on(journey, "Framework")
    assert "The name is taken." in wizard(journey).framework.name.problem.value


def test_a_refusal_of_no_field_stands_below(journey: Journey, source: ScriptedSource) -> None:
    source.refuse["preview_dockerfile"] = refusal("Docker does not answer.", "docker_unavailable")
    go_on(journey, "Framework")
    assert "Docker does not answer." in wizard(journey).problem.value


def test_a_defect_is_shown_and_not_swallowed(journey: Journey, source: ScriptedSource) -> None:
    source.refuse["preview_dockerfile"] = ZeroDivisionError("by zero")
    go_on(journey, "Framework")
    assert "by zero" in wizard(journey).problem.value


def test_a_server_that_is_away_can_be_tried_again(source: ScriptedSource) -> None:
    source.refuse["catalogue"] = refusal("No server.", "server_unreachable")
    shown = widgets.image_wizard(source)
    shown.background.drain()
    assert "No server." in wizard(shown).problem.value
    assert wizard(shown).retry in wizard(shown).footer.children
    del source.refuse["catalogue"]
    press(shown, wizard(shown).retry)
    assert wizard(shown).problem.value == ""
    go_on(shown, "Packages")
    shown.close()


def test_an_edited_dockerfile_needs_a_decision(journey: Journey, source: ScriptedSource) -> None:
    source.state = "edited"
    to_review(journey)
    assert wizard(journey).next.disabled
    wizard(journey).review.edited.control.value = "keep"
    assert not wizard(journey).next.disabled
    press(journey, wizard(journey).next)
    assert source.requests("create_image")[0].dockerfile == "keep"


@pytest.mark.parametrize("state", ["new", "same", "changed"])
def test_any_other_dockerfile_needs_none(
    journey: Journey, source: ScriptedSource, state: str
) -> None:
    source.state = state
    to_review(journey)
    assert wizard(journey).review.question.children == ()
    assert f"ds01-badge-{state}" in wizard(journey).review.state.value
    assert "/home/alice/dockerfiles/my-pytorch.Dockerfile" in wizard(journey).review.state.value
    assert "&lt;b&gt;my-pytorch" in wizard(journey).review.dockerfile.value
    assert not wizard(journey).next.disabled


def test_a_taken_name_is_not_suggested(source: ScriptedSource) -> None:
    source.own_images = [image("my-pytorch")]
    shown = widgets.image_wizard(source)
    shown.background.drain()
    assert wizard(shown).framework.name.value == "my-pytorch-2"
    shown.close()


def test_another_architecture_brings_its_catalogue(
    journey: Journey, source: ScriptedSource
) -> None:
    first = wizard(journey).framework
    assert first.architecture.value == "CUDA_ADA"
    assert source.requests("catalogue") == [None]
    first.architecture.control.value = "CUDA_BLACKWELL"
    journey.background.drain()
    assert source.requests("catalogue") == [None, "CUDA_BLACKWELL"]
    row = first.picker.row
    assert row is not None
    assert "CUDA_BLACKWELL" in row.architectures
    go_on(journey, "Packages")
    assert source.requests("preview_dockerfile")[0].architecture == "CUDA_BLACKWELL"


def test_boxes_are_made_only_when_somebody_chooses(journey: Journey) -> None:
    go_on(journey, "Packages")
    packages = wizard(journey).packages
    assert packages.own.children == ()
    packages.base.control.value = "choose"
    made = packages.own.children
    assert len(made) == 14
    packages.base.control.value = "none"
    assert packages.own.children == ()
    packages.base.control.value = "choose"
    assert packages.own.children == made, "they are kept, with what was chosen"


def test_the_guided_mode_can_be_switched_off(journey: Journey) -> None:
    assert "ds01-guided" in wizard(journey)._dom_classes
    wizard(journey).guide.value = False
    assert "ds01-guided" not in wizard(journey)._dom_classes


@pytest.mark.parametrize(("used", "warned"), [(2, False), (3, True)])
def test_a_container_that_would_be_refused_is_told_before_the_build(
    source: ScriptedSource, used: int, warned: bool
) -> None:
    source.report = limits(used)
    shown = widgets.create_wizard(source)
    shown.background.drain()
    assert ("3 of 3 containers" in wizard(shown).framework.warning.value) is warned
    shown.close()


def test_limits_that_cannot_be_read_do_not_hinder_a_build(source: ScriptedSource) -> None:
    source.refuse["limits"] = refusal("limits.yaml:3 has a mistake.", "configuration_error")
    shown = widgets.create_wizard(source)
    shown.background.drain()
    assert "limits.yaml:3" in wizard(shown).framework.warning.value
    go_on(shown, "Packages")
    shown.close()
