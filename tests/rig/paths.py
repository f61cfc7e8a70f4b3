"""Where the rig keeps its files."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class RigPaths:
    """All paths and names of one rig; two rigs with different roots share nothing."""

    root: Path

    @classmethod
    def default(cls) -> RigPaths:
        """The rig in ``$DS01_RIG_DIR``, or in ``.rig`` of this repository."""
        configured = os.environ.get("DS01_RIG_DIR")
        return cls((Path(configured) if configured else REPOSITORY / ".rig").resolve())

    @property
    def key(self) -> str:
        """Eight hex digits that stand for the root in names which must be short."""
        return hashlib.sha256(os.fsencode(self.root)).hexdigest()[:8]

    @property
    def run(self) -> Path:
        """Sockets, pid files and the engine's state: a Unix socket's path is limited to 108 bytes,
        and the repository may lie deeper than that.
        """
        return Path(f"/run/ds01-rig-{self.key}")

    @property
    def bridge(self) -> str:
        """The network interface of this engine (the kernel allows 15 characters)."""
        return f"ds01r{self.key[:6]}"

    @property
    def data(self) -> Path:
        """The engine's images, containers and volumes."""
        return self.root / "data"

    @property
    def bin(self) -> Path:
        """Programs that only this engine finds on its PATH."""
        return self.root / "bin"

    @property
    def cache(self) -> Path:
        """Things that are slow to make and can be made again."""
        return self.root / "cache"

    @property
    def hook_log(self) -> Path:
        """One JSON line for each container that was started with GPUs."""
        return self.root / "hook.jsonl"

    @property
    def nvml_state(self) -> Path:
        """The simulated machine that ``env`` names."""
        return self.root / "nvml.state"

    @property
    def socket(self) -> Path:
        return self.run / "docker.sock"

    @property
    def docker_host(self) -> str:
        """What DOCKER_HOST must hold to reach this engine."""
        return f"unix://{self.socket}"

    def make_directories(self) -> None:
        """Create the directories, readable by root only where the engine is reached from."""
        for directory in (self.root, self.data, self.bin, self.cache):
            directory.mkdir(parents=True, exist_ok=True)
        self.run.mkdir(mode=0o700, exist_ok=True)
