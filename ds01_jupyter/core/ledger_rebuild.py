"""Who has what, asked of Docker and NVML, for a ledger that was lost.

Containers that ds01 made carry the id of their claim in a label. A label is no proof of who owns
one: the uid in `NAME._.UID` counts, and only where the container also runs as that uid. What does
not agree holds its slot all the same, for nobody: it is shown, and the slot is not given away.
"""

from __future__ import annotations

import logging
import pwd
import re
import secrets
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ds01_jupyter.core import ledger_tables as tables
from ds01_jupyter.core.engine import ContainerDetails, ContainerSummary, Engine
from ds01_jupyter.core.errors import ConfigurationError, NotFound
from ds01_jupyter.core.gpu.nvml import NvmlDriver
from ds01_jupyter.core.gpu.sharing import LEAST, MOST, share
from ds01_jupyter.core.gpu.slots import SlotInfo
from ds01_jupyter.core.identity import Person
from ds01_jupyter.core.labels import CLAIM, LEDGER, NONE, PREFIX, SLOTS
from ds01_jupyter.core.ledger_recovery import Write
from ds01_jupyter.core.names import split_full_name
from ds01_jupyter.core.people import LimitsOf
from ds01_jupyter.core.processes import boot_seconds
from ds01_jupyter.core.reconcile import ENGINE, RUNNING

UNKNOWN_UID = -2
"""Owner of what nobody can be shown to own: no account has it, so it counts against no limit."""
UNKNOWN = "unknown"
ACTOR = "reconciler"
PRIORITY = 0
"""Of a rebuilt lease whose owner's limits are not known (any more)."""

log = logging.getLogger(__name__)

_CLAIM = re.compile(r"[0-9a-f]{32}")
_UUID = re.compile(r"(?:GPU|MIG)-[0-9A-Za-z/-]+")
_SHARE = re.compile(r"(\d{1,3})/(\d{1,2})", re.ASCII)


@dataclass(frozen=True)
class Found:
    """A container with our label, and what it was given. `person` is None when its name and the
    uid that it runs as do not agree."""

    summary: ContainerSummary
    claim: str
    name: str
    person: Person | None
    slots: tuple[SlotInfo, ...]
    document: Mapping[str, Any]

    @property
    def running(self) -> bool:
        """Whether it may be using its slots now."""
        return self.summary.state in RUNNING


def survey(
    engine: Engine,
    driver: NvmlDriver,
    host: str,
    mark: str | None = None,
    limits_of: LimitsOf | None = None,
) -> Write:
    """Ask Docker which containers ds01 made, and the driver which slots those are.

    With a `mark` only those that were made in the ledger that has it: another one's containers
    are not this one's to take up. `limits_of` gives rebuilt leases the priority that their owners
    have today.

    One list, one inspect for each container with our label, and one walk over the GPUs if any of
    them has one. Raises `EngineUnavailable` and `DriverUnavailable`.
    """
    found: list[tuple[ContainerSummary, ContainerDetails]] = []
    for summary in engine.list_containers():
        if not summary.labels.get(CLAIM) or mark not in (None, summary.labels.get(LEDGER)):
            continue
        try:
            found.append((summary, engine.inspect_container(summary.id)))
        except NotFound:
            continue  # removed since
    slots: Mapping[str, SlotInfo] = {}
    if any(details.devices for _, details in found):
        slots = {slot.uuid: slot for slot in driver.inventory(fresh=True).slots}
    holders = [holder for summary, details in found if (holder := _holder(summary, details, slots))]
    here = engine.identity().document()
    holders = [replace(one, document={**one.document, ENGINE: here}) for one in holders]
    # Of two that name the same slot, one was started around us. The one that runs counts first,
    # then the one that can be shown to be ours, then the older.
    holders.sort(key=lambda one: (not one.running, one.person is None, one.summary.created))

    priorities = _priorities(holders, limits_of)

    def write(connection: sqlite3.Connection, facts: Mapping[str, Any]) -> None:
        _write(connection, host, holders, priorities, facts)

    return write


def _priorities(holders: Sequence[Found], limits_of: LimitsOf | None) -> Mapping[int, int]:
    """The priority of each owner by uid. A limits file with a mistake in it is no reason to be
    without a ledger: then none is known."""
    if limits_of is None:
        return {}
    found: dict[int, int] = {}
    try:
        for uid in {one.person.uid for one in holders if one.person is not None}:
            limits = limits_of(uid)
            if limits is not None:
                found[uid] = limits.values.priority
    except ConfigurationError as error:
        log.warning("ds01: rebuilt leases have the priority %d: %s", PRIORITY, error.message)
    return found


