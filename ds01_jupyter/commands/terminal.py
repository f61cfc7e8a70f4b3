"""Commands in a terminal: they print, ask, and wait for long work."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from ds01_jupyter.client_error import ClientError
from ds01_jupyter.commands.context import Context, WizardKind, declined

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console

    from ds01_jupyter.commands.work import Work
    from ds01_jupyter.render import View


class TerminalContext(Context):
    """A shell. Progress and questions go to stderr, answers to stdout."""

    def __init__(self, server: str | None = None) -> None:
        super().__init__(server)
        self._messages: Console | None = None

    @property
    def messages(self) -> Console:
        """Where progress, questions and errors are printed."""
        if self._messages is None:
            from ds01_jupyter.render.terminal import make_console

            self._messages = make_console(stderr=True)
        return self._messages

    @property
    def interactive(self) -> bool:
        """Whether somebody can be asked."""
        return sys.stdin.isatty() and self.messages.is_terminal

    def confirm(self, question: str, command: str) -> None:
        """Ask; without somebody to ask, say how to say yes."""
        if not self.interactive:
            raise ClientError(
                f"{question} Nobody can be asked here, so nothing was changed.",
                hint=f"To do it: {self.command(command)}",
                code="needs_confirmation",
            )
        from ds01_jupyter.commands.questions import Questions

        if not Questions(self.messages).yes(question, default=False):
            raise declined()

    def wizard(self, kind: WizardKind, arguments: Any) -> Any:
        """Ask step by step, then do it."""
        from ds01_jupyter.commands.guide import guide, lacking

        if not self.interactive or arguments.json:
            raise lacking(self, kind, arguments)
        if kind == "update":
            from ds01_jupyter.commands.guide_update import guide_update

            return guide_update(self, arguments)
        return guide(self, kind, arguments)

    def follow(self, work: Work, arguments: Any) -> Any:
        """Show progress until the end; Ctrl-C cancels."""
        from ds01_jupyter.commands.outcome import outcome
        from ds01_jupyter.commands.progress import TerminalProgress

        with TerminalProgress(self.messages, work, whole_log=arguments.log):
            work.start()
            work.wait()
        return outcome(self, work)

    def watch(self, pictures: Iterator[View]) -> View:
        """On a screen of their own, and the last one stays; into a file or a pipe one below the
        other."""
        from rich.live import Live

        from ds01_jupyter.render import View
        from ds01_jupyter.render.terminal import PIPE_WIDTH, make_console, stacked

        console = make_console(None if sys.stdout.isatty() else PIPE_WIDTH)
        last = View()
        try:
            if not console.is_terminal or console.is_dumb_terminal:
                for picture in pictures:
                    picture.show(console)
                    console.print()
                return View()
            with Live(console=console, screen=True, auto_refresh=False) as live:
                for last in pictures:
                    live.update(stacked(last.blocks, console.width), refresh=True)
        except KeyboardInterrupt:
            # That is how one stops watching.
            return last if console.is_terminal and not console.is_dumb_terminal else View()
        return last

    def show(self, view: View) -> None:
        """Print it where progress goes, so that answers stay alone on stdout."""
        view.show(self.messages)

    def say(self, text: str) -> None:
        """Print a paragraph."""
        from rich.text import Text

        from ds01_jupyter.render.blocks import clean

        self.messages.print(Text(clean(text), style="dim"))


class IPythonContext(TerminalContext):
    """IPython in a terminal: as a terminal, called by the magic."""

    prog = "%ds01"
