"""Placement policies against each other: `python -m benchmarks.placement [--quick] [--write]`.

Every combination of mix, machine and load, in the loss and in the queue model, for 20 seeds;
`benchmarks/placement_simulator.py` says what is simulated, `benchmarks/placement.md` what came
out. Needs no GPU and no rig.
"""

from __future__ import annotations

import argparse
import itertools
import math
import multiprocessing
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measure import Figure
from benchmarks.placement_simulator import (
    GEOMETRY,
    MIXES,
    NAMES,
    POLICIES,
    Outcome,
    Setting,
    requests,
    simulate,
)
from ds01_jupyter.core.gpu.fragmentation import choose_placement
from ds01_jupyter.core.gpu.geometry import GpuState

SETTINGS = tuple(
    Setting(mix, gpus, load)
    for mix, gpus, load in itertools.product(MIXES, (4, 8), (0.7, 0.9, 1.2))
)
OURS = "ours"
PROMISE = 0.3
"""Points that ours may be behind the best policy."""
REPORT = Path(__file__).with_suffix(".md")
MARK = "<!-- written by python -m benchmarks.placement --write -->\n"


@dataclass(frozen=True)
class Size:
    """How much is simulated: seeds, and requests per seed."""

    seeds: int
    number: int
    processes: int


FULL = Size(seeds=20, number=12000, processes=2)
QUICK = Size(seeds=4, number=3000, processes=2)


@dataclass(frozen=True)
class Run:
    """The figures of one run, in per cent; waits in mean durations. `profiles` per profile."""

    weighted: float
    count: float
    allocated: float
    mean_wait: float
    late_wait: float
    profiles: tuple[float, ...]

    @classmethod
    def of(cls, outcome: Outcome) -> Run:
        """From what the simulator counted."""
        waits = sorted(outcome.waits)
        return cls(
            weighted=100 * outcome.weighted_acceptance,
            count=100 * outcome.acceptance,
            allocated=100 * outcome.allocated,
            mean_wait=statistics.fmean(waits),
            late_wait=waits[math.ceil(0.95 * len(waits)) - 1],
            profiles=tuple(
                100 * served / offered
                for served, offered in zip(outcome.served, outcome.offered, strict=True)
            ),
        )


Cell = dict[str, list[Run]]
"""By policy: its runs, one per seed in the same order."""
Results = dict[Setting, Cell]


def run_all(size: Size, *, queue: bool) -> Results:
    """Simulate everything once, in `size.processes` processes."""
    tasks = [(setting, size, queue) for setting in SETTINGS]
    with multiprocessing.get_context("fork").Pool(size.processes) as pool:
        return dict(zip(SETTINGS, pool.imap(_run_cell, tasks), strict=True))


def _run_cell(task: tuple[Setting, Size, bool]) -> Cell:
    setting, size, queue = task
    cell: Cell = {policy: [] for policy in POLICIES}
    for seed in range(size.seeds):
        for policy, runs in cell.items():
            runs.append(Run.of(simulate(setting, policy, seed, number=size.number, queue=queue)))
        requests.cache_clear()
    return cell


# ---- statistics --------------------------------------------------------------------------------

Metric = Callable[[Run], float]


def mean(runs: Sequence[Run], metric: Metric) -> float:
    """Over the seeds."""
    return statistics.fmean(metric(run) for run in runs)


def error(values: Sequence[float]) -> float:
    """Standard error of the mean."""
    return statistics.stdev(values) / math.sqrt(len(values))


@dataclass(frozen=True)
class Gap:
    """How far ours is behind the best of the others (below 0: ahead), in points, with the
    standard error of the difference (same requests, so the noise they share cancels)."""

    best: str
    points: float
    error: float


def gap(cell: Cell, metric: Metric) -> Gap:
    """Against the policy with the best mean, which is chosen after the fact."""
    best = max((name for name in cell if name != OURS), key=lambda name: mean(cell[name], metric))
    behind = [
        metric(other) - metric(own) for own, other in zip(cell[OURS], cell[best], strict=True)
    ]
    return Gap(best, statistics.fmean(behind), error(behind))


def weighted(run: Run) -> float:
    """Compute-weighted acceptance, per cent."""
    return run.weighted


def allocated(run: Run) -> float:
    """Compute that was given out, per cent of the machine's."""
    return run.allocated


# ---- tables ------------------------------------------------------------------------------------


def report(loss: Results, queue: Results) -> str:
    """All tables as Markdown."""
    parts = [
        _table("Loss model: compute-weighted acceptance, %", loss, weighted),
        _table("Loss model: allocated compute, %", loss, allocated),
        _table("Queue model: allocated compute, %", queue, allocated),
        _table("Loss model: acceptance by number, %", loss, lambda run: run.count, gaps=False),
        _profiles("Loss model: acceptance per profile, % (1g/2g/3g/4g/7g)", loss),
        _waits("Queue model: mean wait / 95th percentile, in mean durations", queue),
        _table("Queue model: served in the end, %", queue, lambda run: run.count, gaps=False),
    ]
    return "\n\n".join(parts) + "\n"


def _head(title: str, columns: Sequence[str]) -> list[str]:
    named = ["mix", "GPUs", "load", *columns]
    return [f"### {title}", "", f"| {' | '.join(named)} |", "|---" * len(named) + "|"]


