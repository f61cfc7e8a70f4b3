"""The documents of the queue and of explanations; `models` says what holds of all of them."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from ds01_jupyter.core.document import Document

Outcome = Literal["now", "later", "never"]


class Estimate(Document):
    """When something can be had. `at` None: nobody can say, and `because` tells why.

    `certain`: it cannot come later, by time limits, holds and reservations that are known now.
    """

    at: datetime | None
    certain: bool
    because: str


class Standing(Document):
    """The points that make the order of the queue; more is sooner (see `docs/queue.md`)."""

    priority: float
    fair_share: float
    waiting: float
    total: float


class QueueEntry(Document):
    """Somebody who waits for slots, and then a container that is made by itself."""

    id: int
    user: str
    mine: bool
    name: str | None
    """Name of the container to be; only its owner sees it."""
    gpu: str
    gpus: int
    state: Literal["waiting", "starting", "done", "cancelled", "failed"]
    asleep: bool = False
    """The server that would make the container does not run: the place is kept, nobody waits for
    it meanwhile."""
    position: int | None
    """1 is next; None when it does not wait any more."""
    standing: Standing | None = None
    created: datetime
    finished: datetime | None = None
    estimate: Estimate | None = None
    operation: str | None = None
    """Id of the operation that makes the container, from `starting` on; only its owner sees it."""
    problem: str | None = None
    """Why it failed; only its owner sees it."""


class LimitUse(Document):
    """One limit against what is asked for. `limit` None is unlimited."""

    key: str
    limit: float | None
    in_use: float
    asked: float
    fits: bool


class Obstacle(Document):
    """A slot that would do and is not free: who has it, and what frees it when."""

    slot: str
    profile: str
    who: str
    container: str | None
    """Its name, where the person may know it: their own, or one of plain Docker's."""
    free_at: datetime | None
    """At the latest; None: nobody can say."""
    because: str
    """Such as "its longest run time ends"; one clause."""


class Alternative(Document):
    """What can be had now instead."""

    gpu: str
    gpus: int
    words: str
    command: str


class Explanation(Document):
    """Whether a request could be had, and if not: which limit, what is in use, what would free it,
    when, and what can be had now."""

    gpu: str
    gpus: int
    outcome: Outcome
    """`never`: no waiting helps (a limit, or no such slot), something must change first."""
    code: str
    """Code of the refusal, such as `limit_reached`; `ok` when it can be had now."""
    message: str
    hint: str
    limits: list[LimitUse] = Field(default_factory=list)
    obstacles: list[Obstacle] = Field(default_factory=list)
    ahead: int = 0
    """How many in the queue would come first."""
    estimate: Estimate | None = None
    instead: list[Alternative] = Field(default_factory=list)
    past: list[str] = Field(default_factory=list)
    """What happened to the container that was asked about, oldest first, a sentence each."""
