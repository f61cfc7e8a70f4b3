"""The lab: one method a use case, and nothing more. Everything it knows, a module beside it knows.

Every method takes the person it acts for; who that is was settled by the server. Long work is
checked at once (so that a refusal comes with the request) and then runs as an operation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ds01_jupyter._version import __version__
from ds01_jupyter.core import models
from ds01_jupyter.core.admin_files import AdminFiles
from ds01_jupyter.core.allocator import Allocator
from ds01_jupyter.core.architecture import SAY_IT, DriverFacts, choose_architecture
from ds01_jupyter.core.availability import docker_availability, driver_availability
from ds01_jupyter.core.build_queue import BuildQueue
from ds01_jupyter.core.build_routes import route_of
from ds01_jupyter.core.clock import Clock, SystemClock
from ds01_jupyter.core.container_plan import Source
from ds01_jupyter.core.containers import Containers
from ds01_jupyter.core.creating import Creating
from ds01_jupyter.core.docker_engine import DockerEngine
from ds01_jupyter.core.errors import (
    CoreError,
    DriverUnavailable,
    EngineUnavailable,
    InvalidInput,
)
from ds01_jupyter.core.gpu.board import GpuBoard
from ds01_jupyter.core.gpu.feed import GpuFeed
from ds01_jupyter.core.gpu.mig_driver import MigDriver
from ds01_jupyter.core.gpu.quota import equivalents
from ds01_jupyter.core.gpu.sharing_driver import LastKnown, SharingDriver
from ds01_jupyter.core.gpu.slots import SlotInfo
from ds01_jupyter.core.hardware import this_machine
from ds01_jupyter.core.host import host_of
from ds01_jupyter.core.identity import Directory, Person
from ds01_jupyter.core.image_builds.service import ImageBuilds
from ds01_jupyter.core.image_use_cases import ImageUseCases
from ds01_jupyter.core.images import Images
from ds01_jupyter.core.ledger import Ledger
from ds01_jupyter.core.ledger_rebuild import survey
from ds01_jupyter.core.lifecycle.make import make_keeper, make_lives, time_limits
from ds01_jupyter.core.lifecycle.use_cases import LifecycleUseCases
from ds01_jupyter.core.limits import PersonLimits
from ds01_jupyter.core.limits_check import check_text
from ds01_jupyter.core.machine_use_cases import MachineUseCases
from ds01_jupyter.core.mig import MigLayouts
from ds01_jupyter.core.operation_events import EventStream
from ds01_jupyter.core.operations import Operations
from ds01_jupyter.core.people import PeopleLimits
from ds01_jupyter.core.reconcile import Report
from ds01_jupyter.core.reconciler import Reconciler
from ds01_jupyter.core.recreation import Recreation
from ds01_jupyter.core.reservations.fence import ReservationFence
from ds01_jupyter.core.reservations.service import Reservations
from ds01_jupyter.core.reservations.use_cases import ReservationUseCases
from ds01_jupyter.core.settings import Settings
from ds01_jupyter.core.waiting.fence import QueueFence
from ds01_jupyter.core.waiting.people import People
from ds01_jupyter.core.waiting.scene import KeptLimits, Stage
from ds01_jupyter.core.waiting.use_cases import WaitingUseCases
from ds01_jupyter.core.waiting.waiting import Waiting


class Lab(ImageUseCases, LifecycleUseCases, ReservationUseCases, WaitingUseCases, MachineUseCases):
    """All use cases over one engine, one driver and one ledger."""

    def __init__(self, settings: Settings | None = None, clock: Clock | None = None) -> None:
        """`clock` tells what the time is; another one than the machine's is for tests."""
        self.settings = settings or Settings()
        self.host = host_of(self.settings.ledger)
        self._clock = clock or SystemClock()
        self._admin = AdminFiles(self.settings)
        self._people = PeopleLimits(self._admin.limits)
        self._engine = DockerEngine(
            self.settings.docker_host,
            build_route=route_of(self.settings.build_route),
            buildx=self.settings.buildx,
        )
        shared = LastKnown(lambda: self._admin.limits().shared_gpus)
        self._driver = SharingDriver(self.settings.nvml_library, shared)
        self._ledger = Ledger(
            self.settings.ledger,
            survey=lambda: survey(
                self._engine, self._driver, self.host, self._ledger.mark, self._people
            ),
        )
        self._board = GpuBoard(
            self.settings.nvml_library,
            self._ledger,
            self.host,
            self._foreign,
            ignored_xids=self.settings.ignored_xids,
            declared=shared,
            promised=lambda *look: self._reservations.marked(*look),
        )
        self._feed = GpuFeed(self._board, self.host)
        self._images = Images(
            self._engine,
            self._ledger,
            self._admin.catalogue,
            self._admin.tiers,
            self.settings,
            self._groups_of,
        )
        self._accounts = Directory(self.settings.domains)
        self._lives = make_lives(self.settings, self._ledger, self._people, self._clock)
        people = People(self._people, self._person_limits)
        kept = KeptLimits(people.limits_of)
        stage = Stage(
            self.host,
            kept,
            lambda now: (ReservationFence(self.host, kept, lambda: now),),
        )
        allocator = Allocator(
            self._ledger,
            self._driver,
            self.host,
            self._board.health,
            fences=(QueueFence(stage, self._clock),),
        )
        self._image_builds = ImageBuilds(self._engine, self._ledger, self._images)
        self._containers = Containers(
            self._engine,
            self._ledger,
            self._driver,
            allocator,
            self._images,
            self._lives,
        )
        self._recreation = Recreation(
            self._engine,
            self._ledger,
            self._driver,
            allocator,
            self._images,
            self._containers,
            self.settings,
        )
        self._reservations = Reservations(
            self._ledger,
            self.host,
            self._driver,
            self._foreign,
            self._admin.limits,
            kept,
            self._accounts,
            self.settings.admins,
            self._clock,
        )
        self._lives.evictions = self._reservations.evictions
        self._operations = Operations(self._ledger, parallel=self.settings.parallel_operations)
        self._build_queue = BuildQueue(self._ledger, self.settings.parallel_builds)
        self._creating = Creating(
            self._containers,
            self._operations,
            self._board,
            source=self._source,
            limits=self._person_limits,
            settings=self.settings,
            clock=self._clock,
        )
        self._waiting = Waiting(
            stage,
            people,
            ledger=self._ledger,
            containers=self._containers,
            driver=self._driver,
            allocator=allocator,
            operations=self._operations,
            creating=self._creating,
            clock=self._clock,
        )
        self._waiting.start()
        self._mig = MigLayouts(
            self._ledger,
            MigDriver(self.settings.nvml_library),
            self.host,
            self._foreign,
            self.settings.admins,
            self._reservations.beside,
        )
        self._reconciler = Reconciler(
            self._ledger,
            self._engine,
            self._driver,
            self._reconcile,
            every=self.settings.reconcile_seconds,
        )
        self.keeper = make_keeper(self.settings, self._lives, self._engine, self._board)
        if self.settings.reconcile_seconds:
            self.keeper.start()
            self._reservations.start()
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
        limits = file.person_limits(person)
        return models.LimitsReport(
            user=person.name,
            limits=limits.values,
            times=time_limits(limits, self._lives),
            usage=models.Usage(
                containers=len(rows),
                slots=len(slots),
                gpu_equivalents=round(float(equivalents(lease.info for lease in slots)), 4),
            ),
            source=str(self.settings.limits),
            groups=file.group_names,
        )

    def check_limits(self, person: Person, text: str) -> models.CheckReport:
        """What is wrong or odd in the text of a limits file, which need not be in use."""
        hardware = this_machine(self._engine.info, self._driver.bare)
        accounts = Directory(self.settings.domains)
        return check_text(text, "resource-limits.yaml", hardware, accounts)

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
        return self._creating.begin(person, request)

    def start_container(self, person: Person, name: str) -> models.Container:
        """Start a stopped container on the slots it holds."""
        started = self._containers.start(person, name)
        self.keeper.wake()
        return started

    def stop_container(self, person: Person, name: str) -> models.Container:
        """Stop a container; its slots stay held."""
        stopped = self._containers.stop(person, name)
        self.keeper.wake()
        return stopped

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
        self._feed.close()
        self._waiting.close()
        self._operations.close()
        self.keeper.close()
        self._reservations.close()
        self._reconciler.close()
        free = self._board.close()
        self._ledger.close()
        self._engine.close()
        if free:
            self._driver.close()  # it would wait for ever for a call that hangs

    # ---- helpers -------------------------------------------------------------------------

    def _groups_of(self, person: Person) -> set[str]:
        """Groups of the limits file and of the machine."""
        return {self._admin.limits().for_person(person).group, *person.groups}

    def _reconcile(self) -> Report:
        report = self._containers.reconcile()
        self._recreation.finish(report.present)
        return report

    def _foreign(self, slots: Sequence[SlotInfo]) -> Mapping[str, str]:
        """Slots that are used without a lease, with the container's name."""
        return self._containers.busy_elsewhere(self._containers.present(), slots)

    def _person_limits(self, person: Person) -> PersonLimits:
        return self._admin.limits().person_limits(person)

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
