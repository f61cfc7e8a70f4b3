"""MIG changes and claims in processes of their own: `python -m tests.unit.mig_process WHAT ...`.

    die LIBRARY LEDGER LAYOUT N      apply, and die by SIGKILL at the n-th step
    apply LIBRARY LEDGER LAYOUT...   apply one layout after the other until stdin is closed
    claim LIBRARY LEDGER NUMBER N    claim, look, and give back, n times

The last two print a JSON object with what they counted.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import threading
from collections import Counter
from pathlib import Path

from ds01_jupyter.core.errors import Conflict, CoreError, NoFreeSlot, NotFound
from ds01_jupyter.core.identity import Person
from tests.unit.mig_desk import MigDesk


def die(desk: MigDesk, layout: str, number: int) -> None:
    """Apply, and be killed at a step."""

    def at(_: str) -> None:
        if len(desk.steps) == number:
            os.kill(os.getpid(), signal.SIGKILL)

    desk.at = at
    desk.apply(layout)


def apply(desk: MigDesk, layouts: list[str]) -> Counter[str]:
    """Apply until nobody wants more."""
    over = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), over.set()), daemon=True).start()
    counts: Counter[str] = Counter()
    while not over.is_set():
        layout = layouts[counts.total() % len(layouts)]
        try:
            counts["applied" if desk.apply(layout).changed else "same"] += 1
        except Conflict as error:
            counts["in use" if "in use" in error.message else "overtaken"] += 1
        except CoreError as error:
            counts[f"{error.code}: {error.message}"] += 1
    return counts


def claim(desk: MigDesk, number: int, times: int) -> Counter[str]:
    """Claim any instance; while it is leased it must be there, as it was given."""
    counts: Counter[str] = Counter()
    chance = random.Random(number)
    person = Person(f"user{number}", 2000 + number, 2000 + number, Path("/"))
    for turn in range(times):
        wish = chance.choice(["any", "1g.5gb", "2g.10gb", "3g.20gb"])
        try:
            given = desk.claims.claim(f"box{turn}", wish, person=person)
        except (NoFreeSlot, NotFound) as error:
            counts[error.code] += 1
            continue
        counts["claimed"] += 1
        for _ in range(2):
            there = {slot.uuid: slot for slot in desk.nvml.inventory(fresh=True).slots}
            for slot in given.slots:
                found = there.get(slot.uuid)
                same = found is not None and (found.profile, found.gi) == (slot.profile, slot.gi)
                counts["there" if same else "gone"] += 1
        desk.claims.allocator.release(given.claim_id)
    return counts


def main() -> None:
    """Do what the command line says."""
    what, library, ledger, *rest = sys.argv[1:]
    desk = MigDesk(library, Path(ledger))
    if what == "die":
        die(desk, rest[0], int(rest[1]))
        return
    counts = apply(desk, rest) if what == "apply" else claim(desk, int(rest[0]), int(rest[1]))
    print(json.dumps(counts))
    desk.close()


if __name__ == "__main__":
    main()
