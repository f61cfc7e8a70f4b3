"""The use cases of the lab that concern GPUs and their MIG layout."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from ds01_jupyter.core import mig_documents, models
from ds01_jupyter.core.admins import require_admin
from ds01_jupyter.core.containers import Containers
from ds01_jupyter.core.errors import EngineUnavailable
from ds01_jupyter.core.gpu.board import GpuBoard
from ds01_jupyter.core.gpu.feed import GpuFeed, GpuStream
from ds01_jupyter.core.gpu.sharing_driver import SharingDriver
from ds01_jupyter.core.identity import Person
from ds01_jupyter.core.mig import MigLayouts
from ds01_jupyter.core.operations import Operations, Progress
from ds01_jupyter.core.settings import Settings


class MachineUseCases:
    """A part of `Lab`: one method a use case; each takes the person it acts for first."""

    settings: Settings
    _board: GpuBoard
    _containers: Containers
    _driver: SharingDriver
    _feed: GpuFeed
    _mig: MigLayouts
    _operations: Operations

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
