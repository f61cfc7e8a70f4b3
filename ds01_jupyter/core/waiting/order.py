"""The order of the queue: points for priority, for little recent use, and for having waited.

The points for waiting have no bound, so whoever waits comes first one day, whoever else comes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from ds01_jupyter.core.clock import Moment
from ds01_jupyter.core.waiting import fair_share
from ds01_jupyter.core.waiting.documents import Standing
from ds01_jupyter.core.waiting.tables import Entry

WAITING_POINTS = 6.0
"""Points for an hour of waiting."""

_HOUR = timedelta(hours=1)


@dataclass(frozen=True)
class Points:
    """What makes somebody's place; more is sooner."""

    priority: float
    fair_share: float
    waiting: float

    @property
    def total(self) -> float:
        """All points together."""
        return self.priority + self.fair_share + self.waiting

    def document(self) -> Standing:
        """The form that crosses the API, to a tenth of a point."""
        parts = {
            "priority": round(self.priority, 1),
            "fair_share": round(self.fair_share, 1),
            "waiting": round(self.waiting, 1),
        }
        return Standing(**parts, total=round(self.total, 1))


@dataclass(frozen=True)
class Ranking:
    """Reckons points at one moment: `used` are GPU-hours by uid (of `fair_share.usage`), `fair`
    is one person's part."""

    now: Moment
    used: Mapping[int, float]
    fair: float

    def points(self, uid: int, priority: int, waited: timedelta = timedelta(0)) -> Points:
        """The points of a person who has waited so long."""
        share = fair_share.points(self.used.get(uid, 0.0), self.fair)
        return Points(float(priority), share, WAITING_POINTS * (waited / _HOUR))

    def of(self, entry: Entry) -> Points:
        """The points of a place in the queue."""
        return self.points(entry.uid, entry.priority, self.now.since(entry.since))

    def order(self, entries: Sequence[Entry]) -> list[Entry]:
        """Who comes first stands first; of equals, who came first."""
        return sorted(entries, key=lambda entry: (-self.of(entry).total, entry.id))

    def ahead_of(self, points: Points, entries: Sequence[Entry]) -> list[Entry]:
        """Those that stand before somebody who comes now with these points, in order."""
        return [entry for entry in self.order(entries) if self.of(entry).total >= points.total]
