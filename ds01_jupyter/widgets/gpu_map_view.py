"""Who has which GPU slot: a row for each GPU, its slots drawn to scale."""

from __future__ import annotations

import threading
from typing import Any

import ipywidgets as W  # noqa: N812 - the name that the field uses

from ds01_jupyter.core.models import GpuSnapshot
from ds01_jupyter.widgets.background import Background
from ds01_jupyter.widgets.gpu_drawing import snapshot_html
from ds01_jupyter.widgets.panel import Root, button, html
from ds01_jupyter.widgets.problem import Problem, problem_box, problem_html
from ds01_jupyter.widgets.source import Source, connector

INTERVAL = 3.0
"""Seconds between two looks while the map follows."""


class GpuMap(Root):
    """The map, with a button to look again and a toggle to keep looking."""

    def __init__(self, client: Source | None, *, follow: bool = False) -> None:
        super().__init__()
        self.add_class("ds01-gpu-map")
        self._connect = connector(client)
        self._background = Background()
        self._user: str | None = None
        self._stop = threading.Event()
        self._waiting = False
        self.map = html("<p class='ds01-loading'>Asking the server…</p>", "ds01-map")
        self.problem = problem_box()
        self.refresh = button("Refresh", "ds01-map-refresh", icon="refresh")
        self.auto = W.Checkbox(value=False, description=f"Every {INTERVAL:g} seconds", indent=False)
        self.auto.add_class("ds01-map-auto")
        bar = W.HBox([self.refresh, self.auto])
        bar.add_class("ds01-footer")
        self.stage.children = (self.map, self.problem, bar)
        self.refresh.on_click(lambda _: self.look())
        self.auto.observe(lambda change: self._follow(change["new"]), "value")
        self.look()
        self.auto.value = follow

    def look(self) -> None:
        """Ask the server, unless an answer is still awaited."""
        if self._waiting or self.closed:
            return
        self._waiting = True
        self._background.run(self._ask, self._show, self._failed)

    def drain(self) -> None:
        """Wait until everything asked so far is shown."""
        self._background.drain()

    def close(self) -> None:
        """End the threads and forget the widgets."""
        self._stop.set()
        self._background.close()
        super().close()

    def _ask(self) -> GpuSnapshot:
        client = self._connect()
        if self._user is None:
            self._user = client.about().user
        return client.gpus()

    def _show(self, snapshot: GpuSnapshot) -> None:
        self._waiting = False
        self.problem.value = ""
        self.map.value = snapshot_html(snapshot, self._user or "")

    def _failed(self, problem: Problem) -> None:
        """Say so, above what was last seen: it is no longer sure."""
        self._waiting = False
        self.problem.value = problem_html(problem)
        if "ds01-loading" in self.map.value:
            self.map.value = ""

    def _follow(self, wanted: Any) -> None:
        self._stop.set()
        if not wanted:
            return
        self._stop = threading.Event()
        threading.Thread(
            target=self._keep_looking, args=(self._stop,), name="ds01-gpu-map", daemon=True
        ).start()

    def _keep_looking(self, stop: threading.Event) -> None:
        while not stop.wait(INTERVAL):
            self.look()
