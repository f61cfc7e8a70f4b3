"""Many processes on one ledger: the last slot is promised once, and then given to nobody else."""

from __future__ import annotations

import multiprocessing
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from ds01_jupyter.core.errors import CoreError
from tests.rig.nvml import Machine
from tests.rig.paths import REPOSITORY
from tests.unit.reservation_desk import BIN, DAEMON, GAMES, MAIL, ReservationDesk, seven

PEOPLE = {person.name: person for person in (DAEMON, BIN, GAMES, MAIL)}


def _work(library: str, folder: str, tasks: list[Any], start: Any, out: Any) -> None:
    """In a process of its own: book (for a name), claim (for a name), or look what is due."""
    desk = ReservationDesk(library, Path(folder))
    answers = []
    start.wait()
    for number, (verb, who) in enumerate(tasks):
        try:
            if verb == "book":
                desk.book("1g.5gb", 2, 4, user=who)
            elif verb == "claim":
                desk.claim(f"box{number}-{id(out)}", "1g.5gb", person=PEOPLE[who])
            else:
                desk.reservations.evictions()
            answers.append(verb)
        except CoreError as error:
            answers.append(error.code)
    out.put(answers)
    desk.close()


def race(library: Path, folder: Path, tasks: list[list[tuple[str, str]]]) -> Counter[str]:
    """All tasks, each list in a process of its own, all begun at the same moment."""
    sys.path.insert(0, str(REPOSITORY))  # for the children to find this module
    context = multiprocessing.get_context("spawn")
    start, out = context.Barrier(len(tasks)), context.Queue()
    workers = [
        context.Process(target=_work, args=(str(library), str(folder), task, start, out))
        for task in tasks
    ]
    for worker in workers:
        worker.start()
    answers = [out.get(timeout=60) for _ in workers]
    for worker in workers:
        worker.join()
    out.close()
    sys.path.remove(str(REPOSITORY))
    return Counter(answer for each in answers for answer in each)


@pytest.fixture
def two(gpu_machine: Machine, tmp_path: Path) -> Machine:
    """One GPU with two instances; the limits file is there before anybody else comes."""
    seven(gpu_machine, 2)
    return gpu_machine


def test_b1_the_last_slot_is_promised_once(
    two: Machine, simulated_nvml: Path, tmp_path: Path
) -> None:
    desk = ReservationDesk(simulated_nvml, tmp_path)
    tasks = [[("book", who)] * 3 for who in ("games", "daemon", "bin", "mail")]
    assert race(simulated_nvml, tmp_path, tasks) == {"book": 2, "conflict": 10}
    slots = [slot for each in desk.reservations.all() for slot in each.slots]
    assert sorted(slots) == ["0:0", "0:1"]
    desk.close()


def test_a_claim_and_a_booking_do_not_both_get_the_last_slot(
    two: Machine, simulated_nvml: Path, tmp_path: Path
) -> None:
    """Containers here end never, so whoever has a slot keeps it over the start."""
    desk = ReservationDesk(simulated_nvml, tmp_path)
    tasks = [[("book", "games"), ("book", "games")], [("claim", "daemon")], [("claim", "bin")]]
    answers = race(simulated_nvml, tmp_path, tasks)
    assert answers["book"] + answers["claim"] == 2
    assert answers["conflict"] + answers["no_free_slot"] == 2
    promised = [slot for each in desk.reservations.all() for slot in each.slots]
    leased = [lease.slot for lease in desk.ledger.live_leases()]
    assert sorted([*promised, *leased]) == ["0:0", "0:1"]
    assert not [each for each in desk.reservations.all() if each.in_the_way or each.problem]
    desk.close()


def test_many_who_look_at_once_write_everything_once(
    two: Machine, simulated_nvml: Path, tmp_path: Path
) -> None:
    desk = ReservationDesk(simulated_nvml, tmp_path)
    desk.slots("one", count=2, person=BIN)
    desk.book("1g.5gb", 0.0001, 3, notice=0)
    desk.clock.advance(seconds=1)
    race(simulated_nvml, tmp_path, [[("look", "")] * 3 for _ in range(4)])
    actions = Counter(action for _, action, _ in desk.history())
    assert actions == {"reservation.book": 1, "reservation.begin": 1}
    assert [each.what for each in desk.told(BIN)] == ["reservation_stop"]
    assert len(desk.told(GAMES)) == 2
    desk.close()
