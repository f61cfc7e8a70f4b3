"""What a person asks for: whatever is free, nothing, a whole GPU, a MIG profile, a share, so much
memory, or one slot by name."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from ds01_jupyter.core.errors import InvalidInput
from ds01_jupyter.core.gpu.slots import PROFILE, SHARED, WHOLE, SlotInfo

MAX_COUNT = 16

ANYTHING = frozenset(
    {
        "any",
        "anything",
        "free",
        "whatever",
        "whatever fits",
        "whatever is free",
        "whatever is free that fits",
    }
)
"""Spellings of `any`."""

_SLOT = re.compile(r"(\d{1,3})(?:([:./])(\d{1,3}))?", re.ASCII)
_HEX = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_UUID = re.compile(rf"(?:GPU-{_HEX}(?:#\d{{1,2}})?|MIG-{_HEX}|MIG-GPU-{_HEX}/\d+/\d+)", re.I)
_MEMORY = re.compile(r"(?:>=|≥|at least)? ?(\d{1,6}(?:\.\d{1,3})?) ?([mgt])(i?)b", re.I | re.A)
_POWERS = {"m": 2, "g": 3, "t": 4}
_FORMS = (
    'Say "any" (whatever is free that fits), "none" (CPU only), "whole", a MIG profile such as '
    '"1g.5gb", memory such as ">=10GB", "shared", or a slot such as "0" or "0:1" (ds01 gpus '
    "lists them)."
)


@dataclass(frozen=True)
class GpuRequest:
    """A wish for `count` slots; `value` is the profile (`shared` for a share), the least memory
    (`>=10GB`), or the slot's name or UUID.

    `count` is 0 for `none` and 1 for `slot`.
    """

    kind: Literal["none", "any", "whole", "profile", "memory", "slot"]
    value: str | None
    count: int

    @classmethod
    def parse(cls, text: str, count: int = 1) -> GpuRequest:
        """Read a wish as a person writes it; `InvalidInput` with the forms that are understood.

        Case does not matter, and `0.1` means the slot `0:1`. GB are powers of 1000 and GiB of
        1024, so that an instance of 9.75 GiB has the 10 GB that its name promises.
        """
        if not 1 <= count <= MAX_COUNT:
            raise InvalidInput(
                f"The number of GPU slots must be from 1 to {MAX_COUNT}, not {count}.",
                hint='For a container without a GPU, ask for gpu="none".',
                count=count,
            )
        word = " ".join(text.lower().split()) if len(text) <= 80 else ""
        if word == "none":
            _only_one(count, 'gpu="none" means no GPU at all')
            return cls("none", None, 0)
        if word in ANYTHING:
            return cls("any", None, count)
        if word == WHOLE:
            return cls("whole", None, count)
        if word == SHARED or (PROFILE.fullmatch(word) and word.isascii()):
            return cls("profile", word, count)
        if memory := _memory(word):
            return cls("memory", memory, count)
        value = _slot_value(text.strip())
        if value is None:
            shown = text if len(text) <= 60 else f"{text[:57]}..."
            raise InvalidInput(f"{shown!r} is not a GPU request.", hint=_FORMS, gpu=shown)
        _only_one(count, "one slot by name can be given only once")
        return cls("slot", value, 1)

    @property
    def memory(self) -> int:
        """Bytes that a slot must have for itself; 0 where none are asked for."""
        return _bytes(self.value or "") if self.kind == "memory" else 0

    @property
    def profile(self) -> str | None:
        """The one profile that would do; None where several would, or none."""
        return WHOLE if self.kind == "whole" else self.value if self.kind == "profile" else None

    def matches(self, slot: SlotInfo) -> bool:
        """Whether a slot would do, free or not.

        A share of a GPU has no memory of its own, so it never does where memory is asked for.
        Nor does a slot whose memory the driver does not tell.
        """
        if self.kind == "any":
            return True
        if self.kind == "whole":
            return slot.kind == "gpu"
        if self.kind == "profile":
            return slot.kind != "gpu" and slot.profile.lower() == self.value
        if self.kind == "memory":
            return slot.memory_total is not None and slot.memory_total >= self.memory
        if self.kind == "slot":
            return self.value in (slot.slot, slot.uuid.lower())
        return False

    def __str__(self) -> str:
        """The wish in words: "2 slots 1g.5gb"."""
        many = f"{self.count} " if self.count > 1 else "a "
        plural = "s" if self.count > 1 else ""
        if self.kind == "none":
            return "no GPU"
        if self.kind == "any":
            return f"{many}GPU slot{plural}"
        if self.kind == "whole":
            return f"{many}whole GPU{plural}"
        if self.kind == "memory":
            return f"{many}GPU slot{plural} with at least {self.value[2:] if self.value else ''}"
        if self.value == SHARED:
            return f"{many}share{plural} of a GPU"
        if self.kind == "profile":
            return f"{many}slot{plural} {self.value}"
        return f"the slot {self.value}"


def _memory(word: str) -> str | None:
    """`>=10GB` for whatever spelling of it; None for anything else, and for nothing at all."""
    match = _MEMORY.fullmatch(word)
    if match is None or not float(match[1]):
        return None
    number = match[1].lstrip("0").rstrip(".") or "0"
    number = f"0{number}" if number.startswith(".") else number
    return f">={number}{match[2].upper()}{match[3].lower()}B"


def _bytes(value: str) -> int:
    match = _MEMORY.fullmatch(value)
    if match is None:
        raise ValueError(f"{value!r} is not an amount of memory")
    base = 1024 if match[3] else 1000
    return int(Fraction(match[1]) * base ** _POWERS[match[2].lower()])


def _slot_value(text: str) -> str | None:
    """`0`, `0:1`, `0/1`, or a UUID in lower case; None for anything else."""
    if match := _SLOT.fullmatch(text):
        gpu, mark, part = match.groups()
        if part is None:
            return str(int(gpu))
        return f"{int(gpu)}{'/' if mark == '/' else ':'}{int(part)}"
    return text.lower() if _UUID.fullmatch(text) else None


def _only_one(count: int, why: str) -> None:
    if count != 1:
        raise InvalidInput(
            f"Asking for {count} of it makes no sense: {why}.",
            hint="Leave the number out, or ask for a profile.",
            count=count,
        )
