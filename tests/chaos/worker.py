"""What the processes do that are killed. Each is forked from a process that has all this loaded."""

from __future__ import annotations

import os
import random
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ds01_jupyter.core import crash_points, models
from ds01_jupyter.core.errors import CoreError
from ds01_jupyter.core.identity import Person
from ds01_jupyter.core.lab import Lab
from ds01_jupyter.core.settings import Settings

GPUS = ("1g.5gb", "1g.5gb", "any", "2g.10gb", "3g.20gb", "whole", "none")
NAMES = ("ada", "bob", "cleo", "dan")


class Worker:
    """One person at one server."""

    def __init__(self, lab: Lab, person: Person, log: Path, seed: int) -> None:
        self.lab = lab
        self.person = person
        self.random = random.Random(seed)
        self._log = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

    def note(self, word: str, text: str = "") -> None:
        """A line that is whole even when we are killed."""
        os.write(self._log, f"{word}\t{text!r}\n".encode())

    def attempt(self, what: str, work: Callable[[], Any]) -> Any:
        """Do something and write down how it went; a refusal is fine, a surprise is a defect."""
        try:
            result = work()
        except CoreError as error:
            self.note(f"{what}: {error.code}", error.message)
            if error.status == 503:
                time.sleep(self.random.uniform(0.05, 0.5))  # as a person would
            return None
        except Exception:
            self.note("DEFECT", traceback.format_exc())
            return None
        self.note(f"{what}: done")
        return result

    def create(self, name: str, gpu: str, gpus: int = 1) -> bool:
        """Create a container and wait for it."""

        def work() -> None:
            request = models.ContainerRequest.model_validate(
                {
                    "name": name,
                    "framework": {"framework": f"Chaos{self.person.uid}", "version": "1.0"},
                    "gpu": gpu,
                    "gpus": gpus,
                }
            )
            operation = self.lab.create_container(self.person, request)
            for _ in self.lab.operation_events(self.person, operation.id):
                pass
            ended = self.lab.operation(self.person, operation.id)
            if ended.error is not None:
                error = CoreError(ended.error.message)
                error.code = ended.error.code
                if error.code == "internal_error":
                    self.note("DEFECT", ended.error.message)
                raise error

        return self.attempt("create", lambda: work() or True) is True

    def stop(self, name: str) -> None:
        """Stop a container."""
        self.attempt("stop", lambda: self.lab.stop_container(self.person, name))

    def start(self, name: str) -> None:
        """Start a container."""
        self.attempt("start", lambda: self.lab.start_container(self.person, name))

    def remove(self, name: str) -> None:
        """Remove a container."""
        self.attempt("remove", lambda: self.lab.remove_container(self.person, name))

    def mine(self) -> list[models.Container]:
        """What this person has."""
        found = self.attempt("list", lambda: self.lab.containers(self.person))
        return [one for one in found or [] if one.managed]

    # ---- what a process does all its life --------------------------------------------------

    def at_random(self) -> None:
        """One thing, whichever."""
        mine = self.mine()
        if len(mine) < 2 or (len(mine) < 5 and self.random.random() < 0.3):
            count = 2 if self.random.random() < 0.15 else 1
            gpu = self.random.choice(GPUS)
            self.create(self.random.choice(NAMES), gpu, count if gpu != "none" else 1)
            return
        one = self.random.choice(mine)
        if one.state == "running":
            self.stop(one.name)
        elif self.random.random() < 0.5:
            self.start(one.name)
        else:
            self.remove(one.name)

    def through_all_steps(self) -> None:
        """The whole life of a container, so that every step is reached."""
        for one in self.mine():
            if one.state == "running":
                self.stop(one.name)
            self.remove(one.name)
        if not self.create("armed", self.random.choice(("1g.5gb", "any"))):
            time.sleep(0.1)
            self.create("armed", "none")
        self.stop("armed")
        self.start("armed")
        # Behind our back, for the reconciler.
        self.attempt(
            "docker rm",
            lambda: self.lab._engine.remove_container(f"armed._.{self.person.uid}", force=True),
        )
        self.mine()
        if self.create("armed", "1g.5gb"):
            self.stop("armed")
            self.remove("armed")


def work(settings: Settings, person: Person, log: Path, seed: int, step: str) -> None:
    """Body of a process: for ever, until it is killed; at the named step it kills itself."""
    crash_points.arm(step)
    lab = Lab(settings)
    worker = Worker(lab, person, log, seed)
    worker.note("begin", step)
    while True:
        if step:
            worker.through_all_steps()
        else:
            worker.at_random()


def keep(settings: Settings, log: Path) -> None:
    """Body of a server that nobody uses: its reconciler works all the same."""
    Lab(settings)
    while True:
        time.sleep(1)
