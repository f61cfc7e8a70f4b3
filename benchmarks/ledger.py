"""The ledger under load: claims against the bare transactions beneath them, and calls a create.

A claim and its release are four transactions (claim, activate, hold, release), as in a container's
life. The floor is the same number of `BEGIN IMMEDIATE ... COMMIT` with the same durability on a
file beside it, each writing one row: what SQLite and the disk cost without anything of ours.
"""

from __future__ import annotations

import multiprocessing
import os
import sqlite3
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import docker

from benchmarks.measure import Figure, median
from ds01_jupyter.core.allocator import Allocator
from ds01_jupyter.core.errors import NoFreeSlot
from ds01_jupyter.core.gpu.nvml import NvmlDriver
from ds01_jupyter.core.gpu.request import GpuRequest
from ds01_jupyter.core.gpu.slots import GpuReading, Inventory
from ds01_jupyter.core.identity import Person
from ds01_jupyter.core.ledger import Ledger
from ds01_jupyter.core.models import LimitValues
from tests.rig.nvml import Machine, build
from tests.rig.paths import REPOSITORY, RigPaths

SECONDS = 4.0
ROUNDS = 3
PROCESSES = (1, 8, 32)
TRANSACTIONS = 4
PRESENT = (0, 10, 40)

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
    """Looks at the GPUs once: the walk is the driver's cost, and counted in calls below."""

    def __init__(self, library: str) -> None:
        super().__init__(library)
        self._still = super().inventory(), super().snapshot()

    def inventory(self, *, fresh: bool = False) -> Inventory:
        return self._still[0]

    def snapshot(self) -> GpuReading:
        return self._still[1]


# ---- transactions --------------------------------------------------------------------------------


def _ours(library: str, path: str, number: int, barrier: Any, out: Any) -> None:
    ledger, driver = Ledger(Path(path)), Still(library)
    allocator = Allocator(ledger, driver, "bench")
    person = Person(f"p{number}", 70_000 + number, 70_000 + number, Path("/"))
    request = GpuRequest.parse("any", 1)
    ledger.containers()
    done = refused = 0
    barrier.wait()
    begin = time.perf_counter()
    while time.perf_counter() - begin < SECONDS:
        try:
            claim = allocator.claim(person, f"c{done}", request, LIMITS, {}, {})
        except NoFreeSlot:
            refused += 1
            continue
        allocator.activate(claim.claim_id, f"{number}-{done}")
        allocator.hold(claim.claim_id)
        allocator.release(claim.claim_id)
        done += 1
    out.put((done, refused, time.perf_counter() - begin))
    ledger.close()
    driver.close()