def _holder(
    summary: ContainerSummary, details: ContainerDetails, slots: Mapping[str, SlotInfo]
) -> Found | None:
    """None for one that holds nothing by our rules: it asks for GPUs in a way that we never do
    (then it is foreign), or is nobody's and has none."""
    devices = details.devices
    if devices == "all" or not all(_UUID.fullmatch(device) for device in devices):
        return None
    labels = summary.labels
    names = tuple((labels.get(SLOTS) or "").split())
    by_device = {  # Docker can be told the same one twice
        device: _slot(device, names[index] if index < len(names) else "?", slots)
        for index, device in enumerate(devices)
    }
    given = tuple(by_device.values())
    parts = split_full_name(summary.full_name)
    ours = (
        parts is not None
        and details.user.split(":")[0] == str(parts[1])
        and bool(_CLAIM.fullmatch(labels[CLAIM]))
    )
    if parts is None or not ours:
        if not given:
            return None
        claim = f"{UNKNOWN}-{summary.id[:24]}"
        return Found(summary, claim, parts[0] if parts else summary.full_name, None, given, {})
    name, uid = parts
    person = Person(_account_name(uid, labels), uid, uid, Path("/"))
    return Found(summary, labels[CLAIM], name, person, given, _document(labels))


def _slot(device: str, name: str, slots: Mapping[str, SlotInfo]) -> SlotInfo:
    """What a container was given: of a GPU that is or was shared, only its label tells whether it
    has a share or the whole. Where the share is not declared any more it counts as the largest
    that there can be."""
    part = _SHARE.fullmatch(name)
    if part and device.startswith("GPU-") and 0 < int(part[2]) <= MOST:
        gpu, number = int(part[1]), int(part[2])
        return slots.get(f"{device}#{number}") or share(gpu, device, number, LEAST)
    return slots.get(device) or _unseen(device, name)


def _unseen(uuid: str, name: str) -> SlotInfo:
    """A slot that the driver does not show now: its GPU is lost, or was partitioned anew. It stays
    its container's, should it come back."""
    whole = uuid.startswith("GPU-")
    index = re.match(r"\d+", name)
    return SlotInfo(
        slot=name,
        uuid=uuid,
        kind="gpu" if whole else "mig",
        profile="whole" if whole else "unknown",
        gpu_index=int(index[0]) if index else -1,
        gpu_uuid=uuid if whole else "",
        memory_total=None,
        share=1.0 if whole else 0.0,
    )


def _account_name(uid: int, labels: Mapping[str, str]) -> str:
    """The name of the account; the label's only where neither number nor name is anybody's."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        pass
    label = labels.get(f"{PREFIX}.USER", "")
    try:
        pwd.getpwnam(label)
    except (KeyError, ValueError):
        return label or str(uid)
    return str(uid)


def _document(labels: Mapping[str, str]) -> dict[str, Any]:
    def of(key: str) -> str | None:
        value = labels.get(f"{PREFIX}.{key}")
        return None if value in (None, "", NONE) else value

    return {
        "image": None,
        "framework": of("FRAMEWORK"),
        "architecture": of("ARCH"),
        "workspace": of("WORK_MOUNT"),
        "data": of("DATA_MOUNT"),
        "models": of("MODELS_MOUNT"),
    }


# ---- writing -----------------------------------------------------------------------------------


def _write(
    connection: sqlite3.Connection,
    host: str,
    holders: Sequence[Found],
    priorities: Mapping[int, int],
    facts: Mapping[str, Any],
) -> None:
    kept: list[str] = []
    conflicts: list[str] = []
    claims: set[str] = set()
    for one in holders:
        if _taken(connection, host, one.slots):
            conflicts.append(one.summary.full_name)
            continue
        if one.claim in claims:
            one = replace(one, claim=secrets.token_hex(16))
        claims.add(one.claim)
        _insert(connection, host, one, priorities)
        kept.append(one.summary.full_name)
    if facts["reason"] == "lost" and not holders:
        return  # nothing was lost: this machine begins
    details = {**facts, "containers": kept, "conflicts": conflicts}
    tables.insert_history(connection, ACTOR, ACTOR, "ledger.rebuild", host, "done", details)


def _taken(connection: sqlite3.Connection, host: str, slots: Sequence[SlotInfo]) -> bool:
    leases = tables.live_leases(connection, host=host)
    return any(lease.info.bars(slot) for slot in slots for lease in leases)


def _insert(
    connection: sqlite3.Connection, host: str, one: Found, priorities: Mapping[int, int]
) -> None:
    person = one.person or Person(UNKNOWN, UNKNOWN_UID, UNKNOWN_UID, Path("/"))
    summary = one.summary
    document = {**one.document, "rebuilt": True}
    tables.insert_container(connection, one.claim, summary.full_name, one.name, person, document)
    # What runs out (a longest run, a hold) is reckoned from Docker's own time, not from now.
    age = max(0.0, (datetime.now(UTC) - summary.created).total_seconds())
    connection.execute(
        "UPDATE containers SET created = ?, boot_seconds = ? WHERE claim_id = ?",
        (summary.created.isoformat(), boot_seconds() - age, one.claim),
    )
    row = tables.container(connection, one.claim)
    assert row is not None
    tables.insert_leases(
        connection, row, one.slots, priority=priorities.get(person.uid, PRIORITY), host=host
    )
    tables.set_present(connection, one.claim, summary.id)
    tables.move_leases(connection, one.claim, "active" if one.running else "held")
    tables.insert_history(
        connection,
        ACTOR,
        person.name,
        "lease.rebuild",
        summary.full_name,
        "done" if one.person else "unknown owner",
        {
            "claim": one.claim,
            "state": summary.state,
            "slots": [{"slot": slot.slot, "uuid": slot.uuid} for slot in one.slots],
        },
    )
