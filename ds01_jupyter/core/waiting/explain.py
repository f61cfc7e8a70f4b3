"""Why: whether slots could be had now, and if not, what stands in the way, until when, and what
could be had instead. Nothing is taken; what is said to be had was tried by the claim itself.
"""

from __future__ import annotations

from ds01_jupyter.core import ledger_tables
from ds01_jupyter.core.clock import Clock, Moment
from ds01_jupyter.core.containers import Containers
from ds01_jupyter.core.creating import Creating
from ds01_jupyter.core.errors import (
    CoreError,
    DriverUnavailable,
    EngineUnavailable,
    LimitReached,
    NoFreeSlot,
    NotFound,
)
from ds01_jupyter.core.gpu.request import GpuRequest
from ds01_jupyter.core.gpu.slots import WHOLE, SlotInfo
from ds01_jupyter.core.identity import Person
from ds01_jupyter.core.ledger import Ledger
from ds01_jupyter.core.ledger_rows import ContainerRow, LeaseRow
from ds01_jupyter.core.limits import PersonLimits
from ds01_jupyter.core.names import full_name
from ds01_jupyter.core.waiting import tables
from ds01_jupyter.core.waiting.assign import DIRECT, Waiter
from ds01_jupyter.core.waiting.documents import Alternative, Estimate, Explanation, Outcome
from ds01_jupyter.core.waiting.forecast import Forecast, unknown
from ds01_jupyter.core.waiting.limit_uses import limit_uses
from ds01_jupyter.core.waiting.machine import Machine, Sight
from ds01_jupyter.core.waiting.obstacles import obstacles
from ds01_jupyter.core.waiting.past import past
from ds01_jupyter.core.waiting.people import People

MOST_INSTEAD = 4
CPU_ONLY = "none"


class Explainer:
    """Explains to a person why something is as it is."""

    def __init__(
        self,
        ledger: Ledger,
        machine: Machine,
        forecast: Forecast,
        people: People,
        containers: Containers,
        creating: Creating,
        clock: Clock,
    ) -> None:
        self._ledger = ledger
        self._machine = machine
        self._stage = machine.stage
        self._forecast = forecast
        self._people = people
        self._containers = containers
        self._creating = creating
        self._clock = clock

    # ---- a request -----------------------------------------------------------------------------

    def why(self, person: Person, gpu: str, gpus: int) -> Explanation:
        """Whether `gpus` times `gpu` could be had now, and if not, everything about it.

        Without Docker or the driver it says that, and what is known without them. Raises
        `InvalidInput` for what is no request, and `LedgerUnavailable`.
        """
        self._people.meet(person)
        request = GpuRequest.parse(gpu, gpus)
        limits = self._creating.limits(person)
        now = self._clock.now()
        refusal: CoreError | None = None
        chosen: tuple[SlotInfo, ...] = ()
        try:
            chosen = self._machine.dry(person, request, limits, now)
        except (NoFreeSlot, LimitReached, NotFound, EngineUnavailable, DriverUnavailable) as error:
            refusal = error
        explanation = Explanation(
            gpu=gpu,
            gpus=gpus,
            outcome=_outcome(refusal),
            code="ok" if refusal is None else refusal.code,
            message=_granted(request, chosen) if refusal is None else refusal.message,
            hint="" if refusal is None else refusal.hint,
        )
        return self._complete(explanation, person, request, limits, now, refusal)

    def _complete(
        self,
        explanation: Explanation,
        person: Person,
        request: GpuRequest,
        limits: PersonLimits,
        now: Moment,
        refusal: CoreError | None,
    ) -> Explanation:
        """With limits, obstacles, the queue, the estimate and what could be had instead."""
        sight: Sight | None = None
        failure: CoreError | None = None
        try:
            sight = self._machine.look()
        except (EngineUnavailable, DriverUnavailable) as error:
            failure = error
        slots = () if sight is None else sight.slots
        with self._ledger.reading() as connection:
            mine = ledger_tables.containers(connection, person.uid)
            owned = ledger_tables.live_leases(connection, uid=person.uid)
            changes: dict[str, object] = {
                "limits": limit_uses(limits.values, request, mine, owned, slots)
            }
            if isinstance(refusal, NoFreeSlot):
                entries = self._stage.waiting(connection)
                ranking = self._stage.ranking(connection, entries, now)
                points = ranking.points(person.uid, limits.values.priority)
                ahead = ranking.ahead_of(points, entries)
                changes["ahead"] = sum(not entry.asleep(now) for entry in ahead)
                if sight is None:
                    assert failure is not None
                    changes["estimate"] = unknown(failure)
                else:
                    asker = Waiter(DIRECT, person.uid, person.name, request, limits)
                    before = [self._stage.waiter(entry) for entry in ahead]
                    waiters = [waiter for waiter in before if waiter is not None]
                    asleep = {entry.id for entry in ahead if entry.asleep(now)}
                    scene = self._machine.scene(connection, sight, now)
                    found = self._forecast.estimates(
                        connection, sight, [*waiters, asker], asleep, now
                    )
                    changes["estimate"] = found[DIRECT]
                    changes["obstacles"] = obstacles(
                        connection, self._stage, self._forecast, scene, sight, asker, now
                    )
            elif refusal is None:
                because = "it is free now"
                changes["estimate"] = Estimate(at=now.wall, certain=True, because=because)
        if refusal is not None:
            changes["instead"] = self._instead(person, request, limits, now, slots)
        return explanation.model_copy(update=changes)

    # ---- what else -----------------------------------------------------------------------------

    def _instead(
        self,
        person: Person,
        request: GpuRequest,
        limits: PersonLimits,
        now: Moment,
        slots: tuple[SlotInfo, ...],
    ) -> list[Alternative]:
        """What could be had now, each of it tried."""
        found: list[Alternative] = []
        for gpu, gpus in _candidates(request, slots):
            if len(found) == MOST_INSTEAD and gpu != CPU_ONLY:
                continue
            wish = GpuRequest.parse(gpu, gpus)
            try:
                chosen = self._machine.dry(person, wish, limits, now)
            except CoreError:
                continue
            number = f" --gpus {gpus}" if gpus > 1 else ""
            found.append(
                Alternative(
                    gpu=gpu,
                    gpus=gpus,
                    words=_words(wish, chosen),
                    command=f"ds01 container create NAME --image IMAGE --gpu {gpu}{number}",
                )
            )
        return found

    # ---- a container ---------------------------------------------------------------------------

    def why_container(self, person: Person, name: str) -> Explanation:
        """What became of a container of one's own: how it is, and what happened to it.

        Raises `NotFound` when nothing is known of such a container.
        """
        full = full_name(name.partition("._.")[0], person.uid)
        short = full.partition("._.")[0]
        with self._ledger.reading() as connection:
            row = ledger_tables.container_by_name(connection, full)
            leases = [] if row is None else ledger_tables.leases_of(connection, row.claim_id)
            places = tables.active(connection, self._stage.host)
            told = past(connection, person.uid, person.name, full, short)
        waits = next((e for e in places if e.uid == person.uid and e.name == short), None)
        if row is None and waits is None and not told:
            raise NotFound(
                f"Nothing is known of a container {short} of yours.",
                hint="`ds01 container list` shows those that you have.",
                name=short,
            )
        live = [lease for lease in leases if lease.state != "released"]
        if waits is not None and row is None:
            explanation = self.why(person, waits.gpu, waits.gpus)
            message = f"{short} waits in the queue for its GPU. {explanation.message}"
            return explanation.model_copy(update={"message": message, "past": told})
        outcome, code, message, hint = self._state(short, person, row, leases, live)
        kinds = {lease.profile for lease in leases}
        return Explanation(
            gpu=CPU_ONLY if not leases else kinds.pop() if len(kinds) == 1 else "any",
            gpus=max(1, len(leases)),
            outcome=outcome,
            code=code,
            message=message,
            hint=hint,
            past=told,
        )

    def _state(
        self,
        name: str,
        person: Person,
        row: ContainerRow | None,
        leases: list[LeaseRow],
        live: list[LeaseRow],
    ) -> tuple[Outcome, str, str, str]:
        """Outcome, code, message and hint of a container as it is now."""
        if row is None:
            again = "Create it again; what was in its workspace is still there."
            return "never", "not_found", f"There is no container {name} any more.", again
        if row.state == "pending":
            return "later", "conflict", f"{name} is just being made.", ""
        slots = ", ".join(f"{lease.slot} ({lease.profile})" for lease in live)
        try:
            state = self._containers.get(person, row.full_name).state
        except EngineUnavailable as error:
            had = f" It has the GPU slot {slots}." if slots else ""
            return "later", error.code, f"{error.message}{had}", error.hint
        if leases and not live:
            message = f"{name} is {state}, and its GPU slot was given back."
            return "never", "conflict", message, _MAKE_AGAIN
        on = f" on the GPU slot {slots}" if slots else " without a GPU"
        if state == "running":
            return "now", "ok", f"{name} runs{on}.", ""
        holds = f"; the GPU slot {slots} is held for it" if slots else ""
        start = f"`ds01 container start {name}` starts it."
        return "now", "ok", f"{name} is {state}{holds}.", start


