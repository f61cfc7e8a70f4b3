"""Which place on which GPU: the one that takes least from those who come next.

What is free is worth what it can be used for. With `demand`, the mix of what people ask for, the
number of requests for a profile `p` in the near future is taken as Poisson with mean `m(p)`; of
these the fleet can serve as many as `p` still has room, `R(p)` (each profile taken by itself), so

    worth = sum over p of  share(p) x E[ min(Poisson(m(p)), R(p)) ]

in GPUs. Every place that a new instance could have costs the worth that is gone afterwards, and
the cheapest is taken. Losing the last room for a profile that is often asked for costs most,
losing one of many next to nothing: that is the difference from a fragmentation gradient, which
counts every lost place alike. The near future is the number of requests that would fill `HORIZON`
of an empty fleet; it was set on the simulations of `benchmarks/placement.md`.

What then costs the same goes to a GPU that is in use, so that empty GPUs stay empty (they can be
partitioned anew, or given whole), then to the GPU that comes first (always the same order lets the
last ones run dry: better than the fullest first, by up to 0.2 points), then to the lowest start.

Pure functions; a choice among 8 GPUs takes some tens of microseconds.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from ds01_jupyter.core.gpu.geometry import GpuGeometry, GpuState, Profile
from ds01_jupyter.core.gpu.slots import WHOLE

HORIZON = 0.8
"""The part of an empty fleet that the requests of the near future would fill."""

PRIOR_REQUESTS = 10.0
"""How many requests of history the prior (every profile alike) weighs as much as."""

HALF_LIFE = 14 * 86400.0
"""Seconds after which a request of the past counts half."""

_DIGITS = 9


@dataclass(frozen=True)
class Placement:
    """An instance to be made: GPU (UUID), profile and first memory slice.

    `profile` is `whole` for a GPU that is not in MIG mode. `loss` is how much
    less what stays free is worth than what was free before, in GPUs.
    """

    gpu: str
    profile: str
    start: int
    loss: float = 0.0


class Instance(NamedTuple):
    """A free instance of a fixed layout, or a free whole GPU (profile `whole`).

    `share` is its part of a GPU's compute, `memory` bytes (None where the driver does not tell).
    """

    uuid: str
    gpu: str
    profile: str
    share: float
    memory: int | None = None


@dataclass(frozen=True)
class Wanted:
    """What an instance must be: of this profile, or at least so large.

    With `profile` alone only that profile will do (`whole`: a GPU without MIG). With `memory`
    (bytes) or `share` whatever is at least so large will do, and `profile`, when it is given as
    well, comes first. Empty: anything.
    """

    profile: str | None = None
    memory: int = 0
    share: float = 0.0

    def matches(self, instance: Instance) -> bool:
        """Whether this instance would do. Unknown memory is not enough memory."""
        if self.profile is not None and not self.memory and not self.share:
            return instance.profile == self.profile
        if self.memory and (instance.memory is None or instance.memory < self.memory):
            return False
        return instance.share >= self.share

    def excess(self, instance: Instance) -> tuple[bool, float, float, bool]:
        """How much more than this an instance is, for comparing: less is nearer.

        The profile that was asked for comes first. Then counts what was asked for: where that is
        memory, first the memory beyond it and then the compute; else compute and then memory.
        Memory that the driver does not tell counts as the most, so that it is taken last. A
        variant (`+me`, once a GPU) is not spent on who did not ask for it.
        """
        exact = self.profile is None or instance.profile == self.profile
        memory = math.inf if instance.memory is None else float(instance.memory - self.memory)
        compute = round(instance.share - self.share, _DIGITS)
        sizes = (memory, compute) if self.memory else (compute, memory)
        return (not exact, *sizes, "+" in instance.profile)


def demand_from_history(
    requests: Iterable[tuple[str, float]],
    profiles: Iterable[str],
    half_life: float = HALF_LIFE,
) -> dict[str, float]:
    """The demand mix: profile to weight, from requests (profile, age in seconds), refused or not.

    Every name in `profiles` starts with an equal part of `PRIOR_REQUESTS`; requests for anything
    else are left out. Raises `ValueError` for a half-life that is not positive.
    """
    if half_life <= 0:
        raise ValueError("the half-life must be positive")
    names = tuple(dict.fromkeys(profiles))
    weights = {name: PRIOR_REQUESTS / len(names) for name in names}
    for name, age in requests:
        if name in weights:
            weights[name] += 0.5 ** (max(age, 0.0) / half_life)
    return weights


def choose_placement(
    states: Sequence[GpuState],
    wanted: str,
    demand: Mapping[str, float],
    *,
    only: Collection[str] | None = None,
) -> Placement | None:
    """Where to make an instance of the profile `wanted`; None where it fits nowhere.

    `states` are all GPUs (each UUID once), so that what is lost is seen in proportion to what is
    left elsewhere; `only` names the GPUs that may be chosen, None for all. `demand` gives a
    weight to each profile that people ask for (only proportions count; may be empty). `whole` is
    served by a GPU that is not in MIG mode, or, where none is free, by an empty GPU in MIG mode
    through its largest profile.
    """
    names = tuple(demand)
    before = [_rooms(state, names) for state in states]
    total = [sum(column) for column in zip(*before, strict=True)]
    worth = valuation(states, demand)
    best: tuple[tuple[bool, float, bool], Placement] | None = None
    seen = set()
    for state, rooms in zip(states, before, strict=True):
        profile = _profile(state.geometry, wanted)
        if profile is None or (only is not None and state.gpu not in only):
            continue
        # GPUs with the same slices taken and the same room are equal; the first is taken.
        alike = (profile.name, state.geometry, state.mask, rooms, state.closed)
        if alike in seen:
            continue
        starts = state.starts(profile.name)
        if starts:
            seen.add(alike)
        for start in starts:
            after = _rooms(state, names, profile, start)
            loss = worth.loss(total, rooms, after)
            rank = (profile.name != wanted, loss, not state.mask)
            if best is None or rank < best[0]:
                best = rank, Placement(state.gpu, profile.name, start, loss)
    return None if best is None else best[1]


def choose_instance(
    free: Sequence[Instance],
    wanted: Wanted,
    demand: Mapping[str, float],
    *,
    only: Collection[str] | None = None,
) -> Instance | None:
    """Which of the free instances of a fixed layout to give; None where none will do.

    In this order: what is nearest in size (`Wanted.excess`), the least loss of worth in what stays
    free, the GPU with least free (empty GPUs stay empty), the order given. `only` names the
    instances (by UUID) that may be chosen, None for all.
    """
    # Everybody else waits while this is decided: of many that are alike only the first is rated.
    alike: dict[tuple[str, str, float, int | None], int] = {}
    fitting: dict[tuple[str, str, float, int | None], Instance] = {}
    for item in free:
        kind = item[1:]
        alike[kind] = alike.get(kind, 0) + 1
        if kind not in fitting and (only is None or item.uuid in only):
            fitting[kind] = item
    cost = _costs([(Instance("", *kind), number) for kind, number in alike.items()], demand)
    found = [item for item in fitting.values() if wanted.matches(item)]
    return min(found, key=lambda item: (wanted.excess(item), cost(item)), default=None)


def _costs(
    free: Sequence[tuple[Instance, int]], demand: Mapping[str, float]
) -> Callable[[Instance], tuple[float, float]]:
    """What it costs the others when one of the `free` instances is given (of each kind so many):
    the loss of worth, in GPUs, and what its GPU has free."""
    count: dict[str, int] = {}
    left: dict[str, float] = {}
    for item, number in free:
        count[item.profile] = count.get(item.profile, 0) + number
        left[item.gpu] = left.get(item.gpu, 0.0) + item.share * number
    sizes = {item.profile: item.share for item, _ in free}
    rates = _rates(tuple(demand.items()), sizes, sum(left.values()))
    gone = {}
    for profile, number in count.items():
        served = expected_served(rates.get(profile, 0.0), number)
        gone[profile] = served[-1] - served[-2]

    def cost(item: Instance) -> tuple[float, float]:
        loss = round(gone[item.profile] * item.share, _DIGITS)
        return loss, round(left[item.gpu], _DIGITS)

    return cost


# ---- worth -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Valuation:
    """The worth of room. `served[p][r]` is what room for `r` of the profile `names[p]` is worth."""

    names: tuple[str, ...]
    served: tuple[tuple[float, ...], ...]

    def loss(self, total: Sequence[int], before: Sequence[int], after: Sequence[int]) -> float:
        """Worth that goes when one GPU's room goes from `before` to `after`, while the whole
        fleet's is `total` (all per name)."""
        gone = 0.0
        for served, room, old, new in zip(self.served, total, before, after, strict=True):
            if new < old:
                gone += served[room] - served[room - old + new]
        # Sums of the same in another order are to compare as equal.
        return round(gone, _DIGITS)


