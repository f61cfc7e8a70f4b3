"""YAML files that an admin writes, read so that every mistake can be named by its line: the first
one where the file is used, all of them where it is checked.

Stricter than plain YAML: a key given twice is refused, and so are tags (`!!python/...`) and merge
keys. Keys, and whatever must be text, are taken as they are written, so that a user named `1001`,
`007` or `no` stays that.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from ds01_jupyter.core.errors import ConfigurationError
from ds01_jupyter.core.wording import MAX_QUOTED, quoted

MAX_BYTES = 1024 * 1024

Scalar = str | int | float | bool | None
Place = tuple[str | int, ...]
"""Where a value stands: keys and, in lists, positions from 0."""

_TAG = "tag:yaml.org,2002:"


class TooMuch(ConfigurationError):
    """The file refers to itself, or unfolds to more than any such file holds: reading ends."""


@dataclass
class Mistakes:
    """Gathers what is wrong with a file, so that reading can go on behind a mistake."""

    found: list[ConfigurationError] = field(default_factory=list)
    _known: set[str] = field(default_factory=set, repr=False)

    @contextmanager
    def gathered(self) -> Iterator[None]:
        """Keeps the mistake that is raised inside, and goes on behind."""
        try:
            yield
        except TooMuch:
            raise
        except ConfigurationError as mistake:
            self.add(mistake)

    def add(self, mistake: ConfigurationError) -> None:
        """Keep a mistake; one that was found before is not kept twice."""
        if mistake.message not in self._known:
            self._known.add(mistake.message)
            self.found.append(mistake)

    def in_order(self, path: Path) -> list[ConfigurationError]:
        """By line: those of the file itself, then those of the files beside it."""

        def order(mistake: ConfigurationError) -> tuple[bool, str, int]:
            file = mistake.details["file"]
            return file != str(path), file, mistake.details.get("line", 0)

        return sorted(self.found, key=order)


@dataclass(frozen=True)
class Node:
    """A value with its line (from 1) and its place.

    `value` is a scalar, a list of nodes, or a mapping of key to node; `text` is a scalar as it is
    written; `key_line` the line of the key that it belongs to.
    """

    value: Any
    line: int
    place: Place
    file: Path
    text: str = ""
    key_line: int = 0

    def mapping(self) -> dict[str, Node]:
        """The entries; of a section that holds nothing but comments, none.

        Raises `ConfigurationError` when it is something else.
        """
        if self.value is None:
            return {}
        if not isinstance(self.value, dict):
            raise self.mistake("this must be a section of `key: value` lines")
        return self.value

    def sequence(self) -> list[Node]:
        """The items; of a list that holds nothing but comments, none."""
        if self.value is None:
            return []
        if not isinstance(self.value, list):
            raise self.mistake("this must be a list")
        return self.value

    def word(self) -> str:
        """A scalar as text, just as it is written."""
        if self.value is None or isinstance(self.value, dict | list) or not self.text.strip():
            raise self.mistake("this must be a word")
        return self.text

    def plain(self) -> Any:
        """The value as Python's own dicts, lists and scalars."""
        if isinstance(self.value, dict):
            return {key: node.plain() for key, node in self.value.items()}
        if isinstance(self.value, list):
            return [node.plain() for node in self.value]
        return self.value

    def at(self, place: Sequence[str | int]) -> Node:
        """The node at a place below this one, or the last one on the way there."""
        node = self
        for step in place:
            child: Node | None = None
            if isinstance(node.value, dict):
                child = node.value.get(step)
            elif isinstance(node.value, list) and isinstance(step, int) and step < len(node.value):
                child = node.value[step]
            if child is None:
                break
            node = child
        return node

    def mistake(self, problem: str, *, hint: str = "", of_key: bool = False) -> ConfigurationError:
        """The refusal of the file: `FILE:LINE: a.b.c: problem`."""
        line = self.key_line if of_key and self.key_line else self.line
        key = place_text(self.place)
        return refusal_at(self.file, line, key, problem, hint=hint)


def refusal_at(
    file: Path, line: int, key: str, problem: str, *, hint: str = ""
) -> ConfigurationError:
    """The refusal of a file for a mistake in it: `FILE:LINE: KEY: problem`."""
    where = f"{file}:{line}: " + (f"{key}: " if key else "")
    return ConfigurationError(
        f"{where}{problem}" + ("" if problem.endswith("?") else "."),
        hint=hint or "Ask your admin to correct the file.",
        file=str(file),
        line=line,
        key=key,
    )


def place_text(place: Sequence[str | int]) -> str:
    """`groups.student.members[0]`."""
    text = ""
    for step in place:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            word = step if step.isprintable() and len(step) <= MAX_QUOTED else quoted(step)
            text += f".{word}" if text else word
    return text


def load_yaml(path: Path, what: str, mistakes: Mistakes | None = None) -> Node:
    """Read a YAML file; `what` names it in messages ("The limits file").

    Raises `ConfigurationError` when it cannot be read; for the rest see `parse_yaml`.
    """
    return parse_yaml(read_limited(path, what), path, mistakes)


