"""The ledger under load: allocations and releases against bare SQLite, and who gets how many.

Two units of work are measured. An *allocation and release* is a claim and its release: two
transactions. A *life* is what a container does: claim, activate, hold, release: four transactions.
Every transaction is durable by itself: write-ahead log, `synchronous = FULL`, `BEGIN IMMEDIATE`.

The floor is a transaction of the same durability on a file beside it that writes one short row into
a table without an index, and nothing else: what SQLite and the disk cost without anything of ours.
A unit is compared with as many of these as it has transactions. All processes run the floor and the
units in turn, a second each, so that a machine that gets slower slows all of them.

Bare SQLite is fast with many processes because it is unfair: who has the lock takes it again,
while the others sleep for up to 0.1 s. The *fair floor* is the same transaction, with the processes
taking turns as ours do (`ledger_turns`).
"""

from __future__ import annotations

import multiprocessing
import os
import sqlite3
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.measure import Figure, median
from ds01_jupyter.core.allocator import Allocator
from ds01_jupyter.core.errors import NoFreeSlot
from ds01_jupyter.core.gpu.nvml import NvmlDriver
from ds01_jupyter.core.gpu.request import GpuRequest
from ds01_jupyter.core.gpu.slots import GpuReading, Inventory
from ds01_jupyter.core.identity import Person
from ds01_jupyter.core.ledger import Ledger
from ds01_jupyter.core.ledger_turns import Turns
from ds01_jupyter.core.models import LimitValues
from tests.rig.nvml import Machine, build
from tests.rig.paths import REPOSITORY, RigPaths

SECONDS = float(os.environ.get("DS01_BENCH_SECONDS", "1.0"))
ROUNDS = 7
PROCESSES = (1, 8, 32)
PHASES = {"floor": 1, "fair floor": 1, "allocation and release": 2, "life": 4}
"""What is run in turn, and how many transactions it has."""

LIMITS = LimitValues(
    group="bench",
    priority=10,
    max_cpus=None,
    memory=None,
    memory_swap=None,
    shm_size=1,
    pids_limit=None,
    max_containers=None,
    max_mig_instances=None,
    cgroup_parent="x.slice",
)


class Still(NvmlDriver):
    """Looks at the GPUs once: the walk is the driver's cost, and counted in `calls`."""

    def __init__(self, library: str) -> None:
        super().__init__(library)
        self._still = super().inventory(), super().snapshot()

    def inventory(self, *, fresh: bool = False) -> Inventory:
        return self._still[0]

    def snapshot(self) -> GpuReading:
        return self._still[1]


class Worker:
    """One process of the many: its connections, and what it does in each phase."""

    def __init__(self, library: str, folder: Path, number: int) -> None:
        self._person = Person(f"p{number}", 70_000 + number, 70_000 + number, Path("/"))
        self._request = GpuRequest.parse("any", 1)
        self._driver = Still(library)
        self._ledgers = [Ledger(folder / f"{name}.sqlite") for name in ("claims", "lives")]
        self._claims, self._lives = (
            Allocator(ledger, self._driver, "bench") for ledger in self._ledgers
        )
        self._bare = [bare(folder / f"{name}.sqlite") for name in ("floor", "fair")]
        self._bare[1].execute("PRAGMA busy_timeout = 0")
        self._turns = Turns(folder / "fair.sqlite")
        self._done = 0
        for ledger in self._ledgers:
            ledger.containers()

    def phases(self) -> dict[str, Callable[[], None]]:
        """What to do once, by the name of the phase; each raises `NoFreeSlot` at most."""
        return {
            "floor": self._floor,
            "fair floor": self._fair_floor,
            "allocation and release": self._claim,
            "life": self._life,
        }

    def close(self) -> None:
        for opened in (*self._ledgers, *self._bare, self._driver, self._turns):
            opened.close()

    def _floor(self) -> None:
        connection = self._bare[0]
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("INSERT INTO floor (text) VALUES (?)", (self._name(),))
        connection.execute("COMMIT")

    def _fair_floor(self) -> None:
        connection = self._bare[1]
        self._turns.begin(connection, writes=True, busy_seconds=15.0)
        connection.execute("INSERT INTO floor (text) VALUES (?)", (self._name(),))
        connection.execute("COMMIT")

    def _claim(self) -> None:
        claim = self._claims.claim(self._person, self._name(), self._request, LIMITS, {}, {})
        self._claims.release(claim.claim_id)

    def _life(self) -> None:
        claim = self._lives.claim(self._person, self._name(), self._request, LIMITS, {}, {})
        self._lives.activate(claim.claim_id, f"{self._person.uid}-{self._done}")
        self._lives.hold(claim.claim_id)
        self._lives.release(claim.claim_id)

    def _name(self) -> str:
        self._done += 1
        return f"c{self._done}"


