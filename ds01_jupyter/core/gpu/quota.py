"""Reckoning in GPU-equivalents: a whole GPU is 1, a MIG instance its part of the compute.

Shares and limits come as floats, of which seven sevenths are not quite one; here they are taken
for the fractions that they stand for, so that a limit is met exactly.
"""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from functools import lru_cache
from typing import Protocol

_FINEST = 10_000
"""No share or limit has a larger denominator: it reads 0.142857 as 1/7 and 0.1429 as it is."""


class HasShare(Protocol):
    """A slot, or a lease's record of one."""

    @property
    def share(self) -> float:
        """Its part of a GPU's compute: 1.0 for a whole GPU."""


@lru_cache(maxsize=256)
def exact(share: float) -> Fraction:
    """The fraction that a float stands for: 0.2857142857142857 is 2/7."""
    return Fraction(share).limit_denominator(_FINEST)


def equivalents(slots: Iterable[HasShare]) -> Fraction:
    """What slots come to together."""
    return sum((exact(slot.share) for slot in slots), Fraction(0))


def in_words(amount: Fraction) -> str:
    """At most two decimals: 3/7 is `0.43`, and one `1`."""
    return f"{float(amount):.2f}".rstrip("0").rstrip(".")
