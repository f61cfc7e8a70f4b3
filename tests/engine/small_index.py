"""A package index of a few stand-ins, served to builds by this machine, and a base that asks it.

Its packages are small and have the faults of the real ones: one is compiled against another numpy,
two own the same folder, one needs the libraries of a screen, one runs code when it is built. It
serves without Date and Cache-Control, as some mirrors do, so that pip's own cache keeps nothing.
"""

from __future__ import annotations

import io
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from ds01_jupyter.core.docker_engine import DockerEngine
from ds01_jupyter.core.engine import BuildPlan, Silent
from tests.rig import network
from tests.rig.fixtures import RigEngine
from tests.rig.wheels import SITE_PACKAGES, Wheel

ABI = """\
import numpy

if numpy.__version__.split(".")[0] != "1":
    raise ValueError("numpy.dtype size changed, may indicate binary incompatibility")
"""
SCREEN = "import ctypes\n\nctypes.CDLL('libGL.so.1')\n"
MARK = "ds01-code-of-a-package-ran"
POISON = "poisoned = True"
"""The line that somebody writes into a package of the cache."""


def _plain(name: str, version: str, *requires: str, code: str = "") -> Wheel:
    text = f'{code}__version__ = "{version}"\n'
    module = name.replace("-", "_")
    return Wheel(module, version, {f"{module}/__init__.py": text}, requires)


WHEELS = (
    _plain("torch", "2.15.0"),
    _plain("torchvision", "0.21.0", "torch>=2.15"),
    _plain("torchtext", "0.18.0", "torch"),
    _plain("numpy", "1.24.0"),
    _plain("numpy", "1.26.4"),
    _plain("numpy", "2.4.0"),
    # Of the base, as pandas 2.1 was: its metadata say nothing of numpy 2.
    _plain("compiled", "1.0", "numpy>=1.20", code=ABI),
    _plain("frames", "3.0", "numpy>=1.26"),
    Wheel("opencv_python", "4.10.0", {"cv2/__init__.py": SCREEN}),
    Wheel("opencv_python_headless", "4.10.0", {"cv2/__init__.py": "headless = True\n"}),
    _plain("tiny", "1.0"),
    _plain("tiny", "2.0"),
    _plain("tiny", "3.0"),
    _plain("leaf", "1.0"),
)
IN_BASE = ("numpy==1.26.4", "compiled")
_BACKEND = """\
import glob
import zipfile

print("MARK")
open("/MARK", "w").close()
for path in glob.glob("/root/.cache/uv/**/tiny/__init__.py", recursive=True):
    with open(path, "a") as file:
        file.write("POISON" + chr(10))
NAME = "runs_code-1.0-py3-none-any.whl"
FILES = {
    "METADATA": "Metadata-Version: 2.1\\nName: runs-code\\nVersion: 1.0\\n",
    "WHEEL": "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
    "RECORD": "",
}


def build_wheel(folder, *_):
    with zipfile.ZipFile(folder + "/" + NAME, "w") as archive:
        for name, text in FILES.items():
            archive.writestr("runs_code-1.0.dist-info/" + name, text)
    return NAME
""".replace("MARK", MARK).replace("POISON", POISON)
_PROJECT = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'


class SmallIndex:
    """What it serves, and which paths were asked for."""

    def __init__(self, address: str) -> None:
        self.files = {_file_name(wheel): _zipped(wheel) for wheel in WHEELS}
        self.metadata = {_file_name(wheel): _metadata(wheel) for wheel in WHEELS}
        self.files["runs_code-1.0.tar.gz"] = _sdist()
        self.asked: list[str] = []
        self.broken = ""
        """A part of paths that are not answered."""
        index = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                index.asked += [self.path] if self.command == "GET" else []
                body = index.answer(self.path)
                status = 404 if body is None else 200
                silent = index.broken and index.broken in self.path
                self.send_response_only(503 if silent else status)
                html = "/simple/" in self.path
                kind = "text/html" if html else "application/octet-stream"
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body or b"")))
                self.end_headers()
                if self.command == "GET":
                    self.wfile.write(body or b"")

            do_HEAD = do_GET

            def log_message(self, *_: object) -> None:
                """Print nothing."""

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 64

        self.server = Server((address, 0), Handler)
        self.host = address
        self.url = f"http://{address}:{self.server.server_port}/simple/"

    def answer(self, path: str) -> bytes | None:
        """The content at a path; None: there is nothing."""
        kind, _, name = path.strip("/").partition("/")
        if kind == "files" and name.endswith(".metadata"):
            return self.metadata.get(name.removesuffix(".metadata"))
        if kind == "files":
            return self.files.get(name)
        project = name.replace("-", "_")
        names = [file for file in self.files if file.rpartition("-")[0].split("-")[0] == project]
        told = dict.fromkeys(self.metadata, ' data-core-metadata="true"')
        links = [f'<a href="/files/{file}"{told.get(file, "")}>{file}</a>\n' for file in names]
        return "".join(links).encode() or None

    def downloads(self, name: str) -> int:
        """How often a package was fetched, and not only what it needs."""
        start = f"/files/{name.replace('-', '_')}-"
        return sum(p.startswith(start) and not p.endswith(".metadata") for p in self.asked)


@contextmanager
def small_index(rig: RigEngine) -> Iterator[SmallIndex]:
    """The index, at an address that builds and containers reach."""
    subnet = network.bridge_subnet(rig.paths.bridge)
    assert subnet is not None
    index = SmallIndex(str(subnet[1]))
    thread = threading.Thread(target=index.server.serve_forever)
    thread.start()
    try:
        yield index
    finally:
        index.server.shutdown()
        thread.join()
        index.server.server_close()


@contextmanager
def base_of_index(rig: RigEngine, index: SmallIndex, name: str) -> Iterator[str]:
    """An image like the rig's, whose pip and uv ask the index and which has numpy and what is
    compiled against it; yields its name."""
    lines = [
        f"FROM {rig.base_image}",
        f"ENV PIP_INDEX_URL={index.url} PIP_TRUSTED_HOST={index.host} UV_DEFAULT_INDEX={index.url}",
        "ENV UV_HTTP_RETRIES=1",
        f"RUN pip install --no-cache-dir --break-system-packages {' '.join(IN_BASE)}",
    ]
    engine = DockerEngine(rig.docker_host)
    try:
        files = {"Dockerfile": "\n".join(lines).encode()}
        engine.build(BuildPlan(files=files, reference=f"{name}:latest"), Silent())
        yield name
        engine.remove_image(name, force=True)
    finally:
        engine.close()


def _file_name(wheel: Wheel) -> str:
    return f"{wheel.name}-{wheel.version}-py3-none-any.whl"


def _zipped(wheel: Wheel) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path, content in wheel.installed_files().items():
            archive.writestr(str(path.relative_to(SITE_PACKAGES)), content)
    return buffer.getvalue()


def _metadata(wheel: Wheel) -> bytes:
    files = wheel.installed_files().items()
    return next(content for path, content in files if path.name == "METADATA")


def _sdist() -> bytes:
    buffer = io.BytesIO()
    info = "Metadata-Version: 2.1\nName: runs-code\nVersion: 1.0\n"
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        files = {"backend.py": _BACKEND, "pyproject.toml": _PROJECT, "PKG-INFO": info}
        for name, text in files.items():
            entry = tarfile.TarInfo(f"runs_code-1.0/{name}")
            entry.size = len(text)
            tar.addfile(entry, io.BytesIO(text.encode()))
    return buffer.getvalue()
