"""The geometry of MIG: which instances fit beside which on one GPU.

A GPU's memory is cut into slices (8 on A100 to B300, 4 on A30), and NVIDIA allows each profile
only at certain first slices. Instances may not overlap, so what still fits on a GPU follows from
one bit mask, bit `i` for memory slice `i`, and from the instances that are there where a profile
has a limit of its own (`+me` exists once a GPU).

Pure values without a driver: whoever has NVML fills `GpuGeometry` with what the driver says
(`nvmlDeviceGetGpuInstanceProfileInfoV`, `...PossiblePlacements_v2`). `SEVEN_SLICES` and `A30` are
for tests and simulations, and for what could be made on a GPU that is not in MIG mode.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from ds01_jupyter.core.gpu.slots import WHOLE


@dataclass(frozen=True)
class Profile:
    """A size of instance.

    `memory_slices` is the length of its span in memory slices, `compute_slices` its part of the
    GPU's compute slices, `starts` the memory slices where it may begin, `maximum` how many may be
    on one GPU. `memory` in bytes, None where it is not known. `identifier` is NVML's `id` of the
    profile (the one of `nvidia-smi mig -lgip`), None where it is not known.
    """

    name: str
    memory_slices: int
    compute_slices: int
    starts: tuple[int, ...]
    maximum: int
    memory: int | None = None
    identifier: int | None = None

    def __post_init__(self) -> None:
        """Raises `ValueError` for a span without length and a start below 0."""
        if self.memory_slices < 1 or self.compute_slices < 0 or self.maximum < 0:
            raise ValueError(f"profile {self.name}: sizes must be positive")
        if any(start < 0 for start in self.starts) or len(set(self.starts)) < len(self.starts):
            raise ValueError(f"profile {self.name}: starts must be distinct and not negative")

    def mask(self, start: int) -> int:
        """The memory slices of an instance that begins at `start`, as a bit mask."""
        return ((1 << self.memory_slices) - 1) << start


@dataclass(frozen=True, order=True)
class Placed:
    """An instance on a GPU: its profile's name and its first memory slice."""

    profile: str
    start: int


@dataclass(frozen=True)
class GpuGeometry:
    """What one kind of GPU can be cut into. Profile names are distinct (`ValueError`)."""

    profiles: tuple[Profile, ...]
    memory_slices: int
    compute_slices: int

    def __post_init__(self) -> None:
        """Raises `ValueError` where the facts contradict each other."""
        if len({profile.name for profile in self.profiles}) < len(self.profiles):
            raise ValueError("two profiles have the same name")
        for profile in self.profiles:
            if any(profile.mask(start) > self.full for start in profile.starts):
                raise ValueError(f"profile {profile.name} reaches beyond the GPU's memory")

    def __hash__(self) -> int:
        """Kept, because tables are looked up by geometry for every choice."""
        return self._hash

    @cached_property
    def _hash(self) -> int:
        return hash((self.profiles, self.memory_slices, self.compute_slices))

    @property
    def full(self) -> int:
        """The mask with every memory slice taken."""
        return (1 << self.memory_slices) - 1

    @cached_property
    def by_name(self) -> dict[str, Profile]:
        """The profiles by name."""
        return {profile.name: profile for profile in self.profiles}

    @cached_property
    def whole(self) -> Profile | None:
        """The profile that is the whole GPU (7g on 7-slice GPUs); None where there is none."""
        everything = [item for item in self.profiles if item.memory_slices == self.memory_slices]
        return max(everything, key=lambda item: item.compute_slices, default=None)

    def profile(self, name: str) -> Profile | None:
        """The profile of this name, None where this kind of GPU has none."""
        return self.by_name.get(name)

    @cached_property
    def _fitting(self) -> tuple[dict[str, int], ...]:
        table: list[dict[str, int]] = [{} for _ in range(self.full + 1)]
        for mask in range(self.full, -1, -1):
            for profile in self.profiles:
                free = self.starts_free(mask, profile)
                more = (table[mask | profile.mask(start)][profile.name] for start in free)
                table[mask][profile.name] = 1 + max(more) if free else 0
        return tuple(table)

    @cached_property
    def room(self) -> tuple[dict[str, int], ...]:
        """By mask (0 to `full`): how many instances of each profile fit beside what is taken,
        each profile taken by itself. Counts of what is there already are not known here."""
        return tuple(
            {name: min(fitting, self.by_name[name].maximum) for name, fitting in row.items()}
            for row in self._fitting
        )

    @cached_property
    def limited(self) -> frozenset[Profile]:
        """The profiles of which fewer may be on a GPU than would fit: their counts matter."""
        empty = self._fitting[0]
        return frozenset(item for item in self.profiles if item.maximum < empty[item.name])

    def share(self, profile: Profile) -> float:
        """Part of the GPU's compute, 0 to 1."""
        return profile.compute_slices / self.compute_slices

    def occupied(self, placed: Sequence[Placed]) -> int:
        """The mask of the memory slices under these instances.

        Raises `ValueError` for a set of instances that cannot be: an unknown profile, a start
        that is not allowed, an overlap, too many of one profile, too much compute.
        """
        mask = compute = 0
        count: dict[str, int] = {}
        for item in placed:
            profile = self.profile(item.profile)
            if profile is None or item.start not in profile.starts:
                raise ValueError(f"{item.profile} cannot be at {item.start}")
            if mask & profile.mask(item.start):
                raise ValueError(f"{item.profile} at {item.start} overlaps another instance")
            mask |= profile.mask(item.start)
            compute += profile.compute_slices
            count[item.profile] = count.get(item.profile, 0) + 1
            if count[item.profile] > profile.maximum:
                raise ValueError(f"more than {profile.maximum} of {item.profile}")
        if compute > self.compute_slices:
            raise ValueError("more compute slices than the GPU has")
        return mask

    def starts_free(self, mask: int, profile: Profile) -> tuple[int, ...]:
        """Where the profile still fits between the taken slices of `mask`, lowest first.

        Looks at memory slices only; `GpuState.starts` looks at counts and compute as well.
        """
        return tuple(start for start in sorted(profile.starts) if not mask & profile.mask(start))


