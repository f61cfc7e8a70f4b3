"""Docker's HTTP interface with the standard library alone, as far as the rig itself needs it."""

from __future__ import annotations

import http.client
import json
import socket
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote

from .processes import RigError


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: Path, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def request(
    path: Path, method: str, url: str, body: IO[bytes] | None = None, timeout: float = 30
) -> bytes:
    """Send one request to the engine behind a socket and return the answer's body.

    `timeout` is in seconds and counts for each read. Raises OSError when nobody answers, and
    RigError with the engine's own message for an answer of 400 or above.
    """
    connection = _UnixConnection(path, timeout)
    try:
        connection.request(method, url, body=body)
        response = connection.getresponse()
        content = response.read()
    except http.client.HTTPException as error:
        raise OSError(f"the engine's answer broke off: {error!r}") from error
    finally:
        connection.close()
    if response.status >= 400:
        message = content.decode(errors="replace").strip()
        raise RigError(f"{method} {url}: {response.status} {message}")
    return content


def is_answering(path: Path) -> bool:
    """Does an engine answer on this socket?"""
    try:
        return request(path, "GET", "/_ping", timeout=5) == b"OK"
    except (OSError, RigError):
        return False


def get(path: Path, url: str) -> Any:
    """The JSON answer to a GET."""
    return json.loads(request(path, "GET", url))


def has_image(path: Path, tag: str) -> bool:
    """Is there an image with this tag?"""
    filters = quote(json.dumps({"reference": [tag]}))
    return bool(get(path, f"/images/json?filters={filters}"))


def load_images(path: Path, archive: IO[bytes]) -> None:
    """Load an archive as `docker load` does; raises RigError with the engine's reason."""
    answer = request(path, "POST", "/images/load?quiet=1", body=archive, timeout=300)
    for line in answer.splitlines():
        if line.strip() and "error" in (event := json.loads(line)):
            raise RigError(f"loading images: {event['error']}")


def bridge_interfaces(path: Path) -> list[str]:
    """Interfaces of the networks that users of this engine made (not of its default bridge)."""
    filters = quote(json.dumps({"driver": ["bridge"]}))
    names = []
    for network in get(path, f"/networks?filters={filters}"):
        if network["Name"] != "bridge":
            option = (network.get("Options") or {}).get("com.docker.network.bridge.name")
            names.append(option or f"br-{network['Id'][:12]}")
    return names
