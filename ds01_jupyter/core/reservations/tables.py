"""The ledger's tables for what is promised to whom: their making, and the statements on them."""

from __future__ import annotations

RESERVATIONS = ""
