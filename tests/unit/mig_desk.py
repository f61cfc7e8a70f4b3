"""A machine of MIG GPUs, a ledger and an applier over them, in the words of the tests."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from ds01_jupyter.core.gpu.geometry import SEVEN_SLICES_ALL, Placed, layouts
from ds01_jupyter.core.gpu.mig_apply import MigApplier, Outcome
from ds01_jupyter.core.gpu.mig_driver import MigDriver
from ds01_jupyter.core.gpu.mig_layout import parse_layout
from ds01_jupyter.core.gpu.mig_obstacles import Occupation
from ds01_jupyter.core.gpu.mig_plan import LayoutPlan, plan_layout
from ds01_jupyter.core.gpu.mig_state import MigGpu
from ds01_jupyter.core.gpu.nvml import NvmlDriver
from ds01_jupyter.core.identity import Person
from ds01_jupyter.core.ledger import LeaseRow, Ledger
from tests.rig.nvml import Machine, gpus
from tests.unit.desk import Desk

ROOT = Person("root", 0, 0, Path("/root"))
STATES = sorted(layouts(SEVEN_SLICES_ALL))
"""Every set of instances that an A100 40GB can have."""
_tags = itertools.count(0x1000)

Layout = Sequence[Placed]


def lines(*there: Layout, uuids: str = "stable", model: str = "a100-40") -> list[str]:
    """The machine's file: one MIG GPU for each layout, with UUIDs that no other machine has."""
    named = SEVEN_SLICES_ALL.by_name
    partition = {
        index: [(named[item.profile].identifier, item.start) for item in each]
        for index, each in enumerate(there)
    }
    made = gpus(len(there), model, partition)  # type: ignore[arg-type]
    made[0] += f" mig_uuid={uuids}"
    tag, number = next(_tags), itertools.count()
    return [
        f"{line} uuid=GPU-{tag:08x}-fa4e-0000-0000-{next(number):012x}"
        if line.startswith("gpu ")
        else line
        for line in made
    ]


def text(*wanted: Layout | dict[str, int] | None, label: str = "goal") -> str:
    """A layout file: an entry for each GPU (None: none for it)."""
    out = f"version: v1\nmig-configs:\n  {label}:\n"
    for index, each in enumerate(wanted):
        if each is None:
            continue
        counts = each if isinstance(each, dict) else Counter(item.profile for item in each)
        inside = ", ".join(f'"{name}": {count}' for name, count in counts.items())
        out += f"    - devices: [{index}]\n      mig-enabled: true\n"
        out += f"      mig-devices: {{{inside}}}\n"
    return out


class MigDesk:
    """Applier and claims on one machine; `steps` are the names of the steps so far."""

    def __init__(self, library: Path | str, ledger: Path, host: str = "here") -> None:
        self.ledger = Ledger(ledger)
        self.driver = MigDriver(str(library))
        self.nvml = NvmlDriver(str(library))
        self.claims = Desk(self.ledger, self.nvml)
        self.steps: list[str] = []
        self.at: Callable[[str], None] = lambda name: None
        self.applier = MigApplier(self.ledger, self.driver, host, trace=self._trace)

    def _trace(self, name: str) -> None:
        self.steps.append(name)
        self.at(name)

    def plan(
        self, layout: str, leases: Sequence[LeaseRow] | None = None, **foreign: str
    ) -> LayoutPlan:
        label, entries = parse_layout(layout, "layout.yaml").label(None)
        occupation = Occupation(
            self.applier.leases() if leases is None else leases,
            foreign,
            lambda pid: "c" * 64,
            lambda pid: "somebody",
        )
        return plan_layout(label, entries, self.driver.read(), occupation)

    def apply(
        self,
        layout: str,
        report: Callable[[str, float], None] = lambda name, part: None,
        person: Person = ROOT,
    ) -> Outcome:
        return self.applier.apply(person, lambda leases: self.plan(layout, leases), report)

    def there(self, index: int = 0) -> list[str]:
        """The instances of a GPU in words."""
        return list(self.driver.read_gpu(index).contents)

    def gpu(self, index: int = 0) -> MigGpu:
        return self.driver.read_gpu(index)

    def lease(self, slot: str, name: str = "box") -> str:
        """Claim a slot by its name for a container; returns its UUID."""
        return self.claims.claim(name, slot).slots[0].uuid

    def close(self) -> None:
        self.nvml.close()
        self.ledger.close()


def whole(machine: Machine, *there: Layout, uuids: str = "stable") -> None:
    """Replace the machine by these GPUs."""
    with machine.edit() as now:
        now[:] = lines(*there, uuids=uuids)
