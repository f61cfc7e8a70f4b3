"""The keys of `resource-limits.yaml`, what each may hold, and what holds where none is given.

Three things are never confused: `null` is unlimited, an absent key takes the next level's value
and in the end `DEFAULTS`, and 0 is zero.

Older names of a key are the same key, at the level where they stand. Keys of DS01 that nothing
here obeys are refused, with a sentence on what to do instead: nobody is to believe in a limit that
does not hold.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from ds01_jupyter.core import limit_values as read
from ds01_jupyter.core.limit_values import Reader, Value
from ds01_jupyter.core.units import SECONDS
from ds01_jupyter.core.wording import nearest
from ds01_jupyter.core.yaml_file import Mistakes, Node

GIB = 1024**3

DEFAULTS: Mapping[str, Value] = {
    "max_cpus": 16.0,
    "memory": 32 * GIB,
    "shm_size": 16 * GIB,
    "pids_limit": 4096,
    "max_containers": 3,
    "max_mig_instances": 2,
    "max_gpu_equivalents": None,
    "max_slots_per_container": 1,
    "allow_full_gpu": True,
    "priority": 10,
    "idle_timeout": timedelta(hours=48),
    "max_runtime": None,
    "gpu_hold_after_stop": timedelta(hours=24),
    "container_hold_after_stop": None,
    "created_timeout": timedelta(minutes=30),
}
"""What an absent key means, with three that follow another key: `memory_swap` is `memory`;
`shm_size` is never more than `memory`; and where `max_gpu_equivalents` is given and
`max_mig_instances` nowhere, only the former counts."""

DURATIONS = (
    "idle_timeout",
    "max_runtime",
    "gpu_hold_after_stop",
    "container_hold_after_stop",
    "created_timeout",
)

ALIASES: Mapping[str, str] = {
    "cpus": "max_cpus",
    "max_containers_per_user": "max_containers",
    "max_gpu_slots": "max_mig_instances",
    "max_gpus_per_user": "max_mig_instances",
    "max_gpu_slots_per_container": "max_slots_per_container",
    "max_gpus_per_container": "max_slots_per_container",
    "max_mig_per_container": "max_slots_per_container",
    "created_container_timeout": "created_timeout",
}
"""Older names. Those that once counted "GPUs" count slots: never laxer than what they said."""

UNSUPPORTED: Mapping[str, str] = {
    "aggregate": "limits over all containers of one person are not supported yet; what a group may "
    "use as a whole can be set on its slice (systemctl set-property)",
    "policies": "thresholds and grace periods of one's own are not supported yet",
    "storage_tmp": "a limit for /tmp is not supported yet",
    "max_tasks": "this is not supported yet; pids_limit limits each container",
    "gpu_hold_after_manual_stop": "this is not supported; use gpu_hold_after_stop",
    "max_concurrent_jobs": "there is no jobs API here, so it would limit nothing",
    "max_daily_submissions": "there is no jobs API here, so it would limit nothing",
    "max_result_size_mb": "there is no jobs API here, so it would limit nothing",
    "gpu_memory": "this is not supported; a MIG instance has its own memory",
    "ulimits": "this is not supported yet",
    "storage_quota": "this is not supported yet; quotas are the file system's",
    "group": "a person is put into a group under groups.GROUP.members",
}
"""Keys of DS01 at a level, each with a sentence for the admin."""

UNSUPPORTED_SECTIONS: Mapping[str, str] = {
    "policies": "thresholds and grace periods of one's own are not supported yet",
    "enforcement": "there is nothing to switch: limits are always enforced",
    "gpu_allocation": "this is not supported; slots are what the driver says",
    "container_types": "limits by kind of container are not supported; all have the same",
    "reservations": "reservations do not stand in this file",
    "monitoring": "monitoring is not set up in this file",
    "bare_metal_access": "this is not supported; access to the host is its admin's",
    "access_control": "this is not supported; nobody has another person's containers",
    "user-overrides": "this is called user_overrides here",
    "group_overrides": "a person is put into a group under groups.GROUP.members",
}
"""Sections of DS01's file, likewise."""


