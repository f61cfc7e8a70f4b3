"""The lab: one method a use case, and nothing more. Everything it knows, a module beside it knows.

Every method takes the person it acts for; who that is was settled by the server. Long work is
checked at once (so that a refusal comes with the request) and then runs as an operation.
"""

from __future__ import annotations

import platform
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

from ds01_jupyter._version import __version__
from ds01_jupyter.core import models
from ds01_jupyter.core.allocator import Allocator
from ds01_jupyter.core.architecture import DriverFacts, choose_architecture
from ds01_jupyter.core.catalogue import CatalogueFile
from ds01_jupyter.core.container_plan import Source, blueprint
from ds01_jupyter.core.containers import Containers
from ds01_jupyter.core.docker_engine import DockerEngine
from ds01_jupyter.core.errors import (
    CoreError,
    DriverUnavailable,
    EngineUnavailable,
    InvalidInput,
)
from ds01_jupyter.core.gpu.nvml import NvmlDriver
from ds01_jupyter.core.gpu.view import snapshot_document, unavailable_document
from ds01_jupyter.core.identity import Person
from ds01_jupyter.core.images import Images
from ds01_jupyter.core.ledger import Ledger
from ds01_jupyter.core.limits import LimitsFile
from ds01_jupyter.core.operation_events import EventStream
from ds01_jupyter.core.operations import Operations, Progress
from ds01_jupyter.core.packages import TierFile
from ds01_jupyter.core.settings import Settings

T = TypeVar("T")


