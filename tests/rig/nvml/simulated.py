"""Compile the simulated driver library."""

from __future__ import annotations

import hashlib
import importlib.machinery
import os
import re
import subprocess
import sys
from pathlib import Path

from ..paths import REPOSITORY
from ..processes import RigError

SONAME = "libnvidia-ml.so.1"
_SOURCES = Path(__file__).parent


def _pynvml_symbols() -> list[str]:
    """Every C function that the installed pynvml may look up; none without pynvml.

    The rig may run in the machine's plain Python while the tests have theirs in the project's
    virtual environment, so that is searched too.
    """
    environments = map(str, REPOSITORY.glob(".venv/lib/python3*/site-packages"))
    spec = importlib.machinery.PathFinder.find_spec("pynvml", [*sys.path, *environments])
    if spec is None or spec.origin is None:
        return []
    source = Path(spec.origin).read_text()
    return sorted(set(re.findall(r'_nvmlGetFunctionPointer\("(\w+)"\)', source)))


def _stubs() -> str:
    """C functions for everything that pynvml knows and the simulation does not implement.

    They answer NOT_SUPPORTED (3), as a driver does for what its product lacks. Without them pynvml
    would report a driver that is too old, and nvitop would guess other structures. They are weak:
    an implementation takes precedence.
    """
    attributes = '__attribute__((weak, visibility("default")))'
    return "".join(f"{attributes} int {name}(void) {{ return 3; }}\n" for name in _pynvml_symbols())


def build(out_dir: os.PathLike[str] | str, *, old_driver: bool = False) -> Path:
    """Compile the library below `out_dir`, or find it there, and return the path of the file.

    `old_driver` leaves out what a driver of the 470 series does not have, and every stub. Use it
    in a process of its own: pynvml remembers a library's functions. Raises RigError when there is
    no compiler.
    """
    sources = sorted(_SOURCES.glob("*.c"))
    stubs = "" if old_driver else _stubs()
    digest = hashlib.sha256(repr((old_driver, stubs)).encode())
    for source in [*sources, *sorted(_SOURCES.glob("*.h"))]:
        digest.update(source.read_bytes())
    directory = Path(out_dir) / f"nvml-{digest.hexdigest()[:16]}"
    library = directory / SONAME
    if library.exists():
        return library
    directory.mkdir(parents=True, exist_ok=True)
    fresh = directory / f"{os.getpid()}.so"
    command = ["gcc", "-O2", "-Wall", "-fPIC", "-shared", "-fvisibility=hidden"]
    command += [f"-Wl,-soname,{SONAME}", "-o", str(fresh)]
    command += ["-DOLD_DRIVER"] if old_driver else []
    command += [*map(str, sources), "-x", "c", "-", "-lpthread"]
    try:
        subprocess.run(command, input=stubs, check=True, capture_output=True, text=True)
    except FileNotFoundError:
        raise RigError("gcc is missing: apt-get install gcc libc6-dev") from None
    except subprocess.CalledProcessError as error:
        raise RigError(f"the simulated driver does not compile:\n{error.stderr}") from error
    fresh.replace(library)  # several test processes may build at once; the last one wins
    return library