@dataclass(frozen=True)
class LimitKey:
    """One spelling of a key: the canonical `name` of what it sets, and how it is read."""

    name: str
    read: Reader
    nullable: bool = True


def _keys() -> dict[str, LimitKey]:
    memory, slots = read.size(read.DOCKER_LEAST_MEMORY), read.count(0, of_slots=True)
    canonical = (
        LimitKey("max_cpus", read.cpus),
        LimitKey("memory", memory),
        LimitKey("memory_swap", memory),
        # Docker has no unlimited shared memory; without a size it gives 64 MiB.
        LimitKey("shm_size", read.size(1024**2), nullable=False),
        LimitKey("pids_limit", read.count(1, 2**22)),
        LimitKey("max_containers", read.count(0)),
        LimitKey("max_mig_instances", slots),
        LimitKey("max_gpu_equivalents", read.equivalents),
        LimitKey("max_slots_per_container", slots),
        LimitKey("allow_full_gpu", read.switch, nullable=False),
        LimitKey("priority", read.count(0, 100), nullable=False),
        *(LimitKey(name, read.duration) for name in DURATIONS),
    )
    keys = {key.name: key for key in canonical}
    keys |= {alias: keys[name] for alias, name in ALIASES.items()}
    for name, key in [(name, key) for name, key in keys.items() if key.name in DURATIONS]:
        for unit, seconds in SECONDS.items():
            keys[f"{name}_{unit}"] = LimitKey(key.name, read.number_of(seconds))
    return keys


KEYS: Mapping[str, LimitKey] = _keys()
"""Every spelling of every key."""


@dataclass(frozen=True)
class Level:
    """The values that one section gives, by canonical key, and where each stands.

    `name` is for messages. `unread` are the keys whose value is a mistake.
    """

    name: str
    values: Mapping[str, Value]
    nodes: Mapping[str, Node]
    unread: frozenset[str] = frozenset()


def read_level(name: str, section: Node, mistakes: Mistakes, also: tuple[str, ...] = ()) -> Level:
    """Read the limits of a section; keys in `also` are somebody else's.

    Unknown and unsupported keys, values that make no sense, and two spellings of one key go to
    `mistakes`.
    """
    values: dict[str, Value] = {}
    nodes: dict[str, Node] = {}
    with mistakes.gathered():
        for spelling, node in section.mapping().items():
            if spelling in also:
                continue
            with mistakes.gathered():
                key = _key(spelling, node, also)
                if key.name in nodes:
                    raise node.mistake(
                        f"line {nodes[key.name].key_line} says the same in another spelling",
                        of_key=True,
                    )
                nodes[key.name] = node
                values[key.name] = _value(key, node)
    given = {name: node for name, node in nodes.items() if name in values}
    return Level(name, values, given, frozenset(nodes) - frozenset(values))


def _key(spelling: str, node: Node, also: tuple[str, ...]) -> LimitKey:
    key = KEYS.get(spelling)
    if key is not None:
        return key
    stem, _, unit = spelling.rpartition("_")
    instead = UNSUPPORTED.get(stem if unit in SECONDS else spelling)
    if instead:
        raise node.mistake(instead, hint="Take the key out.", of_key=True)
    near = nearest(spelling, (*KEYS, *also))
    raise node.mistake(
        "this key has no meaning here, so it would limit nothing",
        hint=f"Did you mean {near!r}?" if near else "",
        of_key=True,
    )


def _value(key: LimitKey, node: Node) -> Value:
    if node.value is None:
        if not key.nullable:
            what = "is true or false" if key.name == "allow_full_gpu" else "cannot be unlimited"
            raise node.mistake(f"this {what} (null)", of_key=True)
        return None
    if isinstance(node.value, dict | list):
        raise node.mistake("this must be one value", of_key=True)
    try:
        return key.read(node)
    except ValueError as error:
        raise node.mistake(str(error)) from None
