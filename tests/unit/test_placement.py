"""Which free slot is taken: the smallest, then the seed's score, then what is missed least."""

from __future__ import annotations

import random
from collections import namedtuple
from dataclasses import replace

import pytest

from ds01_jupyter.core.gpu.placement import GpuOccupancy, choose, shared_occupancy
from ds01_jupyter.core.gpu.request import GpuRequest
from ds01_jupyter.core.gpu.sharing import share
from ds01_jupyter.core.gpu.slots import SlotInfo

GIB = 1 << 30


def whole(gpu: int, memory: int = 40) -> SlotInfo:
    uuid = f"GPU-{gpu}"
    return SlotInfo(str(gpu), uuid, "gpu", "whole", gpu, uuid, memory * GIB, 1.0)


def part(gpu: int, index: int, profile: str = "1g.5gb") -> SlotInfo:
    slices, memory = int(profile[0]), int(profile.split(".")[1].split("gb")[0])
    uuid = f"MIG-{gpu}-{index}"
    place = (f"{gpu}:{index}", uuid, "mig", profile, gpu, f"GPU-{gpu}")
    return SlotInfo(*place, memory * GIB, slices / 7, index, 7 + index, 0)  # type: ignore[arg-type]


def shares(gpu: int, containers: int) -> list[SlotInfo]:
    return [share(gpu, f"GPU-{gpu}", number, containers) for number in range(1, containers + 1)]


def names(
    slots: list[SlotInfo],
    text: str,
    count: int = 1,
    *,
    priority: int = 50,
    occupancy: dict[str, GpuOccupancy] | None = None,
) -> list[str]:
    shuffled = random.Random(7).sample(slots, len(slots))
    request = GpuRequest.parse(text, count)
    return [slot.slot for slot in choose(shuffled, request, priority, occupancy or {})]


LAB = [
    whole(0),
    whole(1),
    *(part(2, i, profile) for i, profile in enumerate(["3g.20gb", "2g.10gb", "1g.5gb", "1g.5gb"])),
    *(part(3, i) for i in range(7)),
]


@pytest.mark.parametrize(
    ("text", "count", "expected"),
    [
        ("any", 1, ["2:2"]),
        ("2g.10gb", 1, ["2:1"]),
        ("whole", 1, ["0"]),
        ("whole", 2, ["0", "1"]),
        ("2:0", 1, ["2:0"]),
        ("MIG-00000000-0000-0000-0000-000000000000", 1, []),
        ("none", 1, []),
    ],
)
def test_what_fits(text: str, count: int, expected: list[str]) -> None:
    assert names(LAB, text, count) == expected


def test_any_takes_a_whole_gpu_only_when_nothing_smaller_is_left() -> None:
    assert names([whole(0), part(2, 0, "3g.20gb")], "any") == ["2:0"]
    assert names([whole(0)], "any") == ["0"]


def test_smaller_memory_and_plain_variants_first() -> None:
    assert names([part(0, 0, "1g.10gb"), part(0, 1, "1g.5gb")], "any") == ["0:1"]
    assert names([part(0, 0, "1g.5gb+me"), part(0, 1, "1g.5gb")], "any") == ["0:1"]


def test_too_few_is_none_at_all() -> None:
    assert names([part(0, 0), part(0, 1)], "1g.5gb", 3) == []


def test_several_are_distinct_and_fill_a_gpu_before_the_next() -> None:
    slots = [part(0, 0), part(0, 1), part(1, 0), part(1, 1)]
    assert names(slots, "any", 3) == ["0:0", "0:1", "1:0"]


def test_an_empty_gpu_stays_empty() -> None:
    """Over the physical GPU the score would spread people: here GPU 1 has leases and memory in
    use, and is taken all the same."""
    slots = [part(0, 0), part(0, 1), part(1, 1)]
    crowded = {"GPU-1": GpuOccupancy((100, 10), 93.0)}
    assert names(slots, "any", occupancy=crowded) == ["1:1"]


def test_of_equal_size_what_is_asked_for_less_is_given() -> None:
    """Instances of like size and memory, one of a profile that everybody wants."""
    slots = [part(0, 0, "1g.10gb"), part(1, 0, "1g.10gb+gfx")]
    slots[1] = replace(slots[1], profile="1c.2g.10gb", share=1 / 7)
    request = GpuRequest.parse(">=10GB")
    for wanted, given in (("1g.10gb", "1:0"), ("1c.2g.10gb", "0:0")):
        [slot] = choose(slots, request, 50, {}, {wanted: 5.0})
        assert slot.slot == given


def test_what_is_missed_is_judged_by_all_that_is_free() -> None:
    """Who may have only one of each still takes of what there is most."""
    few, many = part(0, 0, "1g.10gb"), replace(part(1, 0, "1g.10gb"), profile="1c.2g.10gb")
    demand = {"1g.10gb": 1.0, "1c.2g.10gb": 1.0}
    request = GpuRequest.parse("10GB")
    assert choose([few, many], request, 50, {}, demand) == (few,)
    others = [replace(many, uuid=f"MIG-{number}", gpu_uuid="GPU-9") for number in range(5)]
    free = [few, many, *others]
    assert choose([few, many], request, 50, {}, demand, free=free) == (many,)


def test_order_is_by_number_and_not_by_text() -> None:
    assert names([whole(10), whole(2)], "whole") == ["2"]
    assert names([part(1, 10), part(1, 9)], "any") == ["1:9"]


def test_a_whole_gpu_is_not_chosen_beside_its_instances() -> None:
    assert names([whole(0), part(0, 0)], "any", 2) == []


