"""Pulls on the real engine from a small registry of our own."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import socket
import tarfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from ds01_jupyter.core.docker_engine import DockerEngine
from ds01_jupyter.core.engine import Silent
from ds01_jupyter.core.errors import Cancelled, RegistryUnavailable
from tests.rig.fixtures import RigEngine

pytestmark = pytest.mark.engine
MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"


@pytest.fixture
def engine(rig_engine: RigEngine) -> Iterator[DockerEngine]:
    found = DockerEngine(rig_engine.docker_host, registry_timeout=3)
    yield found
    found.close()


def digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


class Registry(ThreadingHTTPServer):
    """Serves one image of one layer, the second half of it once `released` is set."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.released = threading.Event()
        self.half_sent = threading.Event()
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as tar:
            entry = tarfile.TarInfo("noise")
            entry.size = 4_000_000
            tar.addfile(entry, io.BytesIO(os.urandom(entry.size)))
        layer = gzip.compress(buffer.getvalue(), 1)
        config = json.dumps(
            {
                "architecture": "amd64",
                "os": "linux",
                "config": {},
                "rootfs": {"type": "layers", "diff_ids": [digest(buffer.getvalue())]},
                "history": [{"created": "2024-12-01T00:00:00Z"}],
            }
        ).encode()
        self.layer = digest(layer)
        self.blobs = {self.layer: layer, digest(config): config}
        self.manifest = json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": MANIFEST,
                "config": {
                    "mediaType": "application/vnd.docker.container.image.v1+json",
                    "size": len(config),
                    "digest": digest(config),
                },
                "layers": [
                    {
                        "mediaType": "application/vnd.docker.image.rootfs.diff.tar.gzip",
                        "size": len(layer),
                        "digest": self.layer,
                    }
                ],
            }
        ).encode()


class Handler(BaseHTTPRequestHandler):
    """The few routes of a registry that a pull needs."""

    server: Registry
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        path = self.path
        if path == "/v2/":
            self._answer(200, b"{}", "application/json")
        elif "/manifests/" in path and "/there/" in path:
            self._answer(200, self.server.manifest, MANIFEST)
        elif "/blobs/" in path and path.rpartition("/")[2] in self.server.blobs:
            self._blob(path.rpartition("/")[2])
        else:
            unknown = {"errors": [{"code": "MANIFEST_UNKNOWN", "message": "manifest unknown"}]}
            self._answer(404, json.dumps(unknown).encode(), "application/json")

    do_HEAD = do_GET

    def _answer(self, status: int, content: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Docker-Content-Digest", digest(content))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def _blob(self, name: str) -> None:
        content = self.server.blobs[name]
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        half = len(content) // 2 if name == self.server.layer else len(content)
        try:
            self.wfile.write(content[:half])
            self.wfile.flush()
            if half < len(content):
                self.server.half_sent.set()
                self.server.released.wait(30)
                self.wfile.write(content[half:])
        except OSError:
            self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture
def registry() -> Iterator[Registry]:
    server = Registry()
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield server
    server.released.set()
    server.shutdown()
    thread.join()
    server.server_close()


class Heard(Silent):
    def __init__(self) -> None:
        super().__init__()
        self.steps: list[tuple[str, float | None, str]] = []

    def step(self, phase: str, fraction: float | None = None, detail: str = "") -> None:
        super().step(phase, fraction, detail)
        self.steps.append((phase, fraction, detail))


def test_a_pull_reports_its_progress(
    engine: DockerEngine, registry: Registry, unique_name: str
) -> None:
    reference = f"127.0.0.1:{registry.server_port}/there/{unique_name}"
    heard = Heard()
    registry.released.set()
    image = engine.pull(reference, heard)
    try:
        assert image.references == (f"{reference}:latest",)
        assert {phase for phase, _, _ in heard.steps} == {"pull"}
        fractions = [fraction for _, fraction, _ in heard.steps if fraction is not None]
        assert fractions
        assert fractions == sorted(fractions)
    finally:
        engine.remove_image(reference)


def test_a_cancelled_pull_leaves_nothing(
    engine: DockerEngine, registry: Registry, unique_name: str
) -> None:
    reference = f"127.0.0.1:{registry.server_port}/there/{unique_name}"
    heard = Heard()

    def cancel() -> None:
        registry.half_sent.wait(20)
        heard.cancel()

    thread = threading.Thread(target=cancel)
    thread.start()
    with pytest.raises(Cancelled):
        engine.pull(reference, heard)
    thread.join()
    assert registry.half_sent.is_set()
    registry.released.set()
    assert engine.image(reference) is None


def test_an_image_that_the_registry_lacks(
    engine: DockerEngine, registry: Registry, unique_name: str
) -> None:
    reference = f"127.0.0.1:{registry.server_port}/absent/{unique_name}"
    with pytest.raises(RegistryUnavailable, match="has no image") as caught:
        engine.pull(reference, Silent())
    assert caught.value.details["image"] == f"{reference}:latest"


def test_a_registry_that_is_not_there(engine: DockerEngine, unique_name: str) -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))  # bound but not listening: refused
        port = bound.getsockname()[1]
        with pytest.raises(RegistryUnavailable, match="cannot be reached"):
            engine.pull(f"127.0.0.1:{port}/x/{unique_name}", Silent())


def test_a_registry_that_does_not_answer_is_given_up(
    engine: DockerEngine, unique_name: str
) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        port = silent.getsockname()[1]
        with pytest.raises(RegistryUnavailable, match="did not answer for 3 seconds"):
            engine.pull(f"127.0.0.1:{port}/x/{unique_name}", Silent())


def test_a_pull_can_be_cancelled_while_the_registry_is_silent(
    rig_engine: RigEngine, unique_name: str
) -> None:
    engine = DockerEngine(rig_engine.docker_host)  # with its long patience
    heard = Silent()
    finished = threading.Event()
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()

        def cancel() -> None:
            asked, _ = silent.accept()  # the engine has asked, and waits
            with asked:
                heard.cancel()
                finished.wait(20)

        thread = threading.Thread(target=cancel)
        thread.start()
        with pytest.raises(Cancelled):
            engine.pull(f"127.0.0.1:{silent.getsockname()[1]}/x/{unique_name}", heard)
        finished.set()
        thread.join()
    engine.close()