class Lab:
    """All use cases over one engine, one driver and one ledger."""

    def __init__(self, settings: Settings | None = None) -> None:
        self.settings = settings or Settings()
        self.host = platform.node()
        self._engine = DockerEngine(self.settings.docker_host)
        self._driver = NvmlDriver(self.settings.nvml_library)
        self._ledger = Ledger(self.settings.ledger)
        self._images = Images(
            self._engine, self._ledger, self._catalogue, self._tiers, self.settings
        )
        self._containers = Containers(
            self._engine,
            self._ledger,
            self._driver,
            Allocator(self._ledger, self._driver, self.host),
            self._images,
        )
        self._operations = Operations(self._ledger, parallel=self.settings.parallel_operations)
        self._files = _FileCache()

    # ---- what there is -------------------------------------------------------------------

    def about(self, person: Person) -> models.About:
        """What this server is, and whether Docker and the driver answer."""
        docker = _availability(self._docker_state)
        gpu = _availability(self._driver_state)
        architecture: str | None = None
        try:
            architecture = self._architecture(None)[0]
        except CoreError:
            architecture = None  # `gpu.problem` and the catalogue's own answer say why
        return models.About(
            version=__version__,
            user=person.name,
            uid=person.uid,
            host=self.host,
            docker=docker,
            gpu=gpu,
            architecture=architecture,
        )

    def catalogue(self, person: Person, architecture: str | None = None) -> models.Catalogue:
        """The frameworks that fit this machine (or the architecture asked for)."""
        name, how = self._architecture(architecture)
        try:
            local = {ref for image in self._engine.list_images() for ref in image.references}
        except EngineUnavailable:
            local = set()  # the catalogue can be read while Docker is away
        return self._catalogue().document(
            name, how, lambda image: image in local or f"{image}:latest" in local
        )

    def tiers(self) -> models.Tiers:
        """The packages on offer."""
        return self._tiers().document()

    def limits(self, person: Person) -> models.LimitsReport:
        """A person's limits and how much of them is in use."""
        file = self._limits_file()
        self._containers.present()
        rows = [row for row in self._ledger.containers() if row.uid == person.uid]
        claims = {row.claim_id for row in rows}
        slots = [lease for lease in self._ledger.live_leases() if lease.claim_id in claims]
        return models.LimitsReport(
            user=person.name,
            limits=file.for_person(person),
            usage=models.Usage(containers=len(rows), slots=len(slots)),
            source=str(self.settings.limits),
        )

    def gpus(self, person: Person) -> models.GpuSnapshot:
        """All GPUs and slots, with who has what."""
        try:
            reading = self._driver.snapshot()
        except DriverUnavailable as error:
            return unavailable_document(self.host, error)
        try:
            present = self._containers.present()
        except EngineUnavailable:
            present = ()  # GPUs can be looked at while Docker is away
        foreign = self._containers.busy_elsewhere(present, reading.slots) if present else {}
        return snapshot_document(
            reading,
            host=self.host,
            leases=self._ledger.live_leases(),
            rows=self._ledger.containers(),
            foreign=foreign,
        )

    # ---- images --------------------------------------------------------------------------

    def images(self, person: Person) -> list[models.Image]:
        """A person's own images."""
        return self._images.list(person)

    def image(self, person: Person, name: str) -> models.Image:
        """One image of a person."""
        return self._images.get(person, name)

    def preview_image(
        self, person: Person, request: models.ImageRequest
    ) -> models.DockerfilePreview:
        """The Dockerfile as it would be built; nothing is written."""
        architecture = self._architecture(request.architecture)[0]
        return self._images.preview(person, request, architecture)

    def create_image(self, person: Person, request: models.ImageRequest) -> models.Operation:
        """Start building an image."""
        architecture = self._architecture(request.architecture)[0]
        self._images.check(person, request, architecture)

        def work(progress: Progress) -> dict[str, Any]:
            image = self._images.create(person, request, architecture, progress)
            return image.model_dump(mode="json")

        return self._operations.start(
            person, "image.create", f"Build the image {request.name}", work
        )

    def image_dockerfile(self, person: Person, name: str) -> models.DockerfilePreview:
        """The stored Dockerfile of an image."""
        return self._images.dockerfile(person, name)

    def remove_image(self, person: Person, name: str) -> None:
        """Remove an image that no container uses; its Dockerfile stays."""
        self._images.remove(person, name)

    # ---- containers ----------------------------------------------------------------------

    def containers(self, person: Person, everybody: bool = False) -> list[models.Container]:
        """A person's containers and those that were not made through us, or everybody's."""
        return self._containers.list(person, everybody=everybody)

    def container(self, person: Person, name: str) -> models.Container:
        """One container with its limits."""
        return self._containers.get(person, name)

    def create_container(
        self, person: Person, request: models.ContainerRequest
    ) -> models.Operation:
        """Claim name and slots now, then make and start the container."""
        limits = self._limits_file().for_person(person)
        checked = blueprint(person, request, self._source(person, request), self.settings)
        claim = self._containers.claim(person, checked, limits)

        def work(progress: Progress) -> dict[str, Any]:
            container = self._containers.create(person, checked, claim, limits, progress)
            return container.model_dump(mode="json")

        try:
            return self._operations.start(
                person,
                "container.create",
                f"Create the container {checked.name}",
                work,
                undo=lambda: self._containers.release(claim),
            )
        except BaseException:
            self._containers.release(claim)
            raise

    def start_container(self, person: Person, name: str) -> models.Container:
        """Start a stopped container on the slots it holds."""
        return self._containers.start(person, name)

    def stop_container(self, person: Person, name: str) -> models.Container:
        """Stop a container; its slots stay held."""
        return self._containers.stop(person, name)

    def remove_container(self, person: Person, name: str) -> None:
        """Remove a stopped container and free its slots; the workspace stays."""
        self._containers.remove(person, name)

    def container_logs(self, person: Person, name: str, tail: int) -> models.Logs:
        """The last lines of a container's output."""
        return models.Logs(text=self._containers.logs(person, name, tail))

    # ---- operations ----------------------------------------------------------------------

    def operations(self, person: Person) -> list[models.Operation]:
        """A person's long work, newest first."""
        return self._operations.list(person)

    def operation(self, person: Person, operation_id: str) -> models.Operation:
        """One piece of long work."""
        return self._operations.get(person, operation_id)

    def operation_events(
        self, person: Person, operation_id: str, *, after: int = 0, timeout: float = 15.0
    ) -> EventStream:
        """Events after the id `after`; None after every `timeout` seconds of silence."""
        return self._operations.events(person, operation_id, after=after, timeout=timeout)

    def cancel_operation(self, person: Person, operation_id: str) -> models.Operation:
        """Ask long work to stop."""
        return self._operations.cancel(person, operation_id)

    def close(self) -> None:
        """End long work, and let go of the ledger, the engine and the driver."""
        self._operations.close()
        self._ledger.close()
        self._engine.close()
        self._driver.close()

    # ---- helpers -------------------------------------------------------------------------

    def _source(self, person: Person, request: models.ContainerRequest) -> Source:
        if (request.image is None) == (request.framework is None):
            raise InvalidInput(
                "A container needs an image or a framework, and only one of them.",
                hint="Give `image` (one of yours), or `framework` such as Pytorch.",
            )
        if request.framework is not None:
            choice = request.framework
            architecture = self._architecture(choice.architecture)[0]
            row = self._catalogue().select(choice.framework, choice.version, architecture)
            return Source(row.image, f"{row.framework}-{row.version}", architecture)
        found = self._images.resolve(person, request.image or "")
        return Source(found.reference, found.framework, found.architecture)

    def _architecture(self, requested: str | None) -> tuple[str, Any]:
        facts: DriverFacts | None = None
        if not requested and not self.settings.architecture:
            facts = self._driver.inventory().facts
        return choose_architecture(
            requested, self.settings.architecture, facts, self._catalogue().architectures
        )

    def _catalogue(self) -> CatalogueFile:
        return self._files.read(self.settings.catalogue, CatalogueFile.load)

    def _tiers(self) -> TierFile:
        return self._files.read(self.settings.tiers, TierFile.load)

    def _limits_file(self) -> LimitsFile:
        return self._files.read(self.settings.limits, LimitsFile.load)

    def _docker_state(self) -> dict[str, Any]:
        info = self._engine.info()
        details = {"buildkit": info.buildkit, "storage": info.storage_driver, "gpu": info.gpu}
        return {"version": info.version, "details": details}

    def _driver_state(self) -> dict[str, Any]:
        inventory = self._driver.inventory()
        if not inventory.gpus:
            raise DriverUnavailable("The NVIDIA driver answers, but it has no GPU.")
        simulated = bool(self.settings.nvml_library)
        details = {"gpus": len(inventory.gpus), "slots": len(inventory.slots)}
        return {
            "version": inventory.driver_version,
            "details": {**details, "library": self.settings.nvml_library if simulated else None},
        }


def _availability(probe: Callable[[], dict[str, Any]]) -> models.Availability:
    try:
        return models.Availability(available=True, **probe())
    except CoreError as error:
        return models.Availability(available=False, problem=f"{error.message} {error.hint}".strip())


class _FileCache:
    """Files that an admin edits: read again when they change, at the cost of one stat."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: dict[Path, tuple[tuple[int, ...], Any]] = {}

    def read(self, path: Path, load: Callable[[Path], T]) -> T:
        with self._lock:
            stamp = _stamp(path)
            held = self._held.get(path)
            if held is not None and stamp is not None and held[0] == stamp:
                return cast(T, held[1])
            value = load(path)
            if stamp is not None:
                self._held[path] = (stamp, value)
            return value


def _stamp(path: Path) -> tuple[int, ...] | None:
    """What changes with a file's content; None when it cannot be told (the loader says why)."""
    file = path / "ml_images.repo" if path.is_dir() else path
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
