"""What people do with slots and in the queue: the rules of `test_ledger_model`."""

from __future__ import annotations

import shutil
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
)

from ds01_jupyter.core.allocator import Allocator, Turn
from ds01_jupyter.core.engine import ContainerSummary
from ds01_jupyter.core.errors import Conflict, CoreError
from ds01_jupyter.core.gpu.request import GpuRequest
from ds01_jupyter.core.labels import CLAIM
from ds01_jupyter.core.ledger import Ledger
from ds01_jupyter.core.waiting import tables as waiting
from ds01_jupyter.core.waiting.fence import QueueFence
from ds01_jupyter.core.waiting.scene import Stage
from tests.unit.ledger_model import Held, Model, Place
from tests.unit.ledger_world import (
    FOR_ONE,
    LIMITS,
    PEOPLE,
    WAITED_FOR,
    WISHES,
    Driver,
    PastClock,
    nobody_knows,
)

HOST, DESKS, PLACES = "here", 3, 4
NOBODY_PID = 2**22 + 1
"""More than any process has."""

WISH = st.tuples(st.sampled_from(sorted(LIMITS)), st.sampled_from(WISHES), st.integers(1, 3))
WAIT = st.tuples(st.sampled_from(sorted(LIMITS)), st.sampled_from(WAITED_FOR))


