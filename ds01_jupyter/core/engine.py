"""The seam to the container engine: what is asked of it, in plain data types.

`Lab` and everything above it know these types only. `docker_engine.DockerEngine` is the one
implementation; every method raises typed errors from `core.errors`, never the engine's own:
`EngineUnavailable` (does not answer), `NotFound`, `Conflict`, `InvalidInput` (the engine calls
an argument wrong), `DiskFull`, `RegistryUnavailable`, `EngineFailed` (anything else).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, Protocol

from ds01_jupyter.core.errors import Cancelled
from ds01_jupyter.core.models import ContainerLimits

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
    """Whether it builds with BuildKit over the plain API (no session, no CLI)."""
    gpu: bool | None
    """True when a way to hand out NVIDIA GPUs was seen; None when it cannot be told (the hook of
    the NVIDIA container toolkit is found by the engine itself, on its own PATH)."""
    root_dir: str
    """Folder of its images; on this machine only when the engine is."""
    cpus: int | None = None
    """How many CPUs its machine has: it refuses to give a container more."""


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


class Reporter(Protocol):
    """Where long work tells how it goes; `operations.Progress` is one."""

    def step(self, phase: str, fraction: float | None = None, detail: str = "") -> None:
        """Say where the work stands; raises `Cancelled`."""

    def log(self, text: str) -> None:
        """Pass a line of output on."""

    def check(self) -> None:
        """Raise `Cancelled` when the work should stop."""

    def on_cancel(self, action: Callable[[], None]) -> None:
        """Run `action` when it is cancelled, at once when it is already."""


class Silent:
    """A `Reporter` for work that nobody watches; `cancel()` stops it."""

    def __init__(self) -> None:
        self._cancelled = False
        self._actions: list[Callable[[], None]] = []

    def step(self, phase: str, fraction: float | None = None, detail: str = "") -> None:
        """Only checks."""
        self.check()

    def log(self, text: str) -> None:
        """Drops the line."""

    def check(self) -> None:
        """Raise `Cancelled` after `cancel()`."""
        if self._cancelled:
            raise Cancelled("The operation was cancelled.")

    def on_cancel(self, action: Callable[[], None]) -> None:
        """Keep `action` for `cancel()`."""
        self._actions.append(action)
        if self._cancelled:
            action()

    def cancel(self) -> None:
        """Stop the work from another thread."""
        self._cancelled = True
        for action in list(self._actions):
            action()


class Muted:
    """Passes a cancel on, and nothing else: for a small part of work that reports itself."""

    def __init__(self, progress: Reporter) -> None:
        self._progress = progress

    def step(self, phase: str, fraction: float | None = None, detail: str = "") -> None:
        """Only checks."""
        self._progress.check()

    def log(self, text: str) -> None:
        """Drops the line."""

    def check(self) -> None:
        """Raise `Cancelled` when the whole work should stop."""
        self._progress.check()

    def on_cancel(self, action: Callable[[], None]) -> None:
        """Run `action` when the whole work is cancelled."""
        self._progress.on_cancel(action)


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

    def list_containers(self) -> list[ContainerSummary]:
        """All containers in every state, by one call."""

    def inspect_container(self, container: str) -> ContainerDetails:
        """One container by id or full name; `NotFound`."""

    def gpu_devices(self, container: str) -> GpuDevices:
        """The GPUs that a container was created with. Remembered by id: they never change."""

    def create_container(self, plan: ContainerPlan) -> str:
        """Create and return its id; `Conflict` when the name is taken, `NotFound` without the
        image, `InvalidInput` when a mount's source is missing."""

    def start(self, container: str) -> None:
        """Start it; a running one stays as it is."""

    def stop(self, container: str, timeout: int = 2) -> None:
        """Stop it; killed after `timeout` seconds. A stopped one stays as it is."""

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
