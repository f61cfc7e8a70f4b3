"""Locks, pid files and waiting with a deadline."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path


class RigError(RuntimeError):
    """A part of the rig could not be started or stopped; the message says what to do."""


@contextlib.contextmanager
def file_lock(path: Path) -> Iterator[None]:
    """Hold an exclusive lock between processes. The kernel frees it when its holder dies."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def system_path() -> str:
    """The PATH and the directories of system programs, which `su` leaves out of it."""
    return os.pathsep.join([os.environ.get("PATH", "/usr/bin:/bin"), "/usr/sbin", "/sbin"])


def system_environment() -> dict[str, str]:
    """The environment for a system program."""
    return {**os.environ, "PATH": system_path()}


def wait_until(condition: Callable[[], bool], seconds: float, interval: float = 0.02) -> bool:
    """Ask again every `interval` seconds; return False when `seconds` have passed in vain."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() >= deadline:
            return False
        time.sleep(interval)
    return True


def command_line(pid: int) -> str:
    """The process's arguments joined by spaces; empty if it is gone or a zombie."""
    try:
        raw = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return ""
    return os.fsdecode(raw.replace(b"\0", b" ")).strip()


def has_ended(pid: int) -> bool:
    """Is this process gone? A child of ours that has ended is reaped."""
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    except ChildProcessError:
        # Not by the command line: that is empty for a moment while a process becomes its program.
        fields = _status(pid)
        return not fields or fields[0] in "ZX"


def recorded_process(pid_file: Path, mark: str) -> int | None:
    """The pid in a file, if a process with `mark` in its command line still has that pid.

    A pid file may outlive its process and the number may be given to a stranger, so the number
    alone is never trusted.
    """
    try:
        pid = int(pid_file.read_text())
    except (OSError, ValueError):
        return None
    return pid if mark in command_line(pid) else None


def processes_with(mark: str, program: str) -> list[int]:
    """Pids of all processes of a program that carry `mark` in their command line."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            line = command_line(int(entry.name))
            if mark in line and program in line.split(" ", 1)[0]:
                found.append(int(entry.name))
    return sorted(found)


def children_of(parent: int) -> list[int]:
    """Pids of the direct children of a process."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            fields = _status(int(entry.name))
            if fields and int(fields[1]) == parent:
                found.append(int(entry.name))
    return sorted(found)


def _status(pid: int) -> list[str]:
    """State, parent and so on from /proc; nothing for a process that is gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return []
    return text.rpartition(")")[2].split()  # the name in parentheses may hold spaces


def stop_process(pid_file: Path, mark: str, seconds: float) -> None:
    """Ask the recorded process to end, kill it after `seconds`, and remove its pid file.

    Raises RigError when even a kill does not end it within ten more seconds.
    """
    pid = recorded_process(pid_file, mark)
    if pid is not None:
        _signal(pid, signal.SIGTERM)
        if not wait_until(lambda: has_ended(pid), seconds):
            _signal(pid, signal.SIGKILL)
            if not wait_until(lambda: has_ended(pid), 10):
                raise RigError(f"process {pid} ({mark}) cannot be killed")
    pid_file.unlink(missing_ok=True)


def _signal(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
