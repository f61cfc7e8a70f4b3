"""The image wizard: 1/3 framework, 2/3 packages, 3/3 review and build."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import ipywidgets as W  # noqa: N812 - the name that the field uses

from ds01_jupyter.core.models import DockerfilePreview, ImageRequest, Operation
from ds01_jupyter.widgets import texts
from ds01_jupyter.widgets.background import Background
from ds01_jupyter.widgets.dockerfile_view import dockerfile_html, files_html, state_html
from ds01_jupyter.widgets.fields import explanation, radio_field
from ds01_jupyter.widgets.image_pages import FrameworkPage
from ds01_jupyter.widgets.markup import chips, code, escape, facts
from ds01_jupyter.widgets.packages_page import PackagesPage
from ds01_jupyter.widgets.panel import html
from ds01_jupyter.widgets.resolution_view import ResolutionView
from ds01_jupyter.widgets.source import Connect
from ds01_jupyter.widgets.wizard import Page, Wizard

_KEEP = "Build the Dockerfile as I edited it"
_REPLACE = "Replace it with the one below; mine is kept beside it"


class ReviewPage(Page):
    """3/3: what will be built, as a summary and as the Dockerfile itself."""

    title = "Review and build"

    def __init__(
        self, connect: Connect, resolution: ResolutionView, changed: Callable[[], None]
    ) -> None:
        """`resolution` is that of the page before: one and the same is shown on both."""
        super().__init__()
        self._connect = connect
        self.resolution = resolution
        self._request: ImageRequest | None = None
        self.preview: DockerfilePreview | None = None
        self.summary = html("", "ds01-summary")
        self.state = html("", "ds01-state")
        self.edited = radio_field(
            "What should be built?",
            "ds01-edited",
            options=[(_KEEP, "keep"), (_REPLACE, "replace")],
            value=None,
        )
        self.edited.note.value = "<p>Or go back and give the image another name.</p>"
        self.edited.control.observe(lambda _: changed(), "value")
        self.dockerfile = html("", "ds01-preview")
        self.files = html("", "ds01-files")
        self.question = W.VBox([])
        self.children = (
            self.summary,
            html("<p class='ds01-label'>Dockerfile</p>", "ds01-label-box"),
            self.state,
            self.question,
            self.dockerfile,
            self.files,
            html("<p class='ds01-label'>Packages</p>", "ds01-label-box"),
            self.resolution,
            explanation(texts.DOCKERFILE),
        )

    def expect(self, request: ImageRequest, preview: DockerfilePreview) -> None:
        """What the packages page asked for, and the Dockerfile that the server made of it."""
        self._request, self.preview = request, preview

    def show(self, loaded: None) -> None:
        """Show the summary and the Dockerfile."""
        request, preview = self._request, self.preview
        assert request is not None, "expect() comes first"
        assert preview is not None, "expect() comes first"
        self.summary.value = summary_html(request, preview)
        self.state.value = state_html(preview)
        self.edited.control.value = None
        self.question.children = (self.edited,) if preview.state == "edited" else ()
        self.dockerfile.value = dockerfile_html(preview.dockerfile)
        self.files.value = files_html(preview.files)

    def ready(self) -> bool:
        """A Dockerfile that was edited by hand needs a decision first, and packages that cannot be
        installed need another choice."""
        preview = self.preview
        decided = preview is None or preview.state != "edited" or self.edited.value is not None
        return decided and not self.obstacle

    @property
    def obstacle(self) -> str:
        """Why it cannot be built, in one sentence. A Dockerfile of one's own is built as it is."""
        own = self.preview is not None and self.preview.state == "edited"
        if self._request is None or (own and self.edited.value == "keep"):
            return ""
        return self.resolution.obstacle(self._request)

    @property
    def next_label(self) -> str:  # type: ignore[override]
        """What the button says: also why it cannot be pressed."""
        obstacle = self.obstacle
        return f"Cannot be built: {obstacle}" if obstacle else "Build image"

    def check(self) -> Operation:
        """Start the build."""
        assert self._request is not None, "expect() comes first"
        decision = self.edited.value if self.question.children else None
        request = self._request.model_copy(update={"dockerfile": decision or "ask"})
        return self._connect().create_image(request)


class ImageWizard(Wizard):
    """Three phases; `started` gets the request and the running build."""

    def __init__(
        self,
        connect: Connect,
        background: Background,
        started: Callable[[ImageRequest, Operation], None],
        *,
        name: str | None = None,
        pip: Sequence[str] = (),
        apt: Sequence[str] = (),
        **options: Any,
    ) -> None:
        follows = bool(options.get("parts"))
        self.framework = FrameworkPage(connect, background, container_follows=follows)
        self.framework.name.control.value = name or ""
        self.packages = PackagesPage(
            connect,
            background,
            self.framework.request,
            self._previewed,
            settled=self._settled,
            mended=self._mended,
        )
        self.review = ReviewPage(connect, self.packages.resolution, self.update)
        super().__init__(
            "Create an image",
            (self.framework, self.packages, self.review),
            background,
            lambda operation: started(self.packages.request(), operation),
            **options,
        )
        self.add_class("ds01-image-wizard")
        self.packages.pip.control.value = "\n".join(pip)
        self.packages.apt.control.value = "\n".join(apt)
        self.framework.picker.version.control.observe(lambda _: self.update(), "value")

    def _settled(self) -> None:
        """What the packages come to is known now."""
        self.update()

    def _mended(self) -> None:
        """A suggestion was taken: from the review back to the packages, where it is seen."""
        if self.page is self.review:
            self._go_back()

    def _previewed(self, answer: tuple[ImageRequest, DockerfilePreview]) -> None:
        self.review.expect(*answer)


def summary_html(request: ImageRequest, preview: DockerfilePreview) -> str:
    """What was chosen, as a list."""
    none = "<span class='ds01-muted'>none</span>"
    if isinstance(request.base, list):
        base = chips(request.base) if request.base else none
    else:
        base = {"defaults": "recommended set", "none": none}[request.base]
    rows = {
        "Image": f"<b>{escape(request.name)}</b>",
        "Framework": f"{escape(request.framework)} {escape(request.version or 'newest')}",
        "Starts from": code(preview.base_image),
        "Base packages": base,
        "Use cases": chips(request.use_cases) if request.use_cases else none,
        "Python packages": chips(request.pip) if request.pip else none,
        "System packages": chips(request.apt) if request.apt else none,
    }
    return facts(rows)
