"""The first two phases of the container wizard: its image; its name, folders and GPU."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import ipywidgets as W  # noqa: N812 - the name that the field uses

from ds01_jupyter.core.models import (
    Catalogue,
    Container,
    ContainerRequest,
    GpuSnapshot,
    Image,
    LimitsReport,
)
from ds01_jupyter.widgets import gpu_choice, texts
from ds01_jupyter.widgets.entries import free_name
from ds01_jupyter.widgets.fields import (
    Field,
    blame_field,
    choice_field,
    explanation,
    fold,
    offer,
    radio_field,
    text_field,
    toggle_field,
)
from ds01_jupyter.widgets.framework import FrameworkPicker
from ds01_jupyter.widgets.limits_view import limits_html
from ds01_jupyter.widgets.markup import escape, size
from ds01_jupyter.widgets.panel import button, html
from ds01_jupyter.widgets.problem import Problem, problem_html
from ds01_jupyter.widgets.source import Connect
from ds01_jupyter.widgets.why_view import explained
from ds01_jupyter.widgets.wizard import Page

_NO_IMAGE = "You have no image yet. <code>%ds01 image create</code> makes one."
_SOURCES = [("My images", "own"), ("A framework as it is", "framework"), ("Another image", "other")]


class ImagePage(Page):
    """1/3: what the container starts from."""

    title = "Image"

    def __init__(
        self, connect: Connect, changed: Callable[[], None], wanted: str | None = None
    ) -> None:
        super().__init__()
        self._connect, self._changed, self._wanted = connect, changed, wanted
        self._images: Sequence[Image] = ()
        self._catalogue: Catalogue | None = None
        self.source = toggle_field("Start from", "ds01-image-source", explain=texts.SOURCE)
        self.own = choice_field("Image", "ds01-own-image")
        self.other = Field(
            W.Combobox(
                description="Name of the image",
                placeholder="repository:tag",
                ensure_option=False,
                continuous_update=True,
            ),
            "ds01-other-image",
        )
        self.no_image = html(f"<p class='ds01-note'>{_NO_IMAGE}</p>")
        self.picker: FrameworkPicker | None = None
        self.choice = W.VBox([])
        self.children = (explanation(texts.CONTAINER), self.source, self.choice)
        self.source.control.observe(lambda _: self._show_source(), "value")
        for field in (self.own, self.other):
            field.control.observe(lambda _: self._chosen(), "value")

    def load(self) -> tuple[Sequence[Image], Catalogue | Problem]:
        """The images of this machine, and the catalogue where it can be had."""
        client = self._connect()
        images = client.images()
        try:
            return images, client.catalogue()
        except Exception as error:  # shown where a framework is chosen; images work without it
            return images, Problem.of(error)

    def show(self, loaded: tuple[Sequence[Image], Catalogue | Problem]) -> None:
        """Offer one's own images first; without one, the frameworks."""
        self._images, catalogue = loaded
        own = [image for image in self._images if image.managed]
        offer(self.own.control, [(_describe(image), image.name) for image in own], self._wanted)
        self.other.control.options = [
            image.reference for image in self._images if not image.managed
        ]
        if isinstance(catalogue, Problem):
            self.source.blame(catalogue)
        else:
            self._catalogue = catalogue
        if not self.source.control.options:
            offer(self.source.control, _SOURCES, "own" if own else "framework")
            self._show_source()

    def ready(self) -> bool:
        """Something must be chosen."""
        image, picker = self.image, self.picker
        if self.source.value == "framework":
            return picker is not None and picker.row is not None
        return bool(image)

    @property
    def image(self) -> str | None:
        """The chosen image; None where a framework was chosen."""
        if self.source.value == "own":
            return self.own.value or None
        if self.source.value == "other":
            return self.other.value.strip() or None
        return None

    def request(self) -> dict[str, Any]:
        """The part of a container's request that is chosen here."""
        if self.source.value == "framework" and self.picker is not None:
            return {"framework": self.picker.choice(None)}
        return {"image": self.image}

    def suggestion(self) -> str:
        """A name for the container."""
        if self.source.value == "framework" and self.picker and self.picker.row:
            return f"my-{self.picker.row.framework.lower()}"
        if self.source.value == "own" and self.image:
            return self.image
        return "my-container"

    def blame(self, problem: Problem | None) -> bool:
        """Mark the field that `problem` speaks of."""
        fields = {"own": self.own, "other": self.other}
        if self.source.value in fields:
            fields = {"image": fields[self.source.value]}
        elif self.picker is not None:
            fields = self.picker.fields()
        if problem is None:
            self.source.blame(None)
        entered = {name: str(field.value or "") for name, field in fields.items()}
        return blame_field(problem, fields, entered)

    def _show_source(self) -> None:
        source = self.source.value
        if source == "framework":
            self.choice.children = (self._picker(),)
        elif source == "other":
            self.choice.children = (self.other,)
        elif self.own.control.options:
            self.choice.children = (self.own,)
        else:
            self.choice.children = (self.no_image,)
        self._chosen()

    def _picker(self) -> Any:
        if self.picker is None:
            self.picker = FrameworkPicker(self._chosen)
            if self._catalogue is not None:
                self.picker.fill(self._catalogue)
        return self.picker

    def _chosen(self) -> None:
        self._changed()


def _describe(image: Image) -> str:
    parts = [image.name, image.framework or "", *image.use_cases, size(image.size)]
    return " · ".join(part for part in parts if part)


