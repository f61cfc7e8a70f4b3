"""The documents that cross the API: what a person asks for, and what the lab answers.

Requests refuse unknown keys, so that a misspelt option is an error and not a silent default. Sizes
are bytes, times are ISO 8601 in UTC, shares run from 0 to 1; None always means "not known" or
"not available", never zero.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from ds01_jupyter.core.document import MAX_LIMITS_TEXT as MAX_LIMITS_TEXT
from ds01_jupyter.core.document import MAX_LIST as MAX_LIST
from ds01_jupyter.core.document import MAX_TEXT as MAX_TEXT
from ds01_jupyter.core.document import Document as Document
from ds01_jupyter.core.gpu_documents import Cordon as Cordon
from ds01_jupyter.core.gpu_documents import CordonRequest as CordonRequest
from ds01_jupyter.core.gpu_documents import Gpu as Gpu
from ds01_jupyter.core.gpu_documents import GpuHealth as GpuHealth
from ds01_jupyter.core.gpu_documents import GpuHistory as GpuHistory
from ds01_jupyter.core.gpu_documents import GpuProcess as GpuProcess
from ds01_jupyter.core.gpu_documents import GpuSeries as GpuSeries
from ds01_jupyter.core.gpu_documents import GpuSnapshot as GpuSnapshot
from ds01_jupyter.core.gpu_documents import LeaseView as LeaseView
from ds01_jupyter.core.gpu_documents import Slot as Slot
from ds01_jupyter.core.gpu_documents import SlotReservation as SlotReservation
from ds01_jupyter.core.image_builds.documents import ImageBuild as ImageBuild
from ds01_jupyter.core.image_builds.documents import ImageDiff as ImageDiff
from ds01_jupyter.core.image_builds.documents import ImagePruneRequest as ImagePruneRequest
from ds01_jupyter.core.image_builds.documents import ImageRollbackRequest as ImageRollbackRequest
from ds01_jupyter.core.image_builds.documents import ImageShare as ImageShare
from ds01_jupyter.core.image_builds.documents import ImageShareRequest as ImageShareRequest
from ds01_jupyter.core.image_builds.documents import ImageUpdateRequest as ImageUpdateRequest
from ds01_jupyter.core.image_builds.documents import PackageChange as PackageChange
from ds01_jupyter.core.image_builds.documents import PrunedImage as PrunedImage
from ds01_jupyter.core.image_documents import Catalogue as Catalogue
from ds01_jupyter.core.image_documents import CatalogueProblem as CatalogueProblem
from ds01_jupyter.core.image_documents import CatalogueRow as CatalogueRow
from ds01_jupyter.core.image_documents import DockerfilePreview as DockerfilePreview
from ds01_jupyter.core.image_documents import FrameworkChoice as FrameworkChoice
from ds01_jupyter.core.image_documents import Image as Image
from ds01_jupyter.core.image_documents import ImageRequest as ImageRequest
from ds01_jupyter.core.image_documents import Tier as Tier
from ds01_jupyter.core.image_documents import TierPackage as TierPackage
from ds01_jupyter.core.image_documents import Tiers as Tiers
from ds01_jupyter.core.image_sources.documents import ImageImport as ImageImport
from ds01_jupyter.core.image_sources.documents import ImportNote as ImportNote
from ds01_jupyter.core.image_sources.documents import ImportRequest as ImportRequest
from ds01_jupyter.core.lifecycle.documents import ContainerLife as ContainerLife
from ds01_jupyter.core.lifecycle.documents import Deadline as Deadline
from ds01_jupyter.core.lifecycle.documents import KeepAliveRequest as KeepAliveRequest
from ds01_jupyter.core.lifecycle.documents import Notice as Notice
from ds01_jupyter.core.lifecycle.documents import TimeLimits as TimeLimits
from ds01_jupyter.core.reservations.documents import Reservation as Reservation
from ds01_jupyter.core.reservations.documents import ReservationConflict as ReservationConflict
from ds01_jupyter.core.reservations.documents import ReservationRequest as ReservationRequest
from ds01_jupyter.core.resolve.documents import Resolution as Resolution
from ds01_jupyter.core.resolve.documents import ResolutionProblem as ResolutionProblem
from ds01_jupyter.core.resolve.documents import ResolvedPackage as ResolvedPackage
from ds01_jupyter.core.waiting.documents import Alternative as Alternative
from ds01_jupyter.core.waiting.documents import Estimate as Estimate
from ds01_jupyter.core.waiting.documents import Explanation as Explanation
from ds01_jupyter.core.waiting.documents import LimitUse as LimitUse
from ds01_jupyter.core.waiting.documents import Obstacle as Obstacle
from ds01_jupyter.core.waiting.documents import QueueEntry as QueueEntry
from ds01_jupyter.core.waiting.documents import Standing as Standing

# ---- requests ------------------------------------------------------------------------------


class ContainerRequest(Document):
    """A container: from an image, or from a bare framework of the catalogue."""

    name: str = Field(max_length=MAX_TEXT)
    image: str | None = Field(default=None, max_length=MAX_TEXT)
    """Name of an image of one's own, or any reference that this machine has."""
    framework: FrameworkChoice | None = None
    workspace: str | None = Field(default=None, max_length=4096)
    """Folder mounted at /workspace; absent: `~/workspace/<name>`."""
    data: str | None = Field(default=None, max_length=4096)
    models: str | None = Field(default=None, max_length=4096)
    gpu: str = Field(default="any", max_length=MAX_TEXT)
    """`any` (whatever is free that fits), `none` (CPU only), `whole`, a MIG profile (`1g.5gb`),
    memory (`>=10GB`), `shared` (a share of a GPU), or a slot (`0:1`)."""
    gpus: int = Field(default=1, ge=1, le=16)
    """How many such slots."""
    start: bool = True