_MAKE_AGAIN = "Remove it and create it again; its workspace stays."


def _outcome(refusal: CoreError | None) -> Outcome:
    if refusal is None:
        return "now"
    return "never" if isinstance(refusal, (LimitReached, NotFound)) else "later"


def _granted(request: GpuRequest, chosen: tuple[SlotInfo, ...]) -> str:
    if not chosen:
        return "You can have a container without a GPU now."
    names = ", ".join(f"{slot.slot} ({slot.profile})" for slot in chosen)
    return f"You can have {request} now: {names}."


def _words(wish: GpuRequest, chosen: tuple[SlotInfo, ...]) -> str:
    if wish.kind == "none":
        return "a container without a GPU (CPU only)"
    return f"{wish} (slot {', '.join(slot.slot for slot in chosen)})"


def _candidates(request: GpuRequest, slots: tuple[SlotInfo, ...]) -> list[tuple[str, int]]:
    """What to try instead: fewer of the same, then other kinds (smaller ones first, the largest
    of them before), then no GPU."""
    own = request.value if request.value is not None else request.kind
    found = [(own, count) for count in range(request.count - 1, 0, -1)]
    matching = [slot for slot in slots if request.matches(slot)]
    asked = min((slot.share for slot in matching), default=1.0)
    kinds = {
        (slot.share, slot.memory_total or 0, WHOLE if slot.kind == "gpu" else slot.profile)
        for slot in slots
    }
    smaller = sorted((kind for kind in kinds if kind[0] <= asked), reverse=True)
    larger = sorted(kind for kind in kinds if kind[0] > asked)
    for _, _, profile in (*smaller, *larger):
        if request.kind != "any" and profile != request.profile:
            found += [(profile, count) for count in {request.count or 1, 1}]
    return [*dict.fromkeys(found), (CPU_ONLY, 1)]
