"""Asking somebody at a terminal. All text is printed as it is, never as markup."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rich.console import Console
from rich.text import Text

from ds01_jupyter.client_error import ClientError
from ds01_jupyter.commands.context import declined
from ds01_jupyter.render.blocks import clean

Choice = tuple[str, str]
"""What is answered, and the words beside it."""


class Questions:
    """Questions on one console; Enter takes the default, Ctrl-D stops."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def say(self, text: str, style: str = "") -> None:
        """Print a line."""
        self._console.print(Text(clean(text), style=style))

    def gap(self) -> None:
        """Print an empty line."""
        self._console.print()

    def text(self, question: str, default: str = "", check: Callable[[str], str] = str) -> str:
        """A line of text. `check` returns the answer or raises `ClientError`: asked again then."""
        while True:
            answer = self._read(question, default) or default
            try:
                return check(answer)
            except ClientError as error:
                self.say(str(error), "red")

    def yes(self, question: str, default: bool = True) -> bool:
        """Yes or no."""

        def check(answer: str) -> str:
            if answer.casefold() in ("y", "yes", "n", "no"):
                return answer.casefold()[0]
            raise ClientError("Answer y or n.")

        return self.text(f"{question} (y/n)", "y" if default else "n", check) == "y"

    def one(self, question: str, choices: Sequence[Choice], default: str) -> str:
        """One of the choices, by number or by name."""
        self._list(choices)
        return self.text(question, default, lambda answer: _choose(answer, choices))

    def several(self, question: str, choices: Sequence[Choice]) -> list[str]:
        """Any of the choices, with spaces or commas between them; Enter takes none."""
        self._list(choices)
        chosen: list[str] = []

        def check(answer: str) -> str:
            words = answer.replace(",", " ").split()
            chosen[:] = dict.fromkeys(_choose(word, choices) for word in words)
            return answer

        self.text(question, "", check)
        return chosen

    def _list(self, choices: Sequence[Choice]) -> None:
        width = max((len(clean(name)) for name, _ in choices), default=0)
        for number, (name, words) in enumerate(choices, start=1):
            line = Text(f"  {number:>2}  ", style="dim")
            line.append(clean(name).ljust(width), style="bold").append(f"  {clean(words)}")
            self._console.print(line)

    def _read(self, question: str, default: str) -> str:
        prompt = Text(clean(question), style="bold")
        if default:
            prompt.append(f" [{clean(default)}]", style="cyan")
        prompt.append(": ")
        try:
            return self._console.input(prompt).strip()
        except EOFError:
            self._console.print()
            raise declined() from None


def _choose(answer: str, choices: Sequence[Choice]) -> str:
    if answer.isascii() and answer.isdigit() and 1 <= int(answer) <= len(choices):
        return choices[int(answer) - 1][0]
    for name, _ in choices:
        if name.casefold() == answer.casefold():
            return name
    raise ClientError(f"{answer!r} is not one of them: give a number or a name from the list.")
