"""Creating a container, from the request to the operation: the one way, whoever begins it (a person
at once, or the queue when it is a person's turn)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ds01_jupyter.core import models
from ds01_jupyter.core.allocator import Turn
from ds01_jupyter.core.clock import Clock
from ds01_jupyter.core.container_plan import Blueprint, Source, blueprint, check_words
from ds01_jupyter.core.containers import Containers
from ds01_jupyter.core.errors import Cancelled, CoreError, LimitReached, NoFreeSlot
from ds01_jupyter.core.gpu.board import GpuBoard
from ds01_jupyter.core.identity import Person
from ds01_jupyter.core.limits import PersonLimits
from ds01_jupyter.core.operations import Operations, Progress
from ds01_jupyter.core.people import slots_back_by
from ds01_jupyter.core.settings import Settings

SourceOf = Callable[[Person, models.ContainerRequest], Source]
Settled = Callable[[BaseException | None], None]
"""Called once when the container is there (None), or with what came in between."""


_MORE: dict[type[CoreError], str] = {
    NoFreeSlot: "`--wait` waits for it in the queue; `%ds01 why` says who has what, until when.",
    LimitReached: "`%ds01 why` shows all your limits, and what you can have now.",
}
"""Where to go from a refusal."""


class Creating:
    """Begins to create containers."""

    def __init__(
        self,
        containers: Containers,
        operations: Operations,
        board: GpuBoard,
        *,
        source: SourceOf,
        limits: Callable[[Person], PersonLimits],
        settings: Settings,
        clock: Clock,
    ) -> None:
        """`source` finds the image of a request, `limits` a person's limits as of now."""
        self._containers = containers
        self._operations = operations
        self._board = board
        self._source = source
        self.limits = limits
        self._settings = settings
        self._clock = clock

    def check(self, person: Person, request: models.ContainerRequest) -> Blueprint:
        """The request, checked against everything but limits and slots.

        Raises `InvalidInput`, `NotFound`, `Forbidden`, `EngineUnavailable` and the like.
        """
        check_words(person, request)
        return blueprint(person, request, self._source(person, request), self._settings)

    def begin(
        self,
        person: Person,
        request: models.ContainerRequest,
        *,
        turn: Turn | None = None,
        operation_id: str | None = None,
        settled: Settled | None = None,
    ) -> models.Operation:
        """Claim name and slots now, and make and start the container in an operation.

        `turn` is the place in the queue that is served, `operation_id` the number of the operation
        to be. `settled` hears how it ended, once the operation is under way; a refusal before that
        is raised, and nothing is held then.
        """
        check_words(person, request)
        over_time = self.limits(person)
        limits, until = over_time.values, slots_back_by(over_time, self._clock.now().wall)
        checked = self.check(person, request)
        try:
            claim = self._containers.claim(person, checked, limits, until=until, turn=turn)
        except CoreError as error:
            # Who is refused a slot looks next at who has it.
            self._board.sampler.expire()
            if turn is None and (more := _MORE.get(type(error))):
                error.hint = f"{error.hint} {more}".strip()
            raise
        if claim.slots:
            self._board.watch.start()
        tell = settled or _nobody

        def work(progress: Progress) -> dict[str, Any]:
            try:
                container = self._containers.create(person, checked, claim, limits, progress)
            except BaseException as error:
                tell(error)
                raise
            tell(None)
            return container.model_dump(mode="json")

        def undo() -> None:
            self._containers.release(claim)
            tell(Cancelled("The operation was cancelled before it began."))

        try:
            return self._operations.start(
                person,
                "container.create",
                f"Create the container {checked.name}",
                work,
                undo=undo,
                operation_id=operation_id,
            )
        except BaseException:
            self._containers.release(claim)
            raise


def _nobody(_: BaseException | None) -> None:
    """Nobody wants to know."""
