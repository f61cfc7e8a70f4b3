"""Bringing the ledger in line with what Docker has. Nothing is ever destroyed here.

The order makes it safe beside other processes: the ledger is read first, Docker is asked then,
and only rows that are still as they were read are changed. A list that was taken before the
ledger was read would miss a container that was made in between, and free its slot.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from ds01_jupyter.core import ledger_tables as tables
from ds01_jupyter.core.crash_points import reached
from ds01_jupyter.core.engine import ContainerSummary, EngineIdentity
from ds01_jupyter.core.gpu.slots import SlotInfo
from ds01_jupyter.core.labels import CLAIM, GPUS, NONE
from ds01_jupyter.core.ledger import ContainerRow, LeaseRow, Ledger

RUNNING = frozenset({"running", "paused", "restarting"})
"""Docker's words for a container that may be using its GPU (a paused one keeps its memory)."""
SETTLE_SECONDS = 0.5
"""How long Docker may still be at work on the last request of a process that has died."""

ENGINE = "engine"
"""Key in a container's document: the engine that it was asked of."""

Devices = Sequence[str] | Literal["all"]


@dataclass(frozen=True)
class Report:
    """What was found and done, by full name; `present` is the list that Docker gave.

    `unknown` are containers that carry a claim which the ledger does not hold (any more).
    """

    present: tuple[ContainerSummary, ...]
    released: tuple[str, ...] = ()
    adopted: tuple[str, ...] = ()
    activated: tuple[str, ...] = ()
    held: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    passed: int = 0
    """Rows that somebody else changed meanwhile, so that they are to be looked at again."""

    @property
    def changes(self) -> int:
        """How many rows were changed."""
        return sum(map(len, (self.released, self.adopted, self.activated, self.held)))


@dataclass
class _Plan:
    release: list[ContainerRow] = field(default_factory=list)
    adopt: list[tuple[ContainerRow, ContainerSummary]] = field(default_factory=list)
    move: list[tuple[ContainerRow, Literal["active", "held"]]] = field(default_factory=list)


def reconcile(
    ledger: Ledger,
    list_containers: Callable[[], Sequence[ContainerSummary]],
    *,
    settle: float = SETTLE_SECONDS,
    here: EngineIdentity | None = None,
) -> Report:
    """Compare the ledger with Docker and settle what differs.

    `list_containers` gives all containers in all states and is called after the ledger was read
    (twice, `settle` seconds apart, when a claim was left behind by a dead process). A container
    that is gone gives its slots back; a claim whose creator died is taken over by the container
    that carries it, or released; leases follow whether the container runs. Rows of another engine
    than `here` are left alone: that this one does not have a container says nothing. Raises
    `LedgerUnavailable`, and whatever `list_containers` raises: then nothing has changed.
    """
    ledger.compare()
    rows = ledger.containers()
    if here is not None:
        rows = [row for row in rows if here.may_have(row.document.get(ENGINE))]
    leases = ledger.live_leases()
    pending = [row for row in rows if row.state == "pending"]
    orphans = {row.claim_id for row in pending if not ledger.is_alive(row.process)}
    present = tuple(list_containers())
    if orphans - {_claim(item) for item in present}:
        # Docker may still be finishing what the dead process asked for.
        time.sleep(settle)
        present = tuple(list_containers())
    plan = _plan(rows, leases, orphans, present)
    unknown = _unknown(ledger, rows, present)
    if not (plan.release or plan.adopt or plan.move):
        return Report(present, unknown=unknown)
    return _apply(ledger, plan, leases, present, unknown)


def _unknown(
    ledger: Ledger, rows: Sequence[ContainerRow], present: Sequence[ContainerSummary]
) -> tuple[str, ...]:
    claimed = {claim: item.full_name for item in present if (claim := _claim(item))}
    known = {row.claim_id for row in rows}
    if not claimed.keys() - known:
        return ()
    known |= {row.claim_id for row in ledger.containers()}  # claimed since we read
    return tuple(name for claim, name in claimed.items() if claim not in known)


def _plan(
    rows: Sequence[ContainerRow],
    leases: Sequence[LeaseRow],
    orphans: set[str],
    present: Sequence[ContainerSummary],
) -> _Plan:
    by_id = {item.id: item for item in present}
    plan = _Plan()
    for row in rows:
        if row.state == "present":
            summary = by_id.get(row.container_id or "")
            if summary is None:
                plan.release.append(row)
                continue
        elif row.claim_id not in orphans:
            continue
        else:
            summary = _carrier(row, present)
            if summary is None:
                plan.release.append(row)
                continue
            plan.adopt.append((row, summary))
        target: Literal["active", "held"] = "active" if summary.state in RUNNING else "held"
        if any(lease.claim_id == row.claim_id and lease.state != target for lease in leases):
            plan.move.append((row, target))
    return plan