def bare(path: Path) -> sqlite3.Connection:
    """A connection as the ledger's, to a file with one table."""
    connection = sqlite3.connect(path, timeout=15, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("CREATE TABLE IF NOT EXISTS floor (id INTEGER PRIMARY KEY, text TEXT)")
    return connection


def _work(library: str, folder: str, number: int, barrier: Any, out: Any) -> None:
    """In a process of its own: all phases in turn, again and again, all processes together."""
    worker = Worker(library, Path(folder), number)
    answers = []
    for _ in range(ROUNDS):
        for name, do in worker.phases().items():
            barrier.wait()
            done, begin = 0, time.perf_counter()
            while (seconds := time.perf_counter() - begin) < SECONDS:
                try:
                    do()
                except NoFreeSlot:
                    continue
                done += 1
            answers.append((name, done, seconds))
    out.put(answers)
    worker.close()


def _measure(library: Path, folder: Path, count: int) -> dict[str, list[list[tuple[int, float]]]]:
    """For each phase and round what each process has done, in how many seconds."""
    folder.mkdir()
    for name in ("floor", "fair"):
        bare(folder / f"{name}.sqlite").close()
    context = multiprocessing.get_context("forkserver")
    barrier, out = context.Barrier(count), context.Queue()
    workers = [
        context.Process(target=_work, args=(str(library), str(folder), number, barrier, out))
        for number in range(count)
    ]
    for worker in workers:
        worker.start()
    answers = [out.get(timeout=600) for _ in workers]
    for worker in workers:
        worker.join()
    out.close()
    found: dict[str, list[list[tuple[int, float]]]] = {name: [] for name in PHASES}
    for turn in zip(*answers, strict=True):
        found[turn[0][0]].append([(done, seconds) for _, done, seconds in turn])
    return found


def _rates(rounds: list[list[tuple[int, float]]]) -> list[float]:
    return [
        sum(done for done, _ in turn) / max(seconds for _, seconds in turn) for turn in rounds[1:]
    ]


def _shares(rounds: list[list[tuple[int, float]]]) -> tuple[float, float]:
    """What the idlest and the busiest process did, 1 being an equal share."""
    totals = [sum(done for done, _ in each) for each in zip(*rounds[1:], strict=True)]
    equal = sum(totals) / len(totals)
    return min(totals) / equal, max(totals) / equal


def _figures(library: Path, folder: Path, count: int) -> list[Figure]:
    measured = _measure(library, folder, count)
    rates = {name: _rates(rounds) for name, rounds in measured.items()}
    shares = {name: _shares(rounds) for name, rounds in measured.items()}
    processes = f"{count} process" + ("es" if count > 1 else "")
    figures = []
    for name in ("allocation and release", "life"):
        commits = PHASES[name]
        ratios = [
            floor / (ours * commits)
            for floor, ours in zip(rates["floor"], rates[name], strict=True)
        ]
        fair = [
            floor / (ours * commits)
            for floor, ours in zip(rates["fair floor"], rates[name], strict=True)
        ]
        note = (
            f"{median(rates[name]):.0f} a second, {commits} commits each, against "
            f"{median(rates['floor']) / commits:.0f}"
        )
        if count > 1:
            note += f" (fair floor: {median(fair):.3g} x)"
        target = 2 if name == "allocation and release" else None
        figures.append(
            Figure(f"{name} / bare SQLite, {processes}", median(ratios), target, "x", note)
        )
    if count > 1:
        least, most = shares["allocation and release"]
        note = f"share of the idlest {least:.2f} and of the busiest {most:.2f}; bare SQLite: " + (
            "{:.2g} and {:.2g}, taking turns: {:.2f} and {:.2f}".format(
                *shares["floor"], *shares["fair floor"]
            )
        )
        figures.append(
            Figure(f"busiest / idlest of {processes}", most / max(least, 1e-9), None, "x", note)
        )
    return figures


def figures() -> list[Figure]:
    """Rates and fairness with 1, 8 and 32 processes."""
    found: list[Figure] = []
    with tempfile.TemporaryDirectory(prefix="ds01-bench-", dir=REPOSITORY / ".rig") as name:
        folder = Path(name)
        library = build(RigPaths.default().root)
        machine = Machine(folder / "machine")
        machine.write_preset("dgx-mig")
        old = os.environ.get("FAKENVML_STATE")
        os.environ["FAKENVML_STATE"] = str(machine.path)
        try:
            for count in PROCESSES:
                found += _figures(library, folder / str(count), count)
        finally:
            if old is not None:
                os.environ["FAKENVML_STATE"] = old
    return found


if __name__ == "__main__":
    from benchmarks.measure import table

    print(table(figures()))
