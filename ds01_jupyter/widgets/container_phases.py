"""The container wizard: 1/3 image, 2/3 name, folders and GPU, 3/3 review and create."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ds01_jupyter.core.models import ContainerRequest, Operation
from ds01_jupyter.widgets.background import Background
from ds01_jupyter.widgets.container_pages import ImagePage, SetupPage
from ds01_jupyter.widgets.markup import code, escape, facts
from ds01_jupyter.widgets.panel import html
from ds01_jupyter.widgets.problem import Problem
from ds01_jupyter.widgets.source import Connect
from ds01_jupyter.widgets.why_view import explained
from ds01_jupyter.widgets.wizard import Page, Wizard


class CreatePage(Page):
    """3/3: what will be created."""

    title = "Review and create"
    next_label = "Create container"

    def __init__(self, connect: Connect, setup: SetupPage) -> None:
        super().__init__()
        self._connect, self._setup = connect, setup
        self.summary = html("", "ds01-summary")
        self.limits = html("", "ds01-limits")
        self.children = (self.summary, self.limits)

    def show(self, loaded: None) -> None:
        """Show the summary."""
        self.summary.value = summary_html(self._setup)
        self.limits.value = self._setup.limits.value

    def check(self) -> Operation:
        """Start to create it."""
        return self._connect().create_container(self._setup.container_request())


class ContainerWizard(Wizard):
    """Three phases; `started` gets the request and the running work, `no_slot` a refusal that is
    about GPU slots."""

    def __init__(
        self,
        connect: Connect,
        background: Background,
        started: Callable[[ContainerRequest, Operation], None],
        no_slot: Callable[[ContainerRequest, Problem], None],
        *,
        image: str | None = None,
        name: str | None = None,
        **options: Any,
    ) -> None:
        self._no_slot = no_slot
        self.image = ImagePage(connect, self._changed, image)
        self.setup_page = SetupPage(connect, self.image)
        self.setup_page.name.control.value = name or ""
        self.create = CreatePage(connect, self.setup_page)
        super().__init__(
            "Create a container",
            (self.image, self.setup_page, self.create),
            background,
            lambda operation: started(self.setup_page.container_request(), operation),
            **options,
        )
        self.add_class("ds01-container-wizard")
        self.setup_page.refresh.on_click(lambda _: self._look_again())

    def refuse(self, problem: Problem) -> None:
        """What is about slots gets a page of its own, everything else is shown at its field."""
        if explained(problem):
            self._set_busy("")
            self._no_slot(self.setup_page.container_request(), problem)
        else:
            super().refuse(problem)

    def blame(self, problem: Problem) -> None:
        """Show a refusal at its field, whatever it is about."""
        super().refuse(problem)

    def _changed(self) -> None:
        if hasattr(self, "footer"):  # the pages are made before the frame around them
            self.update()

    def _look_again(self) -> None:
        setup = self.setup_page
        setup.refresh.disabled = True

        def done(loaded: Any) -> None:
            setup.refresh.disabled = False
            setup.update_gpus(loaded)

        def failed(problem: Any) -> None:
            setup.refresh.disabled = False
            setup.gpu.blame(problem)

        self._background.run(setup.load, done, failed)


def summary_html(setup: SetupPage) -> str:
    """What was chosen, as a list."""
    request = setup.container_request()
    rows = {"Container": f"<b>{escape(request.name)}</b>"}
    if request.framework is not None:
        framework = request.framework
        rows["Framework"] = escape(f"{framework.framework} {framework.version or 'newest'}")
    else:
        rows["Image"] = code(request.image or "")
    default = setup.workspace.control.placeholder
    rows["Workspace"] = f"{code(request.workspace or default)} as {code('/workspace')}"
    if request.data:
        rows["Data"] = f"{code(request.data)} as {code('/data')}"
    if request.models:
        rows["Models"] = f"{code(request.models)} as {code('/models')}"
    labels = {value: label for label, value in setup.gpu.control.options}
    times = f"{request.gpus} of: " if request.gpus > 1 else ""
    rows["GPU"] = escape(times + labels.get(request.gpu, request.gpu))
    return facts(rows)
