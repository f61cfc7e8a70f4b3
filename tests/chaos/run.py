"""One run: workers, killer, disturbances, and the verdict."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import sqlite3
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from typing import Any

from ds01_jupyter.core.allocator import Allocator
from ds01_jupyter.core.crash_points import STEPS
from ds01_jupyter.core.errors import CoreError, NoFreeSlot
from ds01_jupyter.core.gpu.nvml import NvmlDriver
from ds01_jupyter.core.gpu.request import GpuRequest
from ds01_jupyter.core.lab import Lab
from ds01_jupyter.core.ledger import Ledger
from ds01_jupyter.core.limits import LimitsFile
from tests.chaos import worker
from tests.chaos.verify import Findings, Watcher, rows
from tests.chaos.world import ARMED, PEOPLE, World
from tests.rig.nvml import gpus
from tests.rig.processes import RigError

WORKERS = 4
SETTLE_SECONDS = 60
LONGEST_SECONDS = 120
"""And two for each kill: a run that takes longer is not going on."""
HISTORY = "SELECT action, outcome, count(*) AS n FROM history GROUP BY action, outcome"
STEP_SECONDS = 45
"""How long a process may take to reach its named step before the run goes on without it."""


@dataclass
class Armed:
    """A process that will die at a step."""

    process: BaseProcess
    step: str
    person: int
    since: float = field(default_factory=time.monotonic)


class Chaos:
    """A run with so many kills. All that is random comes from the seed (but not the timing)."""

    def __init__(self, world: World, kills: int, seed: int) -> None:
        self.world = world
        self.kills = kills
        self.random = random.Random(seed)
        self.context = multiprocessing.get_context("forkserver")
        self.context.set_forkserver_preload(["tests.chaos.worker"])
        self.watcher = Watcher(world)
        self.workers: list[BaseProcess] = []
        self.armed: list[Armed] = []
        self.keeper: BaseProcess | None = None
        self.counts: Counter[str] = Counter()
        self.at_step: Counter[str] = Counter()
        self.wrong: list[str] = []
        self.steps = list(STEPS)
        self.random.shuffle(self.steps)

    # ---- processes -------------------------------------------------------------------------

    def _start(self, target: Callable[..., None], *arguments: Any) -> BaseProcess:
        process = self.context.Process(target=target, args=arguments, daemon=True)
        process.start()
        self.counts["processes"] += 1
        return process

    def _top_up(self) -> None:
        self.workers = [one for one in self.workers if one.is_alive()]
        while len(self.workers) < WORKERS:
            person = self.world.person(self.random.randrange(PEOPLE))
            self.workers.append(self._work(person, ""))
        if self.keeper is None or not self.keeper.is_alive():
            log = self.world.logs / "keeper"
            self.keeper = self._start(worker.keep, self.world.settings(2.0), log)

    def _work(self, person: Any, step: str) -> BaseProcess:
        log = self.world.logs / str(self.counts["processes"])
        seed = self.random.getrandbits(32)
        return self._start(worker.work, self.world.settings(), person, log, seed, step)

    def _arm(self) -> None:
        """Keep some processes on the way to a named step; each step in turn, then again."""
        busy = {one.person for one in self.armed}
        for number in range(PEOPLE, PEOPLE + ARMED):
            if number in busy or sum(self.at_step.values()) + len(self.armed) >= self.kills:
                continue
            waiting = {one.step for one in self.armed}
            least = [step for step in self.steps if step not in waiting]
            step = min(least, key=lambda name: self.at_step[name])
            process = self._work(self.world.person(number), step)
            self.armed.append(Armed(process, step, number))

    def _reap(self) -> None:
        for one in list(self.armed):
            if not one.process.is_alive():
                self.armed.remove(one)
                if one.process.exitcode == -signal.SIGKILL:
                    self.at_step[one.step] += 1
                    self.counts["kills"] += 1
            elif time.monotonic() - one.since > STEP_SECONDS:
                self._kill(one.process)
                self.armed.remove(one)
                self.counts["steps not reached in time"] += 1

    def _kill(self, process: BaseProcess) -> None:
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        process.join(20)
        self.counts["kills"] += 1
        self.counts["kills at random"] += 1

    # ---- the run ---------------------------------------------------------------------------

    def run(self) -> None:
        """Until so many processes were killed, at least one at every step."""
        self.watcher.start()
        due = self._disturbances()
        deadline = time.monotonic() + LONGEST_SECONDS + 2 * self.kills
        try:
            while self.counts["kills"] < self.kills or len(self.at_step) < len(STEPS):
                if time.monotonic() > deadline:
                    self.wrong.append(f"{len(STEPS) - len(self.at_step)} steps were not reached")
                    break
                self._top_up()
                self._arm()
                self._reap()
                while due and self.counts["kills"] >= due[0][0]:
                    _, name, action = due.pop(0)
                    print(f"  {self.counts['kills']:4d} kills: {name}", flush=True)
                    action()
                    self.counts[name] += 1
                # About every second kill is one at random; named ones take their time.
                behind = self.counts["kills at random"] < sum(self.at_step.values()) + 2
                if behind and self.counts["kills at random"] < self.kills:
                    self._kill(self.random.choice([*self.workers, self._the_keeper()]))
                time.sleep(self.random.uniform(0.02, 0.4))
            for _, name, action in due:
                action()
                self.counts[name] += 1
        finally:
            for process in [*self.workers, *(one.process for one in self.armed), self.keeper]:
                if process is not None and process.is_alive():
                    process.kill()
                    process.join(20)

    def _the_keeper(self) -> BaseProcess:
        assert self.keeper is not None
        return self.keeper

    def _disturbances(self) -> list[tuple[int, str, Callable[[], None]]]:
        world, times = self.world, max(1, self.kills // 250)
        once: list[tuple[float, str, Callable[[], None]]] = [
            (0.05, "GPU lost", lambda: world.machine.set(1, lost=1)),
            (0.15, "dockerd restarted", world.engine.restart),
            (0.25, "ledger damaged", self._damage),
            (0.35, "GPU back", lambda: world.machine.set(1, lost=0)),
            (0.45, "dockerd killed", self._crash_docker),
            (0.55, "GPU repartitioned", self._repartition),
            (0.65, "ledger lost", world.ledger.unlink),
            (0.75, "GPU with MIG lost", lambda: world.machine.set(3, lost=1)),
            (0.85, "GPU with MIG back", lambda: world.machine.set(3, lost=0)),
        ]
        return [
            (round(self.kills * (turn + share) / times), name, action)
            for turn in range(times)
            for share, name, action in once
        ]

    def _crash_docker(self) -> None:
        self.world.engine.kill()
        self.world.engine.up()

    def _damage(self) -> None:
        """Overwrite the file and its log from somewhere on, as a bad disk would."""
        for path in (self.world.ledger, self.world.ledger.with_name("ledger.sqlite-wal")):
            with path.open("r+b") as file:
                size = file.seek(0, os.SEEK_END)
                start = self.random.randrange(0, max(1, size // 2))
                file.seek(start)
                file.write(self.random.randbytes(size - start))

    def _repartition(self) -> None:
        """GPU 3 in two halves, or in seven again: its instances go, whoever holds them."""
        with self.world.machine.edit() as lines:
            halves = any("profile=9" in line for line in lines if line.startswith("gi gpu=3"))
            sevenths = [(19, start) for start in range(7)]
            fresh = gpus(4, "a100-40", {3: sevenths if halves else [(9, 0), (9, 4)]})
            number = 1000 + 100 * self.counts["GPU repartitioned"]
            keep = [line for line in lines if not line.startswith(("gi gpu=3", "ci gpu=3"))]
            for line in fresh:
                if line.startswith(("gi", "ci")):
                    head, _, _ = line.partition(" n=")
                    number += 1
                    keep.append(f"{head} n={number}")
            lines[:] = keep

    # ---- the verdict -----------------------------------------------------------------------

    def settle(self) -> tuple[float, Findings]:
        """A new server's reconciler makes it right; returns the seconds it took."""
        begin = time.monotonic()
        lab = Lab(self.world.settings(reconcile_seconds=1.0))
        try:
            for person in self.world.people():
                lab.operations(person)  # what dead processes left is interrupted
            while True:
                try:
                    findings = Findings(self.world)
                except (sqlite3.Error, RigError) as error:
                    # A container can go between the list and the look at it.
                    findings = None
                    wrong: object = error
                else:
                    wrong = findings.wrong
                seconds = time.monotonic() - begin
                if findings is not None and (not wrong or seconds > SETTLE_SECONDS):
                    return seconds, findings
                if seconds > SETTLE_SECONDS:
                    raise RuntimeError(f"ledger and Docker cannot be looked at: {wrong}")
                time.sleep(0.2)
        finally:
            lab.close()

    def clear(self) -> list[str]:
        """Everybody removes what they have; then every slot must be free again."""
        wrong = []
        lab = Lab(self.world.settings())
        try:
            for person in self.world.people():
                for one in lab.containers(person):
                    if not one.managed:
                        continue
                    try:
                        if one.state == "running":
                            lab.stop_container(person, one.name)
                        lab.remove_container(person, one.name)
                    except CoreError as error:
                        wrong.append(f"{one.full_name} cannot be removed: {error.message}")
        finally:
            lab.close()
        left = rows(self.world, "SELECT full_name FROM leases WHERE state <> 'released'")
        wrong += [f"{row['full_name']} still has a lease" for row in left]
        left = rows(self.world, "SELECT full_name FROM containers")
        wrong += [f"{row['full_name']} is still in the ledger" for row in left]
        return wrong + self._claim_everything()

    def _claim_everything(self) -> list[str]:
        ledger = Ledger(self.world.ledger)
        driver = NvmlDriver(str(self.world.library))
        allocator = Allocator(ledger, driver, "chaos")
        person = self.world.person(0)
        limits = LimitsFile.load(self.world.root / "limits.yaml").for_person(person)
        limits = limits.model_copy(update={"max_containers": None, "max_mig_instances": None})
        slots = len(driver.inventory(fresh=True).slots)
        given = 0
        try:
            while given <= slots:
                request = GpuRequest.parse("any", 1)
                allocator.claim(person, f"all{given}", request, limits, {}, {})
                given += 1
        except NoFreeSlot:
            pass
        finally:
            ledger.close()
            driver.close()
        self.counts["slots that can be given again"] = given
        return [] if given == slots else [f"{given} of {slots} slots can be given"]

    def outcomes(self) -> tuple[Counter[str], list[str]]:
        """What the processes wrote down, and the surprises among it."""
        words: Counter[str] = Counter()
        defects = []
        for log in self.world.logs.iterdir():
            for line in log.read_text().splitlines():
                word, _, text = line.partition("\t")
                words[word] += 1
                if word == "DEFECT":
                    defects.append(text)
        return words, defects


