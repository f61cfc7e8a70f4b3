"""Making a container anew from its image as it is now: same name, workspace and slots.

The old container is put aside under another name until the new one runs; whatever fails, it is put
back as it was. Its other name tells which process is at work, so that what a killed one left can be
put right by the next look (`finish`).
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial

from ds01_jupyter.core import ledger_tables as tables
from ds01_jupyter.core import models
from ds01_jupyter.core.allocator import Allocator, Claim
from ds01_jupyter.core.cleanup import quietly
from ds01_jupyter.core.container_plan import Blueprint, Source, blueprint, plan_container
from ds01_jupyter.core.containers import Containers
from ds01_jupyter.core.crash_points import reached
from ds01_jupyter.core.engine import ContainerSummary, Engine, Muted, Reporter
from ds01_jupyter.core.errors import Conflict, CoreError
from ds01_jupyter.core.gpu.nvml import NvmlDriver
from ds01_jupyter.core.identity import Person
from ds01_jupyter.core.images import Images
from ds01_jupyter.core.labels import CLAIM
from ds01_jupyter.core.ledger import ContainerRow, Ledger
from ds01_jupyter.core.processes import ProcessIdentity, boot_id, is_alive, process_identity
from ds01_jupyter.core.reconcile import RUNNING
from ds01_jupyter.core.settings import Settings

STOP_SECONDS = 10
_ASIDE = re.compile(
    r"(?P<full>.+)\.before-(?P<boot>[0-9a-f]{8})-(?P<namespace>\d+)-(?P<pid>\d+)-(?P<ticks>\d+)"
)

log = logging.getLogger(__name__)


class Recreation:
    """Makes containers anew, on one engine and one ledger."""

    def __init__(
        self,
        engine: Engine,
        ledger: Ledger,
        driver: NvmlDriver,
        allocator: Allocator,
        images: Images,
        containers: Containers,
        settings: Settings,
    ) -> None:
        self._engine = engine
        self._ledger = ledger
        self._driver = driver
        self._allocator = allocator
        self._images = images
        self._containers = containers
        self._settings = settings

    def recreate(
        self,
        person: Person,
        row: ContainerRow,
        summary: ContainerSummary,
        limits: models.LimitValues,
        progress: Reporter,
    ) -> None:
        """Make one of a person's containers anew; it runs again if it ran.

        Limits are those of now. Slots that were given back in the meantime are not taken again: the
        container then has no GPU. Raises what a create raises; the old container is back then.
        """
        checked = self._blueprint(person, row)
        slots = [one for one in self._ledger.leases_of(row.claim_id) if one.state != "released"]
        claim = Claim(row.claim_id, row.full_name, tuple(lease.info for lease in slots))
        if not slots and self._ledger.leases_of(row.claim_id):
            progress.log("Its GPU slot was given back in the meantime; it is made without a GPU.")
        runs = summary.state in RUNNING
        with ExitStack() as undo:
            progress.step("image", None, f"the own image of {row.name}")
            image = self._images.own_image(
                person,
                checked.source,
                row.full_name,
                Muted(progress),
                checked.image_labels(),
            )
            undo.callback(quietly, partial(self._engine.tag, summary.image_id), image)
            reached("recreate.image")
            progress.step("recreate", None, row.name)
            if runs:
                undo.callback(quietly, self._engine.start, summary.id)
                self._engine.stop(summary.id, STOP_SECONDS)
            aside = _aside(row.full_name)
            self._engine.rename(summary.id, aside)
            undo.callback(quietly, partial(self._rename, summary.id), row.full_name)
            reached("recreate.aside")
            container_id = self._make(person, checked, claim, limits, image)
            undo.callback(quietly, partial(self._engine.remove_container, force=True), container_id)
            reached("recreate.made")
            self._replace(row, summary.id, container_id)
            undo.callback(self._replace, row, container_id, summary.id)
            reached("recreate.replaced")
            if runs:
                self._start(row, container_id, bool(slots))
            progress.check()
            undo.pop_all()
        self._engine.remove_container(summary.id, force=True)
        quietly(self._engine.remove_image, summary.image_id)
        reached("recreate.done")

    def finish(self, present: Sequence[ContainerSummary]) -> list[str]:
        """Put right what killed processes left half-made; returns the names of the containers.

        Only containers that carry a claim of this ledger, under a name that we gave, are touched.
        """
        mended = []
        for old in present:
            match = _ASIDE.fullmatch(old.full_name)
            if match is None or _alive(match):
                continue
            row = self._ledger.container_by_name(match["full"])
            if row is None or old.labels.get(CLAIM) != row.claim_id:
                continue
            new = next((one for one in present if one.full_name == row.full_name), None)
            if row.container_id == old.id:
                if new is not None and new.labels.get(CLAIM) == row.claim_id:
                    self._engine.remove_container(new.id, force=True)
                self._engine.rename(old.id, row.full_name)
            else:
                self._engine.remove_container(old.id, force=True)
                quietly(self._engine.remove_image, old.image_id)
            mended.append(row.full_name)
            log.info("ds01: the recreation of %s was broken off and is put right", row.full_name)
        return mended

    # ---- steps ---------------------------------------------------------------------------

    def _blueprint(self, person: Person, row: ContainerRow) -> Blueprint:
        kept = row.document
        origin = Source(kept["image"], kept["framework"], kept["architecture"])
        request = models.ContainerRequest(
            name=row.name,
            image=kept["image"],
            workspace=kept["workspace"],
            data=kept["data"],
            models=kept["models"],
            gpu="none",
        )
        return blueprint(person, request, origin, self._settings)

    def _make(
        self,
        person: Person,
        checked: Blueprint,
        claim: Claim,
        limits: models.LimitValues,
        image: str,
    ) -> str:
        with ExitStack() as folders:
            for place, create in checked.folders():
                folders.callback(place.open(person, create=create).close)
            inherited = self._engine.image(image)
            plan = plan_container(
                person,
                checked,
                claim,
                limits,
                image,
                inherited.labels if inherited else {},
                ledger=self._ledger.mark,
                cpus=self._engine.info().cpus,
            )
            return self._engine.create_container(plan)

    def _replace(self, row: ContainerRow, old: str, new: str) -> None:
        """The claim's container is another one from now on."""
        with self._ledger.writing() as connection:
            now = tables.container(connection, row.claim_id)
            if now is None or now.container_id != old:
                raise Conflict(
                    f"The container {row.name} was removed while it was made anew.",
                    hint="Create it again; its workspace stays.",
                    name=row.name,
                )
            tables.set_present(connection, row.claim_id, new)

    def _start(self, row: ContainerRow, container_id: str, with_slots: bool) -> None:
        if with_slots:
            slots = self._driver.inventory(fresh=True).slots
            present = self._engine.list_containers()
            foreign = self._containers.busy_elsewhere(present, slots)
            self._allocator.resume(row.claim_id, slots, foreign)
        self._containers.start_made(container_id, row.name)

    def _rename(self, container: str, name: str) -> None:
        try:
            self._engine.rename(container, name)
        except CoreError as error:
            log.warning("ds01: %s could not be given its name back: %s", name, error.message)
            raise


def _aside(full_name: str) -> str:
    me = process_identity()
    return f"{full_name}.before-{me.boot_id[:8]}-{me.namespace}-{me.pid}-{me.start_ticks}"


def _alive(match: re.Match[str]) -> bool:
    boot = boot_id()
    if not boot.startswith(match["boot"]):
        return False
    identity = ProcessIdentity(
        int(match["pid"]), int(match["ticks"]), boot, int(match["namespace"])
    )
    return is_alive(identity)
