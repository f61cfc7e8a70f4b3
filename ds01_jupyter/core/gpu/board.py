"""What everybody sees of the GPUs, at the cost of one who looks.

The sampler's thread reads the driver, judges the health of what it finds, and asks Docker who uses
a slot without a lease. Documents are made of that and of the ledger once for all readers, and
again only when there was another look or the ledger changed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ds01_jupyter.core import models
from ds01_jupyter.core.errors import DriverUnavailable, EngineUnavailable
from ds01_jupyter.core.gpu.events import Xid, XidWatch
from ds01_jupyter.core.gpu.health import GRACE, GpuHealth, Verdict
from ds01_jupyter.core.gpu.history import History
from ds01_jupyter.core.gpu.process_book import Owner, ProcessBook
from ds01_jupyter.core.gpu.sampler import Pace, Published, Sampler
from ds01_jupyter.core.gpu.sharing import Declared
from ds01_jupyter.core.gpu.sharing_driver import SharingDriver
from ds01_jupyter.core.gpu.slots import GpuInfo, GpuReading, SlotInfo
from ds01_jupyter.core.gpu.view import snapshot_document, unavailable_document
from ds01_jupyter.core.gpu.xids import IGNORED
from ds01_jupyter.core.ledger import Ledger
from ds01_jupyter.core.ledger_cordons import KnownGpu

Elsewhere = Callable[[Sequence[SlotInfo]], Mapping[str, str]]
Promised = Callable[[models.GpuSnapshot, Sequence[SlotInfo], Mapping[str, str]], models.GpuSnapshot]
Stamp = tuple[int, ...]


@dataclass(frozen=True)
class Look:
    """What one look found.

    `foreign` names, by slot UUID, who uses a slot without a lease; `owners` gives container id
    and account of the processes.
    """

    reading: GpuReading
    verdict: Verdict
    foreign: Mapping[str, str]
    owners: Mapping[int, Owner]


class GpuBoard:
    """The GPUs of this host for any number of readers.

    `elsewhere` says which slots are used without a lease (it may raise `EngineUnavailable`). It
    has a driver of its own, so that one that hangs here keeps nobody from anything else.
    """

    def __init__(
        self,
        library: str,
        ledger: Ledger,
        host: str,
        elsewhere: Elsewhere,
        *,
        ignored_xids: Sequence[int] = IGNORED,
        pace: Pace | None = None,
        grace: float = GRACE,
        declared: Declared = tuple,
        promised: Promised = lambda document, slots, foreign: document,
    ) -> None:
        """`declared` says which GPUs several containers may use at a time; `promised` adds to a
        document for whom its slots are reserved."""
        self._ledger = ledger
        self._host = host
        self._elsewhere = elsewhere
        self._promised = promised
        self._driver = SharingDriver(library, declared)
        self.health = GpuHealth(ledger, host, ignored=ignored_xids, grace=grace)
        self.past = History()
        self.watch = XidWatch(library, self._heard)
        self.sampler: Sampler[Look] = Sampler(self._look, pace=pace)
        self._book = ProcessBook()
        self._asking = "The NVIDIA driver"
        self._making = threading.Lock()
        self._made: tuple[int, Stamp, models.GpuSnapshot] | None = None

    # ---- readers -----------------------------------------------------------------------------

    def snapshot(self) -> models.GpuSnapshot:
        """The GPUs as they were a moment ago; `age` and, if it is long ago, `problem` say so.

        Without a driver that answers: a document without GPUs that says why. Raises
        `LedgerUnavailable`.
        """
        published = self.sampler.latest()
        if published is None:
            return unavailable_document(self._host, self.no_answer(self.sampler.pace.patience))
        if published.error is not None:
            if isinstance(published.error, DriverUnavailable):
                return unavailable_document(self._host, published.error)
            raise published.error
        return self.aged(self.document(published), published)

    def history(self) -> models.GpuHistory:
        """What the GPUs did in the last hour."""
        self.sampler.latest()
        return self.past.document(self._host)

    def document(self, published: Published[Look]) -> models.GpuSnapshot:
        """The document of a look, made once for everybody. Raises `LedgerUnavailable`."""
        look = published.value
        assert look is not None
        stamp = self._ledger_stamp()
        made = self._made
        if made is not None and made[:2] == (published.number, stamp):
            return made[2]
        with self._making:
            if self._made is None or self._made[:2] != (published.number, stamp):
                self._made = (published.number, stamp, self._make(look))
            return self._made[2]

    def aged(self, document: models.GpuSnapshot, published: Published[Look]) -> models.GpuSnapshot:
        """The document with its age, and a warning when that is more than usual."""
        age = self.sampler.age(published)
        changes: dict[str, object] = {"age": round(age, 3)}
        if self.sampler.hanging is not None:
            late = self.no_answer(age)
            text = f"These figures are {age:.0f} seconds old. {late.message}"
            changes["problem"] = " ".join(filter(None, (text, document.problem)))
        return document.model_copy(update=changes)

    def no_answer(self, seconds: float) -> DriverUnavailable:
        """What to say when a look has taken so long."""
        return DriverUnavailable(
            f"{self._asking} has not answered for {seconds:.0f} seconds.",
            hint="Try again in a minute; if that stays so, tell your admin.",
        )

    def close(self, timeout: float = 5.0) -> bool:
        """End the threads; False when one hangs in the driver, which must not be shut down then."""
        ended = [self.watch.stop(timeout), self.sampler.stop(timeout)]
        return all(ended)

    # ---- the sampler's thread ----------------------------------------------------------------

    def _look(self) -> Look:
        self._asking = "The NVIDIA driver"
        reading = self._driver.snapshot()
        self.watch.start()
        self.past.add(reading)
        verdict = self.health.look(infos(reading), reading.driver_version)
        owners = self._book.owners(
            process.pid for gpu in reading.gpus for slot in gpu.slots for process in slot.processes
        )
        self._asking = "Docker"
        try:
            foreign = self._elsewhere(reading.slots)
        except EngineUnavailable:
            foreign = {}  # GPUs can be looked at while Docker is away
        return Look(reading, verdict, foreign, owners)

    def _heard(self, xid: Xid) -> None:
        gpu = KnownGpu(xid.gpu_uuid, xid.gpu_index, xid.gpu_name)
        self.health.xid(gpu, xid.code, xid.driver)

    def _make(self, look: Look) -> models.GpuSnapshot:
        verdict = replace(look.verdict, cordons=self.health.cordons())
        document = snapshot_document(
            look.reading,
            host=self._host,
            leases=self._ledger.live_leases(),
            rows=self._ledger.containers(),
            foreign=look.foreign,
            container_of=lambda pid: look.owners[pid][0],
            user_of=lambda pid: look.owners[pid][1],
            verdict=verdict,
        )
        return self._promised(document, look.reading.slots, look.foreign)

    def _ledger_stamp(self) -> Stamp:
        """What changes with every transaction of anybody, at the cost of two looks at a file."""
        path = self._ledger.path
        return (*_stamp(path), *_stamp(path.with_name(f"{path.name}-wal")))


def infos(reading: GpuReading) -> list[GpuInfo]:
    """All GPUs with their problems as of the reading."""
    return [replace(gpu.info, problem=gpu.problem, error=gpu.error) for gpu in reading.gpus]


def _stamp(path: Path) -> Stamp:
    try:
        status = path.stat()
    except OSError:
        return (0, 0, 0)
    return (status.st_ino, status.st_size, status.st_mtime_ns)
