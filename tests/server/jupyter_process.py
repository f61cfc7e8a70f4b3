"""A Jupyter server as people start it: a process of its own, found through its files."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
STARTING = 60.0


@dataclass
class JupyterProcess:
    """A running server; `environment` is what its terminals and other clients see."""

    pid: int
    url: str
    runtime: Path
    environment: dict[str, str]

    def ds01(self, *words: str, **more: Any) -> subprocess.CompletedProcess[str]:
        """Run the `ds01` command beside it."""
        return subprocess.run(
            [sys.executable, "-m", "ds01_jupyter", *words],
            env=self.environment,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=240,
            check=False,
            **more,
        )


@contextmanager
def started(folder: Path, config: dict[str, Any], *options: str) -> Iterator[JupyterProcess]:
    """Start a server with its folders below `folder`, and stop it. `config` is traitlets' JSON."""
    places = {
        "HOME": folder / "home",
        "JUPYTER_CONFIG_DIR": folder / "config",
        "JUPYTER_DATA_DIR": folder / "data",
        "JUPYTER_RUNTIME_DIR": folder / "runtime",
        "IPYTHONDIR": folder / "ipython",
    }
    for place in places.values():
        place.mkdir(parents=True, exist_ok=True)
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("JUPYTER", "JPY_", "DS01_SERVER", "DS01_TICKET"))
    }
    environment = {
        **kept,
        **{name: str(place) for name, place in places.items()},
        "PYTHONPATH": str(ROOT),
        "XDG_STATE_HOME": str(folder / "state"),
    }
    whole = {
        "ServerApp": {
            "jpserver_extensions": {"ds01_jupyter": True},
            "port": 0,
            "open_browser": False,
            "allow_root": True,
            **config.pop("ServerApp", {}),
        },
        **config,
    }
    (places["JUPYTER_CONFIG_DIR"] / "jupyter_server_config.json").write_text(json.dumps(whole))
    log = folder / "server.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "jupyter_server", *options],
            env=environment,
            cwd=folder,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        ticket = places["JUPYTER_RUNTIME_DIR"] / f"ds01-{process.pid}.json"
        deadline = time.monotonic() + STARTING
        while not (ticket.exists() and ticket.stat().st_size):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the server did not start:\n{log.read_text()}")
            time.sleep(0.05)
        url = json.loads(ticket.read_text())["url"]
        yield JupyterProcess(process.pid, url, ticket.parent, environment)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
