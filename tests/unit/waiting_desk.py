"""An allocator behind the queue's fence, over the simulated driver and a ledger of its own."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ds01_jupyter.core.allocator import Allocator, Claim, Turn
from ds01_jupyter.core.clock import ShiftedClock
from ds01_jupyter.core.gpu.nvml import NvmlDriver
from ds01_jupyter.core.gpu.request import GpuRequest
from ds01_jupyter.core.identity import Person
from ds01_jupyter.core.ledger import Ledger
from ds01_jupyter.core.limits import PersonLimits
from ds01_jupyter.core.people import slots_back_by
from ds01_jupyter.core.waiting import tables
from ds01_jupyter.core.waiting.fence import QueueFence
from ds01_jupyter.core.waiting.scene import Stage
from tests.unit.waiting_kit import limits

HOST = "here"


def person(uid: int) -> Person:
    """Somebody with that number."""
    return Person(f"u{uid}", uid, uid, Path("/"))


class WaitingDesk:
    """Claims and places of people whose limits are in `limits`, by uid."""

    def __init__(self, path: Path, library: str) -> None:
        self.ledger = Ledger(path)
        self.driver = NvmlDriver(library, refresh=1e9)
        self.clock = ShiftedClock()
        self.limits: dict[int, PersonLimits | None] = {}
        self.stage = Stage(HOST, self.limits_of)
        self.fence = QueueFence(self.stage, self.clock)
        self.allocator = Allocator(self.ledger, self.driver, HOST, fences=(self.fence,))
        self._names = 0

    def limits_of(self, uid: int) -> PersonLimits | None:
        """Without a limit, for everybody of whom nothing else was said."""
        return self.limits.setdefault(uid, limits())

    def name(self) -> str:
        """A new name for a container."""
        self._names += 1
        return f"box{os.getpid()}-{self._names}"

    def join(self, uid: int, gpu: str = "1g.5gb", count: int = 1) -> int:
        """A place in the queue; its number."""
        theirs = self.limits_of(uid)
        with self.ledger.writing() as connection:
            return tables.insert(
                connection,
                host=HOST,
                uid=uid,
                owner=f"u{uid}",
                name=self.name(),
                gpu=gpu,
                gpus=count,
                request="{}",
                priority=50 if theirs is None else theirs.values.priority,
                now=self.clock.now(),
            )

    def claim(
        self,
        uid: int,
        gpu: str = "1g.5gb",
        count: int = 1,
        turn: Turn | None = None,
        name: str | None = None,
    ) -> Claim:
        """Claim slots, directly or as a place in the queue."""
        theirs = self.limits_of(uid)
        assert theirs is not None
        until = slots_back_by(theirs, self.clock.now().wall)
        request = GpuRequest.parse(gpu, count)
        return self.allocator.claim(
            person(uid),
            name or self.name(),
            request,
            theirs.values,
            {},
            {},
            until=until,
            turn=turn,
        )

    def serve(self, number: int) -> Claim:
        """Claim for a place; it is `starting` then, or nothing has changed."""
        with self.ledger.reading() as connection:
            entry = tables.get(connection, HOST, number)
        assert entry is not None

        def taken(connection: Any, claim_id: str) -> None:
            assert tables.begin(connection, number, claim_id, f"op{number}")

        return self.claim(entry.uid, entry.gpu, entry.gpus, Turn(number, taken), entry.name)

    def sleep(self, number: int) -> None:
        """The place's server is gone."""
        with self.ledger.writing() as connection:
            connection.execute("UPDATE waiting SET start_ticks = 1 WHERE id = ?", (number,))

    def wait(self, **time: float) -> None:
        """Time passes (as for `timedelta`), and all servers say that they are there."""
        self.clock.advance(**time)
        now = self.clock.now()
        with self.ledger.writing() as connection:
            for entry in tables.active(connection, HOST):
                if entry.state == "waiting" and entry.server.start_ticks != 1:
                    tables.attend(connection, entry.id, now)

    def state(self, number: int) -> str:
        """How it stands with a place."""
        with self.ledger.reading() as connection:
            entry = tables.get(connection, HOST, number)
        assert entry is not None
        return entry.state

    def close(self) -> None:
        """Let go of everything."""
        self.driver.close()
        self.ledger.close()
