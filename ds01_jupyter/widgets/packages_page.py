"""The second phase of the image wizard: packages in tiers, and what they come to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import ipywidgets as W  # noqa: N812 - the name that the field uses

from ds01_jupyter.commands.image_change import fixable, joined, replaced
from ds01_jupyter.core.models import (
    DockerfilePreview,
    ImageImport,
    ImageRequest,
    ResolutionProblem,
    Tier,
    Tiers,
)
from ds01_jupyter.widgets import texts
from ds01_jupyter.widgets.background import Background
from ds01_jupyter.widgets.entries import split_requirements, split_words
from ds01_jupyter.widgets.fields import (
    area_field,
    blame_field,
    card,
    explanation,
    offer,
    package_box,
    radio_field,
)
from ds01_jupyter.widgets.markup import chips, escape
from ds01_jupyter.widgets.package_file import PackageFile
from ds01_jupyter.widgets.panel import html
from ds01_jupyter.widgets.problem import Problem, problem_html
from ds01_jupyter.widgets.resolution_view import ResolutionView
from ds01_jupyter.widgets.source import Connect
from ds01_jupyter.widgets.wizard import Page


class PackagesPage(Page):
    """2/3: the base tier, use cases, and packages of one's own."""

    title = "Packages"

    def __init__(
        self,
        connect: Connect,
        background: Background,
        start: Callable[[], ImageRequest | None],
        accepted: Callable[[tuple[ImageRequest, DockerfilePreview]], None],
        *,
        settled: Callable[[], None] = lambda: None,
        mended: Callable[[], None] = lambda: None,
    ) -> None:
        """`start` tells what the first phase chose. `settled` is called when it is known what the
        packages come to, `mended` when a suggestion was taken."""
        super().__init__()
        self._connect, self._start, self._accepted = connect, start, accepted
        self._mended = mended
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
        self.file = PackageFile(connect, background, self._import)
        self.resolution = ResolutionView(
            connect, self._take, settled, fixable=lambda problem: self._mend(problem) is not None
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
            self.file,
            self.resolution,
        )
        self.base.control.observe(lambda _: self._show_base(), "value")
        for control in (self.base.control, self.pip.control, self.apt.control):
            control.observe(lambda _: self.look(), "value")

    def load(self) -> Tiers:
        """The tiers that the admin offers."""
        return self._connect().packages()

    def show(self, loaded: Tiers) -> None:
        """Make the cards, the second time only when the tiers changed; and look at the packages."""
        if loaded != self._tiers:
            self._offer(loaded)
        self.look(now=True)

    def look(self, *, now: bool = False) -> None:
        """Ask what the present choice comes to: when nothing changes for a moment, or now."""
        if self._tiers is not None and self._start() is not None:
            self.resolution.ask(self.request(), now=now)

    def _offer(self, loaded: Tiers) -> None:
        self._tiers, chosen = loaded, set(self._chosen())
        choices = [
            (f"{loaded.base.title} (recommended)", "defaults"),
            ("None: only what the framework brings", "none"),
            ("Let me choose", "choose"),
        ]
        offer(self.base.control, choices)
        self._cards = {tier.key: _tier_card(tier, tier.key in chosen) for tier in loaded.use_cases}
        for box in self._cards.values():
            box.observe(lambda _: self.look(), "value")
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

    def _import(self, found: ImageImport) -> None:
        """Add what a file holds; what stands there already counts more."""
        pip = joined(found.pip, split_requirements(self.pip.value))
        self.pip.control.value = "\n".join(pip)
        self.apt.control.value = "\n".join(
            {**dict.fromkeys(split_words(self.apt.value)), **dict.fromkeys(found.apt)}
        )

    def _mend(self, problem: ResolutionProblem) -> Callable[[], None] | None:
        """How a problem's suggestion is taken here; None where it cannot be."""
        entries = split_requirements(self.pip.value)
        if not fixable(entries, problem):
            return None

        def mend() -> None:
            self.pip.control.value = "\n".join(replaced(entries, problem))

        return mend

    def _take(self, problem: ResolutionProblem) -> None:
        mend = self._mend(problem)
        if mend is not None:
            mend()
            self._mended()
        self.look(now=True)

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
                for box in self._packages.values():
                    box.observe(lambda _: self.look(), "value")
            self.own.children = tuple(self._packages.values())
            self.base.note.value = ""
        else:
            self.own.children = ()
            why = f"<p>{escape(self._tiers.base.why)}</p>{chips(names)}"
            self.base.note.value = why if self.base.value == "defaults" else ""


def _tier_card(tier: Tier, checked: bool) -> Any:
    names = tuple(package.name for package in tier.packages)
    return card(tier.title, tier.why, names, f"ds01-use-case-{tier.key}", checked=checked)
