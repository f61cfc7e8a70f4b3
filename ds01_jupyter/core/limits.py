"""`resource-limits.yaml`: who may use how much.

Defaults, groups and user overrides; for every key on its own the nearest level that has it wins:
the override, then the group, then the defaults, then what is documented. A person whose limits are
overridden stays in the group, and in its cgroup slice.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TypeVar, cast

from ds01_jupyter.core.errors import ConfigurationError
from ds01_jupyter.core.identity import Person
from ds01_jupyter.core.limit_keys import DEFAULTS, Level, Value, read_level
from ds01_jupyter.core.models import LimitValues
from ds01_jupyter.core.units import format_size
from ds01_jupyter.core.wording import nearest
from ds01_jupyter.core.yaml_file import Node, load_yaml

NO_GROUP = "default"
"""Group of people whom no group has, where the file names no `default_group`."""

_SECTIONS = ("defaults", "default_group", "groups", "user_overrides")
_GROUP_KEYS = ("members", "unix_group")
_GROUP_NAME = re.compile(r"[a-z0-9_-]{1,60}")

_BUILTIN = Level("the documented defaults", DEFAULTS, {})
_Given = TypeVar("_Given")


@dataclass(frozen=True)
class PersonLimits:
    """All limits of one person: what a container gets, and how long things last.

    None is unlimited: no idle stop, no longest run, held until removed.
    """

    values: LimitValues
    idle_timeout: timedelta | None
    max_runtime: timedelta | None
    gpu_hold_after_stop: timedelta | None
    container_hold_after_stop: timedelta | None


@dataclass(frozen=True)
class _Group:
    level: Level
    members: frozenset[str] = frozenset()
    unix_group: str | None = None


@dataclass(frozen=True)
class LimitsFile:
    """A limits file that has been read and found to be without mistakes."""

    source: Path
    _defaults: Level
    _groups: Mapping[str, _Group]
    _overrides: Mapping[str, Level]
    _group_of: Mapping[str, str] = field(repr=False)
    """Group of everybody whom a group lists by name."""
    _default_group: str

    @classmethod
    def load(cls, path: Path) -> LimitsFile:
        """Read and check the file; raises `ConfigurationError` as `FILE:LINE: key: mistake`."""
        root = load_yaml(path, "The limits file")
        sections = root.mapping()
        for name, node in sections.items():
            if name not in _SECTIONS:
                near = nearest(name, _SECTIONS)
                raise node.mistake(
                    "this section has no meaning",
                    hint=f"Did you mean {near!r}?" if near else "",
                    of_key=True,
                )
        empty = Node({}, 1, (), path)
        groups = _read_groups(sections.get("groups", empty))
        limits = cls(
            source=path,
            _defaults=read_level("defaults", sections.get("defaults", empty).mapping()),
            _groups=groups,
            _overrides={
                user: read_level(f"user_overrides.{user}", node.mapping())
                for user, node in sections.get("user_overrides", empty).mapping().items()
            },
            _group_of=_members(sections.get("groups", empty), groups),
            _default_group=_default_group(sections.get("default_group"), groups),
        )
        _check_unix_groups(sections.get("groups", empty), groups)
        limits._check_slices(sections.get("groups", empty))
        limits._check_every_combination()
        return limits

    def for_person(self, person: Person) -> LimitValues:
        """What a person's containers may use; see `person_limits` for errors."""
        return self.person_limits(person).values

    def person_limits(self, person: Person) -> PersonLimits:
        """All limits of a person.

        Raises `ConfigurationError` when two groups claim the person by their Unix groups, or the
        levels that meet in this person contradict each other.
        """
        group = self.group_of(person)
        return self._resolve(group, self._overrides.get(person.name))

    def group_of(self, person: Person) -> str:
        """The group that lists a person by name, else the one whose Unix group the person is in,
        else the default group."""
        listed = self._group_of.get(person.name)
        if listed is not None:
            return listed
        claims = [name for name, group in self._groups.items() if group.unix_group in person.groups]
        if len(claims) > 1:
            raise ConfigurationError(
                f"{self.source}: {person.name} is in the Unix groups of both "
                f"groups.{claims[0]} and groups.{claims[1]}.",
                hint=f"Ask your admin to list {person.name} as a member of one of them.",
                file=str(self.source),
                user=person.name,
                groups=claims,
            )
        return claims[0] if claims else self._default_group

    def _resolve(self, group: str, override: Level | None) -> PersonLimits:
        levels = [_BUILTIN, self._defaults]
        if group in self._groups:
            levels.append(self._groups[group].level)
        if override is not None:
            levels.append(override)
        return _Merge(levels, self.source).limits(group)

    def _check_every_combination(self) -> None:
        """Every meeting of levels that can be foreseen, so that a mistake shows at once."""
        for group in (NO_GROUP, *self._groups):
            self._resolve(group, None)
        open_groups = [name for name, group in self._groups.items() if group.unix_group]
        for user, override in self._overrides.items():
            listed = self._group_of.get(user)
            for group in [listed] if listed else [self._default_group, *open_groups]:
                self._resolve(group, override)

    def _check_slices(self, node: Node) -> None:
        by_slice: dict[str, str] = {}
        for name in self._groups:
            other = by_slice.setdefault(cgroup_slice(name), name)
            if other != name:
                raise node.at((name,)).mistake(
                    f"its slice {cgroup_slice(name)} would be that of groups.{other} too",
                    hint="systemd reads - as a level of the hierarchy, so - becomes _; choose "
                    "another name.",
                    of_key=True,
                )
        if NO_GROUP in self._groups and self._default_group != NO_GROUP:
            raise node.at((NO_GROUP,)).mistake(
                f"this name is for people without a group, who are in {self._default_group!r} here",
                hint="Write `default_group: default`, or choose another name.",
                of_key=True,
            )


