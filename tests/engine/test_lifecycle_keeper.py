"""Who is looked after, by how many servers, at what cost, and what people are told of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from ds01_jupyter.core.errors import ConfigurationError, EngineUnavailable
from ds01_jupyter.core.lab import Lab
from tests.engine.conftest import Desk
from tests.engine.keeping import Keeping, Make
from tests.rig.fixtures import RigEngine

pytestmark = pytest.mark.engine


def test_only_what_is_in_the_ledger_is_ever_touched(make: Make, desk: Desk) -> None:
    """Neither plain Docker's containers, nor those of a person without an account."""
    here = make("idle_timeout: 10m\nmax_runtime: 10m\ngpu_hold_after_stop: 1m")
    nobody = desk.create("c", gpu="none")
    name = f"plain-{here.desk.person.uid}"
    plain = here.desk.docker.containers.run(
        RigEngine.base_image, ["sleep", "300"], name=name, detach=True
    )
    try:
        here.round()
        here.round(hours=1)
        here.round(hours=1)
        plain.reload()
        assert plain.status == "running"
        assert desk.lab.container(desk.person, "c").state == "running"
        assert desk.lab.container(desk.person, nobody.name).life is not None
    finally:
        plain.remove(force=True)


def test_two_servers_on_one_ledger_do_everything_once(make: Make) -> None:
    here = make("idle_timeout: 30m\ngpu_hold_after_stop: 10m\ncontainer_hold_after_stop: 1h")
    here.desk.create("c")
    other = Lab(here.desk.settings, here.clock)
    try:
        for minutes in (0, 10, 10, 9, 2, 5, 6, 30, 20, 5):
            here.round(minutes=minutes)
            other.keeper.round()
        assert here.told("done") == [
            ("done", "idle_stop"),
            ("done", "gpu_release"),
            ("done", "removal"),
        ]
        assert here.done() == [
            "container.stop idle_stop",
            "lease.release gpu_release",
            "container.remove removal",
        ]
    finally:
        other.close()


def test_a_mistake_in_the_limits_stops_nobody(make: Make) -> None:
    here = make("idle_timeout: 30m")
    here.desk.create("c", gpu="none")
    here.round()
    here.allow("idle_timeout: 30")
    with pytest.raises(ConfigurationError):
        here.round(hours=2)
    with pytest.raises(ConfigurationError):
        here.round(hours=2)
    assert here.state() == "running"
    assert here.life().deadlines == []
    here.allow("idle_timeout: 30m")
    here.round()
    here.round(minutes=1)
    assert here.state() == "exited"  # what was seen meanwhile was not lost


def test_a_server_that_may_not_use_docker_changes_nothing(make: Make) -> None:
    here = make("idle_timeout: 30m\nmax_runtime: 30m")
    here.desk.create("c", gpu="none")
    here.round()
    here.round(minutes=29)
    without = Lab(replace(here.desk.settings, docker_host="unix:///nowhere"), here.clock)
    try:
        here.clock.advance(minutes=30)
        with pytest.raises(EngineUnavailable):
            without.keeper.round()
    finally:
        without.close()
    assert (here.state(), here.done()) == ("running", [])


