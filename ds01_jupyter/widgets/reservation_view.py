"""Reservations on a line of time: what is promised to whom, from when to when."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from ds01_jupyter.core.models import Reservation
from ds01_jupyter.render.moments import clock
from ds01_jupyter.widgets.live_view import LiveView
from ds01_jupyter.widgets.markup import escape
from ds01_jupyter.widgets.source import Source

SHORTEST, LONGEST = timedelta(days=1), timedelta(days=28)
"""What the line of time shows at least and at most."""
MARKS = 4
"""Moments written below the line."""


class ReservationView(LiveView):
    """Upcoming and active reservations; with `all` those that are over, too."""

    name = "reservations"

    def __init__(
        self,
        client: Source | None,
        *,
        all: bool = False,  # noqa: A002 - the word of the API
        follow: bool = False,
    ) -> None:
        self._all = all
        super().__init__(client, follow=follow)
        self.look()

    def ask(self, client: Source) -> Sequence[Reservation]:
        """The reservations."""
        return client.reservations(all=self._all)

    def draw(self, answer: Any) -> str:
        """A line for each, in time."""
        return reservations_html(answer)


def reservations_html(documents: Sequence[Reservation], now: datetime | None = None) -> str:
    """All of them below each other, on the same line of time."""
    head = "<h3 class='ds01-heading'>Reservations</h3>"
    if not documents:
        return f"{head}<p class='ds01-muted' role='status'>Nothing is reserved.</p>"
    here = now or datetime.now(UTC)
    begin, end = _window(documents, here)
    active = sum(each.state == "active" for each in documents)
    upcoming = sum(each.state == "upcoming" for each in documents)
    words = f"<p class='ds01-muted' role='status'>{active} active · {upcoming} upcoming</p>"
    rows = "".join(_row(each, begin, end, here) for each in documents)
    return f"{head}{words}<div class='ds01-times'>{rows}{_axis(begin, end, here)}</div>"


def _window(documents: Sequence[Reservation], now: datetime) -> tuple[datetime, datetime]:
    """From now (or the first that is shown) to the last end, within bounds."""
    begin = min([now, *(each.start for each in documents if each.state in ("over", "cancelled"))])
    end = max(each.end for each in documents)
    return begin, min(max(end, begin + SHORTEST), begin + LONGEST)


def _share(at: datetime, begin: datetime, end: datetime) -> float:
    return min(max((at - begin) / (end - begin), 0.0), 1.0)


def _row(each: Reservation, begin: datetime, end: datetime, now: datetime) -> str:
    left, right = _share(each.start, begin, end), _share(each.end, begin, end)
    whom = each.user or f"group {each.group}"
    times = f"{each.gpus} x " if each.gpus > 1 else ""
    what = "a whole GPU" if each.gpu == "whole" and each.gpus == 1 else each.gpu
    slots = f" ({', '.join(each.slots)})" if each.slots else ""
    span = f"{clock(each.start, now)} to {clock(each.end, now)}"
    title = f"{whom}: {times}{what}{slots}, {span}, {each.state}"
    reason = f"<span class='ds01-muted'>{escape(each.reason)}</span>" if each.reason else ""
    width = max(right - left, 0.01)
    return (
        f"<div class='ds01-time ds01-time-{each.state}'>"
        f"<div class='ds01-time-words'><b>{escape(whom)}</b> "
        f"<span>{escape(times + what + slots)}</span> <span>{escape(span)}</span> "
        f"<span class='ds01-muted'>{escape(each.state)}</span> {reason}</div>"
        f"<div class='ds01-time-line' title='{escape(title)}'>"
        f"<i style='margin-left:{left:.1%};width:{width:.1%}'></i></div>"
        f"{_warnings(each, now)}</div>"
    )


def _warnings(each: Reservation, now: datetime) -> str:
    lines = [each.problem] if each.problem else []
    for conflict in each.in_the_way:
        whose = f"{conflict.who} ({conflict.container})" if conflict.container else conflict.who
        until = f", has it until {clock(conflict.until, now)} at most" if conflict.until else ""
        lines.append(f"{conflict.slot}: {whose} is in the way{until}.")
    return "".join(f"<p class='ds01-time-warning'>{escape(line)}</p>" for line in lines)


def _axis(begin: datetime, end: datetime, now: datetime) -> str:
    moments = [begin + (end - begin) * number / MARKS for number in range(MARKS)]
    marks = "".join(
        f"<span>{'now' if at == now else escape(clock(at, now))}</span>" for at in moments
    )
    return f"<div class='ds01-time-axis' aria-hidden='true'>{marks}</div>"
