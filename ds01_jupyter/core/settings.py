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
    domains: tuple[str, ...] = ()
    """Domains of names that are this machine's own: with `lab.example`, the name
    `u.ser@lab.example` in the limits means `u.ser`."""
    admins: tuple[str, ...] = ("root",)
    """Names of the accounts that may do what concerns everybody, such as change the MIG layout;
    root (uid 0) always may."""
    ignored_xids: tuple[int, ...] = (13, 31, 43, 45, 68, 109)
    """XID errors for which no GPU is taken out of use: faults of programs, not of the GPU."""
