"""BuildKit through buildx, for engines whose own builder does not take a build without a session.

The plugin is run by itself: it needs no docker command. It gets the context as a tar on its
standard input, a configuration folder of its own that is empty (no registry logins, no builder that
somebody chose), and nothing through a shell.
"""

from __future__ import annotations

import json
import os
import queue
import re
import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

from ds01_jupyter.core import buildkit
from ds01_jupyter.core.engine import BuildPlan, Reporter
from ds01_jupyter.core.errors import EngineFailed

PROGRAM = "docker-buildx"
FOLDERS = (
    "/usr/local/lib/docker/cli-plugins",
    "/usr/local/libexec/docker/cli-plugins",
    "/usr/lib/docker/cli-plugins",
    "/usr/libexec/docker/cli-plugins",
)
"""Where Docker's packages put plugins; those in somebody's home are not looked at."""
PASSED_ON = ("PATH", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH", "SSH_AUTH_SOCK", "TMPDIR")
SETTLE = 5.0
"""Seconds between asking it to end and killing it."""
MAX_TEXT = 8_192

_DECODER = json.JSONDecoder()
_ERROR = re.compile(r"^ERROR: (?P<text>.+)", re.MULTILINE)


def find_buildx(configured: str = "") -> Path | None:
    """The plugin: what an admin named, else Docker's own folders; None when it is not there."""
    places = [Path(configured)] if configured else [Path(folder, PROGRAM) for folder in FOLDERS]
    return next((path for path in places if os.access(path, os.X_OK) and path.is_file()), None)


def arguments(program: Path, plan: BuildPlan, id_file: Path) -> list[str]:
    """The command for a plan. Labels go as they are: what follows the first `=` is raw text.

    Raises `EngineFailed` for a label whose name holds a `=`, which buildx would cut there.
    """
    command = [str(program), "build", "--builder", "default", "--progress", "rawjson"]
    # Attestations would make an index of the image, with another id.
    command += ["--provenance=false", "--sbom=false", f"--iidfile={id_file}"]
    command += [f"--tag={plan.reference}", f"--file={plan.dockerfile}"]
    for key, value in plan.labels.items():
        if "=" in key:
            raise EngineFailed(f"A label cannot be named {key} here.", label=key)
        command.append(f"--label={key}={value}")
    command += [f"--build-arg={key}={value}" for key, value in plan.build_args.items()]
    if not plan.cache:
        command.append("--no-cache")
    return [*command, "-"]


def environment(host: str, configuration: Path, given: Mapping[str, str]) -> dict[str, str]:
    """What the plugin sees of `given` (this server's): little more than the engine's address."""
    passed = {key: given[key] for key in PASSED_ON if key in given}
    home = str(configuration)
    return {**passed, "HOME": home, "DOCKER_CONFIG": home, "DOCKER_HOST": host}


class RawJson:
    """Takes the plugin's output in pieces apart: JSON objects one after the other, of any shape,
    and at the end its own words."""

    def __init__(self) -> None:
        self._rest = ""
        self.text = ""
        """What was no JSON: why it failed."""

    def feed(self, piece: str) -> Iterator[dict[str, Any]]:
        """The statuses that are complete now."""
        self._rest += piece
        while self._rest:
            start = self._rest.lstrip()
            if not start.startswith("{"):
                line, newline, rest = start.partition("\n")
                if not newline:
                    self._rest = start
                    return
                self.text = (self.text + line + "\n")[-MAX_TEXT:]
                self._rest = rest
                continue
            try:
                status, end = _DECODER.raw_decode(start)
            except ValueError:
                self._rest = start
                return  # not all of it is there yet
            self._rest = start[end:]
            yield status

    def end(self) -> None:
        """Nothing follows: what is left is text."""
        self.text = (self.text + self._rest)[-MAX_TEXT:]
        self._rest = ""

    @property
    def problem(self) -> str:
        """What it says went wrong."""
        found = _ERROR.search(self.text)
        return found["text"] if found else self.text.strip() or "buildx failed without a word"


class BuildxStream:
    """One build as events, like those of `docker_events.EventStream`: statuses, then the image's id
    or an error. The iteration raises `Cancelled` at once."""

    def __init__(
        self, program: Path, host: str, plan: BuildPlan, context: bytes, progress: Reporter
    ) -> None:
        self._program = program
        self._host = host
        self._plan = plan
        self._context = context
        self._progress = progress
        self._items: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self._folder: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._raw = RawJson()

    def __iter__(self) -> Iterator[dict[str, Any]]:
        self._progress.check()
        id_file = self._start()
        self._progress.on_cancel(lambda: self._items.put({}))
        assert self._process is not None
        while (item := self._items.get()) is not None:
            self._progress.check()
            if item:
                yield item
        code = self._process.wait()
        self._progress.check()
        if code:
            yield {"error": self._raw.problem}
        else:
            yield {"id": buildkit.IMAGE_ID, "aux": {"ID": id_file.read_text().strip()}}

    def hang_up(self) -> None:
        """Ask it to end, with all that it started: it has the engine stop the build."""
        self._signal(signal.SIGTERM)

    def rest(self) -> Sequence[dict[str, Any]]:
        """Wait until it has ended; a few seconds, then it is killed. There is nothing to tell."""
        if self._process is not None:
            try:
                self._process.wait(SETTLE)
            except subprocess.TimeoutExpired:
                self._signal(signal.SIGKILL)
        return ()

    def close(self) -> None:
        """End it wherever it stands, and remove its folder."""
        process = self._process
        if process is not None:
            self._signal(signal.SIGKILL)
            process.wait()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _start(self) -> Path:
        self._folder = Path(tempfile.mkdtemp(prefix="ds01-buildx-"))
        id_file = self._folder / "image-id"
        with tempfile.TemporaryFile(dir=self._folder) as context:
            context.write(self._context)
            context.seek(0)
            self._process = self._spawn(id_file, context, self._folder)
        threading.Thread(target=self._read, name="ds01-buildx", daemon=True).start()
        return id_file

    def _spawn(self, id_file: Path, context: BinaryIO | Any, folder: Path) -> Any:
        try:
            return subprocess.Popen(
                arguments(self._program, self._plan, id_file),
                stdin=context,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                env=environment(self._host, folder, os.environ),
                cwd=folder,
                start_new_session=True,
            )
        except OSError as error:
            raise EngineFailed(
                f"buildx cannot be run: {error.strerror}.",
                hint="Ask your admin to look at it.",
                program=str(self._program),
            ) from error

    def _read(self) -> None:
        assert self._process is not None
        assert self._process.stderr is not None
        with self._process.stderr as pipe:
            while piece := os.read(pipe.fileno(), 65_536):
                for status in self._raw.feed(piece.decode(errors="replace")):
                    self._items.put(status)
        self._raw.end()
        self._items.put(None)

    def _signal(self, number: signal.Signals) -> None:
        process = self._process
        if process is not None and process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, number)
