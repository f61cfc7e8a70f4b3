"""What a create asks of Docker and of NVML does not grow with what is there."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from benchmarks.calls import Calls, counted
from tests.engine.conftest import Desk

pytestmark = pytest.mark.engine

FOREIGN = re.compile(r"GET containers/[0-9a-f]{64}/json")
LIMITS = """
defaults: {max_containers_per_user: null, max_mig_instances: null, memory: 32m}
groups: {student: {members: []}}
default_group: student
"""


def calls_of_a_create(desk: Desk, name: str) -> Calls:
    """Of the second create of a server on a slot, which is removed again."""
    for each in (f"{name}-before", name):
        with counted() as calls:
            made = desk.create(each)
        desk.lab.stop_container(desk.person, each)
        desk.lab.remove_container(desk.person, each)
    named = [call.replace(made.id, "ID").replace(made.full_name, "NAME") for call in calls.docker]
    # What another test starts just now on the same engine is looked at once.
    calls.docker = [call for call in named if not FOREIGN.fullmatch(call)]
    return calls


def test_b2_a_create_asks_the_same_with_0_10_and_40_containers_present(
    make_desk: Callable[..., Desk],
) -> None:
    desk = make_desk()
    desk.settings.limits.write_text(LIMITS)
    found: dict[int, Calls] = {}
    there = 0
    with ThreadPoolExecutor(4) as pool:
        for present in (0, 10, 40):
            names = [f"there{number}" for number in range(there, present)]
            list(pool.map(lambda name: desk.create(name, gpu="none", start=False), names))
            there = present
            managed = [one for one in desk.lab.containers(desk.person) if one.managed]
            assert len(managed) == present
            found[present] = calls_of_a_create(desk, f"one{present}")
    image = "images/aimehub/pytorch-2.5.1-aime-cuda12.1.1"
    assert found[0].docker == [
        *("GET containers/json", f"GET {image}/json", "GET info", "GET info"),
        *(f"GET {image}:NAME/json", "POST build", f"GET {image}:NAME/json", "GET info"),
        *("POST containers/create", "POST containers/ID/start", "GET containers/ID/json"),
        *("GET containers/json", "GET containers/ID/json"),
    ]
    assert found[0].docker == found[10].docker == found[40].docker
    functions = {present: Counter(calls.nvml) for present, calls in found.items()}
    assert functions[0] == functions[10] == functions[40]
    assert 0 < functions[0].total() < 400, functions[0]