def _floor(library: str, path: str, number: int, barrier: Any, out: Any) -> None:
    with closing(sqlite3.connect(path, timeout=15, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        done = 0
        barrier.wait()
        begin = time.perf_counter()
        while time.perf_counter() - begin < SECONDS:
            for _ in range(TRANSACTIONS):
                connection.execute("BEGIN IMMEDIATE")
                connection.execute("INSERT INTO floor (text) VALUES (?)", (f"{number} {done}",))
                connection.execute("COMMIT")
            done += 1
        out.put((done, 0, time.perf_counter() - begin))


def _same_statements(library: Path, folder: Path) -> Figure:
    """One process: our lives against SQLite alone replaying the statements of one of them."""
    ledger, driver = Ledger(folder / "traced.sqlite"), Still(str(library))
    allocator, request = Allocator(ledger, driver, "bench"), GpuRequest.parse("any", 1)
    person = Person("p", 70_000, 70_000, Path("/"))

    def life(name: str) -> str:
        claim = allocator.claim(person, name, request, LIMITS, {}, {})
        allocator.activate(claim.claim_id, f"id-{name}")
        allocator.hold(claim.claim_id)
        allocator.release(claim.claim_id)
        return claim.claim_id

    life("warm")
    (connection,) = ledger._database._idle
    seen: list[str] = []
    connection.set_trace_callback(seen.append)
    claim_id = life("name-0")
    connection.set_trace_callback(None)
    # What a trigger does is traced as its statement once more.
    script = [one for number, one in enumerate(seen) if not number or one != seen[number - 1]]
    samples: tuple[list[float], list[float]] = ([], [])
    for turn in range(1, 601):
        begin = time.perf_counter()
        life(f"name-{turn}")
        middle = time.perf_counter()
        for statement in script:
            own = statement.replace(claim_id, f"{turn:032x}").replace("name-0", f"bare-{turn}")
            connection.execute(own).fetchall()
        samples[0].append(middle - begin)
        samples[1].append(time.perf_counter() - middle)
    ledger.close()
    driver.close()
    ours, bare = median(samples[0]), median(samples[1])
    note = f"{ours * 1000:.2f} ms against {bare * 1000:.2f} ms, {len(script)} statements"
    return Figure("claim to release / its own statements bare", ours / bare, 2, "x", note)


def _at_once(target: Any, library: Path, path: Path, count: int) -> list[tuple[int, int, float]]:
    context = multiprocessing.get_context("forkserver")
    barrier, out = context.Barrier(count), context.Queue()
    workers = [
        context.Process(target=target, args=(str(library), str(path), number, barrier, out))
        for number in range(count)
    ]
    for worker in workers:
        worker.start()
    answers = [out.get(timeout=120) for _ in workers]
    for worker in workers:
        worker.join()
    out.close()
    return answers


def _rate(answers: list[tuple[int, int, float]]) -> float:
    return sum(done for done, _, _ in answers) / max(seconds for _, _, seconds in answers)


def _compare(library: Path, folder: Path, count: int) -> list[Figure]:
    ratios, rates, floors, fair, fair_floor = [], [], [], [], []
    for turn in range(ROUNDS):
        bare = folder / f"floor-{count}-{turn}.sqlite"
        with closing(sqlite3.connect(bare)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("CREATE TABLE floor (id INTEGER PRIMARY KEY, text TEXT)")
        floor = _at_once(_floor, library, bare, count)
        ours = _at_once(_ours, library, folder / f"ours-{count}-{turn}.sqlite", count)
        rates.append(_rate(ours))
        floors.append(_rate(floor))
        ratios.append(rates[-1] / floors[-1])
        for kept, answers in ((fair, ours), (fair_floor, floor)):
            counts = [done for done, _, _ in answers]
            kept.append(min(counts) / max(counts))
    middle = ROUNDS // 2
    note = (
        f"{sorted(rates)[middle]:.0f} containers' lives a second against "
        f"{sorted(floors)[middle]:.0f}, {TRANSACTIONS} commits each"
    )
    processes = f"{count} process" + ("es" if count > 1 else "")
    figures = [
        Figure(
            f"bare SQLite / claim to release, {processes}", 1 / sorted(ratios)[middle], 2, "x", note
        )
    ]
    if count > 1:
        figures.append(
            Figure(
                f"busiest / idlest of {processes}",
                1 / max(sorted(fair)[middle], 1e-9),
                None,
                "x",
                f"bare SQLite: {1 / max(sorted(fair_floor)[middle], 1e-9):.3g} x",
            )
        )
    return figures


# ---- calls ---------------------------------------------------------------------------------------


def _calls(docker_host: str, library: Path, folder: Path) -> list[Figure]:
    """Docker and NVML calls of a second create in a server, with containers of ours present."""
    import ctypes

    import requests

    from ds01_jupyter.core.lab import Lab
    from ds01_jupyter.core.models import ContainerRequest
    from ds01_jupyter.core.settings import Settings

    nvml = ctypes.CDLL(str(library)).fakenvml_calls
    nvml.restype = ctypes.c_ulong
    sent = 0
    send = requests.Session.send

    def counted(*arguments: Any, **options: Any) -> Any:
        nonlocal sent
        sent += 1
        return send(*arguments, **options)

    (folder / "limits.yaml").write_text(
        "defaults: {max_containers_per_user: null, max_mig_instances: null, memory: 32m}\n"
        "groups: {bench: {members: []}}\ndefault_group: bench\n"
    )
    person = Person("root", 0, 0, folder)
    lab = Lab(
        Settings(
            docker_host=docker_host,
            nvml_library=str(library),
            ledger=folder / "calls.sqlite",
            limits=folder / "limits.yaml",
            architecture="CUDA_ADA",
            reconcile_seconds=0.0,
        )
    )
    prefix = f"bench{os.getpid()}"
    made: list[str] = []

    def create(name: str, gpu: str, start: bool) -> None:
        request = ContainerRequest.model_validate(
            {
                "name": name,
                "framework": {"framework": "Pytorch", "version": "2.5.1"},
                "gpu": gpu,
                "start": start,
            }
        )
        operation = lab.create_container(person, request)
        for _ in lab.operation_events(person, operation.id):
            pass
        ended = lab.operation(person, operation.id)
        if ended.state != "succeeded":
            raise RuntimeError(str(ended.error))

    figures = []
    counts: dict[int, tuple[int, int]] = {}
    requests.Session.send = counted  # type: ignore[method-assign]
    try:
        for present in PRESENT:
            while len(made) < present:
                name = f"{prefix}-{len(made)}"
                create(name, "none", start=False)
                made.append(name)
            create(f"{prefix}-warm", "1g.5gb", start=True)
            lab.stop_container(person, f"{prefix}-warm")
            lab.remove_container(person, f"{prefix}-warm")
            before = (sent, int(nvml()))
            create(f"{prefix}-x", "1g.5gb", start=True)
            counts[present] = (sent - before[0], int(nvml()) - before[1])
            lab.stop_container(person, f"{prefix}-x")
            lab.remove_container(person, f"{prefix}-x")
    finally:
        requests.Session.send = send  # type: ignore[method-assign]
        client = docker.DockerClient(base_url=docker_host)
        for one in client.api.containers(all=True, filters={"name": prefix}):
            client.api.remove_container(one["Id"], force=True)
        for image in client.api.images():
            for tag in image["RepoTags"] or []:
                if f":{prefix}-" in tag:
                    client.api.remove_image(tag, force=True)
        client.close()
        lab.close()
    for index, what in enumerate(("Docker", "NVML")):
        first = counts[PRESENT[0]][index]
        note = ", ".join(f"{counts[n][index]} with {n}" for n in PRESENT) + " containers present"
        worst = max(counts[n][index] for n in PRESENT) / first
        figures.append(
            Figure(f"{what} calls of a create, most / with none", worst, 1.05, "x", note)
        )
    return figures


def figures() -> list[Figure]:
    """Rates and fairness with 1, 8 and 32 processes; calls with 0, 10 and 40 containers."""
    found: list[Figure] = []
    with tempfile.TemporaryDirectory(prefix="ds01-bench-", dir=REPOSITORY / ".rig") as name:
        folder = Path(name)
        library = build(RigPaths.default().root)
        machine = Machine(folder / "machine")
        machine.write_preset("dgx-mig")
        old = os.environ.get("FAKENVML_STATE")
        os.environ["FAKENVML_STATE"] = str(machine.path)
        try:
            found.append(_same_statements(library, folder))
            for count in PROCESSES:
                found += _compare(library, folder, count)
            machine.write_preset("lab", tag=f"{os.getpid():08x}")
            found += _calls(os.environ["DOCKER_HOST"], library, folder)
        finally:
            if old is not None:
                os.environ["FAKENVML_STATE"] = old
    return found


if __name__ == "__main__":
    from benchmarks.__main__ import rig
    from benchmarks.measure import table

    rig()
    print(table(figures()))
