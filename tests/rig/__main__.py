"""Start, stop and show the rig: ``python3 -m tests.rig VERB``."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
import time

from . import base_image, engine_api, users
from .dockerd import Engine
from .install import install_packages
from .nvml import PRESETS, Machine, build
from .paths import RigPaths
from .processes import RigError


def environment(paths: RigPaths) -> dict[str, str]:
    """The variables by which the product finds the rig's parts."""
    return {
        "DOCKER_HOST": paths.docker_host,
        "DS01_NVML_LIBRARY": str(build(paths.root)),
        "FAKENVML_STATE": str(paths.nvml_state),
    }


def export_lines(paths: RigPaths) -> str:
    """The same for a shell's ``eval``."""
    pairs = environment(paths).items()
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in pairs)


def up(paths: RigPaths, options: argparse.Namespace) -> None:
    """Start what is not running."""
    began = time.monotonic()
    if options.install:
        install_packages()
    paths.root.mkdir(parents=True, exist_ok=True)
    machine = Machine(paths.nvml_state)
    if options.preset or not machine.path.exists():
        machine.write_preset(options.preset or "lab")
    if not options.no_engine:
        started = Engine(paths).up()
        users.keep(paths)
        loaded = base_image.ensure_images(paths)
        print(f"# engine {'started' if started else 'was running'}, images", end=" ")
        print("loaded" if loaded else "were there", f"({time.monotonic() - began:.1f} s)")
        (paths.root / "READY").write_text(export_lines(paths))
    print(export_lines(paths), end="")


def main(arguments: list[str] | None = None) -> int:
    """Run one verb and return the exit status."""
    parser = argparse.ArgumentParser(prog="python3 -m tests.rig", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    verb = verbs.add_parser("up", help="start what is not running")
    verb.add_argument("--no-engine", action="store_true", help="the simulated driver only")
    verb.add_argument("--preset", choices=sorted(PRESETS), help="the simulated machine")
    verb.add_argument("--install", action="store_true", help="install missing packages with apt")
    verb = verbs.add_parser("down", help="stop the engine and clean up after it")
    verb.add_argument("--purge", action="store_true", help="remove its images and containers too")
    verbs.add_parser("status", help="say what runs")
    verbs.add_parser("env", help="print variables for eval")
    verbs.add_parser("images", help="list the engine's images")
    options = parser.parse_args(arguments)
    paths = RigPaths.default()
    try:
        if options.verb == "up":
            up(paths, options)
        elif options.verb == "down":
            (paths.root / "READY").unlink(missing_ok=True)
            Engine(paths).down(purge=options.purge)
        elif options.verb == "status":
            facts = Engine(paths).describe()
            print(json.dumps(facts, indent=2))
            return 0 if facts["healthy"] else 3
        elif options.verb == "env":
            print(export_lines(paths), end="")
        else:
            if not Engine(paths).is_healthy():
                raise RigError("the engine does not run: python3 -m tests.rig up")
            for image in engine_api.get(paths.socket, "/images/json"):
                size = f"{image['Size'] / 1e6:.0f} MB"
                print(f"{image['Id'][7:19]}  {size:>8}  {' '.join(image['RepoTags'] or [])}")
    except (RigError, OSError) as error:
        print(f"rig: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
