"""Updating an image, phase by phase, without a browser."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ds01_jupyter import widgets
from ds01_jupyter.core import models
from ds01_jupyter.widgets import resolution_view
from ds01_jupyter.widgets.update_flow import ImageUpdate, UpdatedPanel, UpdateFlow
from ds01_jupyter.widgets.update_page import UpdateWizard
from tests.unit import image_documents as documents
from tests.unit.widgets_source import ScriptedSource, container, image, refusal


@pytest.fixture
def source() -> ScriptedSource:
    source = ScriptedSource()
    source.own_images = [
        image(
            "demo", build=1, base="none", pip=["Six>=1", "tqdm"], apt=["git"], use_cases=["cv"],
            framework="Pytorch-2.5.1", containers=["run", "off"],
            packages={"six": "1.17.0", "tqdm": "4.66"}, outdated=["<b>Changed</b> by hand."],
        )
    ]  # fmt: skip
    source.own_containers = {"run": container("run"), "off": container("off", "exited", gpus=[])}
    return source


@pytest.fixture
def update(source: ScriptedSource, monkeypatch: pytest.MonkeyPatch) -> Iterator[ImageUpdate]:
    monkeypatch.setattr(resolution_view.ResolutionView.__init__, "__kwdefaults__", {"pause": 0.0})
    shown = widgets.image_update(source, "demo")
    shown.background.drain()
    yield shown
    shown.close()


def wizard(update: ImageUpdate) -> UpdateWizard:
    assert isinstance(update.flow.wizard, UpdateWizard)
    return update.flow.wizard


def settle(update: ImageUpdate) -> None:
    assert wizard(update).change.resolution.settle()


def press(update: ImageUpdate, button: Any) -> None:
    button.click()
    update.background.drain()


def wait_for(check: Callable[[], bool]) -> None:
    """Work ends in threads of its own."""
    deadline = time.monotonic() + 10
    while not check():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def arrived(update: ImageUpdate) -> UpdatedPanel:
    """The last phase, once no work is in sight any more and its figures are there."""
    wait_for(lambda: isinstance(update.flow.view, UpdatedPanel))
    update.background.drain()
    return update.flow.view


def build(update: ImageUpdate) -> UpdatedPanel:
    press(update, wizard(update).next)
    return arrived(update)


def test_what_is_there_is_shown_and_kept(update: ImageUpdate, source: ScriptedSource) -> None:
    settle(update)
    page = wizard(update).change
    assert "1/3 Change" in wizard(update).header.value
    assert [box.value for box in page.rows.children] == [True] * 3
    assert "1.17.0" in page.rows.children[0].description
    assert "&lt;b&gt;Changed&lt;/b&gt; by hand." in page.warning.value
    (asked,) = source.requests("resolve_image")
    assert (asked.framework, asked.version, asked.base) == ("Pytorch", "2.5.1", "none")
    assert (asked.pip, asked.use_cases) == (["Six>=1", "tqdm"], ["cv"])
    press(update, wizard(update).next)
    (changes,) = source.requests("update_image")
    assert changes == models.ImageUpdateRequest(), "nothing is changed that nobody changed"


def test_everything_changed_is_asked_for(update: ImageUpdate, source: ScriptedSource) -> None:
    page = wizard(update).change
    page.rows.children[0].value = False
    page.rows.children[2].value = False
    page.pip.control.value = "einops\ntqdm>=4.67"
    page.apt.control.value = "ffmpeg"
    page._cards["cv"].value = False
    page._cards["nlp"].value = True
    page.base.control.value = "defaults"
    page.version.control.value = page.version.control.options[-1]
    page.refresh.value = True
    settle(update)
    asked = source.requests("resolve_image")[-1]
    assert (asked.pip, asked.apt) == (["einops", "tqdm>=4.67"], ["ffmpeg"])
    assert "tqdm 4.66 → 1.0" not in page.resolution.answer.value
    press(update, wizard(update).next)
    (changes,) = source.requests("update_image")
    assert changes == models.ImageUpdateRequest(
        add_pip=["einops", "tqdm>=4.67"],
        remove_pip=["six"],
        add_apt=["ffmpeg"],
        remove_apt=["git"],
        use_cases=["nlp"],
        base="defaults",
        version=page.version.value,
        refresh=True,
    )


def test_the_difference_to_what_is_there_is_told(
    update: ImageUpdate, source: ScriptedSource
) -> None:
    def resolve(request: models.ImageRequest) -> models.Resolution:
        packages = [documents.package("tqdm", "4.67"), documents.package("einops", "0.8")]
        if "Six>=1" in request.pip:
            packages = [documents.package("six"), documents.package("tqdm", "4.66")]
        return models.Resolution.model_validate(documents.resolution(*packages))

    settle(update)
    source.resolution = resolve
    # As when somebody is faster than the first answer.
    page = wizard(update).change
    present = update.flow.wizard.change._present.image  # type: ignore[union-attr]
    page.resolution.compare(source.requests("resolve_image")[0], present.packages or {})
    page.rows.children[0].value = False
    wizard(update).change.pip.control.value = "einops"
    settle(update)
    said = wizard(update).change.resolution.answer.value
    assert "New here: <b>einops 0.8</b>" in said
    assert "Changes: <b>tqdm 4.66 → 4.67</b>" in said
    assert "Goes: <b>six</b>." in said


def test_a_row_is_mended_by_a_click(update: ImageUpdate, source: ScriptedSource) -> None:
    def resolve(request: models.ImageRequest) -> models.Resolution:
        bad = "Six>=1" in request.pip
        problems = [documents.typo("six", "six<2") | {"kind": "framework"}] if bad else []
        return models.Resolution.model_validate(documents.resolution(problems=problems))

    source.resolution = resolve
    page = wizard(update).change
    page.pip.control.value = "einops"
    settle(update)
    assert wizard(update).next.disabled
    assert wizard(update).next.description.startswith("Cannot be built: ")
    page.resolution.problems.children[0].children[1].click()
    settle(update)
    assert page.rows.children[0].value is False
    assert page.pip.value == "einops\nsix<2"
    assert (wizard(update).next.disabled, wizard(update).next.description) == (
        False,
        "Build it anew",
    )


def test_after_the_build_containers_are_offered_and_recreated_in_turn(
    update: ImageUpdate, source: ScriptedSource
) -> None:
    panel = build(update)
    assert "demo is build 2 now." in panel.notice.value
    assert source.requests("image_diff") == [(1, 2)]
    assert "What changed: 1 added, 1 removed, 1 changed" in panel.diff.value
    assert list(panel._boxes) == ["run", "off"]
    assert "running, GPU slot 2:1" in panel._boxes["run"].description
    assert "exited, CPU only" in panel._boxes["off"].description
    assert "everything outside the workspace goes." in panel.question.value
    press(update, panel.recreate)
    wait_for(lambda: "off was made anew" in panel.notice.value)
    assert source.requests("recreate_container") == ["run", "off"]
    assert arrived(update) is panel
    assert panel.containers.children == ()
    assert panel.recreate not in panel.footer.children
    assert "run was made anew" in panel.notice.value


def test_only_chosen_containers_are_recreated(update: ImageUpdate, source: ScriptedSource) -> None:
    panel = build(update)
    for box in panel._boxes.values():
        box.value = False
    press(update, panel.recreate)
    assert "No container is chosen." in panel.problem.value
    panel._boxes["off"].value = True
    press(update, panel.recreate)
    wait_for(lambda: "off was made anew" in panel.notice.value)
    assert source.requests("recreate_container") == ["off"]
    assert list(panel._boxes) == ["run"]


def test_a_container_that_cannot_be_recreated_stays_on_offer(
    update: ImageUpdate, source: ScriptedSource
) -> None:
    panel = build(update)
    source.refuse["recreate_container"] = refusal("Docker does not answer.")
    press(update, panel.recreate)
    assert update.flow.view is panel
    assert "Docker does not answer." in panel.problem.value
    assert list(panel._boxes) == ["run", "off"]


def test_a_build_that_fails_leads_back_with_everything_entered(
    update: ImageUpdate, source: ScriptedSource
) -> None:
    source.ending = "failed"
    source.error = models.ErrorDocument(code="build_failed", message="Step 3 failed.")
    wizard(update).change.pip.control.value = "einops"
    press(update, wizard(update).next)
    view = update.flow.view
    assert view.join()
    wait_for(lambda: view.change in view.footer.children)
    press(update, view.change)
    assert update.flow.view is wizard(update)
    assert "Step 3 failed." in wizard(update).problem.value
    assert wizard(update).change.pip.value == "einops"


def test_an_edited_part_of_the_dockerfile_is_a_question(
    update: ImageUpdate, source: ScriptedSource
) -> None:
    source.refuse["update_image"] = refusal("It was changed by hand.", "dockerfile_edited")
    press(update, wizard(update).next)
    page = wizard(update).change
    assert "It was changed by hand." in page.question.children[0].value
    assert wizard(update).next.disabled
    page.edited.control.value = "keep"
    assert not wizard(update).next.disabled
    del source.refuse["update_image"]
    press(update, wizard(update).next)
    assert source.requests("update_image")[-1].dockerfile == "keep"


@pytest.mark.parametrize(("state", "told"), [("same", False), ("edited", True)])
def test_what_is_kept_of_an_edited_dockerfile_is_told(
    source: ScriptedSource, state: str, told: bool
) -> None:
    source.state = state
    shown = widgets.image_update(source, "demo")
    shown.background.drain()
    said = wizard(shown).change.warning.value
    assert ("demo.Dockerfile</code> is kept" in said) is told
    shown.close()


def test_going_back_to_a_build(update: ImageUpdate, source: ScriptedSource) -> None:
    source.own_images = [source.own_images[0].model_copy(update={"build": 2})]
    panel = build(update)
    rows = [row for row in panel.history.rows.children if len(row.children) == 2]
    assert rows[-1].children[1].description == "Go back to build 1"
    press(update, rows[-1].children[1])
    update.background.drain()
    after = update.flow.view
    assert after is not panel
    assert source.requests("rollback_image") == [1]
    assert "demo is build 1 again." in after.notice.value
    assert source.requests("image_diff")[-1] == (3, 1)
    assert list(after._boxes) == ["run", "off"]
    assert panel.closed


def test_a_build_that_is_gone_is_refused_at_its_row(
    update: ImageUpdate, source: ScriptedSource
) -> None:
    source.refuse["rollback_image"] = refusal("Build 2 was removed.", "not_found")
    history = wizard(update).change.history
    press(update, history.rows.children[0].children[1])
    assert "Build 2 was removed." in history.problem.value
    assert not history.rows.children[0].children[1].disabled


def test_an_image_that_is_not_there_is_told(source: ScriptedSource) -> None:
    source.refuse["image"] = refusal("You have no image demo.", "not_found")
    shown = widgets.image_update(source, "demo")
    shown.background.drain()
    assert "You have no image demo." in wizard(shown).problem.value
    shown.close()


def test_from_a_built_image_to_its_change(source: ScriptedSource) -> None:
    shown = widgets.image_wizard(source)
    shown.background.drain()
    shown._image_built("demo", source.operation("op"))
    shown.view.update.click()
    shown.background.drain()
    assert isinstance(shown.view, UpdateFlow)
    assert shown.view.wizard is not None
    assert "Update demo" in shown.view.wizard.header.value
    shown.close()


def test_closing_ends_every_thread(source: ScriptedSource) -> None:

    shown = widgets.image_update(source, "demo")
    shown.background.drain()
    assert wizard(shown).change.resolution.settle()
    thread = wizard(shown).change.resolution._latest._thread
    assert isinstance(thread, threading.Thread)
    shown.close()
    thread.join(10)
    assert not thread.is_alive()
