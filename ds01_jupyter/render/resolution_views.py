"""Views of what packages come to: a resolution, an import, builds and what differs between them."""

from __future__ import annotations

from collections.abc import Sequence

from ds01_jupyter.core import models
from ds01_jupyter.render.blocks import Block, Callout, Cell, Code, Column, Note, Table, Tone
from ds01_jupyter.render.requirement_names import requirement_name
from ds01_jupyter.render.units import UNKNOWN, ago, size
from ds01_jupyter.render.view import View

SUM = "# By this one sees"
"""How the line of a Dockerfile begins by which the server sees that somebody changed it."""
CHANGES = {"added": "good", "removed": "bad", "changed": "warn"}


def resolution(document: models.Resolution, *, everything: bool = False) -> View:
    """What would be installed by tier, or why it cannot be; `everything` lists every package."""
    blocks: list[Block] = [*problems(document)]
    if not document.checked:
        blocks.append(Note(f"Not checked: {document.note}", "warn"))
    if document.packages:
        blocks.append(_packages(document.packages, everything=everything))
    if document.ok and document.checked:
        blocks.append(Note(summary(document), "good"))
        if document.framework:
            blocks.append(Note(f"Stays as it is: {framework(document)}.", "dim"))
        if document.note:
            blocks.append(Note(document.note, "dim"))
    return View(*blocks, data=document)


def problems(document: models.Resolution) -> list[Callout]:
    """Why it cannot be installed, with what to do."""
    found = []
    for one in document.problems:
        notes = [Note(one.message, "bad")]
        if words := one.suggestion or way_out(one):
            notes.append(Note(words))
        found.append(Callout(tuple(notes), title=one.package or "", tone="bad"))
    return found


def way_out(problem: models.ResolutionProblem) -> str:
    """What to put in the place of the package, as one sentence; empty where nobody can tell."""
    if problem.package is None or problem.replace is None:
        return ""
    if not problem.replace:
        return f"Leave out {problem.package}."
    if problem.replace == problem.package:
        return f"Take any version of {problem.package}."
    if requirement_name(problem.replace) == requirement_name(problem.package):
        return f"Ask for {problem.replace}."
    return f"Put {problem.replace} in the place of {problem.package}."


def summary(document: models.Resolution) -> str:
    """How many packages come, how much is downloaded, how many are there already."""
    new = sum(package.state != "present" for package in document.packages)
    present = len(document.packages) - new
    if not new:
        return "Nothing has to be installed: the framework's image has all of it."
    words = "1 package" if new == 1 else f"{new} packages"
    load = ""
    if document.download is not None:
        load = f", {size(document.download)} to download at most"
    elif known := sum(one.size or 0 for one in document.packages if one.state != "present"):
        load = f", more than {size(known)} to download"
    there = f"; {present} are in the framework's image already" if present > 1 else ""
    there = "; 1 is in the framework's image already" if present == 1 else there
    return f"{words} to install{load}{there}."


def framework(document: models.Resolution, most: int = 6) -> str:
    """`torch 2.5.1, torchvision 0.20.1`: what the framework brings and what stays."""
    names = sorted(document.framework, key=lambda name: (name.startswith("nvidia"), name))
    shown = [f"{name} {document.framework[name]}" for name in names[:most]]
    rest = len(names) - len(shown)
    return ", ".join(shown) + (f" and {rest} more" if rest > 0 else "")


def _packages(packages: Sequence[models.ResolvedPackage], *, everything: bool) -> Table:
    rows = []
    for tier in dict.fromkeys(package.tier for package in packages):
        mine = [package for package in packages if package.tier == tier]
        named = [package for package in mine if everything or package.asked]
        rest = [package for package in mine if not everything and not package.asked]
        shown = [
            (
                Cell(one.name, "" if one.asked else "dim"),
                Cell(one.version),
                state(one),
                _size([one]),
            )
            for one in named
        ]
        if rest:
            words = f"+ {len(rest)} that {'they need' if len(named) != 1 else 'it needs'}"
            shown.append((Cell(words, "dim"), Cell(""), Cell(""), _size(rest)))
        for number, row in enumerate(shown):
            rows.append((Cell("" if number else tier_title(tier), "strong"), *row))
    columns = (
        Column("Tier", keep=True),
        Column("Package"),
        Column("Version"),
        Column("", from_width=60),
        Column("Download", right=True, keep=True),
    )
    return Table(columns, tuple(rows))


def tier_title(key: str) -> str:
    """What people call a tier."""
    return {"custom": "your own"}.get(key, key)


def state(package: models.ResolvedPackage) -> Cell:
    """Whether a package is new, there already, or takes the place of another version."""
    if package.state == "present":
        return Cell("there already", "dim")
    if package.state == "changed":
        return Cell(f"in place of {package.was or UNKNOWN}", "warn")
    return Cell("new")


def _size(packages: Sequence[models.ResolvedPackage]) -> Cell:
    coming = [package.size for package in packages if package.state != "present"]
    known = [one for one in coming if one is not None]
    if not coming:
        return Cell("")
    if not known:
        return Cell(UNKNOWN, "dim")
    more = "more than " if len(known) < len(coming) else ""
    return Cell(f"{more}{size(sum(known))}")


