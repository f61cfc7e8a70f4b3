"""A small index of packages over TLS with a certificate of its own, which containers can reach."""

from __future__ import annotations

import base64
import hashlib
import io
import ssl
import subprocess
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.rig.fixtures import RigEngine
from tests.rig.network import bridge_subnet


def wheel(name: str, version: str = "1.0") -> tuple[str, bytes]:
    """File name and content of a wheel with one empty module."""
    info = f"{name}-{version}.dist-info"
    files = {
        f"{name}.py": "",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    rows = []
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
            digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest())
            rows.append(f"{path},sha256={digest.rstrip(b'=').decode()},{len(text)}")
        archive.writestr(f"{info}/RECORD", "\n".join([*rows, f"{info}/RECORD,,"]) + "\n")
    return f"{name}-{version}-py3-none-any.whl", buffer.getvalue()


class PackageIndex(ThreadingHTTPServer):
    """PEP 503, with `package` on it and nothing else."""

    daemon_threads = True

    def __init__(self, host: str, package: str) -> None:
        super().__init__((host, 0), Handler)
        self.package = package
        self.file, self.content = wheel(package)
        self.asked: list[str] = []
        self.held = threading.Event()
        self.held.set()


class Handler(BaseHTTPRequestHandler):
    """Two pages and a file."""

    server: PackageIndex
    protocol_version = "HTTP/1.1"
    timeout = 20

    def do_GET(self) -> None:
        server = self.server
        server.asked.append(self.path)
        server.held.wait(60)
        name = server.package.replace("_", "-")
        if self.path == f"/simple/{name}/":
            digest = hashlib.sha256(server.content).hexdigest()
            link = f'<a href="/files/{server.file}#sha256={digest}">{server.file}</a>'
            self._answer(200, f"<!DOCTYPE html><body>{link}</body>".encode(), "text/html")
        elif self.path == f"/files/{server.file}":
            self._answer(200, server.content, "application/octet-stream")
        else:
            self._answer(404, b"", "text/plain")

    do_HEAD = do_GET

    def _answer(self, status: int, content: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Quiet."""


def _certified(folder: Path, host: str) -> tuple[Path, Path]:
    """Files of an authority of the test's own, and of its certificate for a host."""
    authority, certificate = folder / "ca.pem", folder / "leaf.pem"
    new = ["openssl", "req", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-x509"]
    root = [*new, "-keyout", str(folder / "ca.key"), "-out", str(authority), "-subj", "/CN=Lab"]
    leaf = [*new, "-keyout", str(folder / "leaf.key"), "-out", str(certificate)]
    leaf += ["-subj", f"/CN={host}", "-CA", str(authority), "-CAkey", str(folder / "ca.key")]
    leaf += ["-addext", f"subjectAltName=IP:{host}", "-addext", "basicConstraints=CA:FALSE"]
    for command in (root, leaf):
        subprocess.run(command, check=True, capture_output=True)
    return authority, certificate


@contextmanager
def package_index(
    rig: RigEngine, folder: Path, package: str
) -> Iterator[tuple[PackageIndex, Path]]:
    """A running index, and the file of the authority that vouches for it."""
    subnet = bridge_subnet(rig.paths.bridge)
    assert subnet is not None
    host = str(next(subnet.hosts()))
    authority, certificate = _certified(folder, host)
    server = PackageIndex(host, package)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, folder / "leaf.key")
    server.socket = context.wrap_socket(
        server.socket,
        server_side=True,
        do_handshake_on_connect=False,  # that is for the handler
    )
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server, authority
    finally:
        server.held.set()
        server.shutdown()
        server.server_close()
