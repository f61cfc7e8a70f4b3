"""Limits, key by key, against a small model that was written without looking at the code.

The model knows one table of spellings and one rule: go from the person outwards, and take the
first level that says anything about a key, in whatever spelling.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ds01_jupyter.core.errors import ConfigurationError
from ds01_jupyter.core.identity import Person
from ds01_jupyter.core.limits import LimitsFile

GIB = 1024**3
HOUR = timedelta(hours=1)

SPELLINGS: dict[str, tuple[str, ...]] = {
    "max_cpus": ("max_cpus", "cpus"),
    "pids_limit": ("pids_limit",),
    "max_containers": ("max_containers", "max_containers_per_user"),
    "max_mig_instances": ("max_mig_instances", "max_gpu_slots", "max_gpus_per_user"),
    "max_slots_per_container": (
        "max_slots_per_container",
        "max_gpu_slots_per_container",
        "max_gpus_per_container",
        "max_mig_per_container",
    ),
    "max_gpu_equivalents": ("max_gpu_equivalents",),
    "allow_full_gpu": ("allow_full_gpu",),
    "priority": ("priority",),
    "memory": ("memory",),
    "memory_swap": ("memory_swap",),
    "idle_timeout": ("idle_timeout", "idle_timeout_h", "idle_timeout_m"),
}
VALUES: dict[str, tuple[Any, ...]] = {
    "max_cpus": (None, 0.5, 4, 64),
    "pids_limit": (None, 1, 4096),
    "max_containers": (None, 0, 1, 9),
    "max_mig_instances": (None, 0, 1, 9),
    "max_slots_per_container": (None, 0, 1, 9),
    "max_gpu_equivalents": (None, 0, 0.5, 4),
    "allow_full_gpu": (True, False),
    "priority": (0, 10, 100),
    "memory": (None, "16g", "20g", "64g"),
    "memory_swap": (None, "24g", "64g", "96g"),
    "idle_timeout": (None, 0, 1, 48),  # hours
}
DOCUMENTED = {
    "max_cpus": 16,
    "pids_limit": 4096,
    "max_containers": 3,
    "max_mig_instances": 2,
    "max_slots_per_container": 1,
    "max_gpu_equivalents": None,
    "allow_full_gpu": True,
    "priority": 10,
    "memory": "32g",
    "idle_timeout": 48,
}

Given = dict[str, tuple[str, Any]]
"""For each key that a level gives, its spelling and its value."""


def entry(key: str) -> st.SearchStrategy[tuple[str, Any]]:
    return st.tuples(st.sampled_from(SPELLINGS[key]), st.sampled_from(VALUES[key]))


levels = st.fixed_dictionaries({}, optional={key: entry(key) for key in SPELLINGS})


def written(given: Given) -> dict[str, Any]:
    """A level as an admin would write it."""
    section: dict[str, Any] = {}
    for spelling, value in given.values():
        if value is None or not spelling.startswith("idle_timeout"):
            section[spelling] = value
        elif spelling == "idle_timeout":
            section[spelling] = f"{value}h"
        else:
            section[spelling] = value * (60 if spelling.endswith("_m") else 1)
    return section


def model(*near_to_far: Given) -> dict[str, Any] | None:
    """What levels come to, sizes in GiB, times in hours; None where they contradict each other."""
    result: dict[str, Any] = {}
    for key in SPELLINGS:
        saying = [level[key][1] for level in near_to_far if key in level]
        if saying:
            result[key] = saying[0]
        elif key == "max_mig_instances" and any("max_gpu_equivalents" in x for x in near_to_far):
            result[key] = None
        elif key in DOCUMENTED:
            result[key] = DOCUMENTED[key]
    for level in near_to_far:
        if "memory_swap" in level:
            break
        if "memory" in level:
            result["memory_swap"] = level["memory"][1]
            break
    else:
        result["memory_swap"] = "32g"
    for key in ("memory", "memory_swap"):
        result[key] = result[key] and int(result[key].removesuffix("g"))
    memory, swap = result["memory"], result["memory_swap"]
    too_little = swap is not None and (memory is None or swap < memory)
    return None if too_little else result


def found(limits: LimitsFile, name: str) -> dict[str, Any]:
    everything = limits.person_limits(Person(name, 70_000, 70_000, Path("/nowhere")))
    values = everything.values.model_dump()
    for key in ("memory", "memory_swap"):
        values[key] = values[key] and values[key] // GIB
    idle = everything.idle_timeout
    values["idle_timeout"] = None if idle is None else idle / HOUR
    return {key: values[key] for key in SPELLINGS}


@settings(deadline=None, max_examples=300)
@given(levels, levels, levels)
@example({"memory_swap": ("memory_swap", "24g")}, {"memory": ("memory", "16g")}, {})
@example({}, {"memory": ("memory", None)}, {"memory_swap": ("memory_swap", "64g")})
@example(
    {"max_mig_instances": ("max_mig_instances", 9)}, {"max_mig_instances": ("max_gpu_slots", 0)}, {}
)
@example({"max_gpu_equivalents": ("max_gpu_equivalents", None)}, {}, {})
def test_levels_against_a_simple_model(
    tmp_path_factory: pytest.TempPathFactory, defaults: Given, group: Given, override: Given
) -> None:
    path = tmp_path_factory.mktemp("limits") / "limits.yaml"
    content = {
        "defaults": written(defaults),
        "groups": {"lab": {"members": ["kim", "lee"], **written(group)}},
        "user_overrides": {"kim": written(override)},
    }
    path.write_text(yaml.safe_dump(content))
    expected = {
        "other": model(defaults),
        "lee": model(group, defaults),
        "kim": model(override, group, defaults),
    }
    if None in expected.values():
        with pytest.raises(ConfigurationError, match="too little for a memory of"):
            LimitsFile.load(path)
        return
    limits = LimitsFile.load(path)
    assert {name: found(limits, name) for name in expected} == expected


@settings(deadline=None)
@given(levels, st.sampled_from([key for key in SPELLINGS if len(SPELLINGS[key]) > 1]), st.data())
def test_two_spellings_at_one_level_are_a_mistake_whatever_they_say(
    tmp_path_factory: pytest.TempPathFactory, level: Given, key: str, data: st.DataObject
) -> None:
    one, two = data.draw(st.permutations(SPELLINGS[key]))[:2]
    values = data.draw(st.tuples(*[st.sampled_from(VALUES[key])] * 2))
    rest = {name: item for name, item in level.items() if name != key}
    rest.pop("memory_swap", None)
    section = written(rest)
    for spelling, value in zip((one, two), values, strict=True):
        section |= written({key: (spelling, value)})
    path = tmp_path_factory.mktemp("limits") / "limits.yaml"
    path.write_text(yaml.safe_dump({"user_overrides": {"kim": section}}, sort_keys=False))
    with pytest.raises(ConfigurationError, match="says the same in another spelling"):
        LimitsFile.load(path)
