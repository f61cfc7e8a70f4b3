"""A server of one person, as a process of its own: it may wait for a container, and serves."""

from __future__ import annotations

import base64
import os
import pickle
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import IO

from ds01_jupyter.core import models
from ds01_jupyter.core.identity import Person
from ds01_jupyter.core.lab import Lab
from ds01_jupyter.core.settings import Settings
from tests.rig.paths import REPOSITORY


class QueueServer:
    """Starts the process; `ready` waits until it has joined (or only serves)."""

    def __init__(
        self,
        settings: Settings,
        person: Person,
        request: models.ContainerRequest | None = None,
        *,
        crash: str = "",
    ) -> None:
        given = base64.b64encode(pickle.dumps((settings, person, request))).decode()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.engine.queue_server", given],
            cwd=REPOSITORY,
            env={**os.environ, "DS01_CRASH_POINT": crash},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ready(self) -> int:
        """The number of the place that it joined (0: none)."""
        return int(_out(self.process.stdout).readline() or -1)

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()
        self.process.wait()

    def died(self) -> int:
        """Wait for the end; its exit status."""
        return self.process.wait(timeout=90)

    def close(self) -> None:
        """Let it end as a server does."""
        if self.process.poll() is None:
            _out(self.process.stdin).close()
            self.process.wait(timeout=60)
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()

    def __enter__(self) -> QueueServer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None
    ) -> None:
        if kind is not None:
            self.process.kill()
        self.close()


def _out(pipe: IO[str] | None) -> IO[str]:
    assert pipe is not None
    return pipe


def main(given: str) -> None:
    """What the process does."""
    settings, person, request = pickle.loads(base64.b64decode(given))
    assert isinstance(settings, Settings)
    assert isinstance(person.home, Path)
    lab = Lab(settings)
    lab.why(person, "none")  # from now on it knows who that is
    number = 0 if request is None else lab.join_queue(person, request).id
    print(number, flush=True)
    sys.stdin.read()
    lab.close()


if __name__ == "__main__":
    main(sys.argv[1])