def valuation(states: Sequence[GpuState], demand: Mapping[str, float]) -> Valuation:
    """The worth of room on this fleet under this demand (kept for the next choice)."""
    return _valuation(tuple(state.geometry for state in states), tuple(demand.items()))


@lru_cache(maxsize=64)
def _valuation(fleet: tuple[GpuGeometry, ...], demand: tuple[tuple[str, float], ...]) -> Valuation:
    sizes: dict[str, float] = {}
    most: dict[str, int] = {}
    for geometry in fleet:
        for name, _ in demand:
            profile = _profile(geometry, name)
            if profile is not None:
                sizes[name] = max(sizes.get(name, 0.0), geometry.share(profile))
                most[name] = most.get(name, 0) + geometry.room[0][profile.name]
    rates = _rates(demand, sizes, float(len(fleet)))
    served = tuple(
        tuple(
            sizes.get(name, 0.0) * number
            for number in expected_served(rates.get(name, 0.0), most.get(name, 0))
        )
        for name, _ in demand
    )
    return Valuation(tuple(name for name, _ in demand), served)


@lru_cache(maxsize=1024)
def expected_served(mean: float, room: int) -> tuple[float, ...]:
    """`E[min(X, r)]` for `r` from 0 to `room`, X being Poisson with this mean."""
    probability = math.exp(-mean)
    at_most = probability
    served = [0.0]
    for number in range(1, room + 1):
        served.append(served[-1] + max(0.0, 1.0 - at_most))
        probability *= mean / number
        at_most += probability
    return tuple(served)


