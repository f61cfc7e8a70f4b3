"""From an image with a running container to the next build and back, in a real JupyterLab."""

from __future__ import annotations

import re
import uuid
from contextlib import closing
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import RESULTS, Place
from tests.browser.lab import Notebook

pytestmark = [pytest.mark.engine, pytest.mark.browser]

BUILD = 240_000
"""Milliseconds that a build may take on a busy machine."""
WIDTHS = (700, 1400)
MAKE = """
%load_ext ds01_jupyter
%ds01 create {name} --framework Pytorch --version 2.5.1 --base none --pip {pip} --gpu 1g.5gb \
--workspace {workspace} --block
""".strip()
INSTALLED = "python3 -m pip list --format=freeze --disable-pip-version-check"


def fresh(package: str) -> str:
    """A requirement that no build had before, so that its build is another image."""
    return f"{package}!=0.0.{uuid.uuid4().int % 10**9}"


def pictures(notebook: Notebook, name: str) -> None:
    """At a narrow and at a wide window, and in the dark theme."""
    for width in WIDTHS:
        notebook.width(width, 1400)
        notebook.picture(RESULTS / f"{name}-{width}.png")
        assert notebook.sticking_out() == [], f"{name} at {width}"
    notebook.dark()
    notebook.picture(RESULTS / f"{name}-dark.png")
    notebook.light()


def packages_of(place: Place, container: str) -> str:
    """What is installed in a container, as pip tells it."""
    with closing(place.engine.client()) as docker:
        output: bytes = docker.containers.get(f"{container}._.0").exec_run(INSTALLED).output
        return output.decode()


def test_an_image_is_updated_its_container_recreated_and_rolled_back(
    notebook: Notebook, place: Place, tmp_path: Path
) -> None:
    name, first = f"{place.prefix}-up", fresh("six")
    notebook.page.keyboard.press("Control+b")
    notebook.width(1400, 1400)
    notebook.run(MAKE.format(name=name, pip=f"'{first}'", workspace=place.folder / "up"))
    output = notebook.page.locator(".jp-OutputArea-output")
    expect(output.filter(has_text="It runs.")).to_be_visible(timeout=BUILD)
    with closing(place.engine.client()) as docker:
        before = docker.containers.get(f"{name}._.0")
        devices = before.attrs["HostConfig"]["DeviceRequests"]
        before.exec_run("touch /workspace/kept /opt/gone")

    # change: what is there, a typo mended by a click, what would come
    notebook.run(f"%ds01 image update {name}")
    heading = notebook.find("[aria-current=step] .ds01-step-title")
    expect(heading).to_have_text("1/3 Change")
    expect(notebook.find(".ds01-own-package")).to_contain_text(first)
    answer = notebook.find(".ds01-resolution-answer")
    expect(answer).to_contain_text("1 package to install")
    expect(answer).to_contain_text("The image has all of it in these versions.")
    added = fresh("einops")
    notebook.find(".ds01-pip textarea").fill(added.replace("einops", "einopps"))
    problem = notebook.find(".ds01-resolution-problem")
    expect(problem).to_contain_text("There is no package einopps on the package index.")
    expect(notebook.find("button.ds01-next")).to_be_disabled()
    expect(notebook.find("button.ds01-next")).to_contain_text("Cannot be built: There is no")
    pictures(notebook, "update-problem")
    problem.locator("button.ds01-fix").click()
    expect(problem).to_have_count(0)
    expect(notebook.find(".ds01-pip textarea")).to_have_value("einops")
    notebook.find(".ds01-pip textarea").fill(added)
    expect(answer).to_contain_text(re.compile(r"New here: einops \d"))
    expect(answer).to_contain_text("2 packages to install")
    requirements = tmp_path / "requirements.txt"
    requirements.write_text("# mine\neinops>=0.1\n-e .\n")
    with notebook.page.expect_file_chooser() as chooser:
        notebook.press("ds01-upload")
    chooser.value.set_files(requirements)
    expect(notebook.find(".ds01-import")).to_contain_text("line 3")
    expect(notebook.find(".ds01-pip textarea")).to_have_value(added)
    expect(notebook.find(".ds01-apt textarea")).to_have_value("")
    expect(notebook.find(".ds01-resolution-state .ds01-spinner")).to_have_count(0)
    pictures(notebook, "update-change")

    # build
    expect(notebook.find("button.ds01-next")).to_have_text("Build it anew")
    notebook.press("ds01-next")
    expect(notebook.find(".ds01-notice-good").first).to_contain_text(
        f"{name} is build 2 now.", timeout=BUILD
    )
    changes = notebook.find(".ds01-diff")
    expect(changes).to_contain_text("1 added")
    expect(changes.locator(".ds01-change-added")).to_contain_text("einops")

    # containers
    offered = notebook.find(".ds01-recreate-list .ds01-package")
    expect(offered).to_contain_text("running, GPU slot")
    pictures(notebook, "update-built")
    notebook.press("ds01-recreate")
    expect(notebook.find(".ds01-notice-good", has_text="made anew")).to_be_visible(timeout=BUILD)
    expect(offered).to_have_count(0)
    assert "einops" in packages_of(place, name)
    with closing(place.engine.client()) as docker:
        after = docker.containers.get(f"{name}._.0")
        assert after.id != before.id
        assert after.status == "running"
        assert after.attrs["HostConfig"]["DeviceRequests"] == devices, "its slot is the same"
        assert after.exec_run("ls /workspace/kept").exit_code == 0
        assert after.exec_run("ls /opt/gone").exit_code != 0

    # and back
    notebook.press("ds01-rollback")
    expect(notebook.find(".ds01-notice-good").first).to_contain_text(f"{name} is build 1 again.")
    expect(notebook.find(".ds01-change-removed")).to_contain_text("einops")
    pictures(notebook, "update-back")
    notebook.press("ds01-recreate")
    expect(notebook.find(".ds01-notice-good", has_text="made anew")).to_be_visible(timeout=BUILD)
    assert "einops" not in packages_of(place, name)
    assert notebook.watch.errors == []
    assert notebook.watch.outside == []
