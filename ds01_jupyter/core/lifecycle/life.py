"""What the ledger remembers of one container's time, and how a look at it changes that.

Nothing here asks anybody anything. Durations are reckoned with seconds since boot (`Moment.since`),
so that a wall clock that is set changes nothing; what Docker says in wall time (when a run began
and ended) is held against that wherever both are known.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

from ds01_jupyter.core.clock import Moment

Activity = Literal["active", "idle", "unknown"]
Source = Literal["gpu", "cpu", "keep_alive"]
What = Literal["idle_stop", "runtime_stop", "reservation_stop", "gpu_release", "removal"]

GAP = 90.0
"""Seconds between two looks beyond which nobody saw what happened: from there on only counters
that ran on can tell."""


@dataclass(frozen=True)
class Counters:
    """What a container has used since its start: CPU in seconds, network in bytes in and out.
    None: the engine does not say."""

    cpu: float | None = None
    network: int | None = None


@dataclass(frozen=True)
class Thresholds:
    """From where on a container works: `gpu` as a share (0 to 1), `cpu` as a share of one core,
    `network` in bytes a second."""

    gpu: float = 0.05
    cpu: float = 0.05
    network: float = 10_000.0


@dataclass(frozen=True)
class KeepAlive:
    """Its owner said at `since` that it is not to be stopped for idling for `seconds`."""

    since: Moment
    seconds: float

    def left(self, now: Moment) -> timedelta:
        """How long that still holds; zero or less when it is over."""
        return timedelta(seconds=self.seconds) - now.since(self.since)


@dataclass(frozen=True)
class Life:
    """A container's time, as of the last look. Seconds.

    `ran` is the time of all runs that have ended; `run` is when, by Docker, the present one began
    (or, with `stopped`, the last one; None: it never ran), and `run_seconds` its length up to
    `looked`. `counters` are those of the last look. `ending` is why we are stopping
    it, or stopped it.
    """

    claim_id: str
    made: Moment
    ran: float = 0.0
    run: datetime | None = None
    run_seconds: float = 0.0
    idle: float = 0.0
    activity: Activity | None = None
    activity_from: Source | None = None
    looked: Moment | None = None
    counters: Counters = Counters()
    keep: KeepAlive | None = None
    stopped: Moment | None = None
    ending: What | None = None

    @property
    def runs(self) -> bool:
        """Whether it ran when it was last looked at."""
        return self.run is not None and self.stopped is None

    def running(self, now: Moment) -> float:
        """Seconds that it has run in all, up to now."""
        if not self.runs or self.looked is None:
            return self.ran
        return self.ran + self.run_seconds + now.since(self.looked).total_seconds()


@dataclass(frozen=True)
class Look:
    """A look at a container that runs (or is paused).

    `started` is Docker's word on when this run began, and with it the name of the run; `age` the
    seconds since then. `gpu` is what its GPUs say, None where they say nothing, so that `counters`
    (None: not told) decide.
    """

    at: Moment
    started: datetime
    age: float
    counters: Counters | None = None
    gpu: Activity | None = None
    paused: bool = False


def seen_running(life: Life, look: Look, thresholds: Thresholds) -> Life:
    """The life after a look at the running container.

    A look that is not later than the last one changes nothing.
    """
    if life.run != look.started or life.stopped is not None:
        life = _begun(life, look)
    assert life.looked is not None
    passed = look.at.since(life.looked).total_seconds()
    if passed <= 0:
        return life
    activity, source = _judged(life.counters, passed, look, thresholds)
    idle = life.idle
    kept = life.keep.left(look.at).total_seconds() if life.keep is not None else None
    if activity == "active":
        idle = 0.0
    elif kept is not None and kept > 0:
        activity, source, idle = "active", "keep_alive", 0.0
    elif activity == "idle":
        # Where the owner kept it alive for a part of this time, only what came after counts.
        idle += passed if kept is None else min(passed, -kept)
    return replace(
        life,
        run_seconds=life.run_seconds + passed,
        idle=idle,
        activity=activity,
        activity_from=source,
        looked=look.at,
        counters=life.counters if look.paused else look.counters or Counters(),
        keep=None if kept is not None and kept <= 0 else life.keep,
    )


def seen_stopped(
    life: Life,
    at: Moment,
    started: datetime | None,
    finished: datetime | None,
    machine: Moment,
) -> Life:
    """The life after a look at the container that does not run.

    `started` and `finished` are Docker's words on its last run, None where there was none, and
    `machine` is the present by the clock that Docker goes by.
    """
    if started is None or (life.run == started and life.stopped is not None):
        return life
    seen = life.run == started
    if not seen:
        # It began and ended while nobody looked.
        life = _begun(life, Look(at, started, (machine.wall - started).total_seconds()))
    last, lasted = life.looked, life.run_seconds
    assert last is not None
    booted = machine.wall - timedelta(seconds=machine.boot_seconds)
    gap = at.since(last)
    over = last.boot_id != at.boot_id if seen else started < booted
    if over and finished is not None and finished >= booted:
        # The machine went down under it: Docker learnt of the end after the reboot, and nobody
        # knows how long it ran after the last look.
        return _ended(life, lasted, at, min(machine.wall - booted, gap))
    ago = timedelta(0) if finished is None or finished < started else machine.wall - finished
    ago = min(max(ago, timedelta(0)), gap)
    return _ended(life, lasted + (gap - ago).total_seconds(), at, ago)


def _begun(life: Life, look: Look) -> Life:
    """A new run; what was left of the one before counts, as far as it can be told."""
    bound = look.at.since(life.made)
    age = min(max(timedelta(seconds=look.age), timedelta(0)), bound)
    ran = life.ran
    if life.runs and life.looked is not None:
        unseen = (look.at.since(life.looked) - age).total_seconds()
        ran += life.run_seconds + min(max(unseen, 0.0), GAP)
    return replace(
        life,
        ran=ran,
        run=look.started,
        run_seconds=0.0,
        idle=0.0,
        activity=None,
        activity_from=None,
        looked=earlier(look.at, age),
        counters=Counters(0.0, 0),
        stopped=None,
        ending=None,
    )


def _ended(life: Life, lasted: float, at: Moment, ago: timedelta) -> Life:
    return replace(
        life,
        ran=life.ran + lasted,
        run_seconds=0.0,
        activity=None,
        activity_from=None,
        looked=at,
        counters=Counters(),
        stopped=earlier(at, ago),
    )


def earlier(at: Moment, ago: timedelta) -> Moment:
    """The moment `ago` before another, by the same clocks."""
    return Moment(at.wall - ago, at.boot_id, at.boot_seconds - ago.total_seconds())


# ---- active or idle ------------------------------------------------------------------------------


def _judged(
    before: Counters, seconds: float, look: Look, thresholds: Thresholds
) -> tuple[Activity, Source | None]:
    if look.paused:
        return "idle", "cpu"
    if look.gpu is not None:
        if look.gpu == "active" or seconds <= GAP:
            return look.gpu, None if look.gpu == "unknown" else "gpu"
        return "unknown", None
    activity = by_counters(before, look.counters or Counters(), seconds, thresholds)
    return activity, None if activity == "unknown" else "cpu"


def by_counters(
    before: Counters, after: Counters, seconds: float, thresholds: Thresholds
) -> Activity:
    """What two readings of the counters, `seconds` apart, say of the time between.

    Over a gap the mean alone would hide an hour of work in a long night: there it is idle only if
    all that was used would have been too little for a short while, too.
    """
    cpu = network = None
    if before.cpu is not None and after.cpu is not None:
        cpu = after.cpu - before.cpu
    if before.network is not None and after.network is not None:
        network = after.network - before.network
    if (cpu is not None and cpu < 0) or (network is not None and network < 0):
        return "unknown"  # counters of another run
    used = ((cpu, thresholds.cpu), (network, thresholds.network))
    if any(amount is not None and amount >= least * seconds for amount, least in used):
        return "active"
    if cpu is None:
        return "unknown"  # a network at rest alone proves nothing
    window = min(seconds, GAP)
    if any(amount is not None and amount >= least * window for amount, least in used):
        return "unknown"
    return "idle"
