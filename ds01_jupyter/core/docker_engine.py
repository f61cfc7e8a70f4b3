"""The one object that talks to Docker, over its HTTP API with docker-py's low-level client."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import docker
from docker import APIClient
from docker.constants import DEFAULT_UNIX_SOCKET
from docker.utils import kwargs_from_env

from ds01_jupyter.core import docker_containers, docker_files, docker_streams
from ds01_jupyter.core.build_estimate import BuildTimes
from ds01_jupyter.core.build_routes import Wish, choose
from ds01_jupyter.core.buildx import find_buildx
from ds01_jupyter.core.classic_leftovers import Leftovers
from ds01_jupyter.core.docker_errors import translated
from ds01_jupyter.core.docker_watch import ContainerWatch
from ds01_jupyter.core.engine import (
    BuildPlan,
    ContainerDetails,
    ContainerPlan,
    ContainerSummary,
    ContainerUsage,
    EngineIdentity,
    EngineInfo,
    GpuDevices,
    ImageDetails,
    ImageSummary,
    Reporter,
)
from ds01_jupyter.core.errors import EngineFailed, InvalidInput, NotFound, RegistryUnavailable
from ds01_jupyter.core.names import split_reference
from ds01_jupyter.core.wording import quoted

TIMEOUT = 60
"""Seconds that a plain call may take; removing a container with a large layer is the slowest."""
REGISTRY_TIMEOUT = 90
"""Seconds without a sign of life after which a pull is given up."""
_MAX_REMEMBERED = 10_000


class DockerEngine:
    """An `Engine`. It connects with the first call, and again after Docker was away."""

    def __init__(
        self,
        docker_host: str = "",
        *,
        timeout: int = TIMEOUT,
        registry_timeout: float = REGISTRY_TIMEOUT,
        build_route: Wish = "auto",
        buildx: str = "",
    ) -> None:
        """`docker_host` as DOCKER_HOST has it; empty: as the docker command finds it. `buildx` is
        the path of the plugin; empty: Docker's folders are looked through."""
        self._host = docker_host
        self._timeout = timeout
        self._registry_timeout = registry_timeout
        self._local = threading.local()
        self._lock = threading.Lock()
        self._clients: list[APIClient] = []
        self._api_version = ""
        self._identity: EngineIdentity | None = None
        self._gpu_devices: dict[str, GpuDevices] = {}
        self._leftovers = Leftovers()
        self._wish = build_route
        self._buildx = buildx
        self._times = BuildTimes()

    # ---- connection ----

    @property
    def _api(self) -> Any:
        """This thread's client: docker-py's session is not made for use by several at once."""
        client: Any = getattr(self._local, "client", None)
        if client is None:
            client = self._connect()
            self._local.client = client
            with self._lock:
                self._clients.append(client)
        return client

    def _connect(self) -> APIClient:
        options = kwargs_from_env() if not self._host else {"base_url": self._host}
        client = APIClient(version=self._api_version or "auto", timeout=self._timeout, **options)
        self._api_version = client.api_version
        return client

    def close(self) -> None:
        """Close the connections of all threads."""
        with self._lock:
            clients, self._clients = self._clients, []
        for client in clients:
            client.close()
        self._local = threading.local()

    def info(self) -> EngineInfo:
        """What the engine is."""
        with translated():
            answer = self._api.info()
            api_version = self._api.api_version
        status = dict(row for row in answer.get("DriverStatus") or () if len(row) == 2)
        route = choose(
            self._wish,
            api_version,
            status,
            answer.get("OSType", "linux"),
            find_buildx(self._buildx),
        )
        return EngineInfo(
            version=answer["ServerVersion"],
            api_version=api_version,
            storage_driver=answer["Driver"],
            cgroup_driver=answer.get("CgroupDriver", ""),
            buildkit=route.route != "classic",
            gpu=_gives_gpus(answer),
            root_dir=answer.get("DockerRootDir", ""),
            cpus=answer.get("NCPU") or None,
            route=route.route,
            route_note=route.note,
        )

    def identity(self) -> EngineIdentity:
        """Which engine it is, by its own id and by how it is reached."""
        found = self._identity
        if found is None:
            with translated():
                answer = self._api.info()
            address = self._host or kwargs_from_env().get("base_url") or DEFAULT_UNIX_SOCKET
            # Two engines of one machine may share an id, which older ones keep in /etc/docker.
            number = f"{answer.get('ID') or ''} {answer.get('DockerRootDir') or ''}"
            found = self._identity = EngineIdentity(number, address)
        return found

    # ---- containers ----

    def list_containers(self) -> list[ContainerSummary]:
        """All containers in every state, by one call."""
        with translated():
            rows = self._api.containers(all=True)
        found = [docker_containers.summary(row) for row in rows]
        present = {container.id for container in found}
        with self._lock:
            for gone in self._gpu_devices.keys() - present:
                del self._gpu_devices[gone]
        return found

    def inspect_container(self, container: str) -> ContainerDetails:
        """One container by id or full name; `NotFound`."""
        with translated(f"container {container}"):
            return docker_containers.details(self._api.inspect_container(container))

    def usage(self, container: str) -> ContainerUsage:
        """What a container has used so far: a single reading, without Docker's own second."""
        with translated(f"container {container}"):
            return docker_containers.usage(self._api.stats(container, stream=False, one_shot=True))

    def signal_all(self, container: str, signal: str) -> None:
        """Send a signal to all processes of a container but its first, as the container's user."""
        with translated(f"container {container}"):
            made = self._api.exec_create(container, ["/bin/bash", "-c", f"kill -{signal} -1"])
            self._api.exec_start(made["Id"], detach=True)

    def gpu_devices(self, container: str) -> GpuDevices:
        """The GPUs that a container was created with; asked of Docker once per full id."""
        known = self._gpu_devices.get(container)
        if known is not None:
            return known
        with translated(f"container {container}"):
            answer = self._api.inspect_container(container)
        found = docker_containers.devices_of(answer)
        with self._lock:
            if len(self._gpu_devices) >= _MAX_REMEMBERED:
                self._gpu_devices.clear()
            self._gpu_devices[answer["Id"]] = found
        return found

    def create_container(self, plan: ContainerPlan) -> str:
        """Create a container and return its id."""
        config = docker_containers.create_config(plan)
        with translated(f"container {plan.full_name}"):
            try:
                answer = self._api.create_container_from_config(config, plan.full_name)
            except docker.errors.ImageNotFound as error:
                raise NotFound(
                    f"The image {plan.image} is not on this machine.",
                    hint="List what is there with `%ds01 image list`.",
                    image=plan.image,
                ) from error
        return str(answer["Id"])

    def start(self, container: str) -> None:
        """Start a container; a running one stays as it is."""
        with translated(f"container {container}"):
            self._api.start(container)

    def stop(self, container: str, timeout: int = 2) -> None:
        """Stop a container; it is killed after `timeout` seconds."""
        with translated(f"container {container}"):
            self._api.stop(container, timeout=timeout)

    def rename(self, container: str, name: str) -> None:
        """Give a container another name."""
        with translated(f"container {container}"):
            self._api.rename(container, name)

    def remove_container(self, container: str, *, force: bool = False) -> None:
        """Remove a container and its anonymous volumes, never a mounted folder."""
        with translated(f"container {container}"):
            self._api.remove_container(container, v=True, force=force)

    def logs(self, container: str, tail: int = 200) -> str:
        """The last `tail` lines of a container's output."""
        with translated(f"container {container}"):
            raw: bytes = self._api.logs(container, stdout=True, stderr=True, tail=tail)
        return raw.decode(errors="replace")

    def watch_containers(self) -> ContainerWatch:
        """Tell as it happens that containers come, go, start or stop."""
        return ContainerWatch(self._connect)

    # ---- images ----

    def image(self, reference: str) -> ImageDetails | None:
        """An image by reference or id; None when Docker does not have it."""
        with translated(f"image {reference}"):
            try:
                answer = self._api.inspect_image(reference)
            except docker.errors.NotFound:
                return None
        return _image_details(answer)

    def list_images(self) -> list[ImageSummary]:
        """All images but intermediate ones, by one call."""
        with translated():
            rows = self._api.images()
        return [
            ImageSummary(
                id=row["Id"],
                references=_references(row),
                labels=row.get("Labels") or {},
                size=row["Size"],
                created=datetime.fromtimestamp(row["Created"], UTC),
            )
            for row in rows
        ]

    def read_file(self, image: str, path: str) -> bytes | None:
        """A file of an image, read through a container that never starts."""
        with translated():
            return docker_files.read_file(self._api, image, path)

    def tag(self, image: str, reference: str) -> None:
        """Let `reference` name `image`; what it named before loses the name."""
        repository, tag = _named(reference)
        with translated(f"image {image}"):
            self._api.tag(image, repository, tag)

    def remove_image(self, reference: str, *, force: bool = False) -> None:
        """Remove a reference, and with the last one the image."""
        with translated(f"image {reference}"):
            self._api.remove_image(reference, force=force)
            self._leftovers.sweep(self._api)

    def pull(self, reference: str, progress: Reporter) -> ImageDetails:
        """Fetch an image with progress."""
        repository, tag = _named(reference)
        with translated(f"image {reference}"):
            docker_streams.pull(self._connect, repository, tag, progress, self._registry_timeout)
        found = self.image(reference)
        if found is None:
            raise RegistryUnavailable(f"Docker pulled {reference} but does not have it.")
        return found

    def build(self, plan: BuildPlan, progress: Reporter) -> str:
        """Build an image and return its id."""
        route = self._route(plan)
        with translated(f"image {plan.reference}"):
            return docker_streams.build(
                self._api,
                self._connect,
                plan,
                progress,
                self._leftovers,
                route,
            )

    def _route(self, plan: BuildPlan) -> docker_streams.BuildRoute:
        """The engine's route, or the one of its kind that the plan wants."""
        name = "classic" if plan.builder == "classic" else self.info().route
        if plan.builder == "buildkit" and name == "classic":
            raise EngineFailed("This Docker builds without BuildKit.", hint=self.info().route_note)
        return docker_streams.BuildRoute(
            name, self._times, find_buildx(self._buildx), _address(self._host)
        )


