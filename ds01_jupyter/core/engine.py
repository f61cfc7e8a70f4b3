"""The seam to the container engine: what is asked of it, in plain data types.

`Lab` and everything above it know these types only. `docker_engine.DockerEngine` is the one
implementation; every method raises typed errors from `core.errors`, never the engine's own:
`EngineUnavailable` (does not answer), `NotFound`, `Conflict`, `InvalidInput` (the engine calls
an argument wrong), `DiskFull`, `RegistryUnavailable`, `EngineFailed` (anything else).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, Protocol

from ds01_jupyter.core.models import ContainerLimits
from ds01_jupyter.core.reporting import Amount as Amount
from ds01_jupyter.core.reporting import Muted as Muted
from ds01_jupyter.core.reporting import Reporter as Reporter
from ds01_jupyter.core.reporting import Silent as Silent

MAX_READ = 1024 * 1024
"""Bytes of a file of an image that are read at most."""

GpuDevices = tuple[str, ...] | Literal["all"]
"""What a container may use: UUIDs or indices as the engine was told; `()` is none."""


@dataclass(frozen=True)
class EngineInfo:
    """What the engine is. `memory` and the like are left to NVML and the host."""

    version: str
    api_version: str
    storage_driver: str
    cgroup_driver: str
    buildkit: bool
    """Whether BuildKit builds, by whichever route (`build_routes`)."""
    gpu: bool | None
    """True when a way to hand out NVIDIA GPUs was seen; None when it cannot be told (the hook of
    the NVIDIA container toolkit is found by the engine itself, on its own PATH)."""
    root_dir: str
    """Folder of its images; on this machine only when the engine is."""
    cpus: int | None = None
    """How many CPUs its machine has: it refuses to give a container more."""
    route: Literal["api", "buildx", "classic"] = "api"
    """How images are built on it."""
    route_note: str = ""
    """Why it is the classic builder, in a sentence; empty for the other routes."""


@dataclass(frozen=True)
class EngineIdentity:
    """Which engine it is: an `id` of what it keeps (its own number and its folder), and the
    `address` at which it is reached."""

    id: str
    address: str

    def document(self) -> dict[str, str]:
        """As the ledger keeps it with a container."""
        return {"id": self.id, "address": self.address}

    def may_have(self, kept: object) -> bool:
        """Whether what the ledger kept means this engine. In doubt it does: an engine that was set
        up anew has another id, and one that moved another address, but not both at once."""
        if not isinstance(kept, dict):
            return True
        return self.id == kept.get("id") or self.address == kept.get("address")


@dataclass(frozen=True)
class Mount:
    """A folder of the host (`source`) at `target` in the container."""

    source: str
    target: str
    read_only: bool = False


@dataclass(frozen=True)
class ContainerPlan:
    """All of a container before it exists. Sizes in bytes; None is unlimited, 0 is refused."""

    full_name: str
    image: str
    labels: Mapping[str, str]
    user: str
    """`UID:GID`."""
    command: Sequence[str]
    """PID 1; the image's entrypoint is not run."""
    groups: Sequence[str] = ()
    """Numbers of supplementary groups."""
    working_dir: str = "/workspace"
    binds: Sequence[Mount] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    devices: tuple[str, ...] = ()
    """UUIDs of GPU slots; empty: no GPU at all."""
    cpus: float | None = None
    memory: int | None = None
    memory_swap: int | None = None
    """Memory plus swap, as `docker --memory-swap`."""
    shm_size: int | None = None
    """None: the engine's default (64 MiB)."""
    pids_limit: int | None = None
    cgroup_parent: str = ""
    hostname: str = ""


@dataclass(frozen=True)
class ContainerSummary:
    """A container as a list shows it."""

    id: str
    full_name: str
    image: str
    image_id: str
    labels: Mapping[str, str]
    state: str
    """Docker's word: created, running, paused, restarting, removing, exited, dead."""
    status: str
    """Docker's phrase, such as `Up 3 minutes`."""
    created: datetime


@dataclass(frozen=True)
class ContainerDetails:
    """A container with what it was given."""

    id: str
    full_name: str
    image: str
    image_id: str
    labels: Mapping[str, str]
    state: str
    exit_code: int | None
    """None while it runs or before it ever ran."""
    problem: str
    """The engine's word on why it did not start; mostly empty."""
    created: datetime
    started: datetime | None
    finished: datetime | None
    pid: int | None
    user: str
    working_dir: str
    command: tuple[str, ...]
    mounts: tuple[Mount, ...]
    environment: Mapping[str, str]
    devices: GpuDevices
    limits: ContainerLimits
    privileged: bool
    network_mode: str


