"""Quota in GPU-equivalents, and whole GPUs that are not for everybody, in the claim itself."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ds01_jupyter.core.allocator_quota import Quota
from ds01_jupyter.core.errors import LimitReached, NoFreeSlot
from ds01_jupyter.core.gpu.nvml import NvmlDriver
from ds01_jupyter.core.gpu.quota import equivalents, exact, in_words
from ds01_jupyter.core.gpu.request import GpuRequest
from ds01_jupyter.core.gpu.slots import SlotInfo
from ds01_jupyter.core.identity import Person
from ds01_jupyter.core.ledger import Ledger
from ds01_jupyter.core.models import LimitValues
from tests.rig.nvml import Machine
from tests.unit.desk import ANNA, BEN, Desk


@pytest.fixture
def desk(gpu_machine: Machine, simulated_nvml: Path, tmp_path: Path) -> Iterator[Desk]:
    """The preset "lab": whole 0 and 1; 2 is 3g+2g+1g+1g, 3 is 7 x 1g."""
    desk = Desk(Ledger(tmp_path / "ledger.sqlite"), NvmlDriver(str(simulated_nvml), refresh=1e9))
    yield desk
    desk.close()


def used(desk: Desk) -> Fraction:
    return equivalents(lease.info for lease in desk.allocator.live())


# ---- exactly to the limit ----------------------------------------------------------------------


def test_f8_seven_sevenths_are_one_gpu(desk: Desk) -> None:
    assert sum([1 / 7] * 7) != 1, "why floats are not added"
    for number in range(7):
        desk.claim(f"box{number}", "1g.5gb", max_gpu_equivalents=1.0)
    assert used(desk) == 1
    error = desk.refusal("one-more", "1g.5gb", max_gpu_equivalents=1.0)
    assert isinstance(error, LimitReached)
    assert error.details == {
        "key": "max_gpu_equivalents",
        "limit": 1.0,
        "in_use": 1.0,
        "asked": 0.1429,
        "containers": [f"box{number}" for number in range(7)],
    }
    assert error.message == (
        "You may have 1 GPU-equivalents (a whole GPU is 1): you have 1, and this needs 0.14 more."
    )
    assert "box0, box1" in error.hint
    desk.allocator.release(desk.allocator.live()[0].claim_id)
    desk.claim("one-more", "1g.5gb", max_gpu_equivalents=1.0)


def test_several_at_once_up_to_the_limit(desk: Desk) -> None:
    assert isinstance(desk.refusal("box", "1g.5gb", 4, max_gpu_equivalents=0.5), LimitReached)
    assert len(desk.slots("box", "1g.5gb", 3, max_gpu_equivalents=3 / 7)) == 3


@pytest.mark.parametrize(
    ("gpu", "limit", "given"),
    [
        ("whole", 1, True),
        ("whole", 0.99, False),
        ("0", 1, True),
        ("0", 0.5, False),
        ("3g.20gb", 3 / 7, True),
        ("3g.20gb", 0.4286, True),
        ("3g.20gb", 0.428571, True),
        ("3g.20gb", 0.42, False),
        ("2:0", 0.42, False),
        ("1g.5gb", 0, False),
        ("any", 0, False),
        ("none", 0, True),
        ("any", None, True),
    ],
)
def test_one_slot_against_a_limit(desk: Desk, gpu: str, limit: float | None, given: bool) -> None:
    if given:
        desk.claim("box", gpu, max_gpu_equivalents=limit)
    else:
        error = desk.refusal("box", gpu, max_gpu_equivalents=limit)
        assert (error.code, error.details["key"]) == ("limit_reached", "max_gpu_equivalents")


def test_b12_mig_usage_counts_by_its_share(desk: Desk) -> None:
    """Upstream, a MIG instance in use weighed nothing and one asked for weighed a whole GPU."""
    desk.claim("mig", "3g.20gb", max_gpu_equivalents=1)
    error = desk.refusal("gpu", "whole", max_gpu_equivalents=1)
    assert (error.details["in_use"], error.details["asked"]) == (0.4286, 1.0)
    desk.claim("mig2", "2g.10gb", max_gpu_equivalents=1)
    assert used(desk) == Fraction(5, 7)
    desk.claim("gpu", "whole", person=BEN, max_gpu_equivalents=1)
    assert desk.refusal("mig", "1g.5gb", person=BEN, max_gpu_equivalents=1).details["in_use"] == 1


def test_held_leases_count(desk: Desk) -> None:
    claim = desk.claim("box", "whole", max_gpu_equivalents=1)
    desk.allocator.activate(claim.claim_id, "c1")
    desk.allocator.hold(claim.claim_id)
    assert isinstance(desk.refusal("other", "1g.5gb", max_gpu_equivalents=1), LimitReached)


def test_both_quotas_hold(desk: Desk) -> None:
    both = {"max_gpu_equivalents": 1, "max_mig_instances": 2}
    desk.claim("a", "1g.5gb", **both)
    desk.claim("b", "1g.5gb", **both)
    assert desk.refusal("c", "1g.5gb", **both).details["key"] == "max_mig_instances"
    both["max_mig_instances"] = 9
    assert desk.refusal("c", "whole", **both).details["key"] == "max_gpu_equivalents"


def test_f39_one_budget_whatever_a_person_is_called(desk: Desk) -> None:
    other = Person("anna@lab.example", ANNA.uid, ANNA.gid, ANNA.home)
    desk.claim("a", "whole", max_gpu_equivalents=1)
    assert isinstance(
        desk.refusal("b", "1g.5gb", person=other, max_gpu_equivalents=1), LimitReached
    )


@pytest.mark.parametrize("limit", [None, 0, 1, 4])
def test_f1_f38_unlimited_is_not_one_and_zero_is_not_unlimited(
    desk: Desk, limit: float | None
) -> None:
    given = 0
    try:
        for number in range(4):
            desk.claim(f"box{number}", "0" if not number else "any", max_gpu_equivalents=limit)
            given += 1
    except LimitReached:
        pass
    assert given == {None: 4, 0: 0, 1: 1, 4: 4}[limit]


# ---- "any" within what is left -----------------------------------------------------------------


def test_any_takes_what_the_quota_leaves(desk: Desk) -> None:
    """However the choice is made, it is made among what this person may have."""
    desk.claim("small", "1g.5gb", 8, person=BEN)
    desk.claim("a", "any", max_gpu_equivalents=6 / 7)
    desk.claim("b", "2:0", max_gpu_equivalents=6 / 7)
    desk.claim("c", "any", max_gpu_equivalents=6 / 7)
    assert used(desk) == Fraction(8 + 6, 7)
    assert isinstance(desk.refusal("d", max_gpu_equivalents=6 / 7), LimitReached)
    assert isinstance(desk.refusal("d", max_gpu_equivalents=1), NoFreeSlot)


def test_any_never_waits_for_what_is_too_large(desk: Desk) -> None:
    desk.claim("small", "1g.5gb", 9, person=BEN)
    desk.claim("middle", "2:0", person=BEN)
    desk.claim("middle2", "2:1", person=BEN)
    error = desk.refusal("box", "any", max_gpu_equivalents=0.5)
    assert isinstance(error, NoFreeSlot)
    assert error.message == (
        "What is free now is more than you may have: 0.5 GPU-equivalents are left to you."
    )
    assert error.details["left"] == 0.5
    assert error.details["free"] == [{"profile": "whole", "count": 2}]
    assert desk.slots("box", "any", max_gpu_equivalents=1) == ["0"]


def test_two_of_different_size_when_that_is_what_fits(desk: Desk) -> None:
    desk.claim("small", "1g.5gb", 8, person=BEN)
    assert sorted(desk.slots("box", "any", 2, max_gpu_equivalents=3 / 7)) == ["2:1", "3:6"]


# ---- whole GPUs --------------------------------------------------------------------------------


@pytest.mark.parametrize("gpu", ["whole", "0", "1"])
def test_whole_gpus_can_be_refused(desk: Desk, gpu: str) -> None:
    error = desk.refusal("box", gpu, allow_full_gpu=False)
    assert isinstance(error, LimitReached)
    assert error.message == "Your group may not have whole GPUs."
    assert error.hint.startswith(
        "Ask for a part of one (9 x 1g.5gb, 1 x 2g.10gb, 1 x 3g.20gb here)"
    )
    assert (error.details["key"], error.details["limit"]) == ("allow_full_gpu", 0)


def test_any_never_is_a_whole_gpu_where_those_are_refused(desk: Desk) -> None:
    given = [desk.slots(f"box{number}", "any", allow_full_gpu=False)[0] for number in range(11)]
    assert not {"0", "1"} & set(given)
    error = desk.refusal("one-more", "any", allow_full_gpu=False)
    assert isinstance(error, NoFreeSlot)
    assert "whole GPUs are not for your group" in error.message
    assert desk.slots("mine", "any", person=BEN) == ["0"]


def test_a_machine_of_whole_gpus_only(desk: Desk, gpu_machine: Machine) -> None:
    gpu_machine.write_preset("consumer")
    assert {slot.kind for slot in desk.driver.inventory(fresh=True).slots} == {"gpu"}
    error = desk.refusal("box", "any", allow_full_gpu=False)
    assert (error.code, error.details["key"]) == ("limit_reached", "allow_full_gpu")


# ---- against a model ---------------------------------------------------------------------------

PARTS = st.sampled_from([(n, 7) for n in (1, 2, 3, 4, 7)] + [(1, 4), (2, 4)])


def slot(number: int, part: tuple[int, int]) -> SlotInfo:
    """A slot of a share; its share went through SQLite and floats as in life."""
    numerator, denominator = part
    whole = numerator == denominator
    return SlotInfo(
        slot=str(number),
        uuid=f"u{number}",
        kind="gpu" if whole else "mig",
        profile="whole" if whole else f"{numerator}g",
        gpu_index=number,
        gpu_uuid=f"g{number}",
        memory_total=None,
        share=numerator / denominator,
    )


class Lease:
    """What `Quota` looks at in a lease."""

    def __init__(self, info: SlotInfo) -> None:
        self.info = info
        self.name = "box"


def limits(most: float | None, whole: bool) -> LimitValues:
    return LimitValues(
        group="g",
        priority=1,
        max_cpus=None,
        memory=None,
        memory_swap=None,
        shm_size=1,
        pids_limit=None,
        max_containers=None,
        max_mig_instances=None,
        max_gpu_equivalents=most,
        allow_full_gpu=whole,
        cgroup_parent="x",
    )


@settings(deadline=None)
@given(
    st.lists(PARTS, max_size=12),
    st.lists(PARTS, min_size=1, max_size=12),
    st.one_of(st.none(), st.integers(0, 28)),
    st.booleans(),
    st.integers(1, 3),
)
def test_the_quota_against_fractions(
    owned: list[tuple[int, int]],
    there: list[tuple[int, int]],
    limit: int | None,
    whole: bool,
    count: int,
) -> None:
    """`limit` in sevenths. The quota refuses just what no choice of free slots could give."""
    slots = [slot(number, part) for number, part in enumerate(there)]
    leases = [Lease(slot(100 + number, part)) for number, part in enumerate(owned)]
    quota = Quota(limits(None if limit is None else limit / 7, whole), leases)  # type: ignore
    left = None if limit is None else Fraction(limit, 7) - sum(Fraction(*part) for part in owned)
    parts = {item.uuid: Fraction(*part) for item, part in zip(slots, there, strict=True)}
    may = [item for item in slots if whole or parts[item.uuid] < 1]
    fitting = [item for item in may if left is None or parts[item.uuid] <= left]
    assert quota.admitted(slots) == fitting
    request = GpuRequest("any", None, count)
    smallest = quota.smallest(fitting, request)
    if len(smallest) == count:
        total = sum(sorted(parts[item.uuid] for item in fitting)[:count])
        assert quota.holds(smallest) is (left is None or total <= left)
    hopeless = not may or (
        left is not None and min(parts[item.uuid] for item in may) * count > left
    )
    if hopeless:
        with pytest.raises(LimitReached):
            quota.check(request, slots)
    else:
        quota.check(request, slots)


@given(st.integers(0, 700), st.sampled_from([4, 7, 8, 10, 100]))
def test_a_share_is_the_fraction_that_it_stands_for(numerator: int, denominator: int) -> None:
    assert exact(numerator / denominator) == Fraction(numerator, denominator)
    assert exact(float(f"{numerator / denominator:.6f}")) == Fraction(numerator, denominator)


def test_shares_in_words() -> None:
    assert [in_words(Fraction(*part)) for part in ((1, 1), (3, 7), (1, 2), (0, 1), (10, 1))] == [
        *("1", "0.43", "0.5", "0", "10")
    ]
