"""A framework and its version, chosen from the catalogue; used for images and for containers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ipywidgets as W  # noqa: N812 - the name that the field uses

from ds01_jupyter.core.models import Catalogue, CatalogueRow, FrameworkChoice
from ds01_jupyter.widgets import texts
from ds01_jupyter.widgets.fields import Field, choice_field, offer, toggle_field
from ds01_jupyter.widgets.markup import code, escape
from ds01_jupyter.widgets.panel import Panel, html

PREFERRED = "pytorch"
_FROM = {
    "request": "your choice",
    "configuration": "set by the admin",
    "driver": "found from the NVIDIA driver",
}


class FrameworkPicker(Panel):
    """Framework, version and what image that is. `fill` it with a catalogue."""

    css_class = "ds01-framework-picker"

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._rows: list[CatalogueRow] = []
        self._filling = False
        self.framework = toggle_field("Framework", "ds01-framework", explain=texts.FRAMEWORK)
        self.version = choice_field("Version", "ds01-version", explain=texts.VERSION)
        self.source = html("", "ds01-source")
        super().__init__((self.framework, self.version, self.source))
        self.framework.control.observe(lambda _: self._list_versions(), "value")
        self.version.control.observe(lambda _: self._tell(), "value")

    @property
    def row(self) -> CatalogueRow | None:
        """The chosen row of the catalogue; None while there is none to choose."""
        for row in self._rows:
            if (row.framework, row.version) == (self.framework.value, self.version.value):
                return row
        return None

    def choice(self, architecture: str | None) -> FrameworkChoice | None:
        """The choice as the API wants it; None while there is none."""
        row = self.row
        if row is None:
            return None
        return FrameworkChoice(
            framework=row.framework, version=row.version, architecture=architecture
        )

    def fill(self, catalogue: Catalogue) -> None:
        """Offer what `catalogue` has; what was chosen stays chosen where it is still there."""
        version = self.version.value
        self._rows = catalogue.rows
        present = {row.framework for row in self._rows}
        names = [name for name in catalogue.frameworks if name in present]
        default = next((name for name in names if name.lower() == PREFERRED), None)
        self._filling = True
        offer(self.framework.control, names, default)
        self._filling = False
        self._list_versions(version)

    def fields(self) -> dict[str, Field]:
        """The fields by the name that the server gives them."""
        return {"framework": self.framework, "version": self.version}

    def _list_versions(self, version: str | None = None) -> None:
        """Offer the versions of the chosen framework, newest first.

        Taken is `version` if it is one of them, else the newest that is on this machine: a first
        image then does not begin with a download of many gigabytes. Else the newest of all.
        """
        if self._filling:
            return
        rows = [row for row in self._rows if row.framework == self.framework.value]
        options = []
        for number, row in enumerate(rows):
            marks = ["newest"] if number == 0 else []
            marks += ["on this machine"] if row.local else []
            label = f"{row.version} ({', '.join(marks)})" if marks else row.version
            options.append((label, row.version))
        self.version.control.options = options
        versions = [row.version for row in rows]
        if versions:
            here = next((row.version for row in rows if row.local), versions[0])
            self.version.control.value = version if version in versions else here
        self._tell()

    def _tell(self) -> None:
        row = self.row
        if row is None:
            self.source.value = "<p class='ds01-note'>No framework fits this architecture.</p>"
        else:
            local = "It is on this machine already."
            pull = "It is downloaded first, which can take some minutes."
            self.source.value = (
                f"<p class='ds01-note'>Image {code(row.image)}. {local if row.local else pull}</p>"
            )
        self._changed()


class ArchitectureField(Field):
    """Another architecture than the machine's own; `chosen` gets what a person took."""

    def __init__(self, chosen: Callable[[str], None]) -> None:
        self._chosen = chosen
        self._filling = False
        super().__init__(
            W.Dropdown(description="Architecture"), "ds01-architecture", explain=texts.ARCHITECTURE
        )
        self.control.observe(lambda change: self._tell(change["new"]), "value")

    def offer(self, catalogue: Catalogue) -> None:
        """Offer what the catalogue knows, the present one taken."""
        self._filling = True
        self.control.options = catalogue.architectures
        self.control.value = catalogue.architecture
        self._filling = False
        origin = _FROM.get(catalogue.architecture_from or "", "")
        self.note.value = f"<p>{escape(origin)}</p>" if origin else ""

    def _tell(self, value: Any) -> None:
        if value and not self._filling:
            self._chosen(str(value))
