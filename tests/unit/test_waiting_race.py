"""Several processes on one ledger serve the same queue, while others claim directly."""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from ds01_jupyter.core.errors import Conflict, NoFreeSlot
from ds01_jupyter.core.waiting import tables
from tests.rig.nvml import Machine, gpus
from tests.rig.paths import REPOSITORY
from tests.unit.waiting_desk import HOST, WaitingDesk

PLACES = 5
SLOTS = 7


def _serve(library: str, path: str, start: Any, out: Any) -> None:
    """In a process of its own: serve every place, whoever is quicker."""
    desk = WaitingDesk(Path(path), library)
    numbers = range(1, PLACES + 1)
    served: list[int] = []
    start.wait()
    for _ in range(20):
        for number in numbers:
            try:
                desk.serve(number)
            except (NoFreeSlot, Conflict):
                continue  # the name is taken: another one was quicker
            served.append(number)
    out.put(("served", served))
    desk.close()


def _claim(library: str, path: str, start: Any, out: Any) -> None:
    """In a process of its own: claim directly until nothing is left."""
    desk = WaitingDesk(Path(path), library)
    got = 0
    start.wait()
    for _ in range(20):
        try:
            desk.claim(100 + os.getpid())
        except NoFreeSlot:
            continue
        got += 1
    out.put(("claimed", [got]))
    desk.close()


def test_every_place_is_served_once_and_nobody_is_overtaken(
    gpu_machine: Machine, simulated_nvml: Path, tmp_path: Path
) -> None:
    with gpu_machine.edit() as lines:
        lines[:] = gpus(1, "a100-40", {0: [(19, start) for start in range(SLOTS)]})
    path = tmp_path / "ledger.sqlite"
    desk = WaitingDesk(path, str(simulated_nvml))
    assert [desk.join(10 + index) for index in range(PLACES)] == [*range(1, PLACES + 1)]
    sys.path.insert(0, str(REPOSITORY))  # for the children to find this module
    context = multiprocessing.get_context("spawn")
    works = [_serve, _serve, _serve, _claim, _claim]
    start, out = context.Barrier(len(works)), context.Queue()
    workers = [
        context.Process(target=work, args=(str(simulated_nvml), str(path), start, out))
        for work in works
    ]
    for worker in workers:
        worker.start()
    answers = [out.get(timeout=60) for _ in workers]
    for worker in workers:
        worker.join()
    out.close()
    sys.path.remove(str(REPOSITORY))
    served = Counter(number for kind, each in answers if kind == "served" for number in each)
    assert served == dict.fromkeys(range(1, PLACES + 1), 1)
    claimed = sum(each[0] for kind, each in answers if kind == "claimed")
    assert claimed == SLOTS - PLACES, "those who wait kept their five, whoever was quicker"
    leases = desk.ledger.live_leases()
    assert len({lease.slot_uuid for lease in leases}) == len(leases) == SLOTS
    with desk.ledger.reading() as connection:
        states = Counter(entry.state for entry in tables.active(connection, HOST))
    assert states == {"starting": PLACES}
    desk.close()