def parse_yaml(content: bytes | str, path: Path, mistakes: Mistakes | None = None) -> Node:
    """Read YAML that is there already; `path` is what messages call it.

    Raises `ConfigurationError` when it is not YAML, or empty. Single values that have no meaning,
    and keys that are there twice, are raised too, or gathered in `mistakes` where that is given;
    they then are missing from what is returned.
    """
    try:
        root = yaml.compose(content, Loader=yaml.SafeLoader)
        if root is None:
            raise Node(None, 1, (), path).mistake(
                "there is nothing in this file", hint="Restore it from the one that is shipped."
            )
        return _Composed(path, mistakes).node(root, (), root.start_mark.line + 1)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        problem = f"this is not YAML ({error.problem or error.context or 'it cannot be read'})"
        raise Node(None, line, (), path).mistake(problem) from error
    except (yaml.YAMLError, ValueError, LookupError, RecursionError) as error:
        detail = " ".join(str(error).split())[:200]
        raise Node(None, 1, (), path).mistake(f"this is not YAML ({detail})") from error


def read_limited(path: Path, what: str) -> bytes:
    """A file of at most `MAX_BYTES`; raises `ConfigurationError`, which `what` begins."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConfigurationError(
            f"{what} {path} cannot be read: {error.strerror or error}.",
            hint="Ask your admin to put the file in place.",
            file=str(path),
        ) from error
    if len(content) > MAX_BYTES:
        raise ConfigurationError(
            f"{what} {path} is larger than {MAX_BYTES // 1024} KiB.",
            hint="Ask your admin to look at the file.",
            file=str(path),
        )
    return content


class _Composed:
    """Turns PyYAML's nodes into ours."""

    def __init__(self, path: Path, mistakes: Mistakes | None) -> None:
        self._path = path
        self._mistakes = mistakes
        self._scalars = yaml.constructor.SafeConstructor()
        self._open: set[int] = set()
        self._budget = 100_000

    def node(self, source: yaml.Node, place: Place, key_line: int) -> Node:
        line = source.start_mark.line + 1
        here = Node(None, line, place, self._path, key_line=key_line)
        # Aliases may hold themselves, or multiply without end.
        self._budget -= 1
        if id(source) in self._open or self._budget < 0:
            error = here.mistake("this refers to itself or is far too large")
            raise TooMuch(error.message, hint=error.hint, **error.details)
        self._open.add(id(source))
        try:
            return Node(*self._content(source, here), key_line=key_line)
        finally:
            self._open.discard(id(source))

    def _content(self, source: yaml.Node, here: Node) -> tuple[Any, int, Place, Path, str]:
        rest = (here.line, here.place, self._path)
        if isinstance(source, yaml.MappingNode) and source.tag == _TAG + "map":
            return (self._entries(source, here), *rest, "")
        if isinstance(source, yaml.SequenceNode) and source.tag == _TAG + "seq":
            return (self._items(source, here), *rest, "")
        if isinstance(source, yaml.ScalarNode):
            if source.tag == _TAG + "timestamp":
                return (source.value, *rest, source.value)
            value = self._scalar(source, here)
            if value is None or isinstance(value, str | int | float | bool):
                return (value, *rest, source.value)
        raise here.mistake(f"a value of the kind {source.tag} has no meaning here")

    def _scalar(self, source: yaml.ScalarNode, here: Node) -> Any:
        try:
            return self._scalars.construct_object(source)
        except (ValueError, LookupError) as error:
            detail = " ".join(str(error).split())[:200]
            raise here.mistake(f"this is not YAML ({detail})") from error

    def _items(self, source: yaml.SequenceNode, here: Node) -> list[Node]:
        items: list[Node] = []
        for index, item in enumerate(source.value):
            with self._gathered():
                items.append(self.node(item, (*here.place, index), item.start_mark.line + 1))
        return items

    def _entries(self, source: yaml.MappingNode, here: Node) -> dict[str, Node]:
        entries: dict[str, Node] = {}
        for key_node, value_node in source.value:
            with self._gathered():
                self._entry(key_node, value_node, here, entries)
        return entries

    def _entry(
        self, key_node: yaml.Node, value_node: yaml.Node, here: Node, entries: dict[str, Node]
    ) -> None:
        line = key_node.start_mark.line + 1
        if not isinstance(key_node, yaml.ScalarNode) or key_node.tag == _TAG + "null":
            raise Node(None, line, here.place, self._path).mistake("a key must be a word")
        key = key_node.value
        place = (*here.place, key)
        if key in entries:
            raise Node(None, line, place, self._path).mistake(
                f"this key is there twice (line {entries[key].key_line} has it too)"
            )
        entries[key] = self.node(value_node, place, line)

    @contextmanager
    def _gathered(self) -> Iterator[None]:
        """Keeps a mistake and goes on behind it, where mistakes are gathered."""
        if self._mistakes is None:
            yield
        else:
            with self._mistakes.gathered():
                yield
