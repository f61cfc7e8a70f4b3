"""What a wizard cell displays: the wizards, the work they start, and what one has in the end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import ipywidgets as W  # noqa: N812 - the name that the field uses

from ds01_jupyter.commands.requests import image_name
from ds01_jupyter.core.models import (
    Alternative,
    ContainerRequest,
    ImageRequest,
    Operation,
    QueueEntry,
)
from ds01_jupyter.widgets.background import Background
from ds01_jupyter.widgets.container_panel import ContainerPanel
from ds01_jupyter.widgets.container_phases import ContainerWizard
from ds01_jupyter.widgets.image_phases import ImageWizard
from ds01_jupyter.widgets.markup import escape
from ds01_jupyter.widgets.operation_view import OperationView
from ds01_jupyter.widgets.panel import Panel, Root, button, html
from ds01_jupyter.widgets.problem import Problem
from ds01_jupyter.widgets.queue_view import WaitingPanel
from ds01_jupyter.widgets.source import Source, connector
from ds01_jupyter.widgets.update_flow import UpdateFlow
from ds01_jupyter.widgets.why_view import RefusedPanel
from ds01_jupyter.widgets.wizard import Wizard

_PARTS = ("your image", "your container")


class Journey(Root):
    """One stage on which one view stands at a time; a wizard stays as it is behind its work."""

    def __init__(self, client: Source | None) -> None:
        super().__init__()
        self.add_class("ds01-journey")
        self.connect = connector(client)
        self.background = Background()
        self.wizard: Wizard | None = None
        self.view: Any = None
        self._parts: tuple[str, ...] = ()
        self._guided = True
        self._name: str | None = None
        """What the container is to be called, where that was said before the wizard opened."""

    @classmethod
    def create(cls, client: Source | None, name: str | None = None) -> Journey:
        """Image, then container; both are called `name` where it is given."""
        journey = cls(client)
        journey._parts = _PARTS
        journey._name = name
        journey.start_image(image_name(name) if name else None)
        return journey

    @classmethod
    def image(
        cls,
        client: Source | None,
        name: str | None = None,
        *,
        pip: Sequence[str] = (),
        apt: Sequence[str] = (),
    ) -> Journey:
        """The image alone; `pip` and `apt` are chosen already."""
        journey = cls(client)
        journey.start_image(name, pip, apt)
        return journey

    @classmethod
    def container(
        cls, client: Source | None, image: str | None, name: str | None = None
    ) -> Journey:
        """The container alone."""
        journey = cls(client)
        journey._name = name
        journey.start_container(image)
        return journey

    def start_image(
        self, name: str | None = None, pip: Sequence[str] = (), apt: Sequence[str] = ()
    ) -> None:
        """The image wizard from its first page."""
        self._begin(
            ImageWizard(
                self.connect,
                self.background,
                self._image_started,
                name=name,
                pip=pip,
                apt=apt,
                parts=self._parts,
                guided=self._guided,
            )
        )

    def start_update(self, name: str) -> None:
        """Change the packages of an image that is there."""
        flow = UpdateFlow(self.connect, self.background, name)
        flow.start()
        self._show(flow)

    def start_container(self, image: str | None = None, notice: str = "") -> None:
        """The container wizard; with an image that was just built, from its second page."""
        wizard = ContainerWizard(
            self.connect,
            self.background,
            self._container_started,
            self._no_slot,
            image=image,
            name=self._name,
            parts=self._parts,
            part=1,
            guided=self._guided,
        )
        wizard.notice.value = notice
        self._begin(wizard, page=1 if notice else 0)

    def close(self) -> None:
        """End the threads and close every view, those out of sight too."""
        self.background.close()
        super().close()

    def _begin(self, wizard: Wizard, page: int = 0) -> None:
        before = self.wizard
        self.wizard = wizard
        if before is not None:
            self._guided = wizard.guide.value = before.guide.value
        wizard.start(page)
        self._show(wizard)
        if before is not None:
            before.close()

    def _show(self, view: Any) -> None:
        """Put `view` on the stage; what stood there is closed, unless it is the wizard."""
        gone, self.view = self.view, view
        self.stage.children = (view,)
        if gone is not view and isinstance(gone, Panel) and not isinstance(gone, Wizard):
            gone.close()

    def _image_started(self, request: ImageRequest, operation: Operation) -> None:
        if self._name and request.name != image_name(self._name):
            # The person has thought of another name since; the container follows it.
            self._name = None
        self._follow(operation, lambda ended: self._image_built(request.name, ended))

    def _image_built(self, name: str, ended: Operation) -> None:
        name = _named(ended, name)
        view = self.view
        notice = _notice(f"Image {name} is built.", view)
        if self._parts:
            self.start_container(name, notice)
            return
        self._show(
            BuiltPanel(name, notice, self.start_container, self.start_update, self.start_image)
        )

    def _container_started(self, request: ContainerRequest, operation: Operation) -> None:
        self._follow(operation, lambda ended: self._created(_named(ended, request.name)))

    def _no_slot(self, request: ContainerRequest, problem: Problem) -> None:
        """Why there is none, and what one can do: wait, or take something else."""
        panel = RefusedPanel(
            self.connect,
            self.background,
            request,
            problem,
            wait=lambda: self._join(request),
            take=self._take,
            back=self._back_to_field,
        )
        self._show(panel)
        panel.load()

    def _join(self, request: ContainerRequest) -> None:
        self.background.run(
            lambda: self.connect().join_queue(request),
            lambda entry: self._wait(request, entry),
            self._failed_here,
        )

    def _wait(self, request: ContainerRequest, entry: QueueEntry) -> None:
        view = WaitingPanel(
            self.connect,
            self.background,
            entry,
            started=lambda operation: self._container_started(request, operation),
            left=lambda: self._back(None),
        )
        self._show(view)
        view.follow()

    def _take(self, instead: Alternative) -> None:
        """Ask for what can be had now; the wizard's choice follows."""
        wizard = self.wizard
        assert isinstance(wizard, ContainerWizard), "only its refusals offer something else"
        wizard.setup_page.choose(instead.gpu, instead.gpus)
        request = wizard.setup_page.container_request()
        self.background.run(
            lambda: self.connect().create_container(request),
            lambda operation: self._container_started(request, operation),
            self._back,
        )

    def _failed_here(self, problem: Problem) -> None:
        if isinstance(self.view, RefusedPanel):
            self.view.blame(problem)

    def _back_to_field(self, problem: Problem) -> None:
        """To the wizard, at the choice that was refused."""
        wizard = self.wizard
        assert isinstance(wizard, ContainerWizard), "only its refusals are explained"
        self._show(wizard)
        wizard.blame(problem)

    def _created(self, name: str) -> None:
        self._name = None  # it is taken now: another container gets another name
        panel = ContainerPanel(self.connect, self.background, name, self._another)
        self._show(panel)
        panel.load()

    def _another(self) -> None:
        self.start_container()

    def _follow(self, operation: Operation, succeeded: Callable[[Operation], None]) -> None:
        view = OperationView(
            self.connect,
            self.background,
            operation,
            succeeded=succeeded,
            back=self._back,
        )
        self._show(view)
        view.follow()

    def _back(self, problem: Problem | None) -> None:
        """Return to the wizard, everything as it was entered."""
        wizard = self.wizard
        assert wizard is not None, "work is only started by a wizard"
        self._show(wizard)
        if problem is not None:
            wizard.refuse(problem)


