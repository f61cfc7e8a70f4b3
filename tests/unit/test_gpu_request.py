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
        ("whatever", 2, GpuRequest("any", None, 2)),
        ("Whatever is free  that fits", 1, GpuRequest("any", None, 1)),
        ("shared", 1, GpuRequest("profile", "shared", 1)),
        ("00/2", 1, GpuRequest("slot", "0/2", 1)),
        (f"{GPU}#2", 1, GpuRequest("slot", f"{GPU.lower()}#2", 1)),
        (">=10GB", 1, GpuRequest("memory", ">=10GB", 1)),
        (">= 10 gb", 3, GpuRequest("memory", ">=10GB", 3)),
        ("10GB", 1, GpuRequest("memory", ">=10GB", 1)),
        ("\u226510GiB", 1, GpuRequest("memory", ">=10GiB", 1)),
        ("at least 010.5 GIB", 1, GpuRequest("memory", ">=10.5GiB", 1)),
        ("0.5tb", 1, GpuRequest("memory", ">=0.5TB", 1)),
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
        ">=10",
        ">10GB",
        "<=10GB",
        ">=0GB",
        ">=0.000GB",
        "10G",
        "10 giga",
        ">=-1GB",
        ">=1e3GB",
        ">=1/2GB",
        "\u0661GB",
        "0/1/2",
        "share",
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


@pytest.mark.parametrize(
    ("text", "memory"),
    [(">=10GB", 10**10), (">=10GiB", 10 * 2**30), ("1.5TB", 15 * 10**11), ("512MiB", 2**29)],
)
def test_gb_are_powers_of_1000_and_gib_of_1024(text: str, memory: int) -> None:
    request = GpuRequest.parse(text)
    assert request.memory == memory
    assert GpuRequest.parse(request.value or "") == request
    assert GpuRequest.parse("any").memory == 0


@pytest.mark.parametrize(
    ("text", "count", "words"),
    [
        ("any", 1, "a GPU slot"),
        ("any", 2, "2 GPU slots"),
        ("10GB", 1, "a GPU slot with at least 10GB"),
        ("10GB", 2, "2 GPU slots with at least 10GB"),
        ("shared", 1, "a share of a GPU"),
        ("shared", 2, "2 shares of a GPU"),
        ("1g.5gb", 2, "2 slots 1g.5gb"),
        ("0/1", 1, "the slot 0/1"),
    ],
)
def test_in_words(text: str, count: int, words: str) -> None:
    assert str(GpuRequest.parse(text, count)) == words


WHOLE = SlotInfo("0", GPU, "gpu", "whole", 0, GPU, 40 << 30, 1.0)
PART = SlotInfo("2:1", MIG, "mig", "1g.5gb", 2, "GPU-2", 5 << 30, 1 / 7, 1, 8, 0)
# 9.75 GiB, as an A100 has it: more than the 10 GB of its name.
TWO = SlotInfo("2:0", "MIG-2", "mig", "2g.10gb", 2, "GPU-2", 9984 << 20, 2 / 7, 0, 3, 0)
UNTOLD = SlotInfo("4", "GPU-4", "gpu", "whole", 4, "GPU-4", None, 1.0)
SHARE = SlotInfo("5/2", f"{GPU[:-1]}5#2", "share", "shared", 5, f"{GPU[:-1]}5", None, 0.5)


@pytest.mark.parametrize(
    ("text", "matching"),
    [
        ("any", [WHOLE, PART, TWO, UNTOLD, SHARE]),
        ("none", []),
        ("whole", [WHOLE, UNTOLD]),
        ("shared", [SHARE]),
        (">=5GB", [WHOLE, PART, TWO]),
        (">=10GB", [WHOLE, TWO]),
        (">=10GiB", [WHOLE]),
        ("1MB", [WHOLE, PART, TWO]),
        ("43GB", []),
        ("5/2", [SHARE]),
        ("5", []),
        (SHARE.uuid.lower(), [SHARE]),
        (SHARE.gpu_uuid, []),
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
    slots = (WHOLE, PART, TWO, UNTOLD, SHARE)
    assert [slot for slot in slots if request.matches(slot)] == matching
