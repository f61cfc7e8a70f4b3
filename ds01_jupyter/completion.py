"""Completing a command, in IPython and in a shell: from the grammar, and from what is there.

Completion never raises and never keeps anybody waiting: names come from the server with a short
time-out, are remembered for a few seconds, and are left out when it does not answer.
"""

from __future__ import annotations

import argparse
import shlex
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from ds01_jupyter.client_error import ClientError
from ds01_jupyter.commands.grammar import build
from ds01_jupyter.commands.parser import Parser

if TYPE_CHECKING:
    from ds01_jupyter.client import Client

Lookup = Callable[[str], list[str]]
"""From a kind of value (`image`, `container`, ...) to the values there are."""
TIMEOUT = 1.5
REMEMBERED = 10.0
"""Seconds that names from the server are good for."""


def candidates(parser: Parser, words: Sequence[str], current: str, lookup: Lookup) -> list[str]:
    """What `current` can become, after the complete `words` (without the program's name)."""
    leaf, rest = _descend(parser, words)
    option, given = _place(leaf, rest)
    if current.startswith("-"):
        return _matching(leaf.options(), current)
    if option is not None:
        return _matching(_values(option, lookup), current)
    if leaf.commands():
        # Behind a word that is no command there is nothing to say.
        return _matching([] if given else list(leaf.commands()), current)
    positional = [action for action in leaf.arguments() if not action.option_strings]
    if positional and positional[-1].nargs == "*":
        return _matching(_help_words(parser, given), current)
    if len(given) < len(positional):
        return _matching(_values(positional[len(given)], lookup), current)
    return []


def _descend(parser: Parser, words: Sequence[str]) -> tuple[Parser, list[str]]:
    """The command that the words lead to, and the words after it."""
    rest = list(words)
    while rest and parser.commands():
        word = rest.pop(0)
        if word == "--server" and rest:
            rest.pop(0)
        elif word in parser.commands():
            parser = parser.commands()[word]
        elif not word.startswith("-"):
            rest.insert(0, word)
            break
    return parser, rest


def _place(leaf: Parser, rest: Sequence[str]) -> tuple[argparse.Action | None, list[str]]:
    """The option that the next word is a value of, and the positional words so far."""
    by_name = {name: action for action in leaf.arguments() for name in action.option_strings}
    given: list[str] = []
    option: argparse.Action | None = None
    for word in rest:
        if word in by_name:
            action = by_name[word]
            option = None if action.nargs == 0 else action
        elif option is None:
            given.append(word)
        elif option.nargs != "+":
            option = None
    return option, given


def _values(action: argparse.Action, lookup: Lookup) -> list[str]:
    if action.choices:
        return [str(choice) for choice in action.choices]
    kind = getattr(action, "complete", None)
    return lookup(kind) if kind else []


def _help_words(parser: Parser, given: Sequence[str]) -> list[str]:
    leaf, rest = _descend(parser, given)
    return [] if rest else list(leaf.commands())


def _matching(known: Sequence[str], current: str) -> list[str]:
    lowered = current.casefold()
    return [word for word in dict.fromkeys(known) if word.casefold().startswith(lowered)]


# ---- values from the server ----------------------------------------------------------------


class Names:
    """Names from the server, remembered for `REMEMBERED` seconds; [] when it does not answer."""

    def __init__(self, server: str | None = None) -> None:
        self._server = server
        self._client: Client | None = None
        self._known: dict[str, tuple[float, list[str]]] = {}

    def __call__(self, kind: str) -> list[str]:
        """The values of one kind."""
        asked, names = self._known.get(kind, (float("-inf"), []))
        if time.monotonic() - asked < REMEMBERED:
            return names
        try:
            names = self._ask(kind)
        except ClientError:
            # Nobody asked for an error here; the command itself will tell.
            names = []
            self.close()
        self._known[kind] = (time.monotonic(), names)
        return names

    def close(self) -> None:
        """Close the connection."""
        if self._client is not None:
            self._client.close()
        self._client = None

    def _ask(self, kind: str) -> list[str]:
        fixed = {"base": ["defaults", "none"], "directory": []}
        if kind in fixed:
            return fixed[kind]
        if self._client is None:
            from ds01_jupyter.client import Client

            self._client = Client.discover(self._server, timeout=TIMEOUT)
        return _ASK[kind](self._client)


