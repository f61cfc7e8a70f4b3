"""`ds01 limits check`, the core of it: every mistake with its line, and what is odd."""

from __future__ import annotations

from pathlib import Path

import pytest

from ds01_jupyter.core.errors import ConfigurationError
from ds01_jupyter.core.identity import Person
from ds01_jupyter.core.limits import LimitsFile
from ds01_jupyter.core.limits_check import Hardware, check, check_text
from ds01_jupyter.core.models import CheckReport, LimitsFinding
from ds01_jupyter.core.settings import DATA
from tests.unit.test_limits_people import Book

GIB = 1024**3
MACHINE = Hardware(cpus=32, memory=64 * GIB, gpus=4, slots=13, whole=2, smallest=1 / 7)
ALL_WRONG = """\
defaults:
  memory: 3x
  memory: 8g
  cpus: 8
  max_cpus: 9
  shm_size: 20g
  max_runtime: 24
policies: {}
groups:
  a:
    members: [kim, lee, ~]
    aggregate: {}
    pids_limit: 0
  A: {}
  b:
    members: [lee]
    members_file: crew
    memory: 16g
    memory_swap: 8g
  c-d: {unix_group: users}
  c_d: {unix_group: users}
default_group: aa
user_overrides:
  ann: {group: a, allow_full_gpu: maybe}
  b: {priority: 3}
exemptions:
- {user: kim, exempt_from: memory, expires_on: soon, why: me}
- {user: lee}
"""
MISTAKES = {
    (2, "defaults.memory"),
    (3, "defaults.memory"),
    (5, "defaults.max_cpus"),
    (7, "defaults.max_runtime"),
    (8, "policies"),
    (11, "groups.a.members[2]"),
    (12, "groups.a.aggregate"),
    (13, "groups.a.pids_limit"),
    (14, "groups.A"),
    (16, "groups.b.members[0]"),
    (21, "groups.c_d"),
    (21, "groups.c_d.unix_group"),
    (22, "default_group"),
    (24, "user_overrides.ann.group"),
    (24, "user_overrides.ann.allow_full_gpu"),
    (25, "user_overrides.b"),
    (27, "exemptions[0].exempt_from"),
    (27, "exemptions[0].expires_on"),
    (27, "exemptions[0].why"),
    (28, "exemptions[1]"),
}


def report(
    text: str, folder: Path, hardware: Hardware | None = MACHINE, book: Book | None = None
) -> CheckReport:
    path = folder / "limits.yaml"
    path.write_text(text)
    return check(path, hardware, book or Book(kim=1, lee=2, ann=3))


def places(findings: list[LimitsFinding]) -> set[tuple[int | None, str]]:
    return {(finding.line, finding.key) for finding in findings}


def test_every_mistake_is_told_not_only_the_first(tmp_path: Path) -> None:
    (tmp_path / "crew").write_text("kim\none two\n")
    found = report(ALL_WRONG, tmp_path)
    own = [finding for finding in found.mistakes if finding.file == found.file]
    assert places(own) == MISTAKES
    assert len(own) == len(MISTAKES) + 1, "exemptions[1] lacks two things"
    beside = {(finding.file, finding.line) for finding in found.mistakes if finding not in own}
    assert beside == {(f"{tmp_path}/crew", 1), (f"{tmp_path}/crew", 2)}
    assert [finding.line for finding in own] == sorted(finding.line or 0 for finding in own)
    assert not found.ok
    assert all(f.message and str(tmp_path) not in f.message for f in own)


def test_the_file_is_refused_for_the_first_and_says_how_many_there_are(tmp_path: Path) -> None:
    (tmp_path / "crew").write_text("kim\none two\n")
    found = report(ALL_WRONG, tmp_path)
    with pytest.raises(ConfigurationError) as caught:
        LimitsFile.load(tmp_path / "limits.yaml", Book(kim=1, lee=2, ann=3))
    first = found.mistakes[0]
    assert caught.value.message == f"{first.file}:{first.line}: {first.key}: {first.message}"
    assert caught.value.details["mistakes"] == len(found.mistakes)
    assert f"all {len(found.mistakes)} mistakes" in caught.value.hint


def test_a_file_is_refused_exactly_when_the_check_finds_a_mistake(tmp_path: Path) -> None:
    texts = ["defaults: {}", "defaults: {memory: 8g}", *_each_mistake_alone()]
    outcomes = []
    for text in texts:
        (tmp_path / "limits.yaml").write_text(text)
        try:
            LimitsFile.load(tmp_path / "limits.yaml", Book())
        except ConfigurationError:
            outcomes.append(False)
        else:
            outcomes.append(True)
        assert check(tmp_path / "limits.yaml", MACHINE, Book()).ok is outcomes[-1], text
    assert outcomes[:2] == [True, True]
    assert not any(outcomes[2:])
    assert len(outcomes) > 10


