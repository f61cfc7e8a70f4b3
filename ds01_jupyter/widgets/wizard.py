"""The frame of a wizard: its phases, where one is in them, Back and Next.

A page is made when it is first seen and kept from then on, so going back and forth loses nothing.
All waiting happens in the background; while it lasts the buttons say so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import ipywidgets as W  # noqa: N812 - the name that the field uses

from ds01_jupyter.widgets.background import Background
from ds01_jupyter.widgets.markup import escape
from ds01_jupyter.widgets.panel import Panel, button, css_classes, html
from ds01_jupyter.widgets.problem import Problem, problem_box, problem_html


class Page(Panel):
    """One phase. `load` and `check` run in the background and may call the server."""

    css_class = "ds01-page"
    title = ""
    next_label = "Next"

    def load(self) -> Any:
        """Fetch what the page shows; called each time it is reached with Next."""
        return None

    def show(self, loaded: Any) -> None:
        """Put what `load` returned into the widgets, making them the first time."""

    def check(self) -> Any:
        """Ask the server whether what was entered can be; raise what it answers."""
        return None

    def accept(self, answer: Any) -> None:
        """Take the answer of `check`, before the next page is loaded."""

    def blame(self, problem: Problem | None) -> bool:
        """Show `problem` at the field that caused it and return True, or return False.

        None takes all such marks away.
        """
        return False

    def ready(self) -> bool:
        """Whether Next may be pressed."""
        return True


class Wizard(Panel):
    """Pages one after the other; `finished` gets the answer of the last page's `check`."""

    css_class = "ds01-wizard"

    def __init__(
        self,
        heading: str,
        pages: Sequence[Page],
        background: Background,
        finished: Callable[[Any], None],
        *,
        parts: tuple[str, ...] = (),
        part: int = 0,
        guided: bool = True,
    ) -> None:
        self.pages = pages
        self.index = 0
        self.busy = False
        self._heading, self._parts, self._part = heading, parts, part
        self._background, self._finished = background, finished
        self.header = html("", "ds01-header")
        self.notice = html("", "ds01-notice-box")
        self.guide = W.Checkbox(value=guided, description="Explain each choice", indent=False)
        self.guide.add_class("ds01-guide")
        self.loading = html("<p>Asking the server…</p>", "ds01-loading")
        self.body = W.VBox([self.loading])
        self.body.add_class("ds01-body")
        self.problem = problem_box()
        self.back = button("Back", "ds01-back", icon="arrow-left")
        self.next = button("Next", "ds01-next", style="primary")
        self.retry = button("Try again", "ds01-retry", icon="refresh", style="primary")
        self.state = html("", "ds01-busy")
        self.footer = W.HBox([self.back, self.next, self.state])
        self.footer.add_class("ds01-footer")
        self.back.on_click(lambda _: self._go_back())
        self.next.on_click(lambda _: self.go_next())
        self.retry.on_click(lambda _: self.start(self.index))
        self.guide.observe(lambda _: self._guide(), "value")
        top = W.HBox([self.header, self.guide])
        top.add_class("ds01-top")
        super().__init__((top, self.notice, self.body, self.problem, self.footer))
        self._guide()
        self._head()

    @property
    def page(self) -> Page:
        """The page in sight."""
        return self.pages[self.index]

    def start(self, index: int = 0) -> None:
        """Load page `index` and show it; earlier pages are loaded too, to be there for Back."""
        self._set_busy("Asking the server…")
        self.problem.value = ""

        def load() -> list[Any]:
            return [page.load() for page in self.pages[: index + 1]]

        def shown(loaded: list[Any]) -> None:
            for page, fresh in zip(self.pages, loaded, strict=False):
                page.show(fresh)
            self._turn_to(index)

        self._background.run(load, shown, self._not_loaded)

    def go_next(self) -> None:
        """Check this page with the server and go on to the next one."""
        if self.busy:
            return
        self._clear()
        self._set_busy("Checking…")
        self._background.run(self.page.check, self._checked, self.refuse)

    def refuse(self, problem: Problem) -> None:
        """Show `problem` at the field that caused it, on its page; else below this page."""
        for index in range(self.index, -1, -1):
            if self.pages[index].blame(problem):
                self._turn_to(index)
                return
        self.problem.value = problem_html(problem)
        self._set_busy("")

    def update(self) -> None:
        """Let the buttons follow what the page says about itself."""
        # While busy they only look so: a button that is disabled loses the keyboard's focus.
        for each in (self.back, self.next):
            css_classes(each, {"ds01-waiting": self.busy})
        self.back.disabled = self.index == 0
        self.next.disabled = not self.page.ready()
        self.next.description = self.page.next_label
        self.next.tooltip = self.page.next_label

    def _checked(self, answer: Any) -> None:
        self.page.accept(answer)
        following = self.index + 1
        if following == len(self.pages):
            self._set_busy("")
            self._finished(answer)
            return

        def shown(loaded: Any) -> None:
            self.pages[following].show(loaded)
            self._turn_to(following)

        self._background.run(self.pages[following].load, shown, self.refuse)

    def _go_back(self) -> None:
        if self.index and not self.busy:
            self._clear()
            self._turn_to(self.index - 1)

    def _turn_to(self, index: int) -> None:
        moved = index != self.index
        self.index = index
        self.body.children = (self.page,)
        self.footer.children = (self.back, self.next, self.state)
        self._head()
        self._set_busy("")
        if moved:
            # Brings the top into sight, and Tab leads from there into the page. The header itself
            # cannot have the focus: ipywidgets gives it to inputs and buttons only.
            self.guide.focus()

    def _not_loaded(self, problem: Problem) -> None:
        self.body.children = ()
        self.problem.value = problem_html(problem)
        self.footer.children = (self.retry, self.state)
        self._set_busy("")

    def _clear(self) -> None:
        self.problem.value = ""
        for page in self.pages:
            page.blame(None)

    def _set_busy(self, words: str) -> None:
        self.busy = bool(words)
        inner = f"<span class='ds01-spinner'></span>{escape(words)}" if words else ""
        self.state.value = f"<span role='status'>{inner}</span>"
        self.update()

    def _guide(self) -> None:
        if self.guide.value:
            self.add_class("ds01-guided")
        else:
            self.remove_class("ds01-guided")

    def _head(self) -> None:
        titles = [page.title for page in self.pages]
        self.header.value = header_html(
            self._heading, titles, self.index, parts=self._parts, part=self._part
        )


def header_html(
    heading: str,
    titles: Sequence[str],
    index: int,
    *,
    parts: Sequence[str] = (),
    part: int = 0,
) -> str:
    """The heading, and the phases as a list in which one sees where one is."""
    count = len(titles)
    steps = []
    for number, title in enumerate(titles):
        where = "done" if number < index else "now" if number == index else "ahead"
        current = " aria-current='step'" if where == "now" else ""
        mark = "✓" if where == "done" else str(number + 1)
        steps.append(
            f"<li class='ds01-step ds01-step-{where}'{current}>"
            f"<span class='ds01-step-mark' aria-hidden='true'>{mark}</span>"
            f"<span class='ds01-step-title'>{number + 1}/{count} {escape(title)}</span></li>"
        )
    over = ""
    if parts:
        over = f"<p class='ds01-part'>Part {part + 1} of {len(parts)}: {escape(parts[part])}</p>"
    return (
        f"{over}<h3 class='ds01-heading'>{escape(heading)}</h3>"
        f"<ol class='ds01-steps' aria-label='Phases'>{''.join(steps)}</ol>"
    )
