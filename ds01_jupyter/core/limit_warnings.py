"""What in a limits file is allowed, and yet will not have been meant."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from fractions import Fraction

from ds01_jupyter.core.gpu.quota import exact, in_words
from ds01_jupyter.core.gpu.sharing import SharedGpu, divided
from ds01_jupyter.core.gpu.slots import GpuInfo
from ds01_jupyter.core.identity import unix_group_exists
from ds01_jupyter.core.limit_contents import GROUP_KEYS, Contents
from ds01_jupyter.core.limit_keys import DEFAULTS, Level
from ds01_jupyter.core.limit_merge import cgroup_slice
from ds01_jupyter.core.limit_people import Entry, Roster, quoted_name
from ds01_jupyter.core.limit_values import Value
from ds01_jupyter.core.models import LimitsFinding
from ds01_jupyter.core.units import format_size
from ds01_jupyter.core.yaml_file import Node, place_text

MAX_NAMES = 8
"""So many names stand in one warning; the rest are counted."""


@dataclass(frozen=True)
class Hardware:
    """What the machine has; None where it cannot be told. `memory` in bytes.

    `gpus` counts physical GPUs (the most GPU-equivalents that there can be), `slots` what can be
    given now, `whole` those of them that are whole GPUs; `smallest` is the least share of a slot.
    """

    cpus: float | None = None
    memory: int | None = None
    gpus: int | None = None
    slots: int | None = None
    whole: int | None = None
    smallest: float | None = None
    cards: tuple[GpuInfo, ...] | None = None
    """The GPUs themselves, undivided."""

    def sharing(self, declared: Sequence[SharedGpu]) -> Hardware:
        """The same with the slots that there are when these GPUs are shared."""
        if self.cards is None or not declared:
            return self
        given = [gpu for gpu in divided(self.cards, declared) if gpu.problem is None]
        slots = [slot for gpu in given for slot in gpu.slots]
        return replace(
            self,
            slots=len(slots),
            whole=sum(slot.kind == "gpu" for slot in slots),
            smallest=min((slot.share for slot in slots), default=None),
        )

    def unknown(self) -> str:
        """What cannot be told, in words; empty where everything can."""
        parts = (("CPUs", self.cpus), ("memory", self.memory), ("GPUs", self.gpus))
        return ", ".join(name for name, value in parts if value is None)


def warnings(contents: Contents, hardware: Hardware) -> Iterator[LimitsFinding]:
    """All warnings about a file, in no order."""
    hardware = hardware.sharing([declared for declared, _ in contents.shared_gpus])
    levels = [contents.defaults, *(group.level for group in contents.groups.values())]
    for level in [*levels, *contents.overrides.values()]:
        yield from _odd_values(level, hardware)
    yield from _builtin_memory(contents, hardware)
    yield from _groups(contents)
    yield from _people(contents)
    yield from _exemptions(contents)
    yield from _sharing(contents, hardware)


def _at(node: Node, message: str, hint: str = "") -> LimitsFinding:
    return LimitsFinding(
        file=str(node.file),
        line=node.key_line or node.line,
        key=place_text(node.place),
        message=message,
        hint=hint,
    )


def _of(entry: Entry, message: str, hint: str = "") -> LimitsFinding:
    return LimitsFinding(
        file=str(entry.file), line=entry.line, key=entry.key, message=message, hint=hint
    )


# ---- values ----------------------------------------------------------------------------------


def _odd_values(level: Level, hardware: Hardware) -> Iterator[LimitsFinding]:
    for key, value in level.values.items():
        node = level.nodes[key]
        for message in (_more_than_there_is(key, value, hardware), _no_use(key, value, hardware)):
            if message:
                yield _at(node, message)


def _gigabytes(size: int) -> str:
    """The memory of a machine, which is no round number; never more than there is."""
    return f"{size * 10 // 1024**3 / 10:g}g"


def _more_than_there_is(key: str, value: Value, hardware: Hardware) -> str | None:
    """A quota that the machine cannot fill: it limits nothing."""
    if value is None or isinstance(value, bool) or not isinstance(value, int | float):
        return None
    there, words = {
        "max_cpus": (hardware.cpus, f"{hardware.cpus} CPUs"),
        "memory": (hardware.memory, f"{_gigabytes(hardware.memory or 0)} of memory"),
        "shm_size": (hardware.memory, f"{_gigabytes(hardware.memory or 0)} of memory"),
        "max_mig_instances": (hardware.slots, f"{hardware.slots} GPU slots now"),
        "max_slots_per_container": (hardware.slots, f"{hardware.slots} GPU slots now"),
        "max_gpu_equivalents": (hardware.gpus, f"{hardware.gpus} GPUs"),
    }.get(key, (None, ""))
    if there is None or value <= there:
        return None
    shown = format_size(int(value)) if key in ("memory", "shm_size") else f"{value:g}"
    return f"{shown} is more than this machine has ({words}), so it limits nothing."


def _no_use(key: str, value: Value, hardware: Hardware) -> str | None:
    """A value with which nobody can do anything."""
    if key in ("idle_timeout", "max_runtime") and value is not None and not value:
        return "0 stops every container at once; null is without limit."
    only_whole = hardware.slots and hardware.whole == hardware.slots
    if key == "allow_full_gpu" and value is False and only_whole:
        return "This machine has whole GPUs only, so nobody here gets a GPU."
    if key == "max_gpu_equivalents" and value and isinstance(value, int | float):
        return _equivalents(exact(value), hardware)
    return None


def _equivalents(limit: Fraction, hardware: Hardware) -> str | None:
    for parts in (7, 4):
        above = Fraction(-(-limit * parts // 1), parts)
        if above.denominator > 2 and 0 < above - limit < Fraction(1, 100):
            return f"{float(limit):g} is a little less than {above}; write {above}."
    if hardware.smallest is not None and limit < exact(hardware.smallest):
        least = in_words(exact(hardware.smallest))
        return f"The smallest slot of this machine is {least} of a GPU, so nobody here gets one."
    return None


def _builtin_memory(contents: Contents, hardware: Hardware) -> Iterator[LimitsFinding]:
    """The documented default can be more than a small machine has."""
    if "memory" in {*contents.defaults.values, *contents.defaults.unread}:
        return
    message = _more_than_there_is("memory", DEFAULTS["memory"], hardware)
    if message:
        yield LimitsFinding(
            file=str(contents.root.file),
            line=None,
            key="defaults.memory",
            message=f"It is not given, and the documented default counts: {message}",
        )


# ---- groups ----------------------------------------------------------------------------------


def _groups(contents: Contents) -> Iterator[LimitsFinding]:
    for name, group in contents.groups.items():
        if "-" in name:
            yield _at(group.node, f"Its containers run in {cgroup_slice(name)} (- becomes _).")
        given = group.node.mapping()
        if name != contents.default_group and not any(key in given for key in GROUP_KEYS):
            yield _at(
                group.node,
                "Nobody is in this group.",
                "Give it members, members_file or unix_group.",
            )
        if group.unix_group and not unix_group_exists(group.unix_group):
            yield _at(
                given["unix_group"], f"This machine has no Unix group {group.unix_group!r} (yet)."
            )


# ---- people ----------------------------------------------------------------------------------


def _people(contents: Contents) -> Iterator[LimitsFinding]:
    members, overridden = contents.members, contents.overridden
    by_section: dict[str, list[Entry]] = {}
    for entry in _absent(members, members.entries):
        by_section.setdefault(entry.section, []).append(entry)
    for entries in by_section.values():
        yield _of(
            entries[0],
            f"{_members(len(entries))} no account on this machine (yet): {_names(entries)}.",
        )
    for entry in _absent(overridden, overridden.entries):
        yield _of(entry, f"No account of this machine is called {quoted_name(entry.name)} (yet).")
    listed = {members.key(entry.name) for entry in members.entries}
    any_unix_group = any(group.unix_group for group in contents.groups.values())
    for entry in overridden.entries:
        if overridden.key(entry.name) not in listed and not any_unix_group:
            yield _of(
                entry,
                f"{quoted_name(entry.name)} is in no group, so everything else is that of "
                f"{contents.default_group!r}.",
            )
    for entry in (*members.entries, *overridden.entries):
        if members.accounts.ambiguous(entry.name):
            yield _of(
                entry,
                f"{entry.name} is the name of one account and the uid of another; the name counts.",
            )


def _exemptions(contents: Contents) -> Iterator[LimitsFinding]:
    now = datetime.now(UTC)
    entries = [exemption.entry for exemption in contents.exemptions]
    for entry in _absent(contents.overridden, entries):
        yield _of(entry, f"No account of this machine is called {quoted_name(entry.name)} (yet).")
    for exemption in contents.exemptions:
        if not exemption.holds(now):
            yield _of(exemption.entry, "This exemption is over; it can be taken out.")


# ---- shared GPUs -----------------------------------------------------------------------------


def _sharing(contents: Contents, hardware: Hardware) -> Iterator[LimitsFinding]:
    """Declarations against the GPUs that there are."""
    if hardware.cards is None:
        return
    meant: dict[int, Node] = {}
    for declared, node in contents.shared_gpus:
        card = next((it for it in hardware.cards if declared.names(it.index, it.uuid)), None)
        if card is None:
            yield _at(node, f"This machine has no GPU {declared.gpu} (now), so nothing is shared.")
            continue
        if card.mig:
            yield _at(
                node,
                f"GPU {card.index} is in MIG mode and cannot be shared: its instances are given.",
                "Switch MIG off on it, or take the entry out.",
            )
        other = meant.setdefault(card.index, node)
        if other is not node:
            yield _at(node, f"GPU {card.index} is declared in line {other.line} too, which counts.")


def _absent(roster: Roster, entries: Iterable[Entry]) -> list[Entry]:
    """Those whom no account of this machine has."""
    return [entry for entry in entries if roster.accounts.uid(entry.name) is None]


def _members(number: int) -> str:
    return "One member has" if number == 1 else f"{number} members have"


def _names(entries: list[Entry]) -> str:
    names = ", ".join(quoted_name(entry.name) for entry in entries[:MAX_NAMES])
    more = len(entries) - MAX_NAMES
    return f"{names} and {more} more" if more > 0 else names