@pytest.mark.parametrize(
    ("occupancy", "score"),
    [
        (GpuOccupancy(), 0),
        (GpuOccupancy((), 12.5), 12.5),
        (GpuOccupancy((50,)), 10),
        (GpuOccupancy((10, 50, 30), 25.0), 30 + 25),
        (GpuOccupancy((10,), 1.0), 4000 + 10 + 1),
        (GpuOccupancy((100, 50)), 5000 + 20),
    ],
)
def test_the_score_of_the_seed(occupancy: GpuOccupancy, score: float) -> None:
    assert occupancy.score(50) == score


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        # like priority beats an emptier GPU of another priority
        (GpuOccupancy((10,)), GpuOccupancy((50, 50)), "1/1"),
        # an empty GPU beats like priority
        (GpuOccupancy((50,)), GpuOccupancy(), "1/1"),
        # fewer leases
        (GpuOccupancy((50, 50)), GpuOccupancy((50,)), "1/1"),
        # less memory in use
        (GpuOccupancy((50,), 80.0), GpuOccupancy((50,), 5.0), "1/1"),
        # a lease weighs as much as ten per cent of memory
        (GpuOccupancy((50,), 0.0), GpuOccupancy((), 9.0), "1/1"),
        (GpuOccupancy((50,), 0.0), GpuOccupancy((), 11.0), "0/1"),
        # and then the order
        (GpuOccupancy((50,), 1.0), GpuOccupancy((50,), 1.0), "0/1"),
    ],
)
def test_between_shared_gpus_the_score_decides(
    first: GpuOccupancy, second: GpuOccupancy, expected: str
) -> None:
    slots = [*shares(0, 4), *shares(1, 2)]
    for text in ("any", "shared"):
        assert names(slots, text, occupancy={"GPU-0": first, "GPU-1": second}) == [expected]


@pytest.mark.parametrize(
    ("priority", "expected", "scores"),
    [
        # student, researcher, admin, and a user override of the seed's own limits
        (10, "1/1", (4020, 10)),
        (50, "0/1", (20, 4010)),
        (90, "0/1", (4020, 8010)),
        (100, "0/1", (5020, 9010)),
    ],
)
def test_the_figures_of_the_seed(priority: int, expected: str, scores: tuple[float, float]) -> None:
    """GPU 0 as in the seed's state file: john with priority 10 and jane with 50. GPU 1 has one
    student."""
    busy = {"GPU-0": GpuOccupancy((10, 50)), "GPU-1": GpuOccupancy((10,))}
    assert tuple(busy[gpu].score(priority) for gpu in sorted(busy)) == scores
    slots = [*shares(0, 4), *shares(1, 4)]
    assert names(slots, "shared", priority=priority, occupancy=busy) == [expected]


def test_one_container_gets_no_gpu_twice() -> None:
    slots = [*shares(0, 4), *shares(1, 4)]
    assert names(slots, "shared", 2) == ["0/1", "1/1"]
    assert names(slots, "any", 3) == []


def test_a_share_goes_before_a_larger_slot_and_behind_a_smaller_one() -> None:
    slots = [*shares(0, 4), whole(1)]
    crowded = {"GPU-0": GpuOccupancy((100, 100), 90.0)}
    assert names(slots, "any", occupancy=crowded) == ["0/1"], "the score is not for the whole GPU"
    assert names([*slots, part(2, 0)], "any") == ["2:0"]
    assert names([*slots, part(2, 0, "2g.10gb")], "any") == ["0/1"]


def test_a_share_has_no_memory_of_its_own() -> None:
    assert names([*shares(0, 2), whole(1)], ">=1GB") == ["1"]
    assert names(shares(0, 2), ">=1MB") == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (">=5GB", "2:2"),
        (">= 5.1 GB", "2:2"),
        (">=6GB", "2:1"),
        ("10GiB", "2:1"),
        ("11GB", "2:0"),
        ("at least 20 GiB", "2:0"),
        (">=22GB", "0"),
        (">=43GB", None),
    ],
)
def test_the_smallest_with_enough_memory(text: str, expected: str | None) -> None:
    assert names(LAB, text) == ([expected] if expected else [])


def test_by_memory_less_compute_comes_first_among_equal_memory() -> None:
    slots = [part(0, 0, "2g.10gb"), part(0, 1, "1g.10gb")]
    assert names(slots, ">=10GB") == ["0:1"]
    # more compute with memory that just does beats less compute with more memory
    assert names([part(0, 0, "2g.10gb"), part(0, 1, "1g.20gb")], ">=10GB") == ["0:0"]
    assert names([part(0, 0, "2g.10gb"), part(0, 1, "1g.20gb")], "any") == ["0:1"]


def test_leases_and_memory_become_occupancy() -> None:
    Had = namedtuple("Had", "info priority")
    leases = [Had(shares(0, 4)[0], 10), Had(shares(0, 4)[2], 50), Had(part(3, 0), 90)]
    assert shared_occupancy(leases, {"GPU-0": 12.5, "GPU-1": 3.0}) == {
        "GPU-0": GpuOccupancy((10, 50), 12.5),
        "GPU-1": GpuOccupancy((), 3.0),
    }


def test_the_score_never_overrules_the_size() -> None:
    slots = [part(0, 0, "2g.10gb"), part(1, 0, "1g.5gb")]
    crowded = {"GPU-1": GpuOccupancy((100,) * 6, 99.0)}
    assert names(slots, "any", occupancy=crowded) == ["1:0"]
