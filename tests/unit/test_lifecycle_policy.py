"""What happens to a container by itself and when: limits, exemptions, keep-alive, evictions."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ds01_jupyter.core.clock import Moment
from ds01_jupyter.core.lifecycle import words
from ds01_jupyter.core.lifecycle.life import KeepAlive, Life
from ds01_jupyter.core.lifecycle.lives import life_document
from ds01_jupyter.core.lifecycle.policy import (
    Due,
    Eviction,
    Standing,
    dues,
    exempt,
    left_of,
    level,
    used_up,
)
from ds01_jupyter.core.limit_exemptions import Exemption
from ds01_jupyter.core.limit_merge import PersonLimits
from ds01_jupyter.core.models import LimitValues

NOON = datetime(2026, 3, 28, 12, 0, tzinfo=UTC)
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
VALUES = LimitValues.model_construct(group="x")


def at(since_noon: timedelta = timedelta(0)) -> Moment:
    return Moment(NOON + since_noon, "b", 1e6 + since_noon.total_seconds())


def limits(*exemptions: Exemption, **given: timedelta | None) -> PersonLimits:
    keys = ("idle_timeout", "max_runtime", "gpu_hold_after_stop", "container_hold_after_stop")
    values: dict[str, Any] = {key: given.get(key) for key in (*keys, "created_timeout")}
    return PersonLimits(VALUES, **values, exemptions=exemptions)


def lifted(*keys: str, until: timedelta | None = None) -> Exemption:
    end = None if until is None else NOON + until
    return Exemption(None, frozenset(keys), end)  # type: ignore[arg-type]


RUNNING = Life(
    "c", at(-9 * HOUR), run=NOON, run_seconds=3600, idle=1800, activity="idle", looked=at()
)


def running(**changes: object) -> Standing:
    return Standing("running", replace(RUNNING, **changes), slots=True)  # type: ignore[arg-type]


def stopped(ago: timedelta, **more: object) -> Standing:
    life = replace(RUNNING, stopped=at(-ago), activity=None)
    facts = {"slots": True, "held": at(-ago), **more}
    return Standing("stopped", life, **facts)  # type: ignore[arg-type]


def left(found: list[Due]) -> dict[str, timedelta | None]:
    assert len({due.what for due in found}) == len(found)
    return {due.what: due.left for due in found}


# ---- what and when ---------------------------------------------------------------------------


def test_what_runs_can_idle_and_run_for_too_long() -> None:
    both = limits(idle_timeout=2 * HOUR, max_runtime=24 * HOUR, container_hold_after_stop=HOUR)
    found = dues(running(), both, at())
    assert left(found) == {"idle_stop": 1.5 * HOUR, "runtime_stop": 23 * HOUR}
    assert [due.key for due in found] == ["idle_timeout", "max_runtime"]


@pytest.mark.parametrize("activity", ["active", "unknown", None])
def test_what_works_has_no_moment_at_which_it_is_stopped(activity: str | None) -> None:
    found = dues(running(activity=activity, idle=0.0), limits(idle_timeout=HOUR), at())
    assert left(found) == {"idle_stop": None}
    assert level(found[0].left, found[0].limit) == 0


def test_nothing_happens_where_nothing_is_limited() -> None:
    for standing in (running(), stopped(99 * HOUR)):
        assert dues(standing, limits(), at()) == []
        assert dues(standing, None, at()) == []


def test_zero_is_at_once() -> None:
    found = dues(stopped(timedelta(0)), limits(gpu_hold_after_stop=timedelta(0)), at())
    assert left(found) == {"gpu_release": timedelta(0)}
    assert left(dues(running(), limits(idle_timeout=timedelta(0)), at())) == {
        "idle_stop": -0.5 * HOUR
    }


def test_what_has_stopped_gives_back_and_goes() -> None:
    both = limits(gpu_hold_after_stop=HOUR, container_hold_after_stop=5 * HOUR)
    found = left(dues(stopped(0.5 * HOUR), both, at()))
    assert found == {"gpu_release": 0.5 * HOUR, "removal": 4.5 * HOUR}
    without = replace(stopped(0.5 * HOUR), slots=False, held=None)
    assert left(dues(without, both, at())) == {"removal": 4.5 * HOUR}


def test_b19_what_never_ran_has_a_time_of_its_own_and_a_minute_at_least() -> None:
    made = Standing("created", Life("c", at(-10 * MINUTE)), True, at(-10 * MINUTE))
    mine = limits(created_timeout=0.5 * HOUR, container_hold_after_stop=MINUTE)
    assert left(dues(made, mine, at())) == {"removal": 20 * MINUTE}
    young = Standing("created", Life("c", at(-10 * MINUTE / 20)), True, at())
    mine = limits(created_timeout=timedelta(0), gpu_hold_after_stop=timedelta(0))
    assert left(dues(young, mine, at())) == {"removal": MINUTE / 2, "gpu_release": MINUTE / 2}


def test_keep_alive_puts_the_idle_stop_off_and_the_clock_begins_anew() -> None:
    kept = running(keep=KeepAlive(at(-HOUR), 3 * 3600), idle=0.0, activity="active")
    mine = limits(idle_timeout=HOUR, max_runtime=2 * HOUR)
    assert left(dues(kept, mine, at())) == {"idle_stop": 3 * HOUR, "runtime_stop": HOUR}


def test_an_eviction_comes_in_its_own_words() -> None:
    eviction = Eviction(NOON + HOUR, "GPU 0 is reserved for vision")
    [due] = dues(running(), limits(), at(), eviction)
    assert (due.what, due.left, due.limit, due.words) == (
        "reservation_stop",
        HOUR,
        None,
        "GPU 0 is reserved for vision",
    )
    [due] = dues(stopped(MINUTE), limits(gpu_hold_after_stop=9 * HOUR), at(), eviction)
    assert (due.what, due.left, due.words) == ("gpu_release", HOUR, eviction.words)
    [due] = dues(stopped(MINUTE), limits(gpu_hold_after_stop=2 * MINUTE), at(), eviction)
    assert (due.left, due.words) == (MINUTE, "")
    assert dues(replace(stopped(MINUTE), slots=False), limits(), at(), eviction) == []


def test_who_was_stopped_for_a_reservation_gives_back_at_once() -> None:
    standing = stopped(timedelta(0))
    standing = replace(standing, life=replace(standing.life, ending="reservation_stop"))
    found = left(dues(standing, limits(gpu_hold_after_stop=9 * HOUR), at()))
    assert found == {"gpu_release": timedelta(0)}


# ---- exemptions ------------------------------------------------------------------------------


def test_b32_an_exemption_lifts_single_limits_until_its_end() -> None:
    mine = limits(lifted("max_runtime", until=9 * HOUR), max_runtime=HOUR, idle_timeout=2 * HOUR)
    assert left(dues(running(), mine, at())) == {"idle_stop": 1.5 * HOUR, "runtime_stop": 9 * HOUR}
    assert exempt(mine, NOON) == ["max_runtime"]
    assert exempt(mine, NOON + 9 * HOUR) == []
    over = left(dues(running(), mine, at(9 * HOUR)))
    assert over["runtime_stop"] == -9 * HOUR  # 10 hours in all, 1 allowed
    for_good = limits(lifted("max_runtime"), max_runtime=HOUR)
    assert left(dues(running(), for_good, at())) == {}
    assert not used_up(replace(RUNNING, ran=9e9), for_good, at())


def test_an_exemption_never_brings_an_end_nearer() -> None:
    mine = limits(lifted("max_runtime", until=HOUR), max_runtime=24 * HOUR)
    assert left_of(mine, "max_runtime", HOUR, NOON) == 23 * HOUR


def test_used_up_is_the_whole_of_all_runs() -> None:
    life = replace(RUNNING, ran=3600.0, run_seconds=0.0, stopped=at())
    assert used_up(life, limits(max_runtime=HOUR), at())
    assert not used_up(replace(life, ran=3599.0), limits(max_runtime=HOUR), at())
    assert not used_up(life, limits(), at())
    assert not used_up(life, None, at())


# ---- warnings --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("limit", "minutes", "expected"),
    [
        (48 * HOUR, 61, 0),
        (48 * HOUR, 60, 1),
        (48 * HOUR, 11, 1),
        (48 * HOUR, 10, 2),
        (HOUR, 16, 0),
        (HOUR, 15, 1),
        (HOUR, 6, 2),
        (HOUR, -5, 2),
        (None, 61, 0),
        (None, 60, 1),
        (None, 10, 2),
    ],
)
def test_a_quarter_and_a_tenth_but_an_hour_and_ten_minutes_at_most(
    limit: timedelta | None, minutes: int, expected: int
) -> None:
    assert level(minutes * MINUTE, limit) == expected


@given(st.floats(0, 1e6), st.floats(0, 1e6), st.floats(0, 1e6))
def test_what_comes_nearer_is_never_warned_of_less(limit: float, one: float, two: float) -> None:
    near, far = sorted((timedelta(seconds=one), timedelta(seconds=two)))
    whole = timedelta(seconds=limit)
    assert level(near, whole) >= level(far, whole)
    assert level(timedelta(0), whole) == 2


@given(
    st.lists(st.one_of(st.none(), st.integers(0, 10**6)), min_size=5, max_size=5),
    st.integers(0, 10**6),
    st.integers(0, 10**6),
    st.sampled_from(["running", "stopped", "created"]),
    st.one_of(st.none(), st.integers(-(10**5), 10**6)),
)
def test_dues_are_in_order_and_documents_can_be_made(
    given_limits: list[int | None], ran: int, idle: int, state: Any, evicted: int | None
) -> None:
    keys = ("idle_timeout", "max_runtime", "gpu_hold_after_stop", "container_hold_after_stop")
    mine = limits(
        **{
            key: None if value is None else timedelta(seconds=value)
            for key, value in zip((*keys, "created_timeout"), given_limits, strict=True)
        }
    )
    life = replace(
        RUNNING,
        run_seconds=float(ran),
        idle=float(idle),
        stopped=at(-HOUR) if state == "stopped" else None,
    )
    standing = Standing(state, life, True, None if state == "running" else at(-HOUR))
    eviction = None if evicted is None else Eviction(NOON + timedelta(seconds=evicted), "w")
    found = dues(standing, mine, at(), eviction)
    known = [due.left for due in found if due.left is not None]
    assert known == sorted(known)
    assert [due.left is None for due in found] == sorted(due.left is None for due in found)
    document = life_document(standing, mine, at(), eviction)
    for deadline in document.deadlines:
        assert deadline.message.endswith((".", ")."))
        assert deadline.at is None or deadline.at >= NOON
    for due in found:
        text = words.warning(due, state, life, at(), "thesis")
        assert "thesis" in text.message
        assert text.hint


def test_what_nobody_has_looked_at_has_no_figures() -> None:
    document = life_document(Standing("running", Life("c", at())), None, at(), looked_at=False)
    assert (document.running, document.idle, document.activity) == (None, None, None)


def test_both_clocks_stand_in_the_notice_of_the_workspace(monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    try:
        mine = limits(idle_timeout=HOUR)
        [due] = dues(running(), mine, at())
        sentence = words.deadline(due, "running", RUNNING, at())
        text = words.notice_file([words.notice_part("thesis", [(due, sentence)], at())])
    finally:
        monkeypatch.undo()
        time.tzset()
    assert text.startswith(words.FILE_MARK + "\n")
    assert "2026-03-28 13:30 CET (2026-03-28 12:30 UTC)" in text
    assert "It is stopped at 13:30 if it goes on doing nothing (idle_timeout 1h)." in text
    assert "ds01 container keep-alive thesis" in text