def _each_mistake_alone() -> list[str]:
    return [
        "",
        "[",
        "defaults: !!set {}",
        "groups: &a [*a]",
        "defaults: {memory: 1}",
        "default_group: x",
        "groups: {a: {members: [k, k]}}",
        "groups: {a: {members_file: nowhere}}",
        "groups: {a-b: {}, a_b: {}}",
        "defaults: {memory: 8g, shm_size: 9g}",
        "defaults: {memory: 8g, memory_swap: 7g}",
        "user_overrides: {k: {memory_swap: 7g}}",
        "exemptions: [{}]",
    ]


def test_what_cannot_be_read_at_all_is_one_mistake(tmp_path: Path) -> None:
    (found,) = check(tmp_path / "none.yaml").mistakes
    assert (found.line, found.key) == (None, "")
    assert "cannot be read: No such file" in found.message
    (found,) = report("defaults: [\n", tmp_path).mistakes
    assert (found.line, "not YAML" in found.message) == (2, True)
    (found,) = report("groups: &g\n  a: *g\n", tmp_path).mistakes
    assert "refers to itself" in found.message


def test_the_file_that_ships_is_without_a_finding() -> None:
    found = check(DATA / "resource-limits.yaml", MACHINE)
    assert (found.ok, found.mistakes, found.warnings, found.not_checked) == (True, [], [], [])


# ---- warnings ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("max_cpus: 33", "33 is more than this machine has (32 CPUs)"),
        ("max_cpus: 32", None),
        ("memory: 65g", "65g is more than this machine has (64g of memory)"),
        ("memory: 64g", None),
        ("memory: null", None),
        ("max_mig_instances: 14", "(13 GPU slots now)"),
        ("max_gpu_slots: 13", None),
        ("max_mig_per_container: 99", "(13 GPU slots now)"),
        ("max_gpu_equivalents: 4.5", "4.5 is more than this machine has (4 GPUs)"),
        ("max_gpu_equivalents: 4", None),
        ("max_gpu_equivalents: 0.57", "0.57 is a little less than 4/7; write 4/7"),
        ("max_gpu_equivalents: 0.5", None),
        ("max_gpu_equivalents: 4/7", None),
        ("max_gpu_equivalents: 0.1", "The smallest slot of this machine is 0.14"),
        ("max_gpu_equivalents: 0", None),
        ("allow_full_gpu: false", None),
        ("idle_timeout: 0", "0 stops every container at once"),
        ("max_runtime_h: 0", "0 stops every container at once"),
        ("gpu_hold_after_stop: 0", None),
    ],
)
@pytest.mark.parametrize("section", ["defaults", "groups.lab", "user_overrides.kim"])
def test_f42_quotas_against_the_hardware(
    tmp_path: Path, section: str, line: str, words: str | None
) -> None:
    parents = section.split(".")
    text = "".join("  " * depth + f"{name}:\n" for depth, name in enumerate(parents))
    text += "  " * len(parents) + line + "\n"
    if section != "groups.lab":
        text += "groups: {lab: {members: [kim]}}\n"
    else:
        text += "    members: [kim]\n"
    found = report(text, tmp_path)
    key = f"{section}.{line.partition(':')[0]}"
    assert found.ok
    if words is None:
        assert found.warnings == []
    else:
        (warning,) = found.warnings
        assert (warning.line, warning.key) == (len(parents) + 1, key)
        assert words in warning.message


def test_f42_the_documented_memory_on_a_small_machine(tmp_path: Path) -> None:
    small = Hardware(cpus=4, memory=16 * GIB, gpus=0, slots=0, whole=0)
    (warning,) = report("defaults: {max_cpus: 4}", tmp_path, small).warnings
    assert (warning.line, warning.key) == (None, "defaults.memory")
    assert "32g is more than this machine has (16g of memory)" in warning.message
    assert report("defaults: {memory: 8g}", tmp_path, small).warnings == []


def test_no_whole_gpus_where_there_is_nothing_else(tmp_path: Path) -> None:
    whole = Hardware(cpus=4, memory=64 * GIB, gpus=2, slots=2, whole=2, smallest=1.0)
    (warning,) = report("defaults: {allow_full_gpu: false}", tmp_path, whole).warnings
    assert "nobody here gets a GPU" in warning.message


