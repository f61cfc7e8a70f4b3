"""resource-limits.yaml: how a person's limits are found."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from ds01_jupyter.core.errors import ConfigurationError
from ds01_jupyter.core.identity import Person
from ds01_jupyter.core.limits import LimitsFile, PersonLimits
from ds01_jupyter.core.settings import DATA

GIB = 1024**3


def person(name: str = "kim", groups: tuple[str, ...] = ()) -> Person:
    return Person(name, 1001, 1001, Path("/home/kim"), groups)


def load(folder: Path, content: str | dict[str, Any]) -> LimitsFile:
    path = folder / "resource-limits.yaml"
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    return LimitsFile.load(path)


def test_what_ships() -> None:
    limits = LimitsFile.load(DATA / "resource-limits.yaml")
    values = limits.for_person(person())
    assert values.model_dump() == {
        "group": "student",
        "priority": 10,
        "max_cpus": 16.0,
        "memory": 32 * GIB,
        "memory_swap": 32 * GIB,
        "shm_size": 16 * GIB,
        "pids_limit": 4096,
        "max_containers": 3,
        "max_mig_instances": 2,
        "max_gpu_equivalents": None,
        "max_slots_per_container": 1,
        "allow_full_gpu": True,
        "cgroup_parent": "ds01-student.slice",
    }
    assert limits.source == DATA / "resource-limits.yaml"


def test_the_groups_that_ship(tmp_path: Path) -> None:
    content = yaml.safe_load((DATA / "resource-limits.yaml").read_text())
    content["groups"]["admin"]["members"] = ["datasciencelab"]
    content["groups"]["researcher"]["members"] = ["rosa"]
    limits = load(tmp_path, content)
    admin, researcher = (limits.for_person(person(n)) for n in ("datasciencelab", "rosa"))
    assert (admin.group, admin.max_mig_instances, admin.max_containers) == ("admin", None, None)
    assert (admin.priority, admin.memory) == (90, 32 * GIB)
    assert (researcher.group, researcher.max_mig_instances) == ("researcher", 8)
    assert (researcher.max_cpus, researcher.memory) == (32.0, 64 * GIB)
    assert (researcher.memory_swap, researcher.shm_size) == (64 * GIB, 16 * GIB)


def test_what_the_shipped_file_calls_the_default_is_the_default(tmp_path: Path) -> None:
    shipped = LimitsFile.load(DATA / "resource-limits.yaml").person_limits(person())
    nothing = load(tmp_path, "defaults:\n  # all as documented\n").person_limits(person())
    assert nothing.values.group == "default"
    assert nothing.values.cgroup_parent == "ds01-default.slice"
    own = {"group", "cgroup_parent"}
    assert nothing.values.model_dump(exclude=own) == shipped.values.model_dump(exclude=own)
    assert nothing.idle_timeout == shipped.idle_timeout == timedelta(hours=48)
    assert nothing.max_runtime is None
    assert nothing.gpu_hold_after_stop == timedelta(hours=24)
    assert nothing.container_hold_after_stop is None


def test_the_nearest_level_wins_key_by_key(tmp_path: Path) -> None:
    limits = load(
        tmp_path,
        """
        defaults: {max_cpus: 4, memory: 8g, shm_size: 2g, priority: 1}
        groups:
          lab: {members: [kim, lee], memory: 16g, priority: 50}
        user_overrides:
          kim: {priority: 100, pids_limit: 99}
        """,
    )
    kim = limits.for_person(person("kim"))
    assert (kim.group, kim.cgroup_parent) == ("lab", "ds01-lab.slice")
    assert (kim.priority, kim.pids_limit, kim.memory, kim.max_cpus) == (100, 99, 16 * GIB, 4.0)
    lee = limits.for_person(person("lee"))
    assert (lee.priority, lee.pids_limit, lee.memory) == (50, 4096, 16 * GIB)
    other = limits.for_person(person("other"))
    assert (other.group, other.priority, other.memory) == ("default", 1, 8 * GIB)


def test_null_absent_and_zero_are_three_things(tmp_path: Path) -> None:
    keys = ("max_containers", "max_mig_instances", "max_slots_per_container")
    null = load(tmp_path, {"defaults": dict.fromkeys(keys)}).for_person(person())
    zero = load(tmp_path, {"defaults": dict.fromkeys(keys, 0)}).for_person(person())
    absent = load(tmp_path, {"defaults": {}}).for_person(person())
    assert [getattr(null, key) for key in keys] == [None, None, None]
    assert [getattr(zero, key) for key in keys] == [0, 0, 0]
    assert [getattr(absent, key) for key in keys] == [3, 2, 1]


def test_null_of_a_nearer_level_beats_a_number_and_zero_beats_null(tmp_path: Path) -> None:
    limits = load(
        tmp_path,
        """
        defaults: {max_mig_instances: 1, max_containers: 3, max_cpus: 2, pids_limit: 7, memory: 8g,
                   shm_size: 1g}
        groups:
          admin: {members: [kim, lee], max_mig_instances: null, max_containers: ~, max_cpus: null,
                  pids_limit: null, memory: null}
        user_overrides:
          lee: {max_mig_instances: 0}
        """,
    )
    kim = limits.for_person(person("kim"))
    assert (kim.max_mig_instances, kim.max_containers, kim.max_cpus) == (None, None, None)
    assert (kim.pids_limit, kim.memory, kim.memory_swap) == (None, None, None)
    assert kim.shm_size == GIB
    assert limits.for_person(person("lee")).max_mig_instances == 0


@pytest.mark.parametrize(
    ("alias", "key", "value"),
    [
        ("cpus", "max_cpus", 0.5),
        ("max_containers_per_user", "max_containers", 0),
        ("max_gpu_slots", "max_mig_instances", 5),
        ("max_gpus_per_user", "max_mig_instances", 5),
        ("max_gpu_slots_per_container", "max_slots_per_container", 5),
        ("max_gpus_per_container", "max_slots_per_container", 5),
        ("max_mig_per_container", "max_slots_per_container", None),
    ],
)
def test_older_names_are_the_same_key(
    tmp_path: Path, alias: str, key: str, value: float | None
) -> None:
    values = load(tmp_path, {"defaults": {alias: value}}).for_person(person())
    assert getattr(values, key) == value
    nearer = {"defaults": {key: 9}, "groups": {"lab": {"members": ["kim"], alias: value}}}
    assert getattr(load(tmp_path, nearer).for_person(person()), key) == value
    further = {"defaults": {alias: 9}, "groups": {"lab": {"members": ["kim"], key: value}}}
    assert getattr(load(tmp_path, further).for_person(person()), key) == value
    with pytest.raises(ConfigurationError, match="says the same in another spelling"):
        load(tmp_path, {"defaults": {alias: 1, key: 1}})


@pytest.mark.parametrize(
    ("text", "value"),
    [("1", 1.0), ("0.5", 0.5), ("3/7", 3 / 7), ("'3/7'", 3 / 7), ("0", 0.0), ("null", None)],
)
def test_gpu_equivalents(tmp_path: Path, text: str, value: float | None) -> None:
    limits = load(tmp_path, f"defaults: {{max_gpu_equivalents: {text}}}")
    assert limits.for_person(person()).max_gpu_equivalents == value


def test_a_file_that_counts_in_equivalents_only_means_no_number_of_slots(tmp_path: Path) -> None:
    text = """
    groups:
      lab: {members: [kim], max_gpu_equivalents: 2}
      admin: {members: [lee], max_gpu_equivalents: null}
      both: {members: [ann], max_gpu_equivalents: 2, max_mig_instances: 3}
    """
    limits = load(tmp_path, text)
    found = {
        name: (values.max_gpu_equivalents, values.max_mig_instances)
        for name in ("kim", "lee", "ann", "other")
        for values in [limits.for_person(person(name))]
    }
    assert found == {"kim": (2, None), "lee": (None, None), "ann": (2, 3), "other": (None, 2)}
    limits = load(tmp_path, "defaults: {max_mig_instances: 2}\n" + text.replace("\n    ", "\n"))
    assert limits.for_person(person("kim")).max_mig_instances == 2, "given somewhere, it counts"


def test_whole_gpus_may_be_refused_to_a_group(tmp_path: Path) -> None:
    text = "defaults: {allow_full_gpu: false}\ngroups: {lab: {members: [kim], allow_full_gpu: on}}"
    limits = load(tmp_path, text)
    assert limits.for_person(person("kim")).allow_full_gpu is True
    assert limits.for_person(person("lee")).allow_full_gpu is False


# ---- memory, swap and shared memory ------------------------------------------------------------


@pytest.mark.parametrize(
    ("defaults", "group", "override", "expected"),
    [
        ({}, {}, {}, (32, 32)),
        ({"memory": "8g", "shm_size": "1g"}, {}, {}, (8, 8)),
        ({"memory": "8g", "shm_size": "1g", "memory_swap": "12g"}, {}, {}, (8, 12)),
        ({"memory_swap": "40g"}, {}, {}, (32, 40)),
        ({"memory": "8g", "shm_size": "1g", "memory_swap": "12g"}, {"memory": "16g"}, {}, (16, 16)),
        ({"memory": "8g", "shm_size": "1g"}, {"memory_swap": "12g"}, {}, (8, 12)),
        ({"shm_size": "1g"}, {"memory": "8g", "memory_swap": "9g"}, {"memory": "4g"}, (4, 4)),
        ({"shm_size": "1g"}, {"memory": "8g"}, {"memory_swap": "9g"}, (8, 9)),
        ({"memory": "8g", "shm_size": "1g", "memory_swap": None}, {}, {}, (8, None)),
        ({"memory_swap": None}, {"memory": "40g"}, {}, (40, 40)),
        ({}, {"memory": None}, {}, (None, None)),
        ({"memory_swap": "40g"}, {"memory": None}, {}, (None, None)),
    ],
)
def test_swap_follows_the_memory_that_it_was_written_for(
    tmp_path: Path,
    defaults: dict[str, Any],
    group: dict[str, Any],
    override: dict[str, Any],
    expected: tuple[int | None, int | None],
) -> None:
    limits = load(
        tmp_path,
        {
            "defaults": defaults,
            "groups": {"lab": {"members": ["kim"], **group}},
            "user_overrides": {"kim": override},
        },
    )
    values = limits.for_person(person())
    in_gib = tuple(v if v is None else v // GIB for v in (values.memory, values.memory_swap))
    assert in_gib == expected


def test_documented_shared_memory_is_never_more_than_the_memory(tmp_path: Path) -> None:
    values = load(tmp_path, "defaults: {memory: 8g}").for_person(person())
    assert values.shm_size == 8 * GIB


# ---- who is in which group ---------------------------------------------------------------------


def test_people_are_named_as_they_are_written(tmp_path: Path) -> None:
    text = "groups:\n  lab:\n    members: [1001, 007, no, 1e3, 2024-01-01, a@b.example, 'x y']\n"
    text += "user_overrides:\n  1001: {priority: 99}\n  no: {priority: 98}\n"
    limits = load(tmp_path, text)
    for name in ("1001", "007", "no", "1e3", "2024-01-01", "a@b.example", "x y"):
        assert limits.group_of(person(name)) == "lab"
    for name in ("7", "False", "1000.0", "Kim"):
        assert limits.group_of(person(name)) == "default"
    assert limits.for_person(person("1001")).priority == 99
    assert limits.for_person(person("no")).priority == 98


def test_unix_groups(tmp_path: Path) -> None:
    limits = load(
        tmp_path,
        """
        groups:
          student: {unix_group: stud}
          staff: {unix_group: 100, members: [lee]}
        default_group: student
        """,
    )
    assert limits.group_of(person("kim", ("users", "100"))) == "staff"
    assert limits.group_of(person("kim", ("stud",))) == "student"
    assert limits.group_of(person("kim", ("users",))) == "student"
    assert limits.group_of(person("lee", ("stud", "lee"))) == "staff"
    with pytest.raises(ConfigurationError, match=r"kim.*groups.student and groups.staff"):
        limits.for_person(person("kim", ("stud", "100")))


def test_the_default_group(tmp_path: Path) -> None:
    text = "groups: {a: {priority: 7}, b: {members: [lee]}}\ndefault_group: a\n"
    limits = load(tmp_path, text)
    assert limits.for_person(person("kim")).priority == 7
    assert limits.for_person(person("kim")).cgroup_parent == "ds01-a.slice"
    assert limits.for_person(person("lee")).group == "b"


def test_a_group_may_be_called_default_when_it_is(tmp_path: Path) -> None:
    for more in ("", "default_group: default\n"):
        limits = load(tmp_path, "groups: {default: {priority: 7}}\n" + more)
        assert limits.for_person(person()).priority == 7


def test_a_slice_lies_directly_below_the_one_of_ds01(tmp_path: Path) -> None:
    limits = load(tmp_path, "groups: {phd-vision-lab: {members: [kim]}}")
    assert limits.for_person(person()).cgroup_parent == "ds01-phd_vision_lab.slice"


def test_sections_with_nothing_but_comments_are_empty(tmp_path: Path) -> None:
    text = (
        "defaults:\n  # x\ngroups:\n  a:\n    # x\n  b:\n    members:\n      # x\nuser_overrides:\n"
    )
    text += "  kim:\n    # until June\n"
    assert load(tmp_path, text).for_person(person()).priority == 10


def test_durations_carry_their_unit(tmp_path: Path) -> None:
    text = """
    defaults: {idle_timeout: 0.5h, max_runtime_m: 90, gpu_hold_after_stop: 0h}
    user_overrides: {kim: {idle_timeout: null, container_hold_after_stop_h: 0, max_runtime: 1h30m}}
    """
    limits = load(tmp_path, text)
    kim, lee = (limits.person_limits(person(name)) for name in ("kim", "lee"))
    assert isinstance(kim, PersonLimits)
    assert (kim.idle_timeout, lee.idle_timeout) == (None, timedelta(minutes=30))
    assert kim.max_runtime == lee.max_runtime == timedelta(minutes=90)
    assert kim.gpu_hold_after_stop == timedelta(0)
    assert (kim.container_hold_after_stop, lee.container_hold_after_stop) == (timedelta(0), None)


def test_anchors_may_share_sections(tmp_path: Path) -> None:
    text = "defaults: {}\ngroups:\n  a: &a {members: [], priority: 3}\n  b: *a\ndefault_group: b\n"
    assert load(tmp_path, text).for_person(person()).priority == 3
