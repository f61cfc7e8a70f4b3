"""Ledger and allocator against a model in plain Python, whatever happens in whatever order.

Several people with different limits claim, stop, start, remove and wait in the queue through
several processes' worth of ledgers on one file. Processes die between any two steps, containers
come and go behind our back, GPUs are cordoned and partitioned anew. After every step the ledger
holds what the model holds, nothing is given twice, and what was refused had to be.

`DS01_MODEL_EXAMPLES=2000 pytest tests/unit/test_ledger_model.py` is the long run.
"""

from __future__ import annotations

import os
from dataclasses import replace

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    invariant,
    rule,
    run_state_machine_as_test,
)

from ds01_jupyter.core import ledger_cordons
from ds01_jupyter.core.gpu.request import GpuRequest
from ds01_jupyter.core.ledger_cordons import KnownGpu
from ds01_jupyter.core.reconcile import reconcile
from tests.unit.ledger_machine import DESKS, HOST, NOBODY_PID, WISH, PeopleRules
from tests.unit.ledger_model import Model, Place, clash, total, twice
from tests.unit.ledger_world import (
    FOR_ONE,
    LAYOUTS,
    LIMITS,
    Driver,
)

EXAMPLES = int(os.environ.get("DS01_MODEL_EXAMPLES", "80"))
STEPS = int(os.environ.get("DS01_MODEL_STEPS", "40"))


