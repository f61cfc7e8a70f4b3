"""What went wrong with limits upstream (numbers of the list of known bugs), and does not here.

Others are where their matter is: F13 in test_units.py; F21, F22, B22 in test_identity.py; F23, B32
in test_limits_people.py; F39, B12 in test_allocator_quota.py; F42 in test_limits_check.py.
"""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ds01_jupyter.core.errors import ConfigurationError
from ds01_jupyter.core.identity import Person
from ds01_jupyter.core.limit_contents import SECTIONS
from ds01_jupyter.core.limit_keys import ALIASES, DEFAULTS, DURATIONS, KEYS, UNSUPPORTED
from ds01_jupyter.core.limits import LimitsFile, cgroup_slice
from ds01_jupyter.core.settings import DATA
from ds01_jupyter.core.units import format_duration, format_size

DOCUMENTATION = Path(__file__).parents[2] / "docs" / "limits.md"
UNLIMITED = (
    *("max_mig_instances", "max_gpu_equivalents", "max_slots_per_container", "max_containers"),
    *("max_cpus", "memory", "memory_swap", "pids_limit"),
)


def load(folder: Path, text: str) -> LimitsFile:
    path = folder / "limits.yaml"
    path.write_text(text)
    return LimitsFile.load(path)


def somebody(name: str = "kim") -> Person:
    return Person(name, 70_000, 70_000, Path("/nowhere"))


def test_f1_f38_null_is_unlimited_for_every_key_that_may_be(tmp_path: Path) -> None:
    """`a or b` took null for missing, and the unlimited admin got 1 GPU."""
    lines = "".join(f"    {key}: null\n" for key in (*UNLIMITED, *DURATIONS))
    limits = load(tmp_path, f"groups:\n  admin:\n    members: [kim]\n{lines}")
    found = limits.person_limits(somebody())
    assert {key: getattr(found.values, key) for key in UNLIMITED} == dict.fromkeys(UNLIMITED)
    assert {key: getattr(found, key) for key in DURATIONS} == dict.fromkeys(DURATIONS)


@pytest.mark.parametrize("key", DURATIONS)
@pytest.mark.parametrize("value", ["48", "0.5", "48.0", "'48'"])
def test_f14_a_duration_without_a_unit_is_a_mistake(tmp_path: Path, key: str, value: str) -> None:
    """`max_runtime: 48` was 48 seconds, and killed containers at once."""
    with pytest.raises(ConfigurationError, match="such as 48h"):
        load(tmp_path, f"defaults: {{{key}: {value}}}")


@pytest.mark.parametrize("key", DURATIONS)
def test_a_duration_of_nothing_is_nothing_in_every_spelling(tmp_path: Path, key: str) -> None:
    for line in (f"{key}: 0", f"{key}: 0s", f"{key}_h: 0", f"{key}_d: 0.0", f"{key}: '0'"):
        limits = load(tmp_path, f"defaults: {{{line}}}")
        assert getattr(limits.person_limits(somebody()), key) == timedelta(0), line


GROUPS = st.text(st.sampled_from("ab-_0"), min_size=1, max_size=6)


@settings(deadline=None)
@given(st.lists(GROUPS, min_size=1, max_size=5, unique=True))
@example(["a-b", "a_b"])
@example(["phd-vision-lab", "phd-vision"])
@example(["-", "_"])
def test_f18_slices_have_one_level_and_one_group_each(
    tmp_path_factory: pytest.TempPathFactory, names: list[str]
) -> None:
    """A `-` in a slice's name is a level of systemd's hierarchy, whose parents nobody made."""
    text = "groups:\n" + "".join(f"  '{name}': {{members: ['in {name}']}}\n" for name in names)
    folder = tmp_path_factory.mktemp("limits")
    if len({name.replace("-", "_") for name in names}) < len(names):
        with pytest.raises(ConfigurationError, match=r"its slice ds01-\w+\.slice would be that of"):
            load(folder, text)
        return
    limits = load(folder, text)
    slices = [limits.for_person(somebody(f"in {name}")).cgroup_parent for name in names]
    assert slices == [cgroup_slice(name) for name in names]
    assert len(set(slices)) == len(names)
    assert all(re.fullmatch(r"ds01-[a-z0-9_]+\.slice", found) for found in slices)


