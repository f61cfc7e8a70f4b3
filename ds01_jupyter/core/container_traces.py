"""What Docker holds of a container that came to nothing or is gone, and how it goes away."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable

from ds01_jupyter.core.allocator import Allocator, Claim
from ds01_jupyter.core.builder import quietly
from ds01_jupyter.core.engine import Engine
from ds01_jupyter.core.errors import CoreError
from ds01_jupyter.core.labels import CLAIM
from ds01_jupyter.core.ledger import Ledger
from ds01_jupyter.core.own_image import CONTAINER_LABEL

log = logging.getLogger(__name__)

GRACE = 30.0
"""Seconds that the image of a container that somebody removed is left alone: AIME's mlc-remove
removes it itself, right after the container, and would complain that it is gone."""


class Traces:
    """Takes back claims together with what was made for them, and images without a container.

    A claim is given back only when Docker has said that nothing of it is left. While Docker does
    not answer, or the ledger cannot be written, the claim waits here (and its slots stay taken);
    should this process die meanwhile, the reconciler adopts what there is.
    """

    def __init__(
        self,
        engine: Engine,
        ledger: Ledger,
        allocator: Allocator,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._engine = engine
        self._ledger = ledger
        self._allocator = allocator
        self._clock = clock
        self._lock = threading.Lock()
        self._waiting: list[Claim] = []
        self._told: set[str] = set()
        self._orphans: dict[str, float] = {}

    def take_back(self, claim: Claim) -> None:
        """Remove container and image of a claim and release it, now or when Docker answers."""
        try:
            self._remove(claim)
            self._allocator.release(claim.claim_id)
        except CoreError as error:
            self._wait(claim, error)
            return
        with self._lock:
            self._told.discard(claim.claim_id)

    def release(self, claim: Claim) -> None:
        """Release a claim for which Docker was asked nothing, now or when the ledger can be
        written. (This process lives, so nobody else would take it for left behind.)"""
        try:
            self._allocator.release(claim.claim_id)
        except CoreError as error:
            self._wait(claim, error)

    def gone(self, full_names: Iterable[str]) -> None:
        """These containers were removed around us: their images go too, in a while."""
        due = self._clock() + GRACE
        with self._lock:
            self._orphans.update(dict.fromkeys(full_names, due))

    def finish(self) -> None:
        """Do what could not be done before and is due; costs nothing when nothing is."""
        now = self._clock()
        with self._lock:
            waiting, self._waiting = self._waiting, []
            orphans = [name for name, due in self._orphans.items() if due <= now]
            for name in orphans:
                del self._orphans[name]
        for claim in waiting:
            self.take_back(claim)
        for name in orphans:
            # There may be another one of that name, and the image is its.
            if self._ledger.container_by_name(name) is None:
                quietly(self._remove_images, name)

    def _wait(self, claim: Claim, error: CoreError) -> None:
        with self._lock:
            self._waiting.append(claim)
            fresh = claim.claim_id not in self._told
            self._told.add(claim.claim_id)
        if fresh:  # it is tried again and again while Docker is away: once is enough to know
            log.warning("%s is taken back later: %s", claim.full_name, error.message)

    def _remove(self, claim: Claim) -> None:
        # By the claim and not by an id: Docker may have made the container without our hearing it.
        for item in self._engine.list_containers():
            if item.full_name == claim.full_name and item.labels.get(CLAIM) == claim.claim_id:
                self._engine.remove_container(item.id, force=True)
        self._remove_images(claim.full_name)

    def _remove_images(self, full_name: str) -> None:
        """Remove the own image of a container: by its label and its tag, so that no other image
        can be meant. One that is in use stays."""
        for image in self._engine.list_images():
            if image.labels.get(CONTAINER_LABEL) != full_name:
                continue
            for reference in image.references:
                if reference.endswith(f":{full_name}"):
                    quietly(self._engine.remove_image, reference)
