"""The catalogue: AIME's `ml_images.repo`, in both formats that AIME has published.

A row is `Framework, Version, Architecture, image`; the architecture is one bare word (AIME v1) or
`[A;B]` (AIME v2). What is after the fourth column is ignored, as AIME ignores it. Where two rows
speak of the same framework, version and architecture, the first one counts. Versions are opaque
words: the file's order says which one is newest.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from ds01_jupyter.core import models
from ds01_jupyter.core.errors import ConfigurationError, NotFound
from ds01_jupyter.core.names import is_reference
from ds01_jupyter.core.wording import did_you_mean, quoted

FILE_NAME = "ml_images.repo"
COLUMNS = ("framework", "version", "architecture", "image")
MAX_BYTES = 4 * 1024 * 1024
MAX_FIELD = 100

_ARCHITECTURE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
# Framework and version become a label, a tag of the kernel and text in a Dockerfile's comments: no
# quotes, no `$`, no comma or `=` (AIME v2 splits labels at these).
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._+~()-]*")

Origin = Literal["request", "configuration", "driver"]


@dataclass(frozen=True)
class Row:
    """One framework and version for one or more architectures, and the image that AIME made."""

    framework: str
    version: str
    architectures: tuple[str, ...]
    image: str
    line: int
    """Line of the file, from 1."""


@dataclass(frozen=True)
class CatalogueFile:
    """The rows of a catalogue in the order of the file, and the rows that could not be read."""

    rows: tuple[Row, ...]
    problems: tuple[models.CatalogueProblem, ...]
    source: Path

    @classmethod
    def load(cls, path: Path) -> CatalogueFile:
        """Read a catalogue file, or the `ml_images.repo` of a folder (an AIME checkout).

        A row with a mistake becomes one of `problems`; the rest loads. Raises
        `ConfigurationError` when there is no such file or it cannot be read.
        """
        source = path / FILE_NAME if path.is_dir() else path
        rows: list[Row] = []
        problems: list[models.CatalogueProblem] = []
        for number, raw in _lines(source):
            try:
                rows.append(_row(raw, number))
            except _BadRow as mistake:
                problems.append(
                    models.CatalogueProblem(
                        file=str(source),
                        line=number,
                        text=_printable(raw),
                        problem=str(mistake),
                    )
                )
        return cls(tuple(_first_of_each(rows)), tuple(problems), source)

    def refuse_empty(self) -> None:
        """Raise `ConfigurationError`, with the place of the first mistake, when no row could be
        read: then it is the file that is wrong, and not what a person asks of it."""
        if self.rows:
            return
        first = self.problems[0] if self.problems else None
        place = f"{first.file}:{first.line}" if first else str(self.source)
        why = first.problem if first else "it holds no rows"
        raise ConfigurationError(
            f"The catalogue has no row that can be read; {place}: {why}.",
            hint="Ask your admin to correct it; a row is framework, version, architecture, image.",
            file=str(self.source),
            line=first.line if first else None,
            mistakes=len(self.problems),
        )

    @property
    def architectures(self) -> tuple[str, ...]:
        """Every architecture that a row names, in the order of the file."""
        return tuple(dict.fromkeys(a for row in self.rows for a in row.architectures))

    @property
    def frameworks(self) -> tuple[str, ...]:
        """Every framework, in the order of the file."""
        return tuple(dict.fromkeys(row.framework for row in self.rows))

    def select(self, framework: str, version: str | None, architecture: str) -> Row:
        """The row for a framework, a version (None: the newest) and an architecture.

        Upper and lower case of the framework do not count. Raises `NotFound` with the choices
        in `details` and the nearest one in the hint; a version that there is for other
        architectures only says for which.
        """
        if architecture not in self.architectures:
            raise unknown_architecture(architecture, self.architectures)
        wanted = framework.strip().casefold()
        of_framework = [row for row in self.rows if row.framework.casefold() == wanted]
        if not of_framework:
            raise NotFound(
                f"The catalogue has no framework {quoted(framework)}.",
                hint=did_you_mean(framework, self.frameworks) or self._emptiness(),
                framework=framework,
                frameworks=list(self.frameworks),
            )
        fitting = [row for row in of_framework if architecture in row.architectures]
        if not fitting:
            raise _not_for_architecture(of_framework, architecture)
        if version is None:
            return fitting[0]
        for row in fitting:
            if row.version == version.strip():
                return row
        raise _no_version(of_framework, fitting, version, architecture)

    def document(
        self, architecture: str | None, how: Origin | None, local: Callable[[str], bool]
    ) -> models.Catalogue:
        """The rows for an architecture (None: all rows); `how` it was chosen.

        `local(image)` says whether the machine has an image already.
        """
        rows = [
            row for row in self.rows if architecture is None or architecture in row.architectures
        ]
        return models.Catalogue(
            rows=[
                models.CatalogueRow(
                    framework=row.framework,
                    version=row.version,
                    architectures=list(row.architectures),
                    image=row.image,
                    local=local(row.image),
                )
                for row in rows
            ],
            frameworks=list(dict.fromkeys(row.framework for row in rows)),
            architecture=architecture,
            architecture_from=how,
            architectures=list(self.architectures),
            problems=list(self.problems),
            source=str(self.source),
        )

    def _emptiness(self) -> str:
        return f"{self.source} has no row that can be read; ask your admin to look at it."


def unknown_architecture(name: str, known: Iterable[str]) -> NotFound:
    """The refusal of an architecture that no row of the catalogue names."""
    choices = list(known)
    return NotFound(
        f"The catalogue has nothing for the architecture {quoted(name)}.",
        hint=did_you_mean(name, choices) or "The catalogue has no rows; ask your admin.",
        architecture=name,
        architectures=choices,
    )


class _BadRow(Exception):
    """Why a row cannot be used, in a few words."""


def _lines(source: Path) -> Iterator[tuple[int, bytes]]:
    """Number and content of each line that may be a row: not blank, not a comment."""
    try:
        with source.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConfigurationError(
            f"The catalogue {source} cannot be read: {error.strerror or error}.",
            hint="Set the catalogue to a file in AIME's format or to an AIME checkout.",
            file=str(source),
        ) from error
    if len(content) > MAX_BYTES:
        raise ConfigurationError(
            f"The catalogue {source} is larger than {MAX_BYTES // 1024**2} MiB.",
            hint="Set the catalogue to a file in AIME's format.",
            file=str(source),
        )
    content = content.removeprefix(b"\xef\xbb\xbf")
    for number, line in enumerate(content.split(b"\n"), start=1):
        stripped = line.strip()
        if stripped and not stripped.startswith(b"#"):
            yield number, stripped


def _row(raw: bytes, number: int) -> Row:
    try:
        line = raw.decode()
    except UnicodeDecodeError:
        raise _BadRow("this is not UTF-8 text") from None
    fields = [field.strip() for field in line.split(",")][: len(COLUMNS)]
    if len(fields) < len(COLUMNS):
        raise _BadRow(
            f"{len(fields)} of {len(COLUMNS)} columns (framework, version, architecture, image)"
        )
    for column, field in zip(COLUMNS, fields, strict=True):
        if not field:
            raise _BadRow(f"the {column} is empty")
    framework, version, architectures, image = fields
    for column, field in (("framework", framework), ("version", version)):
        if len(field) > MAX_FIELD or not _WORD.fullmatch(field):
            raise _BadRow(f"{quoted(field)} cannot be a {column}")
    if not is_reference(image):
        raise _BadRow(f"{quoted(image)} is not the name of a Docker image")
    return Row(framework, version, _architectures(architectures), image, number)


def _architectures(field: str) -> tuple[str, ...]:
    """The names in `A`, `[A]`, `[A;B]` or `[A; B]`, each once."""
    if field.startswith("[") != field.endswith("]") or (len(field) == 1 and field in "[]"):
        raise _BadRow(f"the bracket of {quoted(field)} is not closed")
    inner = field[1:-1] if field.startswith("[") else field
    names = [name.strip() for name in inner.split(";")]
    for name in names:
        if not name:
            raise _BadRow(f"an architecture in {quoted(field)} is empty")
        if len(name) > MAX_FIELD or not _ARCHITECTURE.fullmatch(name):
            raise _BadRow(f"{quoted(name)} cannot be an architecture")
    return tuple(dict.fromkeys(names))


def _first_of_each(rows: Iterable[Row]) -> Iterator[Row]:
    """The rows less what an earlier row says already, frameworks in their first spelling."""
    taken: set[tuple[str, str, str]] = set()
    spelling: dict[str, str] = {}
    for row in rows:
        folded = row.framework.casefold()
        framework = spelling.setdefault(folded, row.framework)
        own = tuple(a for a in row.architectures if (folded, row.version, a) not in taken)
        taken.update((folded, row.version, a) for a in own)
        if own:
            yield replace(row, framework=framework, architectures=own)


def _not_for_architecture(rows: list[Row], architecture: str) -> NotFound:
    others = list(dict.fromkeys(a for row in rows for a in row.architectures))
    return NotFound(
        f"{rows[0].framework} is not in the catalogue for {architecture}.",
        hint=f"It is there for {', '.join(others)}; name one of them as the architecture "
        "if your GPU and its driver can run it, or take another framework.",
        framework=rows[0].framework,
        architecture=architecture,
        architectures=others,
    )


def _no_version(
    of_framework: list[Row], fitting: list[Row], version: str, architecture: str
) -> NotFound:
    framework = fitting[0].framework
    versions = [row.version for row in fitting]
    elsewhere = [
        a for row in of_framework if row.version == version.strip() for a in row.architectures
    ]
    if elsewhere:
        message = (
            f"{framework} {version.strip()} is in the catalogue for {', '.join(elsewhere)}, "
            f"not for {architecture}."
        )
        hint = f"The newest for {architecture} is {versions[0]}."
    else:
        message = f"{framework} has no version {quoted(version)} for {architecture}."
        hint = f"{did_you_mean(version, versions)} The newest is {versions[0]}."
    return NotFound(
        message,
        hint=hint,
        framework=framework,
        version=version,
        architecture=architecture,
        versions=versions,
        architectures=list(dict.fromkeys(elsewhere)),
    )


def _printable(raw: bytes) -> str:
    text = raw.decode(errors="backslashreplace")[:200]
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
