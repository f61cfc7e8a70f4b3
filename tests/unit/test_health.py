"""GPUs that are ill are given to nobody until they are well, and no lease is touched."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from ds01_jupyter.core.errors import Conflict, NotFound
from ds01_jupyter.core.gpu.board import infos
from ds01_jupyter.core.gpu.health import GpuHealth, Verdict
from ds01_jupyter.core.gpu.nvml import NvmlDriver
from tests.rig.nvml import Machine
from tests.unit.clinic import ADMIN, Clinic
from tests.unit.desk import ANNA

NEVER = 1e9


@pytest.fixture
def clinic(gpu_machine: Machine, simulated_nvml: Path, tmp_path: Path) -> Iterator[Clinic]:
    clinic = Clinic(simulated_nvml, tmp_path / "ledger.sqlite", gpu_machine)
    clinic.look()
    yield clinic
    clinic.desk.close()


# ---- lost and back ---------------------------------------------------------------------------


def test_well_gpus_are_not_cordoned_and_nothing_is_written_again(clinic: Clinic) -> None:
    """A MIG GPU without instances is no illness either."""
    clinic.machine.drop("ci gpu=3")
    clinic.machine.drop("gi gpu=3")
    assert clinic.look() == Verdict()
    with clinic.ledger.reading() as connection:
        before = connection.execute("PRAGMA data_version").fetchone()
        for _ in range(5):
            clinic.look()
    with clinic.ledger.reading() as connection:
        assert connection.execute("PRAGMA data_version").fetchone() == before
    assert clinic.history() == []


def test_a_lost_gpu_is_cordoned_and_comes_back_when_it_answers_well(clinic: Clinic) -> None:
    clinic.machine.set(1, lost=1)
    verdict = clinic.look()
    (cordon,) = verdict.cordons[clinic.uuid(1)]
    assert (cordon.cause, cordon.gpu_index, cordon.actor) == ("silent", 1, "health")
    assert "fell off the bus" in cordon.reason
    clinic.look()
    assert clinic.causes() == {1: ["silent"]}
    clinic.machine.set(1, lost=0)
    clinic.look()
    assert clinic.causes() == {1: ["silent"]}, "one good answer is not enough"
    clinic.look()
    assert clinic.causes() == {}
    assert [(row.action, row.subject, row.actor) for row in clinic.history()] == [
        ("gpu.cordon", "GPU 1", "health"),
        ("gpu.uncordon", "GPU 1", "health"),
    ]


def test_the_grace_period_begins_anew_with_every_failure(clinic: Clinic) -> None:
    patient = GpuHealth(clinic.ledger, "here", grace=NEVER)

    def well_since() -> float | None:
        (cordon,) = clinic.health.cordons()[clinic.uuid(1)]
        return cordon.well_seconds

    clinic.machine.set(1, lost=1)
    clinic.look(patient)
    assert well_since() is None
    clinic.machine.set(1, lost=0)
    clinic.look(patient)
    first = well_since()
    assert first is not None
    clinic.look(patient)
    assert well_since() == first, "it goes on"
    assert clinic.causes() == {1: ["silent"]}, "the grace period is not over"
    clinic.machine.set(1, lost=1)
    clinic.look(patient)
    assert well_since() is None
    clinic.machine.set(1, lost=0)
    clinic.look(patient)
    second = well_since()
    assert second is not None
    assert second > first


def test_a_gpu_that_needs_a_reset_is_cordoned(clinic: Clinic) -> None:
    clinic.machine.add("fail fn=* gpu=0 code=16")
    (cordon,) = clinic.look().cordons[clinic.uuid(0)]
    assert "needs a reset" in cordon.reason


@pytest.mark.parametrize("code", [4, 17])
def test_f32_a_gpu_that_is_only_forbidden_to_us_is_not_ill(clinic: Clinic, code: int) -> None:
    """NO_PERMISSION, and a cgroup that hides it: others may use it well."""
    clinic.machine.add(f"fail fn=* gpu=0 code={code}")
    assert clinic.look() == Verdict()


def test_a_gpu_that_vanished_is_missing_although_nobody_has_it(clinic: Clinic) -> None:
    uuid, lines = clinic.uuid(0), clinic.machine.read()
    with clinic.machine.edit() as state:
        state[:] = [line for line in lines if uuid not in line]
    verdict = clinic.look()
    assert [gpu.uuid for gpu in verdict.missing] == [uuid]
    assert [row.cause for row in verdict.cordons[uuid]] == ["missing"]
    with clinic.machine.edit() as state:
        state[:] = lines
    clinic.look()
    assert clinic.look() == Verdict()


def test_a_gpu_that_was_lost_before_we_started_is_known_from_the_ledger(clinic: Clinic) -> None:
    """A new process never saw its UUID: the driver does not tell it any more."""
    uuid = clinic.uuid(1)
    clinic.machine.set(1, lost=1)
    with_new_eyes = NvmlDriver(clinic.library, refresh=0)
    reading = with_new_eyes.snapshot()
    assert reading.gpus[1].info.uuid == ""
    verdict = GpuHealth(clinic.ledger, "here").look(infos(reading), reading.driver_version)
    assert [row.cause for row in verdict.cordons[uuid]] == ["silent"]


def test_a_gpu_that_an_admin_took_out_is_forgotten(clinic: Clinic) -> None:
    uuid, lines = clinic.uuid(0), clinic.machine.read()
    with clinic.machine.edit() as state:
        state[:] = [line for line in lines if uuid not in line]
    clinic.look()
    assert clinic.health.uncordon(ADMIN, uuid, clinic.gpus()) == uuid
    assert clinic.look() == Verdict()


# ---- leases ----------------------------------------------------------------------------------


def test_leases_are_kept_and_nothing_is_killed(clinic: Clinic) -> None:
    """Bug B5 of DS01: cleaning up killed every process on GPU 0."""
    clinic.desk.claim("box", "0")
    with subprocess.Popen(["sleep", "600"]) as process:
        clinic.machine.add(f"proc gpu=0 pid={process.pid} used=100")
        before = (clinic.ledger.containers(), clinic.ledger.live_leases())
        clinic.xid(0, 79)
        clinic.machine.set(0, lost=1)
        clinic.look()
        clinic.machine.set(0, lost=0)
        for _ in range(3):
            clinic.look()
        assert clinic.ledger.live_leases() == before[1]
        assert clinic.ledger.containers() == before[0]
        os.kill(process.pid, 0)
        assert process.poll() is None
        process.kill()
    assert clinic.history()[0].details["containers"] == ["box._.1001"]


def test_b5_health_has_no_way_to_kill() -> None:
    """It imports nothing that could end a process or a container."""
    folder = Path(__file__).parents[2] / "ds01_jupyter" / "core" / "gpu"
    for name in ("health", "sampler", "board", "events", "feed", "drift", "history"):
        text = (folder / f"{name}.py").read_text()
        for word in ("os.kill", "signal", "subprocess", "remove_container", "DestroyGpu"):
            assert word not in text, (name, word)


# ---- admins ----------------------------------------------------------------------------------


def test_an_admin_cordons_by_index_or_uuid(clinic: Clinic) -> None:
    gpus = clinic.gpus()
    assert clinic.health.cordon(ADMIN, "0", "new fan", gpus) == clinic.uuid(0)
    with pytest.raises(Conflict, match="cordoned by an admin already"):
        clinic.health.cordon(ADMIN, clinic.uuid(0).upper(), "again", gpus)
    for _ in range(3):
        clinic.look()
    assert clinic.causes() == {0: ["admin"]}, "only an admin ends it"
    clinic.health.uncordon(ADMIN, "0", gpus)
    assert clinic.causes() == {}
    with pytest.raises(Conflict, match="is not cordoned"):
        clinic.health.uncordon(ADMIN, "0", gpus)
    assert [(row.action, row.actor) for row in clinic.history()] == [
        ("gpu.cordon", "root"),
        ("gpu.uncordon", "root"),
    ]
    assert clinic.history()[0].details["why"] == "new fan"


def test_an_admin_takes_back_a_gpu_that_was_reset_without_a_reboot(clinic: Clinic) -> None:
    clinic.xid(0, 79)
    clinic.health.uncordon(ADMIN, "0", clinic.gpus())
    assert clinic.look() == Verdict()


def test_a_silent_gpu_cannot_be_taken_back(clinic: Clinic) -> None:
    clinic.machine.set(1, lost=1)
    clinic.look()
    with pytest.raises(Conflict, match="gives no answer") as error:
        clinic.health.uncordon(ADMIN, "1", clinic.gpus())
    assert "fell off the bus" in error.value.hint
    assert clinic.causes() == {1: ["silent"]}


@pytest.mark.parametrize("name", ["9", "GPU-0", "", "0 ", "x"])
def test_a_gpu_that_is_not_there(clinic: Clinic, name: str) -> None:
    if name.strip() == "0":
        assert clinic.health.cordon(ADMIN, name, "x", clinic.gpus())
        return
    with pytest.raises(NotFound) as error:
        clinic.health.cordon(ADMIN, name, "x", clinic.gpus())
    assert error.value.hint == "There are: 0, 1, 2, 3."


def test_other_hosts_are_left_alone(clinic: Clinic) -> None:
    clinic.xid(0, 79)
    assert GpuHealth(clinic.ledger, "there").cordons() == {}
    assert clinic.desk.claim("box", "1", person=ANNA)
