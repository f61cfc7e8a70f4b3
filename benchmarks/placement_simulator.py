"""A server with MIG GPUs, as discrete events: requests come, take an instance, and leave.

Two models: `loss` (what does not fit now is refused and gone) and `queue` (it waits; first come,
first served, and later ones may overtake where they fit: backfill without reservations).

Every policy sees the same requests (common random numbers), and none knows how long one will
stay. A policy is asked for one request at a time and may not refuse what fits, nor move anything.
Time is in units of the mean duration.
"""

from __future__ import annotations

import heapq
import random
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache

from ds01_jupyter.core.gpu.fragmentation import Valuation, demand_from_history, valuation
from ds01_jupyter.core.gpu.geometry import SEVEN_SLICES, GpuState

GEOMETRY = SEVEN_SLICES
NAMES = tuple(profile.name for profile in GEOMETRY.profiles)
COMPUTE = tuple(profile.compute_slices for profile in GEOMETRY.profiles)
SPANS = tuple(
    tuple((start, profile.mask(start)) for start in profile.starts) for profile in GEOMETRY.profiles
)
"""By profile: each place that it may have, as (start, mask)."""
MASKS = range(GEOMETRY.full + 1)

MIXES = {
    "uniform": (0.20, 0.20, 0.20, 0.20, 0.20),
    "small": (0.50, 0.25, 0.12, 0.08, 0.05),
    "big": (0.05, 0.10, 0.15, 0.20, 0.50),
    "bimodal": (0.40, 0.07, 0.06, 0.07, 0.40),
}
"""Probability of 1g, 2g, 3g, 4g, 7g per request."""

SIGMA = 1.0
"""Of the logarithm of durations: the longest of a hundred is 10 times the median."""
WARM = 0.1
"""The first part of the requests, which fills the machine and is not counted."""

Choice = tuple[int, int]
"""GPU, and the mask of the instance that is taken there."""


@dataclass(frozen=True)
class Job:
    """One request: when, for which profile (an index of `NAMES`), for how long."""

    arrival: float
    profile: int
    duration: float


@cache
def requests(seed: int, mix: str, gpus: int, load: float, number: int) -> tuple[Job, ...]:
    """The requests of one run. `load` is the compute asked for per time over what there is.

    For one seed the sequence is the same for all loads and machine sizes but for the times.
    """
    source = random.Random(f"{seed} {mix}")
    weights = MIXES[mix]
    size = sum(weight * compute for weight, compute in zip(weights, COMPUTE, strict=True))
    rate = load * gpus * GEOMETRY.compute_slices / size
    moment = 0.0
    jobs = []
    for _ in range(number):
        moment += source.expovariate(1.0) / rate
        profile = source.choices(range(len(NAMES)), weights)[0]
        jobs.append(Job(moment, profile, source.lognormvariate(-SIGMA * SIGMA / 2, SIGMA)))
    return tuple(jobs)


# ---- policies ----------------------------------------------------------------------------------


class Policy:
    """Chooses among the places where a request fits; `masks` are the taken slices per GPU."""

    def asked(self, profile: int) -> None:
        """A request has come (once for each, before it is placed)."""

    def choose(self, masks: Sequence[int], profile: int) -> Choice | None:
        """Where; None only where it fits nowhere."""
        raise NotImplementedError


class TablePolicy(Policy):
    """The lowest `cost(profile, mask before, mask after)`; equal costs go to the fuller GPU
    (unless `packs` is off), then the first GPU, then the lowest start (`high`: the highest for
    these profiles)."""

    def __init__(
        self,
        cost: Callable[[int, int, int], float],
        *,
        packs: bool = True,
        high: Sequence[int] = (),
    ) -> None:
        self._best: list[list[tuple[float, int, int] | None]] = []
        for profile, spans in enumerate(SPANS):
            ordered = tuple(reversed(spans)) if profile in high else spans
            row: list[tuple[float, int, int] | None] = []
            for mask in MASKS:
                free = [span for _, span in ordered if not mask & span]
                fuller = -mask.bit_count() if packs else 0
                ranked = [(round(cost(profile, mask, mask | at), 9), fuller, at) for at in free]
                row.append(min(ranked, key=lambda item: item[0], default=None))
            self._best.append(row)

    def choose(self, masks: Sequence[int], profile: int) -> Choice | None:
        """One look into the table per GPU."""
        row = self._best[profile]
        found = None
        for gpu, mask in enumerate(masks):
            best = row[mask]
            if best is not None and (found is None or best[:2] < found[0]):
                found = best[:2], gpu, best[2]
        return None if found is None else found[1:]


