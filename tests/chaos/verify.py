"""What must be true afterwards, read from the file and from Docker themselves, not through ds01."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections import Counter
from contextlib import closing
from typing import Any

from tests.chaos.world import World
from tests.rig.processes import RigError

CLAIM = "aime.mlc.CLAIM"


def rows(world: World, statement: str) -> list[sqlite3.Row]:
    """A look into the ledger."""
    with closing(sqlite3.connect(world.ledger, timeout=30)) as connection:
        connection.row_factory = sqlite3.Row
        return connection.execute(statement).fetchall()


def devices(world: World, container: str) -> list[str]:
    """The GPUs that a container was created with."""
    requests = world.docker(f"/containers/{container}/json")["HostConfig"]["DeviceRequests"] or []
    return [device for request in requests for device in request["DeviceIDs"] or []]


class Findings:
    """What is wrong now, and what there is."""

    def __init__(self, world: World) -> None:
        self.wrong: list[str] = []
        self.counts: Counter[str] = Counter()
        containers = {one["Id"]: one for one in world.docker("/containers/json?all=1")}
        known = {row["container_id"]: row for row in rows(world, "SELECT * FROM containers")}
        leases = rows(world, "SELECT * FROM leases WHERE state <> 'released'")
        self._of_the_ledger(containers, known, leases)
        self._of_docker(world, containers, known, leases)
        for row in rows(world, "SELECT * FROM operations WHERE state IN ('queued', 'running')"):
            self.counts["operations of dead processes"] += 1
            del row

    def _of_the_ledger(self, containers: Any, known: Any, leases: list[sqlite3.Row]) -> None:
        for number, slot in Counter(lease["slot_uuid"] for lease in leases).items():
            if slot > 1:
                self.wrong.append(f"slot {number} has {slot} leases")
        for row in known.values():
            if row["state"] == "pending":
                self.wrong.append(f"{row['full_name']} is pending, its process is dead")
            elif row["container_id"] not in containers:
                self.wrong.append(f"{row['full_name']} holds slots, its container is gone")
        by_claim = {row["claim_id"]: row for row in known.values()}
        for lease in leases:
            self.counts[f"leases {lease['state']}"] += 1
            row = by_claim.get(lease["claim_id"])
            if row is None:
                self.wrong.append(f"a lease of {lease['full_name']} without a container")
                continue
            container = containers.get(row["container_id"])
            running = container is not None and container["State"] == "running"
            if (lease["state"] == "active") != running:
                state = container["State"] if container else "gone"
                self.wrong.append(f"{lease['full_name']} is {state}, its lease {lease['state']}")

    def _of_docker(
        self, world: World, containers: Any, known: Any, leases: list[sqlite3.Row]
    ) -> None:
        leased = {(lease["claim_id"], lease["slot_uuid"]) for lease in leases}
        for key, one in containers.items():
            name = one["Names"][0].lstrip("/")
            if CLAIM not in one["Labels"]:
                self.counts["foreign containers"] += 1
                continue
            self.counts[f"containers {one['State']}"] += 1
            given = devices(world, key)
            row = known.get(key)
            if row is None:
                self.counts["containers that the ledger does not know"] += 1
                if one["State"] == "running" and given:
                    self.wrong.append(f"{name} runs on {given} and the ledger does not know it")
                continue
            for device in given:
                if (row["claim_id"], device) not in leased:
                    self.wrong.append(f"{name} has {device} without a lease")


class Watcher(threading.Thread):
    """Looks all the time whether two running containers have the same slot."""

    def __init__(self, world: World) -> None:
        super().__init__(name="chaos-watcher", daemon=True)
        self._world = world
        self._devices: dict[str, list[str]] = {}
        self._over = threading.Event()
        self.looks = 0
        self.most = 0
        self.twice: list[str] = []

    def run(self) -> None:
        """Look five times a second, whenever the engine answers."""
        while not self._over.wait(0.2):
            try:
                used = self._look()
                if used and self._look():  # still so: not a list that was half old
                    self.twice += used
            except (OSError, RigError, KeyError):
                time.sleep(0.2)

    def stop(self) -> None:
        """End it."""
        self._over.set()
        self.join(30)

    def _look(self) -> list[str]:
        users: dict[str, list[str]] = {}
        running = self._world.docker("/containers/json")
        for one in running:
            key = one["Id"]
            if key not in self._devices:
                self._devices[key] = devices(self._world, key)
            for device in self._devices[key]:
                users.setdefault(device, []).append(one["Names"][0])
        self.looks += 1
        self.most = max(self.most, len(running))
        return [f"{device}: {names}" for device, names in users.items() if len(names) > 1]
