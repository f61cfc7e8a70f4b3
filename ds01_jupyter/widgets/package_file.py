"""A file with packages that a person has: chosen in the browser, read by the server as text."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ipywidgets as W  # noqa: N812 - the name that the field uses

from ds01_jupyter.core.image_sources.documents import MAX_SOURCE
from ds01_jupyter.core.models import ImageImport
from ds01_jupyter.widgets.background import Background
from ds01_jupyter.widgets.markup import escape
from ds01_jupyter.widgets.panel import Panel, html
from ds01_jupyter.widgets.problem import Problem, problem_html
from ds01_jupyter.widgets.resolution_drawing import notes_html
from ds01_jupyter.widgets.source import Connect


class PackageFile(Panel):
    """`taken` gets what the file holds; notes on what was not taken stand below the button."""

    css_class = "ds01-package-file"

    def __init__(
        self, connect: Connect, background: Background, taken: Callable[[ImageImport], None]
    ) -> None:
        self._connect, self._background, self._taken = connect, background, taken
        self.upload: Any = W.FileUpload(
            description="Take packages from a file", icon="upload", multiple=False
        )
        self.upload.add_class("ds01-button")
        self.upload.add_class("ds01-upload")
        formats = "requirements.txt, pyproject.toml, environment.yml or a Dockerfile"
        row = W.HBox([self.upload, html(f"<span class='ds01-muted'>{formats}</span>")])
        row.add_class("ds01-footer")
        self.notes = html("", "ds01-import-notes")
        super().__init__((row, self.notes))
        self.upload.observe(self._chosen, "value")

    def _chosen(self, change: dict[str, Any]) -> None:
        if not change["new"]:
            return
        file = change["new"][0]
        name, content = str(file["name"]), bytes(file["content"])
        try:
            text = content.decode("utf-8-sig")
        except UnicodeDecodeError:
            self._refuse(Problem(f"{name} is not a text file.", "It must be UTF-8."))
            return
        if len(content) > MAX_SOURCE:
            self._refuse(Problem(f"{name} is too large: at most {MAX_SOURCE // 1024} KiB."))
            return
        self.notes.value = f"<span role='status'>Reading {escape(name)}…</span>"

        def done(found: ImageImport) -> None:
            self.notes.value = notes_html(found, name)
            self._forget()
            self._taken(found)

        self._background.run(
            lambda: self._connect().import_packages(name, text), done, self._refuse
        )

    def _refuse(self, problem: Problem) -> None:
        self.notes.value = problem_html(problem, with_figures=False)
        self._forget()

    def _forget(self) -> None:
        """So that the same file, changed, can be chosen again."""
        self.upload.value = ()
