"""Containers that idle, on the real engine: what is work, when they are stopped, and keep-alive."""

from __future__ import annotations

from datetime import timedelta

import pytest

from ds01_jupyter.core.errors import Conflict, Forbidden, InvalidInput
from ds01_jupyter.core.models import KeepAliveRequest
from tests.engine.keeping import Keeping, Make
from tests.rig.nvml import Machine

pytestmark = pytest.mark.engine


def test_b15_an_idle_container_is_warned_and_stopped_to_the_minute(make: Make) -> None:
    here = make("idle_timeout: 30m")
    made = here.desk.create("c")
    (here.desk.person.home / "workspace" / "c" / "thesis.txt").write_text("kept")
    here.round()
    here.round(minutes=20)
    assert (here.state(), here.told()) == ("running", [])
    assert here.life().activity == "idle"
    assert here.deadline("idle_stop").near is False
    here.round(minutes=3)  # 7 of 30 minutes are left: less than a quarter
    assert here.told() == [("warning", "idle_stop")]
    assert here.deadline("idle_stop").near is True
    here.round(minutes=1)
    assert len(here.told()) == 1  # once, not every round
    here.round(minutes=3.5)  # 2.5 left: less than a tenth
    assert here.told() == [("warning", "idle_stop")] * 2
    here.round(minutes=2)
    assert here.state() == "running"  # 29.5 of 30
    here.round(minutes=1)
    assert here.state() == "exited"
    assert here.told("done") == [("done", "idle_stop")]
    assert here.done() == ["container.stop idle_stop"]
    [slot] = made.gpus
    assert here.desk.leased() == {slot.slot: "held"}
    assert (here.desk.person.home / "workspace" / "c" / "thesis.txt").read_text() == "kept"
    last = here.desk.lab.notices(here.desk.person)[-1]
    assert (last.container, "idle" in last.message or "nothing" in last.message) == ("c", True)
    assert "start c" in last.hint


def test_work_on_the_cpu_is_no_idling(make: Make) -> None:
    here = make("idle_timeout: 30m")
    here.desk.create("c", gpu="none")
    here.round()
    here.round(minutes=29)
    assert len(here.told("warning")) == 1
    here.work(2)
    here.round(seconds=10)
    life = here.life()
    assert (life.activity, life.activity_from, life.idle) == ("active", "cpu", 0)
    assert here.deadline("idle_stop").at is None
    here.round(minutes=29)
    assert here.state() == "running"
    # Near again after work: it is warned again.
    assert len(here.told("warning")) == 2


def test_work_on_the_network_is_no_idling(make: Make) -> None:
    here = make("idle_timeout: 30m", idle_network_rate=100.0)
    here.desk.create("c", gpu="none")
    here.round()
    here.round(minutes=1)
    assert here.life().activity == "idle"
    here.execute(f"for i in {{1..40}}; do echo -n {'x' * 1000} > /dev/udp/172.17.0.1/9; done")
    here.round(seconds=20)
    assert (here.life().activity, here.life().activity_from) == ("active", "cpu")


def test_a_gap_in_which_nobody_looked_counts_by_the_counters_alone(make: Make) -> None:
    here = make("idle_timeout: 8h")
    here.desk.create("c", gpu="none")
    here.round()
    here.round(hours=2)
    assert here.life().idle == pytest.approx(7200, abs=30)  # next to nothing was used in it
    here.round(seconds=20)
    before = here.life().idle
    here.work(6)  # spread over two hours that is little, but who knows when it was
    here.round(hours=2)
    assert (here.life().activity, here.life().idle) == ("unknown", before)


@pytest.mark.parametrize(
    ("busy", "activity"), [(80, "active"), (2, "idle")], ids=["busy", "at rest"]
)
def test_the_utilisation_of_a_whole_gpu_decides(
    make: Make, gpu_machine: Machine, busy: int, activity: str
) -> None:
    gpu_machine.set(0, util=busy)
    gpu_machine.set(1, util=busy)
    here = make("idle_timeout: 30m")
    here.desk.create("c", gpu="whole")
    here.round()
    here.desk.lab._board.sampler.expire()
    here.work(2)  # of CPU there is plenty either way
    here.round(seconds=60)
    life = here.life()
    assert (life.activity, life.activity_from) == (activity, "gpu")
    assert (life.idle or 0) == pytest.approx(0 if busy == 80 else 60, abs=8)


def test_f15_b11_two_whole_gpus_idle_only_together(make: Make, gpu_machine: Machine) -> None:
    gpu_machine.set(0, util=0)
    gpu_machine.set(1, util=50)
    here = make("idle_timeout: 30m")
    here.desk.create("c", gpu="whole", gpus=2)
    here.round()
    here.round(seconds=60)
    assert here.life().activity == "active"