def _named(reference: str) -> tuple[str, str]:
    """Repository and tag (or digest) of a reference; `latest` when it has neither."""
    parts = split_reference(reference)
    if parts is None:
        raise InvalidInput(f"{quoted(reference)} is not the name of an image.")
    repository, tag, digest = parts
    return repository, digest or tag or "latest"


def _address(host: str) -> str:
    """The engine's address as DOCKER_HOST has it."""
    return host or os.environ.get("DOCKER_HOST") or DEFAULT_UNIX_SOCKET.removeprefix("http+")


def _gives_gpus(info: Mapping[str, Any]) -> bool | None:
    if "nvidia" in (info.get("Runtimes") or {}):
        return True
    if any(
        str(d.get("ID", "")).startswith("nvidia.com/") for d in info.get("DiscoveredDevices") or ()
    ):
        return True
    return True if shutil.which("nvidia-container-runtime-hook") else None


def _references(row: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(tag for tag in row.get("RepoTags") or () if tag != "<none>:<none>")


def _image_details(answer: Mapping[str, Any]) -> ImageDetails:
    config = answer.get("Config") or {}
    return ImageDetails(
        id=answer["Id"],
        references=_references(answer),
        labels=config.get("Labels") or {},
        size=answer["Size"],
        created=docker_containers.moment(answer.get("Created")) or datetime.fromtimestamp(0, UTC),
        environment=docker_containers.environment_of(config),
        layers=tuple((answer.get("RootFS") or {}).get("Layers") or ()),
    )
