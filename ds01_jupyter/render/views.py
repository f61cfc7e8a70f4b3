"""Views of images, containers, the catalogue, the tiers and operations."""

from __future__ import annotations

from collections.abc import Sequence

from ds01_jupyter.core import models
from ds01_jupyter.render.blocks import Cell, Code, Column, Note, Pairs, Table, Tone
from ds01_jupyter.render.units import UNKNOWN, ago, count, percent, size
from ds01_jupyter.render.view import View

CONTAINER_TONES: dict[str, Tone] = {
    "running": "good",
    "exited": "dim",
    "created": "dim",
    "paused": "warn",
    "restarting": "warn",
    "dead": "bad",
}
OPERATION_TONES: dict[str, Tone] = {
    "succeeded": "good",
    "failed": "bad",
    "cancelled": "warn",
    "interrupted": "warn",
}
MAX_OPERATIONS = 20
MADE_BY = {"ds01": "ds01", "aime": "AIME's mlc", "docker": "plain Docker"}


def containers(
    documents: Sequence[models.Container],
    *,
    everybody: bool = False,
    prog: str = "ds01",
    title: str = "",
) -> View:
    """Containers with state, slots and who made them; with the owner when it is everybody's."""
    columns = [Column("Container"), Column("State", keep=True), Column("GPU"), Column("Image")]
    columns += [Column("Made by"), Column("Created", keep=True)]
    if everybody:
        columns.insert(1, Column("Owner"))
    rows = []
    for document in documents:
        cells = [
            Cell(document.name, "strong"),
            _container_state(document),
            Cell(slots(document.gpus), "" if document.gpus else "dim"),
            Cell(document.framework or short_reference(document.image)),
            Cell(MADE_BY[document.made_by], "" if document.managed else "warn"),
            Cell(ago(document.created), "dim"),
        ]
        if everybody:
            cells.insert(1, Cell(document.owner or UNKNOWN))
        rows.append(tuple(cells))
    empty = f"No containers yet. `{prog} create` makes one, step by step."
    table = Table(tuple(columns), tuple(rows), title=title, empty=empty)
    return View(table, data=list(documents))


def container(document: models.Container) -> View:
    """One container with its folders and the limits that Docker holds."""
    rows = [
        ("state", Cell(f"{document.state} ({document.status})", _tone(document.state))),
        ("full name", Cell(document.full_name, "code")),
        ("owner", Cell(document.owner or UNKNOWN)),
        ("made by", Cell(MADE_BY[document.made_by])),
        ("image", Cell(document.image)),
        ("framework", Cell(document.framework or UNKNOWN)),
        ("GPU", Cell(slots(document.gpus))),
    ]
    rows += [("GPU uuid", Cell(slot.uuid, "code")) for slot in document.gpus]
    folders = (("workspace", document.workspace), ("data", document.data))
    rows += [
        (name, Cell(path, "code")) for name, path in (*folders, ("models", document.models)) if path
    ]
    rows.append(("created", Cell(ago(document.created))))
    blocks: list[Pairs] = [Pairs(tuple(rows), title=f"Container {document.name}")]
    if document.limits:
        blocks.append(_container_limits(document.limits))
    return View(*blocks, data=document)


def _container_limits(limits: models.ContainerLimits) -> Pairs:
    rows = (
        ("CPUs", Cell(count(limits.cpus))),
        ("memory", Cell(size(limits.memory, unlimited=True))),
        ("memory and swap", Cell(size(limits.memory_swap, unlimited=True))),
        ("shared memory", Cell(size(limits.shm_size))),
        ("processes", Cell(count(limits.pids))),
        ("cgroup", Cell(limits.cgroup_parent or UNKNOWN, "code")),
    )
    return Pairs(rows, title="Limits")


def _tone(state: str) -> Tone:
    return CONTAINER_TONES.get(state, "")


def _container_state(document: models.Container) -> Cell:
    return Cell(document.state, _tone(document.state))


def slots(references: Sequence[models.SlotReference]) -> str:
    """The slots of a container: `0:1 (1g.5gb)`, or `CPU only`."""
    if not references:
        return "CPU only"
    return ", ".join(
        f"{reference.slot or reference.uuid}"
        + (f" ({reference.profile})" if reference.profile else "")
        for reference in references
    )


def short_reference(reference: str) -> str:
    """An image reference without the part that names a registry's host, ids shortened."""
    if reference.startswith("sha256:"):
        return reference[7:19]
    return reference.rsplit("/", 1)[-1]


def logs(document: models.Logs, name: str) -> View:
    """The end of a container's output."""
    if not document.text.strip():
        return View(Note(f"{name} has written nothing yet.", "dim"), data=document)
    return View(Code(document.text.rstrip("\n")), data=document)


