"""Which free slot is taken: the smallest, then the seed's score, then the order of names."""

from __future__ import annotations

import random

import pytest

from ds01_jupyter.core.gpu.placement import GpuOccupancy, choose
from ds01_jupyter.core.gpu.request import GpuRequest
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


def test_several_are_distinct_and_spread_by_the_score() -> None:
    # Each lease weighs 10 points, so the second goes to the GPU that has none yet.
    slots = [part(0, 0), part(0, 1), part(1, 0), part(1, 1)]
    assert names(slots, "any", 3) == ["0:0", "1:0", "0:1"]


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
        (GpuOccupancy((10,)), GpuOccupancy((50, 50)), "1:0"),
        # an empty GPU beats like priority
        (GpuOccupancy((50,)), GpuOccupancy(), "1:0"),
        # fewer leases
        (GpuOccupancy((50, 50)), GpuOccupancy((50,)), "1:0"),
        # less memory in use
        (GpuOccupancy((50,), 80.0), GpuOccupancy((50,), 5.0), "1:0"),
        # a lease weighs as much as ten per cent of memory
        (GpuOccupancy((50,), 0.0), GpuOccupancy((), 9.0), "1:0"),
        (GpuOccupancy((50,), 0.0), GpuOccupancy((), 11.0), "0:0"),
        # and then the order
        (GpuOccupancy((50,), 1.0), GpuOccupancy((50,), 1.0), "0:0"),
    ],
)
def test_among_equals_the_score_decides(
    first: GpuOccupancy, second: GpuOccupancy, expected: str
) -> None:
    slots = [part(0, 0), part(1, 0)]
    assert names(slots, "any", occupancy={"GPU-0": first, "GPU-1": second}) == [expected]


def test_the_score_never_overrules_the_size() -> None:
    slots = [part(0, 0, "2g.10gb"), part(1, 0, "1g.5gb")]
    crowded = {"GPU-1": GpuOccupancy((100,) * 6, 99.0)}
    assert names(slots, "any", occupancy=crowded) == ["1:0"]
