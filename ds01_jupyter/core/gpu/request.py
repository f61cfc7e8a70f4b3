"""What a person asks for: any slot, none, a whole GPU, a MIG profile, or one slot by name."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from ds01_jupyter.core.errors import InvalidInput
from ds01_jupyter.core.gpu.slots import PROFILE, WHOLE, SlotInfo

MAX_COUNT = 16

_SLOT = re.compile(r"(\d{1,3})(?:[:.](\d{1,3}))?", re.ASCII)
_HEX = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_UUID = re.compile(rf"(?:(?:GPU|MIG)-{_HEX}|MIG-GPU-{_HEX}/\d+/\d+)", re.IGNORECASE)
_FORMS = (
    'Say "any", "none" (CPU only), "whole", a MIG profile such as "1g.5gb", or a slot such as '
    '"0" or "0:1" (ds01 gpus lists them).'
)


@dataclass(frozen=True)
class GpuRequest:
    """A wish for `count` slots; `value` is the profile, or the slot's name or UUID.

    `count` is 0 for `none` and 1 for `slot`.
    """

    kind: Literal["none", "any", "whole", "profile", "slot"]
    value: str | None
    count: int

    @classmethod
    def parse(cls, text: str, count: int = 1) -> GpuRequest:
        """Read a wish as a person writes it; `InvalidInput` with the forms that are understood.

        Case does not matter, and `0.1` means the slot `0:1`.
        """
        if not 1 <= count <= MAX_COUNT:
            raise InvalidInput(
                f"The number of GPU slots must be from 1 to {MAX_COUNT}, not {count}.",
                hint='For a container without a GPU, ask for gpu="none".',
                count=count,
            )
        word = text.strip().lower()
        if word == "none":
            _only_one(count, 'gpu="none" means no GPU at all')
            return cls("none", None, 0)
        if word == "any":
            return cls("any", None, count)
        if word == WHOLE:
            return cls("whole", None, count)
        if PROFILE.fullmatch(word) and word.isascii():
            return cls("profile", word, count)
        value = _slot_value(text.strip())
        if value is None:
            shown = text if len(text) <= 60 else f"{text[:57]}..."
            raise InvalidInput(f"{shown!r} is not a GPU request.", hint=_FORMS, gpu=shown)
        _only_one(count, "one slot by name can be given only once")
        return cls("slot", value, 1)

    def matches(self, slot: SlotInfo) -> bool:
        """Whether a slot would do, free or not."""
        if self.kind == "any":
            return True
        if self.kind == "whole":
            return slot.kind == "gpu"
        if self.kind == "profile":
            return slot.kind == "mig" and slot.profile.lower() == self.value
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
        if self.kind == "profile":
            return f"{many}slot{plural} {self.value}"
        return f"the slot {self.value}"


def _slot_value(text: str) -> str | None:
    """`0`, `0:1`, or a UUID in lower case; None for anything else."""
    if match := _SLOT.fullmatch(text):
        gpu, mig = match.groups()
        return str(int(gpu)) if mig is None else f"{int(gpu)}:{int(mig)}"
    return text.lower() if _UUID.fullmatch(text) else None


def _only_one(count: int, why: str) -> None:
    if count != 1:
        raise InvalidInput(
            f"Asking for {count} of it makes no sense: {why}.",
            hint="Leave the number out, or ask for a profile.",
            count=count,
        )
