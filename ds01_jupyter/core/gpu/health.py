"""GPUs that are ill: cordoned (given to nobody), announced, and taken back when they are well.

Leases are kept whatever happens, and nothing is ever stopped or destroyed from here: a cordon only
keeps a GPU from being given. It is written into the ledger, so that every server of the machine
and the next start know of it.
"""

from __future__ import annotations

import logging
import sqlite3
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ds01_jupyter.core import ledger_cordons as tables
from ds01_jupyter.core.errors import Conflict, CoreError, NotFound
from ds01_jupyter.core.gpu.drift import unusable_leases
from ds01_jupyter.core.gpu.nvml_calls import SICK
from ds01_jupyter.core.gpu.slots import GpuInfo
from ds01_jupyter.core.gpu.xids import IGNORED, meaning, needs_reset
from ds01_jupyter.core.identity import Person
from ds01_jupyter.core.ledger import Ledger
from ds01_jupyter.core.ledger_cordons import CordonRow, KnownGpu
from ds01_jupyter.core.ledger_rows import LeaseRow
from ds01_jupyter.core.ledger_tables import insert_history, live_leases
from ds01_jupyter.core.processes import boot_id, boot_seconds

GRACE = 60.0
"""Seconds for which a GPU must have answered well before it is given again."""

MAX_UNWRITTEN = 100

