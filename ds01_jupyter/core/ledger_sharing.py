"""The ledger's step for shared GPUs and for what was asked for in vain."""

from __future__ import annotations

SHARING = ""
