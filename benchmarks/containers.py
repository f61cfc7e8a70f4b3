"""Creating and stopping a container: through the API against bare Docker, in the same run."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx

from benchmarks.measure import Figure, in_turn, median, timed
from benchmarks.server import Server, jupyter_server

ROUNDS = 15
PORT = 18_911
IMAGE = "bench"
BARE = "ds01-bench-bare"


def wait(http: httpx.Client, operation: dict[str, Any]) -> dict[str, Any]:
    """Follow an operation's events to its end and return it."""
    url = f"/ds01/api/operations/{operation['id']}"
    with http.stream("GET", f"{url}/events") as stream:
        for _ in stream.iter_lines():
            pass
    ended: dict[str, Any] = http.get(url).raise_for_status().json()
    if ended["state"] != "succeeded":
        raise RuntimeError(json.dumps(ended["error"], indent=2))
    return ended


def docker(*arguments: str) -> str:
    """The docker command, as AIME's scripts call it."""
    done = subprocess.run(["docker", *arguments], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def build_image(server: Server) -> str:
    """An image of one's own to create from; returns its reference."""
    request = {"name": IMAGE, "framework": "Pytorch", "version": "2.5.1", "base": "none"}
    answer = server.http.post("/ds01/api/images", json=request)
    answer.raise_for_status()
    reference: str = wait(server.http, answer.json())["result"]["reference"]
    return reference


def create(server: Server) -> float:
    """Seconds from the request to the running container; it is removed afterwards."""

    def run() -> None:
        request = {"name": "bench", "image": IMAGE, "gpu": "1g.5gb"}
        answer = server.http.post("/ds01/api/containers", json=request)
        answer.raise_for_status()
        wait(server.http, answer.json())

    return timed(run)


def stop(server: Server) -> float:
    """Seconds of a stop; the container is removed afterwards."""
    url = "/ds01/api/containers/bench"
    seconds = timed(lambda: server.http.post(f"{url}/stop").raise_for_status())
    server.http.delete(url).raise_for_status()
    return seconds


def bare(image: str, device: str, workspace: str) -> float:
    """`docker create` and `docker start` with the same limits, labels and device."""
    labels = [f"--label=aime.mlc.{key}=x" for key in ("NAME", "USER", "FRAMEWORK", "WORK_MOUNT")]

    def run() -> None:
        docker("create", "-it", f"--name={BARE}", f"--cpus={os.cpu_count()}",
               "--memory=4g", "--shm-size=1g",
               "--pids-limit=4096", "--stop-signal=SIGHUP", f"--gpus=device={device}",
               f"--volume={workspace}:/workspace", "--workdir=/workspace",
               f"--user={os.getuid()}:{os.getgid()}",
               *labels, image, "bash")  # fmt: skip
        docker("start", BARE)

    seconds = timed(run)
    docker("rm", "--force", BARE)
    return seconds


def figures() -> list[Figure]:
    """Create against bare Docker, and the time of a stop."""
    stops: list[float] = []
    with (
        tempfile.TemporaryDirectory(prefix="ds01-bench-") as workspace,
        jupyter_server(PORT, extension=True) as server,
    ):
        snapshot = server.http.get("/ds01/api/gpus").raise_for_status().json()
        slots = [slot for gpu in snapshot["gpus"] for slot in gpu["slots"]]
        device = [slot["uuid"] for slot in slots if slot["profile"] == "1g.5gb"][-1]
        reference = build_image(server)

        def ours() -> float:
            seconds = create(server)
            stops.append(stop(server))
            return seconds

        made, plain = in_turn(ROUNDS, ours, lambda: bare(reference, device, workspace))
        server.http.delete(f"/ds01/api/images/{IMAGE}")
    pairs = [a / b for a, b in zip(made, plain, strict=True)]
    note = f"{median(made) * 1000:.0f} ms against {median(plain) * 1000:.0f} ms, {ROUNDS} pairs"
    return [
        Figure("create through the API / docker create + start", median(pairs), 2, "x", note),
        Figure("stop", median(stops), 0.5, "s", f"slowest {max(stops):.2f} s"),
    ]


if __name__ == "__main__":
    start = time.perf_counter()
    for figure in figures():
        print(figure)
    print(f"{time.perf_counter() - start:.0f} s, {Path(__file__).name}")
