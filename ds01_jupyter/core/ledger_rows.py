"""The rows of the ledger as values, and how they are read."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, Literal

from ds01_jupyter.core.errors import LedgerDamaged
from ds01_jupyter.core.gpu.slots import SlotInfo
from ds01_jupyter.core.processes import ProcessIdentity


@dataclass(frozen=True)
class ContainerRow:
    """A container that was claimed (`pending`) or made (`present`); `process` is its creator."""

    claim_id: str
    full_name: str
    name: str
    uid: int
    owner: str
    container_id: str | None
    state: Literal["pending", "present"]
    process: ProcessIdentity
    created: datetime
    boot_seconds: float
    document: dict[str, Any]


@dataclass(frozen=True)
class LeaseRow:
    """A slot of a container. `since` is when it came into its state; `info` is the slot as it was
    when it was given (compare before trusting a UUID after a repartition)."""

    id: int
    claim_id: str
    full_name: str
    name: str
    uid: int
    owner: str
    priority: int
    host: str
    info: SlotInfo
    state: Literal["pending", "active", "held", "released"]
    created: datetime
    since: datetime
    boot_id: str
    boot_seconds: float

    @property
    def slot(self) -> str:
        """Name of the slot for people, as it was when it was given."""
        return self.info.slot

    @property
    def slot_uuid(self) -> str:
        """The slot's identity."""
        return self.info.uuid

    @property
    def gpu_uuid(self) -> str:
        """The physical GPU."""
        return self.info.gpu_uuid

    @property
    def profile(self) -> str:
        """MIG profile, or `whole`."""
        return self.info.profile


@dataclass(frozen=True)
class ImageRow:
    """An image that a person built; `request_json` is the `ImageRequest` behind it."""

    uid: int
    name: str
    owner: str
    reference: str
    image_id: str
    request_json: str
    dockerfile: str
    dockerfile_sha256: str
    base_image: str
    created: datetime


@dataclass(frozen=True)
class HistoryRow:
    """Something that happened: `actor` did `action` to `subject`, which is `owner`'s."""

    id: int
    time: datetime
    actor: str
    owner: str
    action: str
    subject: str
    outcome: str
    details: dict[str, Any]


def process_of(row: sqlite3.Row) -> ProcessIdentity:
    """The process that wrote a row."""
    return ProcessIdentity(row["pid"], row["start_ticks"], row["boot_id"], row["pid_namespace"])


def container_row(row: sqlite3.Row) -> ContainerRow:
    """A row of `containers`."""
    return ContainerRow(
        claim_id=row["claim_id"],
        full_name=row["full_name"],
        name=row["name"],
        uid=row["uid"],
        owner=row["owner"],
        container_id=row["container_id"],
        state=row["state"],
        process=process_of(row),
        created=_time(row["created"]),
        boot_seconds=row["boot_seconds"],
        document=_document(row["document"]),
    )


LEASE_COLUMNS = (
    *("id", "claim_id", "full_name", "name", "uid", "owner", "priority", "host", "slot"),
    *("slot_uuid", "kind", "profile", "gpu_index", "gpu_uuid", "memory_total", "share"),
    *("mig_index", "gi", "ci", "state", "created", "since", "boot_id", "boot_seconds"),
)
"""The columns of `leases` in the order in which `lease_of` takes them."""


def lease_row(row: sqlite3.Row) -> LeaseRow:
    """A row of `leases`, with whatever other columns."""
    return lease_of(tuple(row[column] for column in LEASE_COLUMNS))


@lru_cache(maxsize=1024)
def lease_of(values: tuple[Any, ...]) -> LeaseRow:
    """A lease of its `LEASE_COLUMNS`.

    Every claim looks at all live leases while everybody else waits, and most of them are as they
    were a moment ago: the same values are the same (immutable) lease, so they are read once.
    """
    number, claim_id, full_name, name, uid, owner, priority, host, *slot = values[:-5]
    state, created, since, boot_id, boot_seconds = values[-5:]
    return LeaseRow(
        *(number, claim_id, full_name, name, uid, owner, priority, host, SlotInfo(*slot)),
        *(state, _time(created), _time(since), boot_id, boot_seconds),
    )


def image_row(row: sqlite3.Row) -> ImageRow:
    """A row of `images`."""
    return ImageRow(
        uid=row["uid"],
        name=row["name"],
        owner=row["owner"],
        reference=row["reference"],
        image_id=row["image_id"],
        request_json=row["request"],
        dockerfile=row["dockerfile"],
        dockerfile_sha256=row["dockerfile_sha256"],
        base_image=row["base_image"],
        created=_time(row["created"]),
    )


def history_row(row: sqlite3.Row) -> HistoryRow:
    """A row of `history`."""
    return HistoryRow(
        id=row["id"],
        time=_time(row["time"]),
        actor=row["actor"],
        owner=row["owner"],
        action=row["action"],
        subject=row["subject"],
        outcome=row["outcome"],
        details=_document(row["details"]),
    )


def damaged(what: str, error: Exception) -> LedgerDamaged:
    """The file is whole, but what stands in it cannot be what we wrote."""
    return LedgerDamaged(
        f"The ledger holds something that cannot be read ({what}).",
        hint="Ask your admin to look at it; nothing was deleted.",
        reason=str(error),
    )


def _time(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError as error:
        raise damaged("a time", error) from error


def _document(text: str) -> dict[str, Any]:
    try:
        document = json.loads(text)
    except ValueError as error:
        raise damaged("a document", error) from error
    if not isinstance(document, dict):
        raise damaged("a document", TypeError(type(document).__name__))
    return document
