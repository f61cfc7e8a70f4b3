"""Install the Debian packages that the rig needs."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from .processes import RigError

#: Program -> package that brings it.
PACKAGES = {
    "dockerd": "docker.io",
    "iptables": "iptables",
    "ip": "iproute2",
    "debootstrap": "debootstrap",
    "gcc": "gcc",
}
#: Debian's service scripts ask this program whether they may start anything.
POLICY = Path("/usr/sbin/policy-rc.d")


def missing_packages() -> list[str]:
    """Packages whose programs are not on this machine."""
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])
    present = {program for program in PACKAGES if shutil.which(program, path=path)}
    return [package for program, package in PACKAGES.items() if program not in present]


def install_packages() -> list[str]:
    """Install what is missing and return the packages' names.

    No service is started or restarted by it. Raises RigError when a program is still missing
    afterwards; complaints of the packages' scripts about a service manager that is not there are
    no error.
    """
    missing = missing_packages()
    if not missing:
        return []
    # gcc alone comes without the C library's headers.
    packages = [*missing, *(["libc6-dev"] if "gcc" in missing else [])]
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    with _no_service_starts():
        subprocess.run(["apt-get", "update", "-qq"], env=environment)
        result = subprocess.run(
            ["apt-get", "install", "-y", "--no-install-recommends", *packages],
            env=environment,
            capture_output=True,
            text=True,
        )
    still = missing_packages()
    if still:
        output = f"{result.stdout[-1500:]}{result.stderr[-1500:]}"
        raise RigError(f"apt-get did not install {', '.join(still)}:\n{output}")
    return missing


@contextlib.contextmanager
def _no_service_starts() -> Iterator[None]:
    """Forbid service starts during the installation, unless the machine has its own policy."""
    if POLICY.exists():
        yield
        return
    POLICY.write_text("#!/bin/sh\nexit 101\n")
    POLICY.chmod(0o755)
    try:
        yield
    finally:
        POLICY.unlink()
