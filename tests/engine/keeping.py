"""A desk whose time a test moves, and whose person has an account, so that limits hold for them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from ds01_jupyter.core import models
from ds01_jupyter.core.clock import ShiftedClock
from ds01_jupyter.core.identity import Person

if TYPE_CHECKING:
    from tests.engine.conftest import Desk

LIMITS = """
defaults:
  max_cpus: 2
  memory: 512m
  shm_size: 128m
  max_containers_per_user: 5
  max_mig_instances: 4
  max_slots_per_container: 2
"""

Accounts = dict[int, Person]
"""The accounts of the test's people."""


@dataclass
class Keeping:
    """A desk, its clock, and what is asked of both in these tests."""

    desk: Desk
    clock: ShiftedClock
    limits: Path
    calls: list[str] = field(default_factory=list)

    def allow(self, text: str = "", exemptions: str = "") -> None:
        """The time limits that hold from now on, one `key: value` a line."""
        lines = "".join(f"  {line.strip()}\n" for line in text.splitlines() if line.strip())
        self.limits.write_text(LIMITS + lines + exemptions)

    def round(self, **later: float) -> None:
        """Let time pass, then look after everything once."""
        self.clock.advance(**later)
        self.desk.lab.keeper.round()

    def show(self, name: str = "c") -> models.Container:
        """A container as the API shows it."""
        return self.desk.lab.container(self.desk.person, name)

    def life(self, name: str = "c") -> models.ContainerLife:
        """Its time."""
        found = self.show(name).life
        assert found is not None
        return found

    def deadline(self, what: str, name: str = "c") -> models.Deadline:
        """One thing that will happen to it."""
        [found] = [one for one in self.life(name).deadlines if one.what == what]
        return found

    def state(self, name: str = "c") -> str:
        """Docker's word on it; `gone` when there is none."""
        names = {one.name: one.state for one in self.desk.lab.containers(self.desk.person)}
        return names.get(name, "gone")

    def told(self, kind: str | None = None) -> list[tuple[str, str]]:
        """Kind and subject of all notices so far, oldest first."""
        notices = self.desk.lab.notices(self.desk.person)
        return [(one.kind, one.what) for one in notices if kind in (None, one.kind)]

    def done(self) -> list[str]:
        """What the lifecycle did, by the history, oldest first."""
        rows = self.desk.lab._ledger.history(999)[::-1]
        return [f"{row.action} {row.details['why']}" for row in rows if row.actor == "lifecycle"]

    def execute(self, command: str, name: str = "c", *, detach: bool = False) -> str:
        """Run something in the container as its user."""
        container = self.desk.docker.containers.get(self.show(name).id)
        result = container.exec_run(["/bin/bash", "-c", command], detach=detach)
        return "" if detach else result.output.decode()

    def work(self, seconds: int, name: str = "c") -> None:
        """Let it use so many seconds of CPU, however long that takes on a busy machine."""
        self.execute(f"ulimit -t {seconds}; while :; do :; done", name)

    @property
    def notice(self) -> Path:
        """The notice in the workspace of the container `c`."""
        return self.desk.person.home / "workspace" / "c" / ".ds01-notice"


def keeping(
    make_desk: Callable[..., Desk], accounts: Accounts, limits: str = "", **settings: object
) -> Keeping:
    """A new person with an account and limits, and a clock of their own."""
    clock = ShiftedClock()
    desk = make_desk(clock=clock, **{"stop_grace_seconds": 5.0, **settings})
    accounts[desk.person.uid] = desk.person
    made = Keeping(desk, clock, desk.settings.limits)
    made.allow(limits)
    return made


class Make(Protocol):
    """Makes people whose time a test moves: with time limits, and settings by keyword."""

    def __call__(self, limits: str = "", **settings: object) -> Keeping:
        """One more."""
