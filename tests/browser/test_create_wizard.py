"""From an empty notebook to a running container and back, as a person does it in JupyterLab."""

from __future__ import annotations

import re
import uuid
from contextlib import closing

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import RESULTS, Place
from tests.browser.lab import Notebook

pytestmark = [pytest.mark.engine, pytest.mark.browser]

BUILD = 240_000
"""Milliseconds that a build may take on a busy machine."""
WIDE, NARROW = 1280, 600


def open_wizard(notebook: Notebook) -> None:
    """Type the two lines into the empty notebook and wait for the first phase."""
    notebook.page.keyboard.press("Control+b")  # the file browser takes room
    notebook.run("%load_ext ds01_jupyter")
    notebook.run("%ds01 create")
    at(notebook, "1/3 Framework")
    expect(notebook.find(".ds01-framework .mod-active")).to_have_text("Pytorch")
    expect(notebook.find("button.ds01-next")).to_be_enabled()


def at(notebook: Notebook, title: str) -> None:
    """The phase that the stepper marks."""
    expect(notebook.find("[aria-current=step] .ds01-step-title")).to_have_text(title)


def go_on(notebook: Notebook, title: str) -> None:
    """Next, and the phase that follows."""
    notebook.press("ds01-next")
    at(notebook, title)


def pictures(notebook: Notebook, name: str) -> None:
    """The wizard at a wide and at a narrow window, and in the dark theme."""
    for width in (NARROW, WIDE):
        notebook.width(width, 1400)
        notebook.picture(RESULTS / f"{name}-{width}.png")
        assert notebook.sticking_out() == [], f"{name} at {width}"
    notebook.dark()
    notebook.picture(RESULTS / f"{name}-dark.png")
    notebook.light()


def small_image(notebook: Notebook, name: str, pip: str) -> None:
    """Fill the first two phases: the framework that is here, no base tier, `pip`."""
    notebook.find(".ds01-image-name input").fill(name)
    choose_version(notebook, "2.5.1")
    go_on(notebook, "2/3 Packages")
    notebook.find(".ds01-base label", has_text="None").click()
    notebook.find(".ds01-pip textarea").fill(pip)


def fresh(package: str) -> str:
    """A requirement that no build had before, so that its step cannot come from the cache."""
    return f"{package}!=0.0.{uuid.uuid4().int % 10**9}"


def choose_version(notebook: Notebook, version: str) -> None:
    """The version of the framework that is on this machine."""
    versions = notebook.find(".ds01-version select")
    label = f"{version} (on this machine)"
    expect(versions.locator("option", has_text=label)).to_have_count(1)
    versions.select_option(label=label)


def no_faults(notebook: Notebook) -> None:
    """Neither errors on the console nor a request off this machine."""
    assert notebook.watch.errors == []
    assert notebook.watch.outside == []
    assert (
        notebook.page.locator(".jp-OutputArea .jp-RenderedText[data-mime-type*=stderr]").count()
        == 0
    )


def test_from_an_empty_notebook_to_a_container_and_back(notebook: Notebook, place: Place) -> None:
    name = f"{place.prefix}-way"
    wanted = fresh("six")
    open_wizard(notebook)
    expect(notebook.find(".ds01-image-name input")).to_have_value("my-pytorch")
    pictures(notebook, "1-framework")

    small_image(notebook, name, wanted)
    notebook.find(".ds01-use-case-cv label").click()
    pictures(notebook, "2-packages")
    notebook.find(".ds01-use-case-cv label").click()
    go_on(notebook, "3/3 Review and build")
    dockerfile = notebook.find(".ds01-preview pre")
    expect(dockerfile).to_contain_text(f"FROM {place.engine.base_image}")
    expect(notebook.find(".ds01-summary")).to_contain_text(wanted)
    stored = place.dockerfiles / f"{name}.Dockerfile"
    expect(notebook.find(".ds01-state")).to_contain_text(str(stored))
    shown = dockerfile.inner_text()
    assert not stored.exists(), "a look at it writes nothing"
    pictures(notebook, "3-review")

    notebook.press("ds01-back")
    expect(notebook.find(".ds01-pip textarea")).to_have_value(wanted)
    go_on(notebook, "3/3 Review and build")
    expect(notebook.find(".ds01-guide input")).to_be_focused()

    notebook.press("ds01-next")
    expect(notebook.find(".ds01-log pre")).to_contain_text(re.compile(r"\w"), timeout=BUILD)
    notebook.picture(RESULTS / f"4-build-{WIDE}.png")
    expect(notebook.find(".ds01-part")).to_have_text("Part 2 of 2: your container", timeout=BUILD)
    at(notebook, "2/3 Name, folders and GPU")
    expect(notebook.find(".ds01-notice-good")).to_contain_text(f"Image {name} is built.")
    assert stored.read_text(encoding="utf-8").split() == shown.split()

    expect(notebook.find(".ds01-container-name input")).to_have_value(name)
    expect(notebook.find(".ds01-gpu label:has(input:checked)")).to_contain_text("Smallest free")
    expect(notebook.find(".ds01-limits")).to_contain_text("1 GiB")
    notebook.find(".ds01-workspace input").fill(str(place.folder / "way"))
    pictures(notebook, "6-gpu")
    notebook.press("ds01-back")
    at(notebook, "1/3 Image")
    expect(notebook.find(".ds01-own-image select")).to_have_value(re.compile(name))
    pictures(notebook, "5-image")
    go_on(notebook, "2/3 Name, folders and GPU")
    go_on(notebook, "3/3 Review and create")
    expect(notebook.find(".ds01-summary")).to_contain_text(str(place.folder / "way"))
    pictures(notebook, "7-create")

    notebook.press("ds01-next")
    expect(notebook.find(".ds01-container h3")).to_have_text(f"{name} is running", timeout=BUILD)
    facts = notebook.find(".ds01-container-facts")
    expect(facts).to_contain_text("1g.5gb")
    expect(facts).to_contain_text(f"docker exec -it {name}._.0 bash")
    pictures(notebook, "8-running")
    with closing(place.engine.client()) as docker:
        container = docker.containers.get(f"{name}._.0")
        assert container.status == "running"
        assert container.attrs["HostConfig"]["Memory"] == 2**30
        assert len(container.attrs["HostConfig"]["DeviceRequests"]) == 1

    notebook.press("ds01-logs")
    expect(notebook.find(".ds01-container .ds01-log pre")).to_be_visible()
    expect(notebook.find("button.ds01-remove")).to_be_disabled()
    notebook.press("ds01-stop")
    expect(notebook.find(".ds01-container h3")).to_have_text(f"{name} is stopped")
    notebook.press("ds01-start")
    expect(notebook.find(".ds01-container h3")).to_have_text(f"{name} is running")
    notebook.press("ds01-stop")
    expect(notebook.find(".ds01-container h3")).to_have_text(f"{name} is stopped")
    notebook.press("ds01-remove")
    expect(notebook.find(".ds01-question")).to_contain_text("Your files in")
    pictures(notebook, "9-remove")
    notebook.press("ds01-remove-sure")
    expect(notebook.find(".ds01-container h3")).to_have_text(f"{name} was removed")
    with closing(place.engine.client()) as docker:
        assert docker.containers.list(all=True, filters={"name": f"{name}._.0"}) == []
    assert (place.folder / "way").is_dir(), "the workspace outlives its container"
    no_faults(notebook)