def test_b16_a_mig_instance_says_nothing_and_is_judged_by_cpu(make: Make) -> None:
    here = make("idle_timeout: 30m")
    here.desk.create("c", gpu="1g.5gb")
    here.round()
    here.round(minutes=10)
    assert (here.life().activity, here.life().activity_from) == ("idle", "cpu")
    here.work(2)
    here.round(seconds=10)
    assert (here.life().activity, here.life().activity_from) == ("active", "cpu")


def test_a_driver_that_does_not_answer_is_neither_work_nor_rest(
    make: Make, gpu_machine: Machine
) -> None:
    gpu_machine.set(0, util=1)
    gpu_machine.set(1, util=1)
    here = make("idle_timeout: 30m")
    made = here.desk.create("c", gpu="whole")
    here.round()
    here.round(seconds=60)
    idle = here.life().idle
    assert idle is not None
    assert idle > 50
    gpu_machine.set(int(made.gpus[0].slot or ""), lost=1)
    here.desk.lab._board.sampler.expire()
    here.round(seconds=60)
    assert (here.life().activity, here.life().idle) == ("unknown", idle)


def test_a_paused_container_runs_and_idles(make: Make) -> None:
    here = make("idle_timeout: 30m")
    here.desk.create("c", gpu="none")
    here.round()
    here.work(2)
    here.desk.docker.containers.get(here.show().id).pause()
    here.round(minutes=10)
    life = here.life()
    assert (life.activity, life.idle) == ("idle", pytest.approx(600, abs=10))
    assert life.running == pytest.approx(600, abs=10)
    here.round(minutes=18)
    here.round(minutes=3)
    assert here.state() == "exited"


# ---- keep-alive and exemptions ---


def keep(here: Keeping, hours: float | None = None) -> None:
    here.desk.lab.keep_alive(here.desk.person, "c", KeepAliveRequest(hours=hours))


def test_keep_alive_holds_the_idle_clock_and_nothing_else(make: Make) -> None:
    here = make("idle_timeout: 30m\nmax_runtime: 6h")
    here.desk.create("c", gpu="none")
    here.round()
    here.round(minutes=25)
    keep(here, 2)
    life = here.life()
    assert life.keep_alive_until is not None
    left = life.keep_alive_until - here.clock.now().wall
    assert left == pytest.approx(timedelta(hours=2), abs=timedelta(seconds=2))
    here.round(hours=1.9)
    life = here.life()
    assert (life.activity, life.activity_from, life.idle) == ("active", "keep_alive", 0)
    at = here.deadline("idle_stop").at
    assert at is not None
    expected = timedelta(minutes=6 + 30)
    assert at - here.clock.now().wall == pytest.approx(expected, abs=timedelta(seconds=30))
    here.round(minutes=16)  # over for 10 minutes: only those count
    assert here.life().idle == pytest.approx(600, abs=30)
    keep(here)  # again, and for as long as is allowed
    until = here.life().keep_alive_until
    assert until is not None
    wanted = here.clock.now().wall + timedelta(hours=24)
    assert until == pytest.approx(wanted, abs=timedelta(seconds=2))
    assert here.deadline("runtime_stop").at is not None
    here.round(hours=3.9)
    here.round(minutes=1)
    assert here.told("done") == [("done", "runtime_stop")]  # which it does not lift


def test_keep_alive_beyond_what_is_allowed_is_refused_with_the_figure(make: Make) -> None:
    here = make("idle_timeout: 30m", keep_alive_hours=4.0)
    here.desk.create("c", gpu="none")
    with pytest.raises(InvalidInput, match="4h") as refusal:
        keep(here, 4.5)
    assert refusal.value.details == {"limit": 4 * 3600, "asked": 4.5 * 3600}
    keep(here, 4)
    here.desk.lab.stop_container(here.desk.person, "c")
    with pytest.raises(Conflict, match="not running"):
        keep(here, 1)
    other = make()
    with pytest.raises(Forbidden, match="somebody else"):
        here.desk.lab.keep_alive(other.desk.person, here.show().full_name, KeepAliveRequest())


def test_b32_an_exemption_holds_until_its_date(make: Make) -> None:
    here = make()
    here.desk.create("c", gpu="none")
    until = (here.clock.now().wall + timedelta(hours=10)).astimezone()
    exemption = (
        f"exemptions:\n- user: {here.desk.person.name}\n  exempt_from: idle_timeout\n"
        f"  expires_on: {until:%Y-%m-%d %H:%M}\n"
    )
    here.allow("idle_timeout: 30m", exemption)
    here.round()
    here.round(hours=8)
    assert here.state() == "running"
    assert here.life().exempt == ["idle_timeout"]
    here.round(hours=1, minutes=30)
    assert here.told() == []
    here.round(minutes=25)  # 5 minutes before the exemption ends
    assert here.told("warning")
    assert here.state() == "running"
    here.round(minutes=6)
    assert here.state() == "exited"
    assert here.life().exempt == []
