"""Long work while it runs: progress, live log, elapsed time, Cancel, and how it ended."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import ipywidgets as W  # noqa: N812 - the name that the field uses

from ds01_jupyter.core.models import Operation, OperationEvent, StepProgress
from ds01_jupyter.widgets.background import Background
from ds01_jupyter.widgets.log_view import LogView
from ds01_jupyter.widgets.markup import escape, seconds
from ds01_jupyter.widgets.panel import Panel, button, html
from ds01_jupyter.widgets.problem import Problem, problem_box, problem_html
from ds01_jupyter.widgets.source import Connect, Source

REFRESH = 0.25
"""Seconds between two updates of the browser, however much the server says."""
FINAL = frozenset({"succeeded", "failed", "cancelled", "interrupted"})
"""States in which an operation has ended."""


class OperationView(Panel):
    """Follows `operation`; calls `succeeded` with its last state, or offers the way `back`."""

    css_class = "ds01-operation"

    def __init__(
        self,
        connect: Connect,
        background: Background,
        operation: Operation,
        *,
        succeeded: Callable[[Operation], None],
        back: Callable[[Problem | None], None],
    ) -> None:
        self.operation = operation
        self._connect, self._background = connect, background
        self._succeeded, self._back = succeeded, back
        self._progress: StepProgress | None = operation.progress
        self._began = time.monotonic()
        self._seen = 0
        self._problem: Problem | None = None
        self._over = threading.Event()
        self._drawing = threading.Lock()
        self.output = LogView("Output of the build")
        self.bar = html("", "ds01-progress-box")
        self.problem = problem_box()
        self.cancel = button("Cancel", "ds01-cancel", icon="times")
        self.again = button("Follow again", "ds01-follow", icon="refresh", style="primary")
        self.change = button("Back to change things", "ds01-change", icon="arrow-left")
        self.footer = W.HBox([self.cancel])
        self.footer.add_class("ds01-footer")
        self.cancel.on_click(lambda _: self._cancel())
        self.again.on_click(lambda _: self.follow())
        self.change.on_click(lambda _: self._back(self._problem))
        self.title = html(f"<h3 class='ds01-heading'>{escape(operation.title)}</h3>")
        super().__init__((self.title, self.bar, self.problem, self.output.widget, self.footer))
        self._draw()

    def follow(self) -> None:
        """Read the events in a thread of its own, and draw in another, until it has ended."""
        self._over = threading.Event()
        self.problem.value = ""
        self.footer.children = (self.cancel,)
        for work in (self._read, self._keep_drawing):
            threading.Thread(
                target=work, args=(self._over,), name="ds01-operation-view", daemon=True
            ).start()

    def join(self, timeout: float = 60.0) -> bool:
        """Wait until it has ended; False when it has not by then."""
        return self._over.wait(timeout)

    def close(self) -> None:
        """Stop following. The operation itself goes on."""
        self._over.set()
        super().close()

    # ---- the reading thread

    def _read(self, over: threading.Event) -> None:
        try:
            client = self._connect()
            for event in client.events(self.operation.id, after=self._seen):
                if over.is_set():
                    return
                self._take(event)
                if event.kind == "state" and event.state in FINAL:
                    break
            ended = self._outcome(client)
        except Exception as error:  # shown to the person, who can follow again
            over.set()
            self._lost(Problem.of(error))
            return
        if over.is_set():
            return
        over.set()
        self._end(ended)

    def _outcome(self, client: Source) -> Operation:
        """The ended operation. The final event may be out a moment before its document is."""
        ended = client.operation(self.operation.id)
        while ended.state not in FINAL and not self._over.wait(0.1):
            ended = client.operation(self.operation.id)
        return ended

    def _take(self, event: OperationEvent) -> None:
        self._seen = event.id
        if event.kind == "log" and event.text is not None:
            self.output.add(event.text)
        elif event.kind == "progress":
            self._progress = event.progress
        elif event.state is not None:
            self.operation = self.operation.model_copy(update={"state": event.state})

    def _end(self, ended: Operation) -> None:
        self.operation = ended
        self._draw()
        if ended.state == "succeeded":
            self._succeeded(ended)
            return
        if ended.state == "cancelled":
            self._problem = None
            self.problem.value = (
                "<p class='ds01-notice'>It was cancelled. What you entered is still here.</p>"
            )
        else:
            error = ended.error
            said = Problem.of(error) if error else Problem(f"It ended as {ended.state}.")
            self._problem = said
            self.problem.value = problem_html(said)
        self.footer.children = (self.change,)

    def _lost(self, problem: Problem) -> None:
        """The connection broke: the work goes on at the server, and can be followed again."""
        self._draw()
        self.problem.value = problem_html(problem)
        self.footer.children = (self.again, self.change)

    # ---- the drawing thread

    def _keep_drawing(self, over: threading.Event) -> None:
        while not over.wait(REFRESH):
            self._draw()

    def _draw(self) -> None:
        if self.closed:
            return
        with self._drawing:  # both threads draw; the last word must be the last state
            elapsed = seconds(time.monotonic() - self._began)
            drawn = progress_html(self.operation.state, self._progress, elapsed)
            if drawn != self.bar.value:
                self.bar.value = drawn
            self.output.flush()

    def _cancel(self) -> None:
        self.cancel.disabled = True
        self.cancel.description = "Cancelling…"
        self._background.run(
            lambda: self._connect().cancel_operation(self.operation.id),
            lambda _: None,
            self._not_cancelled,
        )

    def _not_cancelled(self, problem: Problem) -> None:
        self.cancel.disabled = False
        self.cancel.description = "Cancel"
        self.problem.value = problem_html(problem)


_WORDS = {
    "queued": "Waiting for its turn",
    "running": "Starting",
    "succeeded": "Done",
    "failed": "Failed",
    "cancelled": "Cancelled",
    "interrupted": "Interrupted",
}


def progress_html(state: str, progress: StepProgress | None, elapsed: str) -> str:
    """A bar with its words. Without a fraction it only shows that something goes on."""
    known = progress.fraction if progress else None
    percent = 100 if state == "succeeded" else None if known is None else round(known * 100)
    going = state in ("queued", "running")
    words = _WORDS.get(state, state)
    if going and progress is not None:
        words = " · ".join(part for part in (progress.phase, progress.detail) if part)
        words = words[:1].upper() + words[1:]
    css = f"ds01-progress ds01-progress-{state}"
    if percent is None and going:
        css += " ds01-progress-open"
    value = f" aria-valuenow='{percent}'" if percent is not None else ""
    figure = f"{percent} % · " if percent is not None and going else ""
    return (
        f"<div class='ds01-progress-words'><span role='status'>{escape(words)}</span>"
        f"<span class='ds01-muted'>{figure}{escape(elapsed)}</span></div>"
        f"<div class='{css}' role='progressbar' aria-label='{escape(words)}' aria-valuemin='0'"
        f" aria-valuemax='100'{value}><div style='width:{percent or 0}%'></div></div>"
    )


def finished_html(title: str, text: str) -> str:
    """A line that says that something is done."""
    return (
        f"<p class='ds01-notice ds01-notice-good' role='status'><b>{escape(title)}</b> "
        f"{escape(text)}</p>"
    )
