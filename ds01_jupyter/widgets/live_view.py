"""A view that asks the server, shows the answer, and looks again when told or by itself."""

from __future__ import annotations

import threading
from abc import abstractmethod
from typing import Any

import ipywidgets as W  # noqa: N812 - the name that the field uses

from ds01_jupyter.widgets.background import Background
from ds01_jupyter.widgets.panel import Root, button, html
from ds01_jupyter.widgets.problem import Problem, problem_box, problem_html
from ds01_jupyter.widgets.source import Source, connector

INTERVAL = 5.0
"""Seconds between two looks while a view follows."""


class LiveView(Root):
    """Subclasses say what to `ask` (in the background) and how to `draw` the answer as HTML.

    `name` is part of the classes that the stylesheet and tests know the view by.
    """

    name = "live"

    def __init__(self, client: Source | None, *, follow: bool = False) -> None:
        super().__init__()
        self.add_class(f"ds01-{self.name}-view")
        self._connect = connector(client)
        self._background = Background()
        self._stop = threading.Event()
        self._waiting = False
        self.body = html("<p class='ds01-loading'>Asking the server…</p>", f"ds01-{self.name}")
        self.problem = problem_box()
        self.refresh = button("Refresh", f"ds01-{self.name}-refresh", icon="refresh")
        self.auto = W.Checkbox(value=False, description=f"Every {INTERVAL:g} seconds", indent=False)
        self.auto.add_class("ds01-map-auto")
        self.bar = W.HBox([self.refresh, self.auto])
        self.bar.add_class("ds01-footer")
        self.stage.children = (self.body, self.problem, self.bar)
        self.refresh.on_click(lambda _: self.look())
        self.auto.observe(lambda change: self._follow(change["new"]), "value")
        self.auto.value = follow

    @abstractmethod
    def ask(self, client: Source) -> Any:
        """What the server knows; called in the background."""

    @abstractmethod
    def draw(self, answer: Any) -> str:
        """The answer as HTML."""

    def shown(self, answer: Any) -> None:
        """Called when the answer is in sight."""

    def look(self) -> None:
        """Ask the server, unless an answer is still awaited."""
        if self._waiting or self.closed:
            return
        self._waiting = True
        self._background.run(lambda: self.ask(self._connect()), self._show, self._failed)

    def drain(self) -> None:
        """Wait until everything asked so far is shown."""
        self._background.drain()

    def close(self) -> None:
        """End the threads and forget the widgets."""
        self._stop.set()
        self._background.close()
        super().close()

    def _show(self, answer: Any) -> None:
        self._waiting = False
        self.problem.value = ""
        self.body.value = self.draw(answer)
        self.shown(answer)

    def _failed(self, problem: Problem) -> None:
        """Say so, below what was last seen: it is no longer sure."""
        self._waiting = False
        self.problem.value = problem_html(problem)
        if "ds01-loading" in self.body.value:
            self.body.value = ""

    def _follow(self, wanted: Any) -> None:
        self._stop.set()
        if not wanted:
            return
        self._stop = threading.Event()
        threading.Thread(
            target=self._keep_looking, args=(self._stop,), name=f"ds01-{self.name}", daemon=True
        ).start()

    def _keep_looking(self, stop: threading.Event) -> None:
        while not stop.wait(INTERVAL):
            self.look()
