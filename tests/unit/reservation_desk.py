"""Reservations and claims on the simulated driver and a ledger of its own, at a clock that can be
set forward, for accounts that every machine has."""

from __future__ import annotations

import pwd
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from ds01_jupyter.core.allocator import Allocator, Claim
from ds01_jupyter.core.clock import ShiftedClock
from ds01_jupyter.core.errors import CoreError
from ds01_jupyter.core.gpu.nvml import NvmlDriver
from ds01_jupyter.core.gpu.request import GpuRequest
from ds01_jupyter.core.identity import Directory, Person, person_of_uid
from ds01_jupyter.core.ledger import Ledger
from ds01_jupyter.core.lifecycle.tables import NoticeRow, notices
from ds01_jupyter.core.limits import LimitsFile
from ds01_jupyter.core.models import Reservation, ReservationRequest
from ds01_jupyter.core.people import PeopleLimits, slots_back_by
from ds01_jupyter.core.reservations.fence import ReservationFence
from ds01_jupyter.core.reservations.service import Reservations
from tests.rig.nvml import Machine, gpus

LIMITS = """
defaults: {max_cpus: 1, memory: 1g, max_containers_per_user: 20, max_mig_instances: 20,
           max_slots_per_container: 8,
           max_runtime: null, gpu_hold_after_stop: null, priority: 10, allow_full_gpu: true}
groups:
  vision: {members: [games], priority: 20}
  short: {members: [mail], max_runtime: 2h, gpu_hold_after_stop: 0}
  audio: {members: [daemon, bin]}
default_group: audio
"""
HOUR = timedelta(hours=1)


def account(name: str) -> Person:
    """An account of this machine."""
    return person_of_uid(pwd.getpwnam(name).pw_uid)


ROOT, DAEMON, BIN, GAMES, MAIL = map(account, ("root", "daemon", "bin", "games", "mail"))
"""The admin; two of the group audio; one of vision; one whose containers run for two hours."""


class ReservationDesk:
    """All of it, in the words of the tests. Hours are from now on, by the desk's clock."""

    def __init__(self, library: Path | str, folder: Path, *, clock: ShiftedClock | None = None):
        self.clock = clock or ShiftedClock()
        self.ledger = Ledger(folder / "ledger.sqlite")
        self.driver = NvmlDriver(str(library))
        limits_file = folder / "limits.yaml"
        if not limits_file.exists():
            limits_file.write_text(LIMITS)
        self.limits = LimitsFile.load(limits_file)
        self.people = PeopleLimits(lambda: self.limits)
        self.foreign: dict[str, str] = {}
        self.fence = ReservationFence("here", self.people, self.clock.now)
        self.allocator = Allocator(self.ledger, self.driver, "here", fences=(self.fence,))
        self.reservations = Reservations(
            self.ledger,
            "here",
            self.driver,
            lambda slots: self.foreign,
            lambda: self.limits,
            self.people,
            Directory(("lab.example",)),
            ("root",),
            self.clock,
        )

    @property
    def now(self) -> datetime:
        return self.clock.now().wall

    def at(self, hours: float) -> datetime:
        return self.now + hours * HOUR

    def book(
        self,
        gpu: str,
        start: float | None,
        end: float,
        *,
        person: Person = ROOT,
        user: str | None = None,
        group: str | None = None,
        notice: float = 24.0,
        gpus: int = 1,
        reason: str = "",
    ) -> Reservation:
        """Book it, for games unless somebody is named."""
        if user is None and group is None:
            user = "games"
        now = self.now
        request = ReservationRequest(
            gpu=gpu,
            gpus=gpus,
            user=user,
            group=group,
            start=None if start is None else now + start * HOUR,
            end=now + end * HOUR,
            reason=reason,
            notice_hours=notice,
        )
        return self.reservations.book(person, request)

    def refused(self, *args: object, **kwargs: object) -> CoreError:
        """The refusal of a booking; nothing may have been written."""
        before = (self.rows(), self.ledger.history(999), self.all_notices())
        with pytest.raises(CoreError) as error:
            self.book(*args, **kwargs)  # type: ignore[arg-type]
        assert (self.rows(), self.ledger.history(999), self.all_notices()) == before
        assert error.value.hint
        return error.value

    def claim(
        self, name: str, gpu: str = "any", count: int = 1, *, person: Person = DAEMON
    ) -> Claim:
        """Claim as a server does it, with the person's limits."""
        limits = self.limits.person_limits(person)
        return self.allocator.claim(
            person,
            name,
            GpuRequest.parse(gpu, count),
            limits.values,
            self.foreign,
            {"image": "x"},
            until=slots_back_by(limits, self.now),
        )

    def slots(
        self, name: str, gpu: str = "any", count: int = 1, *, person: Person = DAEMON
    ) -> list[str]:
        """Claim, and have it run."""
        claim = self.claim(name, gpu, count, person=person)
        self.allocator.activate(claim.claim_id, f"container-{claim.claim_id}")
        return [slot.slot for slot in claim.slots]

    def no_slot(self, name: str, gpu: str = "any", count: int = 1, **more: Person) -> CoreError:
        """The refusal of a claim."""
        with pytest.raises(CoreError) as error:
            self.claim(name, gpu, count, **more)
        return error.value

    def claim_of(self, name: str) -> str:
        return next(row.claim_id for row in self.ledger.containers() if row.name == name)

    def release(self, name: str) -> None:
        self.allocator.release(self.claim_of(name))

    def pass_hours(self, hours: float) -> Mapping[str, str]:
        """Let time pass and look; returns who has to make way now, by the container's name."""
        self.clock.advance(hours=hours)
        due = self.reservations.evictions()
        names = {row.claim_id: row.name for row in self.ledger.containers()}
        return {names[claim]: each.words for claim, each in due.items() if each.at <= self.now}

    def shown(self, number: int) -> Reservation:
        return self.reservations.get(number)

    def told(self, person: Person) -> list[NoticeRow]:
        with self.ledger.reading() as connection:
            return notices(connection, person.uid)

    def all_notices(self) -> list[NoticeRow]:
        return [each for person in (ROOT, DAEMON, BIN, GAMES, MAIL) for each in self.told(person)]

    def history(self) -> list[tuple[str, str, str]]:
        """Who did what to what, oldest first, of reservations only."""
        rows = reversed(self.ledger.history(999))
        return [
            (row.actor, row.action, row.subject)
            for row in rows
            if row.action.startswith("reservation.")
        ]

    def rows(self) -> list[tuple[object, ...]]:
        with self.ledger.reading() as connection:
            return [tuple(row) for row in connection.execute("SELECT * FROM reservations")]

    def close(self) -> None:
        self.driver.close()
        self.ledger.close()


def seven(machine: Machine, count: int = 7) -> None:
    """One GPU in so many instances 1g.5gb."""
    with machine.edit() as lines:
        lines[:] = gpus(1, "a100-40", {0: [(19, start) for start in range(count)]})
