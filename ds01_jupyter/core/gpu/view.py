"""The snapshot of all GPUs as a document: readings, leases and processes brought together."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Literal

from ds01_jupyter.core import models
from ds01_jupyter.core.errors import CoreError
from ds01_jupyter.core.gpu.health import Verdict
from ds01_jupyter.core.gpu.sharing import containers_of, note, readings_in_force, user_of
from ds01_jupyter.core.gpu.slots import (
    WHOLE,
    GpuMeasurement,
    GpuReading,
    ProcessReading,
    SlotInfo,
    SlotReading,
)
from ds01_jupyter.core.ledger import ContainerRow, LeaseRow
from ds01_jupyter.core.processes import container_of_pid, user_of_pid

State = Literal["free", "leased", "foreign", "unusable", "cordoned"]


def snapshot_document(
    reading: GpuReading,
    *,
    host: str,
    leases: Sequence[LeaseRow],
    rows: Sequence[ContainerRow],
    foreign: Mapping[str, str],
    container_of: Callable[[int], str | None] = container_of_pid,
    user_of: Callable[[int], str | None] = user_of_pid,
    verdict: Verdict | None = None,
) -> models.GpuSnapshot:
    """Everything that the lab knows of its GPUs at the moment of `reading`.

    `leases` are the live ones, `foreign` is of `reconcile.foreign_slots`; `container_of` and
    `user_of` look a pid up. A process is shown with the name of its container where it is one of
    ours (`rows`), with the beginning of its id otherwise. Leases whose slot is not there (any
    more) are shown as unusable slots: nobody's lease disappears from sight. `verdict` is what
    `GpuHealth` says of this reading.
    """
    verdict = verdict or Verdict()
    names = {row.container_id: row.name for row in rows if row.container_id}
    view = _View(
        [lease for lease in leases if lease.host == host],
        {row.claim_id: row.container_id for row in rows},
        foreign,
        _Processes(names, container_of, user_of),
        verdict,
    )
    gpus = [view.gpu(gpu) for gpu in reading.gpus]
    strays = sorted({lease.name for lease in view.strays(reading)})
    problems = [
        f"GPU {gpu.index} ({gpu.name}) is not in this machine any more, or the driver does not "
        "see it; an admin has to look at it."
        for gpu in verdict.missing
    ]
    if strays:
        named = ", ".join(strays)
        problems.append(f"The driver does not show the GPUs of these containers: {named}.")
    return models.GpuSnapshot(
        taken=reading.taken,
        host=host,
        driver=reading.driver_version,
        problem=" ".join(problems) or None,
        gpus=gpus,
    )


def unavailable_document(host: str, error: CoreError) -> models.GpuSnapshot:
    """The snapshot of a machine whose driver does not answer."""
    problem = f"{error.message} {error.hint}".strip()
    return models.GpuSnapshot(
        taken=datetime.now(UTC), host=host, driver=None, problem=problem, gpus=[]
    )


class _Processes:
    """Looks processes up, each pid once a snapshot."""

    def __init__(
        self,
        names: Mapping[str, str],
        container_of: Callable[[int], str | None],
        user_of: Callable[[int], str | None],
    ) -> None:
        self._names = names
        self._container_of = container_of
        self._user_of = user_of

    def container(self, process: ProcessReading) -> str | None:
        """The full id of its container; None for one on the host, or that is not visible."""
        return self._container_of(process.pid)

    def document(self, process: ProcessReading) -> models.GpuProcess:
        container = self._container_of(process.pid)
        if container is not None:
            container = self._names.get(container, container[:12])
        return models.GpuProcess(
            pid=process.pid,
            memory=process.memory,
            user=self._user_of(process.pid),
            container=container,
        )


class _View:
    def __init__(
        self,
        leases: Sequence[LeaseRow],
        containers: Mapping[str, str | None],
        foreign: Mapping[str, str],
        processes: _Processes,
        verdict: Verdict,
    ) -> None:
        """`containers` are their ids by claim."""
        self._leases = {lease.slot_uuid: lease for lease in leases}
        self._containers = containers
        self._foreign = foreign
        self._processes = processes
        self._verdict = verdict

    def gpu(self, gpu: GpuMeasurement) -> models.Gpu:
        info = gpu.info
        usable = gpu.problem is None
        readings = self._attributed(readings_in_force(gpu, list(self._leases.values())))
        slots = [self._slot(reading, usable=usable) for reading in readings]
        shown = {reading.info.uuid for reading in readings}
        slots += [
            self._missing(lease)
            for lease in self._leases.values()
            if lease.gpu_uuid == info.uuid and lease.slot_uuid not in shown
        ]
        if not slots:
            slots = [_nothing(gpu)]
        return models.Gpu(
            index=info.index,
            uuid=info.uuid,
            name=info.name,
            mig=info.mig,
            memory_total=info.memory_total,
            memory_used=gpu.memory_used,
            utilisation=gpu.utilisation,
            temperature=gpu.temperature,
            power=gpu.power,
            problem=gpu.problem,
            health=self._health(gpu),
            slots=slots,
        )

    def _health(self, gpu: GpuMeasurement) -> models.GpuHealth:
        rows = self._verdict.cordons.get(gpu.info.uuid, ())
        cordons = [
            models.Cordon(
                cause=row.cause,
                reason=row.reason,
                xid=row.xid,
                since=row.since,
                by=row.actor,
                needs_reset=row.needs_reset,
            )
            for row in rows
        ]
        state: Literal["well", "cordoned", "silent"] = "cordoned" if cordons else "well"
        return models.GpuHealth(state="silent" if gpu.error else state, cordons=cordons)

    def strays(self, reading: GpuReading) -> list[LeaseRow]:
        """Leases on GPUs that the driver does not show at all."""
        shown = {gpu.info.uuid for gpu in reading.gpus}
        return [lease for lease in self._leases.values() if lease.gpu_uuid not in shown]

    def _attributed(self, readings: Sequence[SlotReading]) -> list[SlotReading]:
        """Shares with the processes of their own containers, and the memory of those.

        A process of no container with a share is shown with the first that is free, else with the
        first, and its memory with none.
        """
        sharing = [reading for reading in readings if reading.info.kind == "share"]
        if not sharing:
            return list(readings)
        whose: dict[str, list[ProcessReading]] = {each.info.uuid: [] for each in sharing}
        owner: dict[str, str] = {}
        for uuid in whose:
            lease = self._leases.get(uuid)
            container = None if lease is None else self._containers.get(lease.claim_id)
            if container:
                owner[container] = uuid
        nobodys: list[ProcessReading] = []
        for process in sharing[0].processes:
            mine = owner.get(self._processes.container(process) or "")
            (nobodys if mine is None else whose[mine]).append(process)
        used = {uuid: _together(processes) for uuid, processes in whose.items()}
        first = next((uuid for uuid in whose if uuid not in self._leases), next(iter(whose)))
        whose[first] += nobodys
        return [
            replace(
                reading,
                memory_used=used[reading.info.uuid],
                processes=tuple(whose[reading.info.uuid]),
            )
            for reading in sharing
        ]

    def _slot(self, reading: SlotReading, *, usable: bool) -> models.Slot:
        info = reading.info
        lease = self._leases.get(info.uuid)
        return _document(
            info,
            self._state(info, lease, usable=usable),
            lease=lease,
            problem=self._problem(lease),
            used_by=user_of(info, self._foreign),
            memory_used=reading.memory_used,
            utilisation=reading.utilisation,
            processes=[self._processes.document(process) for process in reading.processes],
        )

    def _state(self, info: SlotInfo, lease: LeaseRow | None, *, usable: bool) -> State:
        if not usable:
            return "unusable"
        if lease is not None:
            return "unusable" if lease.id in self._verdict.unusable else "leased"
        if user_of(info, self._foreign) is not None:
            return "foreign"
        # A lease on the whole GPU bars instances that were made under it, and the other way.
        if any(other.info.bars(info) for other in self._leases.values()):
            return "unusable"
        return "cordoned" if info.gpu_uuid in self._verdict.cordons else "free"

    def _missing(self, lease: LeaseRow) -> models.Slot:
        return _document(lease.info, "unusable", lease=lease, problem=self._problem(lease))

    def _problem(self, lease: LeaseRow | None) -> str | None:
        return None if lease is None else self._verdict.unusable.get(lease.id)


def _together(processes: Sequence[ProcessReading]) -> int | None:
    """Memory of some processes in bytes; None where the driver does not tell that of each, and
    where it tells of none (it may tell of none at all)."""
    sizes = [process.memory for process in processes if process.memory is not None]
    return sum(sizes) if sizes and len(sizes) == len(processes) else None


def _nothing(gpu: GpuMeasurement) -> models.Slot:
    """A GPU with nothing to give is shown with one unusable slot."""
    info = gpu.info
    slot = SlotInfo(
        str(info.index), info.uuid, "gpu", WHOLE, info.index, info.uuid, info.memory_total, 1.0
    )
    return _document(slot, "unusable")


def _document(
    info: SlotInfo,
    state: State,
    *,
    lease: LeaseRow | None = None,
    problem: str | None = None,
    used_by: str | None = None,
    memory_used: int | None = None,
    utilisation: float | None = None,
    processes: Sequence[models.GpuProcess] = (),
) -> models.Slot:
    return models.Slot(
        slot=info.slot,
        uuid=info.uuid,
        kind=info.kind,
        profile=info.profile,
        shared_by=containers_of(info),
        note=note(info),
        memory_total=info.memory_total,
        memory_used=memory_used,
        utilisation=utilisation,
        state=state,
        problem=problem,
        lease=None if lease is None else _lease(lease),
        used_by=used_by,
        processes=list(processes),
    )


def _lease(lease: LeaseRow) -> models.LeaseView:
    state = lease.state
    assert state != "released"
    return models.LeaseView(owner=lease.owner, container=lease.name, state=state, since=lease.since)
