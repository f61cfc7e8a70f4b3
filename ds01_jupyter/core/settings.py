"""Where the core finds its files and its engine. Filled from traitlets, a test, or by hand."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

import platformdirs

DATA = Path(__file__).parent / "data"
SYSTEM_CONFIG = Path("/etc/ds01")
SYSTEM_STATE = Path("/var/lib/ds01")


def _configured(name: str) -> Path:
    """The admin's file when there is one, else the one shipped with the package."""
    own = SYSTEM_CONFIG / name
    return own if own.exists() else DATA / name


def default_ledger() -> Path:
    """The host's shared ledger where an admin made one, else one of the user's own."""
    if os.access(SYSTEM_STATE, os.W_OK | os.X_OK):
        return SYSTEM_STATE / "ledger.sqlite"
    return Path(platformdirs.user_state_dir("ds01")) / "ledger.sqlite"


@dataclass(frozen=True)
class Settings:
    """One value a setting; see `DS01App` for their meaning to an admin."""

    docker_host: str = ""
    """URL of the engine; empty: as the docker command finds it (DOCKER_HOST, default socket)."""
    nvml_library: str = ""
    """Path of a libnvidia-ml.so.1 to load in place of the system's (the simulated driver)."""
    ledger: Path = field(default_factory=default_ledger)
    catalogue: Path = field(default_factory=lambda: _configured("ml_images.repo"))
    tiers: Path = field(default_factory=lambda: _configured("tiers.yaml"))
    limits: Path = field(default_factory=lambda: _configured("resource-limits.yaml"))
    architecture: str = ""
    """Architecture of the catalogue (CUDA_ADA, ...); empty: ask the driver."""
    workspace_roots: tuple[str, ...] = ("~",)
    """Folders under which a workspace may lie; `~` is the home of the person."""
    data_roots: tuple[str, ...] = ("/data", "/datasets", "~")
    model_roots: tuple[str, ...] = ("/models", "~")
    dockerfiles: str = "~/dockerfiles"
    parallel_operations: int = 4
    reconcile_seconds: float = 60.0
    """How often the ledger is brought in line with Docker besides on Docker's events; 0: only when
    somebody asks for something."""
    idle_gpu_percent: float = 5.0
    """Utilisation of a GPU below which a container is idle."""
    idle_cpu_percent: float = 5.0
    """Likewise its CPU, in per cent of one core, where its GPUs tell nothing."""
    idle_network_rate: float = 10_000.0
    """Likewise its network, in bytes a second in and out."""
    keep_alive_hours: float = 24.0
    """For how long a person can put an idle stop off at a time."""
    stop_grace_seconds: float = 10.0
    """How long processes have between being asked to end and being killed, when a container is
    stopped for its time."""
    domains: tuple[str, ...] = ()
    """Domains of names that are this machine's own: with `lab.example`, the name
    `u.ser@lab.example` in the limits means `u.ser`."""
    admins: tuple[str, ...] = ("root",)
    """Names of the accounts that may do what concerns everybody, such as change the MIG layout;
    root (uid 0) always may."""
    build_route: str = "auto"
    """How images are built: `auto`, `api`, `buildx` or `classic`; see `build_routes`."""
    buildx: str = ""
    """Path of Docker's buildx plugin; empty: Docker's folders are looked through."""
    package_indexes: tuple[str, ...] = ()
    """URLs of the package indexes that builds use in place of the public one; the first comes
    first. None may carry a user or password."""
    apt_mirror: str = ""
    """URL that takes the place of the hosts of Debian and Ubuntu in builds; empty: as the base
    image has it."""
    ca_bundle: str = ""
    """PEM file with certificates that builds trust besides those of the base image."""
    allowed_images: tuple[str, ...] = ()
    """Patterns of the images that a Dockerfile may build on, besides those of the catalogue; empty:
    any."""
    build_minutes: float = 0.0
    """Minutes that making an image may take, from its turn on; 0: as long as it takes."""
    image_gigabytes: float = 0.0
    """Gigabytes (10^9 bytes) that an image may have in all, its base included; 0: any."""
    parallel_builds: int = 2
    """How many images are built at the same time on this machine; the others wait in turn."""
    ignored_xids: tuple[int, ...] = (13, 31, 43, 45, 68, 109)
    """XID errors for which no GPU is taken out of use: faults of programs, not of the GPU."""