def images(documents: Sequence[models.Image], *, prog: str = "ds01") -> View:
    """Images with what is in them; one's own first."""
    columns = (
        Column("Image"),
        Column("Framework"),
        Column("Packages"),
        Column("Size", right=True, keep=True),
        Column("Used by"),
        Column("Created", keep=True),
    )
    ordered = sorted(documents, key=lambda document: not document.managed)
    rows = tuple(
        (
            Cell(document.name or document.reference, "strong" if document.managed else ""),
            Cell(document.framework or UNKNOWN),
            Cell(tiers_of(document) if document.managed else "(not a ds01 image)", "dim"),
            Cell(size(document.size)),
            Cell(", ".join(document.containers) or UNKNOWN),
            Cell(ago(document.created), "dim"),
        )
        for document in ordered
    )
    empty = f"No images yet. `{prog} image create NAME --framework Pytorch` builds one."
    return View(Table(columns, rows, empty=empty), data=ordered)


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


def image(document: models.Image) -> View:
    """One image with its tiers."""
    base = document.base
    rows = [
        ("reference", Cell(document.reference, "code")),
        ("id", Cell(document.id, "code")),
        ("owner", Cell(document.owner or UNKNOWN)),
        ("framework", Cell(document.framework or UNKNOWN)),
        ("from", Cell(document.base_image or UNKNOWN)),
        ("base tier", Cell(", ".join(base) if isinstance(base, list) else base or UNKNOWN)),
        ("use cases", Cell(", ".join(document.use_cases) or "none")),
        ("own packages", Cell(", ".join(document.pip) or "none")),
        ("apt packages", Cell(", ".join(document.apt) or "none")),
        ("Dockerfile", Cell(document.dockerfile or UNKNOWN, "code")),
        ("size", Cell(size(document.size))),
        ("containers", Cell(", ".join(document.containers) or "none")),
        ("created", Cell(ago(document.created))),
    ]
    return View(Pairs(tuple(rows), title=f"Image {document.name}"), data=document)


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


def catalogue(document: models.Catalogue, framework: str | None = None) -> View:
    """The frameworks and versions that fit the machine; `framework` shows its versions only."""
    wanted = framework.casefold() if framework else None
    rows = tuple(
        (
            Cell(row.framework, "strong"),
            Cell(row.version),
            Cell(", ".join(row.architectures)),
            Cell(
                "on this machine" if row.local else "will be downloaded",
                "good" if row.local else "dim",
            ),
        )
        for row in document.rows
        if wanted is None or row.framework.casefold() == wanted
    )
    columns = (
        Column("Framework"),
        Column("Version"),
        Column("Architecture"),
        Column("Image", keep=True),
    )
    said = {
        "request": "as asked",
        "configuration": "set by your admin",
        "driver": "from the NVIDIA driver",
    }
    where = said.get(document.architecture_from or "", "not known")
    notes = [Note(f"Architecture: {document.architecture or UNKNOWN} ({where}).", "dim")]
    notes += [
        Note(f"{problem.file}:{problem.line}: {problem.problem}", "warn")
        for problem in document.problems
    ]
    return View(Table(columns, rows, empty="No framework fits."), *notes, data=document)


def packages(document: models.Tiers) -> View:
    """What each tier holds and why."""
    tables = []
    for tier in (document.base, *document.use_cases):
        key = "" if tier is document.base else f" (--use-case {tier.key})"
        rows = tuple((Cell(package.name, "code"), Cell(package.why)) for package in tier.packages)
        title = f"{tier.title}{key}: {tier.why}"
        tables.append(Table((Column("Package", keep=True), Column("What for")), rows, title=title))
    return View(*tables, data=document)


def operations(documents: Sequence[models.Operation]) -> View:
    """Long work, newest first; the newest `MAX_OPERATIONS` of it."""
    columns = (
        Column("Id", keep=True),
        Column("What"),
        Column("State", keep=True),
        Column("Where it stands"),
        Column("Begun", keep=True),
    )
    rows = tuple(
        (
            Cell(document.id, "code"),
            Cell(document.title),
            Cell(document.state, OPERATION_TONES.get(document.state, "")),
            standing(document),
            Cell(ago(document.created), "dim"),
        )
        for document in documents[:MAX_OPERATIONS]
    )
    table = Table(columns, rows, empty="No operations.")
    older = len(documents) - len(rows)
    notes = [Note(f"and {older} older ones (--json has them)", "dim")] if older > 0 else []
    return View(table, *notes, data=list(documents))


def standing(document: models.Operation) -> Cell:
    """Where an operation stands: its error, or its phase with a bar."""
    if document.error:
        return Cell(document.error.message, "bad")
    if document.progress is None:
        return Cell(UNKNOWN, "dim")
    if document.state == "succeeded":
        return Cell("done", "good")
    fraction = document.progress.fraction
    share = f" {percent(fraction)}" if fraction is not None else ""
    return Cell(f"{document.progress.phase}{share}", bar=fraction)
