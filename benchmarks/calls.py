"""How many calls of Docker and NVML one create makes, with none, ten and forty containers present.

It is the second create of a server: what is asked once for all is asked before. Calls of threads
that work on their own (events of the driver, the queue) are not the create's and do not count.
"""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import docker
import pynvml
import requests

from benchmarks.measure import Figure
from ds01_jupyter.core.identity import Person
from ds01_jupyter.core.lab import Lab
from ds01_jupyter.core.models import ContainerRequest
from ds01_jupyter.core.settings import Settings
from tests.rig.nvml import Machine, build
from tests.rig.paths import REPOSITORY, RigPaths

PRESENT = (0, 10, 40)
BACKGROUND = ("ds01-queue", "ds01-xid", "ds01-foreign", "ds01-reconcile", "ds01-docker-watch")
"""Beginnings of the names of threads that work on their own."""
LIMITS = (
    "defaults: {max_containers_per_user: null, max_mig_instances: null, memory: 32m}\n"
    "groups: {bench: {members: []}}\ndefault_group: bench\n"
)


class Calls:
    """The calls made so far, in order: `METHOD /path` to Docker, and the functions of NVML."""

    def __init__(self) -> None:
        self.docker: list[str] = []
        self.nvml: list[str] = []

    def clear(self) -> None:
        """Begin anew."""
        self.docker, self.nvml = [], []


@contextmanager
def counted() -> Iterator[Calls]:
    """Count what is sent to Docker, and what is asked of NVML, by this process."""
    calls = Calls()
    send, pointer = requests.Session.send, pynvml._nvmlGetFunctionPointer

    def counting_send(session: Any, request: Any, **options: Any) -> Any:
        if _ours():
            path = request.path_url.partition("?")[0].removeprefix("/v1").partition("/")[2]
            calls.docker.append(f"{request.method} {path}")
        return send(session, request, **options)

    def counting_pointer(name: str) -> Any:
        if _ours():
            calls.nvml.append(name)
        return pointer(name)

    requests.Session.send = counting_send  # type: ignore[method-assign,assignment]
    pynvml._nvmlGetFunctionPointer = counting_pointer
    try:
        yield calls
    finally:
        requests.Session.send = send  # type: ignore[method-assign]
        pynvml._nvmlGetFunctionPointer = pointer


def _ours() -> bool:
    return not threading.current_thread().name.startswith(BACKGROUND)


def counts(docker_host: str, library: Path, folder: Path) -> dict[int, tuple[int, int]]:
    """Docker and NVML calls of one create, by the number of containers of ours present."""
    (folder / "limits.yaml").write_text(LIMITS)
    person = Person("root", 0, 0, folder)
    settings = Settings(
        docker_host=docker_host,
        nvml_library=str(library),
        ledger=folder / "calls.sqlite",
        limits=folder / "limits.yaml",
        architecture="CUDA_ADA",
        reconcile_seconds=0.0,
    )
    lab = Lab(settings)
    prefix = f"bench{os.getpid()}"
    made = 0

    def create(name: str, gpu: str, start: bool) -> None:
        request = ContainerRequest.model_validate(
            {
                "name": name,
                "framework": {"framework": "Pytorch", "version": "2.5.1"},
                "gpu": gpu,
                "start": start,
            }
        )
        operation = lab.create_container(person, request)
        for _ in lab.operation_events(person, operation.id):
            pass
        ended = lab.operation(person, operation.id)
        if ended.state != "succeeded":
            raise RuntimeError(str(ended.error))

    def remove(name: str) -> None:
        lab.stop_container(person, name)
        lab.remove_container(person, name)

    found: dict[int, tuple[int, int]] = {}
    try:
        for present in PRESENT:
            while made < present:
                create(f"{prefix}-{made}", "none", start=False)
                made += 1
            create(f"{prefix}-warm", "1g.5gb", start=True)
            remove(f"{prefix}-warm")
            with counted() as calls:
                create(f"{prefix}-x", "1g.5gb", start=True)
            found[present] = (len(calls.docker), len(calls.nvml))
            remove(f"{prefix}-x")
    finally:
        _clean(docker_host, prefix)
        lab.close()
    return found


def _clean(docker_host: str, prefix: str) -> None:
    client = docker.DockerClient(base_url=docker_host)
    for one in client.api.containers(all=True, filters={"name": prefix}):
        client.api.remove_container(one["Id"], force=True)
    for image in client.api.images():
        for tag in image["RepoTags"] or []:
            if f":{prefix}-" in tag:
                client.api.remove_image(tag, force=True)
    client.close()


def figures() -> list[Figure]:
    """The most calls against those with no container present."""
    with tempfile.TemporaryDirectory(prefix="ds01-bench-", dir=REPOSITORY / ".rig") as name:
        folder = Path(name)
        library = build(RigPaths.default().root)
        machine = Machine(folder / "machine")
        machine.write_preset("lab", tag=f"{os.getpid():08x}")
        old = os.environ.get("FAKENVML_STATE")
        os.environ["FAKENVML_STATE"] = str(machine.path)
        try:
            found = counts(os.environ["DOCKER_HOST"], library, folder)
        finally:
            if old is not None:
                os.environ["FAKENVML_STATE"] = old
    result = []
    for index, what in enumerate(("Docker", "NVML")):
        note = ", ".join(f"{found[n][index]} with {n}" for n in PRESENT) + " containers present"
        most = max(found[n][index] for n in PRESENT) / found[PRESENT[0]][index]
        result.append(Figure(f"{what} calls of a create, most / with none", most, 1, "x", note))
    return result


if __name__ == "__main__":
    from benchmarks.__main__ import rig
    from benchmarks.measure import table

    rig()
    print(table(figures()))