class LedgerMachine(PeopleRules):
    """See the head of this file."""

    # ---- what goes wrong -----------------------------------------------------------------------

    @rule(desk=st.integers(0, DESKS - 1), wish=WISH, made=st.booleans())
    def crash(self, desk: int, wish: tuple[int, str, int], made: bool) -> None:
        """A process dies between the claim and what Docker made of it."""
        uid, gpu, count = wish
        request = GpuRequest.parse(gpu, 1 if gpu in FOR_ONE else count)
        if self._claim(desk, uid, f"box{self._next()}", request) and made:
            self.make(0, finish=False)
        self.die(desk)

    @rule(desk=st.integers(0, DESKS - 1))
    def die(self, desk: int) -> None:
        """The process of a desk is killed; another one begins in its place."""
        ledger, _ = self.desks[desk]
        with ledger.writing() as connection:
            for claim in self.model.claims.values():
                if claim.desk == desk and not claim.present:
                    claim.alive = False
                    connection.execute(
                        "UPDATE containers SET pid = ?, start_ticks = 1 WHERE claim_id = ?",
                        (NOBODY_PID, claim.claim_id),
                    )
            for place in self.model.queue.values():
                if place.desk == desk:
                    place.awake = False
                    connection.execute(
                        "UPDATE waiting SET pid = ?, start_ticks = 1 WHERE id = ?",
                        (NOBODY_PID, place.number),
                    )
        ledger.close()
        self.desks[desk] = self._desk()

    @rule(desk=st.integers(0, DESKS - 1))
    def reconcile(self, desk: int) -> None:
        present = [self.summaries[one] for one in self.model.docker]
        reconcile(self.desks[desk][0], lambda: present, settle=0)
        self.model.reconcile()

    @rule(choice=st.integers(0, 99), state=st.sampled_from(["exited", "running", "paused", "gone"]))
    def behind_our_back(self, choice: int, state: str) -> None:
        """Somebody works on a container with Docker alone."""
        claim = self._pick(choice, present=True)
        if claim is None or claim.docker not in self.model.docker:
            return
        if state == "gone":
            del self.model.docker[claim.docker]
        else:
            self._docker(claim, state)

    @rule(gpu=st.integers(0, 3), desk=st.integers(0, DESKS - 1))
    def cordon(self, gpu: int, desk: int) -> None:
        """A GPU is cordoned, or is well again."""
        uuid = f"GPU-{gpu}"
        with self.desks[desk][0].writing() as connection:
            if uuid not in self.model.cordoned:
                known = KnownGpu(uuid, gpu, "A100")
                ledger_cordons.insert_cordon(connection, HOST, known, "admin", "ill", "root")
                self.model.cordoned.add(uuid)
                return
            (row,) = [r for r in ledger_cordons.cordons(connection, HOST) if r.gpu_uuid == uuid]
            ledger_cordons.delete_cordon(connection, row.id)
            self.model.cordoned.remove(uuid)

    @rule(layout=st.sampled_from(LAYOUTS))
    def repartition(self, layout: tuple[int, ...]) -> None:
        """GPU 2 is divided anew, whoever has something on it: there are no new slots of the old
        kind, and the old ones do not come back."""
        self.driver.layout, self.driver.generation = layout, self.driver.generation + 1
        self.model.slots = list(self.driver.inventory().slots)

    # ---- what holds always ---------------------------------------------------------------------

    @invariant()
    def the_ledger_is_the_model(self) -> None:
        if not hasattr(self, "desks"):
            return
        ledger = self.desks[0][0]
        rows = {row.claim_id: row for row in ledger.containers()}
        assert {key: (row.full_name, row.uid, row.state) for key, row in rows.items()} == {
            key: (one.full_name, one.uid, "present" if one.present else "pending")
            for key, one in self.model.claims.items()
        }
        leases = ledger.live_leases()
        assert sorted((one.claim_id, one.slot_uuid, one.state) for one in leases) == sorted(
            (claim.claim_id, slot.uuid, claim.state)
            for claim in self.model.claims.values()
            for slot in claim.slots
        )
        assert {one.claim_id for one in leases} <= rows.keys(), "no lease without an owner"
        for claim_id, claim in self.model.claims.items():
            assert [one.info for one in ledger.leases_of(claim_id)] == list(claim.slots)

    @invariant()
    def nothing_is_given_twice(self) -> None:
        if not hasattr(self, "desks"):
            return
        leases = self.desks[1][0].live_leases(HOST)
        for number, one in enumerate(leases):
            for other in leases[:number]:
                assert not clash(one.info, other.info)
                assert one.claim_id != other.claim_id or not twice(one.info, other.info)

    @invariant()
    def quotas_are_kept(self) -> None:
        if not hasattr(self, "desks"):
            return
        ledger = self.desks[2][0]
        for uid, values in LIMITS.items():
            owned = [one.info for one in ledger.live_leases() if one.uid == uid]
            assert values.max_mig_instances is None or len(owned) <= values.max_mig_instances
            most = values.max_gpu_equivalents
            assert most is None or float(total(owned)) <= most + 1e-9
            assert values.allow_full_gpu or all(slot.kind != "gpu" for slot in owned)
            if values.max_containers is not None:
                assert len(ledger.containers_of(uid)) <= values.max_containers

    @invariant()
    def history_only_grows(self) -> None:
        if not hasattr(self, "desks"):
            return
        numbers = [line.id for line in self.desks[0][0].history(100_000)]
        assert numbers == list(range(len(numbers), 0, -1))
        assert len(numbers) >= self.lines
        self.lines = len(numbers)


def test_ledger_and_allocator_do_as_the_model() -> None:
    run_state_machine_as_test(
        LedgerMachine,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            derandomize=True,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_the_model_is_no_copy() -> None:
    """What the model says in cases that a person can reckon."""
    model = Model(LIMITS, list(Driver().inventory().slots))
    ask = GpuRequest.parse
    assert model.refusal(1004, "a._.1004", ask("any", 3)) is None
    assert model.refusal(1003, "a._.1003", ask("whole")) == "limit_reached"
    assert model.refusal(1003, "a._.1003", ask("any", 3)) == "limit_reached"
    assert model.refusal(1002, "a._.1002", ask("whole", 2)) == "limit_reached"
    assert model.refusal(1004, "a._.1004", ask("7g.40gb")) == "not_found"
    assert model.refusal(1004, "a._.1004", ask("shared", 2)) == "no_free_slot"
    model.queue[1] = Place(1, 1001, ask("2g.10gb"), 50, 0.0, 0)
    assert model.refusal(1004, "a._.1004", ask("2g.10gb")) == "no_free_slot"
    assert model.refusal(1003, "a._.1003", ask("2g.10gb")) is None, "of a higher priority"
    model.queue[1] = replace(model.queue[1], awake=False)
    assert model.refusal(1004, "a._.1004", ask("2g.10gb")) is None
