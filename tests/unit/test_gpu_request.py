"""What a person may write as a GPU wish, and what is refused with a sentence."""

from __future__ import annotations

import pytest

from ds01_jupyter.core.errors import InvalidInput
from ds01_jupyter.core.gpu.request import GpuRequest
from ds01_jupyter.core.gpu.slots import SlotInfo

GPU = "GPU-5eed0000-fa4e-0000-0000-000000000000"
MIG = "MIG-7bd1dd66-7ecd-5f96-87f6-a20edb6679f1"


@pytest.mark.parametrize(
    ("text", "count", "expected"),
    [
        ("any", 1, GpuRequest("any", None, 1)),
        ("Any", 3, GpuRequest("any", None, 3)),
        (" none ", 1, GpuRequest("none", None, 0)),
        ("whole", 2, GpuRequest("whole", None, 2)),
        ("1g.5gb", 7, GpuRequest("profile", "1g.5gb", 7)),
        ("1G.5GB+ME", 1, GpuRequest("profile", "1g.5gb+me", 1)),
        ("1c.3g.20gb", 1, GpuRequest("profile", "1c.3g.20gb", 1)),
        ("4g.96gb+me.all", 1, GpuRequest("profile", "4g.96gb+me.all", 1)),
        ("1g.24gb-me", 1, GpuRequest("profile", "1g.24gb-me", 1)),
        ("0", 1, GpuRequest("slot", "0", 1)),
        ("0:1", 1, GpuRequest("slot", "0:1", 1)),
        ("0.1", 1, GpuRequest("slot", "0:1", 1)),
        ("03:07", 1, GpuRequest("slot", "3:7", 1)),
        (MIG, 1, GpuRequest("slot", MIG.lower(), 1)),
        (GPU.lower(), 1, GpuRequest("slot", GPU.lower(), 1)),
        (f"MIG-{GPU}/7/0", 1, GpuRequest("slot", f"mig-{GPU.lower()}/7/0", 1)),
    ],
)
def test_understood(text: str, count: int, expected: GpuRequest) -> None:
    assert GpuRequest.parse(text, count) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "all",
        "cpu",
        "-1",
        "0:1:2",
        "0:",
        "1000",
        "0:1\n0:2",
        "1g",
        "1g.5gb; rm -rf /",
        "1g.5gb+you",
        "gpu0",
        "GPU-1",
        "MIG-" + "0" * 36,
        "\u0661",  # a digit, but not one of ours
        "x" * 5000,
        "$(nvidia-smi)",
    ],
)
def test_refused_with_the_forms_that_work(text: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        GpuRequest.parse(text)
    assert '"1g.5gb"' in refusal.value.hint
    assert len(refusal.value.message) < 120
    assert "\n" not in refusal.value.message


@pytest.mark.parametrize(
    ("text", "count"), [("any", 0), ("any", -1), ("any", 17), ("none", 2), ("0:1", 2)]
)
def test_counts_that_make_no_sense(text: str, count: int) -> None:
    with pytest.raises(InvalidInput):
        GpuRequest.parse(text, count)


WHOLE = SlotInfo("0", GPU, "gpu", "whole", 0, GPU, 40 << 30, 1.0)
PART = SlotInfo("2:1", MIG, "mig", "1g.5gb", 2, "GPU-2", 5 << 30, 1 / 7, 1, 8, 0)


@pytest.mark.parametrize(
    ("text", "matching"),
    [
        ("any", [WHOLE, PART]),
        ("none", []),
        ("whole", [WHOLE]),
        ("1g.5gb", [PART]),
        ("1g.10gb", []),
        ("0", [WHOLE]),
        ("2", []),
        ("2:1", [PART]),
        (MIG.upper(), [PART]),
        (GPU, [WHOLE]),
    ],
)
def test_matches(text: str, matching: list[SlotInfo]) -> None:
    request = GpuRequest.parse(text)
    assert [slot for slot in (WHOLE, PART) if request.matches(slot)] == matching
