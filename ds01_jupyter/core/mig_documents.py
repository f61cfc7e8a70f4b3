"""The documents of MIG layouts that cross the API. See `models` for what holds of all of them."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ds01_jupyter.core.models import MAX_TEXT, Document

MAX_LAYOUT = 200_000


class MigLayoutRequest(Document):
    """A layout file of mig-parted's schema, as text.

    `label` picks one of its layouts (absent: the only one); `source` is what messages call the
    file.
    """

    layout: str = Field(min_length=1, max_length=MAX_LAYOUT)
    label: str | None = Field(default=None, min_length=1, max_length=MAX_TEXT)
    source: str = Field(default="layout.yaml", min_length=1, max_length=MAX_TEXT)


class MigInstance(Document):
    """A MIG instance: its first memory slice (None where only root may know), and its device.

    `slot` and `uuid` are None for one that has no device, or that is yet to be made. `text` is
    all of it in words.
    """

    profile: str
    start: int | None
    slot: str | None = None
    uuid: str | None = None
    text: str


class MigGpu(Document):
    """A GPU with its instances. `mig` is None where it knows no MIG."""

    index: int
    uuid: str
    name: str
    device_id: str
    mig: bool | None
    instances: list[MigInstance]
    problem: str | None = None


class MigLayout(Document):
    """The present layout: as a file of mig-parted's schema, and GPU by GPU."""

    host: str
    label: str
    layout: str
    gpus: list[MigGpu]


class MigObstacle(Document):
    """What uses an instance that would have to go. `container` and `owner` where they are known.

    `lease`: a container of ours (running, or stopped and holding its slot); `container`: one that
    has no lease; `process`: a process (`pid`); `reservation`: it is promised to `owner`.
    """

    kind: Literal["lease", "container", "process", "reservation"]
    slot: str
    profile: str
    container: str | None = None
    owner: str | None = None
    state: str | None = None
    pid: int | None = None
    text: str


class MigGpuPlan(Document):
    """What one GPU needs to become as the layout says; nothing, where `differences` is empty.

    `keep` stays untouched, `destroy` goes, `create` is made; `finish` are instances that were left
    without a device and get one. `problem`: why it cannot be done; `advice`: what an admin can do.
    """

    index: int
    uuid: str
    name: str
    differences: list[str]
    keep: list[MigInstance]
    finish: list[MigInstance]
    destroy: list[MigInstance]
    create: list[MigInstance]
    in_the_way: list[MigObstacle]
    mode_change: bool
    problem: str | None
    advice: str | None


class MigPlan(Document):
    """A layout against the machine. `matches`: it is so; `possible`: it could be applied now."""

    host: str
    label: str
    matches: bool
    possible: bool
    gpus: list[MigGpuPlan]
    notes: list[str]


class MigChange(Document):
    """The instances of one GPU before and after, in words."""

    index: int
    before: list[str]
    after: list[str]


class MigOutcome(Document):
    """What `apply` did: nothing, where the machine was so already."""

    label: str
    changed: list[MigChange]
    notes: list[str]
