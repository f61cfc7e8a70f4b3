"""The first two phases of the image wizard: framework, and packages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import ipywidgets as W  # noqa: N812 - the name that the field uses

from ds01_jupyter.core.models import (
    Catalogue,
    DockerfilePreview,
    Image,
    ImageRequest,
    LimitsReport,
    Tier,
    Tiers,
)
from ds01_jupyter.widgets import texts
from ds01_jupyter.widgets.background import Background
from ds01_jupyter.widgets.entries import free_name, split_requirements, split_words
from ds01_jupyter.widgets.fields import (
    area_field,
    blame_field,
    card,
    explanation,
    fold,
    offer,
    package_box,
    radio_field,
    text_field,
)
from ds01_jupyter.widgets.framework import (
    ArchitectureField,
    FrameworkPicker,
)
from ds01_jupyter.widgets.markup import chips, escape
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


class PackagesPage(Page):
    """2/3: the base tier, use cases, and packages of one's own."""

    title = "Packages"

    def __init__(
        self,
        connect: Connect,
        start: Callable[[], ImageRequest | None],
        accepted: Callable[[tuple[ImageRequest, DockerfilePreview]], None],
    ) -> None:
        super().__init__()
        self._connect, self._start, self._accepted = connect, start, accepted
        self._tiers: Tiers | None = None
        self._packages: dict[str, Any] = {}
        self._cards: dict[str, Any] = {}
        self.base = radio_field("Base packages", "ds01-base", explain=texts.BASE)
        self.own = W.VBox([])
        self.own.add_class("ds01-packages")
        self.use_cases = W.VBox([])
        self.use_cases.add_class("ds01-cards")
        self.use_case_problem = html("", "ds01-field-problem")
        self.pip = area_field(
            "More Python packages (pip)",
            "ds01-pip",
            explain=texts.PIP,
            placeholder="einops\nscikit-image >= 0.24",
        )
        self.apt = area_field(
            "System packages (apt)", "ds01-apt", explain=texts.APT, placeholder="ffmpeg"
        )
        more = W.VBox([self.pip, self.apt])
        more.add_class("ds01-columns")
        self.children = (
            self.base,
            self.own,
            html("<p class='ds01-label'>Use cases</p>", "ds01-label-box"),
            explanation(texts.USE_CASES),
            self.use_cases,
            self.use_case_problem,
            more,
        )
        self.base.control.observe(lambda _: self._show_base(), "value")

    def load(self) -> Tiers:
        """The tiers that the admin offers."""
        return self._connect().packages()

    def show(self, loaded: Tiers) -> None:
        """Make the cards; the second time only when the tiers changed."""
        if loaded == self._tiers:
            return
        self._tiers, chosen = loaded, set(self._chosen())
        choices = [
            (f"{loaded.base.title} (recommended)", "defaults"),
            ("None: only what the framework brings", "none"),
            ("Let me choose", "choose"),
        ]
        offer(self.base.control, choices)
        self._cards = {tier.key: _tier_card(tier, tier.key in chosen) for tier in loaded.use_cases}
        self.use_cases.children = tuple(self._cards.values())
        self._show_base()

    def check(self) -> tuple[ImageRequest, DockerfilePreview]:
        """Let the server make the Dockerfile: it judges every package on the way."""
        request = self.request()
        return request, self._connect().preview_dockerfile(request)

    def accept(self, answer: tuple[ImageRequest, DockerfilePreview]) -> None:
        """Hand the Dockerfile on to the review."""
        self._accepted(answer)

    def request(self) -> ImageRequest:
        """Everything chosen in the first two phases."""
        start = self._start()
        assert start is not None, "the first page lets nobody past without a framework"
        return start.model_copy(
            update={
                "base": self._base(),
                "use_cases": self._chosen(),
                "pip": split_requirements(self.pip.value),
                "apt": split_words(self.apt.value),
            }
        )

    def blame(self, problem: Problem | None) -> bool:
        """Mark the field that `problem` speaks of."""
        if problem is None:
            self.use_case_problem.value = ""
        entered: dict[str, Any] = {
            "pip": split_requirements(self.pip.value),
            "apt": split_words(self.apt.value),
            "base": self._base() if isinstance(self._base(), list) else [],
            "use_cases": self._chosen(),
        }
        if problem is not None and problem.culprit(entered) == "use_cases":
            self.use_case_problem.value = problem_html(problem, with_figures=False)
            return True
        fields = {"pip": self.pip, "apt": self.apt, "base": self.base}
        return blame_field(problem, fields, entered)

    def _base(self) -> Literal["defaults", "none"] | list[str]:
        value = self.base.value
        if value == "choose":
            return [name for name, box in self._packages.items() if box.value]
        return "none" if value == "none" else "defaults"

    def _chosen(self) -> list[str]:
        return [key for key, box in self._cards.items() if box.value]

    def _show_base(self) -> None:
        """What the choice means: the packages in a row, or a box for each."""
        if self._tiers is None:
            return
        names = [package.name for package in self._tiers.base.packages]
        if self.base.value == "choose":
            if list(self._packages) != names:
                self._packages = {
                    package.name: package_box(
                        package.name, package.why, f"ds01-package-{package.name}", checked=True
                    )
                    for package in self._tiers.base.packages
                }
            self.own.children = tuple(self._packages.values())
            self.base.note.value = ""
        else:
            self.own.children = ()
            why = f"<p>{escape(self._tiers.base.why)}</p>{chips(names)}"
            self.base.note.value = why if self.base.value == "defaults" else ""


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


def _tier_card(tier: Tier, checked: bool) -> Any:
    names = tuple(package.name for package in tier.packages)
    return card(tier.title, tier.why, names, f"ds01-use-case-{tier.key}", checked=checked)
