"""The queue in the allocator against a model: whatever people do, in whatever order, nothing is
given twice, no quota is exceeded, and nobody loses a slot to one who stands behind."""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from ds01_jupyter.core.allocator import free_slots
from ds01_jupyter.core.clock import Moment
from ds01_jupyter.core.errors import LimitReached, NoFreeSlot
from ds01_jupyter.core.gpu.quota import equivalents, exact
from ds01_jupyter.core.ledger_rows import LeaseRow
from ds01_jupyter.core.waiting import tables
from ds01_jupyter.core.waiting.assign import Scene, Waiter, assign
from ds01_jupyter.core.waiting.tables import Entry
from tests.rig.nvml import Machine, gpus
from tests.unit.waiting_desk import HOST, WaitingDesk
from tests.unit.waiting_kit import limits

LIBRARY = ""
LONG = os.environ.get("DS01_LONG") == "1"
"""Look for new histories, and for long; else the same ones are tried every time."""
PEOPLE = {
    1: limits(hours=4),
    2: limits(hours=1, priority=80, max_gpu_equivalents=3 / 7),
    3: limits(priority=20, max_mig_instances=3),
    4: limits(hours=30, priority=100, max_containers=2),
}
WISHES = ("any", "1g.5gb", "1g.5gb", "2g.10gb", "0:1", "0:2", ">=9GB")


@dataclass(frozen=True)
class Line:
    """The queue just before a claim by `uid`: all `waiters` in order, and those places before the
    one that claims that could be `served` at that moment."""

    uid: int
    now: Moment
    scene: Scene
    waiters: Sequence[Waiter]
    served: Sequence[Entry]


class QueueMachine(RuleBasedStateMachine):
    """People join, claim directly, give back and wait, in any order."""

    claims = Bundle("claims")
    places = Bundle("places")

    @initialize()
    def begin(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.desk = WaitingDesk(Path(self.folder.name) / "ledger.sqlite", LIBRARY)
        self.desk.limits |= PEOPLE

    def teardown(self) -> None:
        if hasattr(self, "desk"):
            self.desk.close()
            self.folder.cleanup()

    # ---- what people do ------------------------------------------------------------------------

    @rule(
        target=places,
        uid=st.sampled_from([1, 2, 3, 4]),
        gpu=st.sampled_from(WISHES),
        n=st.integers(1, 3),
    )
    def join(self, uid: int, gpu: str, n: int) -> int:
        return self.desk.join(uid, gpu, 1 if ":" in gpu else n)

    @rule(
        target=claims,
        uid=st.sampled_from([1, 2, 3, 4]),
        gpu=st.sampled_from(WISHES),
        n=st.integers(1, 3),
    )
    def claim(self, uid: int, gpu: str, n: int) -> Any:
        line = self._line(uid)
        try:
            claim = self.desk.claim(uid, gpu, 1 if ":" in gpu else n)
        except (NoFreeSlot, LimitReached):
            return multiple()
        self._nobody_lost(line)
        return claim.claim_id

    @rule(target=claims, number=places)
    def serve(self, number: int) -> Any:
        if self.desk.state(number) != "waiting":
            return multiple()
        line = self._line(number=number)
        try:
            claim = self.desk.serve(number)
        except (NoFreeSlot, LimitReached):
            assert self.desk.state(number) == "waiting"
            return multiple()
        self._nobody_lost(line)
        assert line.uid not in {entry.uid for entry in line.served}, "one's own place comes first"
        assert self.desk.state(number) == "starting"
        return claim.claim_id

    @rule(claim=consumes(claims))
    def give_back(self, claim: str) -> None:
        self.desk.allocator.release(claim)

    @rule(number=places)
    def sleep(self, number: int) -> None:
        if self.desk.state(number) == "waiting":
            self.desk.sleep(number)

    @rule(hours=st.sampled_from([0.1, 3, 20]))
    def wait(self, hours: float) -> None:
        self.desk.wait(hours=hours)

    # ---- what must hold ------------------------------------------------------------------------

    def _line(self, uid: int = 0, number: int = 0) -> Line:
        """Who could be served now, seen before a claim of `uid`, or of the place `number`."""
        now = self.desk.clock.now()
        with self.desk.ledger.reading() as connection:
            entries = self.desk.stage.waiting(connection)
            ranking = self.desk.stage.ranking(connection, entries, now)
        order = ranking.order(entries)
        if number:
            place = [entry.id for entry in order].index(number)
            ahead, uid = order[:place], order[place].uid
        else:
            priority = PEOPLE[uid].values.priority
            ahead = ranking.ahead_of(ranking.points(uid, priority), entries)
        scene = self._scene(now)
        waiters = self.desk.stage.awake(order, now)
        could = assign(scene, waiters).given
        return Line(uid, now, scene, waiters, [entry for entry in ahead if could.get(entry.id)])

    def _scene(self, now: Moment) -> Scene:
        slots = self.desk.driver.inventory().slots
        free = free_slots(slots, self._leases(), ())
        with self.desk.ledger.reading() as connection:
            scene = self.desk.stage.scene(connection, slots, free, now)
            ends = scene.ends()
        return replace(scene, ends=lambda: ends)

    def _nobody_lost(self, line: Line) -> None:
        """Looks again at the same moment, in the same order, with the limits used up as before:
        only slots are gone. (What a claim does to somebody's points, and to what is left of the
        claimer's own limits, is a rule of the queue and takes no slot from anybody.)"""
        after = self._scene(line.now)
        after = replace(after, leases=line.scene.leases, containers=line.scene.containers)
        still = [one for one in line.waiters if self.desk.state(one.key) == "waiting"]
        could = assign(after, still).given
        lost = [entry.id for entry in line.served if not could.get(entry.id)]
        assert lost == [], "somebody was overtaken"

    def _leases(self) -> list[LeaseRow]:
        return self.desk.allocator.live()

    @invariant()
    def no_slot_twice(self) -> None:
        if hasattr(self, "desk"):
            assert (
                max(Counter(lease.slot_uuid for lease in self._leases()).values(), default=1) == 1
            )

    @invariant()
    def quotas_are_kept(self) -> None:
        if not hasattr(self, "desk"):
            return
        for uid, theirs in PEOPLE.items():
            mine = [lease for lease in self._leases() if lease.uid == uid]
            quota, most = theirs.values.max_gpu_equivalents, theirs.values.max_mig_instances
            assert quota is None or equivalents(lease.info for lease in mine) <= exact(quota)
            assert most is None or len(mine) <= most

    @invariant()
    def who_is_served_has_a_claim(self) -> None:
        if hasattr(self, "desk"):
            with self.desk.ledger.reading() as connection:
                served = [e for e in tables.active(connection, HOST) if e.state == "starting"]
            assert all(entry.claim_id and entry.operation for entry in served)


@pytest.fixture
def library(gpu_machine: Machine, simulated_nvml: Path) -> str:
    """A GPU in four instances 1g and one 2g, beside one in 2g and 1g."""
    with gpu_machine.edit() as lines:
        lines[:] = gpus(2, "a100-40", {0: [(19, 0), (19, 1), (14, 2)], 1: [(19, 0), (14, 2)]})
    return str(simulated_nvml)


def test_the_queue_keeps_its_promises(library: str) -> None:
    global LIBRARY
    LIBRARY = library
    run_state_machine_as_test(
        QueueMachine,
        settings=settings(
            max_examples=300 if LONG else 40,
            stateful_step_count=25,
            deadline=None,
            derandomize=not LONG,
        ),
    )
