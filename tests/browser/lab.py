"""A real JupyterLab with the extension, and a Chromium in front of it, as a person has them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import (
    Browser,
    ConsoleMessage,
    Locator,
    Page,
    Request,
    expect,
    sync_playwright,
)

CHROMIUM = "/usr/bin/chromium"
CHROMIUM_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 90
PATIENCE = 60_000
"""Milliseconds that anything in a page may take on a busy machine."""
expect.set_options(timeout=PATIENCE)
EMPTY_NOTEBOOK: dict[str, Any] = {
    "cells": [
        {"cell_type": "code", "execution_count": None, "id": "one", "metadata": {}, "outputs": [],
         "source": []}
    ],
    "metadata": {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}
    },
    "nbformat": 4,
    "nbformat_minor": 5,
}  # fmt: skip


@dataclass
class Lab:
    """A running JupyterLab. `home` is the HOME of the person that it serves."""

    url: str
    token: str
    home: Path
    log: Path

    def notebook(self, name: str) -> str:
        """Write an empty notebook and return the address that opens it."""
        (self.home / name).write_text(json.dumps(EMPTY_NOTEBOOK), encoding="utf-8")
        return f"{self.url}lab/tree/{name}?reset&token={self.token}"


def _environment(
    folder: Path, extra: Mapping[str, str], config: Mapping[str, Any]
) -> dict[str, str]:
    """An environment of its own, so that nothing of this account or of another test leaks in."""
    home = folder / "home"
    settings = folder / "config" / "labconfig"
    for path in (home, settings):
        path.mkdir(parents=True)
    page = {"disabledExtensions": {"@jupyterlab/apputils-extension:announcements": True}}
    (settings / "page_config.json").write_text(json.dumps(page), encoding="utf-8")
    (folder / "config" / "jupyter_server_config.json").write_text(
        json.dumps(dict(config)), encoding="utf-8"
    )
    kept = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("JUPYTER", "DS01_", "JPY_", "XDG_"))
    }
    return {
        **kept,
        "HOME": str(home),
        "JUPYTER_CONFIG_DIR": str(folder / "config"),
        "JUPYTER_DATA_DIR": str(folder / "data"),
        "JUPYTER_RUNTIME_DIR": str(folder / "runtime"),
        "IPYTHONDIR": str(folder / "ipython"),
        "PYTHONPATH": str(ROOT),
        **extra,
    }


@contextmanager
def running_lab(
    folder: Path, environment: Mapping[str, str], config: Mapping[str, Any]
) -> Iterator[Lab]:
    """Start JupyterLab in `folder`; stop it, and what it started, at the end.

    `config` is what an admin would write into `jupyter_server_config.json`.
    """
    env = _environment(folder, environment, config)
    home = Path(env["HOME"])
    log = folder / "jupyterlab.log"
    command = [
        sys.executable,
        *("-m", "jupyterlab", "--no-browser", "--allow-root", "--ip=127.0.0.1", "--port=0"),
        "--LabApp.extension_manager=readonly",
    ]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=home, env=env, stdout=output, stderr=subprocess.STDOUT
        )
        try:
            url, token = _address(process, Path(env["JUPYTER_RUNTIME_DIR"]), log)
            yield Lab(url, token, home, log)
        finally:
            process.terminate()
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _address(process: subprocess.Popen[bytes], runtime: Path, log: Path) -> tuple[str, str]:
    """URL and token, once the server answers."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        for path in runtime.glob(f"jpserver-{process.pid}.json"):
            try:
                server = json.loads(path.read_text(encoding="utf-8"))
                request = urllib.request.Request(
                    f"{server['url']}api/status",
                    headers={"Authorization": f"token {server['token']}"},
                )
                with urllib.request.urlopen(request, timeout=5):
                    return server["url"], server["token"]
            except (ValueError, urllib.error.URLError, OSError):
                pass  # half written, or not listening yet
        time.sleep(0.1)
    raise RuntimeError(f"JupyterLab did not start:\n{log.read_text(errors='replace')[-4000:]}")


