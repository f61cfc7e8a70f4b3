"""The simulated machine: a text file that the library reads again whenever it changes.

Each line is a kind and ``key=value`` words (quotes allow spaces)::

    sys  driver= nvml= cuda=  privileged=1  latency_us=0 init_us=0 init=0  mig_uuid=stable|fresh
    gpu  model=a100-40 uuid= pci= serial= name= minor= mig=0 pending= lost=0 util= mutil= temp=
         fan= power=(mW) limit=(mW) used=(MiB) sm= memclk=
    gi   gpu=2 id=7 profile=19 start=0          one GPU instance (profile is NVML's profile id)
    ci   gpu=2 gi=7 id=0 profile=0              its compute instance (idx= pins its MIG index)
    proc gpu=0 pid=123 used=4096 gi= ci= sm= type=C|G        used in MiB, -1: not available
    fail fn=nvmlDeviceGetTemperature|* gpu=0 code=3 us=2000  an NVML error and/or a delay
    xid  gpu=0 code=79 seq=1 gi= ci=            an event; seq must rise

GPUs are numbered in the order of their lines.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path

from .presets import preset


class Machine:
    """Reads and changes one machine file. Readers see a change at their next NVML call."""

    _ticks = 0

    def __init__(self, path: os.PathLike[str] | str) -> None:
        self.path = Path(path)

    def read(self) -> list[str]:
        """The machine's lines."""
        return self.path.read_text().splitlines()

    @contextlib.contextmanager
    def edit(self) -> Iterator[list[str]]:
        """Change the list in place; it is written when the block ends without an exception.

        The library takes the same lock as it writes back a repartition, so neither loses the
        other's change.
        """
        with Path(f"{self.path}.lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            lines = self.read() if self.path.exists() else []
            yield lines
            fresh = Path(f"{self.path}.py{os.getpid()}")
            fresh.write_text("\n".join(lines) + "\n")
            # Readers notice a change by the time stamp; two within one tick of the kernel's clock
            # would look alike.
            Machine._ticks += 1
            os.utime(fresh, ns=(time.time_ns() + Machine._ticks,) * 2)
            fresh.replace(self.path)

    def write_preset(self, name: str, tag: str | None = None) -> None:
        """Replace the whole machine by a preset ("lab", "dgx", ...).

        `tag` (eight hex digits) makes its UUIDs different from those of other machines; without
        one the machine keeps the UUIDs that it has by default.
        """
        with self.edit() as lines:
            lines[:] = preset(name, tag)

    def set(self, gpu: int, **values: object) -> None:
        """Set values of one GPU's line: ``machine.set(1, lost=1, temp=90)``.

        Raises IndexError when there is no such GPU.
        """
        with self.edit() as lines:
            at = [i for i, line in enumerate(lines) if line.split()[:1] == ["gpu"]][gpu]
            lines[at] = _with(lines[at], values)

    def sys(self, **values: object) -> None:
        """Set values of the driver's line: ``machine.sys(privileged=0, latency_us=200)``."""
        with self.edit() as lines:
            for i, line in enumerate(lines):
                if line.split()[:1] == ["sys"]:
                    lines[i] = _with(line, values)
                    return
            lines.insert(0, _with("sys", values))

    def add(self, line: str) -> None:
        """Append a line."""
        with self.edit() as lines:
            lines.append(line)

    def drop(self, prefix: str) -> None:
        """Remove every line that begins with `prefix`."""
        with self.edit() as lines:
            lines[:] = [line for line in lines if not line.startswith(prefix)]

    def env(self, library: Path) -> dict[str, str]:
        """An environment in which a child process finds the library and this machine."""
        return {**os.environ, **env(library), "FAKENVML_STATE": str(self.path)}

    def load_here(self, library: Path) -> ctypes.CDLL:
        """Load the library into this process and have it show this machine."""
        os.environ["FAKENVML_STATE"] = str(self.path)
        return load_here(library)


def _with(line: str, values: dict[str, object]) -> str:
    for key, value in values.items():
        line = re.sub(rf'\s{key}=("[^"]*"|\S+)', "", line)
        text = str(value)
        line += f' {key}="{text}"' if " " in text else f" {key}={text}"
    return line


def env(library: Path) -> dict[str, str]:
    """Variables by which the product, and anything else that loads NVML, finds the library."""
    inherited = os.environ.get("LD_LIBRARY_PATH")
    search = [str(library.parent), *([inherited] if inherited else [])]
    return {
        "DS01_NVML_LIBRARY": str(library),
        "LD_LIBRARY_PATH": os.pathsep.join(search),
    }


def load_here(library: Path) -> ctypes.CDLL:
    """Load the library into this process.

    From then on the dynamic linker answers for its SONAME with it, so pynvml finds it as it would
    find the real one. One process can only ever have one such library; the machine may change.
    """
    return ctypes.CDLL(str(library), mode=ctypes.RTLD_GLOBAL)