def _framework_versions(client: Client) -> list[str]:
    return [row.version for row in client.catalogue().rows]


def _own_places(client: Client) -> list[str]:
    return [
        str(entry.id)
        for entry in client.queue()
        if entry.mine and entry.state in ("waiting", "starting")
    ]


def _gpu_words(client: Client) -> list[str]:
    slots = [slot for gpu in client.gpus().gpus for slot in gpu.slots]
    profiles = [slot.profile for slot in slots if slot.kind != "gpu"]
    # Without `>=`, which a shell would take for a file to write.
    memory = sorted({slot.memory_total // 10**9 for slot in slots if slot.memory_total})
    sizes = [f"{gigabytes}GB" for gigabytes in memory if gigabytes]
    free = [slot.slot for slot in slots if slot.state == "free"]
    return ["any", "none", "whole", *dict.fromkeys(profiles), *sizes, *free]


def _reservable(client: Client) -> list[str]:
    slots = [slot for gpu in client.gpus().gpus for slot in gpu.slots]
    kinds = dict.fromkeys("whole" if slot.kind == "gpu" else slot.profile for slot in slots)
    return [*kinds, *(slot.slot for slot in slots)]


def _people(client: Client) -> list[str]:
    """Those who have or had something here: nobody asks the name service for all accounts."""
    slots = [slot for gpu in client.gpus().gpus for slot in gpu.slots]
    owners = [slot.lease.owner for slot in slots if slot.lease]
    booked = [each.user for each in client.reservations(all=True) if each.user]
    return [client.about().user, *owners, *booked]


def _groups(client: Client) -> list[str]:
    return client.limits().groups


_ASK: dict[str, Callable[[Client], list[str]]] = {
    "image": lambda client: [image.name or image.reference for image in client.images()],
    "container": lambda client: [container.name for container in client.containers()],
    "framework": lambda client: client.catalogue().frameworks,
    "version": _framework_versions,
    "architecture": lambda client: client.catalogue().architectures,
    "use_case": lambda client: [tier.key for tier in client.packages().use_cases],
    "operation": lambda client: [operation.id for operation in client.operations()],
    "queue": _own_places,
    "reservation": lambda client: [str(each.id) for each in client.reservations()],
    "reservable": _reservable,
    "user": _people,
    "group": _groups,
    "gpu": _gpu_words,
}


# ---- the two places ------------------------------------------------------------------------

_names = Names()


def for_ipython(prog: str, typed: str, lookup: Lookup = _names) -> tuple[list[str], str]:
    """Candidates after `%ds01 `, and the part of the line that they replace."""
    words, current = _split(typed)
    return candidates(build(prog), words, current, lookup), current


def for_shell(words: Sequence[str], lookup: Lookup | None = None) -> list[str]:
    """Candidates for `ds01 __complete WORD ...`, of which the last word is being written."""
    *before, current = list(words) or [""]
    server = None
    if "--server" in before[:-1]:
        server = before[before.index("--server") + 1]
    if lookup is not None:
        return candidates(build(), before, current, lookup)
    names = Names(server)
    try:
        return candidates(build(), before, current, names)
    finally:
        names.close()


def _split(text: str) -> tuple[list[str], str]:
    """The complete words of a line that is being written, and the word under the cursor."""
    try:
        words = shlex.split(text)
    except ValueError:
        words = text.split()
    if not words or text[-1:].isspace():
        return words, ""
    return words[:-1], words[-1]
