"""A real registry: Debian's docker-registry on a free port of this machine.

An engine takes a registry on 127.0.0.1 without TLS, so images can be pushed to it and pulled from
it as from a public one: layer by layer, with progress, and with an answer for a missing image.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import urllib.request
from typing import TYPE_CHECKING

from .install import fetch_program
from .paths import RigPaths
from .processes import RigError, file_lock, has_ended, recorded_process, stop_process, wait_until

if TYPE_CHECKING:
    import docker

PROGRAM = "docker-registry"


class Registry:
    """The registry of one rig, shared by its tests; `start` and `stop` may be called at any time.

    `name` sets a second one apart, with a storage and a port of its own.
    """

    def __init__(self, paths: RigPaths, name: str = "registry") -> None:
        self.directory = paths.root / name
        self._cache = paths.cache
        self._pid_file = self.directory / "pid"
        self._config = self.directory / "config.yml"

    @property
    def address(self) -> str | None:
        """``127.0.0.1:PORT``, to be written before an image's name; None while it is stopped."""
        if recorded_process(self._pid_file, str(self._config)) is None:
            return None
        return (self.directory / "address").read_text()

    def start(self) -> str:
        """Start it unless it runs, and return its address.

        Debian's package is fetched if it is not installed. Raises RigError when that fails, or when
        the registry does not start.
        """
        with file_lock(self.directory / "lock"):
            address = self.address
            if address is None:
                address = self._start()
            return address

    def stop(self) -> None:
        """Stop it; what was pushed stays on disk."""
        with file_lock(self.directory / "lock"):
            stop_process(self._pid_file, str(self._config), seconds=10)

    def _start(self) -> str:
        program = shutil.which(PROGRAM)
        if program is None:
            with file_lock(self._cache / "registry.lock"):
                program = str(fetch_program(PROGRAM, PROGRAM, self._cache))
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            address = f"127.0.0.1:{probe.getsockname()[1]}"
        (self.directory / "address").write_text(address)
        self._config.write_text(self._configuration(address))
        with (self.directory / "log").open("ab") as log:
            pid = os.posix_spawn(
                program,
                [PROGRAM, "serve", str(self._config)],
                os.environ,
                file_actions=[
                    (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                    (os.POSIX_SPAWN_DUP2, log.fileno(), 1),
                    (os.POSIX_SPAWN_DUP2, log.fileno(), 2),
                ],
                setsid=True,
            )
        self._pid_file.write_text(f"{pid}\n")
        wait_until(lambda: has_ended(pid) or _answers(address), 20)
        if has_ended(pid) or not _answers(address):
            stop_process(self._pid_file, str(self._config), seconds=10)
            tail = "\n".join((self.directory / "log").read_text().splitlines()[-15:])
            raise RigError(f"{PROGRAM} does not answer; the end of its log:\n{tail}")
        return address

    def _configuration(self, address: str) -> str:
        """JSON is YAML, too."""
        return json.dumps(
            {
                "version": "0.1",
                "log": {"level": "warn"},
                "storage": {
                    "filesystem": {"rootdirectory": str(self.directory / "storage")},
                    "delete": {"enabled": True},
                },
                "http": {"addr": address},
            }
        )

    def push(self, client: docker.DockerClient, image: str, repository: str | None = None) -> str:
        """Push an image of the engine and return the name to pull it by.

        `repository` is its name in the registry, by default the image's own. The engine has no
        image of the returned name afterwards, but it still has the layers: for a pull that
        downloads something, remove the image from the engine, or pull with another engine. Raises
        RigError with the reason when the push fails.
        """
        target = f"{self.start()}/{repository or image}"
        source = client.images.get(image)
        source.tag(target)
        try:
            for event in client.images.push(target, stream=True, decode=True):
                if "error" in event:
                    raise RigError(f"pushing {target}: {event['error']}")
        finally:
            client.images.remove(target, noprune=True)
        return target


def _answers(address: str) -> bool:
    with contextlib.suppress(OSError), _opener().open(f"http://{address}/v2/", timeout=5) as answer:
        return bool(answer.status == 200)
    return False


def _opener() -> urllib.request.OpenerDirector:
    """An opener that goes past any proxy of the environment."""
    return urllib.request.build_opener(urllib.request.ProxyHandler({}))
