"""A board of GPUs over the simulated driver, a ledger, and what Docker would say."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from ds01_jupyter.core.gpu.board import GpuBoard
from ds01_jupyter.core.gpu.feed import GpuFeed
from ds01_jupyter.core.gpu.nvml import NvmlDriver
from ds01_jupyter.core.gpu.sampler import Pace
from ds01_jupyter.core.gpu.slots import SlotInfo
from ds01_jupyter.core.ledger import Ledger
from ds01_jupyter.core.models import GpuSnapshot, Slot
from tests.unit.desk import Desk

NEVER = 1e9
PATIENCE = 30.0
ONCE = Pace(interval=NEVER, slow=NEVER, watched=NEVER, idle=NEVER, stale=NEVER, patience=PATIENCE)
QUICK = Pace(interval=0.01, stale=PATIENCE, patience=PATIENCE)


class House:
    """A board over a machine, and what Docker would say."""

    def __init__(self, library: Path, ledger: Path) -> None:
        self.library = str(library)
        self.ledger = Ledger(ledger)
        self.desk = Desk(self.ledger, NvmlDriver(self.library))
        self.foreign: dict[str, str] = {}
        self.asked = 0
        self.docker: Callable[[], None] = lambda: None
        self.boards: list[tuple[GpuBoard, GpuFeed]] = []

    def board(self, pace: Pace) -> GpuBoard:
        board = GpuBoard(self.library, self.ledger, "here", self._elsewhere, pace=pace, grace=0)
        self.boards.append((board, GpuFeed(board, "here", every=NEVER)))
        return board

    def feed(self, pace: Pace = QUICK) -> GpuFeed:
        self.board(pace)
        return self.boards[-1][1]

    def _elsewhere(self, slots: Sequence[SlotInfo]) -> Mapping[str, str]:
        self.asked += 1
        self.docker()
        return self.foreign

    def close(self) -> None:
        for board, feed in self.boards:
            feed.close()
            assert board.close(PATIENCE)
        self.desk.close()


def slots(snapshot: GpuSnapshot) -> dict[str, Slot]:
    return {slot.slot: slot for gpu in snapshot.gpus for slot in gpu.slots}


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.005)


def hangs_until(gate: threading.Event) -> Callable[[], None]:
    """What a part does that gives no answer until the gate opens."""

    def hang() -> None:
        assert gate.wait(PATIENCE)

    return hang


def open_house(library: Path, folder: Path) -> Iterator[House]:
    """A house that leaves no thread behind."""
    before = set(threading.enumerate())
    house = House(library, folder / "ledger.sqlite")
    yield house
    house.close()
    left = [thread.name for thread in threading.enumerate() if thread not in before]
    assert left == []
