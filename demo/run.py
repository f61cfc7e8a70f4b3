"""The main job from end to end, on real parts: an image, a slot, a running container, JupyterLab.

`make demo` runs this in the rig: a Docker engine of its own, a simulated NVIDIA driver under the
real pynvml, stand-ins for AIME's base images. Everything goes through the running Jupyter Server,
exactly as a person's `ds01 create` does. DEMO_LAB=0 leaves JupyterLab out and exits.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx

ROOT = Path(__file__).resolve().parent.parent
HOME = ROOT / ".rig" / "demo"
BIN = Path(sys.executable).parent
NAME = "thesis"


def rig_environment() -> dict[str, str]:
    """The variables by which the extension finds the rig."""
    lines = subprocess.run(
        [sys.executable, "-m", "tests.rig", "env"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.splitlines()
    return dict(line.removeprefix("export ").split("=", 1) for line in lines if "=" in line)


def environment(port: int, token: str) -> dict[str, str]:
    """A home, runtime folder and ledger of the demo's own: nothing of yours is touched."""
    state = HOME / "state"
    for folder in ("runtime", "config", "data", "state", "workspace"):
        (HOME / folder).mkdir(parents=True, exist_ok=True)
    return {
        **os.environ,
        **rig_environment(),
        "PATH": f"{BIN}:{os.environ['PATH']}",
        "JUPYTER_RUNTIME_DIR": str(HOME / "runtime"),
        "JUPYTER_CONFIG_DIR": str(HOME / "config"),
        "JUPYTER_DATA_DIR": str(HOME / "data"),
        "IPYTHONDIR": str(HOME / "ipython"),
        "XDG_STATE_HOME": str(state),
        "JUPYTER_TOKEN": token,
        "JUPYTER_SERVER_URL": f"http://127.0.0.1:{port}/",
    }


def free_port() -> int:
    """A port of the loopback address that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start_lab(port: int, env: dict[str, str]) -> subprocess.Popen[bytes]:
    """Start JupyterLab on the demo's notebook and wait until it answers."""
    notebooks = HOME / "notebooks"
    notebooks.mkdir(exist_ok=True)
    shutil.copy(ROOT / "demo" / "wizard.ipynb", notebooks / "wizard.ipynb")
    with (HOME / "jupyter.log").open("wb") as log:
        process = subprocess.Popen(
            [
                BIN / "jupyter-lab",
                "--no-browser",
                "--allow-root",
                f"--ServerApp.port={port}",
                "--ServerApp.port_retries=0",
                f"--ServerApp.root_dir={notebooks}",
                f"--DS01App.ledger={HOME / 'state' / 'ledger.sqlite'}",
                f"--DS01App.dockerfiles={HOME / 'dockerfiles'}",
                "--DS01App.workspace_roots=~",
                f"--DS01App.workspace_roots={HOME}",
            ],
            env=env,
            stdout=log,
            stderr=log,
        )
    deadline = time.monotonic() + 60
    url = f"http://127.0.0.1:{port}/ds01/api/about"
    headers = {"Authorization": f"token {env['JUPYTER_TOKEN']}"}
    while True:
        try:
            httpx.get(url, headers=headers, timeout=10).raise_for_status()
            return process
        except httpx.HTTPError as error:
            if process.poll() is not None or time.monotonic() > deadline:
                process.terminate()
                tail = (HOME / "jupyter.log").read_text(errors="replace")[-3000:]
                raise SystemExit(f"JupyterLab did not start ({error}):\n{tail}") from error
            time.sleep(0.1)


def say(text: str) -> None:
    """A heading between the steps."""
    print(f"\n\033[1m== {text}\033[0m", flush=True)


def ds01(env: dict[str, str], *arguments: str, check: bool = True) -> str:
    """Run the ds01 command as a person would, showing its output."""
    print(f"$ ds01 {' '.join(arguments)}", flush=True)
    done = subprocess.run([BIN / "ds01", *arguments], env=env)
    if check and done.returncode:
        raise SystemExit(f"ds01 {' '.join(arguments)} failed with exit status {done.returncode}")
    return ""


