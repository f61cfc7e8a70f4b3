"""When leases end at the latest: what promises and estimates rest on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ds01_jupyter.core.clock import Moment, SystemClock
from ds01_jupyter.core.gpu.nvml import NvmlDriver
from ds01_jupyter.core.ledger import Ledger
from ds01_jupyter.core.lifecycle import tables
from ds01_jupyter.core.lifecycle.ends import End, lease_ends
from ds01_jupyter.core.lifecycle.life import Life
from ds01_jupyter.core.limit_merge import PersonLimits
from tests.unit.desk import ANNA, Desk
from tests.unit.test_lifecycle_policy import lifted, limits

HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
DAY = 24 * HOUR
SLACK = timedelta(seconds=5)


@pytest.fixture
def desk(gpu_machine: object, simulated_nvml: Path, tmp_path: Path) -> Iterator[Desk]:
    """Gives leases."""
    driver = NvmlDriver(str(simulated_nvml), refresh=0)
    desk = Desk(Ledger(tmp_path / "ledger.sqlite"), driver)
    yield desk
    desk.close()


def now(ahead: timedelta = timedelta(0)) -> Moment:
    real = SystemClock().now()
    return Moment(real.wall + ahead, real.boot_id, real.boot_seconds + ahead.total_seconds())


def end(
    desk: Desk, mine: PersonLimits | None, life: Life | None = None, *, later: timedelta = HOUR * 0
) -> End:
    moment = now(later)
    with desk.ledger.writing() as connection:
        if life is not None:
            tables.save_life(connection, life)
        leases = desk.ledger.live_leases()
        asked: list[int] = []

        def limits_of(uid: int) -> PersonLimits | None:
            asked.append(uid)
            return mine

        found = lease_ends(connection, leases, limits_of, moment)
    assert set(found) == {lease.claim_id for lease in leases}
    assert len(asked) == len({lease.uid for lease in leases})
    return found[leases[0].claim_id]


def in_(found: End, later: timedelta = HOUR * 0) -> timedelta:
    assert found.at is not None
    assert found.because
    return found.at - now(later).wall


def near(duration: timedelta) -> object:
    return pytest.approx(duration, abs=SLACK)


BOTH = limits(max_runtime=DAY, gpu_hold_after_stop=2 * HOUR)


def test_what_is_being_made_ends_as_if_it_started_now(desk: Desk) -> None:
    desk.claim("c", "1g.5gb")
    assert in_(end(desk, BOTH)) == near(26 * HOUR)
    assert in_(end(desk, BOTH, later=HOUR), HOUR) == near(26 * HOUR)


def test_what_runs_ends_after_the_rest_of_its_run_time_and_the_hold(desk: Desk) -> None:
    claim = desk.claim("c", "1g.5gb", 2)
    desk.allocator.activate(claim.claim_id, "id")
    assert in_(end(desk, BOTH, later=HOUR), HOUR) == near(25 * HOUR)
    ran = Life(
        claim.claim_id,
        now(),
        ran=10 * 3600.0,
        run=datetime.now(UTC),
        run_seconds=3600.0,
        looked=now(),
    )
    found = end(desk, BOTH, ran, later=HOUR)
    assert in_(found, HOUR) == near(14 * HOUR)  # 11 hours and one more of 24, and the hold
    assert found.because == "it may run for 1d in all, and its GPU is then held for 2h"
    over = replace(ran, ran=30 * 3600.0)
    assert in_(end(desk, BOTH, over)) == near(2 * HOUR)


def test_what_has_stopped_ends_with_its_hold(desk: Desk) -> None:
    claim = desk.claim("c", "1g.5gb")
    desk.allocator.activate(claim.claim_id, "id")
    desk.allocator.hold(claim.claim_id)
    assert in_(end(desk, BOTH, later=HOUR), HOUR) == near(HOUR)
    stopped = now(-HOUR)
    life = Life(claim.claim_id, stopped, run=stopped.wall, looked=stopped, stopped=stopped)
    assert in_(end(desk, BOTH, life)) == near(HOUR)  # since it stopped, not since that was noticed
    gone = limits(gpu_hold_after_stop=2 * HOUR, container_hold_after_stop=90 * MINUTE)
    found = end(desk, gone, life)
    assert in_(found) == near(30 * MINUTE)
    assert "removed 1h30m after it stopped" in found.because
    assert in_(end(desk, BOTH, life, later=9 * HOUR), 9 * HOUR) == near(timedelta(0))


def test_what_was_never_started_ends_with_the_sooner_of_two(desk: Desk) -> None:
    claim = desk.claim("c", "1g.5gb")
    desk.allocator.activate(claim.claim_id, "id")
    desk.allocator.hold(claim.claim_id)
    life = Life(claim.claim_id, now())
    mine = limits(gpu_hold_after_stop=2 * HOUR, created_timeout=HOUR / 2)
    found = end(desk, mine, life)
    assert in_(found) == near(HOUR / 2)
    assert "unless it is started" in found.because
    mine = limits(gpu_hold_after_stop=10 * MINUTE, created_timeout=HOUR / 2)
    assert in_(end(desk, mine, life)) == near(10 * MINUTE)


@pytest.mark.parametrize(
    ("mine", "words"),
    [
        (limits(gpu_hold_after_stop=HOUR), "run without a limit"),
        (limits(max_runtime=HOUR), "held without a limit"),
        (limits(lifted("max_runtime"), max_runtime=HOUR, gpu_hold_after_stop=HOUR), "exemption"),
        (None, "no time limits hold for anna"),
    ],
)
def test_where_nobody_can_say_it_says_why(
    desk: Desk, mine: PersonLimits | None, words: str
) -> None:
    claim = desk.claim("c", "1g.5gb")
    desk.allocator.activate(claim.claim_id, "id")
    found = end(desk, mine)
    assert found.at is None
    assert words in found.because


def test_an_exemption_with_a_date_is_reckoned_with(desk: Desk) -> None:
    claim = desk.claim("c", "1g.5gb")
    desk.allocator.activate(claim.claim_id, "id")
    until = datetime.now(UTC) + 48 * HOUR
    one = replace(lifted("max_runtime"), until=until)
    mine = limits(one, max_runtime=HOUR, gpu_hold_after_stop=HOUR)
    assert in_(end(desk, mine)) == near(49 * HOUR)


def test_without_leases_nothing_is_asked(desk: Desk) -> None:
    with desk.ledger.reading() as connection:
        assert lease_ends(connection, [], lambda _: None, now()) == {}
    assert ANNA.uid == 1001
