"""`resource-limits.yaml`: who may use how much.

Defaults, groups and user overrides; for every key on its own the nearest level that has it wins:
the override, then the group, then the defaults, then what is documented. A person whose limits are
overridden stays in the group, and in its cgroup slice. People are compared by uid, see `identity`.

    limit_values, limit_keys   the keys and what each may hold
    limit_people               whom the names in the file mean
    limit_exemptions           exemptions from time limits
    limit_sharing              GPUs that several containers may use at a time
    limit_contents             the whole file, with everything that is wrong with it
    limit_merge                the levels that meet in one person
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ds01_jupyter.core.errors import ConfigurationError
from ds01_jupyter.core.gpu.sharing import SharedGpu
from ds01_jupyter.core.identity import Accounts, Directory, Person
from ds01_jupyter.core.limit_contents import NO_GROUP, Contents, group_name, read_contents
from ds01_jupyter.core.limit_merge import Merge, PersonLimits, cgroup_slice
from ds01_jupyter.core.limit_people import Entry, MemberFiles, changed
from ds01_jupyter.core.models import LimitValues
from ds01_jupyter.core.yaml_file import Mistakes, load_yaml

__all__ = ["NO_GROUP", "LimitsFile", "PersonLimits", "cgroup_slice"]


@dataclass(frozen=True)
class LimitsFile:
    """A limits file that has been read and found to be without mistakes."""

    source: Path
    _contents: Contents
    _files: MemberFiles

    @classmethod
    def load(cls, path: Path, accounts: Accounts | None = None) -> LimitsFile:
        """Read and check the file and the files of members beside it.

        `accounts` says which account a name means (absent: the name service). Raises
        `ConfigurationError` for the first mistake, as `FILE:LINE: key: mistake`.
        """
        mistakes, files = Mistakes(), MemberFiles(path.parent)
        root = load_yaml(path, "The limits file", mistakes)
        contents = read_contents(root, accounts or Directory(), files, mistakes)
        if mistakes.found:
            raise _first_of(mistakes.in_order(path))
        return cls(path, contents, files)

    def changed(self) -> bool:
        """Whether a file of members is not what it was (the limits file itself is not asked)."""
        return changed(self._files.stamps)

    @property
    def shared_gpus(self) -> tuple[SharedGpu, ...]:
        """The GPUs that several containers may use at a time."""
        return tuple(declared for declared, _ in self._contents.shared_gpus)

    @property
    def group_names(self) -> list[str]:
        """The groups that somebody can be in."""
        contents = self._contents
        return list(dict.fromkeys([*contents.groups, contents.default_group]))

    def member_uids(self, group: str) -> list[int]:
        """The accounts that a group lists; not those that are in it by a Unix group, or because no
        other group has them."""
        contents = self._contents
        keys = (
            contents.members.key(entry.name)
            for entry in contents.members.entries
            if group_name(entry) == group
        )
        return list(dict.fromkeys(key for key in keys if isinstance(key, int)))

    def for_person(self, person: Person) -> LimitValues:
        """What a person's containers may use; see `person_limits` for errors."""
        return self.person_limits(person).values

    def person_limits(self, person: Person) -> PersonLimits:
        """All limits of a person.

        Raises `ConfigurationError` when two groups or two overrides mean this person, or the
        levels that meet in this person contradict each other.
        """
        contents = self._contents
        group = self.group_of(person)
        entry = self._only(person, contents.overridden.of(person))
        override = None if entry is None else contents.overrides[entry.name]
        key = contents.members.key
        exemptions = tuple(
            exemption
            for exemption in contents.exemptions
            if key(exemption.entry.name) in (person.uid, person.name)
        )
        return Merge(contents.levels(group, override)).limits(group, exemptions)

    def group_of(self, person: Person) -> str:
        """The group that lists a person, else the one whose Unix group the person is in, else the
        default group."""
        contents = self._contents
        listed = self._only(person, contents.members.of(person))
        if listed is not None:
            return group_name(listed)
        claims = [
            name for name, group in contents.groups.items() if group.unix_group in person.groups
        ]
        if len(claims) > 1:
            raise ConfigurationError(
                f"{self.source}: {person.name} is in the Unix groups of both "
                f"groups.{claims[0]} and groups.{claims[1]}.",
                hint=f"Ask your admin to list {person.name} as a member of one of them.",
                file=str(self.source),
                user=person.name,
                groups=claims,
            )
        return claims[0] if claims else contents.default_group

    def _only(self, person: Person, entries: list[Entry]) -> Entry | None:
        """The one entry that means a person: accounts may have come after the file was read."""
        if len(entries) > 1:
            first, second = entries[:2]
            raise second.mistake(
                f"this is {person.name} (uid {person.uid}), as {first.where(second.file)} is; a "
                "person is there once"
            )
        return entries[0] if entries else None


def _first_of(mistakes: list[ConfigurationError]) -> ConfigurationError:
    first, *others = mistakes
    if others:
        first.hint = f"{first.hint} `ds01 limits check` shows all {len(others) + 1} mistakes."
        first.details["mistakes"] = len(others) + 1
    return first
