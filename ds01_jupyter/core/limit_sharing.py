"""The section `shared_gpus` of a limits file: whole GPUs that several containers may use at a time.

shared_gpus:
  - gpu: 0              # index, or UUID
    containers: 4
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from ds01_jupyter.core.gpu.sharing import LEAST, MOST, SharedGpu
from ds01_jupyter.core.wording import nearest
from ds01_jupyter.core.yaml_file import Mistakes, Node

_KEYS = ("gpu", "containers")
_INDEX = re.compile(r"[0-9]{1,3}")
_HEX = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_UUID = re.compile(rf"GPU-{_HEX}", re.IGNORECASE)

Declaration = tuple[SharedGpu, Node]
"""What is declared, and where it stands."""


def read_shared_gpus(node: Node, mistakes: Mistakes) -> Iterator[Declaration]:
    """The entries of the section; what is wrong with one goes to `mistakes`."""
    seen: dict[str, Node] = {}
    for item in node.sequence():
        with mistakes.gathered():
            found = _entry(item, mistakes)
            if found is None:
                continue
            other = seen.setdefault(found.gpu.lower(), item)
            if other is not item:
                raise item.mistake(f"GPU {found.gpu} is declared in line {other.line} already")
            yield found, item


def _entry(item: Node, mistakes: Mistakes) -> SharedGpu | None:
    """One entry, or None when something about it is wrong."""
    before = len(mistakes.found)
    entries = item.mapping()
    for key, node in entries.items():
        if key not in _KEYS:
            near = nearest(key, _KEYS)
            hint = f"Did you mean {near!r}?" if near else ""
            mistakes.add(node.mistake("this key has no meaning here", hint=hint, of_key=True))
    for key in _KEYS:
        if key not in entries:
            mistakes.add(item.mistake(f"{key} is missing"))
    gpu, containers = "", 0
    with mistakes.gathered():
        if "gpu" in entries:
            gpu = _gpu(entries["gpu"])
    with mistakes.gathered():
        if "containers" in entries:
            containers = _number(entries["containers"])
    return SharedGpu(gpu, containers) if len(mistakes.found) == before else None


def _gpu(node: Node) -> str:
    word = node.word().strip()
    if _INDEX.fullmatch(word):
        return str(int(word))
    if _UUID.fullmatch(word):
        return word
    raise node.mistake(
        "this is the index of a GPU such as 0, or its UUID (GPU-...)",
        hint="ds01 gpus and nvidia-smi -L tell them. A MIG instance cannot be shared.",
    )


def _number(node: Node) -> int:
    value = node.value
    if isinstance(value, int) and not isinstance(value, bool) and LEAST <= value <= MOST:
        return value
    raise node.mistake(f"this is a whole number from {LEAST} to {MOST}")
