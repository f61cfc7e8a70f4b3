"""What the driver's XID errors mean for who may be given the GPU.

After NVIDIA's catalogue of XID errors: what it calls an application's own fault is ignored (an
admin may change that list), what ends with restarting the application passes by itself, and all
the rest, unknown codes too, needs a reset of the GPU.
"""

from __future__ import annotations

from ds01_jupyter.core.settings import Settings

IGNORED = Settings.ignored_xids
"""Faults of a program, not of the GPU. The same as NVIDIA's Kubernetes device plugin ignores."""

PASSING = frozenset({8, 11, 32, 63, 69, 92, 94})
"""The GPU goes on without a reset: a hung or garbled channel, a memory row that was retired, an
uncorrectable memory error that was contained in one program."""

_MEANINGS = {
    8: "the GPU stopped processing",
    11: "a program sent it a corrupted command",
    13: "a program made an illegal access",
    31: "a program made an illegal memory access",
    32: "a program sent it a corrupted command",
    43: "a program hung",
    45: "a program was ended",
    48: "an uncorrectable memory error (double bit ECC)",
    62: "its internal microcontroller halted",
    63: "a faulty memory row was retired",
    64: "a faulty memory row could not be retired",
    68: "a video decoder fault",
    69: "a program sent it an illegal class",
    74: "an NVLink error",
    79: "it fell off the bus",
    92: "many corrected memory errors",
    94: "an uncorrectable memory error, contained in one program",
    95: "an uncorrectable memory error, not contained",
    109: "switching between programs timed out",
    119: "its system processor (GSP) does not answer",
    120: "an error of its system processor (GSP)",
}


def needs_reset(xid: int) -> bool:
    """Whether only a reset (of the GPU, or a reboot) makes the GPU sound again."""
    return xid not in PASSING


def meaning(xid: int) -> str:
    """`XID 79 (it fell off the bus)`; the bare code where it is not a well-known one."""
    text = _MEANINGS.get(xid)
    return f"XID {xid}" if text is None else f"XID {xid} ({text})"