class RandomPolicy(Policy):
    """Any place, each alike."""

    def __init__(self, seed: int) -> None:
        self._source = random.Random(f"policy {seed}")

    def choose(self, masks: Sequence[int], profile: int) -> Choice | None:
        """All GPUs and starts together are drawn from."""
        places = [
            (gpu, span)
            for gpu, mask in enumerate(masks)
            for _, span in SPANS[profile]
            if not mask & span
        ]
        return self._source.choice(places) if places else None


class FixedPolicy(Policy):
    """Every GPU is cut once, as mig-parted's "all-balanced": 3g, 2g and two 1g. A request gets an
    instance of its profile, else the smallest larger one; 4g and 7g never fit."""

    LAYOUT = ((1, 1, 0b00000100), (1, 1, 0b00001000), (2, 2, 0b00000011), (3, 4, 0b11110000))
    """Compute slices, memory slices and mask, smallest first."""

    def choose(self, masks: Sequence[int], profile: int) -> Choice | None:
        """The first free instance of the smallest size that is enough."""
        for compute, _, span in self.LAYOUT:
            if compute >= COMPUTE[profile]:
                for gpu, mask in enumerate(masks):
                    if not mask & span:
                        return gpu, span
        return None


class OurPolicy(Policy):
    """`core.gpu.fragmentation.choose_placement` on masks, for speed: the same worth of room, the
    same order among equals (a test holds them together). It does not know the mix: it learns it
    from the requests that it has seen, as the server does."""

    RELEARN = 50
    """Requests between two looks at the history."""

    def __init__(self, gpus: int) -> None:
        self._fleet = [GpuState(str(gpu), GEOMETRY) for gpu in range(gpus)]
        self._seen = [0] * len(NAMES)
        self._worth = self._learn()

    def _learn(self) -> Valuation:
        history = (
            (name, 0.0) for name, seen in zip(NAMES, self._seen, strict=True) for _ in range(seen)
        )
        return valuation(self._fleet, demand_from_history(history, NAMES))

    def asked(self, profile: int) -> None:
        """Counts the request."""
        self._seen[profile] += 1
        if sum(self._seen) % self.RELEARN == 0:
            self._worth = self._learn()

    def choose(self, masks: Sequence[int], profile: int) -> Choice | None:
        """The least loss of worth; equal: a GPU in use, the first GPU, the lowest start."""
        options = places_free()[profile]
        if not any(options[mask] for mask in masks):
            return None
        rooms = room_table()
        total = [sum(column) for column in zip(*(rooms[mask] for mask in masks), strict=True)]
        best: tuple[float, bool] | None = None
        chosen: Choice | None = None
        seen = set()
        for gpu, mask in enumerate(masks):
            if mask in seen:
                continue
            seen.add(mask)
            for span in options[mask]:
                loss = self._worth.loss(total, rooms[mask], rooms[mask | span])
                rank = loss, not mask
                if best is None or rank < best:
                    best, chosen = rank, (gpu, span)
        return chosen


@cache
def room_table() -> tuple[tuple[int, ...], ...]:
    """By mask: how many of each profile still fit."""
    return tuple(tuple(row[name] for name in NAMES) for row in GEOMETRY.room)


@cache
def places_free() -> tuple[tuple[tuple[int, ...], ...], ...]:
    """By profile and mask: the masks of all places that are free."""
    return tuple(
        tuple(tuple(span for _, span in spans if not mask & span) for mask in MASKS)
        for spans in SPANS
    )


def _free(mask: int) -> int:
    return GEOMETRY.memory_slices - mask.bit_count()


@cache
def _places(profile: int, mask: int) -> int:
    return sum(not mask & span for _, span in SPANS[profile])


@cache
def _unusable(profile: int, mask: int) -> int:
    """Free slices that no place of this profile would use: its fragments."""
    reached = 0
    for _, span in SPANS[profile]:
        if not mask & span:
            reached |= span
    return _free(mask | reached)


def _fragmentation_gradient(mix: str) -> Policy:
    """FGD (ATC'23) on MIG slices: the least increase of the fragments that the mix expects. It is
    told the true mix, and has the order among equals that suits it best: the first GPU."""
    weights = MIXES[mix]

    def expected(mask: int) -> float:
        return sum(weight * _unusable(index, mask) for index, weight in enumerate(weights))

    return TablePolicy(lambda _, before, after: expected(after) - expected(before), packs=False)


def _fewest_places(_: int, before: int, after: int) -> float:
    return sum(_places(index, before) - _places(index, after) for index in range(len(NAMES)))


@dataclass(frozen=True)
class Setting:
    """One cell: the mix of profiles, the GPUs of the machine, and the load."""

    mix: str
    gpus: int
    load: float


