"""A container as one has it: what it is, how to open it, and what can be done with it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ipywidgets as W  # noqa: N812 - the name that the field uses

from ds01_jupyter.core.models import Container, Explanation, Logs
from ds01_jupyter.widgets.background import Background
from ds01_jupyter.widgets.life_view import can_keep_alive, kept_alive_html, life_html
from ds01_jupyter.widgets.limits_view import container_limits
from ds01_jupyter.widgets.log_view import LogView
from ds01_jupyter.widgets.markup import code, escape, facts
from ds01_jupyter.widgets.panel import Panel, button, html
from ds01_jupyter.widgets.problem import Problem, problem_box, problem_html
from ds01_jupyter.widgets.source import Connect, Source
from ds01_jupyter.widgets.why_drawing import why_html

LOG_LINES = 200


class ContainerPanel(Panel):
    """The container `name` with Stop, Start, Keep alive, Logs and Remove; `another` starts over."""

    css_class = "ds01-container"

    def __init__(
        self,
        connect: Connect,
        background: Background,
        name: str,
        another: Callable[[], None],
    ) -> None:
        self.name = name
        self._connect, self._background = connect, background
        self._container: Container | None = None
        self.heading = html("", "ds01-heading-box")
        self.facts = html("", "ds01-container-facts")
        self.life = html("", "ds01-life")
        self.problem = problem_box()
        self.output = LogView("Output of the container")
        self.stop = button("Stop", "ds01-stop", icon="stop")
        self.start = button("Start", "ds01-start", icon="play", style="primary")
        self.alive = button("Keep it alive", "ds01-keep-alive", icon="clock-o")
        self.logs = button("Logs", "ds01-logs", icon="file-text-o")
        self.past = button("What happened", "ds01-past-button", icon="question-circle-o")
        self.refresh = button("Refresh", "ds01-refresh", icon="refresh")
        self.remove = button("Remove", "ds01-remove", icon="trash")
        self.sure = button("Yes, remove it", "ds01-remove-sure", icon="trash", style="danger")
        self.keep = button("Keep it", "ds01-remove-keep")
        self.another = button("Create another", "ds01-another", icon="plus")
        self.state = html("", "ds01-busy")
        self.footer = W.HBox([])
        self.footer.add_class("ds01-footer")
        self.question = html("", "ds01-question")
        super().__init__(
            (self.heading, self.facts, self.life, self.problem, self.question, self.footer)
        )
        self._wire(another)

    def load(self) -> None:
        """Ask the server what the container is now."""
        self._run("Looking…", lambda client: client.container(self.name), self._show)

    def _wire(self, another: Callable[[], None]) -> None:
        name = self.name
        self.stop.on_click(
            lambda _: self._run("Stopping…", lambda c: c.stop_container(name), self._reload)
        )
        self.start.on_click(
            lambda _: self._run("Starting…", lambda c: c.start_container(name), self._reload)
        )
        self.sure.on_click(
            lambda _: self._run("Removing…", lambda c: c.remove_container(name), self._removed)
        )
        self.alive.on_click(lambda _: self._run("Asking…", self._keep_alive, self._kept_alive))
        self.logs.on_click(
            lambda _: self._run(
                "Reading…", lambda c: c.container_logs(name, LOG_LINES), self._show_logs
            )
        )
        self.past.on_click(
            lambda _: self._run("Looking…", lambda c: c.why_container(name), self._tell)
        )
        self.refresh.on_click(lambda _: self.load())
        self.remove.on_click(lambda _: self._ask())
        self.keep.on_click(lambda _: self._offer())
        self.another.on_click(lambda _: another())

    def _run(self, words: str, call: Callable[[Any], Any], done: Callable[[Any], None]) -> None:
        """Call the server in the background; the buttons wait and say what for."""
        self.problem.value = ""
        self._set_busy(words)

        def finished(answer: Any) -> None:
            self._set_busy("")
            done(answer)

        self._background.run(lambda: call(self._connect()), finished, self._failed)

    def _set_busy(self, words: str) -> None:
        inner = f"<span class='ds01-spinner'></span>{escape(words)}" if words else ""
        self.state.value = f"<span role='status'>{inner}</span>"
        for widget in self.footer.children:
            if isinstance(widget, W.Button):
                widget.disabled = bool(words)
        if not words:
            self._forbid()

    def _failed(self, problem: Problem) -> None:
        self._set_busy("")
        self.problem.value = problem_html(problem)
        if self._container is None:
            self.footer.children = (self.refresh, self.state)

    def _reload(self, _: Any) -> None:
        self.load()

    def _show(self, container: Container) -> None:
        self._container = container
        self.heading.value = heading_html(container)
        self.facts.value = facts_html(container)
        self.life.value = life_html(container)
        self._offer()

    def _keep_alive(self, client: Source) -> Container:
        client.keep_alive(self.name)
        return client.container(self.name)

    def _kept_alive(self, container: Container) -> None:
        self._show(container)
        self.question.value = kept_alive_html(container)

    def _offer(self) -> None:
        """The buttons that make sense in the present state."""
        running = self._container is not None and self._container.state == "running"
        first = self.stop if running else self.start
        self.question.value = ""
        alive = (self.alive,) if self._container and can_keep_alive(self._container) else ()
        past = () if running else (self.past,)
        self.footer.children = (
            first, *alive, self.logs, *past, self.refresh, self.remove, self.state,
        )  # fmt: skip
        self._forbid()

    def _forbid(self) -> None:
        running = self._container is not None and self._container.state == "running"
        self.remove.disabled = running
        self.remove.tooltip = "Stop it first" if running else "Remove the container"

    def _tell(self, explanation: Explanation) -> None:
        self.question.value = why_html(explanation, commands=False)

    def _ask(self) -> None:
        workspace = self._container.workspace if self._container else None
        stays = f" Your files in {code(workspace)} stay." if workspace else ""
        self.question.value = (
            f"<p class='ds01-notice'>Remove the container {code(self.name)}?{stays} "
            "What was installed by hand inside it is lost.</p>"
        )
        self.footer.children = (self.sure, self.keep, self.state)

    def _removed(self, _: None) -> None:
        workspace = self._container.workspace if self._container else None
        stays = f" Your files are in {code(workspace)}." if workspace else ""
        self.heading.value = (
            f"<h3 class='ds01-heading'>{escape(self.name)} was removed</h3>"
            f"<p class='ds01-notice ds01-notice-good' role='status'>Its GPU is free for others "
            f"again.{stays}</p>"
        )
        self.children = (self.heading, self.problem, self.footer)
        self.footer.children = (self.another,)

    def _show_logs(self, logs: Logs) -> None:
        self.output.clear()
        self.output.add(logs.text or "(no output yet)")
        self.output.flush()
        if self.output.widget not in self.children:
            self.children = (*self.children, self.output.widget)


def heading_html(container: Container) -> str:
    """Its name with its state, in words and colour."""
    state = "running" if container.state == "running" else "off"
    words = {"running": "is running", "exited": "is stopped", "created": "is not started"}
    said = words.get(container.state, f"is {container.state}")
    return (
        f"<h3 class='ds01-heading' role='status'><span class='ds01-dot ds01-dot-{state}' "
        f"aria-hidden='true'></span>{escape(container.name)} {escape(said)}</h3>"
    )


def facts_html(container: Container) -> str:
    """GPU, limits, folders and how to open it."""
    slots = [
        f"<b>{escape(gpu.slot or gpu.uuid)}</b>"
        + (f" {escape(gpu.profile)}" if gpu.profile else "")
        + (f" <span class='ds01-muted'>({escape(gpu.note)})</span>" if gpu.note else "")
        for gpu in container.gpus
    ]
    rows = {
        "GPU slot": ", ".join(slots) if slots else "none (CPU only)",
        **container_limits(container.limits),
    }
    if container.workspace:
        rows["Workspace"] = f"{code(container.workspace)} as {code('/workspace')}"
    if container.data:
        rows["Data"] = f"{code(container.data)} as {code('/data')}"
    if container.models:
        rows["Models"] = f"{code(container.models)} as {code('/models')}"
    rows["Image"] = code(container.image)
    if container.state == "running":
        rows["Open a shell"] = code(f"docker exec -it {container.full_name} bash")
        rows["or with AIME"] = code(f"mlc-open {container.name}")
    return facts(rows, "ds01-wide")
