"""The reconciler on the real engine: nobody asks, and the ledger is right all the same."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ds01_jupyter.core.docker_engine import DockerEngine
from ds01_jupyter.core.errors import Conflict
from ds01_jupyter.core.gpu.nvml import NvmlDriver
from ds01_jupyter.core.ledger import Ledger
from ds01_jupyter.core.reconciler import Reconciler
from tests.engine.conftest import Desk
from tests.rig.fixtures import RigEngine
from tests.rig.nvml import Machine
from tests.rig.paths import REPOSITORY

pytestmark = pytest.mark.engine

LONG = 3600.0


def until(condition: Callable[[], object], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.05)


def states(desk: Desk) -> list[str]:
    return [lease.state for lease in desk.lab._ledger.live_leases() if lease.uid == desk.person.uid]


def actions(desk: Desk, subject: str) -> list[str]:
    rows = desk.lab._ledger.history(1000)
    found = [row.action for row in reversed(rows) if row.subject == subject]
    return [action for action in found if action.startswith("foreign")]


def test_f2_what_happens_behind_our_back_is_seen_without_being_asked(
    make_desk: Callable[..., Desk],
) -> None:
    desk = make_desk(reconcile_seconds=LONG)  # only events can tell
    made = desk.create("c")
    until(lambda: desk.lab._reconciler.rounds)
    container = desk.docker.containers.get(made.id)
    container.stop(timeout=1)
    until(lambda: states(desk) == ["held"])
    container.start()
    until(lambda: states(desk) == ["active"])
    container.remove(force=True)
    until(lambda: states(desk) == [])


def test_f16_without_events_the_timer_does_it(
    desk: Desk, rig_engine: RigEngine, simulated_nvml: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = desk.create("c")
    engine = DockerEngine(rig_engine.docker_host)
    nowhere = DockerEngine("unix:///nowhere.sock")
    monkeypatch.setattr(engine, "watch_containers", nowhere.watch_containers)
    reconciler = Reconciler(desk.lab._ledger, engine, NvmlDriver(str(simulated_nvml)), every=0.2)
    reconciler.start()
    desk.docker.containers.get(made.id).remove(force=True)
    until(lambda: states(desk) == [])
    reconciler.close()
    engine.close()


def test_docker_that_is_away_is_said_once_and_costs_nothing(
    tmp_path: Path, simulated_nvml: Path, gpu_machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    ledger = Ledger(tmp_path / "ledger.sqlite")
    engine = DockerEngine(f"unix://{tmp_path}/nothing.sock")
    reconciler = Reconciler(ledger, engine, NvmlDriver(str(simulated_nvml)), every=0.02)
    with caplog.at_level(logging.INFO, logger="ds01_jupyter.core.reconciler"):
        reconciler.start()
        until(lambda: reconciler.rounds > 20)
        reconciler.close()
    said = [record.getMessage() for record in caplog.records]
    assert sorted(said) == [
        "ds01: listening to Docker: Docker is not running, or cannot be reached.",
        "ds01: reconciling: Docker is not running, or cannot be reached.",
    ]
    assert [one.name for one in threading.enumerate() if one.name.startswith("ds01-rec")] == []
    ledger.close()


def test_events_in_a_burst_are_one_round(desk: Desk, simulated_nvml: Path) -> None:
    engine = DockerEngine(desk.settings.docker_host)
    reconciler = Reconciler(desk.lab._ledger, engine, NvmlDriver(str(simulated_nvml)), every=LONG)
    reconciler.start()
    until(lambda: reconciler.rounds)
    before, begin = reconciler.rounds, time.monotonic()
    while time.monotonic() - begin < 1.5:
        reconciler._wake.set()
        time.sleep(0.01)
    assert 1 <= reconciler.rounds - before <= 1.5 / 0.3 + 2
    reconciler.close()
    engine.close()


def test_it_does_not_keep_the_process_alive(desk: Desk) -> None:
    settings = desk.settings
    program = (
        "from pathlib import Path\nfrom ds01_jupyter.core.lab import Lab\n"
        "from ds01_jupyter.core.settings import Settings\n"
        f"lab = Lab(Settings(docker_host={settings.docker_host!r}, "
        f"nvml_library={settings.nvml_library!r}, ledger=Path({str(settings.ledger)!r})))\n"
        "while not lab._reconciler.rounds: pass\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=REPOSITORY, timeout=60, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (0, "")


def forget(desk: Desk, name: str) -> None:
    """What an expired hold does: the slot is given back, the container stays."""
    row = desk.lab._ledger.container_by_name(f"{name}._.{desk.person.uid}")
    assert row is not None
    desk.lab._containers._allocator.release(row.claim_id)


def test_b38_a_slot_that_was_given_back_is_not_taken_again_by_a_start(
    make_desk: Callable[..., Desk],
) -> None:
    one, two = make_desk(), make_desk()
    mine = one.create("mine", gpu="3g.20gb")
    one.lab.stop_container(one.person, "mine")
    row = one.lab._ledger.container_by_name(mine.full_name)
    assert row is not None
    with one.lab._ledger.writing() as connection:
        connection.execute(
            "UPDATE leases SET state = 'released' WHERE claim_id = ?", (row.claim_id,)
        )
    theirs = two.create("theirs", gpu="3g.20gb")
    assert theirs.gpus == mine.gpus
    with pytest.raises(Conflict, match="given back"):
        one.lab.start_container(one.person, "mine")
    assert one.docker.containers.get(mine.id).status == "exited"
    # started around us it is shown, counted and written down, and left running
    one.docker.containers.get(mine.id).start()
    report = one.lab._reconciler.once()
    one.lab._reconciler.look()
    assert report is not None
    assert one.docker.containers.get(mine.id).status == "running"
    slots = one.lab._driver.inventory(fresh=True).slots
    busy = one.lab._containers.busy_elsewhere(one.lab._containers.present(), slots)
    assert busy == {mine.gpus[0].uuid: mine.full_name}
    [warning] = [row for row in one.lab._ledger.history(50) if row.action == "foreign.begin"]
    assert (warning.subject, warning.owner, warning.details["against"]) == (
        mine.full_name,
        two.person.name,
        [theirs.full_name],
    )


def test_a_container_without_a_lease_is_written_down_once_by_many_servers(
    desk: Desk,
) -> None:
    made = desk.create("c", gpu="3g.20gb")
    forget(desk, "c")
    others = [Reconciler(desk.lab._ledger, desk.lab._engine, desk.lab._driver) for _ in range(3)]
    for _ in range(2):
        for one in others:
            one.once()
            one.look()
    assert actions(desk, made.full_name) == ["foreign.begin"]
    desk.docker.containers.get(made.id).stop(timeout=1)
    for one in others:
        one.once()
        one.look()
    assert actions(desk, made.full_name) == ["foreign.begin", "foreign.end"]
    desk.docker.containers.get(made.id).start()
    others[0].once()
    others[0].look()
    assert actions(desk, made.full_name) == ["foreign.begin", "foreign.end", "foreign.begin"]