@dataclass
class Watch:
    """What must not happen in a page: errors on its console, requests off this machine."""

    errors: list[str] = field(default_factory=list)
    outside: list[str] = field(default_factory=list)

    def console(self, message: ConsoleMessage) -> None:
        """Keep errors.

        Chromium drops what it is loading when the machine's network changes, which every start
        and stop of a container does here; the page asks again.
        """
        if message.type == "error" and "ERR_NETWORK_CHANGED" not in message.text:
            self.errors.append(f"{message.text} ({message.location.get('url', '')})")

    def request(self, request: Request) -> None:
        """Keep what does not go to loopback."""
        parts = urlsplit(request.url)
        local = parts.hostname in ("127.0.0.1", "localhost") or parts.scheme in ("data", "blob")
        if not local:
            self.outside.append(request.url)


@contextmanager
def chromium() -> Iterator[Browser]:
    """A headless Chromium of the system."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, headless=True, args=CHROMIUM_ARGUMENTS
        )
        try:
            yield browser
        finally:
            browser.close()


class Notebook:
    """A notebook in the browser; `watch` remembers what must not happen."""

    def __init__(self, browser: Browser, lab: Lab, name: str, width: int = 1280) -> None:
        self.watch = Watch()
        self.page: Page = browser.new_page(viewport={"width": width, "height": 1000})
        self.page.set_default_timeout(PATIENCE)
        self.page.on("console", self.watch.console)
        self.page.on("pageerror", lambda error: self.watch.errors.append(str(error)))
        self.page.on("request", self.watch.request)
        self.page.goto(lab.notebook(name))
        self.wait_idle()

    def wait_idle(self) -> None:
        """Wait until the kernel waits for work."""
        idle = ".jp-NotebookPanel:visible .jp-Notebook-ExecutionIndicator[data-status='idle']"
        self.page.wait_for_selector(idle)

    def run(self, source: str) -> None:
        """Type `source` into the cell that is there last, and run it."""
        cells = self.page.locator(".jp-NotebookPanel:visible .jp-CodeCell")
        cell = cells.nth(cells.count() - 1)
        editor = cell.locator(".cm-content")
        editor.click()
        self.page.keyboard.insert_text(source)
        for _ in range(5):
            self.page.keyboard.press("Shift+Enter")
            try:
                expect(cell.locator(".jp-InputPrompt")).not_to_have_text("[ ]:", timeout=4_000)
            except AssertionError:
                editor.click()  # what is run while the kernel still connects is dropped
            else:
                return
        raise AssertionError(f"the kernel did not take {source!r}")

    def find(self, selector: str, has_text: str | None = None) -> Locator:
        """What is in sight of the wizards."""
        return self.page.locator(f".ds01 {selector}:visible", has_text=has_text)

    def press(self, css: str) -> None:
        """Press the button with the class `css`."""
        self.find(f"button.{css}").click()

    def dark(self) -> None:
        """Switch to the dark theme, as Settings > Theme does."""
        self._theme("JupyterLab Dark")

    def light(self) -> None:
        """Switch to the light theme."""
        self._theme("JupyterLab Light")

    def _theme(self, name: str) -> None:
        self.page.locator(".lm-MenuBar-item", has_text="Settings").click()
        for label in ("Theme", name):
            self.page.locator(f".lm-Menu-itemLabel:text-is('{label}')").click()
        light = "true" if "Light" in name else "false"
        self.page.wait_for_selector(f"body[data-jp-theme-light='{light}']", state="attached")
        self.page.wait_for_timeout(500)

    def width(self, width: int, height: int = 1000) -> None:
        """Make the window that wide."""
        self.page.set_viewport_size({"width": width, "height": height})
        self.page.wait_for_timeout(400)

    def picture(self, path: Path) -> None:
        """A picture of the wizard alone."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self.page.locator(".ds01:visible").last.screenshot(path=path)

    def sticking_out(self) -> list[str]:
        """What reaches over the right edge of the wizard in sight."""
        found: list[str] = self.page.locator(".ds01:visible").last.evaluate(
            """root => {
                const edge = root.getBoundingClientRect().right + 1;
                const inner = "pre, input, select, textarea, button, p, h3, dl, .widget-box";
                return [...root.querySelectorAll(inner)]
                    .filter(each => !each.parentElement.closest("pre, .ds01-log"))
                    .filter(each => each.getBoundingClientRect().right > edge)
                    .map(each => `${each.tagName} ${each.className}`);
            }"""
        )
        return found

    def close(self) -> None:
        """Close the page."""
        self.page.close()