def imported(document: models.ImageImport, filename: str) -> View:
    """What was taken from a file, and what was not: with its line and a suggestion."""
    taken = [
        f"{len(names)} {kind} package{'' if len(names) == 1 else 's'}"
        for names, kind in ((document.pip, "pip"), (document.apt, "apt"))
        if names
    ]
    if document.framework:
        taken.append(f"{document.framework} {document.version or ''}".strip())
    words = ", ".join(taken) or "nothing"
    blocks: list[Block] = [Note(f"From {filename}: {words}.", "good" if taken else "warn")]
    if document.notes:
        rows = tuple(
            (
                Cell(UNKNOWN if note.line is None else str(note.line), "dim"),
                Cell(note.text, "code"),
                Cell(f"{note.why}{f' Perhaps {note.suggestion}?' if note.suggestion else ''}"),
            )
            for note in document.notes
        )
        columns = (Column("Line", right=True), Column("Not taken"), Column("Why"))
        blocks.append(Table(columns, rows))
    return View(*blocks, data=document)


def builds(documents: Sequence[models.ImageBuild], name: str, prog: str = "ds01") -> View:
    """The builds of an image that are kept, newest first."""
    columns = (
        Column("Build", right=True, keep=True),
        Column("", keep=True),
        Column("Created", keep=True),
        Column("Packages", right=True),
        Column("Size", right=True, keep=True),
        Column("From", from_width=90),
    )
    rows = tuple(
        (
            Cell(str(one.number), "strong"),
            build_state(one),
            Cell(ago(one.created)),
            Cell(UNKNOWN if one.packages is None else str(len(one.packages))),
            Cell(size(one.size)),
            Cell(one.base_image, "dim"),
        )
        for one in documents
    )
    notes = []
    if any(one.available and not one.current for one in documents):
        text = (
            f"`{prog} image rollback {name} --to N` goes back to one of them; `{prog} image diff "
        )
        notes.append(Note(f"{text}{name}` shows what changed last."))
    empty = "None is kept: it was built before builds were written down."
    return View(Table(columns, rows, empty=empty), *notes, data=list(documents))


def build_state(build: models.ImageBuild) -> Cell:
    """Whether the image's name stands for a build, or one can go back to it."""
    if build.current:
        return Cell("present", "good")
    return Cell("kept") if build.available else Cell("removed", "dim")


def changes(document: models.ImageDiff) -> list[tuple[models.PackageChange, str]]:
    """The changed packages, each with `added`, `removed` or `changed`."""
    return [
        (one, "added" if one.before is None else "removed" if one.after is None else "changed")
        for one in document.changes
    ]


def counted(document: models.ImageDiff) -> str:
    """`2 added, 1 changed`, or that nothing changed."""
    kinds = [kind for _, kind in changes(document)]
    words = [f"{kinds.count(kind)} {kind}" for kind in CHANGES if kind in kinds]
    return ", ".join(words) or "no package changed"


def diff(document: models.ImageDiff, *, dockerfile: bool = True) -> View:
    """Packages that came, went or changed from one build to another, and the Dockerfile."""
    tones: dict[str, Tone] = {"added": "good", "removed": "bad", "changed": "warn"}
    rows = tuple(
        (
            Cell(one.name, "code"),
            Cell(one.before or UNKNOWN, "" if one.before else "dim"),
            Cell(one.after or UNKNOWN, tones[kind]),
            Cell(kind, tones[kind]),
        )
        for one, kind in changes(document)
    )
    columns = (
        Column("Package", keep=True),
        Column(f"Build {document.before}"),
        Column(f"Build {document.after}"),
        Column(""),
    )
    heading = f"From build {document.before} to build {document.after}"
    table = Table(columns, rows, title=heading, empty="The packages are the same.")
    blocks: list[Block] = [table]
    if document.base_changed:
        blocks.append(Note("The framework's image is another one."))
    if dockerfile and (text := dockerfile_changes(document)):
        blocks.append(Code(text, title="Dockerfile"))
    return View(*blocks, data=document)


def dockerfile_changes(document: models.ImageDiff) -> str:
    """What changed in the Dockerfile, without the line that only sums it up."""
    lines = document.dockerfile.splitlines()
    return "\n".join(line for line in lines if not line[1:].startswith(SUM))


def pruned(documents: Sequence[models.PrunedImage], *, done: bool) -> View:
    """What goes, or went: images that nobody uses, and earlier builds."""
    if not documents:
        return View(Note("There is nothing to remove.", "good"), data=[])
    owners = {one.owner for one in documents}
    columns = [
        Column("Image"),
        Column("What", keep=True),
        Column("Size", right=True, keep=True),
        Column("Created", keep=True),
    ]
    rows = []
    for one in documents:
        what = "with all its builds" if one.build is None else f"build {one.build}"
        row = [Cell(one.name, "strong"), Cell(what), Cell(size(one.size)), Cell(ago(one.created))]
        if len(owners) > 1:
            row.insert(1, Cell(one.owner))
        rows.append(tuple(row))
    if len(owners) > 1:
        columns.insert(1, Column("Owner"))
    total = size(sum(one.size for one in documents))
    text = (
        f"Removed: {len(documents)}. Layers that others use stay."
        if done
        else f"{total} in all, less what they share with others. Dockerfiles and workspaces stay."
    )
    note = Note(text, "good" if done else "")
    return View(Table(tuple(columns), tuple(rows)), note, data=list(documents))
