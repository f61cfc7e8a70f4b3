"""What everybody sees of the GPUs: made once, fresh, and honest when it is old."""

from __future__ import annotations

import ctypes
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ds01_jupyter.core.errors import EngineUnavailable, LedgerUnavailable
from ds01_jupyter.core.gpu.nvml import NvmlDriver
from ds01_jupyter.core.gpu.sampler import Pace
from ds01_jupyter.core.ledger import Ledger
from tests.rig.nvml import Machine
from tests.unit.desk import BEN, Desk
from tests.unit.house import ONCE, PATIENCE, QUICK, House, hangs_until, open_house, slots, until


@pytest.fixture
def house(gpu_machine: Machine, simulated_nvml: Path, tmp_path: Path) -> Iterator[House]:
    yield from open_house(simulated_nvml, tmp_path)


# ---- one for all -----------------------------------------------------------------------------


def test_200_readers_cost_no_call_to_the_driver_or_docker(
    house: House, simulated_nvml: Path
) -> None:
    calls = ctypes.CDLL(str(simulated_nvml)).fakenvml_calls
    calls.restype = ctypes.c_ulong
    board = house.board(ONCE)
    board.snapshot()
    assert board.watch.listening(PATIENCE)
    assert board.watch.stop()  # the simulated driver counts its waiting as calls
    before, asked = calls(), house.asked
    with ThreadPoolExecutor(16) as pool:
        seen = list(pool.map(lambda _: board.snapshot(), range(200)))
    assert (calls(), house.asked) == (before, asked)
    assert {len(slots(snapshot)) for snapshot in seen} == {13}
    assert len({snapshot.taken for snapshot in seen}) == 1


def test_a_claim_is_seen_at_once_without_another_look(house: House) -> None:
    """Of this server, and of another one on the same ledger."""
    board = house.board(ONCE)
    assert slots(board.snapshot())["0"].state == "free"
    looks = board.sampler.published
    house.desk.claim("box", "0")
    assert slots(board.snapshot())["0"].state == "leased"
    other = Ledger(house.ledger.path)
    Desk(other, NvmlDriver(house.library)).claim("two", "1", person=BEN)
    other.close()
    lease = slots(board.snapshot())["1"].lease
    assert lease is not None
    assert lease.owner == "ben"
    assert board.sampler.published is looks


def test_f40_processes_are_matched_to_people(house: House, gpu_machine: Machine) -> None:
    board = house.board(ONCE)
    with subprocess.Popen(["sleep", "600"]) as process:
        gpu_machine.add(f"proc gpu=0 pid={process.pid} used=100")
        (shown,) = slots(board.snapshot())["0"].processes
        process.kill()
    assert (shown.pid, shown.memory) == (process.pid, 100 << 20)
    assert shown.user is not None


def test_figures_of_mig_that_nvml_has_not_stay_none(house: House) -> None:
    snapshot = house.board(ONCE).snapshot()
    assert {slot.utilisation for name, slot in slots(snapshot).items() if ":" in name} == {None}
    assert slots(snapshot)["0"].utilisation == 0.1
    assert snapshot.gpus[2].utilisation is None
    assert snapshot.gpus[2].temperature is not None


# ---- trouble ---------------------------------------------------------------------------------


def test_docker_is_away(house: House) -> None:
    def away() -> None:
        raise EngineUnavailable("Docker does not answer.")

    house.docker = away
    assert len(slots(house.board(ONCE).snapshot())) == 13


def test_no_driver(house: House, gpu_machine: Machine) -> None:
    gpu_machine.sys(init=9)
    snapshot = house.board(ONCE).snapshot()
    assert snapshot.gpus == []
    assert "not loaded" in (snapshot.problem or "")


def test_a_ledger_that_is_gone_is_said_and_nothing_is_guessed(house: House) -> None:
    board = house.board(ONCE)
    board.snapshot()
    house.ledger.path.rename(house.ledger.path.with_suffix(".aside"))
    with pytest.raises(LedgerUnavailable):
        board.snapshot()
    house.ledger.path.with_suffix(".aside").rename(house.ledger.path)


