"""A real Jupyter Server with the extension, in folders of its own."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from benchmarks.measure import with_bytecode

TOKEN = "benchmark"


@dataclass(frozen=True)
class Server:
    """A running server: its base URL, process and a client that is let in."""

    url: str
    process: subprocess.Popen[bytes]
    http: httpx.Client
    started: float
    """Seconds from process start to the first answer."""

    def memory(self) -> int:
        """Resident bytes of the server process."""
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        line = next(line for line in text.splitlines() if line.startswith("VmRSS:"))
        return int(line.split()[1]) * 1024


@contextmanager
def jupyter_server(
    port: int, *, extension: bool, options: tuple[str, ...] = (), env: dict[str, str] | None = None
) -> Iterator[Server]:
    """Start `jupyter server` with only this extension, or with none."""
    with tempfile.TemporaryDirectory(prefix="ds01-bench-") as folder:
        root = Path(folder)
        environment = {
            **with_bytecode(),
            **(env or {}),
            "HOME": folder,
            "XDG_STATE_HOME": str(root / "state"),
            "JUPYTER_RUNTIME_DIR": str(root / "runtime"),
            "JUPYTER_CONFIG_DIR": str(root / "config"),
            "JUPYTER_DATA_DIR": str(root / "data"),
        }
        extensions = {"ds01_jupyter": True} if extension else {}
        command = [
            sys.executable,
            "-m",
            "jupyter_server",
            "--allow-root",
            "--no-browser",
            f"--ServerApp.port={port}",
            "--ServerApp.port_retries=0",
            f"--IdentityProvider.token={TOKEN}",
            f"--ServerApp.jpserver_extensions={extensions}",
            f"--ServerApp.root_dir={folder}",
            "--ServerApp.config_file=/dev/null",
            *options,
        ]
        with (root / "log").open("wb") as log:
            begin = time.perf_counter()
            process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        http = httpx.Client(
            base_url=f"http://127.0.0.1:{port}",
            headers={"Authorization": f"token {TOKEN}"},
            timeout=60,
        )
        try:
            while True:
                try:
                    http.get("/api").raise_for_status()
                    break
                except httpx.TransportError:
                    if process.poll() is not None:
                        raise RuntimeError((root / "log").read_text()) from None
                    if time.perf_counter() - begin > 60:
                        raise
                    time.sleep(0.002)
            url = f"http://127.0.0.1:{port}"
            yield Server(url, process, http, time.perf_counter() - begin)
        finally:
            http.close()
            process.terminate()
            process.wait(30)