POLICIES: dict[str, Callable[[Setting, int], Policy]] = {
    "ours": lambda setting, _: OurPolicy(setting.gpus),
    "gradient": lambda setting, _: _fragmentation_gradient(setting.mix),
    "MCC": lambda *_: TablePolicy(_fewest_places),
    "best-fit+": lambda *_: TablePolicy(lambda _, __, after: _free(after), high=(0, 2)),
    "best-fit": lambda *_: TablePolicy(lambda _, __, after: _free(after)),
    "first-fit": lambda *_: TablePolicy(lambda *_: 0, packs=False),
    "random": lambda _, seed: RandomPolicy(seed),
    "worst-fit": lambda *_: TablePolicy(lambda _, __, after: -_free(after), packs=False),
    "fixed": lambda *_: FixedPolicy(),
}
"""By name: makes the policy for a setting and a seed. MCC takes the place that leaves the most
places (of all profiles alike); best-fit the GPU with the least free slices; best-fit+ is best-fit
with 1g and 3g at the highest start (HAMi's rule)."""


# ---- events ------------------------------------------------------------------------------------


@dataclass
class Outcome:
    """What came of the requests after the warm-up. Lists are per profile; `waits` are in units of
    the mean duration, of those that were served; `allocated` is the part of the machine's compute
    that was asked for by those who had it, until the last arrival."""

    offered: list[int] = field(default_factory=lambda: [0] * len(NAMES))
    served: list[int] = field(default_factory=lambda: [0] * len(NAMES))
    allocated: float = 0.0
    waits: list[float] = field(default_factory=list)

    @property
    def acceptance(self) -> float:
        """Served over offered, by number."""
        return sum(self.served) / sum(self.offered)

    @property
    def weighted_acceptance(self) -> float:
        """Served over offered, by compute slices."""
        return _compute(self.served) / _compute(self.offered)


def _compute(counts: Sequence[int]) -> int:
    return sum(count * compute for count, compute in zip(counts, COMPUTE, strict=True))


class Simulation:
    """One run of one policy over one sequence of requests."""

    def __init__(self, policy: Policy, jobs: Sequence[Job], gpus: int, *, queue: bool) -> None:
        self._policy = policy
        self._jobs = jobs
        self._warm = int(len(jobs) * WARM)
        self._from = jobs[self._warm].arrival
        self._until = jobs[-1].arrival
        self._queue = queue
        self._waiting: list[deque[int]] = [deque() for _ in NAMES]
        self._leaving: list[tuple[float, int, int, int]] = []
        self._taken = 0.0
        self.masks = [0] * gpus
        self.outcome = Outcome()

    def run(self) -> Outcome:
        """All arrivals, then (queue model) until nobody is left who can be served."""
        for index, job in enumerate(self._jobs):
            self._leave_until(job.arrival)
            if index >= self._warm:
                self.outcome.offered[job.profile] += 1
            self._policy.asked(job.profile)
            # Whoever waits already did not fit before, and nothing was freed since.
            if not self._start(index, job.arrival) and self._queue:
                self._waiting[job.profile].append(index)
        self._leave_until(float("inf"))
        span = self._until - self._from
        self.outcome.allocated = self._taken / (span * len(self.masks) * GEOMETRY.compute_slices)
        return self.outcome

    def _leave_until(self, moment: float) -> None:
        while self._leaving and self._leaving[0][0] <= moment:
            now, _, gpu, span = heapq.heappop(self._leaving)
            self.masks[gpu] ^= span
            if self._queue:
                self._start_waiting(now)

    def _start_waiting(self, now: float) -> None:
        """In order of arrival, whoever fits: the first of each profile stands for all behind."""
        heads = sorted((line[0], line) for line in self._waiting if line)
        while heads:
            index, line = heads.pop(0)
            if self._start(index, now):
                line.popleft()
                if line:
                    heads = sorted([*heads, (line[0], line)])

    def _start(self, index: int, now: float) -> bool:
        job = self._jobs[index]
        choice = self._policy.choose(self.masks, job.profile)
        if choice is None:
            return False
        gpu, span = choice
        if self.masks[gpu] & span:
            raise AssertionError(f"an instance was given twice: GPU {gpu}, slices {span:08b}")
        self.masks[gpu] |= span
        end = now + job.duration
        heapq.heappush(self._leaving, (end, index, gpu, span))
        counted = min(end, self._until) - max(now, self._from)
        if counted > 0:
            self._taken += counted * COMPUTE[job.profile]
        if index >= self._warm:
            self.outcome.served[job.profile] += 1
            self.outcome.waits.append(now - job.arrival)
        return True


def simulate(setting: Setting, policy: str, seed: int, *, number: int, queue: bool) -> Outcome:
    """One run: `number` requests of this setting under this policy."""
    jobs = requests(seed, setting.mix, setting.gpus, setting.load, number)
    chosen = POLICIES[policy](setting, seed)
    return Simulation(chosen, jobs, setting.gpus, queue=queue).run()
