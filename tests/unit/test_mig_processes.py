"""MIG changes that die in the middle, and changes that race with claims, in real processes."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from ds01_jupyter.core.gpu.geometry import Placed
from ds01_jupyter.core.reconcile import reconcile
from tests.rig.nvml import Machine
from tests.rig.paths import REPOSITORY
from tests.unit.mig_desk import MigDesk, text, whole

SEVEN = [Placed("1g.5gb", start) for start in range(7)]
MIXED = [Placed("2g.10gb", 0), Placed("1g.5gb", 2), Placed("1g.5gb", 3), Placed("3g.20gb", 4)]


def start(*words: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.unit.mig_process", *map(str, words)],
        cwd=REPOSITORY,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def end(process: subprocess.Popen[str]) -> Counter[str]:
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 0
    return Counter(json.loads(out))


def check(desk: MigDesk) -> None:
    """No slot twice, no lease on what is not there, no hold of a change that is over."""
    there = {slot.uuid: slot for slot in desk.nvml.inventory(fresh=True).slots}
    leases = desk.ledger.live_leases()
    assert len({lease.slot_uuid for lease in leases}) == len(leases)
    for lease in leases:
        slot = there[lease.slot_uuid]
        assert (slot.profile, slot.gi, slot.ci) == (lease.profile, lease.info.gi, lease.info.ci)
    assert {lease.claim_id for lease in leases} <= {
        row.claim_id for row in desk.ledger.containers()
    }


@pytest.mark.parametrize("uuids", ["stable", "fresh"])
@pytest.mark.parametrize("repaired_by", ["the reconciler", "the next change"])
def test_killed_at_every_step_the_next_one_puts_it_right(
    gpu_machine: Machine, simulated_nvml: Path, tmp_path: Path, uuids: str, repaired_by: str
) -> None:
    goal = text({"1g.5gb": 3, "1g.10gb": 1}, {"1g.5gb": 3, "2g.10gb": 1})
    # Counted once with nobody dying, so that every step is died at.
    whole(gpu_machine, MIXED, SEVEN, uuids=uuids)
    desk = MigDesk(simulated_nvml, tmp_path / "count.sqlite")
    desk.lease("1:0")
    desk.apply(goal)
    steps = list(desk.steps)
    desk.close()
    assert len(steps) > 20
    assert {"held", "destroyed", "created-instance", "created-device", "leased-device"} <= {*steps}
    # Each way of repair takes every other step, and the two policies the ones between.
    offset = (uuids == "fresh") ^ (repaired_by == "the next change")
    for number in range(1 + offset, len(steps) + 1, 2):
        whole(gpu_machine, MIXED, SEVEN, uuids=uuids)
        path = tmp_path / f"{number}.sqlite"
        desk = MigDesk(simulated_nvml, path)
        mine = desk.lease("1:0")
        process = start("die", simulated_nvml, path, goal, number)
        process.communicate(timeout=60)
        assert process.returncode == -signal.SIGKILL, steps[number - 1]
        held = [lease for lease in desk.ledger.live_leases() if lease.uid == -1]
        assert bool(held) == (1 < number < len(steps)), steps[number - 1]
        if repaired_by == "the reconciler":
            reconcile(desk.ledger, list, settle=0.0)
            check(desk)
            assert len(desk.ledger.live_leases()) == 1
        desk.apply(goal)
        check(desk)
        (lease,) = desk.ledger.live_leases()
        assert lease.slot_uuid == mine
        assert desk.gpu(0).counts == {"1g.5gb": 3, "1g.10gb": 1}
        assert desk.gpu(1).counts == {"1g.5gb": 3, "2g.10gb": 1}
        assert all(item.whole for index in (0, 1) for item in desk.gpu(index).instances)
        desk.close()


@pytest.mark.parametrize("uuids", ["stable", "fresh"])
def test_b1_claims_that_race_with_changes_never_get_what_is_destroyed(
    gpu_machine: Machine, simulated_nvml: Path, tmp_path: Path, uuids: str
) -> None:
    """Four processes claim, two change the layout all the time."""
    whole(gpu_machine, MIXED, SEVEN, uuids=uuids)
    path = tmp_path / "ledger.sqlite"
    layouts = [
        text({"3g.20gb": 2}, {"1g.5gb": 7}),
        text({"2g.10gb": 3}, {"1g.5gb": 3, "2g.10gb": 1}),
        text({"1g.5gb": 7}, {"3g.20gb": 1}),
    ]
    changing = [start("apply", simulated_nvml, path, *layouts) for _ in range(2)]
    claiming = [start("claim", simulated_nvml, path, number, 60) for number in range(4)]
    claimed = sum((end(process) for process in claiming), Counter())
    changed = sum((end(process) for process in changing), Counter())
    assert claimed["gone"] == 0
    assert claimed["there"] == 2 * claimed["claimed"] > 0
    assert claimed.total() - claimed["there"] == 4 * 60
    assert changed["applied"] > 0
    assert set(changed) <= {"applied", "same", "in use", "overtaken"}
    desk = MigDesk(simulated_nvml, path)
    check(desk)
    assert desk.ledger.live_leases() == []
    assert desk.ledger.containers() == []
    desk.close()
