"""From the layout that is there to the one that is wanted, with as little change as can be.

A layout says how many instances of each profile there are to be. Of all the places that they could
have, those are taken that leave most of what is there alone: first what is in use, then as many
instances as can be.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations

from ds01_jupyter.core.gpu.geometry import GpuGeometry, Placed
from ds01_jupyter.core.gpu.mig_layout import Entry, device_id_text, is_partial
from ds01_jupyter.core.gpu.mig_obstacles import Obstacle, Occupation
from ds01_jupyter.core.gpu.mig_state import GpuInstance, MigGpu

WITHOUT_ROOT = (
    "This server does not run as root, so the driver does not tell it where the instances are: "
    "the plan counts them only, and more of them may have to be moved."
)


@dataclass(frozen=True)
class GpuPlan:
    """What one GPU needs.

    `keep` stays as it is; `finish` are instances that were left without a device and get one;
    `destroy` goes, then `create` is made. `start` in `create` is None where places are not known.
    `obstacles` use what would have to go. `problem`: why it cannot be done at all, `advice`: what
    an admin can do about it. `differences` is empty when the GPU is as it is wanted.
    """

    gpu: MigGpu
    differences: tuple[str, ...] = ()
    keep: tuple[GpuInstance, ...] = ()
    finish: tuple[GpuInstance, ...] = ()
    destroy: tuple[GpuInstance, ...] = ()
    create: tuple[tuple[str, int | None], ...] = ()
    obstacles: tuple[Obstacle, ...] = ()
    mode_change: bool = False
    problem: str = ""
    advice: str = ""

    @property
    def target(self) -> frozenset[Placed]:
        """The instances that the GPU has in the end; for a plan with places."""
        kept = {item.placed for item in (*self.keep, *self.finish)}
        made = {Placed(name, start) for name, start in self.create if start is not None}
        return frozenset(kept | made)


@dataclass(frozen=True)
class LayoutPlan:
    """What a whole layout needs; `gpus` are those that it speaks of."""

    label: str
    gpus: tuple[GpuPlan, ...]
    notes: tuple[str, ...] = field(default=())

    @property
    def matches(self) -> bool:
        """Whether the machine is so already."""
        return not any(plan.differences for plan in self.gpus)

    @property
    def changes(self) -> tuple[GpuPlan, ...]:
        """The GPUs that are not as they are wanted."""
        return tuple(plan for plan in self.gpus if plan.differences)

    @property
    def possible(self) -> bool:
        """Whether it could be applied now."""
        return not any(plan.problem or plan.obstacles for plan in self.changes)


def plan_layout(
    label: str, entries: Sequence[Entry], gpus: Sequence[MigGpu], occupation: Occupation
) -> LayoutPlan:
    """The plan for every GPU that an entry covers.

    Raises `InvalidInput` (with the line) where the layout cannot be meant for this machine: a GPU
    or a profile that there is not, two entries for one GPU.
    """
    notes: list[str] = []
    plans = []
    for gpu, entry in _targets(entries, gpus):
        if not gpu.capable and gpu.problem is None and entry.devices is None:
            if entry.enabled:
                notes.append(f"GPU {gpu.index} ({gpu.name}) knows no MIG and is left as it is.")
            continue
        plans.append(plan_gpu(gpu, entry, occupation))
    covered = {plan.gpu.index for plan in plans}
    left = [str(gpu.index) for gpu in gpus if gpu.index not in covered and gpu.capable]
    if left:
        named, stay = ("GPU", "stays as it is") if len(left) == 1 else ("GPUs", "stay as they are")
        notes.append(f"The layout does not speak of {named} {', '.join(left)}, which {stay}.")
    if any(not plan.gpu.exact for plan in plans):
        notes.append(WITHOUT_ROOT)
    return LayoutPlan(label, tuple(plans), tuple(notes))


def _targets(entries: Sequence[Entry], gpus: Sequence[MigGpu]) -> Iterator[tuple[MigGpu, Entry]]:
    there = {gpu.index for gpu in gpus}
    for entry in entries:
        for index in entry.devices or ():
            if index not in there:
                known = ", ".join(map(str, sorted(there))) or "none"
                raise entry.mistake(f"this machine has no GPU {index}; it has {known}")
    for gpu in gpus:
        found = [entry for entry in entries if entry.covers(gpu.index, gpu.device_id)]
        if gpu.problem is not None:  # its model is not known: the filters are not asked
            found = [each for each in entries if each.devices is None or gpu.index in each.devices]
        if len(found) > 1 and gpu.problem is None:
            first = found[0].node.line
            raise found[1].mistake(f"GPU {gpu.index} is in the entry of line {first} already")
        if found:
            yield gpu, found[0]


def plan_gpu(gpu: MigGpu, entry: Entry, occupation: Occupation) -> GpuPlan:
    """The plan for one GPU. Raises `InvalidInput` for a profile that it does not have."""
    if gpu.problem is not None:
        return GpuPlan(gpu, (f"it does not answer: {gpu.problem}",), problem=gpu.problem)
    if not gpu.capable:
        if not entry.enabled:
            return GpuPlan(gpu)
        text = f"This GPU ({gpu.name}) knows no MIG."
        return GpuPlan(gpu, ("MIG should be on",), problem=text)
    if gpu.enabled != entry.enabled:
        return _mode_change(gpu, entry, occupation)
    if not gpu.enabled:
        return GpuPlan(gpu)
    _check_profiles(gpu, entry)
    differences = _differences(gpu, entry.counts)
    if not differences:
        return GpuPlan(gpu, keep=gpu.instances)
    problem = _impossible(gpu, entry.counts)
    if problem:
        return GpuPlan(gpu, differences, problem=problem)
    plan = (_by_place if gpu.exact else _by_count)(gpu, entry.counts, occupation)
    obstacles = occupation.obstacles(gpu, plan.destroy, changed=True)
    return GpuPlan(gpu, differences, plan.keep, plan.finish, plan.destroy, plan.create, obstacles)


def _mode_change(gpu: MigGpu, entry: Entry, occupation: Occupation) -> GpuPlan:
    wish, switch = ("on", 1) if entry.enabled else ("off", 0)
    now = "off" if entry.enabled else "on"
    if gpu.pending == entry.enabled:
        advice = f"MIG mode is set to {wish} already and waits for a reset of the GPU or a reboot."
    else:
        advice = (
            f"As root: stop everything that uses GPU {gpu.index}, then "
            f"`nvidia-smi -i {gpu.index} -mig {switch}`; an Ampere GPU (A100, A30) also needs "
            f"`nvidia-smi -i {gpu.index} --gpu-reset` or a reboot."
        )
    return GpuPlan(
        gpu,
        (f"MIG mode is {now} and should be {wish}",),
        obstacles=occupation.obstacles(gpu, gpu.instances, changed=True),
        mode_change=True,
        problem=f"MIG mode would have to be turned {wish}; ds01 never changes it nor resets a GPU.",
        advice=advice,
    )


def _check_profiles(gpu: MigGpu, entry: Entry) -> None:
    assert gpu.geometry is not None
    for profile in entry.counts:
        whole = profile.rpartition("c.")[2] if is_partial(profile) else profile
        if gpu.geometry.profile(whole) is None:
            raise entry.mistake(
                f"GPU {gpu.index} ({gpu.name}, {device_id_text(gpu.device_id)}) has no profile "
                f"{profile}",
                profile,
                hint=f"It has {', '.join(gpu.geometry.by_name)}.",
            )


def _differences(gpu: MigGpu, wanted: Mapping[str, int]) -> tuple[str, ...]:
    found = []
    for profile in sorted(wanted.keys() | gpu.counts.keys()):
        have, want = gpu.counts.get(profile, 0), wanted.get(profile, 0)
        if have != want:
            found.append(f"{have} x {profile}, should be {want}")
    found += [f"{item}: it has no device" for item in gpu.instances if not item.devices]
    return tuple(found)


def _impossible(gpu: MigGpu, wanted: Mapping[str, int]) -> str:
    """Why these can never be on one GPU together, or nothing."""
    geometry = gpu.geometry
    assert geometry is not None
    for profile, count in wanted.items():
        if is_partial(profile):
            return (
                f"{profile} is only a part of an instance; ds01 makes no compute instance that "
                "is smaller than its GPU instance."
            )
        most = geometry.by_name[profile].maximum
        if count > most:
            return f"{count} x {profile} is asked for, and a GPU has at most {most}."
    compute = sum(geometry.by_name[name].compute_slices * count for name, count in wanted.items())
    if compute > geometry.compute_slices:
        return f"This takes {compute} compute slices, and a GPU has {geometry.compute_slices}."
    memory = sum(geometry.by_name[name].memory_slices * count for name, count in wanted.items())
    if memory > geometry.memory_slices:
        return f"This takes {memory} memory slices, and a GPU has {geometry.memory_slices}."
    if next(arrangements(geometry, wanted), None) is None:
        return "These instances do not fit beside each other: each may only start at some places."
    return ""


# ---- what to keep --------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Moves:
    keep: tuple[GpuInstance, ...]
    finish: tuple[GpuInstance, ...]
    destroy: tuple[GpuInstance, ...]
    create: tuple[tuple[str, int | None], ...]


def arrangements(geometry: GpuGeometry, wanted: Mapping[str, int]) -> Iterator[tuple[Placed, ...]]:
    """Every way to place so many of each profile on an empty GPU, the largest first.

    Looks at memory slices only; maxima and compute slices do not depend on the place.
    """
    order = sorted(
        ((geometry.by_name[name], count) for name, count in wanted.items() if count),
        key=lambda item: (-item[0].memory_slices, item[0].name),
    )

    def search(position: int, mask: int) -> Iterator[tuple[Placed, ...]]:
        if position == len(order):
            yield ()
            return
        profile, count = order[position]
        for starts in combinations(geometry.starts_free(mask, profile), count):
            taken = mask
            for start in starts:
                if taken & profile.mask(start):
                    break
                taken |= profile.mask(start)
            else:
                here = tuple(Placed(profile.name, start) for start in starts)
                for rest in search(position + 1, taken):
                    yield (*here, *rest)

    return search(0, 0)


def _by_place(gpu: MigGpu, wanted: Mapping[str, int], occupation: Occupation) -> _Moves:
    geometry = gpu.geometry
    assert geometry is not None
    used = {item.gi for item in gpu.instances if occupation.obstacles(gpu, [item])}

    def rank(target: tuple[Placed, ...]) -> tuple[int, int, int, float, tuple[Placed, ...]]:
        gone = [item for item in gpu.instances if not _stays(item, target)]
        mask = geometry.occupied(target)
        room = sum(
            geometry.room[mask][profile.name] * profile.memory_slices
            for profile in geometry.profiles
        )
        return (
            sum(item.gi in used for item in gone),
            sum(bool(item.devices) for item in gone),
            len(gone),
            -room,
            tuple(sorted(target)),
        )

    target = min(arrangements(geometry, wanted), key=rank)
    stays = [item for item in gpu.instances if _stays(item, target)]
    there = {item.placed for item in stays}
    return _Moves(
        keep=tuple(item for item in stays if item.devices),
        finish=tuple(item for item in stays if not item.devices),
        destroy=tuple(item for item in gpu.instances if item not in stays),
        create=tuple((item.profile, item.start) for item in target if item not in there),
    )


def _stays(item: GpuInstance, target: Collection[Placed]) -> bool:
    return (item.whole or not item.devices) and item.placed in target


def _by_count(gpu: MigGpu, wanted: Mapping[str, int], occupation: Occupation) -> _Moves:
    left = Counter(wanted)
    keep, destroy = [], []
    for item in sorted(gpu.instances, key=lambda item: not occupation.obstacles(gpu, [item])):
        if item.whole and left[item.profile] > 0:
            left[item.profile] -= 1
            keep.append(item)
        else:
            destroy.append(item)
    create: list[tuple[str, int | None]] = [(name, None) for name in left.elements()]
    return _Moves(tuple(keep), (), tuple(destroy), tuple(create))
