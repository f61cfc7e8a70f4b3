"""What the ledger says about promises and those in their way, in the words of `promises`."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Mapping, Sequence

from ds01_jupyter.core import ledger_cordons, ledger_tables
from ds01_jupyter.core.clock import Moment
from ds01_jupyter.core.gpu.sharing import user_of
from ds01_jupyter.core.gpu.slots import SlotInfo
from ds01_jupyter.core.lifecycle.ends import lease_ends
from ds01_jupyter.core.people import LimitsOf
from ds01_jupyter.core.reservations import tables
from ds01_jupyter.core.reservations.promises import Occupant, Promise, Situation


def situation(
    connection: sqlite3.Connection,
    host: str,
    now: Moment,
    promises: Sequence[Promise],
    slots: Sequence[SlotInfo],
    foreign: Mapping[str, str],
    limits_of: LimitsOf,
    *,
    free: Collection[str] | None = None,
) -> Situation:
    """How things stand for these promises, of all `slots` that the driver shows.

    `free` (UUIDs), where it is known, says which slots can be given now: then every other one
    without a lease is used by somebody. Raises `ConfigurationError`.
    """
    leases = ledger_tables.live_leases(connection, host=host)
    ends = lease_ends(connection, leases, limits_of, now)
    told = {claim for _, claim in tables.leavers(connection, host)}
    grouped = any(promise.group is not None for promise in promises)
    groups: dict[int, str | None] = {}
    if grouped:
        for uid in {lease.uid for lease in leases}:
            limits = limits_of(uid)
            groups[uid] = None if limits is None else limits.values.group
    occupants = [
        Occupant(
            claim_id=lease.claim_id,
            lease_id=lease.id,
            slot=lease.info,
            uid=lease.uid,
            group=groups.get(lease.uid),
            owner=lease.owner,
            name=lease.name,
            priority=lease.priority,
            created=lease.created,
            ends=ends[lease.claim_id].at,
            told=lease.claim_id in told,
        )
        for lease in leases
    ]
    foreign = {slot.uuid: name for slot in slots if (name := user_of(slot, foreign))}
    if free is not None:
        given = [slot for slot in slots if slot.uuid in free]
        occupants = [each for each in occupants if not any(map(each.bars, given))]
        foreign = {
            slot.uuid: "somebody"
            for slot in slots
            if slot.uuid not in free and not any(each.bars(slot) for each in occupants)
        }
    cordoned = ledger_cordons.cordoned(connection, host)
    return Situation(
        now=now.wall,
        slots=slots,
        promises=promises,
        occupants=occupants,
        foreign=foreign,
        cordoned={gpu: row.reason for gpu, row in cordoned.items()},
    )
