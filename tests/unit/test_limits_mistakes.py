"""resource-limits.yaml: every mistake is refused with its line and place."""

from __future__ import annotations

from pathlib import Path

import pytest

from ds01_jupyter.core.errors import ConfigurationError
from ds01_jupyter.core.identity import Person
from ds01_jupyter.core.limits import LimitsFile


def refusal(folder: Path, content: str | bytes) -> ConfigurationError:
    path = folder / "limits.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ConfigurationError) as caught:
        LimitsFile.load(path)
    return caught.value


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("memory: 3x", "a size is"),
        ("memory: 0", "least"),
        ("memory: 0g", "least"),
        ("memory: 32", "was a unit meant"),
        ("memory: -1", "null means unlimited"),
        ("memory: 1.5", "a size is"),
        ("memory: yes", "a size is"),
        ("memory: unlimited", "a size is"),
        ("memory: [32g]", "one value"),
        ("memory: {min: 1g}", "one value"),
        ("memory: 99999999999999999999", "larger than any"),
        ("memory: .inf", "a size is"),
        ("memory_swap: -1", "null means unlimited"),
        ("shm_size: null", "cannot be unlimited"),
        ("shm_size:", "cannot be unlimited"),
        ("shm_size: 16", "was a unit meant"),
        ("max_cpus: 0", "0.01"),
        ("max_cpus: -4", "0.01"),
        ("max_cpus: '4'", "without quotes"),
        ("max_cpus: true", "a number"),
        ("max_cpus: .nan", "finite"),
        ("max_cpus: .inf", "finite"),
        ("max_cpus: 4g", "a number"),
        ("pids_limit: 0", "from 1"),
        ("pids_limit: -1", "from 1"),
        ("pids_limit: 10.0", "whole number"),
        ("max_containers: -1", "from 0"),
        ("max_containers: yes", "whole number"),
        ("max_mig_instances: two", "whole number"),
        ("max_mig_instances: 1.0", "whole number"),
        ("max_slots_per_container: '1'", "whole number"),
        ("priority: 101", "from 0 to 100"),
        ("priority: null", "cannot be unlimited"),
        ("priority: high", "whole number"),
        ("idle_timeout: 48", "carries its unit"),
        ("idle_timeout: '48'", "such as 48h"),
        ("idle_timeout: 0.1", "carries its unit"),
        ("idle_timeout: false", "carries its unit"),
        ("idle_timeout: 59s", "too short"),
        ("idle_timeout_h: 0.001", "too short"),
        ("idle_timeout_m: 30m", "a number"),
        ("idle_timeout_w: 1", "no meaning"),
        ("gpu_hold_after_stop_s: -1", "not negative"),
        ("idle_timeout: 12:30", "carries its unit"),
        ("max_runtime: 30s", "too short"),
        ("max_runtime_h: 24h", "a number"),
        ("max_runtime_h: -1", "not negative"),
        ("max_runtime_h: .inf", "finite"),
        ("max_runtime_h: 1e99", "a number"),
        ("max_runtime_h: 1.0e+99", "ten years"),
        ("gpu_hold_after_stop: 2026-01-01", "such as 48h"),
        ("memroy: 3g", "no meaning"),
        ("<<: {memory: 3g}", "no meaning"),
        ("max_gpu_equivalents: -1", "not negative"),
        ("max_gpu_equivalents: 1.5g", "a number"),
        ("max_gpu_equivalents: '1'", "without quotes"),
        ("max_gpu_equivalents: true", "a number"),
        ("max_gpu_equivalents: 1/0", "such as"),
        ("max_gpu_equivalents: .nan", "finite"),
        ("max_gpu_equivalents: .inf", "finite"),
        ("max_gpu_slots: 0.5", "parts of a GPU are for max_gpu_equivalents"),
        ("max_gpus_per_user: two", "whole number"),
        ("allow_full_gpu: null", "true or false"),
        ("allow_full_gpu: 1", "true or false"),
        ("allow_full_gpu: 'no'", "true or false"),
        ("aggregate: {gpu_limit: 2}", "not supported"),
        ("policies: {gpu_idle_threshold: 5}", "not supported"),
        ("storage_tmp: 1g", "not supported"),
        ("max_tasks: 4", "not supported"),
        ("max_concurrent_jobs: 3", "no jobs API"),
        ("gpu_hold_after_manual_stop_m: 15", "not supported"),
        ("members: [kim]", "no meaning"),
    ],
)
@pytest.mark.parametrize("section", ["defaults", "groups.lab", "user_overrides.kim"])
def test_values(tmp_path: Path, section: str, line: str, words: str) -> None:
    if section == "groups.lab" and line.startswith("members"):
        line = "member: [kim]"
    key = line.partition(":")[0]
    parents = section.split(".")
    text = "# a comment\n\n"
    for depth, name in enumerate(parents):
        text += "  " * depth + f"{name}:\n"
    text += "  " * len(parents) + "# another\n" + "  " * len(parents) + line + "\n"
    error = refusal(tmp_path, text)
    number = 2 + len(parents) + 2
    assert error.message.startswith(f"{tmp_path}/limits.yaml:{number}: {section}.{key}: ")
    assert words in error.message
    assert error.details == {
        "file": f"{tmp_path}/limits.yaml",
        "line": number,
        "key": f"{section}.{key}",
    }
    assert error.status == 500
    assert error.hint


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("", 1, "nothing in this file"),
        ("# only a comment\n", 1, "nothing in this file"),
        ("- a\n", 1, "section"),
        ("defaults\n", 1, "section"),
        ("defaults: 3\n", 1, "defaults: this must be a section"),
        ("groups: [a]\n", 1, "groups: this must be a section"),
        ("groups:\n  lab: 3\n", 2, "groups.lab: this must be a section"),
        ("groups:\n  lab:\n    members: kim\n", 3, "groups.lab.members: this must be a list"),
        ("groups:\n  lab:\n    members: [kim, ~]\n", 3, "members[1]: this must be a word"),
        ("groups:\n  lab:\n    members:\n    - {a: b}\n", 4, "members[0]: this must be a word"),
        ("groups:\n  lab:\n    unix_group:\n", 3, "unix_group: this must be a word"),
        ("groups:\n  La b:\n", 2, "a group is named by"),
        ("groups:\n  lab/x:\n", 2, "a group is named by"),
        ('groups:\n  "lab\\n":\n', 2, "a group is named by"),
        (f"groups:\n  {'x' * 61}:\n", 2, "a group is named by"),
        ("groups:\n  a-b:\n  a_b:\n", 3, "groups.a_b: its slice ds01-a_b.slice"),
        ("groups:\n  default:\n  a:\ndefault_group: a\n", 2, "people without a group"),
        ("default_group: student\n", 1, "there is no group 'student'"),
        ("groups:\n  a:\ndefault_group:\n", 3, "default_group: this must be a word"),
        ("group:\n  a:\n", 1, "group: this section has no meaning"),
        ("policies:\n  a:\n", 1, "policies: thresholds and grace periods"),
        ("gpu_allocation:\n  # strategy: x\n", 1, "gpu_allocation: this is not supported"),
        ("reservations: []\n", 1, "do not stand in this file"),
        ("user-overrides:\n  a:\n", 1, "this is called user_overrides here"),
        ("groups:\n  a:\n    members_file:\n", 3, "members_file: this must be a word"),
        ("groups:\n  a:\n    members_file: no.txt\n", 3, "No such file"),
        ("groups:\n  a:\n    members_file: [x]\n", 3, "must be a word"),
        ("groups:\n  a: {members: [k, k]}\n", 2, "k is in groups.a already"),
        ("groups:\n  a:\nuser_overrides:\n  a:\n", 4, "a is a group, and no account"),
        ("user_overrides:\n  k: {group: b}\n", 2, "put into a group under"),
        ("exemptions: {}\n", 1, "must be a list"),
        ("exemptions: [x]\n", 1, "must be a section"),
        ("exemptions:\n- {exempt_from: max_runtime, until: null}\n", 2, "user is missing"),
        ("exemptions:\n- {user: k, until: null}\n", 2, "exempt_from is missing"),
        ("exemptions:\n- {user: k, exempt_from: max_runtime}\n", 2, "expires_on is missing"),
        ("exemptions:\n- {user: k, exempt_from: [], until: null}\n", 2, "names no limit"),
        ("exemptions:\n- {user: k, exempt_from: memory, until: null}\n", 2, "time limit"),
        (
            "exemptions:\n- user: k\n  exempt_from: max_runtime\n  until: 2026-02-30\n",
            4,
            "this is a date",
        ),
        ("defaults:\n  memory: 8g\n  memory: 9g\n", 3, "defaults.memory: this key is there twice"),
        ("groups:\n  a:\n  b:\n  a:\n", 4, "groups.a: this key is there twice (line 2"),
        ("user_overrides:\n  1:\n  '1':\n", 3, "there twice"),
        ("defaults:\n  cpus: 8\n  max_cpus: 9\n", 3, "line 2 says the same"),
        ("defaults:\n  idle_timeout: 8h\n  idle_timeout_h: 8\n", 3, "line 2 says the same"),
        ("groups:\n  a: {members: [x, k]}\n  b:\n    members:\n    - k\n", 5, "groups.a too"),
        ("groups:\n  a: {unix_group: s}\n  b:\n    unix_group: s\n", 4, "groups.a has this"),
        ("defaults: [\n", 2, "not YAML"),
        ("defaults:\n\tmemory: 1g\n", 2, "not YAML"),
        ("defaults: {}\n---\ndefaults: {}\n", 2, "not YAML"),
        ("defaults: !!python/object/apply:os.system [id]\n", 1, "no meaning here"),
        ("defaults: !!set {a, b}\n", 1, "no meaning here"),
        ("defaults: {memory: !!binary eA==}\n", 1, "no meaning here"),
        ("defaults: {memory: !!int ''}\n", 1, "not YAML"),
        ("defaults: {memory: !!bool x}\n", 1, "not YAML"),
        ("? [a]\n: b\n", 1, "a key must be a word"),
        ("~: b\n", 1, "a key must be a word"),
        ("groups: &g\n  a: *g\n", 1, "refers to itself"),
        ("[" * 5000, 1, "not YAML"),
        (b"defaults: \xff\n", 1, "not YAML"),
        (b"defaults: \x00\n", 1, "not YAML"),
    ],
)
def test_forms(tmp_path: Path, text: str | bytes, line: int, words: str) -> None:
    error = refusal(tmp_path, text)
    assert error.message.startswith(f"{tmp_path}/limits.yaml:{line}: ")
    assert words in error.message
    assert error.message.isprintable()


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        (
            "defaults: {memory: 8g, shm_size: 1g, memory_swap: 7g}",
            1,
            "too little for a memory of 8g",
        ),
        ("defaults: {memory: null, memory_swap: 7g}", 1, "too little for a memory of unlimited"),
        ("defaults:\n  memory_swap: 31g", 2, "from the documented defaults"),
        ("defaults: {memory: 8g}\ngroups:\n  a: {shm_size: 9g}", 3, "memory is from defaults"),
        (
            "defaults: {shm_size: 9g}\ngroups:\n  a:\n    memory: 8g",
            4,
            "groups.a.memory: a shm_size of 9g does not fit into a memory of 8g "
            "(shm_size is from defaults)",
        ),
        (
            "groups:\n  a: {members: [k], memory: 64g}\nuser_overrides:\n  k: {memory_swap: 50g}",
            4,
            "memory is from groups.a",
        ),
        (
            "groups:\n  a: {unix_group: s, memory: 64g}\nuser_overrides:\n  k: {memory_swap: 50g}",
            4,
            "memory is from groups.a",
        ),
    ],
)
def test_contradictions_between_levels(tmp_path: Path, text: str, line: int, words: str) -> None:
    error = refusal(tmp_path, text)
    assert error.message.startswith(f"{tmp_path}/limits.yaml:{line}: ")
    assert words in error.message


