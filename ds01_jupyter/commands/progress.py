"""Long work on a terminal: a live line where there is one, plain lines where there is not."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from ds01_jupyter.render.blocks import clean
from ds01_jupyter.render.queue_views import standing, wants
from ds01_jupyter.render.units import percent

if TYPE_CHECKING:
    from ds01_jupyter.commands.work import Work
    from ds01_jupyter.core.models import QueueEntry

BAR = 24


def duration(seconds: float) -> str:
    """`8 s`, `2 min 5 s`."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


class TerminalProgress:
    """Shows a `Work` on a console, as a context manager around `work.wait()`."""

    def __init__(self, console: Console, work: Work, *, whole_log: bool = False) -> None:
        self._console = console
        self._work = work
        self._whole_log = whole_log
        self._begun = time.monotonic()
        self._seen = -1
        self._phase = ""
        self._told = False
        self._lock = threading.Lock()
        self._spinner = Spinner("dots")
        self._live: Live | None = None
        if console.is_terminal and not console.is_dumb_terminal:
            self._live = Live(
                get_renderable=self._picture,
                console=console,
                refresh_per_second=8,
                transient=True,
            )
        work.listen(self)

    def __enter__(self) -> TerminalProgress:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def changed(self, work: Work, line: str | None = None) -> None:
        """Called by the work, in its thread."""
        with self._lock:
            if line is not None and self._whole_log:
                self._print(clean(line, lines=True).rstrip("\n"), style="dim")
            if work.number > self._seen:
                self._announce(work)
            if work.cancelling and not self._told:
                self._told = True
                self._print("Cancelling: the server stops it and tidies up ...", style="yellow")
            phase = work.progress.phase if work.progress else ""
            if work.place is not None and not work.done:
                phase = standing(work.place)
            if self._live is None and phase and phase != self._phase and not work.done:
                self._print(f"  {clean(phase)}")
            self._phase = phase
            if work.done and work.state == "succeeded":
                self._finish(work.steps[-1].title)

    def _announce(self, work: Work) -> None:
        if self._seen >= 0:
            self._finish(work.steps[self._seen].title)
        self._seen = work.number
        self._begun = time.monotonic()
        self._phase = ""
        if self._live is None:
            self._print(f"[{work.number + 1}/{len(work.steps)}] {clean(work.title)}")

    def _finish(self, title: str) -> None:
        took = duration(time.monotonic() - self._begun)
        self._print(f"✓ {clean(title)} ({took})", style="green")

    def _print(self, text: str, style: str | None = None) -> None:
        self._console.print(Text(text, style=style or ""), soft_wrap=True)

    def _picture(self) -> Group:
        work = self._work
        if work.place is not None and not work.done:
            return self._queued(work, work.place)
        step = work.progress
        number = f"{work.number + 1}/{len(work.steps)} " if len(work.steps) > 1 else ""
        grid = Table.grid(padding=(0, 1))
        grid.add_column(no_wrap=True)
        grid.add_column(no_wrap=True)
        grid.add_column(width=BAR)
        grid.add_column(no_wrap=True)
        fraction = step.fraction if step else None
        bar = ProgressBar(
            total=1.0, completed=fraction or 0.0, width=BAR, pulse=fraction is None and bool(step)
        )
        share = percent(fraction) if fraction is not None else ""
        passed = duration(time.monotonic() - self._begun)
        title = Text(f"{number}{clean(work.title)}", style="bold")
        grid.add_row(self._spinner, title, bar, Text(f"{share} {passed}".strip(), style="dim"))
        below = (
            [clean(step.phase) + (f": {clean(step.detail)}" if step.detail else "")] if step else []
        )
        last = clean(work.last_line, lines=True).split("\n")[-1]
        if last and not self._whole_log and not (step and last.endswith(step.detail or "\n")):
            below.append(last)
        width = max(self._console.width - 4, 20)
        lines = [Text(f"  {line[:width]}", style="dim", no_wrap=True) for line in below]
        return Group(grid, *lines)

    def _queued(self, work: Work, place: QueueEntry) -> Group:
        """The place in the queue, and what Ctrl-C does to it: nothing."""
        grid = Table.grid(padding=(0, 1))
        grid.add_column(no_wrap=True)
        grid.add_column()
        passed = duration(time.monotonic() - self._begun)
        what = Text(f"{clean(work.title)} waits for {clean(wants(place))}", style="bold")
        grid.add_row(self._spinner, what.append(f"  {passed}", style="not bold dim"))
        grid.add_row("", Text(clean(standing(place))))
        note = f"Ctrl-C stops watching; the place is kept. ds01 queue leave {place.id} gives it up."
        grid.add_row("", Text(note, style="dim"))
        return Group(grid)