@dataclass(frozen=True)
class _Machine:
    gpus: GpuSnapshot | Problem
    limits: LimitsReport
    containers: Sequence[Container]


class SetupPage(Page):
    """2/3: name, folders, GPU; and the limits that hold."""

    title = "Name, folders and GPU"

    def __init__(self, connect: Connect, image: ImagePage) -> None:
        super().__init__()
        self._connect, self._image = connect, image
        self._suggested = ""
        self.name = text_field(
            "Name of the container", "ds01-container-name", explain=texts.CONTAINER_NAME
        )
        self.workspace = text_field("Workspace folder", "ds01-workspace", explain=texts.WORKSPACE)
        self.data = text_field("Data folder (appears as /data)", "ds01-data", explain=texts.FOLDERS)
        self.models = text_field("Models folder (appears as /models)", "ds01-models")
        self.gpu = radio_field("GPU", "ds01-gpu", explain=texts.GPU)
        self.count = Field(
            W.BoundedIntText(description="How many such slots", value=1, min=1, max=16),
            "ds01-gpu-count",
        )
        self.refresh = button("Look again", "ds01-gpu-refresh", icon="refresh")
        self.limits = html("", "ds01-limits")
        self.waiting = html(f"<p class='ds01-muted'>{texts.WAITING}</p>", "ds01-none-free")
        self._none_free: set[str] = set()
        self._gpu_box = W.VBox([])
        names = W.VBox([self.name, self.workspace])
        names.add_class("ds01-columns")
        self.children = (
            names,
            fold("Data and models (optional)", (self.data, self.models)),
            self._gpu_box,
            self.limits,
            explanation(texts.LIMITS),
        )
        self.name.control.observe(lambda _: self._name_changed(), "value")
        self.gpu.control.observe(lambda _: self._show_count(), "value")

    def load(self) -> _Machine:
        """What is free now, what one may have, and which names are taken."""
        client = self._connect()
        gpus: GpuSnapshot | Problem
        try:
            gpus = client.gpus()
        except Exception as error:  # shown at the GPU; a CPU container works without a driver
            gpus = Problem.of(error)
        return _Machine(gpus, client.limits(), client.containers())

    def show(self, loaded: _Machine) -> None:
        """Suggest a name, offer what is free, show the limits."""
        self._suggest([container.name for container in loaded.containers])
        self.limits.value = limits_html(loaded.limits)
        most = loaded.limits.limits.max_slots_per_container
        self.count.control.max = max(1, most if most is not None else 16)
        self._offer(loaded.gpus)

    def request(self) -> dict[str, Any]:
        """The part of a container's request that is chosen here."""
        gpu = self.gpu.value or "any"
        return {
            "name": self.name.value.strip(),
            "workspace": self.workspace.value.strip() or None,
            "data": self.data.value.strip() or None,
            "models": self.models.value.strip() or None,
            "gpu": gpu,
            "gpus": 1 if gpu == "none" else self.count.value,
        }

    def container_request(self) -> ContainerRequest:
        """The whole request."""
        return ContainerRequest(**self._image.request(), **self.request())

    def choose(self, gpu: str, gpus: int) -> None:
        """Take another GPU than was chosen here."""
        if gpu not in [value for _, value in self.gpu.control.options]:
            self.gpu.control.options = [*self.gpu.control.options, (gpu, gpu)]
        self.gpu.control.value = gpu
        self.count.control.value = gpus

    def blame(self, problem: Problem | None) -> bool:
        """Mark the field that `problem` speaks of."""
        fields = {
            "name": self.name,
            "workspace": self.workspace,
            "data": self.data,
            "models": self.models,
            "gpu": self.gpu,
            "gpus": self.count,
        }
        entered = {
            name: str(field.value or "") if name not in ("gpu", "gpus") else ""
            for name, field in fields.items()
        }
        if problem is not None and explained(problem):
            self.gpu.problem.value = problem_html(problem)
            self.gpu.add_class("ds01-invalid")
            return True
        return blame_field(problem, fields, entered)

    def update_gpus(self, loaded: _Machine) -> None:
        """Offer what is free by now."""
        self._offer(loaded.gpus)

    def _offer(self, gpus: GpuSnapshot | Problem) -> None:
        if isinstance(gpus, Problem):
            choices, why = [("No GPU: CPU only", "none")], f"{gpus.message} {gpus.hint}".strip()
        else:
            choices, why = gpu_choice.options(gpus), gpus.problem or ""
        self._none_free = gpu_choice.none_free(gpus) if isinstance(gpus, GpuSnapshot) else set()
        offer(self.gpu.control, choices)
        self.gpu.note.value = f"<p>{escape(why)}</p>" if why else ""
        self._show_count()

    def _show_count(self) -> None:
        several = self.gpu.value not in (None, "none") and self.count.control.max > 1
        shown = (self.gpu, self.count) if several else (self.gpu,)
        if self.gpu.value in self._none_free:
            shown = (*shown, self.waiting)
        self._gpu_box.children = (*shown, self.refresh)

    def _suggest(self, taken: Sequence[str]) -> None:
        if self.name.value in ("", self._suggested):
            self._suggested = free_name(self._image.suggestion(), taken)
            self.name.control.value = self._suggested
        self._name_changed()

    def _name_changed(self) -> None:
        self.workspace.control.placeholder = f"~/workspace/{self.name.value.strip()}"
