"""The lab: one method a use case, and nothing more. Everything it knows, a module beside it knows.

Every method takes the person it acts for; who that is was settled by the server. Long work is
checked at once (so that a refusal comes with the request) and then runs as an operation.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from ds01_jupyter._version import __version__
from ds01_jupyter.core import mig_documents, models
from ds01_jupyter.core.admin_files import AdminFiles
from ds01_jupyter.core.admins import require_admin
from ds01_jupyter.core.allocator import Allocator
from ds01_jupyter.core.architecture import SAY_IT, DriverFacts, choose_architecture
from ds01_jupyter.core.availability import docker_availability, driver_availability
from ds01_jupyter.core.clock import Clock, SystemClock
from ds01_jupyter.core.container_plan import Source, blueprint, check_words
from ds01_jupyter.core.containers import Containers
from ds01_jupyter.core.docker_engine import DockerEngine
from ds01_jupyter.core.errors import (
    CoreError,
    DriverUnavailable,
    EngineUnavailable,
    InvalidInput,
)
from ds01_jupyter.core.gpu.board import GpuBoard
from ds01_jupyter.core.gpu.feed import GpuFeed, GpuStream
from ds01_jupyter.core.gpu.mig_driver import MigDriver
from ds01_jupyter.core.gpu.nvml import NvmlDriver
from ds01_jupyter.core.gpu.quota import equivalents
from ds01_jupyter.core.gpu.slots import SlotInfo
from ds01_jupyter.core.hardware import this_machine
from ds01_jupyter.core.identity import Directory, Person
from ds01_jupyter.core.images import Images
from ds01_jupyter.core.ledger import Ledger
from ds01_jupyter.core.ledger_rebuild import survey
from ds01_jupyter.core.lifecycle.use_cases import LifecycleUseCases
from ds01_jupyter.core.limits_check import check_text
from ds01_jupyter.core.mig import MigLayouts
from ds01_jupyter.core.operation_events import EventStream
from ds01_jupyter.core.operations import Operations, Progress
from ds01_jupyter.core.people import PeopleLimits, slots_back_by
from ds01_jupyter.core.reconciler import Reconciler
from ds01_jupyter.core.reservations.use_cases import ReservationUseCases
from ds01_jupyter.core.settings import Settings
from ds01_jupyter.core.waiting.use_cases import WaitingUseCases


class Lab(LifecycleUseCases, ReservationUseCases, WaitingUseCases):
    """All use cases over one engine, one driver and one ledger."""

    def __init__(self, settings: Settings | None = None, clock: Clock | None = None) -> None:
        """`clock` tells what the time is; another one than the machine's is for tests."""
        self.settings = settings or Settings()
        self.host = platform.node()
        self._clock = clock or SystemClock()
        self._admin = AdminFiles(self.settings)
        self._people = PeopleLimits(self._admin.limits)
        self._engine = DockerEngine(self.settings.docker_host)
        self._driver = NvmlDriver(self.settings.nvml_library)
        self._ledger = Ledger(
            self.settings.ledger,
            survey=lambda: survey(self._engine, self._driver, self.host, self._ledger.mark),
        )
        self._board = GpuBoard(
            self.settings.nvml_library,
            self._ledger,
            self.host,
            self._foreign,
            ignored_xids=self.settings.ignored_xids,
        )
        self._feed = GpuFeed(self._board, self.host)
        self._images = Images(
            self._engine,
            self._ledger,
            self._admin.catalogue,
            self._admin.tiers,
            self.settings,
        )
        self._containers = Containers(
            self._engine,
            self._ledger,
            self._driver,
            Allocator(self._ledger, self._driver, self.host, self._board.health),
            self._images,
        )
        self._operations = Operations(self._ledger, parallel=self.settings.parallel_operations)
        self._mig = MigLayouts(
            self._ledger,
            MigDriver(self.settings.nvml_library),
            self.host,
            self._foreign,
            self.settings.admins,
        )
        self._reconciler = Reconciler(
            self._ledger,
            self._engine,
            self._driver,
            self._containers.reconcile,
            every=self.settings.reconcile_seconds,
        )
        if self.settings.reconcile_seconds:
            self._reconciler.start()  # a server makes its lab with the first request

    # ---- what there is -------------------------------------------------------------------

    def about(self, person: Person) -> models.About:
        """What this server is, and whether Docker and the driver answer."""
        docker = docker_availability(self._engine)
        gpu = driver_availability(self._driver, self.settings.nvml_library)
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
        return self._admin.catalogue().document(
            name, how, lambda image: image in local or f"{image}:latest" in local
        )

    def tiers(self) -> models.Tiers:
        """The packages on offer."""
        return self._admin.tiers().document()

    def limits(self, person: Person) -> models.LimitsReport:
        """A person's limits and how much of them is in use."""
        file = self._admin.limits()
        self._containers.present()
        rows = [row for row in self._ledger.containers() if row.uid == person.uid]
        claims = {row.claim_id for row in rows}
        slots = [lease for lease in self._ledger.live_leases() if lease.claim_id in claims]
        return models.LimitsReport(
            user=person.name,
            limits=file.for_person(person),
            usage=models.Usage(
                containers=len(rows),
                slots=len(slots),
                gpu_equivalents=round(float(equivalents(lease.info for lease in slots)), 4),
            ),
            source=str(self.settings.limits),
        )

    def check_limits(self, person: Person, text: str) -> models.CheckReport:
        """What is wrong or odd in the text of a limits file, which need not be in use."""
        hardware = this_machine(self._engine.info, self._driver.inventory)
        accounts = Directory(self.settings.domains)
        return check_text(text, "resource-limits.yaml", hardware, accounts)

    # ---- GPUs ----------------------------------------------------------------------------

    def gpus(self, person: Person) -> models.GpuSnapshot:
        """All GPUs and slots, with who has what: figures of a moment ago, leases of now."""
        with suppress(EngineUnavailable):  # GPUs can be looked at while Docker is away
            self._containers.present()
        return self._board.snapshot()

    def gpu_history(self, person: Person) -> models.GpuHistory:
        """What all GPUs and MIG instances did in the last hour."""
        return self._board.history()

    def follow_gpus(self, person: Person) -> GpuStream:
        """Snapshots as they change; the stream must be closed."""
        return self._feed.follow(person)

    def cordon_gpu(
        self, person: Person, gpu: str, request: models.CordonRequest
    ) -> models.GpuSnapshot:
        """Take a GPU (index or UUID) out of use; leases on it are kept. For admins."""
        require_admin(person, self.settings.admins, "take a GPU out of use")
        known = self._driver.inventory(fresh=True).gpus
        self._board.health.cordon(person, gpu, request.reason, known)
        return self._board.snapshot()

    def uncordon_gpu(self, person: Person, gpu: str) -> models.GpuSnapshot:
        """Give a GPU back that was cordoned for whatever reason. For admins."""
        require_admin(person, self.settings.admins, "give a GPU back")
        known = self._driver.inventory(fresh=True).gpus
        self._board.health.uncordon(person, gpu, known)
        return self._board.snapshot()

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
        self._images.check_words(request)
        architecture = self._architecture(request.architecture)[0]
        return self._images.preview(person, request, architecture)

    def create_image(self, person: Person, request: models.ImageRequest) -> models.Operation:
        """Start building an image."""
        self._images.check_words(request)
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
        check_words(person, request)
        over_time = self._admin.limits().person_limits(person)
        limits, until = over_time.values, slots_back_by(over_time, self._clock.now().wall)
        checked = blueprint(person, request, self._source(person, request), self.settings)
        try:
            claim = self._containers.claim(person, checked, limits, until=until)
        except CoreError:
            # Who is refused a slot looks next at who has it.
            self._board.sampler.expire()
            raise
        if claim.slots:
            self._board.watch.start()

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

    # ---- MIG layout ----------------------------------------------------------------------

    def mig_layout(self, person: Person) -> mig_documents.MigLayout:
        """The MIG instances that there are, as a layout file too."""
        return self._mig.export(person)

    def plan_mig(
        self, person: Person, request: mig_documents.MigLayoutRequest
    ) -> mig_documents.MigPlan:
        """What a layout would change, and what is in the way; nothing is changed."""
        return self._mig.plan(person, request)

    def apply_mig(
        self, person: Person, request: mig_documents.MigLayoutRequest
    ) -> models.Operation:
        """Begin to bring the machine to a layout; for admins."""
        label = self._mig.check(person, request)

        def work(progress: Progress) -> dict[str, Any]:
            return self._mig.apply(person, request, progress).model_dump(mode="json")

        return self._operations.start(person, "mig.apply", f"MIG layout {label}", work)

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
        self._feed.close()
        self._operations.close()
        self._reconciler.close()
        free = self._board.close()
        self._ledger.close()
        self._engine.close()
        if free:
            self._driver.close()  # it would wait for ever for a call that hangs

    # ---- helpers -------------------------------------------------------------------------

    def _foreign(self, slots: Sequence[SlotInfo]) -> Mapping[str, str]:
        """Slots that are used without a lease, with the container's name."""
        return self._containers.busy_elsewhere(self._containers.present(), slots)

    def _source(self, person: Person, request: models.ContainerRequest) -> Source:
        if (request.image is None) == (request.framework is None):
            raise InvalidInput(
                "A container needs an image or a framework, and only one of them.",
                hint="Give `image` (one of yours), or `framework` such as Pytorch.",
            )
        if request.framework is not None:
            choice = request.framework
            architecture = self._architecture(choice.architecture)[0]
            row = self._admin.catalogue().select(choice.framework, choice.version, architecture)
            return Source(row.image, f"{row.framework}-{row.version}", architecture)
        found = self._images.resolve(person, request.image or "")
        return Source(found.reference, found.framework, found.architecture)

    def _architecture(self, requested: str | None) -> tuple[str, Any]:
        catalogue = self._admin.catalogue()
        catalogue.refuse_empty()
        configured = self.settings.architecture
        facts: DriverFacts | None = None
        try:
            facts = self._driver.inventory().facts
        except DriverUnavailable as error:
            if requested is None and not configured:
                raise DriverUnavailable(error.message, hint=SAY_IT, **error.details) from error
        return choose_architecture(requested, configured, facts, catalogue.architectures)
