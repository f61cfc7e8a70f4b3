"""What people ask for: learned from the ledger, with what they were refused, at no cost."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from ds01_jupyter.core import ledger_sharing
from ds01_jupyter.core.demand import FRESH, Demand
from ds01_jupyter.core.errors import DiskFull
from ds01_jupyter.core.gpu.fragmentation import PRIOR_REQUESTS
from ds01_jupyter.core.gpu.nvml import NvmlDriver
from ds01_jupyter.core.gpu.request import GpuRequest
from ds01_jupyter.core.ledger import Ledger
from tests.rig.nvml import Machine
from tests.unit.desk import ANNA, BEN, Desk


@pytest.fixture
def desk(gpu_machine: Machine, simulated_nvml: Path, tmp_path: Path) -> Iterator[Desk]:
    """The preset "lab": whole 0 and 1; 2 is 3g+2g+1g+1g, 3 is 7 x 1g."""
    desk = Desk(Ledger(tmp_path / "ledger.sqlite"), NvmlDriver(str(simulated_nvml), refresh=1e9))
    yield desk
    desk.close()


def refused(desk: Desk) -> list[tuple[int, str, int]]:
    with desk.ledger.reading() as connection:
        rows = connection.execute("SELECT uid, profile, slots FROM refused ORDER BY id").fetchall()
    return [tuple(row) for row in rows]


@pytest.mark.parametrize(
    ("gpu", "count", "profile"),
    [
        ("whole", 3, "whole"),
        ("3g.20gb", 2, "3g.20gb"),
        ("any", 14, "1g.5gb"),
        (">=10GB", 5, "2g.10gb"),
        ("40GiB", 3, "whole"),
    ],
)
def test_a_refusal_for_lack_of_slots_is_remembered(
    desk: Desk, gpu: str, count: int, profile: str
) -> None:
    desk.refusal("box", gpu, count)
    assert refused(desk) == [(ANNA.uid, profile, count)]


def test_a_named_slot_counts_as_its_profile(desk: Desk) -> None:
    desk.claim("box", "2:0")
    desk.refusal("box", "2:0", person=BEN)
    assert refused(desk) == [(BEN.uid, "3g.20gb", 1)]


def test_refusals_of_another_kind_are_no_demand(desk: Desk) -> None:
    desk.claim("box", "none")
    desk.refusal("box", "any")  # the name is taken
    desk.refusal("box2", "1g.5gb", max_mig_instances=0)
    desk.refusal("box2", "7g.40gb")
    desk.refusal("box2", "80GB")
    assert refused(desk) == []


def test_whoever_asks_again_and_again_is_counted_once(desk: Desk) -> None:
    for _ in range(3):
        desk.refusal("box", "whole", 3)
    desk.refusal("box", "whole", 3, person=BEN)
    assert [uid for uid, *_ in refused(desk)] == [ANNA.uid, BEN.uid]


def test_the_mix_is_what_was_given_and_what_was_refused(desk: Desk) -> None:
    desk.claim("box", "1g.5gb", 2)
    desk.refusal("box2", "whole", 3)
    mix = Demand(desk.ledger, "here").mix(["1g.5gb", "whole", "2g.10gb"])
    prior = PRIOR_REQUESTS / 3
    assert mix["1g.5gb"] == pytest.approx(prior + 2, abs=1e-3)
    assert mix["whole"] == pytest.approx(prior + 3, abs=1e-3)
    assert mix["2g.10gb"] == pytest.approx(prior)


def test_the_ledger_is_asked_once_a_minute(desk: Desk) -> None:
    now, asked = [0.0], []

    @contextmanager
    def reading() -> Iterator[Any]:
        asked.append(now[0])
        with Ledger.reading(desk.ledger) as connection:
            yield connection

    desk.ledger.reading = reading  # type: ignore[method-assign]
    demand = Demand(desk.ledger, "here", clock=lambda: now[0])
    first = demand.mix(["1g.5gb"])
    desk.claim("box", "1g.5gb")
    asked.clear()
    for second in (1.0, FRESH - 1):
        now[0] = second
        assert demand.mix(["1g.5gb"]) == first
        assert set(demand.mix(["1g.5gb", "whole"])) == {"1g.5gb", "whole"}
    assert asked == []
    now[0] = FRESH
    assert demand.mix(["1g.5gb"])["1g.5gb"] > first["1g.5gb"]
    assert asked == [FRESH]


def test_that_it_cannot_be_written_changes_no_refusal(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: object) -> bool:
        raise DiskFull("There is no space left.", hint="Free some.")

    monkeypatch.setattr(ledger_sharing, "note_refused", full)
    assert desk.refusal("box", "whole", 3).code == "no_free_slot"
    assert "no space left" in caplog.text


def test_what_nothing_would_have_served_is_no_demand(desk: Desk) -> None:
    demand = Demand(desk.ledger, "here")
    demand.refused(1, GpuRequest.parse("80GB"), desk.driver.inventory().slots)
    demand.refused(1, GpuRequest.parse("any"), [])
    assert refused(desk) == []