class PeopleRules(RuleBasedStateMachine):
    """`test_ledger_model` adds what goes wrong, and what must hold always."""

    @initialize(
        wishes=st.lists(WISH, min_size=2, max_size=8), waits=st.lists(WAIT, max_size=PLACES)
    )
    def begin(self, wishes: list[tuple[int, str, int]], waits: list[tuple[int, str]]) -> None:
        # In memory where there is some: it is not the disk that is tried.
        memory = Path("/dev/shm")
        self.folder = Path(tempfile.mkdtemp(dir=memory if memory.is_dir() else None))
        self.driver, self.clock = Driver(), PastClock()
        self.model = Model(LIMITS, list(self.driver.inventory().slots))
        self.summaries: dict[str, ContainerSummary] = {}
        self.numbers = 0
        self.lines = 0
        self.desks = [self._desk() for _ in range(DESKS)]
        self.create(0, wishes)
        self.join(1, waits)

    def teardown(self) -> None:
        if hasattr(self, "folder"):
            for ledger, _ in self.desks:
                ledger.close()
            shutil.rmtree(self.folder)

    def _desk(self) -> tuple[Ledger, Allocator]:
        ledger = Ledger(self.folder / "ledger.sqlite")
        stage = Stage(HOST, nobody_knows)
        fences = [QueueFence(stage, self.clock)]
        return ledger, Allocator(ledger, self.driver, HOST, fences=fences)  # type: ignore[arg-type]

    def _next(self) -> int:
        self.numbers += 1
        return self.numbers

    # ---- claims --------------------------------------------------------------------------------

    @rule(desk=st.integers(0, DESKS - 1), wishes=st.lists(WISH, min_size=1, max_size=4))
    def claim(self, desk: int, wishes: list[tuple[int, str, int]]) -> None:
        for uid, gpu, count in wishes:
            request = GpuRequest.parse(gpu, 1 if gpu in FOR_ONE else count)
            self._claim(desk, uid, f"box{self._next()}", request)

    @rule(desk=st.integers(0, DESKS - 1), choice=st.integers(0, 99), gpu=st.sampled_from(WISHES))
    def claim_a_name_again(self, desk: int, choice: int, gpu: str) -> None:
        claim = self._pick(choice)
        if claim is not None:
            name = claim.full_name.partition("._.")[0]
            self._claim(desk, claim.uid, name, GpuRequest.parse(gpu))

    @rule(desk=st.integers(0, DESKS - 1), wishes=st.lists(WISH, min_size=2, max_size=6))
    def create(self, desk: int, wishes: list[tuple[int, str, int]]) -> None:
        """Claims whose containers are made and started at once, as it mostly goes."""
        for uid, gpu, count in wishes:
            request = GpuRequest.parse(gpu, 1 if gpu in FOR_ONE else count)
            if self._claim(desk, uid, f"box{self._next()}", request):
                claim = list(self.model.claims.values())[-1]
                claim.docker = f"id{self._next()}"
                self._docker(claim, "running")
                self.activate(0, claim)

    def _claim(
        self, desk: int, uid: int, name: str, request: GpuRequest, place: int | None = None
    ) -> bool:
        full = f"{name}._.{uid}"
        expected = self.model.refusal(uid, full, request, place)
        allowed = self.model.choices(uid, request, place) if expected is None else []
        allocator = self.desks[desk][1]
        turn = None if place is None else Turn(place, self._taken(place))
        refused: CoreError | None
        try:
            claim = allocator.claim(
                PEOPLE[uid], name, request, LIMITS[uid], {}, {"image": "x"}, turn=turn
            )
        except CoreError as error:
            refused = error
        else:
            refused = None
        code = None if refused is None else refused.code
        assert code == expected, (code, expected, request, refused)
        if refused is not None:
            assert refused.hint
            return False
        if request.kind == "none":
            assert claim.slots == ()
        else:
            kinds = sorted(slot.profile for slot in claim.slots)
            assert kinds in [sorted(slot.profile for slot in one) for one in allowed]
            free = {slot.uuid for slot in self.model.free()}
            assert {slot.uuid for slot in claim.slots} <= free
        held = Held(claim.claim_id, full, uid, claim.slots, desk)
        self.model.claims[claim.claim_id] = held
        return True

    def _pick(self, choice: int, **wanted: Any) -> Held | None:
        found = [
            one
            for one in self.model.claims.values()
            if all(getattr(one, key) == value for key, value in wanted.items())
        ]
        return found[choice % len(found)] if found else None

    @rule(choice=st.integers(0, 99), finish=st.booleans())
    def make(self, choice: int, finish: bool) -> None:
        """Docker makes the container; the process may die before it can write that down."""
        claim = self._pick(choice, present=False, docker=None, alive=True)
        if claim is None:
            return
        claim.docker = f"id{self._next()}"
        self._docker(claim, "created")
        if finish:
            self.activate(choice, claim)

    def _docker(self, claim: Held, state: str) -> None:
        assert claim.docker is not None
        self.model.docker[claim.docker] = state
        self.summaries[claim.docker] = ContainerSummary(
            id=claim.docker,
            full_name=claim.full_name,
            image="x",
            image_id="x",
            labels={CLAIM: claim.claim_id},
            state=state,
            status="",
            created=datetime(2026, 1, 1, tzinfo=UTC),
        )

    @rule(choice=st.integers(0, 99))
    def activate(self, choice: int, claim: Held | None = None) -> None:
        made = [
            one
            for one in self.model.claims.values()
            if one.docker and not one.present and one.alive and one.docker in self.model.docker
        ]
        claim = claim or (made[choice % len(made)] if made else None)
        if claim is None:
            return
        assert claim.docker is not None
        self.desks[claim.desk][1].activate(claim.claim_id, claim.docker)
        claim.present, claim.state = True, "active"

    @rule(choice=st.integers(0, 99), desk=st.integers(0, DESKS - 1))
    def hold(self, choice: int, desk: int) -> None:
        claim = self._pick(choice, present=True)
        if claim is not None:
            if claim.docker in self.model.docker:
                self._docker(claim, "exited")
            self.desks[desk][1].hold(claim.claim_id)
            claim.state = "held"

    @rule(choice=st.integers(0, 99), desk=st.integers(0, DESKS - 1))
    def resume(self, choice: int, desk: int) -> None:
        claim = self._pick(choice, present=True)
        if claim is None:
            return
        here = {slot.uuid for slot in self.model.slots}
        plain = {slot.gpu_uuid for slot in self.model.slots if slot.kind != "mig"}
        lost = any(
            slot.uuid not in here and (slot.kind == "mig" or slot.gpu_uuid not in plain)
            for slot in claim.slots
        )
        cordoned = any(slot.gpu_uuid in self.model.cordoned for slot in claim.slots)
        try:
            slots = self.driver.inventory().slots
            self.desks[desk][1].resume(claim.claim_id, slots, {})
        except Conflict:
            refused = True
        else:
            refused = False
        assert refused == (lost or cordoned)
        if refused:
            return
        claim.state = "active"
        if claim.docker in self.model.docker:
            self._docker(claim, "running")

    @rule(choice=st.integers(0, 99), desk=st.integers(0, DESKS - 1), serve=st.booleans())
    def release(self, choice: int, desk: int, serve: bool) -> None:
        claim = self._pick(choice)
        if claim is None:
            return
        self.model.docker.pop(claim.docker or "", None)
        self.desks[desk][1].release(claim.claim_id)
        self.desks[desk][1].release(claim.claim_id)  # twice is fine
        del self.model.claims[claim.claim_id]
        if serve:
            self.dispatch()

    # ---- the queue -----------------------------------------------------------------------------

    @precondition(lambda self: len(self.model.queue) < PLACES)
    @rule(desk=st.integers(0, DESKS - 1), waits=st.lists(WAIT, min_size=1, max_size=3))
    def join(self, desk: int, waits: list[tuple[int, str]]) -> None:
        for uid, gpu in waits:
            name, priority = f"wait{self._next()}", LIMITS[uid].priority
            with self.desks[desk][0].writing() as connection:
                number = waiting.insert(
                    connection, host=HOST, uid=uid, owner=PEOPLE[uid].name, name=name, gpu=gpu,
                    gpus=1, request="{}", priority=priority, now=self.clock.now(),
                )  # fmt: skip
            request = GpuRequest.parse(gpu)
            place = Place(number, uid, request, priority, self.model.now, desk)
            self.model.queue[number] = place

    @precondition(lambda self: self.model.queue)
    @rule(choice=st.integers(0, 99), desk=st.integers(0, DESKS - 1))
    def leave(self, choice: int, desk: int) -> None:
        number = sorted(self.model.queue)[choice % len(self.model.queue)]
        with self.desks[desk][0].writing() as connection:
            assert waiting.end(connection, number, "cancelled", self.clock.now())
        del self.model.queue[number]

    @precondition(lambda self: self.model.queue)
    @rule(choice=st.integers(0, 99))
    def serve(self, choice: int) -> None:
        """A place tries its luck, wherever it stands; it gets what those before it leave."""
        self._serve(sorted(self.model.queue)[choice % len(self.model.queue)])

    @rule()
    def dispatch(self) -> None:
        """Everybody who waits tries in order."""
        for place in self.model.order():
            if place.awake:
                self._serve(place.number)

    def _taken(self, number: int) -> Any:
        def taken(connection: Any, claim_id: str) -> None:
            assert waiting.begin(connection, number, claim_id, "operation")
            now = self.clock.now()
            assert waiting.end(connection, number, "done", now, operation="operation")

        return taken

    def _serve(self, number: int) -> None:
        place = self.model.queue[number]
        if self._claim(place.desk, place.uid, f"served{number}", place.request, number):
            del self.model.queue[number]

    @rule(minutes=st.sampled_from([1, 60, 300]), desk=st.integers(0, DESKS - 1))
    def wait(self, minutes: int, desk: int) -> None:
        """Time passes. One desk takes up what was left, the others look after their own."""
        self.clock.passed += minutes * 60
        self.model.now = self.clock.passed
        with self.desks[desk][0].writing() as connection:
            for place in self.model.queue.values():
                if not place.awake:
                    place.desk, place.awake = desk, True
                waiting.attend(connection, place.number, self.clock.now())
