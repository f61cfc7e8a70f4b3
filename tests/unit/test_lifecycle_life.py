"""A container's time, look by look: nothing is counted twice, nothing by a clock that was set."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ds01_jupyter.core.clock import Moment
from ds01_jupyter.core.lifecycle.life import (
    GAP,
    Counters,
    KeepAlive,
    Life,
    Look,
    Thresholds,
    by_counters,
    seen_running,
    seen_stopped,
)

NOON = datetime(2026, 3, 28, 12, 0, tzinfo=UTC)
BOOT = 5000.0
LIMITS = Thresholds(gpu=0.05, cpu=0.05, network=10_000)


def at(seconds: float, *, jump: float = 0.0, boot: str = "b") -> Moment:
    """A moment so long after noon; `jump` is by how much the wall clock was set forward."""
    return Moment(NOON + timedelta(seconds=seconds + jump), boot, BOOT + seconds)


def wall(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


BORN = Life("c", at(-60))


def look(seconds: float, cpu: float | None = 0.0, network: int | None = 0, **more: object) -> Look:
    """A look at a run that began at noon."""
    facts = {
        "at": at(seconds),
        "started": wall(0),
        "age": seconds,
        "counters": Counters(cpu, network),
        **more,
    }
    return Look(**facts)  # type: ignore[arg-type]


def seen(*looks: Look, life: Life = BORN) -> Life:
    for each in looks:
        life = seen_running(life, each, LIMITS)
    return life


def stop(life: Life, now: Moment, finished: float, started: float = 0.0) -> Life:
    return seen_stopped(life, now, wall(started), wall(finished), now)


# ---- idle or not -------------------------------------------------------------------------------


def test_the_first_look_judges_the_run_so_far() -> None:
    life = seen(look(40))
    assert (life.activity, life.idle, life.run_seconds) == ("idle", 40, 40)
    life = seen(look(40, cpu=2.1))
    assert (life.activity, life.idle, life.run_seconds) == ("active", 0, 40)


@pytest.mark.parametrize(
    ("cpu", "network", "activity"),
    [
        (0.0, 0, "idle"),
        (0.99, 0, "idle"),
        (1.0, 0, "active"),  # 5 % of a core in 20 seconds
        (0.0, 199_999, "idle"),
        (0.0, 200_000, "active"),
        (None, 0, "unknown"),  # a network at rest proves nothing
        (None, 200_000, "active"),
        (0.0, None, "idle"),
        (None, None, "unknown"),
        (-1.0, 0, "unknown"),  # counters of another run
    ],
)
def test_counters_against_thresholds(cpu: float | None, network: int | None, activity: str) -> None:
    before = Counters(10.0, 1000)
    after = Counters(None if cpu is None else 10 + cpu, None if network is None else 1000 + network)
    assert by_counters(before, after, 20, LIMITS) == activity


def test_counters_that_begin_to_be_told_are_no_work() -> None:
    """What was used while nobody read the counters was not used since the last look."""
    life = seen(look(20, gpu="idle", counters=None), look(40, cpu=500.0))
    assert (life.activity, life.idle) == ("unknown", 20)
    assert seen(look(60, cpu=500.1), life=life).idle == 40


def test_unknown_adds_nothing_and_takes_nothing_away() -> None:
    life = seen(look(20), look(40), look(60, cpu=None), look(80, gpu="unknown"))
    assert (life.activity, life.activity_from, life.idle) == ("unknown", None, 40)
    assert life.run_seconds == 80


def test_b16_not_available_is_neither_active_nor_idle() -> None:
    life = seen(look(20, gpu="unknown"), look(40, gpu=None, counters=None))
    assert (life.activity, life.idle) == ("unknown", 0)


def test_the_gpu_counts_before_the_cpu() -> None:
    assert seen(look(20, cpu=20.0, gpu="idle")).activity == "idle"
    assert seen(look(20, cpu=0.0, gpu="active")).activity == "active"


def test_over_a_gap_the_gpu_of_now_proves_work_but_no_rest() -> None:
    life = seen(look(20, gpu="idle"))
    assert seen(look(20 + GAP + 1, gpu="idle"), life=life).idle == 20
    assert seen(look(20 + GAP + 1, gpu="idle"), life=life).activity == "unknown"
    assert seen(look(20 + GAP + 1, gpu="active"), life=life).activity == "active"


def test_over_a_gap_a_small_mean_may_hide_work() -> None:
    night = 8 * 3600.0
    few, some, much = GAP * 0.05 - 0.1, GAP * 0.05 + 0.1, night * 0.05
    life = seen(look(20))
    assert seen(look(20 + night, cpu=few), life=life).idle == 20 + night
    hidden = seen(look(20 + night, cpu=some), life=life)
    assert (hidden.activity, hidden.idle) == ("unknown", 20)
    assert seen(look(20 + night, cpu=much), life=life).activity == "active"


def test_paused_runs_and_idles_and_keeps_its_counters() -> None:
    life = seen(look(20, cpu=5.0), look(40, counters=None, paused=True))
    assert (life.activity, life.idle, life.run_seconds) == ("idle", 20, 40)
    assert seen(look(60, cpu=5.1), life=life).activity == "idle"


def test_keep_alive_is_its_owners_word() -> None:
    life = replace(seen(look(20)), keep=KeepAlive(at(20), 100), idle=0.0)
    kept = seen(look(60), life=life)
    assert (kept.activity, kept.activity_from, kept.idle) == ("active", "keep_alive", 0)
    assert kept.keep == life.keep
    over = seen(look(140), life=kept)  # it was over at 120
    assert (over.activity, over.idle, over.keep) == ("idle", 20, None)
    at_work = seen(look(80, cpu=30.0), life=kept)
    assert (at_work.activity, at_work.activity_from) == ("active", "cpu")


# ---- running time ------------------------------------------------------------------------------


def test_a_look_counts_once_however_many_servers_write_it() -> None:
    once = seen(look(20), look(40))
    assert seen(look(20), look(20), look(40), look(40), look(30)) == once


def test_b18_runs_add_up_and_idling_begins_anew() -> None:
    life = stop(seen(look(600)), at(610), finished=605)
    assert (life.ran, life.idle, life.runs) == (605, 600, False)
    assert life.stopped is not None
    assert life.stopped.boot_seconds == BOOT + 605
    again = Look(at(1030), wall(1000), 30.0, Counters(0.0, 0))
    life = seen(again, life=life)
    assert (life.ran, life.run_seconds, life.idle) == (605, 30, 30)
    assert life.running(at(1040)) == 605 + 40
    assert stop(life, at(1100), 1100, started=1000).ran == 705


def test_b18_a_restart_between_two_looks_is_a_new_run() -> None:
    life = seen(look(600), Look(at(620), wall(612), 8.0, Counters(0.0, 0)))
    assert life.ran + life.run_seconds == pytest.approx(620, abs=8)
    assert life.idle == 8


def test_a_restart_in_a_long_absence_counts_what_can_be_told() -> None:
    life = seen(look(600), Look(at(90_000), wall(89_000), 1000.0, Counters(0.0, 0)))
    assert life.ran == 600 + GAP
    assert life.run_seconds == 1000


def test_a_run_that_nobody_saw_is_counted_when_it_has_ended() -> None:
    life = stop(BORN, at(300), finished=200)
    assert (life.ran, life.runs) == (200, False)
    assert life.stopped is not None
    assert at(300).since(life.stopped) == timedelta(seconds=100)


def test_a_container_that_never_ran_has_no_time() -> None:
    assert seen_stopped(BORN, at(50), None, None, at(50)) == BORN


def test_b6_a_clock_that_is_set_changes_nothing() -> None:
    """Two hours forward between two looks: by NTP, or by an admin in summer."""
    life = seen(look(60), Look(at(80, jump=7200), wall(0), 80.0, Counters(0.0, 0)))
    assert (life.run_seconds, life.idle) == (80, 80)
    # Docker wrote the end with the clock of then.
    ended = seen_stopped(life, at(100, jump=7200), wall(0), wall(7290), at(100, jump=7200))
    assert ended.ran == 90
    back = seen_stopped(life, at(100, jump=-7200), wall(0), wall(90), at(100, jump=-7200))
    assert 80 <= back.ran <= 100


def test_a_clean_reboot_counts_up_to_the_end_that_docker_wrote() -> None:
    after = Moment(wall(4000), "next", 30.0)  # up again for half a minute
    ended = seen_stopped(seen(look(600)), after, wall(0), wall(640), after)
    assert ended.ran == 640
    assert after.since(ended.stopped or after) == timedelta(seconds=3360)


def test_a_crash_counts_up_to_the_last_look() -> None:
    """Docker learns of the end after the reboot: how long it ran before, nobody knows."""
    after = Moment(wall(90_000), "next", 30.0)
    ended = seen_stopped(seen(look(600)), after, wall(0), wall(89_990), after)
    assert ended.ran == 600
    assert after.since(ended.stopped or after) == timedelta(seconds=30)


steps = st.lists(
    st.tuples(
        st.floats(0.5, 4000),  # seconds to the next look
        st.floats(0, 1),  # share of a core that was used
        st.floats(-50_000, 50_000),  # where the wall clock stands by then
        st.booleans(),  # restarted before it
    ),
    min_size=1,
    max_size=25,
)


@given(steps)
def test_the_running_time_is_the_time_since_boot_that_it_ran(
    found: list[tuple[float, float, float, bool]],
) -> None:
    """Whatever the wall clock does, and however often it was restarted or looked at."""
    life, now, cpu, started, name = seen(look(0)), 0.0, 0.0, 0.0, 0
    lost = 0.0
    for step, share, jump, restart in found:
        before, now = now, now + step
        cpu += step * share
        if restart:
            lost += max(0.0, step / 2 - GAP)
            started, name, cpu = before + step / 2, name + 1, 0.0
        moment = at(now, jump=jump)
        one = Look(moment, wall(name), now - started, Counters(cpu, 0))
        life = seen_running(seen_running(life, one, LIMITS), one, LIMITS)
        assert life.running(moment) == pytest.approx(now - lost, abs=1e-3)
        assert 0 <= life.idle <= life.run_seconds + 1e-6
        if life.activity == "active":
            assert life.idle == 0


@given(st.lists(st.floats(1, GAP - 1), min_size=1, max_size=30), st.lists(st.integers(0, 29)))
def test_idle_seconds_are_those_since_the_last_work(
    intervals: list[float], working: list[int]
) -> None:
    life, now, cpu, idle = BORN, 0.0, 0.0, 0.0
    for number, interval in enumerate(intervals):
        now += interval
        busy = number in working
        cpu += interval * (0.06 if busy else 0.04)
        life = seen(look(now, cpu=cpu), life=life)
        idle = 0.0 if busy else idle + interval
    assert life.idle == pytest.approx(idle)
