"""Keep the engine's firewall rules apart from those of every other Docker engine.

All engines of a machine use chains of the same names, and each empties them as it starts: the
published ports of the others are then dead until those start anew. Docker calls `iptables` by its
name, so this engine finds one on its PATH that gives the chains names of their own. It also makes
clear which rules are to be removed after the engine stops.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

from .paths import RigPaths
from .processes import system_environment

PROGRAMS = ("iptables", "ip6tables")
TABLES = ("filter", "nat", "mangle", "raw")
FORWARDING = Path("/proc/sys/net/ipv4/ip_forward")

_WRAPPER = """\
#!/bin/sh
# Gives Docker's chains names that no other engine uses.
for word; do
    shift
    case $word in DOCKER | DOCKER-*) word={prefix}${{word#DOCKER}} ;; esac
    set -- "$@" "$word"
done
exec {program} "$@"
"""


def chain_prefix(paths: RigPaths) -> str:
    """What stands for `DOCKER` in this engine's chains (their names are limited to 28 bytes)."""
    return f"DS{paths.key[:6]}"


def write_wrappers(paths: RigPaths, search: str) -> None:
    """Put the renaming programs into the engine's own PATH; the real ones are found in `search`."""
    for name in PROGRAMS:
        program = shutil.which(name, path=search)
        if program is not None:
            text = _WRAPPER.format(prefix=chain_prefix(paths), program=shlex.quote(program))
            fresh = paths.bin / f"{name}.{os.getpid()}"
            fresh.write_text(text)
            fresh.chmod(0o755)
            fresh.replace(paths.bin / name)


def enable_forwarding(paths: RigPaths) -> None:
    """Let the machine forward packets, as an engine does, and note how it was.

    An engine that finds it off also makes the machine drop all other forwarded packets. This comes
    before that.
    """
    record = paths.run / "forwarding"
    if not record.exists():
        record.write_text(FORWARDING.read_text())
    FORWARDING.write_text("1\n")


def restore(paths: RigPaths, bridges: list[str], subnets: list[str]) -> None:
    """Remove this engine's chains and the rules for its interfaces and networks.

    Forwarding is switched off again if it was off before and no other engine's chains are there.
    """
    chains: list[str] = []
    for program in PROGRAMS:
        for table in TABLES:
            chains += _clean(program, table, chain_prefix(paths), {*bridges, *subnets})
    record = paths.run / "forwarding"
    if record.exists():
        others = [name for name in chains if re.match(r"DOCKER$|DS[0-9a-f]{6}$", name)]
        if not others:
            FORWARDING.write_text(record.read_text())
        record.unlink()


def _clean(program: str, table: str, prefix: str, names: set[str]) -> list[str]:
    """Clean one table and return the names of the chains that remain in it."""
    rules = [shlex.split(rule) for rule in _run(program, table, "-S").splitlines()]
    chains = [words[1] for words in rules if words[0] == "-N"]
    own = [name for name in chains if name == prefix or name.startswith(f"{prefix}-")]
    for words in rules:
        if words[0] == "-A" and words[1] not in own and not {*own, *names}.isdisjoint(words):
            _run(program, table, "-D", *words[1:])
    for name in own:
        _run(program, table, "-F", name)
    for name in own:
        _run(program, table, "-X", name)
    return [name for name in chains if name not in own]


def _run(program: str, table: str, *arguments: str) -> str:
    """What the program prints (it waits for its lock); nothing when it is missing or refuses."""
    command = [program, "-w", "10", "-t", table, *arguments]
    try:
        result = subprocess.run(command, capture_output=True, text=True, env=system_environment())
    except FileNotFoundError:
        return ""
    return result.stdout if result.returncode == 0 else ""