@dataclass(frozen=True)
class GpuState:
    """One GPU now: its kind and the instances on it.

    `gpu` is its UUID. `geometry` is `NO_MIG` for a GPU that is not in MIG mode. `closed`: nothing
    may be made here (problem, cordoned, reserved), whatever would fit. Slices that are taken
    without an instance that we know of are in `blocked`.
    """

    gpu: str
    geometry: GpuGeometry
    placed: tuple[Placed, ...] = ()
    blocked: int = 0
    closed: bool = False

    @cached_property
    def mask(self) -> int:
        """The taken memory slices; `ValueError` where the instances cannot be so."""
        if not 0 <= self.blocked <= self.geometry.full:
            raise ValueError("blocked slices beyond the GPU's memory")
        return self.geometry.occupied(self.placed) | self.blocked

    @cached_property
    def compute_used(self) -> int:
        """Compute slices of the instances."""
        return sum(self.geometry.by_name[item.profile].compute_slices for item in self.placed)

    def count(self, name: str) -> int:
        """How many instances of this profile are there."""
        return sum(item.profile == name for item in self.placed)

    def starts(self, name: str) -> tuple[int, ...]:
        """Where an instance of this profile could be made now, lowest first."""
        profile = self.geometry.profile(name)
        if profile is None or self.closed:
            return ()
        if self.count(name) >= profile.maximum:
            return ()
        if self.compute_used + profile.compute_slices > self.geometry.compute_slices:
            return ()
        return self.geometry.starts_free(self.mask, profile)

    def room(self, name: str) -> int:
        """How many instances of this profile could be made now, if of nothing else.

        Where compute slices or a profile's own maximum are what limits, an upper bound.
        """
        profile = self.geometry.profile(name)
        if profile is None or self.closed:
            return 0
        by_count = profile.maximum - self.count(name)
        by_memory = self.geometry.room[self.mask][name]
        if not profile.compute_slices:
            return min(by_count, by_memory)
        compute = self.geometry.compute_slices - self.compute_used
        return min(by_count, by_memory, compute // profile.compute_slices)

    def with_instance(self, name: str, start: int) -> GpuState:
        """The same GPU with one instance more; `ValueError` where it cannot be."""
        if start not in self.starts(name):
            raise ValueError(f"{name} does not fit at {start}")
        return GpuState(
            self.gpu, self.geometry, (*self.placed, Placed(name, start)), self.blocked, self.closed
        )


def layouts(geometry: GpuGeometry) -> Iterator[tuple[Placed, ...]]:
    """Every set of instances that can be on one GPU, the empty one first, each once and sorted."""
    empty: tuple[Placed, ...] = ()
    seen = {empty}
    waiting = [empty]
    while waiting:
        placed = waiting.pop()
        yield placed
        state = GpuState("", geometry, placed)
        for profile in geometry.profiles:
            for start in state.starts(profile.name):
                more = tuple(sorted((*placed, Placed(profile.name, start))))
                if more not in seen:
                    seen.add(more)
                    waiting.append(more)


def is_maximal(geometry: GpuGeometry, placed: Sequence[Placed]) -> bool:
    """Whether nothing more fits beside these instances."""
    state = GpuState("", geometry, tuple(placed))
    return not any(state.starts(profile.name) for profile in geometry.profiles)


def arrange(state: GpuState, wanted: Sequence[str]) -> tuple[Placed, ...] | None:
    """Places for all of these profiles on one GPU, in the order of `wanted`; None where they do
    not fit together.

    The driver places one after the other, so that whether a set fits depends on its order. Here
    the largest come first and every place is tried.
    """
    if any(state.geometry.profile(name) is None for name in wanted):
        return None
    sizes = state.geometry.by_name
    order = sorted(range(len(wanted)), key=lambda index: -sizes[wanted[index]].memory_slices)

    def search(state: GpuState, left: Sequence[int]) -> dict[int, Placed] | None:
        if not left:
            return {}
        index, *others = left
        for start in state.starts(wanted[index]):
            found = search(state.with_instance(wanted[index], start), others)
            if found is not None:
                return {index: Placed(wanted[index], start), **found}
        return None

    places = search(state, order)
    return None if places is None else tuple(places[index] for index in range(len(wanted)))


NO_MIG = GpuGeometry((Profile(WHOLE, 1, 1, (0,), 1),), memory_slices=1, compute_slices=1)
"""A GPU that is not in MIG mode: all or nothing."""

_MIB = 1 << 20
_ANYWHERE = (0, 1, 2, 3, 4, 5, 6)

SEVEN_SLICES = GpuGeometry(
    profiles=(
        Profile("1g.5gb", 1, 1, _ANYWHERE, 7, 4864 * _MIB, 19),
        Profile("2g.10gb", 2, 2, (0, 2, 4), 3, 9856 * _MIB, 14),
        Profile("3g.20gb", 4, 3, (0, 4), 2, 19968 * _MIB, 9),
        Profile("4g.20gb", 4, 4, (0,), 1, 19968 * _MIB, 5),
        Profile("7g.40gb", 8, 7, (0,), 1, 40192 * _MIB, 0),
    ),
    memory_slices=8,
    compute_slices=7,
)
"""A100 40GB; A100 80GB, H100, H200 and B200 are cut the same way under other names."""

SEVEN_SLICES_ALL = GpuGeometry(
    profiles=(
        *SEVEN_SLICES.profiles,
        Profile("1g.5gb+me", 1, 1, _ANYWHERE, 1, 4864 * _MIB, 20),
        Profile("1g.10gb", 2, 1, (0, 2, 4, 6), 4, 9856 * _MIB, 15),
    ),
    memory_slices=8,
    compute_slices=7,
)
"""The same with the media engines' profile (once a GPU) and the 1g of twice the memory."""

A30 = GpuGeometry(
    profiles=(
        Profile("1g.6gb", 1, 1, (0, 1, 2, 3), 4, identifier=14),
        Profile("1g.6gb+me", 1, 1, (0, 1, 2, 3), 1, identifier=21),
        Profile("2g.12gb", 2, 2, (0, 2), 2, identifier=5),
        Profile("2g.12gb+me", 2, 2, (0, 2), 1, identifier=6),
        Profile("4g.24gb", 4, 4, (0,), 1, identifier=0),
    ),
    memory_slices=4,
    compute_slices=4,
)
"""A30 24GB; the numbers of its profiles are not those of the 7-slice GPUs."""
