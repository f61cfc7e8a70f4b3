"""The placement benchmark: its machine obeys the rules, and simulates the policy that we ship."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

from benchmarks import placement
from benchmarks.placement import Run, Size, gap, gap_figures, run_all
from benchmarks.placement_simulator import (
    COMPUTE,
    GEOMETRY,
    MIXES,
    NAMES,
    POLICIES,
    SPANS,
    Choice,
    Job,
    OurPolicy,
    Policy,
    Setting,
    Simulation,
    requests,
    simulate,
)
from ds01_jupyter.core.gpu.fragmentation import choose_placement, demand_from_history
from ds01_jupyter.core.gpu.geometry import GpuState, layouts

SETTING = Setting("uniform", 4, 0.9)
SMALLER = Setting("uniform", 4, 0.7)
NUMBER = 1000


@pytest.mark.parametrize("mix", MIXES)
def test_the_simulated_policy_is_the_one_that_we_ship(mix: str) -> None:
    source = random.Random(mix)
    every = list(layouts(GEOMETRY))
    history = source.choices(range(len(NAMES)), MIXES[mix], k=2 * OurPolicy.RELEARN)
    demand = demand_from_history([(NAMES[index], 0.0) for index in history], NAMES)
    policy = OurPolicy(4)
    for index in history:
        policy.asked(index)
    placed = 0
    for _ in range(400):
        states = [
            GpuState(str(index), GEOMETRY, source.choice(every) if source.random() < 0.8 else ())
            for index in range(4)
        ]
        wanted = source.randrange(len(NAMES))
        place = choose_placement(states, NAMES[wanted], demand)
        simulated = policy.choose([state.mask for state in states], wanted)
        if place is None:
            assert simulated is None
            continue
        placed += 1
        span = GEOMETRY.profiles[wanted].mask(place.start)
        assert simulated == (int(place.gpu), span)
    assert 100 < placed < 400


class Recorder(Policy):
    """Notes what a policy chose, and checks that it is a place where the request fits."""

    def __init__(self, policy: Policy, *, exact: bool) -> None:
        self._policy = policy
        self._exact = exact
        self.chosen: list[tuple[int, Choice | None]] = []

    def asked(self, profile: int) -> None:
        self._policy.asked(profile)

    def choose(self, masks: Sequence[int], profile: int) -> Choice | None:
        choice = self._policy.choose(masks, profile)
        spans = [span for _, span in SPANS[profile]]
        possible = [(gpu, span) for gpu, mask in enumerate(masks) for span in spans]
        possible = [(gpu, span) for gpu, span in possible if not masks[gpu] & span]
        if self._exact:
            assert choice in possible if possible else choice is None
        elif choice is not None:
            assert not masks[choice[0]] & choice[1]
        self.chosen.append((profile, choice))
        return choice


@pytest.mark.parametrize("queue", [False, True], ids=["loss", "queue"])
@pytest.mark.parametrize("name", POLICIES)
def test_nothing_is_lost_and_nothing_is_made_up(name: str, queue: bool) -> None:
    jobs = requests(1, SETTING.mix, SETTING.gpus, SETTING.load, NUMBER)
    recorder = Recorder(POLICIES[name](SETTING, 1), exact=name != "fixed")
    simulation = Simulation(recorder, jobs, SETTING.gpus, queue=queue)
    outcome = simulation.run()
    counted = jobs[NUMBER // 10 :]
    assert simulation.masks == [0] * SETTING.gpus
    assert outcome.offered == [
        sum(job.profile == index for job in counted) for index in range(len(NAMES))
    ]
    assert sum(outcome.served) == len(outcome.waits)
    assert all(
        0 <= served <= offered
        for served, offered in zip(outcome.served, outcome.offered, strict=True)
    )
    assert 0 < outcome.allocated < 1
    if name == "fixed":
        assert outcome.served[3:] == [0, 0]
    elif queue:
        assert outcome.served == outcome.offered
    if not queue:
        assert len(recorder.chosen) == NUMBER
        assert set(outcome.waits) == {0.0}
        # Compute x time, summed from the choices.
        start, end = counted[0].arrival, jobs[-1].arrival
        taken = sum(
            COMPUTE[job.profile]
            * max(0.0, min(job.arrival + job.duration, end) - max(job.arrival, start))
            for job, (_, choice) in zip(jobs, recorder.chosen, strict=True)
            if choice is not None
        )
        assert outcome.allocated == pytest.approx(taken / (end - start) / SETTING.gpus / 7)
    else:
        assert min(outcome.waits) == 0.0 <= max(outcome.waits)


def test_the_queue_is_first_come_first_served_with_backfill() -> None:
    """One GPU: 7g until 4; then 4g waits since 1, 3g since 2, 7g since 3, and 1g comes at 5."""
    profiles = [4, 3, 2, 4, 0, 0]
    jobs = [Job(0.0, 4, 4.0), Job(1.0, 3, 6.0), Job(2.0, 2, 2.0), Job(3.0, 4, 1.0)]
    jobs += [Job(5.0, 0, 1.0), Job(6.5, 0, 1.0)]
    assert [job.profile for job in jobs] == profiles
    for name in ("ours", "first-fit"):
        outcome = Simulation(POLICIES[name](Setting("big", 1, 1.0), 0), jobs, 1, queue=True).run()
        # 4g and 3g start at 4; the first 1g when 3g leaves at 6, the second at once; 7g when the
        # 4g leaves at 10.
        assert outcome.waits == [0.0, 3.0, 2.0, 1.0, 0.0, 7.0]
        assert outcome.served == [2, 0, 1, 1, 2]


def test_every_policy_sees_the_same_requests() -> None:
    first = requests(3, "small", 4, 0.7, 500)
    requests.cache_clear()
    assert requests(3, "small", 4, 0.7, 500) == first
    busier = requests(3, "small", 4, 1.4, 500)
    assert [(job.profile, job.duration) for job in busier] == [
        (job.profile, job.duration) for job in first
    ]
    assert busier[-1].arrival == pytest.approx(first[-1].arrival / 2)
    assert requests(4, "small", 4, 0.7, 500) != first


def test_the_load_is_what_it_says() -> None:
    for mix in MIXES:
        jobs = requests(0, mix, 8, 0.9, 20_000)
        asked = sum(COMPUTE[job.profile] * job.duration for job in jobs)
        assert asked / jobs[-1].arrival / (8 * 7) == pytest.approx(0.9, rel=0.05)


def test_an_instance_that_is_taken_cannot_be_given() -> None:
    class Careless(Policy):
        def choose(self, masks: Sequence[int], profile: int) -> Choice | None:
            return 0, SPANS[profile][0][1]

    jobs = requests(0, "uniform", 4, 0.9, 100)
    with pytest.raises(AssertionError, match="given twice"):
        Simulation(Careless(), jobs, 4, queue=False).run()


SMALL = Size(seeds=3, number=1200, processes=2)


def test_ours_keeps_up_with_the_best_on_a_small_run() -> None:
    """Fixed seeds, so this is exact; the bounds leave room for other versions of `random`."""
    loss = run_all(SMALL, queue=False)
    assert list(loss) == list(placement.SETTINGS)
    assert len(loss) == 24
    ahead_of = {
        name: sum(
            placement.mean(cell["ours"], placement.weighted)
            > placement.mean(cell[name], placement.weighted)
            for cell in loss.values()
        )
        for name in POLICIES
        if name != "ours"
    }
    for name in ("worst-fit", "random", "fixed"):
        assert ahead_of[name] == 24
    for name in ("first-fit", "best-fit"):
        assert ahead_of[name] >= 22
    behind = [gap(cell, placement.weighted).points for cell in loss.values()]
    assert max(behind) <= 1.5
    assert sum(behind) / len(behind) <= 0.3


def test_repeating_a_run_gives_the_same() -> None:
    runs = [simulate(SETTING, name, 7, number=NUMBER, queue=True) for name in [*POLICIES] * 2]
    assert runs[: len(POLICIES)] == runs[len(POLICIES) :]


def run_with(weighted: float) -> Run:
    return Run(weighted, 90.0, 50.0, 1.0, 2.0, (90.0,) * len(NAMES))


def test_the_gap_is_to_the_best_of_the_others_and_a_miss_is_said() -> None:
    cell = {
        "ours": [run_with(70.0), run_with(72.0)],
        "worse": [run_with(60.0), run_with(60.0)],
        "better": [run_with(71.0), run_with(73.5)],
    }
    found = gap(cell, placement.weighted)
    assert (found.best, found.points, found.error) == ("better", 1.25, pytest.approx(0.25))
    cells = {name: cell.get(name, cell["worse"]) for name in POLICIES}
    cells["MCC"] = cell["better"]
    text = placement.report({SETTING: cells}, {SETTING: cells})
    assert text.count("**missed**") == 1
    assert "| MCC | -1.25 ±0.25 **missed** |" in text
    figures = gap_figures({SETTING: cells}, {SETTING: cells})
    assert [figure.met for figure in figures] == [False, True, True]
    quick = gap_figures({SETTING: cells, SMALLER: cells}, {SETTING: cells}, quick=True)
    assert [figure.reached for figure in quick] == [1.25, 0.0, 0.0]
    cells["ours"] = cell["better"]
    assert gap(cells, placement.weighted).points == 0
    assert "missed" not in placement.report({SETTING: cells}, {SETTING: cells})
