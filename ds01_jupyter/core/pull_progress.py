"""A pull's many layer events as one fraction."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from ds01_jupyter.core.engine import Amount, Reporter

INTERVAL = 0.2
"""Seconds between two reports; Docker sends dozens of events a second."""
PRESENT = "Already exists"
ENOUGH = 0.05
"""Share from which on the rate so far says something about the rest."""


class PullProgress:
    """Adds the layers up. Of a layer, downloading counts two thirds and extracting one."""

    def __init__(self, reference: str, progress: Reporter) -> None:
        self._reference = reference
        self._progress = progress
        self._sizes: dict[str, int] = {}
        self._shares: dict[str, float] = {}
        self._bytes: dict[str, int] = {}
        self._next = 0.0
        self._began: float | None = None
        self._reached = 0.0

    def heard(self, event: Mapping[str, Any]) -> None:
        """Take an event in, and report now and then; raises `Cancelled`."""
        layer, status = event.get("id"), str(event.get("status", ""))
        if not layer or status.startswith("Pulling from"):
            if status:
                self._progress.log(f"{layer}: {status}" if layer else status)
            return
        self._note(layer, status, event.get("progressDetail") or {})
        now = time.monotonic()
        if now >= self._next:
            self._next = now + INTERVAL
            self._progress.measure(self._amount(str(layer), now))
            self._progress.step("pull", self.fraction, self._detail())

    @property
    def fraction(self) -> float | None:
        """Done, 0 to 1, by bytes where layer sizes are known; None before any layer to fetch is.

        It never falls, though layers turn up late and a retry begins again."""
        if not self._shares:
            return None
        known = [size for size in self._sizes.values() if size]
        usual = sum(known) / len(known) if known else 1
        weights = {layer: self._sizes.get(layer) or usual for layer in self._shares}
        done = sum(self._shares[layer] * weight for layer, weight in weights.items())
        self._reached = max(self._reached, min(1.0, done / sum(weights.values())))
        return self._reached

    def _amount(self, layer: str, now: float) -> Amount:
        """Bytes come and bytes known of; the time is that of what is left at the rate so far."""
        done, total = sum(self._bytes.values()), sum(self._sizes.values())
        if not total:
            return Amount(item=layer)
        self._began = self._began or now
        reached, passed = self.fraction or 0.0, now - self._began
        remaining = None
        if reached > ENOUGH and passed > 1:
            remaining = round(passed * (1 - reached) / reached, 1)
        return Amount(done, total, "bytes", layer, remaining)

    def _note(self, layer: str, status: str, detail: Mapping[str, Any]) -> None:
        if status == PRESENT:
            return
        share = self._shares.setdefault(layer, 0.0)
        current, total = detail.get("current") or 0, detail.get("total") or 0
        if status == "Downloading":
            if total:
                self._sizes[layer] = total
                self._bytes[layer] = current
                share = 2 / 3 * current / total
        elif status in ("Verifying Checksum", "Download complete"):
            self._bytes[layer] = self._sizes.get(layer, 0)
            share = 2 / 3
        elif status == "Extracting":
            share = 2 / 3 + (current / total / 3 if total else 0)
        elif status == "Pull complete":
            self._bytes[layer] = self._sizes.get(layer, 0)
            share = 1.0
        self._shares[layer] = min(1.0, share)

    def _detail(self) -> str:
        done, total = sum(self._bytes.values()), sum(self._sizes.values())
        if not total:
            return self._reference
        return f"{self._reference}: {done / 1e6:.0f} of {total / 1e6:.0f} MB"
