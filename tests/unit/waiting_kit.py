"""Slots, people who wait and scenes in few words, for the tests of the queue."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from ds01_jupyter.core.gpu.request import GpuRequest
from ds01_jupyter.core.gpu.slots import SlotInfo
from ds01_jupyter.core.ledger_rows import LeaseRow
from ds01_jupyter.core.limits import PersonLimits
from ds01_jupyter.core.models import LimitValues
from ds01_jupyter.core.waiting.assign import Scene, Waiter, as_lease

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
SHARES = {"1g": 1 / 7, "2g": 2 / 7, "3g": 3 / 7, "whole": 1.0}
MEMORY = {"1g": 5, "2g": 10, "3g": 20, "whole": 40}


def slot(name: str, kind: str = "1g") -> SlotInfo:
    """`slot("0:1", "3g")`, `slot("2", "whole")`."""
    gpu, _, index = name.partition(":")
    whole = kind == "whole"
    return SlotInfo(
        slot=name,
        uuid=f"uuid-{name}",
        kind="gpu" if whole else "mig",
        profile="whole" if whole else f"{kind}.{MEMORY[kind]}gb",
        gpu_index=int(gpu),
        gpu_uuid=f"gpu-{gpu}",
        memory_total=MEMORY[kind] << 30,
        share=SHARES[kind],
        mig_index=None if whole else int(index),
        gi=None if whole else int(index),
        ci=None if whole else 0,
    )


def values(**changes: Any) -> LimitValues:
    """Limits of nothing, but for `changes`."""
    return LimitValues(
        **{
            "group": "students",
            "priority": 50,
            "max_cpus": None,
            "memory": None,
            "memory_swap": None,
            "shm_size": 1,
            "pids_limit": None,
            "max_containers": None,
            "max_mig_instances": None,
            "cgroup_parent": "x.slice",
            **changes,
        }
    )


def limits(hours: float | None = None, **changes: Any) -> PersonLimits:
    """Limits with a longest run time, and no hold after it."""
    return PersonLimits(
        values=values(**changes),
        idle_timeout=None,
        max_runtime=None if hours is None else timedelta(hours=hours),
        gpu_hold_after_stop=timedelta(0),
        container_hold_after_stop=None,
    )


def waiter(
    key: int,
    gpu: str = "any",
    count: int = 1,
    *,
    uid: int | None = None,
    hours: float | None = None,
    **changes: Any,
) -> Waiter:
    """Somebody who waits; everybody is another person unless `uid` says otherwise."""
    number = 1000 + key if uid is None else uid
    request = GpuRequest.parse(gpu, count)
    return Waiter(key, number, f"u{number}", request, limits(hours, **changes))


def scene(
    slots: Sequence[SlotInfo], busy: Mapping[str, Waiter] | None = None, **changes: Any
) -> Scene:
    """A machine at noon; `busy` names who has which slot (by the slot's name)."""
    busy = busy or {}
    leases: list[LeaseRow] = [
        as_lease(busy[each.slot], each, NOON) for each in slots if each.slot in busy
    ]
    free = [each for each in slots if each.slot not in busy]
    stands = {"now": NOON, "slots": tuple(slots), "free": tuple(free), "leases": tuple(leases)}
    return Scene(**{**stands, **changes})


def names(slots: Sequence[SlotInfo]) -> list[str]:
    """The names of slots."""
    return sorted(each.slot for each in slots)