def _rates(
    demand: tuple[tuple[str, float], ...], sizes: Mapping[str, float], gpus: float
) -> dict[str, float]:
    """Requests per profile in the near future of a fleet of so many GPUs; zero and negative
    weights are no demand."""
    weights = {name: max(weight, 0.0) for name, weight in demand if name in sizes}
    filled = sum(weight * sizes[name] for name, weight in weights.items())
    if not filled:
        return {}
    return {name: HORIZON * gpus * weight / filled for name, weight in weights.items()}


def _profile(geometry: GpuGeometry, wanted: str) -> Profile | None:
    """The profile that serves `wanted`: for `whole` on a GPU in MIG mode the largest."""
    found = geometry.profile(wanted)
    return geometry.whole if found is None and wanted == WHOLE else found


def _rooms(
    state: GpuState, names: tuple[str, ...], adding: Profile | None = None, start: int = 0
) -> tuple[int, ...]:
    """Room for each of these on a GPU, now or with one instance more.

    By memory slices and by the maximum of the profile; compute, which no NVIDIA GPU runs out of
    first, is not looked at.
    """
    if state.closed:
        return (0,) * len(names)
    mask = state.mask if adding is None else state.mask | adding.mask(start)
    table, limited = _room_table(state.geometry, names)
    if not limited:
        return table[mask]
    rooms = list(table[mask])
    for index, profile in limited:
        there = state.count(profile.name) + (adding is not None and adding.name == profile.name)
        rooms[index] = max(0, min(rooms[index], profile.maximum - there))
    return tuple(rooms)


@lru_cache(maxsize=64)
def _room_table(
    geometry: GpuGeometry, names: tuple[str, ...]
) -> tuple[tuple[tuple[int, ...], ...], tuple[tuple[int, Profile], ...]]:
    """By mask: room for each name (0 where this kind of GPU has no such profile); and the names
    whose count matters besides, with their profile."""
    profiles = [_profile(geometry, name) for name in names]
    table = tuple(
        tuple(0 if profile is None else rooms[profile.name] for profile in profiles)
        for rooms in geometry.room
    )
    limited = tuple(
        (index, profile)
        for index, profile in enumerate(profiles)
        if profile is not None and profile in geometry.limited
    )
    return table, limited
