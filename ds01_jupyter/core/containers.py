"""Containers of a person: create, list, show, start, stop, logs, remove.

The order is what keeps slots safe: the claim is in the ledger before Docker is asked for anything,
and every step that fails takes back the ones before it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from datetime import datetime
from functools import partial

from ds01_jupyter.core import models
from ds01_jupyter.core.allocator import Allocator, Claim, Turn
from ds01_jupyter.core.builder import quietly
from ds01_jupyter.core.container_access import (
    belongs_to_another,
    full,
    missing,
    not_managed,
    not_yours,
)
from ds01_jupyter.core.container_plan import Blueprint, plan_container
from ds01_jupyter.core.container_traces import Traces
from ds01_jupyter.core.container_view import container_document
from ds01_jupyter.core.crash_points import reached
from ds01_jupyter.core.engine import ContainerSummary, Engine, GpuDevices
from ds01_jupyter.core.errors import Conflict, CoreError, EngineFailed, NotFound
from ds01_jupyter.core.gpu.nvml import NvmlDriver
from ds01_jupyter.core.gpu.request import GpuRequest
from ds01_jupyter.core.gpu.sharing import note
from ds01_jupyter.core.gpu.slots import SlotInfo
from ds01_jupyter.core.identity import Person
from ds01_jupyter.core.images import Images
from ds01_jupyter.core.ledger import ContainerRow, Ledger
from ds01_jupyter.core.lifecycle.lives import Lives
from ds01_jupyter.core.names import full_name
from ds01_jupyter.core.operations import Progress
from ds01_jupyter.core.progress_part import Part
from ds01_jupyter.core.reconcile import ENGINE, Report, foreign_slots, reconcile

STOP_SECONDS = 2
RUNNING = frozenset({"running", "paused", "restarting"})
"""States in which Docker refuses to remove a container."""

SlotReferences = list[models.SlotReference]


class Containers:
    """All containers of this machine, as one person may see and use them."""

    def __init__(
        self,
        engine: Engine,
        ledger: Ledger,
        driver: NvmlDriver,
        allocator: Allocator,
        images: Images,
        lives: Lives,
    ) -> None:
        self._engine = engine
        self._ledger = ledger
        self._driver = driver
        self._allocator = allocator
        self._images = images
        self._lives = lives
        self._traces = Traces(engine, ledger, allocator)

    # ---- looking -------------------------------------------------------------------------

    def present(self) -> Sequence[ContainerSummary]:
        """What Docker has now, after the ledger has been brought in line with it."""
        return self.reconcile().present

    def reconcile(self) -> Report:
        """Bring the ledger in line with Docker, and finish what could not be finished before."""
        self._traces.finish()
        here = self._engine.identity()
        report = reconcile(self._ledger, self._engine.list_containers, here=here)
        self._traces.gone(report.released)
        return report

    def list(self, person: Person, *, everybody: bool = False) -> list[models.Container]:
        """One's own containers and those that nobody made through us; or everybody's."""
        present = self.present()
        rows = {row.container_id: row for row in self._ledger.containers() if row.container_id}
        slots = self._slots_of_claims()
        mine = [
            (summary, rows.get(summary.id))
            for summary in present
            if everybody or not belongs_to_another(summary, rows.get(summary.id), person)
        ]
        lives = self._lives.documents([(row, item) for item, row in mine if row is not None])
        shown = [self._document(summary, row, slots, lives) for summary, row in mine]
        return sorted(shown, key=lambda document: (not document.managed, document.full_name))

    def get(self, person: Person, name: str) -> models.Container:
        """One container with its limits, by its name or by `NAME._.UID`."""
        row, summary = self._find(person, name)
        if summary is None:
            raise missing(name)
        if belongs_to_another(summary, row, person):
            raise not_yours(name)
        details = self._engine.inspect_container(summary.id)
        lives = self._lives.documents([] if row is None else [(row, summary)])
        document = self._document(summary, row, self._slots_of_claims(), lives)
        return document.model_copy(update={"limits": details.limits})

    def logs(self, person: Person, name: str, tail: int) -> str:
        """The last `tail` lines that the container's own process printed."""
        return self._engine.logs(self._own(person, name).id, tail)

    def busy_elsewhere(
        self, present: Sequence[ContainerSummary], slots: Sequence[SlotInfo]
    ) -> Mapping[str, str]:
        """Slots (by UUID) that running containers without a lease use, with their names."""
        rows = self._ledger.containers()
        leases = self._ledger.live_leases()
        return foreign_slots(slots, rows, present, self._devices, leases)

    # ---- creating ------------------------------------------------------------------------

    def claim(
        self,
        person: Person,
        blueprint: Blueprint,
        limits: models.LimitValues,
        *,
        until: datetime | None = None,
        turn: Turn | None = None,
    ) -> Claim:
        """Reserve the name, the place among the person's containers, and the slots.

        `until` and `turn` as for `Allocator.claim`. Raises `Conflict`, `LimitReached` or
        `NoFreeSlot`, and `InvalidInput` or `NotFound` for a folder that cannot be used; nothing is
        held then.
        """
        for place, is_workspace in blueprint.folders():
            place.check(person, workspace=is_workspace)
        request: GpuRequest = blueprint.gpu
        present = self.present()
        wanted = full_name(blueprint.name, person.uid)
        if any(item.full_name == wanted for item in present):
            raise Conflict(
                f"There is a container named {blueprint.name} already.",
                hint="Choose another name, or remove that one first.",
                name=blueprint.name,
            )
        foreign: Mapping[str, str] = {}
        if request.kind != "none":
            inventory = self._driver.inventory(fresh=True)
            foreign = self.busy_elsewhere(present, inventory.slots)
        return self._allocator.claim(
            person,
            blueprint.name,
            request,
            limits,
            foreign,
            {**blueprint.document(), ENGINE: self._engine.identity().document()},
            until=until,
            turn=turn,
        )

    def release(self, claim: Claim) -> None:
        """Give a claim back that never became a container; later when the ledger is busy."""
        self._traces.release(claim)

    def create(
        self,
        person: Person,
        blueprint: Blueprint,
        claim: Claim,
        limits: models.LimitValues,
        progress: Progress,
    ) -> models.Container:
        """Make the claimed container and start it; whatever fails, nothing stays behind."""
        with ExitStack() as undo:
            undo.callback(self._traces.take_back, claim)
            progress.step("workspace", 0.05)
            folders = [place.open(person, create=create) for place, create in blueprint.folders()]
            for folder in folders:
                undo.callback(folder.undo)
            reached("workspace.opened")
            progress.step("image", 0.1, "the container's own image")
            image = self._images.own_image(
                person,
                blueprint.source,
                claim.full_name,
                Part(progress, 0.1, 0.7),
                blueprint.image_labels(),
            )
            undo.callback(quietly, self._engine.remove_image, image)
            reached("image.made")
            progress.step("create", 0.7)
            inherited = self._engine.image(image)
            plan = plan_container(
                person,
                blueprint,
                claim,
                limits,
                image,
                inherited.labels if inherited else {},
                ledger=self._ledger.mark,
                cpus=self._engine.info().cpus,
            )
            container_id = self._engine.create_container(plan)
            undo.callback(quietly, partial(self._engine.remove_container, force=True), container_id)
            reached("create.done")
            self._allocator.activate(claim.claim_id, container_id)
            if blueprint.start:
                progress.step("start", 0.9)
                self.start_made(container_id, blueprint.name)
            else:
                self._allocator.hold(claim.claim_id)
            progress.check()
            undo.pop_all()
        for folder in folders:
            folder.close()
        self._ledger.record(
            person.name, person.name, "container.create", claim.full_name, "done", {}
        )
        reached("create.recorded")
        return self.get(person, blueprint.name)

    def start_made(self, container_id: str, name: str) -> None:
        """Start a container whose slots are its own; `EngineFailed` when it stops at once."""
        reached("start.begin")
        self._engine.start(container_id)
        reached("start.done")
        details = self._engine.inspect_container(container_id)
        if details.state != "running":
            raise EngineFailed(
                f"The container {name} stopped as soon as it was started.",
                hint="Its image may lack bash, or refuse to run as your user.",
                exit_code=details.exit_code,
                log=self._engine.logs(container_id, 20),
            )

    # ---- using ---------------------------------------------------------------------------

    def start(self, person: Person, name: str) -> models.Container:
        """Start a stopped container, on the very slots that its lease still holds."""
        row, summary = self.own(person, name)
        if summary.state == "running":
            raise Conflict(
                f"The container {row.name} is running already.",
                hint=f"`mlc-open {row.name}` opens a shell in it.",
                name=row.name,
            )
        if summary.state in RUNNING:
            raise Conflict(
                f"The container {row.name} is {summary.state}.",
                hint="Stop it first; then it can start again.",
                name=row.name,
            )
        self._lives.check_start(row)
        if self._ledger.leases_of(row.claim_id):
            inventory = self._driver.inventory(fresh=True)
            foreign = self.busy_elsewhere(self._engine.list_containers(), inventory.slots)
            self._allocator.resume(row.claim_id, inventory.slots, foreign)
        try:
            self.start_made(summary.id, row.name)
        except CoreError:
            self._allocator.hold(row.claim_id)
            raise
        self._record(person, row, "container.start")
        return self.get(person, name)

    def keep_alive(self, person: Person, name: str, hours: float | None) -> models.Container:
        """Let a running container not be stopped for idling for `hours` (None: the longest time).

        Raises `InvalidInput` for more than an admin allows.
        """
        row, summary = self.own(person, name)
        if summary.state not in RUNNING:
            raise Conflict(
                f"The container {row.name} is not running, so it cannot idle.",
                hint=f"`%ds01 container start {row.name}` starts it.",
                name=row.name,
            )
        self._lives.keep_alive(row, hours)
        self._record(person, row, "container.keep_alive")
        return self.get(person, name)

    def stop(self, person: Person, name: str) -> models.Container:
        """Stop a running container; its slots stay held for it until it is removed."""
        row, summary = self.own(person, name)
        if summary.state not in RUNNING:
            raise Conflict(
                f"The container {row.name} is not running.",
                hint=f"`%ds01 container start {row.name}` starts it, `remove` removes it.",
                name=row.name,
            )
        self._engine.stop(summary.id, STOP_SECONDS)
        reached("stop.done")
        self._allocator.hold(row.claim_id)
        self._record(person, row, "container.stop")
        return self.get(person, name)

    def remove(self, person: Person, name: str) -> None:
        """Remove a stopped container and its own image; the workspace stays as it is."""
        row, summary = self.own(person, name)
        if summary.state in RUNNING:
            raise Conflict(
                f"The container {row.name} is {summary.state}.",
                hint="Stop it first; what lies in its workspace stays in any case.",
                name=row.name,
            )
        reached("remove.begin")
        self._engine.remove_container(summary.id)
        reached("remove.done")
        self._allocator.release(row.claim_id)
        quietly(self._engine.remove_image, summary.image)
        reached("remove.image")
        self._record(person, row, "container.remove")

    # ---- helpers -------------------------------------------------------------------------

    def _record(self, person: Person, row: ContainerRow, action: str) -> None:
        self._ledger.record(person.name, row.owner, action, row.full_name, "done", {})

    def _own(self, person: Person, name: str) -> ContainerSummary:
        return self.own(person, name)[1]

    def own(self, person: Person, name: str) -> tuple[ContainerRow, ContainerSummary]:
        """One of a person's containers that is made; `NotFound`, `Forbidden`, `Conflict`."""
        row, summary = self._find(person, name)
        if summary is None:
            raise missing(name)
        if row is not None and row.uid != person.uid:
            raise not_yours(name)
        if row is not None and row.state == "pending":
            raise Conflict(
                f"The container {name} is still being made.",
                hint="Wait for that, or cancel the operation.",
                name=name,
            )
        if row is None or row.container_id != summary.id:
            raise not_managed(name)
        return row, summary

    def _find(
        self, person: Person, name: str
    ) -> tuple[ContainerRow | None, ContainerSummary | None]:
        """What a name means: one of ours by its id (Docker can rename it), else by its name."""
        present = self.present()
        wanted = full(name, person)
        row = self._ledger.container_by_name(wanted)
        if row is not None and row.container_id is not None:
            return row, next((item for item in present if item.id == row.container_id), None)
        for text in (wanted, name):
            found = next((item for item in present if item.full_name == text), None)
            if found is not None:
                return row, found
        return row, None

    def _devices(self, container_id: str) -> GpuDevices:
        try:
            return self._engine.gpu_devices(container_id)
        except NotFound:
            return ()  # removed since the list was taken: it uses nothing any more

    def _slots_of_claims(self) -> dict[str, SlotReferences]:
        slots: dict[str, SlotReferences] = {}
        for lease in self._ledger.live_leases():
            slots.setdefault(lease.claim_id, []).append(
                models.SlotReference(
                    slot=lease.slot,
                    uuid=lease.slot_uuid,
                    profile=lease.profile,
                    note=note(lease.info),
                )
            )
        return slots

    def _document(
        self,
        summary: ContainerSummary,
        row: ContainerRow | None,
        slots: Mapping[str, SlotReferences],
        lives: Mapping[str, models.ContainerLife],
    ) -> models.Container:
        if row is not None and row.container_id == summary.id:
            gpus, life = slots.get(row.claim_id, []), lives.get(row.claim_id)
            return container_document(summary, row, gpus, life)
        devices = self._devices(summary.id)
        named = ("all",) if devices == "all" else devices
        references = [models.SlotReference(slot=None, uuid=item, profile=None) for item in named]
        return container_document(summary, None, references)
