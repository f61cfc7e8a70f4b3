"""What time it is, in two ways: the wall clock for people and calendars, and seconds since boot for
reckoning how long something lasted. The wall clock may be set; seconds since boot never are.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

from ds01_jupyter.core.processes import boot_id, boot_seconds


@dataclass(frozen=True)
class Moment:
    """A moment: `wall` in UTC, and seconds since the boot `boot_id`."""

    wall: datetime
    boot_id: str
    boot_seconds: float

    def since(self, earlier: Moment) -> timedelta:
        """How long ago `earlier` was, never negative.

        Within one boot the seconds since boot tell it; across a reboot only the wall clock can.
        """
        if self.boot_id == earlier.boot_id:
            passed = timedelta(seconds=self.boot_seconds - earlier.boot_seconds)
        else:
            passed = self.wall - earlier.wall
        return max(passed, timedelta(0))


class Clock(Protocol):
    """Tells the time; another one makes hours pass in a test."""

    def now(self) -> Moment:
        """This moment."""


class SystemClock:
    """The machine's own clocks."""

    def now(self) -> Moment:
        """This moment."""
        return Moment(datetime.now(UTC), boot_id(), boot_seconds())


class ShiftedClock:
    """The machine's clocks, set forward by `ahead`: for tests, and for asking what would be then.

    The present is real, so that what others wrote with the system clock stays in order.
    """

    def __init__(self, ahead: timedelta = timedelta(0)) -> None:
        self.ahead = ahead

    def advance(self, **by: float) -> None:
        """Let time pass: the arguments are those of `timedelta`."""
        self.ahead += timedelta(**by)

    def now(self) -> Moment:
        """This moment, shifted."""
        real = SystemClock().now()
        return Moment(
            real.wall + self.ahead, real.boot_id, real.boot_seconds + self.ahead.total_seconds()
        )
