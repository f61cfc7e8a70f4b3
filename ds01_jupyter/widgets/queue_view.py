"""The queue in a cell of its own, and one's place in it after the wizard was refused."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from typing import Any

import ipywidgets as W  # noqa: N812 - the name that the field uses

from ds01_jupyter.core.models import Operation, QueueEntry
from ds01_jupyter.queue_watch import QueueWatch
from ds01_jupyter.render import queue_views
from ds01_jupyter.render.moments import expected, expected_short
from ds01_jupyter.render.units import UNKNOWN, since
from ds01_jupyter.widgets.background import Background
from ds01_jupyter.widgets.live_view import LiveView
from ds01_jupyter.widgets.markup import code, escape, facts
from ds01_jupyter.widgets.panel import Panel, button, html
from ds01_jupyter.widgets.problem import Problem, problem_box, problem_html
from ds01_jupyter.widgets.source import Connect, Source

STAYS = (
    "You may close this notebook: the place is kept, and your Jupyter server makes the container "
    "when your turn comes."
)


class QueueView(LiveView):
    """Everybody who waits, in order; one's own places can be given up."""

    name = "queue"

    def __init__(self, client: Source | None, *, follow: bool = False) -> None:
        self._leave: dict[int, Any] = {}
        super().__init__(client, follow=follow)
        self.look()

    def ask(self, client: Source) -> Sequence[QueueEntry]:
        """The queue."""
        return client.queue()

    def draw(self, answer: Sequence[QueueEntry]) -> str:
        """Who waits, and until when."""
        return queue_html(answer)

    def shown(self, answer: Sequence[QueueEntry]) -> None:
        """A button for each place of one's own."""
        mine = {each.id: each for each in answer if each.mine and each.state == "waiting"}
        for gone in set(self._leave) - set(mine):
            self._leave.pop(gone).close()
        for number, each in mine.items():
            if number not in self._leave:
                label = f"Leave with {each.name or number}"
                self._leave[number] = button(label, "ds01-queue-leave", icon="times")
                self._leave[number].on_click(partial(self._give_up, number))
        self.bar.children = (self.refresh, self.auto, *self._leave.values())

    def _give_up(self, number: int, pressed: Any) -> None:
        pressed.disabled = True

        def failed(problem: Problem) -> None:
            pressed.disabled = False
            self.problem.value = problem_html(problem)

        self._background.run(
            lambda: self._connect().leave_queue(number), lambda _: self.look(), failed
        )


class WaitingPanel(Panel):
    """A place in the queue: where it stands, until when, and the way out.

    Calls `started` with the operation when the turn has come, `left` when the place is given up.
    """

    css_class = "ds01-waits"

    def __init__(
        self,
        connect: Connect,
        background: Background,
        entry: QueueEntry,
        *,
        started: Callable[[Operation], None],
        left: Callable[[], None],
    ) -> None:
        self.entry = entry
        self._connect, self._background = connect, background
        self._started, self._left = started, left
        self._watch: QueueWatch | None = None
        self.title = html(f"<h3 class='ds01-heading'>{escape(heading(entry))}</h3>")
        self.body = html(place_html(entry), "ds01-place-box")
        self.problem = problem_box()
        self.leave = button("Leave the queue", "ds01-queue-leave", icon="times")
        self.again = button("Look again", "ds01-follow", icon="refresh", style="primary")
        self.change = button("Back to change things", "ds01-change", icon="arrow-left")
        self.footer = W.HBox([self.leave])
        self.footer.add_class("ds01-footer")
        self.leave.on_click(lambda _: self._give_up())
        self.again.on_click(lambda _: self.follow())
        self.change.on_click(lambda _: self._left())
        super().__init__((self.title, self.body, self.problem, self.footer))

    def follow(self) -> None:
        """Watch the place in a thread of its own, until its turn comes or this view is closed."""
        self.problem.value = ""
        self.footer.children = (self.leave,)
        threading.Thread(target=self._run, name="ds01-queue-watch", daemon=True).start()

    def close(self) -> None:
        """Stop watching. The place is kept."""
        if self._watch is not None:
            self._watch.stop()
        super().close()

    def _run(self) -> None:
        try:
            self._watch = QueueWatch(self._connect(), self.entry, self._told)
            if self.closed:
                return
            operation = self._watch.run()
        except Exception as error:  # shown to the person, who can look again
            if not self.closed:
                self._over(Problem.of(error))
            return
        if operation is not None and not self.closed:
            self._started(operation)

    def _told(self, entry: QueueEntry) -> None:
        self.entry = entry
        if self.closed:
            return
        drawn = place_html(entry)
        if drawn != self.body.value:
            self.body.value = drawn
        self.leave.disabled = entry.state != "waiting"

    def _give_up(self) -> None:
        self.leave.disabled = True
        self.leave.description = "Leaving the queue…"
        if self._watch is not None:
            self._watch.leave()

    def _over(self, problem: Problem) -> None:
        if problem.code == "cancelled":
            self._left()
            return
        self.problem.value = problem_html(problem)
        again = () if self.entry.state in ("failed", "done") else (self.again,)
        self.leave.disabled = False
        self.leave.description = "Leave the queue"
        self.footer.children = (*again, self.change)