def test_a_container_that_cannot_be_stopped_keeps_nobody_else(
    make: Make, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    here = make("max_runtime: 30m\nidle_timeout: null", stop_grace_seconds=0.5)
    first, _ = here.desk.create("a", gpu="none"), here.desk.create("b", gpu="none")
    here.round()
    here.round(minutes=28)
    stop = here.desk.lab._engine.stop

    def forbidden(container: str, timeout: int = 2) -> None:
        if container == first.id:
            raise EngineUnavailable("You may not use Docker on this machine.")
        stop(container, timeout)

    monkeypatch.setattr(here.desk.lab._engine, "stop", forbidden)
    here.round(minutes=3)
    here.round(seconds=20)
    assert (here.state("a"), here.state("b")) == ("running", "exited")
    assert here.done() == ["container.stop runtime_stop"]
    said = [one.message for one in caplog.records if "You may not" in one.message]
    assert len(said) == 1
    monkeypatch.setattr(here.desk.lab._engine, "stop", stop)
    here.round(seconds=20)
    assert here.state("a") == "exited"
    assert len(here.told("done")) == 2


def test_a_server_that_stops_meanwhile_leaves_it_to_the_next(make: Make) -> None:
    here = make("max_runtime: 30m\nidle_timeout: null", stop_grace_seconds=60.0)
    here.desk.create("c", gpu="none")
    here.execute("trap '' TERM; while :; do sleep 0.1; done", detach=True)
    here.round()
    here.round(minutes=28)
    here.desk.lab.keeper.close()
    here.round(minutes=3)
    assert (here.state(), here.done()) == ("running", [])
    other = Lab(replace(here.desk.settings, stop_grace_seconds=0.2), here.clock)
    try:
        other.keeper.round()
    finally:
        other.close()
    assert (here.state(), here.done()) == ("exited", ["container.stop runtime_stop"])


# ---- somebody is faster ------------------------------------------------------------------------


def case(here: Keeping) -> Any:
    """The container `c`, as a round that is about to do something has it."""
    keeper = here.desk.lab.keeper
    rows = keeper._ledger.containers()
    present = [(row, None) for row in rows]
    limits, _ = keeper._limits({row.uid for row in rows})
    [found] = keeper._cases(present, {rows[0].claim_id: "exited"}, limits, {})
    return found


def overdue(make: Make) -> Keeping:
    """Somebody whose container has stopped, with everything overdue and nothing done."""
    here = make("gpu_hold_after_stop: 5m\ncontainer_hold_after_stop: 5m\nidle_timeout: null")
    here.desk.create("c")
    here.round()
    here.desk.lab.stop_container(here.desk.person, "c")
    here.round()
    here.clock.advance(hours=1)
    return here


def test_what_was_started_in_time_keeps_its_slot_and_stays(make: Make) -> None:
    here = overdue(make)
    known = case(here)
    here.desk.lab.start_container(here.desk.person, "c")
    assert not here.desk.lab.keeper._acting.release(known)
    assert not here.desk.lab.keeper._acting.remove(known)
    assert here.state() == "running"
    assert list(here.desk.leased().values()) == ["active"]


def test_what_was_started_around_us_keeps_its_slot_and_stays(make: Make) -> None:
    here = overdue(make)
    known = case(here)
    here.desk.docker.containers.get(known.row.container_id).start()
    assert not here.desk.lab.keeper._acting.release(known)
    assert not here.desk.lab.keeper._acting.remove(known)
    assert (here.state(), here.done()) == ("running", [])


def test_a_slot_that_is_just_being_taken_up_again_is_not_given_back(make: Make) -> None:
    """Between the ledger's word and Docker's: the lease is active, the container not yet up."""
    here = overdue(make)
    known = case(here)
    slots = here.desk.lab._driver.inventory(fresh=True).slots
    here.desk.lab._containers._allocator.resume(known.row.claim_id, slots, {})
    assert not here.desk.lab.keeper._acting.release(known)
    assert {lease.state for lease in here.desk.lab._ledger.live_leases()} == {"active"}


def test_a_keep_alive_at_the_last_moment_counts(make: Make) -> None:
    here = make("idle_timeout: 30m")
    here.desk.create("c", gpu="none")
    here.round()
    here.round(minutes=29)
    here.clock.advance(minutes=2)
    known = replace(case(here), standing=replace(case(here).standing, state="running"))
    [due] = known.dues(here.clock.now())
    here.desk.lab._lives.keep_alive(known.row, 1)
    assert here.desk.lab.keeper._acting.stop([(known, due)]) == []
    assert here.state() == "running"


# ---- what it costs -----------------------------------------------------------------------------


@contextmanager
def counted(here: Keeping) -> Iterator[list[str]]:
    """The calls to Docker made meanwhile, by method."""
    engine: Any = here.desk.lab._engine
    calls: list[str] = []
    watched = ("list_containers", "inspect_container", "usage", "gpu_devices", "list_images")

    def counting(name: str) -> Any:
        real = getattr(engine, name)

        def call(*args: Any, **more: Any) -> Any:
            calls.append(name)
            return real(*args, **more)

        return call

    for name in watched:
        setattr(engine, name, counting(name))
    try:
        yield calls
    finally:
        for name in watched:
            delattr(engine, name)


def test_a_round_asks_docker_once_and_twice_for_each_that_runs(make: Make) -> None:
    here = make("idle_timeout: 30m")
    here.round()  # a new ledger asks Docker what there is
    with counted(here) as calls:
        here.round()
    assert calls == []  # nothing to look after: nothing is asked
    for name in ("a", "b"):
        here.desk.create(name, gpu="none")
    here.desk.create("made", gpu="none", start=False)
    here.desk.create("off", gpu="none")
    here.desk.lab.stop_container(here.desk.person, "off")
    here.round()
    with counted(here) as calls:
        here.round(seconds=20)
    assert sorted(calls) == ["inspect_container"] * 2 + ["list_containers"] + ["usage"] * 2
    with counted(here) as calls:
        here.round()  # somebody has just looked
    assert calls == ["list_containers"]
    with counted(here) as calls:
        shown = here.desk.lab.containers(here.desk.person)
    assert len(shown) == 4
    assert all(one.life is not None for one in shown if one.managed)
    assert calls.count("list_containers") == 1
    assert not {"inspect_container", "usage"} & set(calls)


# ---- what people are told ----------------------------------------------------------------------


def test_the_notice_in_the_workspace_comes_and_goes(make: Make) -> None:
    here = make("idle_timeout: 30m")
    here.desk.create("c", gpu="none")
    here.round()
    here.round(minutes=5)
    assert not here.notice.exists()
    here.round(minutes=20)
    text = here.execute("cat /workspace/.ds01-notice")  # as people find it
    assert "The container c" in text or "the container c" in text
    assert "UTC" in text
    assert "keep-alive c" in text
    status = here.notice.stat()
    assert (status.st_uid, status.st_mode & 0o777) == (here.desk.person.uid, 0o644)
    here.work(2)
    here.round(seconds=20)
    assert not here.notice.exists()
    assert sorted(item.name for item in here.notice.parent.iterdir()) == []


def test_containers_on_one_workspace_share_one_notice(make: Make) -> None:
    here = make("idle_timeout: 30m")
    here.desk.create("c", gpu="none")
    here.desk.create("d", gpu="none", workspace="~/workspace/c")
    here.round()
    here.round(minutes=25)
    text = here.notice.read_text()
    assert "keep-alive c" in text
    assert "keep-alive d" in text
    here.work(2, "d")
    here.round(seconds=20)
    assert "keep-alive d" not in here.notice.read_text()
    here.desk.lab.stop_container(here.desk.person, "c")
    here.desk.lab.remove_container(here.desk.person, "c")
    here.round(seconds=20)
    assert not here.notice.exists()


def test_a_workspace_full_of_traps_is_not_touched(make: Make) -> None:
    here = make("idle_timeout: 30m")
    here.desk.create("c", gpu="none")
    target = here.desk.person.home / "secret"
    target.write_text("secret")
    here.notice.symlink_to(target)
    here.round()
    for minutes in (25, 3, 3):
        here.round(minutes=minutes)
    assert here.state() == "exited"
    assert here.notice.is_symlink()
    assert target.read_text() == "secret"


def test_limits_and_their_exemptions_can_be_asked_for(make: Make) -> None:
    here = make("idle_timeout: 8h\nmax_runtime: null\ngpu_hold_after_stop: 0\ncreated_timeout_m: 5")
    times = here.desk.lab.limits(here.desk.person).times
    assert times is not None
    assert (times.idle_timeout, times.max_runtime, times.gpu_hold_after_stop) == (28800, None, 0)
    assert (times.created_timeout, times.keep_alive, times.exempt_until) == (300, 86400, {})
    name = here.desk.person.name
    exemption = f"exemptions:\n- {{user: {name}, exempt_from: idle_timeout, until: null}}\n"
    here.allow("idle_timeout: 8h", exemption)
    times = here.desk.lab.limits(here.desk.person).times
    assert times is not None
    assert (times.idle_timeout, times.exempt_until) == (28800, {"idle_timeout": None})


def test_notices_are_ones_own(make: Make) -> None:
    here, other = make("idle_timeout: 30m"), make("idle_timeout: 30m")
    here.desk.create("c", gpu="none")
    here.round()
    here.round(minutes=25)
    [notice] = here.desk.lab.notices(here.desk.person)
    assert (notice.kind, notice.container, notice.what) == ("warning", "c", "idle_stop")
    assert notice.at is not None
    assert notice.at > here.clock.now().wall
    assert here.desk.lab.notices(other.desk.person) == []
    assert here.desk.lab.notices(here.desk.person, notice.id) == []
