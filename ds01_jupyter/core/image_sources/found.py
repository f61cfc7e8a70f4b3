"""What a file yields while it is read: packages that can be taken, and notes on the rest."""

from __future__ import annotations

from ds01_jupyter.core.errors import InvalidInput
from ds01_jupyter.core.image_sources.documents import ImportNote
from ds01_jupyter.core.requirements import parse_apt, parse_requirement

MAX_SHOWN = 200


class Found:
    """Packages in the order of the file, each once, in canonical form; and notes."""

    def __init__(self) -> None:
        self.pip: list[str] = []
        self.apt: list[str] = []
        self.notes: list[ImportNote] = []

    def package(self, text: str, line: int | None = None) -> None:
        """Take a requirement, or note why it cannot be taken."""
        try:
            requirement = parse_requirement(text)
        except InvalidInput as error:
            self.note(text, _reason(error), line)
            return
        if requirement not in self.pip:
            self.pip.append(requirement)

    def debian(self, text: str, line: int | None = None) -> None:
        """Take the name of a Debian package, or note why it cannot be taken."""
        name, equals, _ = text.partition("=")
        if equals:
            self.note(text, "The version is left out: the base image's release decides it.", line)
        try:
            package = parse_apt(name)
        except InvalidInput as error:
            self.note(text, _reason(error), line)
            return
        if package not in self.apt:
            self.apt.append(package)

    def note(
        self, text: str, why: str, line: int | None = None, suggestion: str | None = None
    ) -> None:
        """Say that something was not taken as it stands."""
        shown = " ".join(text.split())
        if len(shown) > MAX_SHOWN:
            shown = f"{shown[: MAX_SHOWN - 3]}..."
        self.notes.append(ImportNote(line=line, text=shown, why=why, suggestion=suggestion))


def _reason(error: InvalidInput) -> str:
    _, colon, why = error.message.partition(" cannot be installed: ")
    reason = why if colon else error.message
    return f"Not taken: {reason[:1].lower()}{reason[1:]}"