@pytest.mark.parametrize("who", ["docker", "driver"])
def test_who_hangs_is_named_and_the_last_figures_are_shown(
    house: House, gpu_machine: Machine, who: str
) -> None:
    gate = threading.Event()
    board = house.board(Pace(interval=0.01, stale=0.1, patience=0.1))
    until(lambda: board.snapshot().problem is None)
    if who == "docker":
        house.docker = hangs_until(gate)
    else:
        gpu_machine.add("fail fn=nvmlDeviceGetPowerUsage us=900000")
    until(lambda: board.sampler.hanging is not None)
    snapshot = board.snapshot()
    gate.set()
    gpu_machine.drop("fail")
    assert len(slots(snapshot)) == 13
    name = {"docker": "Docker", "driver": "The NVIDIA driver"}[who]
    assert f"seconds old. {name} has not answered" in (snapshot.problem or "")
    assert snapshot.age > 0
    until(lambda: board.snapshot().problem is None)


def test_a_cordoned_gpu_and_its_leases(house: House, gpu_machine: Machine) -> None:
    house.desk.claim("box", "2:0")
    board = house.board(QUICK)
    board.snapshot()
    assert board.watch.listening(PATIENCE)
    gpu_machine.add("xid gpu=2 code=48 seq=1")
    until(lambda: board.snapshot().gpus[2].health.state == "cordoned")
    snapshot = board.snapshot()
    (cordon,) = snapshot.gpus[2].health.cordons
    assert (cordon.cause, cordon.xid, cordon.by, cordon.needs_reset) == ("xid", 48, "health", True)
    assert slots(snapshot)["2:0"].state == "leased"
    assert slots(snapshot)["2:0"].lease is not None
    assert {slots(snapshot)[f"2:{index}"].state for index in (1, 2, 3)} == {"cordoned"}
    assert snapshot.gpus[2].problem is None, "it answers"
    assert snapshot.gpus[1].health.state == "well"


def test_an_ignored_xid_is_no_news(house: House, gpu_machine: Machine) -> None:
    board = house.board(QUICK)
    board.snapshot()
    assert board.watch.listening(PATIENCE)
    gpu_machine.add("xid gpu=0 code=13 seq=1")
    gpu_machine.add("xid gpu=1 code=79 seq=2")
    until(lambda: board.snapshot().gpus[1].health.state == "cordoned")
    assert board.snapshot().gpus[0].health.state == "well"


def test_lost_and_back(house: House, gpu_machine: Machine) -> None:
    board = house.board(QUICK)
    board.snapshot()
    gpu_machine.set(0, lost=1)
    until(lambda: board.snapshot().gpus[0].health.state == "silent")
    assert slots(board.snapshot())["0"].state == "unusable"
    gpu_machine.set(0, lost=0)
    until(lambda: slots(board.snapshot())["0"].state == "free")
    actions = [row.action for row in house.ledger.history(10)]
    assert actions[:2] == ["gpu.uncordon", "gpu.cordon"]


def test_f26_a_missing_gpu_is_announced(house: House, gpu_machine: Machine) -> None:
    board = house.board(QUICK)
    uuid = board.snapshot().gpus[0].uuid
    with gpu_machine.edit() as lines:
        lines[:] = [line for line in lines if uuid not in line]
    until(lambda: "GPU 0 (NVIDIA A100" in (board.snapshot().problem or ""))


def test_history_is_gathered_while_somebody_looks(house: House) -> None:
    board = house.board(QUICK)
    board.past._step = 0.01
    until(lambda: len(board.history().times) >= 3)
    line = next(item for item in board.history().series if item.slot == "0")
    assert set(line.utilisation) == {0.1}


def test_nothing_runs_before_somebody_asks(house: House) -> None:
    board = house.board(QUICK)
    assert not board.sampler.running
    assert not board.watch.running
    assert not house.ledger.path.exists()
