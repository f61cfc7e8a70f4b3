"""Commands in a notebook: long work shows itself live and the cell returns at once."""

from __future__ import annotations

import secrets
import threading
import time
from typing import TYPE_CHECKING, Any

from ds01_jupyter.client_error import ClientError
from ds01_jupyter.commands.context import Context, WizardKind
from ds01_jupyter.render import Cell, Code, Note, Pairs, View

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ds01_jupyter.commands.work import Work
    from ds01_jupyter.render.blocks import Tone
    from ds01_jupyter.widgets.leave_button import LeaveButton

PACE = 0.25
"""Seconds between two pictures of running work."""
SHOWN_LINES = 8


class NotebookContext(Context):
    """A kernel with a notebook in front of it."""

    prog = "%ds01"

    def confirm(self, question: str, command: str) -> None:
        """A magic does not ask: it says how to say yes."""
        raise ClientError(
            f"{question} Nothing was changed yet.",
            hint=f"To do it: {self.command(command)}",
            code="needs_confirmation",
        )

    def wizard(self, kind: WizardKind, arguments: Any) -> Any:
        """The wizard as a widget."""
        from ds01_jupyter import widgets

        if kind == "create":
            return widgets.create_wizard(self.client(), name=arguments.name)
        if kind == "image":
            return widgets.image_wizard(
                self.client(), name=arguments.name, pip=arguments.pip or (), apt=arguments.apt or ()
            )
        if kind == "update":
            return widgets.image_update(self.client(), arguments.name)
        return widgets.container_wizard(self.client(), image=arguments.image, name=arguments.name)

    def follow(self, work: Work, arguments: Any) -> Any:
        """Show it live; a handle at once, or the outcome with `--block`."""
        from ds01_jupyter.commands.outcome import outcome

        wait = arguments.block or arguments.json
        following = Following(self, work, whole_log=arguments.log, brief=wait)
        following.show()
        if not wait and any(step.waits for step in work.steps):
            # While the cell itself waits, a click would not be heard.
            following.offer_to_leave()
        work.start()
        if not wait:
            return following
        following.wait()
        return outcome(self, work)

    def watch(self, pictures: Iterator[View]) -> Any:
        """The map of slots as a widget that follows by itself: the cell returns at once."""
        from ds01_jupyter import widgets

        return widgets.gpu_map(self.client(), follow=True)

    def show(self, view: View) -> None:
        """Show it above the answer."""
        _publish("display", view)

    def say(self, text: str) -> None:
        """Show a paragraph."""
        _publish("display", View(Note(text)))


class Following:
    """A handle on long work: `state`, `wait()`, `cancel()`, `result`; shows itself live."""

    def __init__(
        self, context: Context, work: Work, *, whole_log: bool = False, brief: bool = False
    ) -> None:
        """`brief`: the outcome is told elsewhere, so it does not stand in the picture too."""
        self._context = context
        self._work = work
        self._whole_log = whole_log
        self._brief = brief
        self._painter: threading.Thread | None = None
        self._changed = threading.Event()
        self._displays: list[str] = []
        self._leave: LeaveButton | None = None
        self._shown_in: int | None = None
        work.listen(self)

    @property
    def state(self) -> str:
        """`running`, `succeeded`, `failed`, `cancelled` or `interrupted`."""
        return self._work.state

    @property
    def result(self) -> Any:
        """The image or container that was made; None as long as there is none."""
        if self._work.state != "succeeded":
            return None
        from ds01_jupyter.commands.outcome import outcome

        return outcome(self._context, self._work).data

    @property
    def log(self) -> str:
        """The log so far."""
        return "\n".join(self._work.log)

    def wait(self, timeout: float | None = None) -> Following:
        """Wait for the end, at most `timeout` seconds; raises `ClientError` if it failed."""
        try:
            self._work.wait(timeout)
        finally:
            self.settle()
        return self

    def cancel(self) -> Following:
        """Ask the server to stop it."""
        self._work.cancel()
        return self

    def __repr__(self) -> str:
        return repr(self._work)

    # ---- the live picture ------------------------------------------------------------------

    def show(self) -> None:
        """Show it in the present output, and keep that up to date."""
        from IPython import get_ipython

        shell = get_ipython()
        self._shown_in = getattr(shell, "execution_count", None)
        identity = f"ds01-{secrets.token_hex(8)}"
        _publish("display", self.picture(), display_id=identity)
        self._displays.append(identity)
        if self._painter is None and not self._work.done:
            self._painter = threading.Thread(target=self._keep_up, name="ds01-picture", daemon=True)
            self._painter.start()

    def offer_to_leave(self) -> None:
        """Put a button below that gives the place in the queue up, as long as there is one."""
        from ds01_jupyter.widgets.leave_button import LeaveButton

        self._leave = LeaveButton(self._work.cancel)
        _publish("display", self._leave)

    def settle(self) -> None:
        """Wait until the last picture is out, so that it is not late for its own cell."""
        if self._painter is not None and self._work.done:
            self._painter.join(2.0)

    def _ipython_display_(self) -> None:
        """As the result of the cell that began it, it stands there already."""
        from IPython import get_ipython

        if getattr(get_ipython(), "execution_count", None) != self._shown_in:
            self.show()

    def changed(self, work: Work, line: str | None = None) -> None:
        """Called by the work; the picture follows at its own pace."""
        self._changed.set()

    def _keep_up(self) -> None:
        done = False
        while not done:
            self._changed.wait(1.0)
            self._changed.clear()
            done = self._work.done
            picture = self.picture()
            for identity in list(self._displays):
                _publish("update_display", picture, display_id=identity)
            if self._leave is not None:
                self._leave.keep_up(self._work.place is not None, over=done)
            if not done:
                time.sleep(PACE)

    def picture(self) -> View:
        """Where it stands: while it runs its progress and log, then its outcome."""
        from ds01_jupyter.commands.outcome import outcome
        from ds01_jupyter.render import queue_views
        from ds01_jupyter.render.problem import problem

        work = self._work
        if work.done and self._brief:
            tone: Tone = "good" if work.error is None else "warn"
            return View(Note(f"{work.title}: {work.state}", tone)) + self._log()
        if work.error is not None and work.state == "cancelled" and work.place is not None:
            return View(Note(work.error.message, "warn"))
        if work.error is not None:
            return problem(work.error) + self._log()
        if work.done:
            return outcome(self._context, work) + self._log()
        if work.place is not None:
            return queue_views.entry(work.place, self._context.prog)
        number = work.number + 1
        title = work.title if len(work.steps) == 1 else f"{number}/{len(work.steps)} {work.title}"
        step = work.progress
        phase = "is being cancelled" if work.cancelling else step.phase if step else "begins"
        where = Cell(phase, bar=step.fraction or 0.0 if step else 0.0)
        blocks: list[Any] = [Pairs((("now", where),), title=title)]
        if step and step.detail:
            blocks.append(Note(step.detail, "dim"))
        lines = list(work.log) if self._whole_log else list(work.log)[-SHOWN_LINES:]
        if lines:
            blocks.append(Code("\n".join(lines)))
        return View(*blocks)

    def _log(self) -> View:
        if self._whole_log and self._work.log:
            return View(Code(self.log, title="Log"))
        return View()


def _publish(function: str, *arguments: Any, **options: Any) -> None:
    """`IPython.display.display` or `update_display`."""
    from IPython import display

    getattr(display, function)(*arguments, **options)
