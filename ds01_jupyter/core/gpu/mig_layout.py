"""MIG layouts as mig-parted writes them: read with the line of every mistake, and written.

    version: v1
    mig-configs:
      balanced:
        - devices: [0, 1]               # or all; as the driver counts GPUs
          device-filter: ["0x20B010DE"] # PCI device ids, absent: any
          mig-enabled: true
          mig-devices: {"1g.5gb": 2, "2g.10gb": 1, "3g.20gb": 1}

A layout says how many of each profile a GPU is to have, not where. GPUs that no entry of a label
names are left as they are.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ds01_jupyter.core.errors import ConfigurationError, InvalidInput
from ds01_jupyter.core.gpu.slots import PROFILE
from ds01_jupyter.core.wording import did_you_mean, quoted
from ds01_jupyter.core.yaml_file import Node, parse_yaml

VERSION = "v1"
CURRENT = "current"
"""The label that `export` writes."""
MAX_COUNT = 64
MAX_GPU = 255

_TOP = ("version", "mig-configs")
_ENTRY = ("devices", "device-filter", "mig-enabled", "mig-devices")
_DEVICE_ID = re.compile(r"0x[0-9a-f]{1,8}", re.IGNORECASE | re.ASCII)
_PARTIAL = re.compile(r"\d+c\.", re.ASCII)
_HINT = "Correct the file; docs/mig.md shows what may stand in it."


@dataclass(frozen=True)
class Entry:
    """What some GPUs are to be. `devices` None: all; `filters` empty: any model.

    `counts` is by profile, zero left out, in the order of the file; `node` is where the entry
    stands.
    """

    devices: tuple[int, ...] | None
    filters: tuple[int, ...]
    enabled: bool
    counts: Mapping[str, int]
    node: Node

    def covers(self, index: int, device_id: int) -> bool:
        """Whether it speaks of the GPU `index` with this PCI device id."""
        if self.filters and device_id not in self.filters:
            return False
        return self.devices is None or index in self.devices

    def mistake(self, problem: str, key: str | None = None, hint: str = "") -> InvalidInput:
        """A refusal that names the line of the entry, or of a profile in it."""
        node = self.node if key is None else self.node.at(("mig-devices", key))
        return as_input(node.mistake(problem, hint=hint or _HINT, of_key=key is not None))


@dataclass(frozen=True)
class LayoutFile:
    """The layouts of a file by label."""

    labels: Mapping[str, tuple[Entry, ...]]

    def label(self, name: str | None) -> tuple[str, tuple[Entry, ...]]:
        """The entries of a label; None: the only one. Raises `InvalidInput`."""
        if name is None:
            if len(self.labels) > 1:
                raise InvalidInput(
                    "The file has several layouts, so it must be said which one is meant.",
                    hint=f"Give one of the labels: {', '.join(self.labels)}.",
                    labels=list(self.labels),
                )
            name = next(iter(self.labels))
        if name not in self.labels:
            raise InvalidInput(
                f"The file has no layout {quoted(name)}.",
                hint=did_you_mean(name, self.labels),
                labels=list(self.labels),
            )
        return name, self.labels[name]


def is_partial(profile: str) -> bool:
    """Whether it is a compute instance smaller than its GPU instance (`1c.3g.20gb`)."""
    return bool(_PARTIAL.match(profile))


def as_input(error: ConfigurationError) -> InvalidInput:
    """The same refusal for a file that came with the request."""
    return InvalidInput(error.message, hint=error.hint, **error.details)


def parse_layout(text: str, source: str) -> LayoutFile:
    """Read a layout file; `source` is its name for messages. Raises `InvalidInput`."""
    try:
        return _parse(parse_yaml(text, Path(source)))
    except ConfigurationError as error:
        if error.hint == _HINT:
            raise as_input(error) from error
        raise InvalidInput(error.message, hint=_HINT, **error.details) from error


def _parse(root: Node) -> LayoutFile:
    top = root.mapping()
    _known(top, _TOP)
    version = top.get("version")
    if version is None:
        raise root.mistake(f"`version: {VERSION}` is missing", hint=_HINT)
    if version.word() != VERSION:
        raise version.mistake(f"the version must be {VERSION}", hint=_HINT)
    configs = top.get("mig-configs")
    if configs is None or not configs.mapping():
        raise (configs or root).mistake("there is no layout in mig-configs", hint=_HINT)
    return LayoutFile({label: _entries(node) for label, node in configs.mapping().items()})


def _entries(node: Node) -> tuple[Entry, ...]:
    items = node.sequence()
    if not items:
        raise node.mistake("this layout has no entry", hint=_HINT, of_key=True)
    return tuple(_entry(item) for item in items)


def _entry(node: Node) -> Entry:
    fields = node.mapping()
    _known(fields, _ENTRY)
    for key in ("devices", "mig-enabled"):
        if key not in fields:
            raise node.mistake(f"`{key}` is missing here", hint=_HINT)
    enabled = fields["mig-enabled"].value
    if not isinstance(enabled, bool):
        raise fields["mig-enabled"].mistake("this must be true or false", hint=_HINT)
    devices = fields.get("mig-devices")
    if enabled and (devices is None or devices.value is None):
        raise (devices or node).mistake(
            "with mig-enabled: true, `mig-devices` must be here ({} for none)", hint=_HINT
        )
    counts = {} if devices is None else _counts(devices)
    if counts and not enabled and devices is not None:
        raise devices.mistake("there cannot be instances with mig-enabled: false", hint=_HINT)
    return Entry(_devices(fields["devices"]), _filters(fields), enabled, counts, node)


def _devices(node: Node) -> tuple[int, ...] | None:
    if node.value == "all":
        return None
    if not isinstance(node.value, list) or not node.value:
        raise node.mistake("this must be all, or a list of GPU indices such as [0, 1]", hint=_HINT)
    found: list[int] = []
    for item in node.value:
        if type(item.value) is not int or not 0 <= item.value <= MAX_GPU:
            raise item.mistake(f"a GPU index is a number from 0 to {MAX_GPU}", hint=_HINT)
        if item.value in found:
            raise item.mistake(f"GPU {item.value} stands here twice", hint=_HINT)
        found.append(item.value)
    return tuple(found)


def _filters(fields: Mapping[str, Node]) -> tuple[int, ...]:
    node = fields.get("device-filter")
    if node is None or (node.text == "" and node.value == ""):
        return ()
    items = node.value if isinstance(node.value, list) else [node]
    found = []
    for item in items:
        # Without quotes YAML takes 0x20B010DE for a number; what was written is meant.
        text = item.text if isinstance(item.value, str | int) else ""
        if not _DEVICE_ID.fullmatch(text):
            raise item.mistake("a PCI device id looks like 0x20B010DE", hint=_HINT)
        found.append(int(text, 16))
    return tuple(found)


def _counts(node: Node) -> dict[str, int]:
    counts: dict[str, int] = {}
    for name, item in node.mapping().items():
        profile = name.lower()
        if not name.isascii() or not PROFILE.fullmatch(profile):
            raise item.mistake(
                f"{quoted(name)} is not a MIG profile; they look like 1g.5gb or 1g.5gb+me",
                hint=_HINT,
                of_key=True,
            )
        if type(item.value) is not int or not 0 <= item.value <= MAX_COUNT:
            raise item.mistake(f"this must be a number from 0 to {MAX_COUNT}", hint=_HINT)
        if profile in counts:
            raise item.mistake("this profile stands here twice", hint=_HINT, of_key=True)
        counts[profile] = item.value
    return {profile: count for profile, count in counts.items() if count}


def _known(fields: Mapping[str, Node], known: Sequence[str]) -> None:
    for key, node in fields.items():
        if key not in known:
            raise node.mistake(
                f"there is no such key. {did_you_mean(key, known)}", hint=_HINT, of_key=True
            )


# ---- writing -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Shape:
    """How one GPU is: its index, PCI device id, MIG mode, and devices by profile."""

    index: int
    device_id: int
    enabled: bool
    counts: Mapping[str, int]


def render_layout(shapes: Sequence[Shape], label: str = CURRENT) -> str:
    """The layout file of these GPUs: equal ones together, in the order of their indices.

    A device filter is written where GPUs are of different models.
    """
    models = {shape.device_id for shape in shapes}
    groups: dict[tuple[int, bool, tuple[tuple[str, int], ...]], list[int]] = {}
    for shape in sorted(shapes, key=lambda shape: shape.index):
        counts = tuple(sorted(shape.counts.items()))
        groups.setdefault((shape.device_id, shape.enabled, counts), []).append(shape.index)
    lines = [f"version: {VERSION}", "mig-configs:", f"  {label}:"]
    for (device_id, enabled, counts), indices in groups.items():
        lines.append(f"    - devices: [{', '.join(map(str, indices))}]")
        if len(models) > 1:
            lines.append(f'      device-filter: ["{device_id_text(device_id)}"]')
        lines.append(f"      mig-enabled: {str(enabled).lower()}")
        inside = ", ".join(f'"{profile}": {count}' for profile, count in counts)
        lines.append(f"      mig-devices: {{{inside}}}")
    if not groups:
        lines[-1] += " []"
    return "\n".join(lines) + "\n"


def device_id_text(device_id: int) -> str:
    """`0x20B010DE`."""
    return f"0x{device_id:08X}"
