"""What stands in the way of a change of MIG instances: leases, foreign containers, processes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from ds01_jupyter.core.gpu.mig_state import GpuInstance, MigGpu
from ds01_jupyter.core.ledger_rows import LeaseRow
from ds01_jupyter.core.processes import container_of_pid, user_of_pid


@dataclass(frozen=True)
class Obstacle:
    """Who uses a slot: a lease of `owner` for `container`, a container that has no lease, or a
    process (`pid`, of the account `owner`)."""

    kind: Literal["lease", "container", "process"]
    slot: str
    profile: str
    container: str | None = None
    owner: str | None = None
    state: str | None = None
    pid: int | None = None

    def __str__(self) -> str:
        """`2:0 (3g.20gb): the container demo of anna (running)`."""
        where = f"{self.slot} ({self.profile})"
        if self.kind == "lease":
            return f"{where}: the container {self.container} of {self.owner} ({self.state})"
        if self.kind == "container":
            return f"{where}: the container {self.container}, which has no lease"
        inside = f" in the container {self.container}" if self.container else ""
        return f"{where}: process {self.pid} of {self.owner or 'somebody'}{inside}"


@dataclass(frozen=True)
class Occupation:
    """Who uses what on this host.

    `leases` are the live ones; `foreign` names, by slot UUID, the containers that use a slot
    without a lease; the functions look a pid up.
    """

    leases: Sequence[LeaseRow] = ()
    foreign: Mapping[str, str] | None = None
    container_of: Callable[[int], str | None] = container_of_pid
    user_of: Callable[[int], str | None] = user_of_pid

    def obstacles(
        self, gpu: MigGpu, instances: Collection[GpuInstance], *, changed: bool = False
    ) -> tuple[Obstacle, ...]:
        """What uses these instances; with `changed`, also a lease on the whole GPU, under which
        nothing may be changed."""
        found: list[Obstacle] = []
        if changed:
            found += [_lease(each) for each in self.leases if each.slot_uuid == gpu.uuid]
            if gpu.uuid in (self.foreign or {}):
                name = (self.foreign or {})[gpu.uuid]
                found.append(Obstacle("container", str(gpu.index), "whole", name))
        for instance in instances:
            found += self._of_instance(instance)
        return tuple(found)

    def _of_instance(self, instance: GpuInstance) -> Iterable[Obstacle]:
        for device in instance.devices:
            yield from (_lease(each) for each in self.leases if each.slot_uuid == device.uuid)
            if device.uuid in (self.foreign or {}):
                name = (self.foreign or {})[device.uuid]
                yield Obstacle("container", device.slot, device.profile, name)
            for pid in device.pids:
                yield Obstacle(
                    "process",
                    device.slot,
                    device.profile,
                    (self.container_of(pid) or "")[:12] or None,
                    self.user_of(pid),
                    pid=pid,
                )


_STATES = {"pending": "being made", "active": "running", "held": "stopped, holds its slot"}


def _lease(row: LeaseRow) -> Obstacle:
    state = _STATES.get(row.state, row.state)
    return Obstacle("lease", row.slot, row.profile, row.name, row.owner, state)