def heading(entry: QueueEntry) -> str:
    """What waits for what."""
    return f"{entry.name or f'Entry {entry.id}'} waits for {queue_views.wants(entry)}"


def place_html(entry: QueueEntry, now: datetime | None = None) -> str:
    """Where a place stands."""
    number = UNKNOWN if entry.position is None else str(entry.position)
    rows = {"In the queue": escape(f"for {since(entry.created, now)}")}
    if words := queue_views.points_in_words(entry.standing):
        rows["Order"] = escape(words)
    if entry.asleep:
        rows["Asleep"] = "Its server does not run; the place is kept meanwhile."
    commands = f"{code('%ds01 queue')} shows everybody, "
    commands += f"{code(f'%ds01 queue follow {entry.id}')} watches it again."
    return (
        f"<div class='ds01-place' role='status'>"
        f"<span class='ds01-place-number' aria-hidden='true'>{number}</span>"
        f"<div><p class='ds01-problem-message'>{escape(queue_views.place(entry))}.</p>"
        f"<p>{escape(expected(entry.estimate, now))}</p></div></div>"
        f"{facts(rows)}<p class='ds01-muted'>{escape(STAYS)} {commands}</p>"
    )


def queue_html(entries: Sequence[QueueEntry], now: datetime | None = None) -> str:
    """Everybody who waits, and what became of one's own."""
    waiting = [each for each in entries if each.state in ("waiting", "starting")]
    ended = [each for each in entries if each.mine and each.state in queue_views.OVER]
    head = f"<h3 class='ds01-heading'>Queue for GPU slots</h3>{_summary(waiting)}"
    rows = "".join(_row(each, now) for each in waiting)
    table = ""
    if rows:
        titles = ("Place", "Who", "Waits for", "Since", "Expected")
        header = "".join(f"<span role='columnheader'>{title}</span>" for title in titles)
        table = (
            "<div class='ds01-rows ds01-queue-rows' role='table'>"
            f"<div class='ds01-row ds01-row-head' role='row'>{header}</div>{rows}</div>"
        )
    asleep = any(each.asleep for each in waiting)
    note = f"<p class='ds01-muted'>{escape(queue_views.ASLEEP)}</p>" if asleep else ""
    past = "".join(
        f"<p class='ds01-queue-{each.state}'>{escape(queue_views.ended(each))}</p>"
        for each in ended
    )
    return f"{head}{table}{note}{past}"


def _summary(waiting: Sequence[QueueEntry]) -> str:
    if not waiting:
        text = "Nobody waits. What is free can be had at once."
    else:
        mine = sum(each.mine for each in waiting)
        text = f"{len(waiting)} waiting · {mine} of them yours"
    return f"<p class='ds01-muted' role='status'>{text}</p>"


def _row(entry: QueueEntry, now: datetime | None) -> str:
    who = "you" if entry.mine else entry.user
    name = f" <span class='ds01-muted'>{escape(entry.name)}</span>" if entry.name else ""
    place = "now" if entry.state == "starting" else str(entry.position or UNKNOWN)
    when, title = expected_short(entry.estimate, now), expected(entry.estimate, now)
    if entry.asleep or entry.state == "starting":
        when = "asleep" if entry.asleep else "starting"
    order = queue_views.points_in_words(entry.standing)
    mark = " ds01-row-mine" if entry.mine else ""
    return (
        f"<div class='ds01-row{mark}' role='row' data-entry='{entry.id}'>"
        f"<span role='cell' title='{escape(order)}'><b>{escape(place)}</b></span>"
        f"<span role='cell'>{escape(who)}{name}</span>"
        f"<span role='cell'>{escape(queue_views.wants(entry))}</span>"
        f"<span role='cell' class='ds01-muted'>{escape(since(entry.created, now))}</span>"
        f"<span role='cell' title='{escape(title)}'>{escape(when)}</span></div>"
    )