def test_f24_sections_that_hold_comments_only_are_empty(tmp_path: Path) -> None:
    """Such a section was None, and every allocation crashed on it."""
    text = "".join(
        f"{section}:\n  # nothing yet\n" for section in SECTIONS if "_group" not in section
    )
    text += "# default_group:\n"
    found = load(tmp_path, text).person_limits(somebody())
    assert (found.values.group, found.exemptions) == ("default", ())


def test_f25_limits_are_values_and_not_text_to_be_searched(tmp_path: Path) -> None:
    values = load(tmp_path, "defaults: {max_gpu_slots: null, cpus: 2}").for_person(somebody())
    assert (values.max_mig_instances, values.max_cpus) == (None, 2.0)


def test_b21_an_override_keeps_the_group_its_values_and_its_slice(tmp_path: Path) -> None:
    text = """
    groups: {lab: {members: [kim], memory: 64g, max_runtime: 24h, max_gpu_slots: 8}}
    user_overrides: {kim: {priority: 99, cpus: 2}}
    """
    found = load(tmp_path, text).person_limits(somebody())
    assert (found.values.group, found.values.cgroup_parent) == ("lab", "ds01-lab.slice")
    assert (found.values.priority, found.values.max_cpus) == (99, 2.0)
    assert (found.values.memory, found.values.max_mig_instances) == (64 * 1024**3, 8)
    assert found.max_runtime == timedelta(hours=24)


def test_b23_memory_and_swap_of_different_levels_are_a_valid_pair(tmp_path: Path) -> None:
    """Upstream, `memory: 64g` in a group met `memory_swap: 40g` in the defaults."""
    text = "defaults: {memory: 32g, memory_swap: 40g}\ngroups: {lab: {members: [kim], memory: 64g}}"
    values = load(tmp_path, text).for_person(somebody())
    assert (values.memory, values.memory_swap) == (64 * 1024**3, 64 * 1024**3)


# ---- B39: the documentation says what the code does ---------------------------------------------


def rows() -> dict[str, list[str]]:
    """The table of keys: cells by key."""
    lines = DOCUMENTATION.read_text(encoding="utf-8").splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]
    table = (row for row in cells if len(row) >= 4 and row[0].startswith("`"))
    return {row[0].strip("`"): row for row in table}


def written(key: str) -> str:
    value = DEFAULTS[key]
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, timedelta):
        return {"2d": "48h", "1d": "24h"}.get(format_duration(value), format_duration(value))
    return format_size(int(value)) if key in ("memory", "shm_size") else f"{value:g}"


def test_b39_the_documentation_has_every_key_with_its_default_and_names() -> None:
    table = rows()
    documented = {ALIASES.get(key, key) for key in table}
    assert documented == {key.name for key in KEYS.values()}
    for key, row in table.items():
        name = ALIASES.get(key, key)
        if name in DEFAULTS:
            assert f"`{written(name)}`" in row[3], key
        others = {alias for alias, of in ALIASES.items() if of == name} | {name}
        assert others == {key, *re.findall(r"`(\w+)`", " ".join(row[4:]))}, key


def test_b39_what_ships_explains_every_key_with_its_default() -> None:
    text = (DATA / "resource-limits.yaml").read_text(encoding="utf-8")
    comments = "\n".join(line for line in text.splitlines() if line.startswith("#"))
    for key in {key.name for key in KEYS.values()} | set(ALIASES):
        assert re.search(rf"\b{key}\b", comments), key
    for key in DEFAULTS:
        shown = re.escape(written(key))
        names = [key, *(alias for alias, name in ALIASES.items() if name == key)]
        entry = rf"^#   (?:{'|'.join(names)})\b(?:(?!^#   \w).)*? {shown}$"
        assert re.search(entry, comments, re.MULTILINE | re.DOTALL), key


def test_f17_what_is_refused_is_no_key_and_is_explained() -> None:
    assert not set(UNSUPPORTED) & set(KEYS)
    for sentence in UNSUPPORTED.values():
        assert len(sentence) > 20
        assert sentence[0].islower()
        assert not sentence.endswith(".")
