"""A lab on the real engine and the simulated driver, for a person of the test's own."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import docker
import pytest

from ds01_jupyter.core import models, people
from ds01_jupyter.core.clock import Clock
from ds01_jupyter.core.identity import Person, person_of_uid
from ds01_jupyter.core.lab import Lab
from ds01_jupyter.core.settings import Settings
from tests.engine.keeping import Accounts, Keeping, Make, keeping
from tests.rig.fixtures import RigEngine
from tests.rig.nvml import Machine

LIMITS = """
defaults:
  max_cpus: 2
  memory: 512m
  shm_size: 128m
  pids_limit: 321
  max_containers_per_user: 3
  max_mig_instances: 2
  max_slots_per_container: 2
  priority: 10
groups:
  student: {members: []}
default_group: student
"""

_numbers = itertools.count(100_000 + os.getpid() % 50_000 * 100)


@dataclass
class Desk:
    """A lab, the person who uses it, and a Docker client beside it."""

    lab: Lab
    person: Person
    docker: docker.DockerClient
    settings: Settings

    def finish(self, operation: models.Operation) -> models.Operation:
        """Wait for an operation's end, whatever it is."""
        for _ in self.lab.operation_events(self.person, operation.id):
            pass
        return self.lab.operation(self.person, operation.id)

    def succeed(self, operation: models.Operation) -> dict[str, object]:
        """Wait for an operation and return its result."""
        ended = self.finish(operation)
        assert ended.state == "succeeded", ended.error
        assert ended.result is not None
        return ended.result

    def create(self, name: str, **wishes: object) -> models.Container:
        """A container from the bare framework, unless `wishes` say otherwise."""
        wishes.setdefault("gpu", "1g.5gb")
        if "image" not in wishes:
            wishes["framework"] = {"framework": "Pytorch", "version": "2.5.1"}
        request = models.ContainerRequest.model_validate({"name": name, **wishes})
        result = self.succeed(self.lab.create_container(self.person, request))
        return models.Container.model_validate(result)

    def inspect(self, container: models.Container) -> dict[str, object]:
        """What Docker itself says."""
        answer: dict[str, object] = self.docker.api.inspect_container(container.full_name)
        return answer

    def leased(self) -> dict[str, str]:
        """Slots with a live lease and its state."""
        snapshot = self.lab.gpus(self.person)
        slots = [slot for gpu in snapshot.gpus for slot in gpu.slots]
        return {slot.slot: slot.lease.state for slot in slots if slot.lease}

    def eventually(self, uuid: str, state: str) -> models.Slot:
        """The slot once it is shown in a state: who uses it is looked up every other second."""
        deadline = time.monotonic() + 20
        while True:
            slots = [slot for gpu in self.lab.gpus(self.person).gpus for slot in gpu.slots]
            [found] = [slot for slot in slots if slot.uuid == uuid]
            if found.state == state:
                return found
            assert time.monotonic() < deadline, found
            time.sleep(0.1)

    def tags(self) -> list[str]:
        """The references of all images, by one call: others remove theirs meanwhile."""
        return [tag for image in self.docker.api.images() for tag in image["RepoTags"] or []]

    def mine(self) -> list[str]:
        """Full names of everything on the engine that belongs to this person's number."""
        ending = f"._.{self.person.uid}"
        containers = self.docker.api.containers(all=True)
        names = [name.lstrip("/") for one in containers for name in one["Names"]]
        tags = self.tags()
        return [name for name in (*names, *tags) if name.endswith(ending)]


@pytest.fixture
def make_desk(
    rig_engine: RigEngine, gpu_machine: Machine, simulated_nvml: Path, tmp_path: Path
) -> Iterator[Callable[..., Desk]]:
    """Desks: each call is another person; `settings` overrides go by keyword, and so does the
    `clock` of the lab."""
    desks: list[Desk] = []

    def make(clock: Clock | None = None, **changes: object) -> Desk:
        number = next(_numbers)
        home = tmp_path / f"home{number}"
        home.mkdir()
        os.chown(home, number, number)
        limits = tmp_path / "limits.yaml"
        if not limits.exists():
            limits.write_text(LIMITS)
        settings = Settings(
            **{
                "docker_host": rig_engine.docker_host,
                "nvml_library": str(simulated_nvml),
                "ledger": tmp_path / "ledger" / "ledger.sqlite",
                "limits": limits,
                "architecture": "CUDA_ADA",
                "reconcile_seconds": 0.0,
                **changes,
            }
        )
        person = Person(f"u{number}", number, number, home)
        desk = Desk(Lab(settings, clock), person, rig_engine.client(), settings)
        desks.append(desk)
        return desk

    yield make
    for desk in desks:
        ending = f"._.{desk.person.uid}"
        for one in desk.docker.api.containers(all=True, filters={"name": ending}):
            if any(name.endswith(ending) for name in one["Names"]):
                desk.docker.api.remove_container(one["Id"], force=True)
        for tag in desk.tags():
            repository, _, label = tag.rpartition(":")
            if label.endswith(ending) or repository.endswith(f"-{desk.person.name}"):
                desk.docker.api.remove_image(tag, force=True)
        desk.lab.close()
        desk.docker.close()


@pytest.fixture
def desk(make_desk: Callable[..., Desk]) -> Desk:
    """One person's lab."""
    return make_desk()


@pytest.fixture
def accounts(monkeypatch: pytest.MonkeyPatch) -> Accounts:
    """Accounts for the test's people, besides those of this machine: limits hold for them."""
    known: Accounts = {}
    monkeypatch.setattr(people, "person_of_uid", lambda uid: known.get(uid) or person_of_uid(uid))
    return known


@pytest.fixture
def make(make_desk: Callable[..., Desk], accounts: Accounts) -> Make:
    """People whose time the test moves."""

    def make(limits: str = "", **settings: object) -> Keeping:
        return keeping(make_desk, accounts, limits, **settings)

    return make