def test_a_bad_package_is_refused_at_its_field(notebook: Notebook, place: Place) -> None:
    name = f"{place.prefix}-bad"
    open_wizard(notebook)
    notebook.find(".ds01-image-name input").fill("my image!")
    notebook.press("ds01-next")
    field = notebook.find(".ds01-field:has(.ds01-image-name)")
    expect(field.locator(".ds01-problem-message")).to_be_visible()
    at(notebook, "1/3 Framework")

    small_image(notebook, name, "six\nnumpy; rm -rf /")
    notebook.press("ds01-next")
    field = notebook.find(".ds01-field:has(.ds01-pip)")
    expect(field.locator(".ds01-problem-message")).to_contain_text("numpy; rm -rf /")
    expect(notebook.find(".ds01-problem")).to_have_count(1)
    at(notebook, "2/3 Packages")
    pictures(notebook, "bad-package")

    notebook.find(".ds01-pip textarea").fill("six")
    go_on(notebook, "3/3 Review and build")
    expect(notebook.find(".ds01-problem")).to_have_count(0)
    no_faults(notebook)


def test_a_build_is_cancelled_and_nothing_entered_is_lost(notebook: Notebook, place: Place) -> None:
    name = f"{place.prefix}-stop"
    wanted = "\n".join([fresh("six"), "scipy", "pandas", "matplotlib"])
    open_wizard(notebook)
    small_image(notebook, name, wanted)
    go_on(notebook, "3/3 Review and build")
    notebook.press("ds01-next")
    notebook.press("ds01-cancel")
    expect(notebook.find(".ds01-operation .ds01-notice")).to_contain_text(
        "It was cancelled", timeout=BUILD
    )
    with closing(place.engine.client()) as docker:
        made = [tag for image in docker.images.list() for tag in image.tags if name in tag]
    assert made == []
    pictures(notebook, "cancelled")

    notebook.press("ds01-change")
    at(notebook, "3/3 Review and build")
    notebook.press("ds01-back")
    expect(notebook.find(".ds01-pip textarea")).to_have_value(wanted)
    notebook.press("ds01-back")
    expect(notebook.find(".ds01-image-name input")).to_have_value(name)
    no_faults(notebook)


def test_the_gpu_map(notebook: Notebook) -> None:
    notebook.page.keyboard.press("Control+b")
    notebook.run("from ds01_jupyter.widgets import gpu_map; gpu_map()")
    expect(notebook.find(".ds01-gpu-row")).to_have_count(4)
    expect(notebook.find(".ds01-slot-free")).not_to_have_count(0)
    widths = [
        box["width"]
        for slot in notebook.find("[data-slot^='2:']").all()
        if (box := slot.bounding_box())
    ]
    assert widths == sorted(widths, reverse=True)
    assert widths[0] > 2 * widths[-1], "a slot is as wide as its share"
    pictures(notebook, "gpu-map")
    before = notebook.find(".ds01-map").inner_text()
    notebook.find(".ds01-map-auto input").check()
    expect(notebook.find(".ds01-map")).not_to_have_text(before)
    no_faults(notebook)
