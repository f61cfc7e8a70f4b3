"""The three phases of an update as one view: change, build, recreate; and back to a build."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import ipywidgets as W  # noqa: N812 - the name that the field uses

from ds01_jupyter.core.models import Container, Image, ImageBuild, ImageDiff, Operation
from ds01_jupyter.widgets.background import Background
from ds01_jupyter.widgets.markup import code, escape
from ds01_jupyter.widgets.operation_view import OperationView
from ds01_jupyter.widgets.panel import Panel, Root, button, html
from ds01_jupyter.widgets.problem import Problem, problem_box, problem_html
from ds01_jupyter.widgets.resolution_drawing import diff_html
from ds01_jupyter.widgets.source import Connect, Source, connector
from ds01_jupyter.widgets.update_history import HistoryView
from ds01_jupyter.widgets.update_page import PHASES, UpdateWizard
from ds01_jupyter.widgets.wizard import header_html

STAYS = "Name, workspace, limits and GPU slot stay; everything outside the workspace goes."


class ImageUpdate(Root):
    """What a cell displays."""

    def __init__(self, client: Source | None, name: str) -> None:
        super().__init__()
        self.background = Background()
        self.flow = UpdateFlow(connector(client), self.background, name)
        self.show(self.flow)
        self.flow.start()

    def close(self) -> None:
        """End the threads and close every view."""
        self.background.close()
        super().close()


class UpdateFlow(Panel):
    """One stage on which one view stands at a time."""

    css_class = "ds01-update"

    def __init__(self, connect: Connect, background: Background, name: str) -> None:
        self.name = name
        self._connect, self._background = connect, background
        self.wizard: UpdateWizard | None = None
        self.updated: UpdatedPanel | None = None
        self.view: Any = None
        super().__init__()

    def start(self) -> None:
        """From the first phase."""
        before, updated = self.wizard, self.updated
        self.wizard = UpdateWizard(
            self._connect, self._background, self.name, self._started, self._went_back
        )
        self.updated = None
        self.wizard.start()
        self._show(self.wizard)
        for gone in (before, updated):
            if gone is not None:
                gone.close()

    def _show(self, view: Any) -> None:
        gone, self.view = self.view, view
        self.children = (view,)
        if isinstance(gone, OperationView):
            gone.close()

    def _started(self, image: Image, operation: Operation) -> None:
        self._follow(operation, lambda ended: self._built(image, ended), self._back)

    def _built(self, before: Image, ended: Operation) -> None:
        image = Image.model_validate(ended.result)
        same = image.build is not None and image.build == before.build
        said = (
            f"{image.name} is built, and brings what it was already."
            if same
            else f"{image.name} is build {image.build} now."
            if image.build is not None
            else f"{image.name} is built."
        )
        self._tell(said, image, before.build, same=same)

    def _went_back(self, image: Image, before: int | None) -> None:
        said = f"{image.name} is build {image.build} again."
        self._tell(f"{said} Its Dockerfile stays as it is.", image, before)

    def _tell(self, said: str, image: Image, before: int | None, *, same: bool = False) -> None:
        gone = self.updated
        self.updated = UpdatedPanel(
            self._connect,
            self._background,
            said,
            image,
            before,
            same=same,
            recreate=self._recreate,
            again=self.start,
            went_back=self._went_back,
        )
        self.updated.load()
        self._show(self.updated)
        if gone is not None:
            gone.close()

    def _recreate(self, names: Sequence[str]) -> None:
        """One after the other; the rest stays as it is when one fails."""
        if not names:
            self._to_updated(None)
            return
        name, rest = names[0], names[1:]
        assert self.updated is not None, "containers are offered there only"
        updated = self.updated

        def begun(operation: Operation) -> None:
            self._follow(operation, succeeded, self._to_updated)

        def succeeded(_: Operation) -> None:
            updated.recreated(name)
            self._recreate(rest)

        self._background.run(
            lambda: self._connect().recreate_container(name), begun, self._to_updated
        )

    def _follow(
        self,
        operation: Operation,
        succeeded: Callable[[Operation], None],
        back: Callable[[Problem | None], None],
    ) -> None:
        view = OperationView(
            self._connect, self._background, operation, succeeded=succeeded, back=back
        )
        self._show(view)
        view.follow()

    def _to_updated(self, problem: Problem | None) -> None:
        assert self.updated is not None, "containers are offered there only"
        self._show(self.updated)
        self.updated.blame(problem)

    def _back(self, problem: Problem | None) -> None:
        assert self.wizard is not None, "work is only started by the wizard"
        self._show(self.wizard)
        if problem is not None:
            self.wizard.refuse(problem)


@dataclass(frozen=True)
class _Loaded:
    diff: ImageDiff | None
    containers: Sequence[Container]
    builds: Sequence[ImageBuild]


class UpdatedPanel(Panel):
    """3/3: what changed, the containers to bring up to date, and the way back."""

    css_class = "ds01-updated"

    def __init__(
        self,
        connect: Connect,
        background: Background,
        said: str,
        image: Image,
        before: int | None,
        *,
        same: bool,
        recreate: Callable[[Sequence[str]], None],
        again: Callable[[], None],
        went_back: Callable[[Image, int | None], None],
    ) -> None:
        """`before` is the build that the containers have; `same`: nothing changed at all."""
        self.image, self.before = image, before
        self._connect, self._background, self._same = connect, background, same
        self._recreate_these = recreate
        self._left = [] if same else list(image.containers)
        self._boxes: dict[str, Any] = {}
        self.header = html(header_html(f"Update {image.name}", PHASES, 2), "ds01-header")
        self.notice = html(_good(said), "ds01-notice-box")
        self.diff = html("", "ds01-diff")
        self.question = html("", "ds01-containers-question")
        self.containers = W.VBox([])
        self.containers.add_class("ds01-recreate-list")
        self.problem = problem_box()
        self.recreate = button("Recreate them", "ds01-recreate", icon="refresh", style="primary")
        self.again = button("Change it again", "ds01-again", icon="pencil")
        self.history = HistoryView(connect, background, image.name, went_back)
        self.footer = W.HBox([self.again])
        self.footer.add_class("ds01-footer")
        self.recreate.on_click(lambda _: self._go())
        self.again.on_click(lambda _: again())
        super().__init__(
            (
                self.header,
                self.notice,
                self.diff,
                self.question,
                self.containers,
                self.problem,
                self.footer,
                html("<p class='ds01-label'>Builds</p>", "ds01-label-box"),
                self.history,
            )
        )

    def load(self) -> None:
        """Fetch what changed, who uses the build before, and the builds."""
        self._background.run(self._fetch, self._fill, self.blame)

    def recreated(self, name: str) -> None:
        """A container has this build now."""
        self._left = [one for one in self._left if one != name]
        self.notice.value += _good(f"{name} was made anew and has it.")
        self._offer(self._known)

    def blame(self, problem: Problem | None) -> None:
        """Show what went wrong; None takes it away."""
        self.problem.value = problem_html(problem) if problem is not None else ""

    def _fetch(self) -> _Loaded:
        client, image = self._connect(), self.image
        diff = None
        if not self._same and self.before is not None and image.build is not None:
            diff = client.image_diff(image.name, self.before, image.build)
        return _Loaded(diff, client.containers(), client.image_builds(image.name))

    def _fill(self, loaded: _Loaded) -> None:
        self.diff.value = diff_html(loaded.diff) if loaded.diff is not None else ""
        self.history.fill(loaded.builds, self.image)
        self._known: Sequence[Container] = loaded.containers
        self._offer(loaded.containers)

    def _offer(self, known: Sequence[Container]) -> None:
        by_name = {one.name: one for one in known if one.managed}
        left = [name for name in self._left if name in by_name]
        self._boxes = {name: _container_box(by_name[name]) for name in left}
        self.containers.children = tuple(self._boxes.values())
        if not left:
            self.question.value = ""
            self.footer.children = (self.again,)
            return
        go = "this container goes" if len(left) == 1 else "these containers go"
        self.question.value = (
            f"<p class='ds01-label'>Recreate?</p><p>Until then {go} on with the build that "
            f"{'it was' if len(left) == 1 else 'they were'} made from. {escape(STAYS)} One that "
            "runs is stopped and started again.</p>"
        )
        self.recreate.description = "Recreate it" if len(left) == 1 else "Recreate these"
        self.footer.children = (self.recreate, self.again)

    def _go(self) -> None:
        chosen = [name for name, box in self._boxes.items() if box.value]
        self.blame(None)
        if not chosen:
            self.blame(Problem("No container is chosen.", "Tick those that are to be made anew."))
            return
        self._recreate_these(chosen)


def _container_box(container: Container) -> Any:
    slots = ", ".join(slot.slot or slot.uuid for slot in container.gpus)
    where = f"{container.state}{f', GPU slot {slots}' if slots else ', CPU only'}"
    workspace = f"; workspace {code(container.workspace)}" if container.workspace else ""
    box = W.Checkbox(
        value=True,
        description=f"<b>{escape(container.name)}</b> <span class='ds01-muted'>{escape(where)}"
        f"{workspace}</span>",
        description_allow_html=True,
        indent=False,
        tooltip=f"Recreate {container.name}",
    )
    box.add_class("ds01-package")
    return box


def _good(text: str) -> str:
    return f"<div class='ds01-notice ds01-notice-good' role='status'>{escape(text)}</div>"