class _Merge:
    """The levels that meet in one person, furthest first."""

    def __init__(self, levels: list[Level], source: Path) -> None:
        self._levels = levels
        self._source = source

    def limits(self, group: str) -> PersonLimits:
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
                max_mig_instances=self._get("max_mig_instances", int),
                max_slots_per_container=self._get("max_slots_per_container", int),
                cgroup_parent=cgroup_slice(group),
            ),
            idle_timeout=self._get("idle_timeout", timedelta),
            max_runtime=self._get("max_runtime", timedelta),
            gpu_hold_after_stop=self._get("gpu_hold_after_stop", timedelta),
            container_hold_after_stop=self._get("container_hold_after_stop", timedelta),
        )

    def _memory_swap(self, memory: int | None) -> int | None:
        """Memory and swap together. A size that was meant for another memory does not count."""
        at = self._nearest("memory_swap")
        if at is None or at < self._where("memory"):
            return memory
        swap = self._get("memory_swap", int)
        if swap is not None and (memory is None or swap < memory):
            shown = "unlimited" if memory is None else format_size(memory)
            raise self._contradiction(
                "memory_swap",
                "memory",
                f"memory_swap is memory and swap together, so {format_size(swap)} is too little "
                f"for a memory of {shown}",
            )
        return swap

    def _shm_size(self, memory: int | None) -> int:
        size = self._number("shm_size")
        if memory is None or size <= memory:
            return size
        if self._where("shm_size") == 0:
            return memory
        raise self._contradiction(
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


def cgroup_slice(group: str) -> str:
    """The systemd slice of a group: `ds01-GROUP.slice`, directly below `ds01.slice`.

    systemd reads each `-` as one more level of the hierarchy, whose slices nobody made; so it
    becomes `_`.
    """
    return f"ds01-{group.replace('-', '_')}.slice"


def _read_groups(node: Node) -> dict[str, _Group]:
    groups = {}
    for name, section in node.mapping().items():
        if not _GROUP_NAME.fullmatch(name):
            raise section.mistake(
                "a group is named by lowercase letters, digits, - and _", of_key=True
            )
        entries = section.mapping()
        members = entries["members"].sequence() if "members" in entries else []
        unix_group = entries.get("unix_group")
        groups[name] = _Group(
            level=read_level(f"groups.{name}", entries, _GROUP_KEYS),
            members=frozenset(member.word() for member in members),
            unix_group=None if unix_group is None else unix_group.word(),
        )
    return groups


def _members(node: Node, groups: Mapping[str, _Group]) -> dict[str, str]:
    group_of: dict[str, str] = {}
    for name, group in groups.items():
        for member in sorted(group.members):
            other = group_of.setdefault(member, name)
            if other != name:
                raise _place_of_member(node, name, member).mistake(
                    f"{member} is in groups.{other} too; a person is in one group"
                )
    return group_of


def _check_unix_groups(node: Node, groups: Mapping[str, _Group]) -> None:
    by_unix_group: dict[str, str] = {}
    for name, group in groups.items():
        if group.unix_group is None:
            continue
        other = by_unix_group.setdefault(group.unix_group, name)
        if other != name:
            raise node.at((name, "unix_group")).mistake(
                f"groups.{other} has this Unix group already; a person is in one group"
            )


def _place_of_member(node: Node, group: str, member: str) -> Node:
    items: Iterable[Node] = node.at((group, "members")).sequence()
    return next(item for item in items if item.text == member)


def _default_group(node: Node | None, groups: Mapping[str, _Group]) -> str:
    if node is None:
        return NO_GROUP
    name = node.word()
    if name not in groups:
        near = nearest(name, groups)
        raise node.mistake(
            f"there is no group {name!r}", hint=f"Did you mean {near!r}?" if near else ""
        )
    return name
