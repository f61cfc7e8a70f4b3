"""Run all benchmarks: `python -m benchmarks [NAME ...]`, in the rig's environment."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys

from benchmarks.measure import Figure, table

ALL = ("containers", "loading", "snapshot", "placement", "ledger", "calls", "images")


def rig() -> None:
    """Take the variables of the rig, which `make bench` has started."""
    lines = subprocess.run(
        [sys.executable, "-m", "tests.rig", "env"], check=True, capture_output=True, text=True
    ).stdout.splitlines()
    for line in lines:
        if line.startswith("export "):
            name, _, value = line.removeprefix("export ").partition("=")
            os.environ[name] = value.strip("'")


def main(names: list[str]) -> int:
    """Measure and print; the exit status says whether every target was met."""
    rig()
    measured: list[Figure] = []
    for name in names or ALL:
        measured += importlib.import_module(f"benchmarks.{name}").figures()
        print(f"measured {name}", file=sys.stderr)
    print(table(measured))
    return 1 if any(figure.met is False for figure in measured) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
