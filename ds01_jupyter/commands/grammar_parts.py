"""What the grammar is made of: commands, arguments, and options that several commands share."""

from __future__ import annotations

import argparse
from typing import Any

from ds01_jupyter.commands.parser import Parser


def work_options(parser: Parser) -> None:
    """Options of what takes long."""
    group = parser.add_argument_group("how it runs")
    argument(group, "--guided", action="store_true", help="explain each step")
    argument(group, "--block", action="store_true", help="in a notebook: wait for the end")
    argument(group, "--log", action="store_true", help="show the whole log")
    argument(group, "--json", action="store_true", help="answer with the API's document")


def listing(parser: Parser) -> None:
    """The option of what answers with documents."""
    argument(parser, "--json", action="store_true", help="answer with the API's documents")


def removal(parser: Parser) -> None:
    """The option of what asks first."""
    argument(parser, "--yes", "-y", action="store_true", help="do not ask")


def named(verbs: Any, name: str, run: str, text: str, what: str = "container") -> Parser:
    """A command about one container (or `what`), which it takes by name."""
    parser = verb(verbs, name, run, text)
    argument(parser, "name", metavar="NAME", complete=what, help=f"the {what}")
    return parser


def verb(verbs: Any, name: str, run: str, text: str, *, details: str = "") -> Parser:
    """A command: `run` is its function, as `module.function` of this package."""
    description = f"{text[:1].upper()}{text[1:]}.".replace("%%", "%")
    parser: Parser = verbs.add_parser(
        name, help=text, description=f"{description}\n{details}".strip()
    )
    if name == "create":
        # The list of all options says more below than in front of the name.
        parser.usage = "%(prog)s [NAME] [options]"
    parser.set_defaults(run=run, leaf=parser)
    return parser


def commands(parser: Parser, metavar: str, run: str | None = None) -> Any:
    """Room for commands below `parser`; `run` is what it does without one."""
    if run:
        parser.set_defaults(run=run, leaf=parser)
    return parser.add_subparsers(title="commands", metavar=metavar, parser_class=Parser)


def argument(
    parser: Any, *names: str, complete: str | None = None, **options: Any
) -> argparse.Action:
    """An argument; `complete` says what its values are, for the completer."""
    action: argparse.Action = parser.add_argument(*names, **options)
    if complete:
        action.complete = complete  # type: ignore[attr-defined]
    return action
