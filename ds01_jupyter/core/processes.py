"""Who a process is, whether it is still alive, and which container and person it belongs to."""

from __future__ import annotations

import os
import pwd
import re
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path

PROC = Path("/proc")


@dataclass(frozen=True)
class ProcessIdentity:
    """A process for good: a pid alone is used again, and after a reboot means nothing.

    `start_ticks` is its start in clock ticks since boot, `namespace` the inode of its pid
    namespace (pids of another namespace cannot be looked up here).
    """

    pid: int
    start_ticks: int
    boot_id: str
    namespace: int


def process_identity() -> ProcessIdentity:
    """This process."""
    return _identity(os.getpid())


@cache
def _identity(pid: int) -> ProcessIdentity:
    ticks = start_ticks(pid)
    if ticks is None:
        raise OSError("/proc does not show this very process")
    return ProcessIdentity(pid, ticks, boot_id(), _namespace())


@cache
def boot_id() -> str:
    """The kernel's name for the time since the last boot."""
    return (PROC / "sys/kernel/random/boot_id").read_text().strip()


def boot_seconds() -> float:
    """Seconds since boot, sleep included; never set back, unlike the wall clock."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def is_alive(identity: ProcessIdentity) -> bool:
    """False only when that process is certainly gone; in doubt it counts as alive."""
    if identity.boot_id != boot_id():
        return False
    if is_elsewhere(identity):
        return True  # unless the ledger knows better (`ledger_signs`)
    ticks = start_ticks(identity.pid)
    if ticks is not None:
        return ticks == identity.start_ticks
    # Not visible is not gone: /proc may be mounted with hidepid. The kernel tells by kill(2).
    return _exists(identity.pid) and not _is_zombie(identity.pid)


def is_elsewhere(identity: ProcessIdentity) -> bool:
    """Whether that process is in another pid namespace of this boot: its pid says nothing here."""
    return identity.boot_id == boot_id() and identity.namespace != _namespace()


def start_ticks(pid: int) -> int | None:
    """Start of a process in ticks since boot; None when there is none, or only a zombie."""
    fields = _stat_fields(pid)
    if fields is None or fields[0] in ("Z", "X"):
        return None
    return int(fields[19])


def container_of_pid(pid: int) -> str | None:
    """The full id of the container that a process runs in, from its cgroup; None on the host.

    Understands cgroup v1 and v2, the cgroupfs and systemd drivers, and any parent slice. Of
    containers within containers it is the outermost: the one that this machine's engine knows.
    """
    try:
        text = (PROC / str(pid) / "cgroup").read_text()
    except OSError:
        return None
    for line in text.splitlines():
        path = line.split(":", 2)[-1]
        if match := _CONTAINER.search(path):
            return match.group(1)
    return None


def user_of_pid(pid: int) -> str | None:
    """Name of the account that a process runs as (its number where it has no name)."""
    try:
        status = (PROC / str(pid) / "status").read_text()
    except OSError:
        return None
    match = re.search(r"^Uid:\s+\d+\s+(\d+)", status, re.MULTILINE)
    return None if match is None else _user_name(int(match.group(1)))


# `/docker/<id>`, `/ds01-students.slice/docker-<id>.scope`, `/ds01-students.slice/<id>`
_CONTAINER = re.compile(r"(?:^|[/-])([0-9a-f]{64})(?=\.scope|/|$)")


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _stat_fields(pid: int) -> list[str] | None:
    """Fields of /proc/PID/stat from the third (state) on; the name before may hold anything."""
    try:
        text = (PROC / str(pid) / "stat").read_text()
    except OSError:
        return None
    return text.rpartition(")")[2].split()


def _is_zombie(pid: int) -> bool:
    fields = _stat_fields(pid)
    return fields is not None and fields[0] in ("Z", "X")


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _namespace() -> int:
    return (PROC / "self/ns/pid").stat().st_ino
