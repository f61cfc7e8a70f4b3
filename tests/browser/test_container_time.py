"""The time of a container in a real JupyterLab: the notice below a cell, the bars, the button.

The lab behind it is a stand-in that answers with containers about to be stopped: that those
answers are right is what tests/engine shows.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.conftest import RESULTS
from tests.browser.lab import Lab, Notebook, running_lab
from tests.unit import lab_standin as standins
from tests.unit.lab_standin import Answer, Request, Standin
from tests.unit.lives import HOUR, deadline, life, notice

pytestmark = [pytest.mark.browser]

PANEL = """
from ds01_jupyter.client import Client
from ds01_jupyter.widgets.background import Background
from ds01_jupyter.widgets.container_panel import ContainerPanel
from ds01_jupyter.widgets.panel import Root
client, root = Client.discover(), Root()
panel = ContainerPanel(lambda: client, Background(), "thesis", lambda: None)
root.show(panel)
panel.load()
root
""".strip()


def ahead(**by: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=20, **by)).isoformat()


class Time:
    """A container that idles out in 40 minutes, until it is kept alive."""

    def __init__(self) -> None:
        self.kept = False

    def container(self) -> dict[str, Any]:
        stops = deadline("runtime_stop", ahead(hours=100), 168)
        idles = deadline("idle_stop", ahead(minutes=40), 48, True)
        more: dict[str, Any] = {"activity": "idle", "activity_from": "cpu", "idle": 47.3 * HOUR}
        if self.kept:
            idles = deadline("idle_stop", ahead(hours=72), 48)
            more = {"activity_from": "keep_alive", "keep_alive_until": ahead(hours=24)}
        return standins.container("thesis", life=life(idles, stops, running=68 * HOUR, **more))

    def keep(self, _: Request) -> Answer:
        self.kept = True
        return Answer(body=self.container())


@pytest.fixture(scope="module")
def time() -> Time:
    return Time()


@pytest.fixture(scope="module")
def standin(time: Time) -> Iterator[Standin]:
    with standins.running(Standin()) as server:
        server.replies = {
            "GET containers": lambda _: Answer(body=[time.container()]),
            "GET containers/thesis": lambda _: Answer(body=time.container()),
            "POST containers/thesis/keep-alive": time.keep,
            "GET notices?after=0": lambda _: Answer(
                body=[notice(9, container="thesis", time=ahead(), at=ahead(minutes=40))]
            ),
            "GET notices?after=9": Answer(body=[]),
        }
        yield server


@pytest.fixture(scope="module")
def lab(standin: Standin, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """JupyterLab whose kernels find the stand-in."""
    folder: Path = tmp_path_factory.mktemp("lab")
    config = {"ServerApp": {"jpserver_extensions": {"ds01_jupyter": False, "jupyterlab": True}}}
    environment = {"DS01_SERVER_URL": f"{standin.url()}?token=abc"}
    with running_lab(folder / "jupyter", environment, config) as running:
        yield running


@pytest.fixture
def notebook(
    browser: Browser, lab: Lab, time: Time, request: pytest.FixtureRequest
) -> Iterator[Notebook]:
    time.kept = False
    opened = Notebook(browser, lab, f"{request.node.name}.ipynb", width=1400)
    opened.page.keyboard.press("Control+b")
    opened.run("%load_ext ds01_jupyter")
    yield opened
    opened.close()


def test_a_warning_stands_below_a_cell_and_its_command_keeps_the_container(
    notebook: Notebook,
) -> None:
    callout = notebook.page.locator(".ds01-callout")
    for number in range(100):
        notebook.run(f"print('cell {number}')")
        notebook.wait_idle()
        if callout.count():
            break
        notebook.page.wait_for_timeout(300)
    expect(callout).to_have_count(1)
    expect(callout).to_contain_text("ds01: thesis")
    expect(callout).to_contain_text("(in 40 min)")
    command = callout.locator("code")
    command.click()
    chosen = notebook.page.evaluate("window.getSelection().toString()")
    assert chosen.strip() == "%ds01 container keep-alive thesis", "one click chooses all of it"
    for width in (700, 1400):
        notebook.width(width)
        notebook.page.screenshot(path=RESULTS / f"notice-{width}.png")
    notebook.run("%ds01 container list")
    warned = notebook.page.locator(".ds01-view table .ds01-warn")
    expect(warned).to_contain_text("stops in 40 min (idle 47 h of 48 h)")
    headings = notebook.page.locator(".ds01-view th")
    expect(headings.filter(has_text="Created")).to_be_visible()
    notebook.width(700)
    expect(headings.filter(has_text="Created")).to_be_hidden()
    expect(headings.filter(has_text="Next")).to_be_visible()
    expect(callout).to_have_count(1)
    assert notebook.watch.errors == []


def test_the_panel_shows_the_time_and_keeps_the_container_alive(notebook: Notebook) -> None:
    notebook.run(PANEL)
    bars = notebook.find(".ds01-deadline")
    expect(bars).to_have_count(2)
    expect(notebook.find(".ds01-deadline-near")).to_contain_text("stops in 40 min")
    full, part = (
        bars.nth(number).locator(".ds01-deadline-bar span").bounding_box() for number in (0, 1)
    )
    assert full is not None
    assert part is not None
    assert full["width"] > 2 * part["width"]
    for width in (700, 1400):
        notebook.width(width)
        notebook.picture(RESULTS / f"time-{width}.png")
        assert notebook.sticking_out() == []
    notebook.dark()
    notebook.picture(RESULTS / "time-dark.png")
    notebook.light()
    notebook.press("ds01-keep-alive")
    expect(notebook.find(".ds01-question")).to_contain_text("thesis is kept alive")
    expect(notebook.find(".ds01-deadline-near")).to_have_count(0)
    expect(notebook.find(".ds01-life")).to_contain_text("kept alive until")
    notebook.picture(RESULTS / "time-kept.png")
    assert notebook.watch.errors == []
    assert notebook.watch.outside == []