class LimitsCheckRequest(Document):
    """The text of a limits file, to be checked; the file itself is not looked at."""

    text: str = Field(max_length=MAX_LIMITS_TEXT)


# ---- answers -------------------------------------------------------------------------------


class ErrorDocument(Document):
    """Why something was refused, and what to do next."""

    code: str
    message: str
    hint: str = ""
    details: dict[str, Any] = Field(default_factory=dict)


class Availability(Document):
    """Whether a part of the machine answers; `problem` says why not."""

    available: bool
    version: str | None = None
    problem: str | None = None
    details: dict[str, Any] = Field(default_factory=dict)


class About(Document):
    """What this server is and for whom it answers."""

    version: str
    mode: Literal["workstation", "lab"] = "workstation"
    user: str
    uid: int
    host: str
    docker: Availability
    gpu: Availability
    architecture: str | None = None


class LimitValues(Document):
    """The limits of one person. None is unlimited, 0 is zero. Memory in bytes."""

    group: str
    priority: int
    max_cpus: float | None
    memory: int | None
    memory_swap: int | None
    shm_size: int
    pids_limit: int | None
    max_containers: int | None
    max_mig_instances: int | None
    """GPU slots (MIG instances or whole GPUs) in all containers together."""
    max_gpu_equivalents: float | None = None
    """GPUs' worth of compute in all containers together: a whole GPU is 1, 1g of seven is 1/7."""
    max_slots_per_container: int | None = None
    allow_full_gpu: bool = True
    """Whether whole GPUs are given to this person at all."""
    cgroup_parent: str


class Usage(Document):
    """What a person has now."""

    containers: int
    slots: int
    gpu_equivalents: float = 0.0
    """GPUs' worth of compute in those slots."""


class LimitsReport(Document):
    """A person's limits and what is in use of them."""

    user: str
    limits: LimitValues
    usage: Usage
    source: str
    times: TimeLimits | None = None
    """How long things last; None from a server that does not tell."""
    groups: list[str] = Field(default_factory=list)
    """All groups of the limits file."""


class LimitsFinding(Document):
    """A mistake in a limits file, or something odd: what, where (line from 1), what to do."""

    file: str
    line: int | None
    key: str
    """Such as `groups.student.memory`; empty where no key is meant."""
    message: str
    hint: str = ""


class CheckReport(Document):
    """What is wrong with a limits file (then it would be refused as a whole), and what is odd."""

    file: str
    ok: bool
    mistakes: list[LimitsFinding]
    warnings: list[LimitsFinding]
    not_checked: list[str]
    """What could not be looked at, and why."""


class SlotReference(Document):
    """A slot as a container names it."""

    slot: str | None
    uuid: str
    profile: str | None
    note: str | None = None
    """What to know of it: that a share is time-sliced with others, and isolates nothing."""


class ContainerLimits(Document):
    """The limits that Docker holds for a container. Bytes; None is unlimited."""

    cpus: float | None
    memory: int | None
    memory_swap: int | None
    shm_size: int | None
    pids: int | None
    cgroup_parent: str | None


class Container(Document):
    """A container: ours (`managed`), or one that AIME's tools or plain Docker made."""

    name: str
    full_name: str
    id: str
    managed: bool
    owner: str | None
    state: str
    """Docker's word: created, running, exited, ..."""
    status: str
    image: str
    framework: str | None
    gpus: list[SlotReference]
    workspace: str | None
    data: str | None = None
    models: str | None = None
    created: datetime | None
    made_by: Literal["ds01", "aime", "docker"]
    limits: ContainerLimits | None = None
    """Only in the view of one container."""
    life: ContainerLife | None = None
    """Its time, and what will happen to it by itself; None for containers that are not ours."""


class Logs(Document):
    """The end of a container's output."""

    text: str


class StepProgress(Document):
    """Where a long piece of work stands. `fraction` from 0 to 1, None when it cannot be told."""

    phase: str
    """`wait` (for other builds), `prepare`, `pull`, `resolve`, `build`, `check`, ..."""
    fraction: float | None = None
    detail: str = ""
    done: int | None = None
    """How much of `total` is done, in `unit`; None where nothing can be counted."""
    total: int | None = None
    unit: Literal["bytes", "packages", "steps", "builds"] | None = None
    """In phase `wait`: `done` builds of `total` in the queue stand before this one."""
    item: str | None = None
    """The package or layer at hand."""
    remaining: float | None = None
    """Seconds that this phase may still take, from earlier ones like it; None when unknown."""


class OperationEvent(Document):
    """Something that an operation tells, in order of `id`."""

    id: int
    time: datetime
    kind: Literal["progress", "log", "state"]
    progress: StepProgress | None = None
    text: str | None = None
    state: str | None = None


OperationKind = Literal[
    "image.create", "image.update", "container.create", "container.recreate", "mig.apply"
]
OperationState = Literal["queued", "running", "succeeded", "failed", "cancelled", "interrupted"]


class Operation(Document):
    """A long piece of work: building an image, creating a container."""

    id: str
    kind: OperationKind
    title: str
    owner: str
    state: OperationState
    progress: StepProgress | None = None
    created: datetime
    finished: datetime | None = None
    result: dict[str, Any] | None = None
    error: ErrorDocument | None = None
