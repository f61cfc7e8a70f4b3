"""Whether a container's GPUs are at work, as far as NVML can tell.

NVML tells the utilisation of a GPU as a whole: for a MIG instance it has none, and on a GPU that
several use it does not say whose work it is. There the processes help, where they can be seen; else
nothing is said, neither that it works nor that it idles.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from ds01_jupyter.core import models
from ds01_jupyter.core.gpu.board import GpuBoard, Look
from ds01_jupyter.core.gpu.process_book import Owner
from ds01_jupyter.core.gpu.slots import GpuMeasurement
from ds01_jupyter.core.ledger_rows import LeaseRow
from ds01_jupyter.core.lifecycle.life import Activity


@dataclass(frozen=True)
class GpuLook:
    """The GPUs as they are now (None: the driver does not answer), and as they were lately."""

    now: Look | None
    past: models.GpuHistory | None = None

    def busiest(self, gpu: GpuMeasurement, seconds: float) -> float | None:
        """The highest utilisation (0 to 1) that was seen in so many last seconds; None: NVML has
        none."""
        figures = [gpu.utilisation]
        if self.past is not None:
            begin = datetime.now(UTC) - timedelta(seconds=seconds)
            for series in self.past.series:
                if series.kind == "gpu" and series.uuid == gpu.info.uuid:
                    frames = zip(self.past.times, series.utilisation, strict=True)
                    figures += [figure for time, figure in frames if time >= begin]
        return max((figure for figure in figures if figure is not None), default=None)


def look_at_gpus(board: GpuBoard) -> GpuLook:
    """Ask the sampler; the driver itself is asked by nobody else."""
    published = board.sampler.latest()
    if published is None or published.value is None:
        return GpuLook(None)
    pace = board.sampler.pace
    if board.sampler.age(published) > max(pace.stale, 2 * pace.interval):
        return GpuLook(None)  # it hangs
    return GpuLook(published.value, board.history())


def tells(leases: Iterable[LeaseRow]) -> bool:
    """Whether NVML could say something of one of these slots."""
    return any(lease.info.kind != "mig" for lease in leases)


def gpu_activity(
    leases: Sequence[LeaseRow], container: str, look: GpuLook, seconds: float, least: float
) -> Activity | None:
    """What the slots of a container (by its full id) did in the last `seconds`.

    From the utilisation `least` on it works. None: they cannot tell, so that CPU and network
    decide.
    """
    found = {_of_lease(lease, container, look, seconds, least) for lease in leases}
    words: tuple[Activity, ...] = ("active", "unknown")
    for word in words:
        if word in found:
            return word
    return "idle" if found == {"idle"} else None


def _of_lease(
    lease: LeaseRow, container: str, look: GpuLook, seconds: float, least: float
) -> Activity | None:
    if lease.info.kind == "mig":
        return None
    if look.now is None:
        return "unknown"
    gpu = next((one for one in look.now.reading.gpus if one.info.uuid == lease.gpu_uuid), None)
    if gpu is None or gpu.problem is not None:
        return "unknown"
    utilisation = look.busiest(gpu, seconds)
    if utilisation is None:
        return None
    if utilisation < least:
        return "idle"
    whose = _whose(gpu, look.now.owners, container)
    if lease.info.kind == "gpu":
        if whose == {"others"}:
            return "idle"
        # It is nobody else's: work that cannot be attributed is this container's.
        return "unknown" if whose == {"mine", "others"} else "active"
    if whose == {"mine"}:
        return "active"
    return "idle" if whose == {"others"} else "unknown"


def _whose(gpu: GpuMeasurement, owners: Mapping[int, Owner], container: str) -> set[str]:
    """`mine`, `others`, `hidden`: whose processes are on a GPU."""
    found = set()
    for pid in {process.pid for slot in gpu.slots for process in slot.processes}:
        where, who = owners.get(pid, (None, None))
        if where == container:
            found.add("mine")
        else:
            found.add("hidden" if where is None and who is None else "others")
    return found
