"""The recording GPU hook: built for the private engine, read by tests."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .paths import RigPaths
from .processes import RigError

SOURCE = Path(__file__).with_name("hook.c")
NAME = "nvidia-container-runtime-hook"


@dataclass(frozen=True)
class HookRecord:
    """What one container was given as it started."""

    container_id: str
    #: Every value of NVIDIA_VISIBLE_DEVICES in the container's environment, in its order.
    devices: tuple[str, ...]
    #: Seconds since 1970.
    time: float


def build_hook(paths: RigPaths) -> Path:
    """Compile the hook into the engine's own PATH unless it is there and newer than its source.

    Raises RigError when there is no compiler.
    """
    program = paths.bin / NAME
    if program.exists() and program.stat().st_mtime_ns >= SOURCE.stat().st_mtime_ns:
        return program
    paths.bin.mkdir(parents=True, exist_ok=True)
    fresh = program.with_suffix(f".{os.getpid()}")
    try:
        subprocess.run(
            ["gcc", "-O2", "-Wall", "-o", str(fresh), str(SOURCE)],
            check=True,
            capture_output=True,
            text=True,
        )
    except FileNotFoundError:
        raise RigError("gcc is missing: apt-get install gcc libc6-dev") from None
    except subprocess.CalledProcessError as error:
        raise RigError(f"hook.c does not compile: {error.stderr}") from error
    fresh.replace(program)
    return program


def hook_records(paths: RigPaths, container_id: str | None = None) -> list[HookRecord]:
    """All records so far in the order of the starts, or those of one container."""
    try:
        lines = paths.hook_log.read_text().splitlines()
    except FileNotFoundError:
        return []
    records = []
    for line in lines:
        entry = json.loads(line)
        if container_id in (None, entry["id"]):
            records.append(HookRecord(entry["id"], tuple(entry["devices"]), entry["time"]))
    return records


@contextlib.contextmanager
def refusing_device(paths: RigPaths, device: str) -> Iterator[None]:
    """While this is open, no container with that device UUID starts ("unknown device")."""
    marker = paths.root / "hook-fail" / device
    marker.parent.mkdir(exist_ok=True)
    marker.touch()
    try:
        yield
    finally:
        marker.unlink(missing_ok=True)