def main(kills: int, seed: int) -> int:
    """Run, print and judge; 0 when all is well."""
    print(f"chaos: {kills} kills, seed {seed}", flush=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended from outside"))
    world = World()
    try:
        began = time.monotonic()
        world.open()
        chaos = Chaos(world, kills, seed)
        try:
            chaos.run()
            lasted = time.monotonic() - began
            seconds, findings = chaos.settle()
            words, defects = chaos.outcomes()
            kept = sorted(path.name for path in world.ledger.parent.glob("*.damaged-?"))
            history = rows(world, HISTORY)
            wrong = chaos.wrong + findings.wrong + defects + chaos.watcher.twice
            wrong += chaos.clear()
        finally:
            chaos.watcher.stop()
    finally:
        if os.environ.get("DS01_CHAOS_KEEP"):
            print(f"kept: {world.root}")
            world.engine.down()
        else:
            world.close()
    table = {
        **chaos.counts,
        "kills at a named step": sum(chaos.at_step.values()),
        "named steps": f"{len(chaos.at_step)} of {len(STEPS)}",
        "ledgers kept aside": len(kept),
        "looks at running containers": chaos.watcher.looks,
        "most containers running": chaos.watcher.most,
        "slots used twice": len(chaos.watcher.twice),
        **{f"now: {key}": value for key, value in sorted(findings.counts.items())},
        **{f"outcome {key}": value for key, value in sorted(words.items())},
        **{f"history {row['action']} {row['outcome']}": row["n"] for row in history},
        "seconds of chaos": f"{lasted:.0f}",
        "seconds until all was right": f"{seconds:.1f}",
    }
    width = max(map(len, table))
    for key, value in table.items():
        print(f"{key:<{width}}  {value}")
    for sentence in wrong:
        print(f"WRONG: {sentence}")
    print("chaos: all is right" if not wrong else f"chaos: {len(wrong)} things are wrong")
    sys.stdout.flush()
    return 1 if wrong else 0
