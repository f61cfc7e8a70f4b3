"""The ledger's tables for the time of containers and for notices to people: their making, and the
statements on them."""

from __future__ import annotations

LIFECYCLE = ""
