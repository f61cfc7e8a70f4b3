"""argparse that answers instead of leaving: help is an answer, a mistake is one sentence."""

from __future__ import annotations

import argparse
import difflib
import re
import shutil
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn

from ds01_jupyter.client_error import ClientError

SYNONYMS = {
    "catalog": "catalogue",
    "containers": "container",
    "delete": "remove",
    "keepalive": "keep-alive",
    "image-create": "image create",
    "images": "image",
    "limit": "limits",
    "ls": "list",
    "container-create": "container create",
    "new": "create",
    "ps": "container list",
    "rm": "remove",
    "run": "start",
}
"""What people type who know other tools."""


class UsageProblem(ClientError):
    """A command that cannot be meant; the hint shows how it is written."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message, hint=hint, code="usage")


class HelpRequested(Exception):
    """`--help`: the text to show."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


class _Help(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> NoReturn:
        raise HelpRequested(parser.format_help())


class _Formatter(argparse.RawDescriptionHelpFormatter):
    def __init__(self, prog: str) -> None:
        width = min(shutil.get_terminal_size((96, 24)).columns, 100)
        super().__init__(prog, max_help_position=28, width=max(width, 60))

    def _format_action(self, action: argparse.Action) -> str:
        """The commands below their title, without a line for the choice itself."""
        if isinstance(action, argparse._SubParsersAction):
            return "".join(
                super(_Formatter, self)._format_action(a) for a in action._get_subactions()
            )
        return super()._format_action(action)


class Parser(argparse.ArgumentParser):
    """An ArgumentParser that raises `UsageProblem` and `HelpRequested`, and never exits."""

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("formatter_class", _Formatter)
        super().__init__(add_help=False, allow_abbrev=False, **kwargs)
        self.add_argument("-h", "--help", action=_Help, nargs=0, help="show this and stop")

    def error(self, message: str) -> NoReturn:
        """One sentence, and how the command is written."""
        raise UsageProblem(_sentence(message), hint=f"`{self.prog} --help` explains it.")

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:
        """Never leave the process: a magic runs in somebody's kernel."""
        raise UsageProblem(message or f"Stopped with status {status}.")

    def parse_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> argparse.Namespace:
        """Parse; what is left over is a mistake that gets a suggestion."""
        found, rest = self.parse_known_args(args, namespace)
        if rest:
            leaf: Parser = getattr(found, "leaf", self)
            raise leaf.unknown(rest)
        return found

    def unknown(self, rest: Sequence[str]) -> UsageProblem:
        """The mistake of words that nothing takes."""
        first = rest[0]
        hint = f"`{self.prog} --help` explains it."
        if first.startswith("-"):
            name = first.split("=")[0]
            guess = suggestion(name, self.options())
            return UsageProblem(f"There is no option {name} here.{guess}", hint=hint)
        return UsageProblem(f"{first!r} is too much: `{self.prog}` does not take it.", hint=hint)

    def options(self) -> list[str]:
        """The long options of this command."""
        return [
            option
            for action in self._actions
            for option in action.option_strings
            if option.startswith("--")
        ]

    def commands(self) -> dict[str, Parser]:
        """The commands one level below, by name."""
        for action in self._actions:
            if isinstance(action, argparse._SubParsersAction):
                return dict(action.choices)
        return {}

    def arguments(self) -> list[argparse.Action]:
        """Options and positional arguments, without the choice of a command."""
        return [
            action
            for action in self._actions
            if not isinstance(action, argparse._SubParsersAction | _Help)
        ]

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        choices = list(action.choices or ())
        if not choices or value in choices:
            return
        guess = suggestion(str(value), choices)
        if isinstance(action, argparse._SubParsersAction):
            message = f"There is no command {value!r}.{guess}"
        else:
            name = action.option_strings[0] if action.option_strings else action.dest
            message = f"{name} cannot be {value!r}.{guess}"
        known = ", ".join(str(choice) for choice in choices)
        raise UsageProblem(message, hint=f"There are: {known}.")


def _sentence(message: str) -> str:
    """What argparse says, for people."""
    patterns = (
        (r"the following arguments are required: (.+)", r"Something is missing: \1."),
        (r"argument (\S+?)(?:/\S+)?: expected .*", r"\1 needs a value."),
        (
            r"argument (\S+?)(?:/\S+)?: invalid (?:int|float) value: (.+)",
            r"\1 cannot be \2: give a number.",
        ),
    )
    for pattern, replacement in patterns:
        if re.fullmatch(pattern, message):
            return re.sub(pattern, replacement, message)
    sentence = message[:1].upper() + message[1:]
    return sentence if sentence.endswith((".", "?")) else f"{sentence}."


def suggestion(word: str, known: Iterable[str]) -> str:
    """` Did you mean 'image'?`, or nothing."""
    choices = {choice.casefold(): choice for choice in known}
    meant = SYNONYMS.get(word.casefold())
    if meant is None or (meant not in choices.values() and " " not in meant):
        near = difflib.get_close_matches(word.casefold(), choices, n=1, cutoff=0.6)
        meant = choices[near[0]] if near else None
    return f" Did you mean {meant!r}?" if meant else ""
