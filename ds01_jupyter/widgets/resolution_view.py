"""What the chosen packages come to, live: asked while a person chooses, shown as it comes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import ipywidgets as W  # noqa: N812 - the name that the field uses

from ds01_jupyter.commands.image_change import hopeless
from ds01_jupyter.core.models import ImageRequest, Resolution, ResolutionProblem
from ds01_jupyter.render.resolution_views import way_out
from ds01_jupyter.widgets.latest import Latest
from ds01_jupyter.widgets.markup import escape
from ds01_jupyter.widgets.panel import Panel, button, close_all, html
from ds01_jupyter.widgets.problem import Problem
from ds01_jupyter.widgets.resolution_drawing import Here, resolution_html
from ds01_jupyter.widgets.source import Connect

PAUSE = 0.8
"""Seconds without a change after which the server is asked."""
SAME = frozenset({"name", "project", "dockerfile"})
"""What has nothing to do with the packages."""


class ResolutionView(Panel):
    """`ask` it with what is chosen. `take` gets a problem whose suggestion was clicked, and
    `settled` is called when an answer came or ceased to hold."""

    css_class = "ds01-resolution"

    def __init__(
        self,
        connect: Connect,
        take: Callable[[ResolutionProblem], None],
        settled: Callable[[], None],
        *,
        fixable: Callable[[ResolutionProblem], bool],
        pause: float = PAUSE,
    ) -> None:
        self._take, self._settled, self._fixable = take, settled, fixable
        self._asked: dict[str, Any] | None = None
        self._found: tuple[dict[str, Any], Resolution] | None = None
        self.here: Here | None = None
        """What an image has now, where one is changed; see `compare`."""
        self._connect = connect
        self._unchanged: ImageRequest | None = None
        self.state = html("", "ds01-resolution-state")
        self.answer = html("", "ds01-resolution-answer")
        self.problems = W.VBox([])
        self._latest: Latest[ImageRequest, Resolution] = Latest(
            self._resolve, self._show, self._failed, pause
        )
        super().__init__((self.state, self.answer, self.problems))

    def ask(self, request: ImageRequest, *, now: bool = False) -> None:
        """Find out about these packages, unless they are being looked at already."""
        question = _question(request)
        if question == self._asked:
            return
        self._asked = question
        self.add_class("ds01-resolution-old")
        self.state.value = (
            "<span role='status'><span class='ds01-spinner'></span>Looking what these packages "
            "come to…</span>"
        )
        self._latest.ask(request, now=now)
        self._settled()  # what was known does not hold any more

    def compare(self, unchanged: ImageRequest, versions: Mapping[str, str]) -> None:
        """From now on tell the difference to an image that is there: what it was built from, and
        the packages that it has."""
        self._unchanged, self.here = unchanged, Here(versions)

    def _resolve(self, request: ImageRequest) -> Resolution:
        """In the view's thread. What the tiers of an image brought is asked for once, before."""
        client, here, unchanged = self._connect(), self.here, self._unchanged
        if here is not None and here.brought is None and unchanged is not None:
            before = client.resolve_image(unchanged)
            self.here = Here(here.versions, {package.name for package in before.packages})
            if _question(request) == _question(unchanged):
                return before
        return client.resolve_image(request)

    def found(self, request: ImageRequest) -> Resolution | None:
        """The answer for just this request; None when there is none (yet)."""
        if self._found is None:
            return None
        question, resolution = self._found
        return resolution if question == _question(request) else None

    def obstacle(self, request: ImageRequest) -> str:
        """Why this request cannot be built, in one sentence; empty when it can, or nobody knows."""
        resolution = self.found(request)
        if resolution is None or not hopeless(resolution):
            return ""
        return resolution.problems[0].message if resolution.problems else "It cannot be built."

    def settle(self, timeout: float = 30.0) -> bool:
        """Wait until the newest question is answered."""
        return self._latest.settle(timeout)

    def close(self) -> None:
        """End the thread too."""
        self._latest.close()
        super().close()

    def _show(self, request: ImageRequest, resolution: Resolution) -> None:
        self._found = (_question(request), resolution)
        self._settle(resolution_html(resolution, self.here))
        self._offer(resolution)
        self._settled()

    def _failed(self, request: ImageRequest, problem: Problem) -> None:
        """What could not be asked is told with a word; the build will judge."""
        self._found, self._asked = None, None
        self._settle(
            "<div class='ds01-verdict ds01-resolved' role='status'>"
            "<span class='ds01-verdict-mark' aria-hidden='true'>?</span><div>"
            f"<p>Not checked before the build: {escape(problem.message)}</p></div></div>"
        )
        self._offer(None)
        self._settled()

    def _settle(self, answer: str) -> None:
        self.remove_class("ds01-resolution-old")
        self.state.value = ""
        self.answer.value = answer

    def _offer(self, resolution: Resolution | None) -> None:
        before = self.problems.children
        found = resolution.problems if resolution else []
        self.problems.children = tuple(self._box(problem) for problem in found)
        close_all(before)

    def _box(self, problem: ResolutionProblem) -> Any:
        """One problem; with a button where its suggestion can be taken here."""
        said = (
            f"<details class='ds01-file'><summary>The resolver's own words</summary>"
            f"<pre class='ds01-dockerfile' tabindex='0'>{escape(problem.said)}</pre></details>"
            if problem.said
            else ""
        )
        hint = f"<p class='ds01-problem-hint'>{escape(problem.suggestion)}</p>"
        text = html(
            f"<div role='alert'><p class='ds01-problem-message'>{escape(problem.message)}</p>"
            f"{hint if problem.suggestion else ''}{said}</div>"
        )
        children = [text]
        if way_out(problem) and self._fixable(problem):
            fix = button(way_out(problem)[:-1], "ds01-fix", icon="magic")
            fix.on_click(lambda _: self._take(problem))
            children.append(fix)
        box = W.VBox(children)
        box.add_class("ds01-problem")
        box.add_class("ds01-resolution-problem")
        return box


def _question(request: ImageRequest) -> dict[str, Any]:
    """What an answer depends on."""
    return request.model_dump(exclude=set(SAME))