class BuiltPanel(Panel):
    """An image is there: what next?"""

    css_class = "ds01-built"

    def __init__(
        self,
        name: str,
        notice: str,
        create: Callable[[str], None],
        update: Callable[[str], None],
        again: Callable[[], None],
    ) -> None:
        self.update = button("Change its packages", "ds01-to-update", icon="pencil")
        self.update.on_click(lambda _: update(name))
        self.create = button(
            "Create a container from it", "ds01-to-container", icon="arrow-right", style="primary"
        )
        self.again = button("Build another image", "ds01-another", icon="plus")
        self.create.on_click(lambda _: create(name))
        self.again.on_click(lambda _: again())
        footer = W.HBox([self.create, self.update, self.again])
        footer.add_class("ds01-footer")
        super().__init__((html(notice, "ds01-notice-box"), footer))


def _named(ended: Operation, asked: str) -> str:
    """The name that the server gave, which is the one asked for unless it says otherwise."""
    name = (ended.result or {}).get("name")
    return str(name) if name else asked


def _notice(title: str, view: Any) -> str:
    """That something is done, with the end of its log folded behind it."""
    lines = view.output.lines if isinstance(view, OperationView) else []
    log = "\n".join(lines)
    details = (
        f"<details class='ds01-file'><summary>Build log</summary>"
        f"<pre class='ds01-dockerfile'>{escape(log)}</pre></details>"
        if log
        else ""
    )
    return (
        f"<div class='ds01-notice ds01-notice-good' role='status'><b>{escape(title)}</b>"
        f"{details}</div>"
    )
