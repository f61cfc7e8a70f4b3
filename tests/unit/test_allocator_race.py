"""Many processes at once on one ledger: no slot twice, no limit exceeded."""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from ds01_jupyter.core.allocator import Allocator
from ds01_jupyter.core.errors import LimitReached, NoFreeSlot
from ds01_jupyter.core.gpu.nvml import NvmlDriver
from ds01_jupyter.core.gpu.request import GpuRequest
from ds01_jupyter.core.identity import Person
from ds01_jupyter.core.ledger import Ledger
from ds01_jupyter.core.models import LimitValues
from tests.rig.nvml import Machine, gpus
from tests.rig.paths import REPOSITORY


def _claim_all(
    library: str, path: str, number: int, tasks: list[Any], start: Any, out: Any
) -> None:
    """In a process of its own: claim for each (uid, name, gpu, max_containers)."""
    ledger, driver = Ledger(Path(path)), NvmlDriver(library)
    allocator = Allocator(ledger, driver, "here")
    answers = []
    start.wait()
    for uid, name, gpu, most in tasks:
        limits = LimitValues(
            group="g",
            priority=10,
            max_cpus=None,
            memory=None,
            memory_swap=None,
            shm_size=1,
            pids_limit=None,
            max_containers=most,
            max_mig_instances=None,
            cgroup_parent="x.slice",
        )
        person = Person(f"user{uid}", uid, uid, Path("/"))
        try:
            claim = allocator.claim(person, name, GpuRequest.parse(gpu), limits, {}, {})
            answers.append(claim.slots[0].slot if claim.slots else "cpu")
        except (NoFreeSlot, LimitReached) as error:
            answers.append(error.code)
    out.put((number, answers))
    ledger.close()
    driver.close()


def race(library: Path, path: Path, tasks: list[list[Any]]) -> list[str]:
    """All tasks, each list in a process of its own, all begun at the same moment."""
    sys.path.insert(0, str(REPOSITORY))  # for the children to find this module
    context = multiprocessing.get_context("spawn")
    start, out = context.Barrier(len(tasks)), context.Queue()
    workers = [
        context.Process(target=_claim_all, args=(str(library), str(path), i, task, start, out))
        for i, task in enumerate(tasks)
    ]
    for worker in workers:
        worker.start()
    answers = [out.get(timeout=60)[1] for _ in workers]
    for worker in workers:
        worker.join()
    out.close()
    sys.path.remove(str(REPOSITORY))
    return [answer for each in answers for answer in each]


@pytest.fixture
def seven(gpu_machine: Machine) -> Machine:
    """One GPU in seven instances."""
    with gpu_machine.edit() as lines:
        lines[:] = gpus(1, "a100-40", {0: [(19, start) for start in range(7)]})
    assert os.environ["FAKENVML_STATE"] == str(gpu_machine.path)
    return gpu_machine


def test_b1_eight_processes_race_for_seven_slots(
    seven: Machine, simulated_nvml: Path, tmp_path: Path
) -> None:
    path = tmp_path / "ledger.sqlite"
    tasks = [[(1000 + i, f"box{j}", "1g.5gb", None) for j in range(4)] for i in range(8)]
    answers = race(simulated_nvml, path, tasks)
    assert Counter(answers) == {
        **{f"0:{index}": 1 for index in range(7)},
        "no_free_slot": 25,
    }
    ledger = Ledger(path)
    leases = ledger.live_leases()
    assert len({lease.slot_uuid for lease in leases}) == len(leases) == 7
    assert len(ledger.containers()) == 7
    ledger.close()


def test_twenty_claims_of_one_person_at_once_keep_the_limit(
    seven: Machine, simulated_nvml: Path, tmp_path: Path
) -> None:
    path = tmp_path / "ledger.sqlite"
    tasks = [[(1000, f"box{i}-{j}", "none", 3) for j in range(5)] for i in range(4)]
    answers = race(simulated_nvml, path, tasks)
    assert Counter(answers) == {"cpu": 3, "limit_reached": 17}
    ledger = Ledger(path)
    assert len(ledger.containers()) == 3
    ledger.close()