def _apply(
    ledger: Ledger,
    plan: _Plan,
    leases: Sequence[LeaseRow],
    present: tuple[ContainerSummary, ...],
    unknown: tuple[str, ...],
) -> Report:
    released: list[str] = []
    adopted: list[str] = []
    activated: list[str] = []
    held: list[str] = []
    passed = 0
    with ledger.writing() as connection:

        def unchanged(row: ContainerRow) -> bool:
            nonlocal passed
            same = tables.container(connection, row.claim_id) == row
            passed += not same
            return same

        def note(row: ContainerRow, action: str, why: str) -> None:
            tables.insert_history(
                connection,
                "reconciler",
                row.owner,
                f"lease.{action}",
                row.full_name,
                "done",
                {"claim": row.claim_id, "why": why},
            )

        for row in plan.release:
            if unchanged(row):
                tables.move_leases(connection, row.claim_id, "released")
                tables.delete_container(connection, row.claim_id)
                gone = "the container is gone"
                note(row, "release", gone if row.state == "present" else "its creator died")
                released.append(row.full_name)
        taken = set()
        for row, summary in plan.adopt:
            if unchanged(row):
                tables.set_present(connection, row.claim_id, summary.id)
                note(row, "adopt", "its creator died")
                adopted.append(row.full_name)
                taken.add(row.claim_id)
        before = {lease.id: lease for lease in leases}
        for row, target in plan.move:
            # Somebody who moved it meanwhile knows better than our list.
            now = tables.leases_of(connection, row.claim_id)
            current = [lease for lease in now if lease.state != "released"]
            if row.claim_id not in taken and not unchanged(row):
                continue
            if all(before.get(lease.id) == lease for lease in current):
                tables.move_leases(connection, row.claim_id, target)
                note(row, "activate" if target == "active" else "hold", "as Docker has it")
                (activated if target == "active" else held).append(row.full_name)
            else:
                passed += 1
        reached("reconcile.written")
    reached("reconcile.committed")
    done = (tuple(released), tuple(adopted), tuple(activated), tuple(held))
    return Report(present, *done, unknown, passed)


def _claim(summary: ContainerSummary) -> str | None:
    return summary.labels.get(CLAIM)


def _carrier(row: ContainerRow, present: Sequence[ContainerSummary]) -> ContainerSummary | None:
    """The container that was made for a claim: it carries the claim and the claimed name (Docker
    gives a name once; a label alone anybody could write)."""
    for item in present:
        if _claim(item) == row.claim_id and item.full_name == row.full_name:
            return item
    return None


# ---- containers that use a GPU without a lease -------------------------------------------------

_INDEX = re.compile(r"(?:gpu|mig)?(\d+(?::\d+)?)")
_SHORT_UUID = re.compile(r"(?:gpu|mig)-[0-9a-f][0-9a-f-]*")
_LEGACY_MIG = re.compile(r"mig-(gpu-[0-9a-f-]{36})/(\d+)/(\d+)")


def foreign_use(
    slots: Sequence[SlotInfo],
    rows: Sequence[ContainerRow],
    present: Sequence[ContainerSummary],
    devices_of: Callable[[str], Devices],
    leases: Sequence[LeaseRow] | None = None,
) -> list[tuple[ContainerSummary, tuple[SlotInfo, ...]]]:
    """Running containers that use slots without a lease, with those slots.

    `devices_of` gives the devices of a container by its id, as Docker was told: UUIDs, indices
    (`0`, `0:1`; the index or UUID of a MIG GPU means all its instances), CDI names, or "all".
    A container whose claim is still pending is ours, and its slots are leased. With the live
    `leases` one of ours that was started around us, after its lease was released, is found too.
    """
    ours = {row.container_id for row in rows if row.container_id}
    pending = {(row.claim_id, row.full_name) for row in rows if row.state == "pending"}
    if leases is not None:
        holding = {lease.claim_id for lease in leases}
        without = {row.container_id for row in rows if row.claim_id not in holding}
        ours -= {item.id for item in present if item.id in without and _was_given_gpus(item)}
    found = []
    for item in present:
        if item.state not in RUNNING or item.id in ours:
            continue
        if (_claim(item), item.full_name) in pending:
            continue
        devices = devices_of(item.id)
        names = ("all",) if devices == "all" else tuple(devices)
        # Several in one word reach the driver's tools as several, too.
        each = [part for name in names for part in name.split(",") if part.strip()]
        used = tuple(slot for slot in slots if any(_names_slot(name, slot) for name in each))
        if used:
            found.append((item, used))
    return found


def foreign_slots(
    slots: Sequence[SlotInfo],
    rows: Sequence[ContainerRow],
    present: Sequence[ContainerSummary],
    devices_of: Callable[[str], Devices],
    leases: Sequence[LeaseRow] | None = None,
) -> Mapping[str, str]:
    """The slots of `foreign_use` by UUID, with the name of the first container that uses each."""
    used: dict[str, str] = {}
    for item, taken in foreign_use(slots, rows, present, devices_of, leases):
        for slot in taken:
            used.setdefault(slot.uuid, item.full_name)
    return used


def _was_given_gpus(item: ContainerSummary) -> bool:
    return item.labels.get(GPUS, NONE) not in ("", NONE)


def _names_slot(device: str, slot: SlotInfo) -> bool:
    name = device.strip().lower().rpartition("=")[2]  # CDI: nvidia.com/gpu=0
    if name == "all" or name in (slot.uuid.lower(), slot.gpu_uuid.lower()):
        return True
    if _SHORT_UUID.fullmatch(name):
        # The driver's tools take the beginning of a UUID for it.
        return slot.uuid.lower().startswith(name) or slot.gpu_uuid.lower().startswith(name)
    if match := _INDEX.fullmatch(name):
        return match.group(1) in (slot.slot, str(slot.gpu_index))
    if match := _LEGACY_MIG.fullmatch(name):
        gpu, gi, ci = match.groups()
        return (gpu, int(gi), int(ci)) == (slot.gpu_uuid.lower(), slot.gi, slot.ci)
    return False
