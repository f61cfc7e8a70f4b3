"""Views of images: what is in them, whether they are out of date, their Dockerfiles."""

from __future__ import annotations

from collections.abc import Sequence

from ds01_jupyter.core import models
from ds01_jupyter.render.blocks import Block, Callout, Cell, Code, Column, Note, Pairs, Table
from ds01_jupyter.render.requirement_names import requirement_name
from ds01_jupyter.render.units import UNKNOWN, ago, size
from ds01_jupyter.render.view import View

SHOWN_PACKAGES = 20
"""Packages of an image that are shown without `--all`."""


def images(documents: Sequence[models.Image], *, prog: str = "ds01") -> View:
    """Images with what is in them; one's own first. Outdated and shared ones are marked."""
    columns = (
        Column("Image"),
        Column("Framework"),
        Column("Packages"),
        Column("Size", right=True, keep=True),
        Column("Used by", from_width=70),
        Column("Created", keep=True, from_width=90),
    )
    ordered = sorted(documents, key=lambda document: not document.managed)
    rows = tuple(
        (
            Cell(document.name or document.reference, "strong" if document.managed else ""),
            Cell(document.framework or UNKNOWN),
            _contents(document),
            Cell(size(document.size)),
            Cell(", ".join(document.containers) or UNKNOWN),
            Cell(ago(document.created), "dim"),
        )
        for document in ordered
    )
    empty = f"No images yet. `{prog} image create NAME --framework Pytorch` builds one."
    outdated = [
        Note(
            f"{document.name} is out of date: {' '.join(document.outdated)} "
            f"`{prog} image update {document.name}` builds it anew.",
            "warn",
        )
        for document in ordered
        if document.outdated
    ]
    return View(Table(columns, rows, empty=empty), *outdated, data=ordered)


def _contents(document: models.Image) -> Cell:
    """The tiers, and whether the image is outdated or shared."""
    if document.shared_by:
        return Cell(f"{tiers_of(document)}; shared by {document.shared_by}")
    if not document.managed:
        return Cell("(not a ds01 image)", "dim")
    marks = [tiers_of(document)]
    if document.shared_with:
        marks.append(f"shared with {shares(document.shared_with)}")
    if document.outdated:
        marks.append("out of date")
    return Cell("; ".join(marks), "warn" if document.outdated else "dim")


def shares(documents: Sequence[models.ImageShare]) -> str:
    """`bob, group vision`: with whom an image is shared."""
    words = [one.name if one.kind == "user" else f"group {one.name}" for one in documents]
    return ", ".join(words)


def tiers_of(document: models.Image) -> str:
    """The tiers of an image in a few words: `base, cv, +2 pip`."""
    parts = []
    if isinstance(document.base, list):
        parts.append(f"base ({len(document.base)})")
    elif document.base == "defaults":
        parts.append("base")
    parts += document.use_cases
    parts += [
        f"+{len(own)} {kind}" for own, kind in ((document.pip, "pip"), (document.apt, "apt")) if own
    ]
    return ", ".join(parts) or "framework only"


def image(document: models.Image, *, prog: str = "ds01", everything: bool = False) -> View:
    """One image with its tiers and packages; `everything` shows every package."""
    base = document.base
    rows = [
        ("reference", Cell(document.reference, "code")),
        ("id", Cell(document.id, "code")),
        ("owner", Cell(document.owner or UNKNOWN)),
        ("build", Cell(UNKNOWN if document.build is None else str(document.build))),
        ("framework", Cell(document.framework or UNKNOWN)),
        ("from", Cell(document.base_image or UNKNOWN)),
        ("base tier", Cell(", ".join(base) if isinstance(base, list) else base or UNKNOWN)),
        ("use cases", Cell(", ".join(document.use_cases) or "none")),
        ("own packages", Cell(", ".join(document.pip) or "none")),
        ("apt packages", Cell(", ".join(document.apt) or "none")),
        ("Dockerfile", Cell(document.dockerfile or UNKNOWN, "code")),
        ("size", Cell(size(document.size))),
        ("containers", Cell(", ".join(document.containers) or "none")),
        ("shared with", Cell(shares(document.shared_with) or "nobody")),
        ("created", Cell(ago(document.created))),
    ]
    blocks: list[Block] = [Pairs(tuple(rows), title=f"Image {document.name}")]
    if document.outdated:
        update = Note(f"`{prog} image update {document.name}` builds it anew.")
        notes = (*(Note(reason) for reason in document.outdated), update)
        blocks.append(Callout(notes, title="Out of date", tone="warn"))
    blocks += _packages(document, prog, everything=everything)
    return View(*blocks, data=document)


def _packages(document: models.Image, prog: str, *, everything: bool) -> list[Block]:
    """The Python packages with versions; the first ones only where there are many."""
    packages = document.packages
    if packages is None:
        return []
    if everything or len(packages) <= SHOWN_PACKAGES:
        rows = tuple((Cell(name, "code"), Cell(packages[name])) for name in sorted(packages))
        columns = (Column("Package", keep=True), Column("Version", keep=True))
        return [Table(columns, rows, title="Python packages", empty="None.")]
    shown = [f"{name} {packages[name]}" for name in _first(document, packages)]
    rest = len(packages) - len(shown)
    text = f"{', '.join(shown)}, and {rest} more: `{prog} image show {document.name} --all`"
    return [Callout((Note(text, "dim"),), title=f"{len(packages)} Python packages")]


def _first(document: models.Image, packages: dict[str, str]) -> list[str]:
    """Those that are shown: what was asked for by name, then the others by name."""
    base = document.base if isinstance(document.base, list) else []
    asked = [requirement_name(text) for text in (*document.pip, *base)]
    ordered = dict.fromkeys([name for name in asked if name in packages] + sorted(packages))
    return list(ordered)[:SHOWN_PACKAGES]


DOCKERFILE_STATES = {
    "new": "There is no such file yet; it is written when the image is built.",
    "same": "The file is there and says just this.",
    "changed": "An older one of ours is there; it is replaced when the image is built.",
    "edited": "The file there was edited by hand; building asks for `--dockerfile keep` or "
    "`--dockerfile replace`.",
}


def dockerfile(document: models.DockerfilePreview) -> View:
    """A Dockerfile with the requirement files beside it; other files are named only."""
    blocks: list[Note | Code] = [
        Note(DOCKERFILE_STATES[document.state], "warn" if document.state == "edited" else "dim"),
        Code(document.dockerfile.rstrip("\n"), title=document.path),
    ]
    others = {name: text for name, text in sorted(document.files.items()) if name != "Dockerfile"}
    blocks += [
        Code(text.rstrip("\n"), title=name)
        for name, text in others.items()
        if name.endswith(".txt")
    ]
    scripts = [name for name in others if not name.endswith(".txt")]
    if scripts:
        blocks.append(Note(f"Beside it: {', '.join(scripts)}", "dim"))
    return View(*blocks, data=document)
