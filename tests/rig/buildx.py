"""Docker's buildx plugin: that of this machine, else Debian's, unpacked and not installed."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path

from ds01_jupyter.core.buildx import find_buildx

from .install import fetch_program
from .paths import RigPaths
from .processes import RigError, file_lock

PACKAGE = "docker-buildx"
PROGRAM = Path("usr/libexec/docker/cli-plugins/docker-buildx")
#: The first release of Debian that has the package; its program also runs on the one before.
SUITE = "trixie"
SOURCE = "http://deb.debian.org/debian"
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


def ensure_buildx(paths: RigPaths) -> Path:
    """The plugin's program; raises RigError when it can be had from nowhere."""
    installed = find_buildx()
    if installed is not None:
        return installed
    path = paths.cache / PACKAGE / PROGRAM
    with file_lock(paths.cache / "buildx.lock"):
        if not path.exists():
            _fetch(paths)
    if not os.access(path, os.X_OK):
        raise RigError(f"{PACKAGE} has no program at {PROGRAM}")
    return path


def _fetch(paths: RigPaths) -> None:
    """Unpack the package with lists of packages of our own: the machine's stay as they are."""
    with tempfile.TemporaryDirectory(dir=paths.cache) as name:
        folder = Path(name)
        for part in ("lists/partial", "cache/archives/partial", "parts"):
            (folder / part).mkdir(parents=True)
        sources = folder / "sources.list"
        sources.write_text(f"deb [signed-by={KEYRING}] {SOURCE} {SUITE} main\n")
        configuration = folder / "apt.conf"
        configuration.write_text(
            f'Dir::Etc::sourcelist "{sources}";\n'
            f'Dir::Etc::sourceparts "{folder / "parts"}";\n'
            f'Dir::State::lists "{folder / "lists"}";\n'
            f'Dir::Cache "{folder / "cache"}";\n'
            'APT::Sandbox::User "root";\n'
        )
        environment = {**os.environ, "APT_CONFIG": str(configuration)}
        subprocess.run(["apt-get", "update", "-qq"], env=environment, capture_output=True)
        fetch_program(PACKAGE, PROGRAM.name, paths.cache, environment)
