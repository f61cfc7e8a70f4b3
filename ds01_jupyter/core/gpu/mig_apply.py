"""Carrying a plan out: slots are taken in the ledger first, then the driver is asked.

No claim can take a slot that is about to go, or a new one before everything is done (see
`maintenance`). When a step fails, what was there before is made again at the places where it was,
as far as the driver allows, and the error says what is there now. After a crash the slots come
free by themselves; instances that were left unfinished show in the next plan, which finishes or
removes them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ds01_jupyter.core import ledger_tables as tables
from ds01_jupyter.core.errors import Conflict, CoreError, DriverFailed
from ds01_jupyter.core.gpu.geometry import Placed
from ds01_jupyter.core.gpu.mig_driver import MigDriver, not_root
from ds01_jupyter.core.gpu.mig_obstacles import Obstacle, refuse_obstacles
from ds01_jupyter.core.gpu.mig_plan import GpuPlan, LayoutPlan
from ds01_jupyter.core.gpu.mig_state import GpuInstance, MigGpu, slot_of
from ds01_jupyter.core.identity import Person
from ds01_jupyter.core.ledger import LeaseRow, Ledger
from ds01_jupyter.core.maintenance import Maintenance

log = logging.getLogger(__name__)

Planner = Callable[[Sequence[LeaseRow]], LayoutPlan]
"""Reads the driver anew and plans, with these leases in the way."""
Report = Callable[[str, float], None]
"""Told the step that comes next and the part that is done (0 to 1); may raise to stop it."""


@dataclass(frozen=True)
class Outcome:
    """What was done: GPU index and the words for its instances before and after."""

    changed: tuple[tuple[int, tuple[str, ...], tuple[str, ...]], ...]


class MigApplier:
    """Changes the layouts of one host."""

    def __init__(
        self,
        ledger: Ledger,
        driver: MigDriver,
        host: str,
        *,
        trace: Callable[[str], None] = lambda name: None,
    ) -> None:
        """`trace` is told the name of every step before and after it (tests kill there)."""
        self._ledger = ledger
        self._driver = driver
        self._host = host
        self._maintenance = Maintenance(host)
        self._trace = trace

    def check(self, plan: LayoutPlan) -> None:
        """Refuse a plan that cannot be carried out now: `Forbidden` or `Conflict`."""
        if plan.matches:
            return
        if not all(each.gpu.exact for each in plan.changes):
            raise not_root()
        problems = [each for each in plan.changes if each.problem]
        if problems:
            first = problems[0]
            raise Conflict(
                f"GPU {first.gpu.index} cannot become as {plan.label} says: {first.problem}",
                hint=first.advice or "Correct the layout, or leave this GPU out of it.",
                problems=[f"GPU {each.gpu.index}: {each.problem}" for each in problems],
            )
        refuse_obstacles([item for each in plan.changes for item in each.obstacles])

    def apply(self, person: Person, planner: Planner, report: Report) -> Outcome:
        """Bring the machine to what `planner` plans; nothing is touched unless all can be done.

        Raises what `check` raises, and `Conflict`, `Forbidden`, `DriverUnavailable` or
        `DriverFailed` of the step that failed, with `state` (what is there now) and `restored`
        (whether that is what was there before) in its details.
        """
        self._clear_dead()
        plan = planner(self.leases())
        self.check(plan)
        if plan.matches:
            return Outcome(())
        claim = self._hold(person, plan)
        try:
            return self._carry_out(person, planner, plan, claim, report)
        finally:
            self._let_go(claim)

    # ---- holding the slots -----------------------------------------------------------------------

    def _hold(self, person: Person, plan: LayoutPlan) -> str:
        going = [
            slot_of(each.gpu, item, device)
            for each in plan.changes
            for item in each.destroy
            for device in item.devices
        ]
        whole = {each.gpu.uuid for each in plan.changes}
        self._trace("hold")
        with self._ledger.writing() as connection:
            self._maintenance.release_dead(connection)
            uuids = {slot.uuid for slot in going} | whole
            taken = [
                lease
                for lease in tables.live_leases(connection, host=self._host)
                if lease.slot_uuid in uuids
            ]
            refuse_obstacles(
                [
                    Obstacle("lease", each.slot, each.profile, each.name, each.owner, each.state)
                    for each in taken
                ]
            )
            claim = self._maintenance.begin(connection, person, going)
        self._trace("held")
        return claim

    def _let_go(self, claim: str) -> None:
        self._trace("release")
        try:
            with self._ledger.writing() as connection:
                self._maintenance.end(connection, claim)
        except CoreError:
            # The slots stay taken until the ledger can be written again, never given by mistake.
            log.exception("releasing the slots of a MIG change")
            self._maintenance.forget(claim)
        self._trace("released")

    def _clear_dead(self) -> None:
        """Give back what a change held that died, even where nothing is left to be done."""
        with self._ledger.reading() as connection:
            found = tables.container_by_name(connection, self._maintenance.full_name)
        if found is not None:
            with self._ledger.writing() as connection:
                self._maintenance.release_dead(connection)

    def leases(self) -> list[LeaseRow]:
        """The live leases of containers; those of changes are no obstacle to a change."""
        with self._ledger.reading() as connection:
            leases = tables.live_leases(connection, host=self._host)
        return [lease for lease in leases if lease.full_name != self._maintenance.full_name]

    # ---- the change ------------------------------------------------------------------------------

    def _carry_out(
        self, person: Person, planner: Planner, plan: LayoutPlan, claim: str, report: Report
    ) -> Outcome:
        # Only now nobody can take the slots any more: what is so now, stays so.
        if _moves(again := planner(self.leases())) != _moves(plan):
            self.check(again)
            raise Conflict(
                "The MIG instances were changed by somebody else while this was being prepared.",
                hint="Look at the plan again (ds01 mig plan).",
            )
        self.check(again)
        work = _Work(self._ledger, self._driver, self._maintenance, claim, self._trace)
        total = sum(
            len(each.destroy) + 2 * len(each.create) + len(each.finish) for each in again.changes
        )
        done = 0

        def step(text: str) -> None:
            nonlocal done
            report(text, done / max(total, 1))
            done += 1

        touched: list[GpuPlan] = []
        try:
            for each in again.changes:
                touched.append(each)
                work.forward(each, step)
            after = [self._driver.read_gpu(each.gpu.index) for each in again.changes]
            _check_reached(again, after)
        except BaseException as error:
            self._undo(person, work, touched, error)
            raise
        changed = tuple(
            (each.gpu.index, each.gpu.contents, now.contents)
            for each, now in zip(again.changes, after, strict=True)
        )
        details = {str(index): {"before": before, "after": now} for index, before, now in changed}
        self._record(person, "done", {"label": plan.label, "gpus": details})
        return Outcome(changed)

    def _undo(
        self, person: Person, work: _Work, touched: Sequence[GpuPlan], error: BaseException
    ) -> None:
        """Take back what was done, and say in the error what is there now."""
        state: list[str] = []
        restored = True
        for each in reversed(touched):
            problem = work.back(each)
            now = self._read(each.gpu.index)
            same = now is not None and _layout(now) == _layout(each.gpu)
            restored = restored and same
            words = "not known" if now is None else ", ".join(now.contents) or "no instance"
            state.append(f"GPU {each.gpu.index}: {words}" + (f" ({problem})" if problem else ""))
        state.reverse()
        details = {"state": state, "restored": restored}
        self._record(person, "failed", {**details, "error": str(error)})
        if not isinstance(error, CoreError):
            return
        error.details.update(details)
        said = (
            "Everything is as it was before."
            if restored
            else "Not everything could be put back: `state` says what is there, and can be used."
        )
        error.hint = f"{said} {error.hint}".strip()

    def _read(self, index: int) -> MigGpu | None:
        try:
            return self._driver.read_gpu(index)
        except CoreError:
            return None

    def _record(self, person: Person, outcome: str, details: dict[str, object]) -> None:
        try:
            self._ledger.record(person.name, person.name, "mig.apply", self._host, outcome, details)
        except CoreError:
            log.exception("the history of a MIG change could not be written")


class _Work:
    """The steps on one machine under one claim."""

    def __init__(
        self,
        ledger: Ledger,
        driver: MigDriver,
        maintenance: Maintenance,
        claim: str,
        trace: Callable[[str], None],
    ) -> None:
        self._ledger = ledger
        self._driver = driver
        self._maintenance = maintenance
        self._claim = claim
        self._trace = trace

    def forward(self, plan: GpuPlan, step: Callable[[str], None]) -> None:
        gpu = plan.gpu
        for item in plan.destroy:
            step(f"GPU {gpu.index}: destroy {item}")
            self._destroy(gpu, item)
        made = list(plan.finish)
        for profile, start in plan.create:
            assert start is not None
            step(f"GPU {gpu.index}: make {profile} at {start}")
            made.append(self._create(gpu, Placed(profile, start)))
        # Devices come last: an instance without one cannot be seen nor claimed by anybody.
        for item in made:
            step(f"GPU {gpu.index}: device of {item.profile} at {item.start}")
            self._device(gpu, item)

    def back(self, plan: GpuPlan) -> str:
        """Make a GPU what it was before; returns why it is not, or nothing."""
        try:
            now = self._driver.read_gpu(plan.gpu.index)
            if now.problem or not now.exact:
                return now.problem or not_root().message
            before = {item.placed: item for item in plan.gpu.instances}
            for item in now.instances:
                was = before.get(item.placed)
                if was is None:
                    self._take(now, item)
                    self._destroy(now, item)
                elif not was.devices and item.devices:
                    self._take(now, item)
                    self._trace("undo-device")
                    self._driver.destroy_devices(now, item)
            left = {item.placed: item for item in self._driver.read_gpu(now.index).instances}
            for placed, was in before.items():
                item = left.get(placed) or self._create(now, placed)
                for device in was.devices[len(item.devices) :]:
                    self._device(now, item, device.slices)
        except CoreError as error:
            return error.message
        return ""

    def _take(self, gpu: MigGpu, item: GpuInstance) -> None:
        with self._ledger.writing() as connection:
            slots = [slot_of(gpu, item, device) for device in item.devices]
            self._maintenance.add(connection, self._claim, slots)

    def _destroy(self, gpu: MigGpu, item: GpuInstance) -> None:
        if item.devices:
            self._trace("destroy-device")
            self._driver.destroy_devices(gpu, item)
        self._trace("destroy-instance")
        self._driver.destroy_instance(gpu, item)
        self._trace("destroyed")

    def _create(self, gpu: MigGpu, placed: Placed) -> GpuInstance:
        self._trace("create-instance")
        made = self._driver.create_instance(gpu, placed)
        self._trace("created-instance")
        return made

    def _device(self, gpu: MigGpu, item: GpuInstance, slices: int | None = None) -> None:
        # The ledger's lock is held from before the device can be seen until its lease is written.
        self._trace("create-device")
        with self._ledger.writing() as connection:
            slot = self._driver.create_device(gpu, item, slices)
            self._trace("created-device")
            self._maintenance.add(connection, self._claim, [slot])
        self._trace("leased-device")


def _moves(plan: LayoutPlan) -> list[tuple[object, ...]]:
    """What a plan would do, to compare two of them."""
    return [
        (each.gpu.uuid, _ids(each.destroy), _ids(each.finish), each.create) for each in plan.changes
    ]


def _ids(items: Sequence[GpuInstance]) -> list[tuple[object, ...]]:
    return [
        (item.gi, item.profile, item.start, [each.uuid for each in item.devices]) for item in items
    ]


def _layout(gpu: MigGpu) -> list[tuple[str, int, tuple[str, ...]]]:
    """Places and devices, whatever their ids and UUIDs are now."""
    return sorted(
        (item.profile, item.start or 0, tuple(device.profile for device in item.devices))
        for item in gpu.instances
    )


def _check_reached(plan: LayoutPlan, after: Sequence[MigGpu]) -> None:
    for each, now in zip(plan.changes, after, strict=True):
        there = {item.placed for item in now.instances if item.whole}
        if now.problem or there != each.target or len(there) != len(now.instances):
            raise DriverFailed(
                f"GPU {each.gpu.index} is not as it was made: {', '.join(now.contents)}.",
                hint="Somebody else may be changing it; ds01 mig plan shows the difference.",
                gpu=each.gpu.index,
            )
