"""The parts of the lab that look after the time of containers, made from its settings."""

from __future__ import annotations

from datetime import datetime, timedelta

from ds01_jupyter.core.clock import Clock
from ds01_jupyter.core.engine import Engine
from ds01_jupyter.core.gpu.board import GpuBoard
from ds01_jupyter.core.ledger import Ledger
from ds01_jupyter.core.lifecycle.documents import TimeLimits
from ds01_jupyter.core.lifecycle.keeper import Keeper
from ds01_jupyter.core.lifecycle.life import Thresholds
from ds01_jupyter.core.lifecycle.lives import Lives
from ds01_jupyter.core.limit_keys import DURATIONS
from ds01_jupyter.core.limit_merge import PersonLimits
from ds01_jupyter.core.people import LimitsOf
from ds01_jupyter.core.settings import Settings


def make_lives(settings: Settings, ledger: Ledger, limits_of: LimitsOf, clock: Clock) -> Lives:
    """The time of containers in a ledger."""
    longest = timedelta(hours=settings.keep_alive_hours)
    return Lives(ledger, limits_of, clock, longest_keep=longest)


def make_keeper(settings: Settings, lives: Lives, engine: Engine, board: GpuBoard) -> Keeper:
    """What looks after it; it must be started."""
    thresholds = Thresholds(
        gpu=settings.idle_gpu_percent / 100,
        cpu=settings.idle_cpu_percent / 100,
        network=settings.idle_network_rate,
    )
    grace = settings.stop_grace_seconds
    return Keeper(lives, engine, board, thresholds=thresholds, grace=grace)


def time_limits(limits: PersonLimits, lives: Lives) -> TimeLimits:
    """A person's time limits as the API shows them, with the exemptions of now."""
    now, seconds = lives.clock.now().wall, {}
    for key in DURATIONS:
        limit: timedelta | None = getattr(limits, key)
        seconds[key] = None if limit is None else limit.total_seconds()
    until: dict[str, datetime | None] = {}
    for each in limits.exemptions:
        if not each.holds(now):
            continue
        for key in each.limits:
            other = until.get(key, each.until)
            until[key] = None if None in (other, each.until) else max(other, each.until)  # type: ignore[type-var]
    return TimeLimits(**seconds, exempt_until=until, keep_alive=lives.longest_keep.total_seconds())
