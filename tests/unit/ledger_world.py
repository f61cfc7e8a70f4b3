"""The small world of `test_ledger_model`: people with their limits, four GPUs, and a clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from ds01_jupyter.core.architecture import DriverFacts
from ds01_jupyter.core.clock import Moment
from ds01_jupyter.core.gpu.sharing import share
from ds01_jupyter.core.gpu.slots import GpuInfo, Inventory, SlotInfo
from ds01_jupyter.core.identity import Person
from ds01_jupyter.core.limits import PersonLimits
from ds01_jupyter.core.models import LimitValues
from ds01_jupyter.core.processes import boot_id, boot_seconds


def limits(**values: Any) -> LimitValues:
    whole = {"max_containers": None, "max_mig_instances": None, "priority": 50, **values}
    return LimitValues(
        group="g",
        max_cpus=None,
        memory=None,
        memory_swap=None,
        shm_size=1,
        pids_limit=None,
        cgroup_parent="x.slice",
        **whole,
    )


LIMITS = {
    1001: limits(max_mig_instances=4, max_containers=5),
    1002: limits(max_gpu_equivalents=8 / 7, priority=20),
    1003: limits(allow_full_gpu=False, max_slots_per_container=2, priority=80),
    1004: limits(),
}
PEOPLE = {uid: Person(f"user{uid}", uid, uid, Path("/")) for uid in LIMITS}
WISHES = [
    *("none", "any", "any", "whole", "1g.5gb", "1g.5gb", "2g.10gb", "3g.20gb", "shared"),
    *("7g.40gb", "0", "1:2", "2", "2:0", "3/1"),
]
FOR_ONE = ("none", "0", "1:2", "2", "2:0", "3/1")
WAITED_FOR = ["any", "any", "1g.5gb", "1g.5gb", "2g.10gb", "whole", "3g.20gb", "shared"]
LAYOUTS: list[tuple[int, ...]] = [(), (1, 1, 1), (3, 3), (2, 1)]
"""Of GPU 2: whole, or instances of so many sevenths."""


def whole(index: int) -> SlotInfo:
    return SlotInfo(str(index), f"GPU-{index}", "gpu", "whole", index, f"GPU-{index}", 40 << 30, 1)


def instance(index: int, number: int, sevenths: int, generation: int = 0) -> SlotInfo:
    profile = {1: "1g.5gb", 2: "2g.10gb", 3: "3g.20gb"}[sevenths]
    uuid = f"MIG-{index}-{generation}-{number}"
    memory = sevenths * 5 << 30
    return SlotInfo(
        f"{index}:{number}", uuid, "mig", profile, index, f"GPU-{index}", memory, sevenths / 7,
        number, number, 0,
    )  # fmt: skip


class Driver:
    """Four GPUs: whole, in four instances, partitioned anew at will, shared by two."""

    def __init__(self) -> None:
        self.generation = 0
        self.layout: tuple[int, ...] = ()

    def inventory(self, *, fresh: bool = False) -> Inventory:
        changing = [
            instance(2, number, sevenths, self.generation)
            for number, sevenths in enumerate(self.layout)
        ]
        slots = [
            [whole(0)],
            [instance(1, number, sevenths) for number, sevenths in enumerate((3, 2, 1, 1))],
            changing or [whole(2)],
            [share(3, "GPU-3", number, 2) for number in (1, 2)],
        ]
        gpus = tuple(
            GpuInfo(index, f"GPU-{index}", "A100", there[0].kind == "mig", None, None, tuple(there))
            for index, there in enumerate(slots)
        )
        return Inventory(gpus, "550", DriverFacts(None, ()))

    def snapshot(self) -> Any:
        return type("Nothing", (), {"gpus": ()})()


class PastClock:
    """A wall clock that is long past, so that nobody has used anything, and time that is told."""

    def __init__(self) -> None:
        self.passed = 0.0
        self._start = boot_seconds()

    def now(self) -> Moment:
        wall = datetime(2020, 1, 1, tzinfo=UTC) + timedelta(seconds=self.passed)
        return Moment(wall, boot_id(), self._start + self.passed)


def nobody_knows(uid: int) -> PersonLimits:
    """Limits without times: nobody can say when anything ends."""
    return PersonLimits(LIMITS[uid], None, None, None, None)
