"""The ledger's tables for who waits for slots: their making, and the statements on them."""

from __future__ import annotations

WAITING = ""