def test_people_and_groups(tmp_path: Path) -> None:
    (tmp_path / "crew").write_text("new1\nlee\nnew2\n")
    text = """\
groups:
  phd-vision:
    members: [kim, nobody1]
  crew: {members_file: crew}
  empty: {}
  later: {members: []}
  unix: {unix_group: no-such-unix-group}
user_overrides:
  ann: {priority: 1}
  newcomer: {priority: 1}
exemptions:
- {user: gone, exempt_from: idle_timeout, expires_on: 2024-01-31}
"""
    found = report(text, tmp_path)
    assert found.ok
    told = {(w.line, w.key): w.message for w in found.warnings}
    assert set(told) == {
        (2, "groups.phd-vision"),
        (3, "groups.phd-vision.members[1]"),
        (5, "groups.empty"),
        (7, "groups.unix.unix_group"),
        (10, "user_overrides.newcomer"),
        (12, "exemptions[0].user"),
        (1, ""),
    }
    assert (
        told[2, "groups.phd-vision"] == "Its containers run in ds01-phd_vision.slice (- becomes _)."
    )
    assert "One member has no account" in told[3, "groups.phd-vision.members[1]"]
    assert told[1, ""] == "2 members have no account on this machine (yet): new1, new2."
    assert "no Unix group" in told[7, "groups.unix.unix_group"]


def test_overrides_of_people_in_no_group(tmp_path: Path) -> None:
    text = "groups: {a: {members: [kim]}}\nuser_overrides: {kim: {}, lee: {}}\ndefault_group: a\n"
    (warning,) = report(text, tmp_path).warnings
    assert warning.key == "user_overrides.lee"
    assert warning.message == "lee is in no group, so everything else is that of 'a'."


def test_long_lists_of_names_are_counted(tmp_path: Path) -> None:
    names = ", ".join(f"n{number}" for number in range(30))
    (warning,) = report(f"groups: {{a: {{members: [{names}]}}}}", tmp_path).warnings
    assert warning.message.startswith("30 members have no account")
    assert warning.message.endswith("n7 and 22 more.")


def test_what_is_not_known_is_said(tmp_path: Path) -> None:
    text = "defaults: {max_gpu_slots: 99, max_cpus: 99}"
    found = report(text, tmp_path, None)
    assert (found.warnings, len(found.not_checked)) == ([], 1)
    assert "CPUs, memory, GPUs cannot be told" in found.not_checked[0]
    found = report(text, tmp_path, Hardware(cpus=8, memory=64 * GIB))
    assert [warning.key for warning in found.warnings] == ["defaults.max_cpus"]
    assert "its GPUs cannot be told" in found.not_checked[0]


# ---- a text without its file -------------------------------------------------------------------


def test_a_text_reads_no_file_of_members(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("kim\n")
    text = f"groups:\n  a:\n    members_file: {secret}\n    members: [kim]\n"
    found = check_text(text, "my.yaml", MACHINE, Book(kim=1))
    assert (found.file, found.ok, found.mistakes, found.warnings) == ("my.yaml", True, [], [])
    assert found.not_checked == [
        f"groups.a.members_file: {secret}: files of members are not sent along"
    ]


def test_findings_of_a_text_carry_its_name() -> None:
    found = check_text("defaults: {memory: 1}", "my.yaml", MACHINE, Book())
    (mistake,) = found.mistakes
    assert (mistake.file, mistake.line, mistake.key) == ("my.yaml", 1, "defaults.memory")
    assert mistake.message.startswith("1 bytes is less than 6m")


def test_a_file_of_nothing_but_mistakes_is_answered_in_time(tmp_path: Path) -> None:
    items = "".join("    - ~\n" for _ in range(20_000))
    found = report(f"groups:\n  a:\n    members:\n{items}", tmp_path)
    assert (found.ok, len(found.mistakes)) == (False, 1000)
    assert "19000 more mistakes are not shown" in found.not_checked
    many = "".join(f"  u{number}: {{memory: 16g}}\n" for number in range(9_000))
    groups = "".join(f"  g{number}: {{unix_group: x{number}}}\n" for number in range(2_000))
    found = report(f"groups:\n{groups}user_overrides:\n{many}", tmp_path)
    assert (found.ok, len(found.warnings)) == (True, 1000)


def test_what_is_beyond_the_check_is_refused_when_it_is_met(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ds01_jupyter.core.limit_contents.MAX_COMBINATIONS", 1)
    text = "user_overrides: {kim: {memory_swap: 7g}}"
    assert report(text, tmp_path).ok
    limits = LimitsFile.load(tmp_path / "limits.yaml", Book())
    with pytest.raises(ConfigurationError, match="too little for a memory"):
        limits.for_person(Person("kim", 1, 1, tmp_path))
