"""Containers that have run for too long, that have stopped, or never ran, on the real engine."""

from __future__ import annotations

import time

import pytest

from ds01_jupyter.core.errors import Conflict, LimitReached
from tests.engine.keeping import Make

pytestmark = pytest.mark.engine


def test_b18_a_restart_does_not_reset_the_run_time(make: Make) -> None:
    here = make("max_runtime: 3h\nidle_timeout: null")
    here.desk.create("c", gpu="none")
    here.round()
    here.round(hours=1)
    here.desk.lab.stop_container(here.desk.person, "c")
    here.round()
    assert here.life().running == pytest.approx(3600, abs=30)
    here.round(hours=5)  # stopped, it does not run
    assert here.life().running == pytest.approx(3600, abs=30)
    here.desk.lab.start_container(here.desk.person, "c")
    here.round()
    assert here.life().running == pytest.approx(3600, abs=60)
    here.round(hours=1, minutes=30)
    assert here.told("warning") == [("warning", "runtime_stop")]
    here.desk.docker.containers.get(here.show().id).restart(timeout=1)  # around us
    here.round(seconds=15)
    here.round(minutes=28)
    assert here.state() == "running"
    here.round(minutes=3)
    assert here.state() == "exited"
    assert here.done() == ["container.stop runtime_stop"]
    with pytest.raises(LimitReached, match="3h in all") as refusal:
        here.desk.lab.start_container(here.desk.person, "c")
    assert "create it again" in refusal.value.hint
    assert refusal.value.details["limit"] == 3 * 3600
    here.desk.lab.remove_container(here.desk.person, "c")
    here.desk.create("c", gpu="none")  # the way out
    here.round()
    assert here.life().running == pytest.approx(0, abs=30)


def test_processes_are_asked_to_end_before_they_are_killed(make: Make) -> None:
    here = make("max_runtime: 1h\nidle_timeout: null")
    here.desk.create("c", gpu="none")
    script = "trap 'echo saved > /workspace/checkpoint; exit' TERM; while :; do sleep 0.1; done"
    here.execute(script, detach=True)
    here.execute("trap '' TERM; while :; do sleep 0.1; done", detach=True)  # this one will not
    here.round()
    here.round(minutes=58)
    here.round(minutes=3)
    assert here.state() == "exited"
    checkpoint = here.desk.person.home / "workspace" / "c" / "checkpoint"
    assert checkpoint.read_text() == "saved\n"


def test_nobody_is_stopped_unwarned_after_a_long_absence(make: Make) -> None:
    here = make("max_runtime: 2h\nidle_timeout: 1h")
    here.desk.create("c", gpu="none")
    here.round()
    here.round(hours=9)
    assert here.state() == "running"
    assert set(here.told()) == {("warning", "runtime_stop"), ("warning", "idle_stop")}
    here.round(seconds=40)
    assert here.state() == "exited"


# ---- what is left over ---


def test_after_the_holds_slots_are_free_and_then_the_container_goes(make: Make) -> None:
    here = make("gpu_hold_after_stop: 15m\ncontainer_hold_after_stop: 2h")
    made = here.desk.create("c")
    kept = here.desk.person.home / "workspace" / "c" / "thesis.txt"
    kept.write_text("kept")
    here.round()
    here.desk.lab.stop_container(here.desk.person, "c")
    here.round()
    here.round(minutes=14)
    [slot] = made.gpus
    assert here.desk.leased() == {slot.slot: "held"}
    assert here.told("warning") == [("warning", "gpu_release")]
    here.round(minutes=1.5)
    assert here.desk.leased() == {}
    assert here.state() == "exited"  # the container stays
    with pytest.raises(Conflict, match="given back in the meantime") as refusal:
        here.desk.lab.start_container(here.desk.person, "c")
    assert "create it again" in refusal.value.hint
    here.round(minutes=90)
    assert here.state() == "exited"
    here.round(minutes=15)
    assert here.state() == "gone"
    assert here.desk.mine() == []  # its own image too
    assert here.desk.lab._ledger.containers() == []
    assert kept.read_text() == "kept"
    assert here.done() == ["lease.release gpu_release", "container.remove removal"]
    assert here.told("done") == [("done", "gpu_release"), ("done", "removal")]
    here.round()
    assert here.desk.lab._ledger.containers() == []


def test_b6_a_hold_is_not_reckoned_in_local_time(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = make("gpu_hold_after_stop: 90m")
    here.desk.create("c")
    here.round()
    here.desk.lab.stop_container(here.desk.person, "c")
    here.round()
    try:
        for zone in ("Europe/Berlin", "America/New_York"):
            monkeypatch.setenv("TZ", zone)
            time.tzset()
            here.round(minutes=40)
            assert list(here.desk.leased().values()) == ["held"], zone
        here.round(minutes=11)
        assert here.desk.leased() == {}
    finally:
        monkeypatch.undo()
        time.tzset()


def test_a_start_in_time_keeps_the_slot_and_begins_the_hold_anew(make: Make) -> None:
    here = make("gpu_hold_after_stop: 15m\nidle_timeout: null")
    here.desk.create("c")
    here.round()
    here.desk.lab.stop_container(here.desk.person, "c")
    here.round()
    here.round(minutes=14)
    here.desk.lab.start_container(here.desk.person, "c")
    here.round()
    here.round(minutes=20)
    assert list(here.desk.leased().values()) == ["active"]
    here.desk.lab.stop_container(here.desk.person, "c")
    here.round()
    here.round(minutes=14)
    assert list(here.desk.leased().values()) == ["held"]
    # Started and stopped between two rounds: that is seen, too.
    here.desk.lab.start_container(here.desk.person, "c")
    here.desk.lab.stop_container(here.desk.person, "c")
    here.round()
    here.round(minutes=14)
    assert list(here.desk.leased().values()) == ["held"]
    here.round(minutes=16)
    assert here.desk.leased() == {}


def test_b19_a_container_that_was_never_started_goes_after_its_time(make: Make) -> None:
    here = make("created_timeout: 30m\ncontainer_hold_after_stop: 1m\nidle_timeout: 1m")
    here.desk.create("c", start=False)
    here.round()
    here.round(minutes=22)
    assert here.state() == "created"
    assert here.told() == []
    here.round(minutes=6)
    assert here.told() == [("warning", "removal")]
    assert here.state() == "created"
    here.round(minutes=3)
    assert here.state() == "gone"
    assert (here.desk.mine(), here.desk.leased()) == ([], {})
    assert (here.desk.person.home / "workspace" / "c").is_dir()


def test_b19_one_that_was_started_is_not_taken_for_one_that_never_was(make: Make) -> None:
    here = make("created_timeout: 1m\nidle_timeout: null")
    here.desk.create("c", gpu="none")
    here.round()
    here.round(minutes=5)
    assert here.state() == "running"
    here.desk.lab.stop_container(here.desk.person, "c")
    here.round()
    here.round(minutes=5)
    assert here.state() == "exited"


def test_zero_is_zero_and_null_is_for_ever(make: Make) -> None:
    here = make("gpu_hold_after_stop: 0\ncontainer_hold_after_stop: null\nmax_runtime: null")
    here.desk.create("c")
    here.round()
    here.desk.lab.stop_container(here.desk.person, "c")
    here.round()
    assert here.desk.leased() == {}
    here.round(days=300)
    assert here.state() == "exited"
