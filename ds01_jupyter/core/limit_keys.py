"""The keys of `resource-limits.yaml`, what each may hold, and what holds where none is given.

Three things are never confused: `null` is unlimited, an absent key takes the next level's value
and in the end `DEFAULTS`, and 0 is zero.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from fractions import Fraction
from typing import Any

from ds01_jupyter.core.units import MAX_SIZE, format_size, in_range, parse_duration, parse_size
from ds01_jupyter.core.wording import nearest
from ds01_jupyter.core.yaml_file import Node

GIB = 1024**3
DOCKER_LEAST_MEMORY = 6 * 1024**2
MAX_COUNT = 1_000_000

Value = int | float | timedelta | None

DEFAULTS: Mapping[str, Value] = {
    "max_cpus": 16.0,
    "memory": 32 * GIB,
    "shm_size": 16 * GIB,
    "pids_limit": 4096,
    "max_containers": 3,
    "max_mig_instances": 2,
    "max_slots_per_container": 1,
    "priority": 10,
    "idle_timeout": timedelta(hours=48),
    "max_runtime": None,
    "gpu_hold_after_stop": timedelta(hours=24),
    "container_hold_after_stop": None,
}
"""What an absent key means. `memory_swap` has none: it follows `memory`. `shm_size`, where absent,
is never more than `memory`."""


@dataclass(frozen=True)
class LimitKey:
    """How a key is read: `read` makes a value of a scalar or raises ValueError."""

    name: str
    read: Callable[[Node], Value]
    nullable: bool = True


def _cpus(node: Node) -> float:
    number = _number(node)
    if number < 0.01:
        raise ValueError("a container cannot run with less than 0.01 CPUs; null means unlimited")
    if number > MAX_COUNT:
        raise ValueError("no machine has as many CPUs")
    return float(number)


def _size(least: int) -> Callable[[Node], int]:
    def read(node: Node) -> int:
        value = node.value
        if isinstance(value, bool) or not isinstance(value, int | str):
            raise ValueError("a size is a number with k, m, g or t, such as 32g or 512m")
        if isinstance(value, int):
            if value < 0:
                raise ValueError("a size is not negative; null means unlimited")
            size = value
        else:
            size = parse_size(value)
        if size < least:
            raise ValueError(
                f"{format_size(size)} is less than {format_size(least)}, the least that works; "
                "was a unit meant, such as 32g?"
            )
        if size > MAX_SIZE:
            raise ValueError("this size is larger than any machine's")
        return size

    return read


def _count(least: int, most: int = MAX_COUNT) -> Callable[[Node], int]:
    def read(node: Node) -> int:
        value = node.value
        if isinstance(value, bool) or not isinstance(value, int):
            raise ValueError("this must be a whole number")
        if not least <= value <= most:
            raise ValueError(f"this must be from {least} to {most}")
        return value

    return read


def _duration(least: timedelta) -> Callable[[Node], timedelta]:
    def read(node: Node) -> timedelta:
        if not isinstance(node.value, str):
            raise ValueError("a duration carries its unit, such as 48h or 30m")
        return _at_least(parse_duration(node.value), least)

    return read


def _hours(least: timedelta) -> Callable[[Node], timedelta]:
    def read(node: Node) -> timedelta:
        number = _number(node)
        if number < 0:
            raise ValueError("hours are not negative; null means without limit")
        return _at_least(in_range(Fraction(number) * 3600), least)

    return read


def _at_least(duration: timedelta, least: timedelta) -> timedelta:
    if duration < least:
        raise ValueError("this is too short; a minute is the least, and null means without limit")
    return duration


def _number(node: Node) -> int | float:
    value: Any = node.value
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("this must be a number, without quotes")
    if not math.isfinite(value):
        raise ValueError("this must be a finite number; null means unlimited")
    return value


def _keys() -> dict[str, LimitKey]:
    minute = timedelta(minutes=1)
    keys: dict[str, LimitKey] = {
        "max_cpus": LimitKey("max_cpus", _cpus),
        "cpus": LimitKey("max_cpus", _cpus),
        "memory": LimitKey("memory", _size(DOCKER_LEAST_MEMORY)),
        "memory_swap": LimitKey("memory_swap", _size(DOCKER_LEAST_MEMORY)),
        # Docker has no unlimited shared memory; without a size it gives 64 MiB.
        "shm_size": LimitKey("shm_size", _size(1024**2), nullable=False),
        "pids_limit": LimitKey("pids_limit", _count(1, 2**22)),
        "max_containers_per_user": LimitKey("max_containers", _count(0)),
        "max_containers": LimitKey("max_containers", _count(0)),
        "max_mig_instances": LimitKey("max_mig_instances", _count(0)),
        "max_slots_per_container": LimitKey("max_slots_per_container", _count(0)),
        "priority": LimitKey("priority", _count(0, 100), nullable=False),
    }
    for name, least in (
        ("idle_timeout", minute),
        ("max_runtime", minute),
        ("gpu_hold_after_stop", timedelta(0)),
        ("container_hold_after_stop", timedelta(0)),
    ):
        keys[name] = LimitKey(name, _duration(least))
        keys[f"{name}_h"] = LimitKey(name, _hours(least))
    return keys


KEYS: Mapping[str, LimitKey] = _keys()
"""Every spelling of every key."""


@dataclass(frozen=True)
class Level:
    """The values that one section gives, and where each stands. `name` is for messages."""

    name: str
    values: Mapping[str, Value]
    nodes: Mapping[str, Node]


def read_level(name: str, entries: Mapping[str, Node], also: tuple[str, ...] = ()) -> Level:
    """Read the limits of a section; keys in `also` are somebody else's.

    Raises `ConfigurationError` for an unknown key, a value that makes no sense, or two spellings
    of one key.
    """
    values: dict[str, Value] = {}
    nodes: dict[str, Node] = {}
    for spelling, node in entries.items():
        if spelling in also:
            continue
        key = KEYS.get(spelling)
        if key is None:
            near = nearest(spelling, (*KEYS, *also))
            raise node.mistake(
                "this key has no meaning here, so it would limit nothing",
                hint=f"Did you mean {near!r}?" if near else "",
                of_key=True,
            )
        if key.name in values:
            raise node.mistake(
                f"line {nodes[key.name].key_line} says the same in another spelling", of_key=True
            )
        values[key.name] = _value(key, node)
        nodes[key.name] = node
    return Level(name, values, nodes)


def _value(key: LimitKey, node: Node) -> Value:
    if node.value is None:
        if not key.nullable:
            raise node.mistake("this cannot be unlimited (null)", of_key=True)
        return None
    if isinstance(node.value, dict | list):
        raise node.mistake("this must be one value", of_key=True)
    try:
        return key.read(node)
    except ValueError as error:
        raise node.mistake(str(error)) from None
