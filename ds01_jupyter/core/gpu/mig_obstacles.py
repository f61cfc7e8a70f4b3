"""What stands in the way of a change of MIG instances: leases, foreign containers, processes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from ds01_jupyter.core.errors import Conflict
from ds01_jupyter.core.gpu.mig_state import GpuInstance, MigGpu
from ds01_jupyter.core.ledger_rows import LeaseRow
from ds01_jupyter.core.processes import container_of_pid, user_of_pid


@dataclass(frozen=True)
class Obstacle:
    """Who uses a slot: a lease of `owner` for `container`, a container that has no lease, a
    process (`pid`, of the account `owner`), or nobody yet, since it is reserved for `owner`."""

    kind: Literal["lease", "container", "process", "reservation"]
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
        if self.kind == "reservation":
            return f"{where}: reserved for {self.owner} ({self.state})"
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
        """What uses these instances; with `changed`, also leases on the whole GPU or on shares of
        it, under which nothing may be changed."""
        found: list[Obstacle] = []
        if changed:
            found += [_lease(each) for each in self.leases if each.info.device == gpu.uuid]
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


def refuse_obstacles(obstacles: Sequence[Obstacle]) -> None:
    """Raise `Conflict` when something is in the way, naming everything that is."""
    if not obstacles:
        return
    promised = [item for item in obstacles if item.kind == "reservation"]
    if len(promised) == len(obstacles):
        raise Conflict(
            "MIG instances that would have to go are reserved, and the new layout has no others "
            f"for it: {promised[0]}.",
            hint="Cancel the reservation (`ds01 reservations` shows all), apply the layout when it "
            "is over, or leave these GPUs out of it.",
            in_the_way=[str(item) for item in obstacles],
            containers=[],
        )
    used = [item for item in obstacles if item not in promised]
    owners = list(dict.fromkeys(item.owner for item in used if item.owner))
    containers = list(dict.fromkeys(item.container for item in obstacles if item.container))
    who = f" ({', '.join(containers)})" if containers else ""
    raise Conflict(
        f"MIG instances that would have to go are in use{who}.",
        hint=f"Ask {', '.join(owners) or 'their owners'} to remove the containers (a workspace "
        "stays), or leave these GPUs out of the layout.",
        in_the_way=[str(item) for item in obstacles],
        containers=containers,
    )


_STATES = {"pending": "being made", "active": "running", "held": "stopped, holds its slot"}


def _lease(row: LeaseRow) -> Obstacle:
    state = _STATES.get(row.state, row.state)
    return Obstacle("lease", row.slot, row.profile, row.name, row.owner, state)