def listed(env: dict[str, str]) -> list[dict[str, object]]:
    """The containers as `ds01 container list --json` gives them."""
    done = subprocess.run(
        [BIN / "ds01", "container", "list", "--json"],
        env=env,
        check=True,
        capture_output=True,
        text=True,
    )
    return list(json.loads(done.stdout))


def show_container(env: dict[str, str]) -> None:
    """What Docker itself says of the container: its slot and its limits."""
    container = next(item for item in listed(env) if item["managed"] and item["name"] == NAME)
    full_name = str(container["full_name"])
    form = (
        "{{json .State.Status}} {{json .Config.User}} {{json .Config.Labels}} {{json .HostConfig}}"
    )
    docker = shutil.which("docker") or "docker"
    done = subprocess.run(
        [docker, "inspect", full_name, "--format", form],
        env=env,
        check=True,
        capture_output=True,
        text=True,
    )
    decoder, rest, parts = json.JSONDecoder(), done.stdout.strip(), []
    while rest:
        value, end = decoder.raw_decode(rest)
        parts.append(value)
        rest = rest[end:].lstrip()
    state, user, labels, host = parts
    say(f"docker inspect {full_name}")
    gpus = [device for item in host["DeviceRequests"] or [] for device in item["DeviceIDs"]]
    facts = {
        "State": state,
        "User": user,
        "Devices (--gpus)": " ".join(gpus) or "none",
        "Slot": labels.get("aime.mlc.SLOTS"),
        "NanoCpus (--cpus)": host["NanoCpus"],
        "Memory": host["Memory"],
        "MemorySwap": host["MemorySwap"],
        "ShmSize": host["ShmSize"],
        "PidsLimit": host["PidsLimit"],
        "CgroupParent": host["CgroupParent"],
        "Privileged": host["Privileged"],
        "NetworkMode": host["NetworkMode"],
        "Binds": " ".join(f"{m['Source']}:{m['Target']}" for m in host.get("Mounts") or []),
    }
    for key, value in facts.items():
        print(f"  {key:<18} {value}")
    print("  Labels")
    for key, value in sorted(labels.items()):
        if key.startswith("aime.mlc"):
            print(f"    {key}={value}")
    if state != "running":
        raise SystemExit(f"the container is {state}, not running")


def main() -> int:
    """Run the demo; the exit status is 0 when the container runs at its end."""
    token, port = secrets.token_hex(16), free_port()
    env = environment(port, token)
    lab = start_lab(port, env)
    try:
        say("What this machine has")
        ds01(env, "status")
        ds01(env, "gpus")
        say("From nothing to a running GPU container")
        if any(item["managed"] and item["name"] == NAME for item in listed(env)):
            ds01(env, "container", "stop", NAME, check=False)
            ds01(env, "container", "remove", NAME, "--yes")
        ds01(env, "create", NAME, "--framework", "Pytorch", "--version", "2.5.1",
             "--base", "defaults", "--use-case", "cv", "--gpu", "2g.10gb",
             "--dockerfile", "replace", "--workspace", str(HOME / "workspace" / NAME))  # fmt: skip
        show_container(env)
        say("Your containers, and who has which slot")
        ds01(env, "container", "list")
        ds01(env, "gpus")
        if os.environ.get("DEMO_LAB", "1") == "0":
            print(f"\nThe container runs. Look at it: export DOCKER_HOST={env['DOCKER_HOST']}")
            print("`make down` ends it, `make demo` opens JupyterLab too.")
            return 0
        say("JupyterLab")
        print(f"Open http://127.0.0.1:{port}/lab/tree/wizard.ipynb?token={token}")
        print(
            "and run its first cell. Ctrl-C ends JupyterLab; `make down` ends the rest.", flush=True
        )
        signal.signal(signal.SIGTERM, lambda *_: lab.terminate())
        return lab.wait()
    except KeyboardInterrupt:
        return 0
    finally:
        if lab.poll() is None:
            lab.terminate()
            lab.wait(30)


if __name__ == "__main__":
    sys.exit(main())
