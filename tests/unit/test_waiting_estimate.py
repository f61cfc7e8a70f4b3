"""Estimates: never earlier than what would be, and sure only where nothing can make it later."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ds01_jupyter.core.fences import Fenced
from ds01_jupyter.core.gpu.slots import SlotInfo
from ds01_jupyter.core.waiting.assign import Waiter
from ds01_jupyter.core.waiting.documents import Estimate
from ds01_jupyter.core.waiting.estimate import Freeing, Outlook, estimate
from tests.unit.waiting_kit import HOUR, NOON, scene, slot, waiter
from tests.unit.waiting_reality import Reality

TWO = [slot("0:0"), slot("0:1")]
HOLDER = waiter(99, uid=99)


def outlook(
    here: Sequence[SlotInfo],
    busy: dict[str, float | None],
    waiters: Sequence[Waiter],
    **changes: object,
) -> Outlook:
    """`busy` gives the hours until a slot is free at the latest, by its name."""
    machine = scene(here, dict.fromkeys(busy, HOLDER), **changes.pop("scene", {}))  # type: ignore[arg-type]
    freeing = {
        f"uuid-{name}": Freeing(
            None if hours is None else NOON + hours * HOUR,
            "kim's container",
            "it may run without a limit" if hours is None else "it may run for 2d in all",
            True,
        )
        for name, hours in busy.items()
    }
    return Outlook(machine, waiters, freeing, **changes)  # type: ignore[arg-type]


def one(*arguments: object, key: int = 1, **changes: object) -> Estimate:
    return estimate(outlook(*arguments, **changes))[key]  # type: ignore[arg-type]


def test_free_now() -> None:
    found = one(TWO, {"0:0": None}, [waiter(1)])
    assert (found.at, found.certain, found.because) == (NOON, True, "what is asked for is free")


def test_the_first_end_of_those_that_do() -> None:
    found = one(TWO, {"0:0": 5, "0:1": 3}, [waiter(1)])
    assert (found.at, found.certain) == (NOON + 3 * HOUR, True)
    assert found.because == "kim's container gives a slot back by then: it may run for 2d in all"
    assert one(TWO, {"0:0": 5, "0:1": 3}, [waiter(1, "any", 2)]).at == NOON + 5 * HOUR


def test_nobody_can_say_and_why() -> None:
    found = one(TWO, {"0:0": None, "0:1": None}, [waiter(1)])
    assert (found.at, found.certain) == (None, False)
    assert found.because == (
        "nobody can say when kim's container gives slot 0:0 back: it may run without a limit"
    )


def test_behind_others_by_their_longest_time() -> None:
    queue = [waiter(1, "1g.5gb", hours=2), waiter(2, "1g.5gb", hours=9), waiter(3, "1g.5gb")]
    found = estimate(outlook(TWO, {"0:0": 1, "0:1": 4}, queue))
    assert [found[key].at for key in (1, 2, 3)] == [
        NOON + 1 * HOUR,
        NOON + 3 * HOUR,
        NOON + 4 * HOUR,
    ]
    assert all(found[key].certain for key in (1, 2, 3))


def test_behind_one_without_a_limit() -> None:
    queue = [waiter(1, "1g.5gb"), waiter(2, "1g.5gb")]
    found = one(TWO[:1], {"0:0": 1}, queue, key=2)
    assert found.at is None
    assert found.because == (
        "nobody can say when u1001, who comes first, gives slot 0:0 back: it may run without a "
        "limit"
    )


def test_it_is_not_sure_behind_somebody_who_could_take_another_way() -> None:
    here = [slot("0:0"), slot("0:1", "2g")]
    queue = [waiter(1, "any", hours=9), waiter(2, "1g.5gb")]
    found = estimate(outlook(here, {"0:0": 3, "0:1": 1}, queue))
    assert (found[2].at, found[2].certain) == (NOON + 3 * HOUR, False)
    assert found[2].because.endswith("; but it depends on what u1001 gets first")
    assert found[1].certain


def test_who_wants_something_else_makes_nothing_less_sure() -> None:
    here = [slot("0:0"), slot("0:1", "2g")]
    queue = [waiter(1, "2g.10gb", hours=9), waiter(2, "1g.5gb")]
    found = estimate(outlook(here, {"0:0": 3, "0:1": 1}, queue))
    assert (found[2].at, found[2].certain) == (NOON + 3 * HOUR, True)


def test_who_sleeps_is_passed_over_and_may_come_back() -> None:
    queue = [waiter(1, "1g.5gb", hours=9), waiter(2, "1g.5gb")]
    found = estimate(outlook(TWO[:1], {"0:0": 1}, queue, asleep={1}))
    assert found[1].at is None
    assert "does not run" in found[1].because
    assert (found[2].at, found[2].certain) == (NOON + HOUR, False)
    assert "u1001 may come first after all" in found[2].because


def test_limits_of_ones_own_are_said() -> None:
    mine = waiter(1, "1g.5gb", uid=99, max_mig_instances=1)
    found = one(TWO, {"0:0": None}, [mine])
    assert found.at is None
    assert found.because.startswith("your own limits stand in the way: You may have at most 1 GPU")
    later = one(TWO, {"0:0": 2}, [mine])
    assert (later.at, later.certain) == (NOON + 2 * HOUR, False)


def test_what_is_not_there_is_said() -> None:
    assert "does not have enough" in one(TWO, {}, [waiter(1, "any", 3)]).because
    assert "does not have enough" in one(TWO, {}, [waiter(1, "whole")]).because


def test_what_is_used_without_a_lease_has_no_end() -> None:
    machine = scene(TWO[:1], free=())
    found = estimate(Outlook(machine, [waiter(1)], {}))[1]
    assert (found.at, found.because) == (
        None,
        "what would do is used by a container that ds01 did not make",
    )


def test_a_reservation_is_waited_for_and_not_sure() -> None:
    def allows(_: Waiter, free: Sequence[SlotInfo], at: datetime) -> Fenced:
        return Fenced(tuple(free) if at >= NOON + 6 * HOUR else ())

    found = one(
        TWO,
        {"0:0": 2},
        [waiter(1)],
        scene={"allows": allows},
        changes=[NOON + 6 * HOUR],
        promised=lambda _: True,
    )
    assert (found.at, found.certain) == (NOON + 6 * HOUR, False)
    assert "reservations may change it" in found.because


def test_a_stopped_container_may_be_started_again() -> None:
    held = {"uuid-0:0": Freeing(NOON + HOUR, "kim's container", "its GPU is held for 1h", False)}
    found = estimate(Outlook(scene(TWO[:1], {"0:0": HOLDER}), [waiter(1)], held))[1]
    assert (found.at, found.certain) == (NOON + HOUR, False)
    assert found.because.endswith("; but a stopped container may be started again")


# ---- against what really happens ---------------------------------------------------------------


@dataclass
class Drawn:
    """A machine, people who wait in order, and what part of their time each one stays."""

    here: list[SlotInfo]
    busy: dict[str, float]
    waiting: list[Waiter]
    part: dict[str | int, float]


@st.composite
def situations(draw: st.DrawFn, *, full: bool) -> Drawn:
    kinds = draw(st.lists(st.sampled_from(["1g", "1g", "2g", "3g"]), min_size=1, max_size=5))
    here = [slot(f"0:{index}", kind) for index, kind in enumerate(kinds)]
    hours = st.integers(1, 40).map(lambda number: number / 4)
    busy = {each.slot: draw(hours) for each in here if draw(st.booleans())}
    wanted = st.sampled_from(["any", "1g.5gb", "1g.5gb", "2g.10gb", "3g.20gb"])
    waiting = [
        waiter(key, draw(wanted), draw(st.sampled_from([1, 1, 1, 2])), hours=draw(hours))
        for key in range(1, draw(st.integers(1, 5)) + 1)
    ]
    parts = st.just(1.0) if full else st.floats(0.01, 1.0)
    part: dict[str | int, float] = {name: draw(parts) for name in busy}
    part |= {each.key: draw(parts) for each in waiting}
    return Drawn(here, busy, waiting, part)


def really(drawn: Drawn) -> dict[int, datetime]:
    """When everybody really starts."""

    def stay(who: Waiter, now: datetime) -> datetime:
        until = who.until(now)
        assert until is not None
        return now + drawn.part[who.key] * (until - now)

    reality = Reality(drawn.here, stay)
    for each in drawn.here:
        if each.slot in drawn.busy:
            hours = drawn.busy[each.slot]
            reality.occupy(
                HOLDER, each, NOON + drawn.part[each.slot] * hours * HOUR, NOON + hours * HOUR
            )
    reality.play({NOON: drawn.waiting}, NOON + timedelta(days=365))
    return reality.started


@settings(max_examples=150, deadline=None)
@given(situations(full=True))
def test_if_everybody_uses_their_time_up_it_comes_exactly_then(drawn: Drawn) -> None:
    """So it is never earlier than possible under the known facts."""
    found = estimate(outlook(drawn.here, dict(drawn.busy), drawn.waiting))
    started = really(drawn)
    assert {key: each.at for key, each in found.items() if each.at is not None} == started


@settings(max_examples=300, deadline=None)
@given(situations(full=False))
def test_what_is_certain_never_comes_later_whoever_leaves_earlier(drawn: Drawn) -> None:
    found = estimate(outlook(drawn.here, dict(drawn.busy), drawn.waiting))
    started = really(drawn)
    for key, each in found.items():
        if each.certain:
            assert each.at is not None
            assert started[key] <= each.at


@pytest.mark.parametrize("key", [1, 2])
def test_there_are_cases_where_earlier_ends_make_it_later(key: int) -> None:
    """Why not everything with a time is certain: the anomaly that `certain` leaves out."""
    here = [slot("0:0"), slot("0:1", "2g")]
    queue = [waiter(1, "any", hours=10), waiter(2, "1g.5gb", hours=1)]
    drawn = Drawn(here, {"0:0": 3.0, "0:1": 1.0}, queue, {"0:0": 0.1, "0:1": 1.0, 1: 1.0, 2: 1.0})
    found = estimate(outlook(here, dict(drawn.busy), queue))
    later = really(drawn)[key] > (found[key].at or NOON)
    assert later is (key == 2)
    assert found[key].certain is (key == 1)
