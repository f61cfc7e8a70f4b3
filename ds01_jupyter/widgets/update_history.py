"""The builds of an image that are kept, and the way back to one of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import ipywidgets as W  # noqa: N812 - the name that the field uses

from ds01_jupyter.core.models import Image, ImageBuild
from ds01_jupyter.render.units import ago
from ds01_jupyter.widgets.background import Background
from ds01_jupyter.widgets.markup import escape, size
from ds01_jupyter.widgets.panel import Panel, button, close_all, html
from ds01_jupyter.widgets.problem import Problem, problem_box, problem_html
from ds01_jupyter.widgets.source import Connect


class HistoryView(Panel):
    """A row for each build; `went_back` gets the image after it, and the build before it."""

    css_class = "ds01-history"

    def __init__(
        self,
        connect: Connect,
        background: Background,
        name: str,
        went_back: Callable[[Image, int | None], None],
    ) -> None:
        self.name = name
        self._connect, self._background, self._went_back = connect, background, went_back
        self._present: int | None = None
        self.problem = problem_box()
        self.rows = W.VBox([])
        super().__init__((self.rows, self.problem))

    def fill(self, builds: Sequence[ImageBuild], image: Image) -> None:
        """Show these builds."""
        before = self.rows.children
        self._present = image.build
        none = html("<p class='ds01-muted'>None is kept yet.</p>")
        self.rows.children = tuple(self._row(build) for build in builds) or (none,)
        close_all(before)

    def _row(self, build: ImageBuild) -> Any:
        packages = "" if build.packages is None else f" · {len(build.packages)} packages"
        state = "present" if build.current else "kept" if build.available else "removed"
        badge = f"<span class='ds01-badge ds01-badge-{state}'>{state}</span>"
        words = html(
            f"<b>Build {build.number}</b> {badge}"
            f" <span class='ds01-muted'>{escape(ago(build.created))} · {escape(size(build.size))}"
            f"{packages}</span>",
            "ds01-build-words",
        )
        children = [words]
        if build.available and not build.current:
            back = button(f"Go back to build {build.number}", "ds01-rollback", icon="undo")
            back.on_click(lambda _: self._go_back(build.number))
            children.append(back)
        row = W.HBox(children)
        row.add_class("ds01-build-row")
        return row

    def _go_back(self, number: int) -> None:
        self._wait(True)
        self.problem.value = ""

        def done(image: Image) -> None:
            self._wait(False)
            self._went_back(image, self._present)

        self._background.run(
            lambda: self._connect().rollback_image(self.name, number), done, self._failed
        )

    def _failed(self, problem: Problem) -> None:
        self._wait(False)
        self.problem.value = problem_html(problem)

    def _wait(self, waits: bool) -> None:
        for row in self.rows.children:
            for each in getattr(row, "children", ()):
                if isinstance(each, W.Button):
                    each.disabled = waits
