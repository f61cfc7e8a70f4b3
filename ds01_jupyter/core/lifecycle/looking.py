"""Looking at containers: what Docker and the GPUs say of them, before anything is written."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from ds01_jupyter.core.clock import Clock, Moment, SystemClock
from ds01_jupyter.core.engine import ContainerDetails, ContainerSummary, Engine
from ds01_jupyter.core.gpu.board import GpuBoard
from ds01_jupyter.core.ledger import ContainerRow
from ds01_jupyter.core.lifecycle.activity import GpuLook, gpu_activity, look_at_gpus, tells
from ds01_jupyter.core.lifecycle.life import (
    Activity,
    Counters,
    Life,
    Look,
    Thresholds,
    earlier,
    seen_running,
    seen_stopped,
)
from ds01_jupyter.core.lifecycle.standings import Books, claimed, state_of
from ds01_jupyter.core.processes import container_of_pid, start_ticks

Change = Callable[[Life], Life]
"""What a look makes of the life that the ledger has by the time it is written."""

TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Seen:
    """A look at one container: Docker's word on its state by then, and what it changes."""

    state: str
    change: Change


class Looking:
    """Looks, with as few questions as will do: an inspect for each container that runs, its
    counters only where no GPU tells, and of one that has stopped the end of its run, once."""

    def __init__(
        self, engine: Engine, board: GpuBoard, clock: Clock, thresholds: Thresholds, fresh: float
    ) -> None:
        """What another server has seen less than `fresh` seconds ago is not looked at again."""
        self._engine = engine
        self._board = board
        self._clock = clock
        self._thresholds = thresholds
        self._fresh = fresh

    def look(
        self, row: ContainerRow, summary: ContainerSummary, books: Books, gpus: GpuGlance
    ) -> Seen | None:
        """Look at a container; None where nothing new can be seen. Raises `CoreError`."""
        life = books.lives.get(row.claim_id)
        state = state_of(summary.state)
        if state == "running":
            if life is not None and life.runs and self._is_fresh(life):
                return None
            return self.inspect(row, books, gpus)
        if state == "created":
            if life is not None:
                return None
            now = self._clock.now()
            age = max(SystemClock().now().wall - summary.created, timedelta(0))
            made = earlier(now, min(age, now.since(claimed(row))))
            return Seen(summary.state, partial(_made, made))
        if life is not None and life.stopped is not None and not _held_anew(row, life, books):
            return None
        return self.inspect(row, books, gpus)

    def end(self, row: ContainerRow) -> Seen:
        """Look whether a container runs, and if not how its last run ended."""
        return self._inspected(row)[1]

    def inspect(self, row: ContainerRow, books: Books, gpus: GpuGlance) -> Seen:
        """Look at a container, whatever is known of it."""
        details, seen = self._inspected(row)
        if state_of(seen.state) != "running" or details.started is None:
            return seen
        leases = books.leases.get(row.claim_id, [])
        paused = details.state == "paused"
        life = books.lives.get(row.claim_id)
        word: Activity | None = None
        if tells(leases) and not paused:
            seconds = self._since(life)
            least = self._thresholds.gpu
            word = gpu_activity(leases, details.id, gpus.look(), seconds, least)
        counters = None
        if word is None and not paused:
            usage = self._engine.usage(details.id)
            counters = Counters(usage.cpu, usage.network)
        at = self._clock.now()
        age = _age(details, details.started)
        look = Look(at, details.started, age, counters, word, paused)
        return Seen(details.state, partial(seen_running, look=look, thresholds=self._thresholds))

    def _inspected(self, row: ContainerRow) -> tuple[ContainerDetails, Seen]:
        assert row.container_id is not None
        details = self._engine.inspect_container(row.container_id)
        if state_of(details.state) == "running":
            return details, Seen(details.state, lambda life: life)
        # Docker's own times are those of the machine's clock, whatever the lab goes by.
        ended = partial(
            seen_stopped,
            at=self._clock.now(),
            started=details.started,
            finished=details.finished,
            machine=SystemClock().now(),
        )
        return details, Seen(details.state, ended)

    def glance(self) -> GpuGlance:
        """The GPUs, for one round."""
        return GpuGlance(self._board)

    def _since(self, life: Life | None) -> float:
        if life is None or life.looked is None:
            return 0.0
        return self._clock.now().since(life.looked).total_seconds()

    def _is_fresh(self, life: Life) -> bool:
        return life.looked is not None and self._since(life) < self._fresh


class GpuGlance:
    """The GPUs for one round: asked when the first container wants to know, and once."""

    def __init__(self, board: GpuBoard) -> None:
        self._board = board
        self._look: GpuLook | None = None

    def look(self) -> GpuLook:
        """What they do."""
        if self._look is None:
            self._look = look_at_gpus(self._board)
        return self._look


def _made(made: Moment, life: Life) -> Life:
    return Life(life.claim_id, made, keep=life.keep) if life.run is None else life


def _held_anew(row: ContainerRow, life: Life, books: Books) -> bool:
    """Whether it ran and stopped again since the last look, so that its slots were held anew."""
    assert life.looked is not None
    return any(
        lease.state == "held"
        and lease.boot_id == life.looked.boot_id
        and lease.boot_seconds > life.looked.boot_seconds
        for lease in books.leases.get(row.claim_id, [])
    )


def _age(details: ContainerDetails, started: datetime) -> float:
    """Seconds since its run began: by its first process, whose start the kernel tells in time
    since boot; by Docker's word where that process cannot be seen from here."""
    machine = SystemClock().now()
    if details.pid is not None and container_of_pid(details.pid) == details.id:
        ticks = start_ticks(details.pid)
        if ticks is not None:
            return machine.boot_seconds - ticks / TICKS
    return (machine.wall - started).total_seconds()
