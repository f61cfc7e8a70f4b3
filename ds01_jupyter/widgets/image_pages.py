"""The first phase of the image wizard: name and framework."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ds01_jupyter.core.models import (
    Catalogue,
    Image,
    ImageRequest,
    LimitsReport,
)
from ds01_jupyter.widgets import texts
from ds01_jupyter.widgets.background import Background
from ds01_jupyter.widgets.entries import free_name
from ds01_jupyter.widgets.fields import (
    blame_field,
    explanation,
    fold,
    text_field,
)
from ds01_jupyter.widgets.framework import (
    ArchitectureField,
    FrameworkPicker,
)
from ds01_jupyter.widgets.panel import html
from ds01_jupyter.widgets.problem import Problem, problem_html
from ds01_jupyter.widgets.source import Connect, Source
from ds01_jupyter.widgets.wizard import Page


@dataclass(frozen=True)
class _Start:
    catalogue: Catalogue
    images: Sequence[Image]
    warning: str


class FrameworkPage(Page):
    """1/3: the name of the image, and what it starts from."""

    title = "Framework"

    def __init__(
        self, connect: Connect, background: Background, *, container_follows: bool = False
    ) -> None:
        super().__init__()
        self._connect, self._background = connect, background
        self._container_follows = container_follows
        self._taken: list[str] = []
        self._suggested = ""
        self._catalogue: Catalogue | None = None
        self.name = text_field("Name of the image", "ds01-image-name", explain=texts.IMAGE_NAME)
        self.picker = FrameworkPicker(self._suggest)
        self.architecture = ArchitectureField(self._reload)
        self.project = text_field(
            "Project folder for the Dockerfile",
            "ds01-project",
            explain=texts.PROJECT,
            placeholder="~/dockerfiles",
        )
        self.warning = html("", "ds01-warning")
        self.children = (
            explanation(texts.IMAGE),
            self.warning,
            self.name,
            self.picker,
            fold("More options", (self.architecture, self.project)),
        )

    def load(self) -> _Start:
        """The catalogue for the chosen architecture, and the names that are taken."""
        client = self._connect()
        return _Start(client.catalogue(self._asked()), client.images(), self._warn(client))

    def show(self, loaded: _Start) -> None:
        """Offer the frameworks, Pytorch chosen where there is one."""
        self._taken = [image.name for image in loaded.images]
        self.warning.value = loaded.warning
        self._fill(loaded.catalogue)

    def check(self) -> None:
        """Let the server judge name, framework and project folder."""
        request = self.request()
        if request is not None:
            self._connect().preview_dockerfile(request)

    def ready(self) -> bool:
        """There must be a framework to choose."""
        return self.picker.row is not None

    def request(self) -> ImageRequest | None:
        """What was chosen here, with nothing on top of it; None without a framework."""
        choice = self.picker.choice(self._asked())
        if choice is None:
            return None
        return ImageRequest(
            **choice.model_dump(),
            name=self.name.value.strip(),
            base="none",
            project=self.project.value.strip() or None,
        )

    def blame(self, problem: Problem | None) -> bool:
        """Mark the field that `problem` speaks of."""
        fields = {
            "name": self.name,
            "project": self.project,
            "architecture": self.architecture,
            **self.picker.fields(),
        }
        entered = {name: str(field.value or "").strip() for name, field in fields.items()}
        return blame_field(problem, fields, entered)

    def _asked(self) -> str | None:
        """The architecture to ask for: None, the machine's own, unless a person chose one."""
        chosen, present = self.architecture.value, self._catalogue
        if present is None or present.architecture == chosen:
            by_person = present is not None and present.architecture_from == "request"
            return chosen if by_person else None
        return str(chosen) if chosen else None

    def _warn(self, client: Source) -> str:
        """Where a container follows: that it would be refused, before a long build."""
        if not self._container_follows:
            return ""
        try:
            return _no_room(client.limits())
        except Exception as error:  # limits that cannot be read do not hinder a build
            return problem_html(Problem.of(error))

    def _fill(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self.picker.fill(catalogue)
        self.architecture.offer(catalogue)

    def _reload(self, architecture: str) -> None:
        if self._catalogue is None or self._catalogue.architecture == architecture:
            return
        self.architecture.blame(None)
        self._background.run(
            lambda: self._connect().catalogue(architecture), self._fill, self.architecture.blame
        )

    def _suggest(self) -> None:
        """Follow the framework with the name, until a person writes one."""
        row = self.picker.row
        if row is None or self.name.value not in ("", self._suggested):
            return
        self._suggested = free_name(f"my-{row.framework.lower()}", self._taken)
        self.name.control.value = self._suggested


def _no_room(report: LimitsReport) -> str:
    """A warning when the container that follows would be refused; else nothing."""
    most, used = report.limits.max_containers, report.usage.containers
    if most is None or used < most:
        return ""
    return (
        f"<p class='ds01-notice'>You have {used} of {most} containers. The image can be built, but "
        "before its container can be created, one of them must be removed "
        "(<code>%ds01 container list</code> shows them).</p>"
    )