def test_an_override_is_judged_with_the_group_that_it_meets(tmp_path: Path) -> None:
    path = tmp_path / "limits.yaml"
    path.write_text(
        "groups:\n  a: {members: [k], memory: 64g}\nuser_overrides:\n  k: {memory_swap: 70g}\n"
        "  j: {memory_swap: 40g}\n"
    )
    limits = LimitsFile.load(path)
    for name, swap in (("k", 70), ("j", 40)):
        values = limits.for_person(Person(name, 1, 1, Path("/")))
        assert values.memory_swap == swap * 1024**3


def test_unknown_keys_get_the_nearest(tmp_path: Path) -> None:
    for text, near in (
        ("defaults: {memroy: 3g}", "memory"),
        ("defaults: {max_mig_instance: 3}", "max_mig_instances"),
        ("groups: {a: {member: [k]}}", "members"),
        ("overrides: {}", "user_overrides"),
        ("groups: {student: {}}\ndefault_group: studnet", "student"),
    ):
        assert refusal(tmp_path, text).hint == f"Did you mean {near!r}?"


def test_b20_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    for path in (tmp_path / "none.yaml", tmp_path):
        with pytest.raises(ConfigurationError, match="cannot be read"):
            LimitsFile.load(path)


def test_a_file_that_is_too_large(tmp_path: Path) -> None:
    error = refusal(tmp_path, "#" * (1024 * 1024 + 1))
    assert "larger than 1024 KiB" in error.message


def test_aliases_without_end(tmp_path: Path) -> None:
    levels = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    for n in range(1, 9):
        levels.append(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]")
    assert "far too large" in refusal(tmp_path, "\n".join(levels)).message
