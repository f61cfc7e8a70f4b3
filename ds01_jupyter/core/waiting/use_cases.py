"""The use cases of the lab that concern the queue and explanations."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from ds01_jupyter.core import models
from ds01_jupyter.core.admins import is_admin
from ds01_jupyter.core.errors import NotFound

if TYPE_CHECKING:
    from ds01_jupyter.core.identity import Person
    from ds01_jupyter.core.operations import Operations
    from ds01_jupyter.core.settings import Settings
    from ds01_jupyter.core.waiting.waiting import Waiting


class WaitingUseCases:
    """A part of `Lab`: one method a use case; each takes the person it acts for first."""

    settings: Settings
    _waiting: Waiting
    _operations: Operations

    @property
    def places(self) -> int:
        """How many places in the queue this process serves, as of its last look."""
        return self._waiting.dispatcher.waiting

    def queue(self, person: Person) -> list[models.QueueEntry]:
        """Everybody who waits for slots, in order; then one's own that ended lately."""
        return self._waiting.queue.list(person)

    def queue_entry(self, person: Person, number: int) -> models.QueueEntry:
        """One place in the queue."""
        return self._waiting.queue.show(person, number)

    def join_queue(self, person: Person, request: models.ContainerRequest) -> models.QueueEntry:
        """Wait for the slots of a container, which is then made by itself."""
        number = self._waiting.queue.join(person, request)
        entry = self._waiting.queue.show(person, number)
        self._waiting.dispatcher.wake()
        return entry

    def leave_queue(self, person: Person, number: int) -> None:
        """Give a place up; a container that is being made for it already is cancelled."""
        admin = is_admin(person, self.settings.admins)
        operation = self._waiting.queue.leave(person, number, admin=admin)
        if operation is not None:
            with suppress(NotFound):  # it has just ended, or its server has died
                self._operations.cancel(person, operation)
        self._waiting.dispatcher.wake()

    def why(self, person: Person, gpu: str = "any", gpus: int = 1) -> models.Explanation:
        """Whether slots could be had now; if not why, when, and what could be had instead."""
        return self._waiting.explainer.why(person, gpu, gpus)

    def why_container(self, person: Person, name: str) -> models.Explanation:
        """What happened to a container of one's own that is or was."""
        return self._waiting.explainer.why_container(person, name)
