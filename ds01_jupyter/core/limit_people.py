"""The people whom the limits file names, and whom each name means.

Two spellings of one account are one person, and two accounts never are, however much their names
look alike. Names that no account has (yet) mean exactly themselves.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ds01_jupyter.core.errors import ConfigurationError
from ds01_jupyter.core.identity import Accounts, Person
from ds01_jupyter.core.wording import quoted
from ds01_jupyter.core.yaml_file import (
    Mistakes,
    Node,
    place_text,
    read_limited,
    refusal_at,
)

MAX_PEOPLE = 20_000

Key = int | str
Stamp = tuple[int, ...] | None


@dataclass(frozen=True)
class Entry:
    """A name as it is written, the section that it is in, and where it stands."""

    name: str
    section: str
    file: Path
    line: int
    key: str = ""

    @classmethod
    def at(cls, node: Node, name: str, section: str) -> Entry:
        """One that stands in the limits file itself."""
        return cls(name, section, node.file, node.key_line or node.line, place_text(node.place))

    def where(self, beside: Path) -> str:
        """`groups.a.members[0], line 7`, or `staff.members:3` for another file than `beside`."""
        if self.file != beside:
            return f"{self.file.name}:{self.line}"
        return f"{self.key}, line {self.line}" if self.key else f"line {self.line}"

    def mistake(self, problem: str, *, hint: str = "") -> ConfigurationError:
        """The refusal of the file for this entry."""
        return refusal_at(self.file, self.line, self.key, problem, hint=hint)


@dataclass(frozen=True)
class Roster:
    """Entries of one kind (members of groups, or people with overrides)."""

    entries: tuple[Entry, ...]
    accounts: Accounts
    _by_name: Mapping[str, list[Entry]] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        by_name: dict[str, list[Entry]] = {}
        for entry in self.entries:
            by_name.setdefault(entry.name, []).append(entry)
        object.__setattr__(self, "_by_name", by_name)

    def key(self, name: str) -> Key:
        """Whom a name means: a uid, or the name itself where no account has it."""
        uid = self.accounts.uid(name)
        return name if uid is None else uid

    def of(self, person: Person) -> list[Entry]:
        """The entries that mean a person."""
        found: list[Entry] = []
        for name, entries in self._by_name.items():
            key = self.key(name)
            if key in (person.uid, person.name):
                found += entries
        return found

    def check(self, mistakes: Mistakes) -> None:
        """Gather the entries that mean somebody whom an earlier entry means already."""
        seen: dict[Key, Entry] = {}
        for entry in self.entries:
            key = self.key(entry.name)
            first = seen.setdefault(key, entry)
            if first is not entry:
                mistakes.add(entry.mistake(_twice(entry, first, key)))


def _twice(entry: Entry, first: Entry, key: Key) -> str:
    who, where = quoted_name(entry.name), first.where(entry.file)
    if entry.name != first.name:
        who = f"{who} is the account {quoted_name(first.name)} (uid {key}), which"
    if entry.section == first.section:
        return f"{who} is in {entry.section} already ({where})"
    return f"{who} is in {first.section} too ({where}); a person is in one group"


def quoted_name(name: str) -> str:
    """A name as it is, if it can stand in a sentence."""
    return name if name.isprintable() and len(name) <= 64 else quoted(name)


# ---- members ---------------------------------------------------------------------------------


@dataclass
class MemberFiles:
    """Reads the files that `members_file` names, and remembers which.

    `folder` is where relative paths begin; None reads nothing (the text of a limits file came
    without the files beside it) and only notes what was `skipped`.
    """

    folder: Path | None
    stamps: dict[Path, Stamp] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)

    def read(self, node: Node, section: str, mistakes: Mistakes) -> list[Entry]:
        """The names in the file that a `members_file` node names."""
        word = node.word()
        if self.folder is None:
            self.skipped.append(f"{place_text(node.place)}: {word}")
            return []
        if "\0" in word:
            raise node.mistake("this is not a path", of_key=True)
        path = self.folder / word
        # Looked at before it is read, so that a change in between is seen as one.
        self.stamps[path] = stamp(path)
        try:
            content = read_limited(path, "The members file").decode()
        except ConfigurationError as error:
            raise node.mistake(error.message.rstrip("."), of_key=True) from error
        except UnicodeDecodeError as error:
            raise node.mistake(f"{path} is not text in UTF-8", of_key=True) from error
        return list(_names(content, path, section, mistakes))


def stamp(path: Path) -> Stamp:
    """What changes with a file's content; None when it cannot be told."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


def _names(content: str, path: Path, section: str, mistakes: Mistakes) -> Iterator[Entry]:
    for number, text in enumerate(content.removeprefix("\ufeff").split("\n"), 1):
        name = text.partition("#")[0].strip()
        if not name:
            continue
        if len(name.split()) > 1 or not name.isprintable():
            mistakes.add(refusal_at(path, number, "", "there must be one name a line"))
        else:
            yield Entry(name, section, path, number)


def listed_members(node: Node, section: str, mistakes: Mistakes) -> Iterator[Entry]:
    """The names of a `members` list."""
    for item in node.sequence():
        with mistakes.gathered():
            yield Entry.at(item, item.word(), section)


def changed(stamps: Mapping[Path, Stamp]) -> bool:
    """Whether one of these files is not what it was."""
    return any(stamp(path) != before for path, before in stamps.items())
