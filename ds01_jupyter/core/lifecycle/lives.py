"""The time of containers as the rest of the core asks for it: documents, the check before a
start, and keep-alive. All of it from the ledger; Docker and the driver are not asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import timedelta

from ds01_jupyter.core.clock import Clock, Moment
from ds01_jupyter.core.engine import ContainerSummary
from ds01_jupyter.core.errors import ConfigurationError, InvalidInput, LimitReached
from ds01_jupyter.core.identity import Person
from ds01_jupyter.core.ledger import ContainerRow, Ledger
from ds01_jupyter.core.lifecycle import tables, words
from ds01_jupyter.core.lifecycle.documents import ContainerLife, Deadline, Notice
from ds01_jupyter.core.lifecycle.life import KeepAlive, Life
from ds01_jupyter.core.lifecycle.policy import (
    Eviction,
    Evictions,
    Standing,
    dues,
    exempt,
    level,
    no_evictions,
    used_up,
)
from ds01_jupyter.core.lifecycle.standings import claimed, read_books
from ds01_jupyter.core.limit_merge import PersonLimits
from ds01_jupyter.core.people import LimitsOf
from ds01_jupyter.core.units import format_duration

LONGEST_KEEP = timedelta(hours=24)


class Lives:
    """The time of all containers in one ledger.

    `evictions` says who has to make way for a reservation; it may be set later. `longest_keep` is
    for how long a container may be kept alive at a time.
    """

    def __init__(
        self,
        ledger: Ledger,
        limits_of: LimitsOf,
        clock: Clock,
        *,
        longest_keep: timedelta = LONGEST_KEEP,
        evictions: Evictions = no_evictions,
    ) -> None:
        self.ledger = ledger
        self.limits_of = limits_of
        self.clock = clock
        self.longest_keep = longest_keep
        self.evictions = evictions

    # ---- looking -------------------------------------------------------------------------

    def documents(
        self, shown: Sequence[tuple[ContainerRow, ContainerSummary]]
    ) -> dict[str, ContainerLife]:
        """The time of these containers as of their last look, by claim."""
        if not shown:
            return {}
        evictions = self.evictions()
        with self.ledger.reading() as connection:
            books = read_books(connection)
        now = self.clock.now()
        limits = {uid: self._limits(uid) for uid in {row.uid for row, _ in shown}}
        return {
            row.claim_id: life_document(
                books.standing(row, summary.state),
                limits[row.uid],
                now,
                evictions.get(row.claim_id),
                looked_at=row.claim_id in books.lives,
            )
            for row, summary in shown
        }

    def notices(self, person: Person, after: int = 0) -> list[Notice]:
        """What a person was told after the notice `after`, the newest last."""
        with self.ledger.reading() as connection:
            rows = tables.notices(connection, person.uid, after)
        known = Notice.model_fields
        return [
            Notice.model_validate({k: v for k, v in asdict(row).items() if k in known})
            for row in rows
        ]

    # ---- doing ---------------------------------------------------------------------------

    def check_start(self, row: ContainerRow) -> None:
        """Refuse to start a container that has run for as long as it may.

        Raises `LimitReached`, or `ConfigurationError` where the limits are not understood.
        """
        limits, now = self.limits_of(row.uid), self.clock.now()
        with self.ledger.reading() as connection:
            life = tables.life(connection, row.claim_id)
        if life is None or limits is None or not used_up(life, limits, now):
            return
        limit = limits.max_runtime
        assert limit is not None
        raise LimitReached(
            f"The container {row.name} has run for as long as it may: {format_duration(limit)} in "
            "all its runs together.",
            hint=f"Remove it (`%ds01 container remove {row.name}`) and create it again; its "
            "workspace stays.",
            key="max_runtime",
            limit=limit.total_seconds(),
            in_use=round(life.running(now), 1),
        )

    def keep_alive(self, row: ContainerRow, hours: float | None) -> None:
        """Let a container not be stopped for idling for `hours` from now (None: the longest time).

        It replaces what was said before. Raises `InvalidInput` for more than the longest time.
        """
        most = self.longest_keep
        wanted = most if hours is None else timedelta(hours=hours)
        if wanted > most:
            raise InvalidInput(
                f"A container can be kept alive for {format_duration(most)} at a time, not for "
                f"{format_duration(wanted)}.",
                hint="Say it again before that is over, or ask your admin for an exemption.",
                limit=most.total_seconds(),
                asked=wanted.total_seconds(),
            )
        now = self.clock.now()
        keep = KeepAlive(now, wanted.total_seconds())
        with self.ledger.writing() as connection:
            life = tables.life(connection, row.claim_id) or Life(row.claim_id, claimed(row))
            life = replace(life, keep=keep, idle=0.0)
            if life.runs:
                life = replace(life, activity="active", activity_from="keep_alive")
            tables.save_life(connection, life)
            tables.set_warning(connection, row.claim_id, "idle_stop", 0, now)

    def _limits(self, uid: int) -> PersonLimits | None:
        try:
            return self.limits_of(uid)
        except ConfigurationError:
            # By such a file nothing is stopped, so there is no moment to show; whoever creates or
            # starts something is told of it, and so is the server's log.
            return None


def life_document(
    standing: Standing,
    limits: PersonLimits | None,
    now: Moment,
    eviction: Eviction | None = None,
    *,
    looked_at: bool = True,
) -> ContainerLife:
    """A container's time as the API shows it. What nobody has looked at yet has no figures."""
    life, running = standing.life, standing.state == "running"
    kept = None if life.keep is None else life.keep.left(now)
    return ContainerLife(
        running=round(life.running(now), 3) if looked_at or standing.state == "created" else None,
        idle=round(life.idle, 3) if running and life.activity is not None else None,
        activity=life.activity if running else None,
        activity_from=life.activity_from if running else None,
        keep_alive_until=None if kept is None or kept <= timedelta(0) else now.wall + kept,
        exempt=exempt(limits, now.wall),
        deadlines=[
            Deadline(
                what=due.what,
                at=None if due.left is None else now.wall + max(due.left, timedelta(0)),
                limit=None if due.limit is None else due.limit.total_seconds(),
                near=level(due.left, due.limit) > 0,
                message=words.deadline(due, standing.state, life, now),
            )
            for due in dues(standing, limits, now, eviction)
        ],
    )
