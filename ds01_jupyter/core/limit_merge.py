"""How the levels that meet in one person become their limits: for every key on its own, the
nearest level that has it wins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, TypeVar, cast

from ds01_jupyter.core.errors import ConfigurationError
from ds01_jupyter.core.limit_exemptions import Exemption
from ds01_jupyter.core.limit_keys import DEFAULTS, Level
from ds01_jupyter.core.limit_values import Value
from ds01_jupyter.core.models import LimitValues
from ds01_jupyter.core.units import format_size

BUILTIN = Level("the documented defaults", DEFAULTS, {})
_Given = TypeVar("_Given")


@dataclass(frozen=True)
class PersonLimits:
    """All limits of one person: what a container gets, and how long things last.

    None is without limit: no idle stop, no longest run, held until removed. Zero is zero: stopped
    as soon as it is idle, given back as soon as it has stopped. `exemptions` are those that stand
    in the file for this person, over or not; `at` applies them.
    """

    values: LimitValues
    idle_timeout: timedelta | None
    max_runtime: timedelta | None
    gpu_hold_after_stop: timedelta | None
    container_hold_after_stop: timedelta | None
    created_timeout: timedelta | None = None
    exemptions: tuple[Exemption, ...] = ()

    def at(self, moment: datetime) -> PersonLimits:
        """The limits at a moment (with a time zone): without those that an exemption lifts."""
        lifted: dict[str, Any] = {
            name: None
            for exemption in self.exemptions
            if exemption.holds(moment)
            for name in exemption.limits
        }
        return replace(self, **lifted)


def cgroup_slice(group: str) -> str:
    """The systemd slice of a group: `ds01-GROUP.slice`, directly below `ds01.slice`.

    systemd reads each `-` as one more level of the hierarchy, whose slices nobody made; so it
    becomes `_`. The groups of one file are refused where two of them would share a slice.
    """
    return f"ds01-{group.replace('-', '_')}.slice"


class Merge:
    """The levels that meet in one person, furthest (after the documented defaults) first."""

    def __init__(self, levels: Sequence[Level]) -> None:
        self._levels = (BUILTIN, *levels)

    def contradictions(self) -> list[ConfigurationError]:
        """What does not go together in these levels; nothing where a part of it is unread."""
        if any(level.unread & {"memory", "memory_swap", "shm_size"} for level in self._levels):
            return []
        found = (self._swap_contradiction(), self._shm_contradiction())
        return [mistake for mistake in found if mistake is not None]

    def limits(self, group: str, exemptions: tuple[Exemption, ...] = ()) -> PersonLimits:
        """The limits. Raises `ConfigurationError` for a contradiction."""
        for mistake in self.contradictions():
            raise mistake
        memory = self._get("memory", int)
        return PersonLimits(
            values=LimitValues(
                group=group,
                priority=self._number("priority"),
                max_cpus=self._get("max_cpus", float),
                memory=memory,
                memory_swap=self._memory_swap(memory),
                shm_size=self._shm_size(memory),
                pids_limit=self._get("pids_limit", int),
                max_containers=self._get("max_containers", int),
                max_mig_instances=self._slots(),
                max_gpu_equivalents=self._get("max_gpu_equivalents", float),
                max_slots_per_container=self._get("max_slots_per_container", int),
                allow_full_gpu=bool(self._value("allow_full_gpu")),
                cgroup_parent=cgroup_slice(group),
            ),
            idle_timeout=self._get("idle_timeout", timedelta),
            max_runtime=self._get("max_runtime", timedelta),
            gpu_hold_after_stop=self._get("gpu_hold_after_stop", timedelta),
            container_hold_after_stop=self._get("container_hold_after_stop", timedelta),
            created_timeout=self._get("created_timeout", timedelta),
            exemptions=exemptions,
        )

    def _slots(self) -> int | None:
        """The number of slots. A file that counts in GPU-equivalents only means no number."""
        if self._where("max_mig_instances") == 0 and self._where("max_gpu_equivalents") > 0:
            return None
        return self._get("max_mig_instances", int)

    def _memory_swap(self, memory: int | None) -> int | None:
        """Memory and swap together. A size that was meant for another memory does not count."""
        return self._get("memory_swap", int) if self._has_swap_of_its_own() else memory

    def _has_swap_of_its_own(self) -> bool:
        at = self._nearest("memory_swap")
        return at is not None and at >= self._where("memory")

    def _swap_contradiction(self) -> ConfigurationError | None:
        memory = self._get("memory", int)
        swap = self._memory_swap(memory)
        if swap is None or (memory is not None and swap >= memory):
            return None
        shown = "unlimited" if memory is None else format_size(memory)
        return self._contradiction(
            "memory_swap",
            "memory",
            f"memory_swap is memory and swap together, so {format_size(swap)} is too little "
            f"for a memory of {shown}",
        )

    def _shm_size(self, memory: int | None) -> int:
        size = self._number("shm_size")
        return size if memory is None else min(size, memory)

    def _shm_contradiction(self) -> ConfigurationError | None:
        memory, size = self._get("memory", int), self._number("shm_size")
        if memory is None or size <= memory or self._where("shm_size") == 0:
            return None
        return self._contradiction(
            "shm_size",
            "memory",
            f"a shm_size of {format_size(size)} does not fit into a memory of "
            f"{format_size(memory)}",
        )

    def _contradiction(self, one: str, other: str, problem: str) -> ConfigurationError:
        """Blames the nearer of two keys, since the further one was right without it."""
        near, far = (one, other) if self._where(one) >= self._where(other) else (other, one)
        level, other_level = self._levels[self._where(near)], self._levels[self._where(far)]
        return level.nodes[near].mistake(f"{problem} ({far} is from {other_level.name})")

    def _get(self, key: str, kind: type[_Given]) -> _Given | None:
        return cast("_Given | None", self._value(key))

    def _number(self, key: str) -> int:
        value = self._value(key)
        assert isinstance(value, int)
        return value

    def _value(self, key: str) -> Value:
        return self._levels[self._where(key)].values[key]

    def _where(self, key: str) -> int:
        at = self._nearest(key)
        assert at is not None, key
        return at

    def _nearest(self, key: str) -> int | None:
        having = (i for i in reversed(range(len(self._levels))) if key in self._levels[i].values)
        return next(having, None)