@dataclass(frozen=True)
class ContainerUsage:
    """What a running container has used since its start, and how many processes it has now; None
    where the engine does not say."""

    cpu: float | None
    """Seconds on all cores together."""
    network: int | None
    """Bytes in and out; None without a network."""
    processes: int | None


@dataclass(frozen=True)
class ImageSummary:
    """An image as a list shows it; `references` is empty for a dangling one. Size in bytes."""

    id: str
    references: tuple[str, ...]
    labels: Mapping[str, str]
    size: int
    created: datetime


@dataclass(frozen=True)
class ImageDetails(ImageSummary):
    """An image with its configuration."""

    environment: Mapping[str, str] = field(default_factory=dict)
    layers: tuple[str, ...] = ()


@dataclass(frozen=True)
class BuildPlan:
    """What to build: files in memory, never a folder of the disk."""

    files: Mapping[str, bytes]
    """The context: name -> content. Holds the Dockerfile."""
    reference: str
    """Reference that the built image gets."""
    labels: Mapping[str, str] = field(default_factory=dict)
    dockerfile: str = "Dockerfile"
    titles: Mapping[str, str] = field(default_factory=dict)
    """Part of an instruction -> what it does in plain words, for progress and errors."""
    build_args: Mapping[str, str] = field(default_factory=dict)
    executable: frozenset[str] = frozenset()
    """Names of files that may be executed."""
    cache: bool = True
    builder: Literal["auto", "buildkit", "classic"] = "auto"


class Watch(Protocol):
    """A stream of news on containers; see `docker_watch.ContainerWatch`."""

    def __iter__(self) -> Iterator[str]:
        """An empty word when the stream stands, then one for everything that happens; ends, or
        raises `EngineUnavailable`, when the engine does."""

    def close(self) -> None:
        """End the stream, from another thread."""


class Engine(Protocol):
    """The one object that talks to Docker. Safe to use from several threads."""

    def info(self) -> EngineInfo:
        """What the engine is (asked each time: it may have been upgraded)."""

    def identity(self) -> EngineIdentity:
        """Which engine it is. Asked once: behind one address it stays the same."""

    def list_containers(self) -> list[ContainerSummary]:
        """All containers in every state, by one call."""

    def inspect_container(self, container: str) -> ContainerDetails:
        """One container by id or full name; `NotFound`."""

    def usage(self, container: str) -> ContainerUsage:
        """What a container has used so far, by one short call; all None when it does not run."""

    def signal_all(self, container: str, signal: str) -> None:
        """Send a signal (`TERM`) to all processes of a running container that its user may signal,
        but not to its first one; `Conflict` when it does not run or is paused."""

    def gpu_devices(self, container: str) -> GpuDevices:
        """The GPUs that a container was created with. Remembered by id: they never change."""

    def create_container(self, plan: ContainerPlan) -> str:
        """Create and return its id; `Conflict` when the name is taken, `NotFound` without the
        image, `InvalidInput` when a mount's source is missing."""

    def start(self, container: str) -> None:
        """Start it; a running one stays as it is."""

    def stop(self, container: str, timeout: int = 2) -> None:
        """Stop it; killed after `timeout` seconds. A stopped one stays as it is."""

    def rename(self, container: str, name: str) -> None:
        """Give a container another name; `Conflict` when it is taken."""

    def remove_container(self, container: str, *, force: bool = False) -> None:
        """Remove it; `Conflict` when it runs and `force` is false. Volumes of its own go too."""

    def logs(self, container: str, tail: int = 200) -> str:
        """The last `tail` lines of its output."""

    def watch_containers(self) -> Watch:
        """News on containers as they happen. Nothing is asked before it is iterated over."""

    def image(self, reference: str) -> ImageDetails | None:
        """An image by reference or id; None when the engine does not have it."""

    def list_images(self) -> list[ImageSummary]:
        """All images but intermediate ones, by one call."""

    def read_file(self, image: str, path: str) -> bytes | None:
        """A file of an image, at most `MAX_READ` bytes of it; None when there is none."""

    def tag(self, image: str, reference: str) -> None:
        """Let `reference` name `image`."""

    def remove_image(self, reference: str, *, force: bool = False) -> None:
        """Remove a reference, and the image with its last one; `Conflict` when it is in use."""

    def pull(self, reference: str, progress: Reporter) -> ImageDetails:
        """Fetch an image with progress (phase `pull`); `RegistryUnavailable`, `Cancelled`."""

    def build(self, plan: BuildPlan, progress: Reporter) -> str:
        """Build and return the image's id (phase `build`); `BuildFailed`, `Cancelled`,
        `DiskFull`. Nothing is left behind when it does not succeed."""

    def close(self) -> None:
        """Close the connections."""
