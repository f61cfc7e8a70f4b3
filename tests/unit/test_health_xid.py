"""XID errors: which of them cordon a GPU, until when, and how they are heard."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from ds01_jupyter.core.errors import LedgerUnavailable
from ds01_jupyter.core.gpu.events import Xid, XidWatch
from ds01_jupyter.core.gpu.health import GpuHealth, Verdict
from ds01_jupyter.core.gpu.xids import IGNORED
from ds01_jupyter.core.ledger import Ledger
from ds01_jupyter.core.ledger_cordons import KnownGpu
from tests.rig.nvml import Machine
from tests.unit.clinic import Clinic

PATIENCE = 30.0


@pytest.fixture
def clinic(gpu_machine: Machine, simulated_nvml: Path, tmp_path: Path) -> Iterator[Clinic]:
    clinic = Clinic(simulated_nvml, tmp_path / "ledger.sqlite", gpu_machine)
    clinic.look()
    yield clinic
    clinic.desk.close()


# ---- XID -------------------------------------------------------------------------------------


def test_xid_79_cordons_once_and_needs_a_reset(clinic: Clinic) -> None:
    assert clinic.xid(0, 79)
    assert not clinic.xid(0, 79)
    for _ in range(4):
        clinic.look()
    assert clinic.causes() == {0: ["xid 79"]}, "answering well is not enough"
    (row,) = clinic.history()
    assert row.details["xid"] == "79"
    assert "fell off the bus" in row.details["why"]


@pytest.mark.parametrize("code", IGNORED)
def test_xids_of_programs_are_ignored(clinic: Clinic, code: int) -> None:
    assert not clinic.xid(0, code)
    assert clinic.look() == Verdict()
    assert clinic.history() == []


def test_which_xids_are_ignored_can_be_configured(clinic: Clinic) -> None:
    strict = GpuHealth(clinic.ledger, "here", ignored=(79,))
    gpu = KnownGpu(clinic.uuid(0), 0, "x")
    assert not strict.xid(gpu, 79)
    assert strict.xid(gpu, 13)


def test_an_xid_that_passes_is_over_when_the_gpu_answers_well(clinic: Clinic) -> None:
    clinic.xid(0, 94)
    clinic.look()
    assert clinic.causes() == {0: ["xid 94"]}
    clinic.look()
    assert clinic.causes() == {}


def test_after_a_reboot_it_is_given_again_when_it_answers_well(clinic: Clinic) -> None:
    clinic.xid(0, 79)
    clinic.look()
    with clinic.ledger.writing() as connection:  # as a row of the boot before
        connection.execute(
            "UPDATE cordons SET boot_id = 'earlier', well_boot_id = 'earlier', well_seconds = 5e9"
        )
    clinic.look()
    assert clinic.causes() == {0: ["xid 79"]}, "that it was well before the boot says nothing"
    clinic.look()
    assert clinic.causes() == {}


def test_with_another_driver_it_is_given_again_when_it_answers_well(clinic: Clinic) -> None:
    clinic.xid(0, 79)
    clinic.look()
    clinic.machine.sys(driver="999.01")
    clinic.look()
    assert clinic.causes() == {}
    assert clinic.look() == Verdict()


def test_the_same_xid_again_after_a_reboot_needs_another_reset(clinic: Clinic) -> None:
    clinic.xid(0, 79)
    with clinic.ledger.writing() as connection:
        connection.execute("UPDATE cordons SET boot_id = 'earlier'")
    assert not clinic.xid(0, 79)
    clinic.look()
    clinic.look()
    assert clinic.causes() == {0: ["xid 79"]}


def test_an_xid_that_could_not_be_written_is_written_later(clinic: Clinic, tmp_path: Path) -> None:
    """The driver tells it once."""
    path, aside = clinic.ledger.path, tmp_path / "aside"
    uuid = clinic.uuid(0)
    path.rename(aside)
    with pytest.raises(LedgerUnavailable):
        clinic.health.xid(KnownGpu(uuid, 0, "x"), 79, "1")
    aside.rename(path)
    clinic.look()
    assert clinic.causes() == {0: ["xid 79"]}


def test_several_causes_hold_until_the_last_is_gone(clinic: Clinic) -> None:
    clinic.machine.set(0, lost=1)
    clinic.look()
    clinic.xid(0, 79)
    assert clinic.causes() == {0: ["silent", "xid 79"]}
    clinic.machine.set(0, lost=0)
    clinic.look()
    clinic.look()
    assert clinic.causes() == {0: ["xid 79"]}


def test_two_servers_on_one_ledger_write_it_once(clinic: Clinic, tmp_path: Path) -> None:
    ledgers = [Ledger(clinic.ledger.path) for _ in range(8)]
    gpu = KnownGpu(clinic.uuid(0), 0, "x")
    fresh: list[bool] = []

    def hear(ledger: Ledger) -> None:
        fresh.append(GpuHealth(ledger, "here").xid(gpu, 79, "1"))
        ledger.close()

    threads = [threading.Thread(target=hear, args=(ledger,)) for ledger in ledgers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(fresh) == [False] * 7 + [True]
    assert len(clinic.history()) == 1


# ---- hearing them ----------------------------------------------------------------------------


def watching(clinic: Clinic, heard: list[Xid]) -> tuple[XidWatch, threading.Event]:
    told = threading.Event()

    def hear(xid: Xid) -> None:
        heard.append(xid)
        told.set()

    watch = XidWatch(clinic.library, hear, wait_ms=50, pause=0.05)
    watch.start()
    return watch, told


def xid_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "ds01-xid"]


def test_an_xid_is_heard_with_its_gpu_and_the_thread_ends(clinic: Clinic) -> None:
    heard: list[Xid] = []
    watch, told = watching(clinic, heard)
    watch.start()
    assert xid_threads() == ["ds01-xid"], "one thread, however often it is started"
    assert watch.listening(PATIENCE)
    clinic.machine.add("xid gpu=2 code=31 seq=1 gi=7 ci=0")
    assert told.wait(PATIENCE)
    assert watch.stop()
    assert xid_threads() == []
    (xid,) = heard
    assert (xid.gpu_uuid, xid.gpu_index, xid.code) == (clinic.uuid(2), 2, 31)
    assert (xid.gi, xid.ci) == (7, 0)
    assert xid.driver == clinic.driver.inventory().driver_version
    watch.start()
    assert xid_threads() == [], "stopped for good"


def test_a_gpu_that_fell_off_the_bus_is_named_although_it_does_not_answer(clinic: Clinic) -> None:
    uuid = clinic.uuid(1)
    heard: list[Xid] = []
    watch, told = watching(clinic, heard)
    assert watch.listening(PATIENCE)
    with clinic.machine.edit() as lines:
        lines[:] = [f"{line} lost=1" if uuid in line else line for line in lines]
        lines.append("xid gpu=1 code=79 seq=1")
    assert told.wait(PATIENCE)
    assert watch.stop()
    assert [(xid.gpu_uuid, xid.code) for xid in heard] == [(uuid, 79)]
    assert heard[0].gi is None


def test_a_gpu_that_was_lost_at_first_is_listened_to_when_it_is_back(clinic: Clinic) -> None:
    clinic.machine.set(0, lost=1)
    heard: list[Xid] = []
    watch, told = watching(clinic, heard)
    assert watch.listening(PATIENCE)
    clinic.machine.set(0, lost=0)
    for number in range(1, 200):
        clinic.machine.add(f"xid gpu=0 code=48 seq={number}")
        if told.wait(0.2):
            break
    assert watch.stop()
    assert {(xid.gpu_index, xid.code) for xid in heard} == {(0, 48)}


def test_without_a_driver_nobody_listens_and_later_somebody_does(clinic: Clinic) -> None:
    clinic.driver.close()
    clinic.machine.sys(init=9)
    watch, _ = watching(clinic, [])
    assert not watch.listening(0.2)
    clinic.machine.sys(init=0)
    for _ in range(100):
        watch.start()
        if watch.listening(0.1):
            break
    assert watch.listening(0)
    assert watch.stop()


def test_a_listener_that_cannot_write_goes_on_listening(
    clinic: Clinic, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[int] = []
    told = threading.Event()

    def hear(xid: Xid) -> None:
        heard.append(xid.code)
        if len(heard) == 1:
            raise LedgerUnavailable("The ledger was busy.")
        told.set()

    watch = XidWatch(clinic.library, hear, wait_ms=50)
    watch.start()
    assert watch.listening(PATIENCE)
    clinic.machine.add("xid gpu=0 code=48 seq=1")
    clinic.machine.add("xid gpu=0 code=79 seq=2")
    assert told.wait(PATIENCE)
    assert watch.stop()
    assert heard == [48, 79]
    assert "is not noted yet: The ledger was busy." in caplog.text
