"""What the processes work on: an engine, a simulated driver, a ledger and people of their own."""

from __future__ import annotations

import io
import json
import os
import secrets
import shutil
import subprocess
import tarfile
import tempfile
from hashlib import sha256
from pathlib import Path
from typing import IO, Any

from ds01_jupyter.core.identity import Person
from ds01_jupyter.core.image_draft import UID_LABEL
from ds01_jupyter.core.settings import Settings
from tests.rig import engine_api
from tests.rig.dockerd import Engine
from tests.rig.nvml import Machine, build
from tests.rig.paths import RigPaths
from tests.rig.processes import RigError, system_path

FIRST_UID = 71_001
PEOPLE = 5
ARMED = 3
"""People whose processes die at a named step; the others are killed at random."""

#: PID 1 of a container: like AIME's shell it ends on SIGHUP, and does nothing else.
PAUSE = r"""
#include <signal.h>
#include <unistd.h>
static void end(int number) { _exit(128 + number); }
int main(void) {
    signal(SIGHUP, end);
    signal(SIGTERM, end);
    for (;;) pause();
}
"""
LIMITS = """
defaults:
  max_cpus: null
  memory: 64m
  pids_limit: 50
  max_containers_per_user: 4
  max_mig_instances: 2
  max_slots_per_container: 2
  priority: 10
groups:
  student: {members: []}
default_group: student
"""


class World:
    """One run's private machine; `close` leaves nothing of it."""

    def __init__(self) -> None:
        self.root = Path(tempfile.mkdtemp(prefix="ds01-chaos-", dir="/var/tmp"))
        self.root.chmod(0o711)
        self.paths = RigPaths(self.root)
        self.engine = Engine(self.paths)
        self.library = build(RigPaths.default().root)
        self.machine = Machine(self.root / "nvml.state")
        self.ledger = self.root / "ledger" / "ledger.sqlite"
        self.logs = self.root / "logs"

    def open(self) -> None:
        """Start the engine, and make images, people and the simulated driver."""
        self.logs.mkdir()
        (self.root / "limits.yaml").write_text(LIMITS)
        self.machine.write_preset("lab", tag=secrets.token_hex(4))
        os.environ["FAKENVML_STATE"] = str(self.machine.path)
        rows = []
        for uid in range(FIRST_UID, FIRST_UID + PEOPLE + ARMED):
            home = self.root / f"home{uid}"
            home.mkdir()
            os.chown(home, uid, uid)
            rows.append(f"Chaos{uid}, 1.0, [CUDA_ADA], chaos/base-{uid}\n")
        (self.root / "ml_images.repo").write_text("".join(rows))
        self.engine.up()
        with _images(self.root) as archive:
            engine_api.load_images(self.paths.socket, archive)

    def close(self) -> None:
        """Stop the engine and remove every file, also after an `open` that failed."""
        self.engine.down(purge=True)
        shutil.rmtree(self.root, ignore_errors=True)

    def person(self, number: int) -> Person:
        """One of the `PEOPLE`; the `ARMED` come after them."""
        uid = FIRST_UID + number
        return Person(f"chaos{uid}", uid, uid, self.root / f"home{uid}")

    def people(self) -> list[Person]:
        """Everybody."""
        return [self.person(number) for number in range(PEOPLE + ARMED)]

    def settings(self, reconcile_seconds: float = 0.0) -> Settings:
        """Settings of a lab in this world."""
        return Settings(
            docker_host=self.paths.docker_host,
            nvml_library=str(self.library),
            ledger=self.ledger,
            limits=self.root / "limits.yaml",
            catalogue=self.root / "ml_images.repo",
            architecture="CUDA_ADA",
            reconcile_seconds=reconcile_seconds,
        )

    def docker(self, url: str) -> Any:
        """The engine's answer to a GET."""
        return engine_api.get(self.paths.socket, url)


def _images(root: Path) -> IO[bytes]:
    """An archive as of `docker save`: for everybody an image that has their account already, so
    that a container of theirs costs no step of a build."""
    source, program = root / "pause.c", root / "pause"
    source.write_text(PAUSE)
    command = ["gcc", "-O2", "-static", "-o", str(program), str(source)]
    done = subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, "PATH": system_path()}
    )
    if done.returncode:
        raise RigError(f"the containers' program does not compile: {done.stderr}")
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as tar:
        for directory in ("bin", "tmp", "workspace"):
            entry = tarfile.TarInfo(directory)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(entry)
        entry = tarfile.TarInfo("bin/bash")
        content = program.read_bytes()
        entry.size, entry.mode = len(content), 0o755
        tar.addfile(entry, io.BytesIO(content))
    files = {"layer.tar": layer.getvalue()}
    manifest = []
    for uid in range(FIRST_UID, FIRST_UID + PEOPLE + ARMED):
        config = {
            "architecture": {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine],
            "os": "linux",
            "created": "2024-12-01T00:00:00Z",
            "config": {"Env": ["PATH=/bin"], "Cmd": ["bash"], "Labels": {UID_LABEL: str(uid)}},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{_digest(files['layer.tar'])}"]},
            "history": [{"created": "2024-12-01T00:00:00Z", "created_by": "chaos"}],
        }
        text = json.dumps(config).encode()
        name = f"{_digest(text)}.json"
        files[name] = text
        tag = f"chaos/base-{uid}:latest"
        manifest.append({"Config": name, "RepoTags": [tag], "Layers": ["layer.tar"]})
    files["manifest.json"] = json.dumps(manifest).encode()
    archive = tempfile.TemporaryFile(dir=root)  # noqa: SIM115 - the caller closes it
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    archive.seek(0)
    return archive


def _digest(content: bytes) -> str:
    return sha256(content).hexdigest()