WATCH = "health"
"""The actor of what nobody did."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Verdict:
    """What is wrong now: cordons by GPU UUID, leases (by id) that lost their slot with the
    sentence that says how, and known GPUs that are not there."""

    cordons: Mapping[str, tuple[CordonRow, ...]] = field(default_factory=dict)
    unusable: Mapping[int, str] = field(default_factory=dict)
    missing: tuple[KnownGpu, ...] = ()


class GpuHealth:
    """The health of one host's GPUs. For any number of threads.

    Every method may raise `LedgerUnavailable`. `grace` in seconds; `ignored` are the XID codes
    that are no reason to cordon.
    """

    def __init__(
        self,
        ledger: Ledger,
        host: str,
        *,
        ignored: Sequence[int] = IGNORED,
        grace: float = GRACE,
    ) -> None:
        self._ledger = ledger
        self._host = host
        self._ignored = frozenset(ignored)
        self._grace = grace
        self._driver: str | None = None
        self._noted: set[tuple[int, str]] = set()
        self._unwritten: deque[tuple[KnownGpu, int, str | None]] = deque(maxlen=MAX_UNWRITTEN)

    # ---- looking -----------------------------------------------------------------------------

    def look(self, gpus: Sequence[GpuInfo], driver: str) -> Verdict:
        """Judge what the driver shows now; cordon, lift and note down what that changes.

        `gpus` are all GPUs, with `error` as of this moment. Writes only when something changes.
        """
        self._driver = driver
        while self._unwritten:
            self.xid(*self._unwritten.popleft())
        with self._ledger.reading() as connection:
            rows = tables.cordons(connection, self._host)
            known = tables.known_gpus(connection, self._host)
            leases = live_leases(connection, host=self._host)
        here = [KnownGpu(gpu.uuid, gpu.index, gpu.name) for gpu in gpus if gpu.uuid]
        ill = _ill(gpus, known)
        unusable = unusable_leases(leases, gpus)
        news = [(lease, unusable[lease.id]) for lease in leases if lease.id in unusable]
        news = [(lease, why) for lease, why in news if (lease.id, why) not in self._noted]
        if (
            news
            or set(here) - set(known)
            or self._worse(rows, ill)
            or any(self._step(row, ill, driver) for row in rows)
        ):
            self._settle(here, ill, driver, news)
            with self._ledger.reading() as connection:
                rows = tables.cordons(connection, self._host)
        there = {gpu.uuid for gpu in here}
        return Verdict(
            _by_gpu(rows),
            unusable,
            tuple(gpu for gpu in known if gpu.uuid not in there and _missing(rows, gpu.uuid)),
        )

    def cordons(self) -> Mapping[str, tuple[CordonRow, ...]]:
        """What holds now, by GPU UUID."""
        with self._ledger.reading() as connection:
            return _by_gpu(tables.cordons(connection, self._host))

    def xid(self, gpu: KnownGpu, code: int, driver: str | None = None) -> bool:
        """The driver reported an XID error of a GPU; whether that cordoned it.

        When it cannot be written down, the next `look` tries again: it is told only once.
        """
        if code in self._ignored:
            log.info("XID %d of GPU %d is ignored", code, gpu.index)
            return False
        reason = f"The driver reported {meaning(code)}."
        try:
            with self._ledger.writing() as connection:
                fresh = self._cordon(
                    connection,
                    gpu,
                    "xid",
                    reason,
                    WATCH,
                    xid=code,
                    needs_reset=needs_reset(code),
                    driver=driver or self._driver,
                )
        except CoreError:
            self._unwritten.append((gpu, code, driver))
            raise
        if fresh:
            log.warning("GPU %d (%s) is cordoned: %s", gpu.index, gpu.uuid, reason)
        return fresh

    # ---- admins ------------------------------------------------------------------------------

    def cordon(self, admin: Person, name: str, reason: str, gpus: Sequence[GpuInfo]) -> str:
        """An admin takes a GPU (index or UUID) out of use; answers its UUID.

        Raises `NotFound`, or `Conflict` when an admin has done so already.
        """
        with self._ledger.writing() as connection:
            gpu = self._find(connection, name, gpus)
            if not self._cordon(connection, gpu, "admin", reason, admin.name):
                raise Conflict(
                    f"GPU {gpu.index} is cordoned by an admin already.",
                    hint=f"`ds01 gpus uncordon {gpu.index}` takes it back.",
                    gpu=gpu.uuid,
                )
        return gpu.uuid

    def uncordon(self, admin: Person, name: str, gpus: Sequence[GpuInfo]) -> str:
        """An admin gives a GPU back, whatever it was cordoned for; answers its UUID.

        One that is not in the machine is forgotten for good. Raises `NotFound`, or `Conflict`
        when it is not cordoned or gives no answer now.
        """
        with self._ledger.writing() as connection:
            gpu = self._find(connection, name, gpus)
            rows = [
                row for row in tables.cordons(connection, self._host) if row.gpu_uuid == gpu.uuid
            ]
            if not rows:
                raise Conflict(f"GPU {gpu.index} is not cordoned.", gpu=gpu.uuid)
            silent = next((it for it in gpus if it.uuid == gpu.uuid and it.error is not None), None)
            if silent is not None:
                raise Conflict(
                    f"GPU {gpu.index} gives no answer, so it stays cordoned.",
                    hint=silent.problem or "",
                    gpu=gpu.uuid,
                )
            for row in rows:
                self._lift(connection, row, admin.name, "an admin said so")
            if all(it.uuid != gpu.uuid for it in gpus):
                tables.forget_gpu(connection, self._host, gpu.uuid)
        return gpu.uuid

    def _find(self, connection: sqlite3.Connection, name: str, gpus: Sequence[GpuInfo]) -> KnownGpu:
        """The GPU of that index or UUID; of those that are gone, by UUID or a free index."""
        here = [KnownGpu(gpu.uuid, gpu.index, gpu.name) for gpu in gpus if gpu.uuid]
        wanted = name.strip().lower()
        for gpu in (*here, *tables.known_gpus(connection, self._host)):
            if wanted in (gpu.uuid.lower(), str(gpu.index)):
                return gpu
        known = ", ".join(str(gpu.index) for gpu in here)
        raise NotFound(
            f"There is no GPU {name} on this machine.",
            hint=f"There are: {known}." if known else "It has none.",
            gpu=name,
        )

    # ---- changes -----------------------------------------------------------------------------

    def _worse(self, rows: Sequence[CordonRow], ill: Mapping[str, _Illness]) -> bool:
        held = {(row.gpu_uuid, row.cause) for row in rows}
        return any((uuid, illness.cause) not in held for uuid, illness in ill.items())

    def _step(self, row: CordonRow, ill: Mapping[str, _Illness], driver: str) -> str | None:
        """What has to be done about a cordon: `begin` or `end` of being well, `lift`; or None."""
        if row.cause == "admin":
            return None
        well = row.well_seconds if row.well_boot_id == boot_id() else None
        if row.gpu_uuid in ill:
            return "end" if row.well_seconds is not None else None
        if well is None:
            return "begin"
        if row.needs_reset and not _was_reset(row, driver):
            return None
        return "lift" if boot_seconds() - well >= self._grace else None

    def _settle(
        self,
        here: Sequence[KnownGpu],
        ill: Mapping[str, _Illness],
        driver: str,
        news: Sequence[tuple[LeaseRow, str]],
    ) -> None:
        """One transaction that looks again: another server may have been first."""
        with self._ledger.writing() as connection:
            tables.remember_gpus(connection, self._host, here)
            rows = tables.cordons(connection, self._host)
            for row in rows:
                step = self._step(row, ill, driver)
                if step == "begin":
                    tables.set_well(connection, row.id, boot_seconds())
                elif step == "end":
                    tables.set_well(connection, row.id, None)
                elif step == "lift":
                    self._lift(connection, row, WATCH, "it answers well again")
            for uuid, illness in ill.items():
                if any((row.gpu_uuid, row.cause) == (uuid, illness.cause) for row in rows):
                    continue
                fresh = self._cordon(
                    connection, illness.gpu, illness.cause, illness.reason, WATCH, driver=driver
                )
                if fresh:
                    log.warning("GPU %d (%s): %s", illness.gpu.index, uuid, illness.reason)
            for lease, why in news:
                self._note(connection, lease, why)
        self._noted.update((lease.id, why) for lease, why in news)

    def _cordon(
        self,
        connection: sqlite3.Connection,
        gpu: KnownGpu,
        cause: tables.Cause,
        reason: str,
        actor: str,
        *,
        xid: int | None = None,
        needs_reset: bool = False,
        driver: str | None = None,
    ) -> bool:
        fresh = tables.insert_cordon(
            connection,
            self._host,
            gpu,
            cause,
            reason,
            actor,
            xid=xid,
            needs_reset=needs_reset,
            driver=driver,
        )
        if fresh:
            details = {"host": self._host, "gpu": gpu.uuid, "cause": cause, "why": reason}
            if xid is not None:
                details |= {"xid": str(xid)}
            affected = [
                lease.full_name
                for lease in live_leases(connection, host=self._host)
                if lease.gpu_uuid == gpu.uuid
            ]
            insert_history(
                connection,
                actor,
                "",
                "gpu.cordon",
                f"GPU {gpu.index}",
                "done",
                {**details, "containers": affected},
            )
        return fresh

    def _lift(self, connection: sqlite3.Connection, row: CordonRow, actor: str, why: str) -> None:
        if tables.delete_cordon(connection, row.id):
            insert_history(
                connection,
                actor,
                "",
                "gpu.uncordon",
                f"GPU {row.gpu_index}",
                "done",
                {"host": self._host, "gpu": row.gpu_uuid, "cause": row.cause, "why": why},
            )
            log.warning(
                "GPU %d (%s) is not cordoned any more: %s", row.gpu_index, row.gpu_uuid, why
            )

    def _note(self, connection: sqlite3.Connection, lease: LeaseRow, why: str) -> None:
        if tables.noted_before(connection, lease, "lease.unusable", why):
            return
        details = {"claim": lease.claim_id, "lease": lease.id, "slot": lease.slot_uuid, "why": why}
        insert_history(
            connection, WATCH, lease.owner, "lease.unusable", lease.full_name, "done", details
        )


@dataclass(frozen=True)
class _Illness:
    gpu: KnownGpu
    cause: tables.Cause
    reason: str


def _ill(gpus: Sequence[GpuInfo], known: Sequence[KnownGpu]) -> dict[str, _Illness]:
    """The GPUs that are ill now, by UUID."""
    found = {}
    for gpu in gpus:
        if gpu.uuid and gpu.error in SICK:
            it = KnownGpu(gpu.uuid, gpu.index, gpu.name)
            found[gpu.uuid] = _Illness(it, "silent", gpu.problem or "It gives no answer.")
    there = {gpu.uuid for gpu in gpus}
    # One that was silent from the start does not tell its UUID: it may be any of the absent ones.
    unread = next((gpu for gpu in gpus if not gpu.uuid and gpu.error in SICK), None)
    for absent in known:
        if absent.uuid in there:
            continue
        if unread is not None:
            reason = unread.problem or "It gives no answer."
            found[absent.uuid] = _Illness(absent, "silent", reason)
        else:
            reason = "This GPU is not in the machine any more, or the driver does not see it."
            found[absent.uuid] = _Illness(absent, "missing", reason)
    return found


def _was_reset(row: CordonRow, driver: str) -> bool:
    """Whether the GPU went through a reset since: another boot, or another driver was loaded."""
    return row.boot_id != boot_id() or (row.driver is not None and row.driver != driver)


def _by_gpu(rows: Sequence[CordonRow]) -> dict[str, tuple[CordonRow, ...]]:
    found: dict[str, tuple[CordonRow, ...]] = {}
    for row in rows:
        found[row.gpu_uuid] = (*found.get(row.gpu_uuid, ()), row)
    return found


def _missing(rows: Sequence[CordonRow], uuid: str) -> bool:
    return any(row.gpu_uuid == uuid and row.cause in ("missing", "silent") for row in rows)
