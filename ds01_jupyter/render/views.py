"""Views of containers, the catalogue, the tiers and operations."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from ds01_jupyter.core import models
from ds01_jupyter.render import life_views
from ds01_jupyter.render.blocks import Block, Cell, Code, Column, Note, Pairs, Table, Tone
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
    now: datetime | None = None,
) -> View:
    """Containers with state, time, slots and who made them; with the owner when it is everybody's.

    What is near to happen to one's own stands in sentences below.
    """
    columns = [
        Column("Container"),
        Column("State", keep=True),
        Column("Has run", keep=True, from_width=70),
        Column("Next"),
        Column("GPU"),
        Column("Image", from_width=100),
        Column("Made by", from_width=100 if all(one.managed for one in documents) else 75),
        Column("Created", keep=True, from_width=120),
    ]
    if everybody:
        columns.insert(1, Column("Owner"))
    rows = []
    for document in documents:
        cells = [
            Cell(document.name, "strong"),
            _container_state(document),
            life_views.ran(document.life),
            life_views.outlook(document.life, now),
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
    notes = [] if everybody else life_views.warnings(documents, prog, now)
    return View(table, *notes, data=list(documents))


def container(document: models.Container, prog: str = "ds01") -> View:
    """One container with its folders, its time and the limits that Docker holds."""
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
    blocks: list[Block] = [Pairs(tuple(rows), title=f"Container {document.name}")]
    blocks += [
        Note(f"The slot {slot.slot or slot.uuid} is {slot.note}.", "warn")
        for slot in document.gpus
        if slot.note
    ]
    if document.life:
        blocks.append(life_views.life_block(document.life))
        blocks += life_views.warnings([document], prog)
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
