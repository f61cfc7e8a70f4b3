"""Install the Debian packages that the rig needs."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

from .processes import RigError, system_environment, system_path

#: Program -> package that brings it.
PACKAGES = {
    "dockerd": "docker.io",
    "iptables": "iptables",
    "ip": "iproute2",
    "debootstrap": "debootstrap",
    "gcc": "gcc",
}
#: Package -> another that it needs for our use and does not bring.
COMPANIONS = {"gcc": "libc6-dev", "debootstrap": "debian-archive-keyring"}
#: Debian's service scripts ask this program whether they may start anything.
POLICY = Path("/usr/sbin/policy-rc.d")


def missing_packages() -> list[str]:
    """Packages whose programs are not on this machine."""
    present = {program for program in PACKAGES if shutil.which(program, path=system_path())}
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
    packages = [*missing, *(COMPANIONS[name] for name in missing if name in COMPANIONS)]
    environment = {**system_environment(), "DEBIAN_FRONTEND": "noninteractive"}
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


def fetch_program(
    package: str, program: str, directory: Path, environment: Mapping[str, str] | None = None
) -> Path:
    """Unpack a Debian package into `directory` and return the path of its program there.

    `environment` is apt-get's; None: our own.

    Nothing is installed: a package with a service would have it start at the machine's next boot.
    Raises RigError when apt-get cannot download the package.
    """
    unpacked = directory / package
    path = unpacked / "usr/bin" / program
    if path.exists():
        return path
    with tempfile.TemporaryDirectory(dir=directory) as name:
        # Without apt's own user, which may not write into a directory of root's.
        download = ["apt-get", "-o", "APT::Sandbox::User=root", "download", "-q", package]
        run = partial(subprocess.run, capture_output=True, text=True, env=environment)
        result = run(download, cwd=name)
        if result.returncode:
            run(["apt-get", "update", "-qq"])
            result = run(download, cwd=name)
        files = sorted(Path(name).glob("*.deb"))
        if result.returncode or not files:
            raise RigError(f"apt-get download {package} failed:\n{result.stderr[-1500:]}")
        fresh = Path(name) / "unpacked"
        subprocess.run(["dpkg-deb", "--extract", str(files[0]), str(fresh)], check=True)
        shutil.rmtree(unpacked, ignore_errors=True)
        fresh.rename(unpacked)
    return path
