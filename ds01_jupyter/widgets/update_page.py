"""Changing an image: what is in it, what comes and goes, and what that comes to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import ipywidgets as W  # noqa: N812 - the name that the field uses

from ds01_jupyter.client_error import ClientError
from ds01_jupyter.commands.image_change import changed, replaced, request_of
from ds01_jupyter.core.models import (
    Catalogue,
    DockerfilePreview,
    Image,
    ImageBuild,
    ImageRequest,
    ImageUpdateRequest,
    Operation,
    ResolutionProblem,
    Tiers,
)
from ds01_jupyter.render.requirement_names import requirement_name
from ds01_jupyter.widgets.background import Background
from ds01_jupyter.widgets.entries import split_requirements, split_words
from ds01_jupyter.widgets.fields import choice_field, explanation, fold, radio_field
from ds01_jupyter.widgets.markup import escape
from ds01_jupyter.widgets.packages_page import PackagesPage
from ds01_jupyter.widgets.panel import html
from ds01_jupyter.widgets.problem import Problem, problem_html
from ds01_jupyter.widgets.source import Connect
from ds01_jupyter.widgets.update_drawing import image_html, warning_html
from ds01_jupyter.widgets.update_history import HistoryView
from ds01_jupyter.widgets.wizard import Wizard, header_html

PHASES = ("Change", "Build", "Containers")
EXPLAINED = (
    "Change what is in the image, build it anew, then bring your containers up to date. Containers "
    "go on with the build before until you recreate them, and you can always go back."
)
NEWEST = "The newest versions of everything; otherwise what is there stays as far as it fits."
EDITED = "dockerfile_edited"
TIERS = "Base packages, use cases and version of the framework"


@dataclass(frozen=True)
class Present:
    """An image as it is, and what it can be changed to. `dockerfile` is None when it is gone."""

    image: Image
    tiers: Tiers
    catalogue: Catalogue
    dockerfile: DockerfilePreview | None
    builds: Sequence[ImageBuild]


class ChangePage(PackagesPage):
    """1/3: rows of what is there, to take out; fields for what comes; what that comes to."""

    title = PHASES[0]

    def __init__(
        self,
        connect: Connect,
        background: Background,
        name: str,
        settled: Callable[[], None],
        went_back: Callable[[Image, int | None], None],
    ) -> None:
        super().__init__(connect, background, self._begun, lambda _: None, settled=settled)
        self.image_name = name
        self._present: Present | None = None
        self._rows: dict[str, Any] = {}
        self._apt_rows: dict[str, Any] = {}
        self.facts = html("", "ds01-summary")
        self.warning = html("", "ds01-warning")
        self.version = choice_field("Version of the framework", "ds01-version")
        self.rows = W.VBox([])
        self.rows.add_class("ds01-own-rows")
        self.refresh = W.Checkbox(value=False, description=NEWEST, indent=False)
        self.refresh.add_class("ds01-refresh-all")
        self.edited = radio_field(
            "You edited the parts of the Dockerfile that are kept up to date. What now?",
            "ds01-edited",
            options=[
                ("Build it as I edited it; the packages above do not count then", "keep"),
                ("Write it anew; mine is kept beside it", "replace"),
            ],
            value=None,
        )
        self.question = W.VBox([])
        self.history = HistoryView(connect, background, name, went_back)
        self.pip.control.description = "Add Python packages (pip)"
        self.apt.control.description = "Add system packages (apt)"
        self.tiers = fold(
            TIERS,
            (self.version, self.base, self.own, self.use_cases, self.use_case_problem),
        )
        more = W.VBox([self.pip, self.apt])
        more.add_class("ds01-columns")
        self.children = (
            explanation(EXPLAINED),
            self.facts,
            self.warning,
            html("<p class='ds01-label'>Your own packages</p>", "ds01-label-box"),
            self.rows,
            more,
            self.file,
            self.tiers,
            self.refresh,
            self.resolution,
            self.question,
            fold("Earlier builds", (self.history,)),
        )
        self.version.control.observe(lambda _: self.look(), "value")
        self.edited.control.observe(lambda _: settled(), "value")

    # ---- what the wizard asks for

    def load(self) -> Present:  # type: ignore[override]
        """The image, and what can be chosen."""
        client = self._connect()
        image = client.image(self.image_name)
        try:
            dockerfile = client.image_dockerfile(self.image_name)
        except ClientError as error:
            if error.code != "not_found":
                raise
            dockerfile = None  # it is written anew with the build
        return Present(
            image,
            client.packages(),
            client.catalogue(),
            dockerfile,
            client.image_builds(self.image_name),
        )

    def show(self, loaded: Present) -> None:  # type: ignore[override]
        """Show what is there, everything kept."""
        request = request_of(loaded.image, loaded.catalogue.frameworks)
        if loaded.image.packages is not None:
            self.resolution.compare(request, loaded.image.packages)
        self.facts.value = image_html(loaded.image)
        self.warning.value = warning_html(loaded.image, loaded.dockerfile)
        self.history.fill(loaded.builds, loaded.image)
        rows = [row for row in loaded.catalogue.rows if row.framework == request.framework]
        versions = list(dict.fromkeys([*(row.version for row in rows), request.version or ""]))
        self.version.control.options = versions
        self.version.control.value = request.version or ""
        self._offer(loaded.tiers)
        self._choose(request)
        packages = loaded.image.packages or {}
        self._rows = {text: self._row(text, packages) for text in request.pip}
        self._apt_rows = {text: self._row(text, {}) for text in request.apt}
        none = html("<p class='ds01-muted'>None: only what the tiers bring.</p>")
        self.rows.children = (*self._rows.values(), *self._apt_rows.values()) or (none,)
        self._present = loaded
        self.look(now=True)

    def check(self) -> Operation:  # type: ignore[override]
        """Start the build."""
        return self._connect().update_image(self.image_name, self.changes())

    def accept(self, answer: Any) -> None:
        """Nothing follows in this wizard."""

    def ready(self) -> bool:
        """Not while it cannot be built, or while a decision is missing."""
        if self._present is None:
            return False
        undecided = bool(self.question.children) and self.edited.value is None
        return not undecided and not self.obstacle

    @property
    def obstacle(self) -> str:
        """Why it cannot be built, in one sentence; empty when it can, or nobody knows."""
        if self._present is None or self._decision() == "keep":
            return ""
        return self.resolution.obstacle(self.request())

    @property
    def next_label(self) -> str:  # type: ignore[override]
        """What the button says: also why it cannot be pressed."""
        obstacle = self.obstacle
        return f"Cannot be built: {obstacle}" if obstacle else "Build it anew"

    def blame(self, problem: Problem | None) -> bool:
        """A Dockerfile that was edited within our parts is a question."""
        if problem is not None and problem.code == EDITED:
            self.question.children = (html(problem_html(problem, with_figures=False)), self.edited)
            return True
        return super().blame(problem)

    # ---- the changes

    def request(self) -> ImageRequest:
        """The image as it would be."""
        present = self._present
        assert present is not None, "nothing is asked before it is loaded"
        before = request_of(present.image, present.catalogue.frameworks)
        return changed(before, self.changes())

    def changes(self) -> ImageUpdateRequest:
        """What differs from the image as it is."""
        present = self._present
        assert present is not None, "nothing is asked before it is loaded"
        before = request_of(present.image, present.catalogue.frameworks)
        base, chosen, version = self._base(), self._chosen(), self.version.value
        known = [key for key in before.use_cases if key in self._cards]
        return ImageUpdateRequest(
            add_pip=split_requirements(self.pip.value),
            remove_pip=[
                requirement_name(text) for text, box in self._rows.items() if not box.value
            ],
            add_apt=split_words(self.apt.value),
            remove_apt=[text for text, box in self._apt_rows.items() if not box.value],
            use_cases=None if sorted(chosen) == sorted(known) else chosen,
            base=None if _same(base, before.base) else base,
            version=None if version in (None, "", before.version) else version,
            refresh=self.refresh.value,
            dockerfile=self._decision(),
        )

    def _decision(self) -> Any:
        return (self.edited.value if self.question.children else None) or "update"

    def _begun(self) -> ImageRequest | None:
        """What the base class starts from: nothing, before it is loaded."""
        return self.request() if self._present is not None else None

    def _choose(self, request: ImageRequest) -> None:
        """Tick what the image has."""
        chosen = isinstance(request.base, list)
        self.base.control.value = "choose" if chosen else request.base
        for name, box in self._packages.items():
            box.value = not chosen or name in request.base
        for key, box in self._cards.items():
            box.value = key in request.use_cases

    def _row(self, text: str, packages: Any) -> Any:
        """A package of one's own, with a box that keeps it."""
        version = packages.get(requirement_name(text))
        there = f" <span class='ds01-muted'>{escape(version)}</span>" if version else ""
        box = W.Checkbox(
            value=True,
            description=f"{escape(text)}{there}",
            description_allow_html=True,
            indent=False,
            tooltip=f"Keep {text}",
        )
        box.add_class("ds01-package")
        box.add_class("ds01-own-package")
        box.observe(lambda _: self.look(), "value")
        return box

    def _mend(self, problem: ResolutionProblem) -> Callable[[], None] | None:
        """A suggestion for a field, or for a row: it is taken out, and what replaces it comes."""
        in_field = super()._mend(problem)
        if in_field is not None or problem.package is None or problem.replace is None:
            return in_field
        wrong = requirement_name(problem.package)
        rows = [box for text, box in self._rows.items() if requirement_name(text) == wrong]
        if not any(box.value for box in rows):
            return None

        def mend() -> None:
            entries = split_requirements(self.pip.value)
            come = replaced([problem.package or ""], problem)
            self.pip.control.value = "\n".join([*entries, *come])
            for box in rows:
                box.value = False

        return mend


class UpdateWizard(Wizard):
    """The first of three phases; what follows stands in views of their own."""

    def __init__(
        self,
        connect: Connect,
        background: Background,
        name: str,
        started: Callable[[Image, Operation], None],
        went_back: Callable[[Image, int | None], None],
    ) -> None:
        self.change = ChangePage(connect, background, name, self._settled, went_back)
        super().__init__(f"Update {name}", (self.change,), background, self._begun)
        self._started = started
        self.add_class("ds01-update-wizard")

    def _settled(self) -> None:
        self.update()

    def _begun(self, operation: Operation) -> None:
        present = self.change._present
        assert present is not None, "the button is off before it is loaded"
        self._started(present.image, operation)

    def _turn_to(self, index: int) -> None:
        super()._turn_to(index)
        self.footer.children = (self.next, self.state)  # there is nothing to go back to

    def _head(self) -> None:
        self.header.value = header_html(self._heading, PHASES, 0)


def _same(one: Any, other: Any) -> bool:
    """Whether two base tiers are the same, in whatever order."""
    both = isinstance(one, list) and isinstance(other, list)
    return sorted(one) == sorted(other) if both else one == other
