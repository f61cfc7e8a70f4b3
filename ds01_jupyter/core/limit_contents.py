"""What stands in a limits file, read with all that is wrong with it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import chain, islice

from ds01_jupyter.core.errors import ConfigurationError
from ds01_jupyter.core.identity import Accounts
from ds01_jupyter.core.limit_exemptions import Exemption, read_exemptions
from ds01_jupyter.core.limit_keys import UNSUPPORTED_SECTIONS, Level, read_level
from ds01_jupyter.core.limit_merge import Merge, cgroup_slice
from ds01_jupyter.core.limit_people import (
    MAX_PEOPLE,
    Entry,
    MemberFiles,
    Roster,
    listed_members,
    quoted_name,
)
from ds01_jupyter.core.limit_sharing import Declaration, read_shared_gpus
from ds01_jupyter.core.wording import nearest
from ds01_jupyter.core.yaml_file import Mistakes, Node

NO_GROUP = "default"
"""Group of people whom no group has, where the file names no `default_group`."""

SECTIONS = (
    "defaults",
    "default_group",
    "groups",
    "user_overrides",
    "exemptions",
    "shared_gpus",
)
GROUP_KEYS = ("members", "members_file", "unix_group")
MAX_COMBINATIONS = 100_000
_GROUP_NAME = re.compile(r"[a-z0-9_-]{1,60}")


@dataclass(frozen=True)
class Group:
    """A group: its limits, where it stands, and the Unix group whose people it takes in."""

    level: Level
    node: Node
    unix_group: str | None = None


@dataclass(frozen=True)
class Contents:
    """Everything that a limits file says. `default_group` is `NO_GROUP` where it names none."""

    root: Node
    defaults: Level
    groups: Mapping[str, Group]
    default_group: str
    overrides: Mapping[str, Level]
    """Limits of single people, by the name that is written."""
    members: Roster
    """The members of all groups; the section of an entry is `groups.NAME`."""
    overridden: Roster
    exemptions: tuple[Exemption, ...]
    shared_gpus: tuple[Declaration, ...] = ()
    """Whole GPUs that several containers may use at a time."""

    def levels(self, group: str, override: Level | None) -> list[Level]:
        """The levels that meet in somebody of a group, furthest first."""
        levels = [self.defaults]
        if group in self.groups:
            levels.append(self.groups[group].level)
        return levels if override is None else [*levels, override]

    def combinations(self) -> Iterator[list[Level]]:
        """Every meeting of levels that can be foreseen, so that a mistake shows at once."""
        for group in (NO_GROUP, *self.groups):
            yield self.levels(group, None)
        group_of = {self.members.key(e.name): group_name(e) for e in self.members.entries}
        open_groups = [name for name, group in self.groups.items() if group.unix_group]
        for entry in self.overridden.entries:
            listed = group_of.get(self.overridden.key(entry.name))
            for name in [listed] if listed else [self.default_group, *open_groups]:
                yield self.levels(name, self.overrides[entry.name])


def group_name(entry: Entry) -> str:
    """The group of a member."""
    return entry.section.removeprefix("groups.")


def read_contents(
    root: Node, accounts: Accounts, files: MemberFiles, mistakes: Mistakes
) -> Contents:
    """Read the whole file; what is wrong goes to `mistakes`, and what is right is returned."""
    sections = _sections(root, mistakes)
    empty = Node({}, 1, (), root.file)
    groups: dict[str, Group] = {}
    members: list[Entry] = []
    with mistakes.gathered():
        for name, node in sections.get("groups", empty).mapping().items():
            with mistakes.gathered():
                _read_group(name, node, groups, members, files, mistakes)
    overrides: dict[str, Level] = {}
    overridden: list[Entry] = []
    with mistakes.gathered():
        for user, node in sections.get("user_overrides", empty).mapping().items():
            overridden.append(Entry.at(node, user, "user_overrides"))
            overrides[user] = read_level(f"user_overrides.{user}", node, mistakes)
    exemptions: tuple[Exemption, ...] = ()
    with mistakes.gathered():
        exemptions = tuple(
            read_exemptions(sections.get("exemptions", Node([], 1, (), root.file)), mistakes)
        )
    shared: tuple[Declaration, ...] = ()
    with mistakes.gathered():
        shared = tuple(
            read_shared_gpus(sections.get("shared_gpus", Node([], 1, (), root.file)), mistakes)
        )
    if len(members) + len(overridden) + len(exemptions) > MAX_PEOPLE:
        # Everybody is looked up; and no lab is as large.
        mistakes.add(root.mistake(f"there are more than {MAX_PEOPLE} people in this file"))
        members, overridden, overrides, exemptions = [], [], {}, ()
    contents = Contents(
        root=root,
        defaults=read_level("defaults", sections.get("defaults", empty), mistakes),
        groups=groups,
        default_group=_default_group(sections.get("default_group"), groups, mistakes),
        overrides=overrides,
        members=Roster(tuple(members), accounts),
        overridden=Roster(tuple(overridden), accounts),
        exemptions=exemptions,
        shared_gpus=shared,
    )
    _check(contents, mistakes)
    return contents


def _sections(root: Node, mistakes: Mistakes) -> dict[str, Node]:
    sections: dict[str, Node] = {}
    with mistakes.gathered():
        for name, node in root.mapping().items():
            with mistakes.gathered():
                if name not in SECTIONS:
                    raise _no_section(name, node)
                sections[name] = node
    return sections


def _no_section(name: str, node: Node) -> ConfigurationError:
    if name in UNSUPPORTED_SECTIONS:
        return node.mistake(UNSUPPORTED_SECTIONS[name], hint="Take the section out.", of_key=True)
    near = nearest(name, SECTIONS)
    return node.mistake(
        "this section has no meaning",
        hint=f"Did you mean {near!r}?" if near else "",
        of_key=True,
    )


def _read_group(
    name: str,
    node: Node,
    groups: dict[str, Group],
    members: list[Entry],
    files: MemberFiles,
    mistakes: Mistakes,
) -> None:
    if not _GROUP_NAME.fullmatch(name):
        mistakes.add(
            node.mistake("a group is named by lowercase letters, digits, - and _", of_key=True)
        )
    section = f"groups.{name}"
    groups[name] = Group(read_level(section, node, mistakes, GROUP_KEYS), node)
    entries = node.mapping()
    with mistakes.gathered():
        if "unix_group" in entries:
            groups[name] = replace(groups[name], unix_group=entries["unix_group"].word())
    with mistakes.gathered():
        if "members" in entries:
            members += listed_members(entries["members"], section, mistakes)
    with mistakes.gathered():
        if "members_file" in entries:
            members += files.read(entries["members_file"], section, mistakes)


def _default_group(node: Node | None, groups: Mapping[str, Group], mistakes: Mistakes) -> str:
    if node is not None:
        with mistakes.gathered():
            name = node.word()
            if name in groups:
                return name
            near = nearest(name, groups)
            raise node.mistake(
                f"there is no group {name!r}", hint=f"Did you mean {near!r}?" if near else ""
            )
    return NO_GROUP


# ---- what does not go together -----------------------------------------------------------------


def _check(contents: Contents, mistakes: Mistakes) -> None:
    contents.members.check(mistakes)
    contents.overridden.check(mistakes)
    _check_groups_as_people(contents, mistakes)
    _check_unix_groups(contents, mistakes)
    _check_slices(contents, mistakes)
    # Who meets the levels behind the last of these is still refused when asking for something.
    for levels in islice(contents.combinations(), MAX_COMBINATIONS):
        for mistake in Merge(levels).contradictions():
            mistakes.add(mistake)


def _check_groups_as_people(contents: Contents, mistakes: Mistakes) -> None:
    roster = contents.overridden
    for entry in chain(roster.entries, (item.entry for item in contents.exemptions)):
        if entry.name in contents.groups and roster.accounts.uid(entry.name) is None:
            mistakes.add(
                entry.mistake(
                    f"{quoted_name(entry.name)} is a group, and no account has this name",
                    hint=f"Limits of a group stand under groups.{entry.name}.",
                )
            )


def _check_unix_groups(contents: Contents, mistakes: Mistakes) -> None:
    by_unix_group: dict[str, str] = {}
    for name, group in contents.groups.items():
        if group.unix_group is None:
            continue
        other = by_unix_group.setdefault(group.unix_group, name)
        if other != name:
            mistakes.add(
                group.node.at(("unix_group",)).mistake(
                    f"groups.{other} has this Unix group already; a person is in one group"
                )
            )


def _check_slices(contents: Contents, mistakes: Mistakes) -> None:
    by_slice: dict[str, str] = {}
    for name, group in contents.groups.items():
        other = by_slice.setdefault(cgroup_slice(name), name)
        if other != name:
            mistakes.add(
                group.node.mistake(
                    f"its slice {cgroup_slice(name)} would be that of groups.{other} too",
                    hint="systemd reads - as a level of the hierarchy, so - becomes _; choose "
                    "another name.",
                    of_key=True,
                )
            )
    if NO_GROUP in contents.groups and contents.default_group != NO_GROUP:
        mistakes.add(
            contents.groups[NO_GROUP].node.mistake(
                "this name is for people without a group, who are in "
                f"{contents.default_group!r} here",
                hint="Write `default_group: default`, or choose another name.",
                of_key=True,
            )
        )