def _row(setting: Setting, cells: Sequence[str]) -> str:
    return f"| {' | '.join([setting.mix, str(setting.gpus), f'{setting.load}', *cells])} |"


def _table(title: str, results: Results, metric: Metric, *, gaps: bool = True) -> str:
    lines = _head(title, [*POLICIES, *(["best other", "ours is ahead by"] if gaps else [])])
    for setting, cell in results.items():
        cells = [f"{mean(cell[name], metric):.2f}" for name in POLICIES]
        own = error([metric(run) for run in cell[OURS]])
        cells[0] += f" ±{own:.2f}"
        if gaps:
            behind = gap(cell, metric)
            missed = " **missed**" if behind.points > PROMISE else ""
            cells += [behind.best, f"{-behind.points:+.2f} ±{behind.error:.2f}{missed}"]
        lines.append(_row(setting, cells))
    return "\n".join(lines)


def _profiles(title: str, results: Results) -> str:
    lines = _head(title, list(POLICIES))
    for setting, cell in results.items():
        cells = [
            "/".join(
                f"{statistics.fmean(run.profiles[index] for run in runs):.0f}"
                for index in range(len(NAMES))
            )
            for runs in cell.values()
        ]
        lines.append(_row(setting, cells))
    return "\n".join(lines)


def _waits(title: str, results: Results) -> str:
    lines = _head(title, list(POLICIES))
    for setting, cell in results.items():
        cells = [
            f"{mean(runs, lambda run: run.mean_wait):.2f} / "
            f"{mean(runs, lambda run: run.late_wait):.2f}"
            for runs in cell.values()
        ]
        cells[0] += f" (mean ±{error([run.mean_wait for run in cell[OURS]]):.2f})"
        lines.append(_row(setting, cells))
    return "\n".join(lines)


# ---- figures -----------------------------------------------------------------------------------


def gap_figures(loss: Results, queue: Results, *, quick: bool = False) -> list[Figure]:
    """The promise, for each measure: the worst of all settings, or with `quick`, where one setting
    alone is mostly noise, their mean."""
    measures = (
        ("compute-weighted acceptance, loss model", loss, weighted),
        ("allocated compute, loss model", loss, allocated),
        ("allocated compute, queue model", queue, allocated),
    )
    found = []
    for name, results, metric in measures:
        gaps = {setting: gap(cell, metric) for setting, cell in results.items()}
        setting = max(gaps, key=lambda item: gaps[item].points)
        worst = gaps[setting]
        where = (
            f"{worst.points:+.2f} ±{worst.error:.2f} with {setting.mix}, {setting.gpus} GPUs, "
            f"load {setting.load}, against {worst.best}"
        )
        mean_gap = statistics.fmean(item.points for item in gaps.values())
        found.append(
            Figure(
                f"placement behind the best policy, {'mean' if quick else 'worst'} of "
                f"{len(gaps)}: {name}",
                mean_gap if quick else worst.points,
                PROMISE,
                "points",
                f"worst: {where}" if quick else where,
            )
        )
    return found


def choice_microseconds(gpus: int = 8, choices: int = 2000) -> float:
    """Mean time of one `choose_placement` while a machine is filled up again and again."""
    demand = dict(zip(NAMES, MIXES["small"], strict=True))
    jobs = requests(0, "small", gpus, 0.9, choices)
    states = empty = [GpuState(f"GPU-{index}", GEOMETRY) for index in range(gpus)]
    taken = 0.0
    for job in jobs:
        start = time.perf_counter()
        place = choose_placement(states, NAMES[job.profile], demand)
        taken += time.perf_counter() - start
        states = (
            empty
            if place is None
            else [
                state.with_instance(place.profile, place.start) if state.gpu == place.gpu else state
                for state in states
            ]
        )
    return 1e6 * taken / len(jobs)


def figures() -> list[Figure]:
    """For `python -m benchmarks`: the quick run, with more noise than the tables."""
    loss, queue = run_all(QUICK, queue=False), run_all(QUICK, queue=True)
    speed = Figure("one placement among 8 GPUs", choice_microseconds(), None, "µs")
    return [*gap_figures(loss, queue, quick=True), speed]


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the tables; the exit status says whether the promise is kept everywhere."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.placement", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few seeds: half a minute")
    parser.add_argument("--seeds", type=int)
    parser.add_argument("--requests", type=int, help="per seed")
    parser.add_argument("--processes", type=int)
    parser.add_argument("--write", action="store_true", help=f"put them into {REPORT.name}")
    chosen = parser.parse_args(arguments)
    basis = QUICK if chosen.quick else FULL
    size = Size(
        chosen.seeds or basis.seeds,
        chosen.requests or basis.number,
        chosen.processes or basis.processes,
    )
    start = time.perf_counter()
    loss, queue = run_all(size, queue=False), run_all(size, queue=True)
    text = report(loss, queue)
    if chosen.write:
        kept = REPORT.read_text(encoding="utf-8").partition(MARK)[0]
        REPORT.write_text(f"{kept}{MARK}\n{text}", encoding="utf-8")
    else:
        print(text)
    found = gap_figures(loss, queue, quick=chosen.quick)
    for figure in found:
        print(f"{figure.name}: {figure.reached:+.2f} points ({figure.note})")
    print(f"{size}: {time.perf_counter() - start:.0f} s", file=sys.stderr)
    return 0 if all(figure.met for figure in found) else 1


if __name__ == "__main__":
    sys.exit(main())
