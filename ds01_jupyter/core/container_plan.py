"""From what a person asked for to what Docker is told: checked once, before anything is made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ds01_jupyter.core import models
from ds01_jupyter.core.allocator import Claim
from ds01_jupyter.core.engine import ContainerPlan, Mount
from ds01_jupyter.core.gpu.request import GpuRequest
from ds01_jupyter.core.identity import Person
from ds01_jupyter.core.labels import ContainerFacts, container_labels
from ds01_jupyter.core.names import container_name
from ds01_jupyter.core.settings import Settings
from ds01_jupyter.core.workspace import Place, default_workspace, place


@dataclass(frozen=True)
class Source:
    """The image that a container starts from, and what is known of its framework."""

    reference: str
    framework: str
    architecture: str


@dataclass(frozen=True)
class Blueprint:
    """A checked request: every name, folder and GPU wish is known to be well-formed."""

    name: str
    origin: Source
    workspace: Place
    data: Place | None
    models: Place | None
    gpu: GpuRequest
    start: bool

    @property
    def source(self) -> str:
        """Reference of the image to start from."""
        return self.origin.reference

    def folders(self) -> list[tuple[Place, bool]]:
        """The folders to mount, and whether a missing one is made (only the workspace is)."""
        optional = [(item, False) for item in (self.data, self.models) if item is not None]
        return [(self.workspace, True), *optional]

    def image_labels(self) -> dict[str, str]:
        """Labels of the container's own image."""
        return {"aime.mlc.FRAMEWORK": self.origin.framework}

    def document(self) -> dict[str, Any]:
        """What the ledger keeps of it."""
        return {
            "image": self.origin.reference,
            "framework": self.origin.framework,
            "architecture": self.origin.architecture,
            "workspace": str(self.workspace.path),
            "data": str(self.data.path) if self.data else None,
            "models": str(self.models.path) if self.models else None,
        }


def check_words(person: Person, request: models.ContainerRequest) -> None:
    """Refuse a name or GPU wish that cannot be meant, before anything else is asked."""
    container_name(request.name, person.uid)
    GpuRequest.parse(request.gpu, request.gpus)


def blueprint(
    person: Person, request: models.ContainerRequest, origin: Source, settings: Settings
) -> Blueprint:
    """Check a request against the rules for names and folders; raises `InvalidInput`."""
    name = container_name(request.name, person.uid)
    workspace = request.workspace or default_workspace(name)
    data, trained = request.data, request.models
    return Blueprint(
        name=name,
        origin=origin,
        workspace=place(workspace, person, settings.workspace_roots, "workspace"),
        data=place(data, person, settings.data_roots, "data") if data else None,
        models=place(trained, person, settings.model_roots, "models") if trained else None,
        gpu=GpuRequest.parse(request.gpu, request.gpus),
        start=request.start,
    )


def plan_container(
    person: Person,
    checked: Blueprint,
    claim: Claim,
    limits: models.LimitValues,
    image: str,
    inherited: Mapping[str, str],
    *,
    ledger: str,
    cpus: int | None,
) -> ContainerPlan:
    """Everything for one `create` call: all limits are given here, nothing is patched later.

    `ledger` is the mark of the ledger that the claim is in. `cpus` is what the engine's machine
    has: Docker refuses a limit above it, which would limit nothing anyway.
    """
    devices = tuple(slot.device for slot in claim.slots)
    folders = [("/workspace", checked.workspace)]
    if checked.data is not None:
        folders.append(("/data", checked.data))
    if checked.models is not None:
        folders.append(("/models", checked.models))
    facts = ContainerFacts(
        user=person.name,
        name=checked.name,
        framework=checked.origin.framework,
        architecture=checked.origin.architecture,
        workspace=str(checked.workspace.path),
        data=str(checked.data.path) if checked.data else None,
        models=str(checked.models.path) if checked.models else None,
        devices=devices,
        slots=tuple(slot.slot for slot in claim.slots),
        claim=claim.claim_id,
        ledger=ledger,
    )
    return ContainerPlan(
        full_name=claim.full_name,
        image=image,
        labels=container_labels(facts, inherited),
        user=f"{person.uid}:{person.gid}",
        groups=(),
        working_dir="/workspace",
        binds=tuple(
            Mount(source=str(item.path), target=target, read_only=False) for target, item in folders
        ),
        environment={},
        command=("/bin/bash",),
        devices=devices,
        cpus=_at_most(limits.max_cpus, cpus),
        memory=limits.memory,
        memory_swap=limits.memory_swap,
        shm_size=limits.shm_size,
        pids_limit=limits.pids_limit,
        cgroup_parent=limits.cgroup_parent,
        hostname=checked.name.replace("_", "-")[:63].strip("-"),
    )


def _at_most(limit: float | None, there: int | None) -> float | None:
    if limit is None or there is None:
        return limit
    return min(limit, float(there))
