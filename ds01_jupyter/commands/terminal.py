"""Commands in a terminal: they print, ask, and wait for long work."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from ds01_jupyter.client_error import ClientError
from ds01_jupyter.commands.context import Context, WizardKind, declined

if TYPE_CHECKING:
    from rich.console import Console

    from ds01_jupyter.commands.work import Work


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
        return guide(self, kind, arguments)

    def follow(self, work: Work, arguments: Any) -> Any:
        """Show progress until the end; Ctrl-C cancels."""
        from ds01_jupyter.commands.outcome import outcome
        from ds01_jupyter.commands.progress import TerminalProgress

        with TerminalProgress(self.messages, work, whole_log=arguments.log):
            work.start()
            work.wait()
        return outcome(self, work)

    def say(self, text: str) -> None:
        """Print a paragraph."""
        from rich.text import Text

        from ds01_jupyter.render.blocks import clean

        self.messages.print(Text(clean(text), style="dim"))


class IPythonContext(TerminalContext):
    """IPython in a terminal: as a terminal, called by the magic."""

    prog = "%ds01"
