"""A tiny HTTP server that answers as a test says, for what a real server does rarely."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from ds01_jupyter.discovery import Server

NOW = "2026-11-23T12:00:00Z"


@dataclass
class Request:
    """What came."""

    method: str
    path: str
    headers: dict[str, str]
    body: Any


@dataclass
class Answer:
    """What goes back: a JSON `body`, or `raw` text; `chunks` are sent one by one, then closed."""

    status: int = 200
    body: Any = None
    raw: bytes | None = None
    headers: dict[str, str] = field(default_factory=dict)
    chunks: Iterator[bytes] | None = None


Reply = Answer | Callable[[Request], Answer]


class Standin:
    """Replies by `METHOD path` below `ds01/api/`; a list of replies is used up from the front."""

    def __init__(self, base: str = "/") -> None:
        self.base = base
        self.replies: dict[str, Reply | list[Reply]] = {}
        self.requests: list[Request] = []
        self.port = 0
        self.scheme = "http"

    def url(self) -> str:
        """The base URL."""
        return f"{self.scheme}://127.0.0.1:{self.port}{self.base}"

    def server(self, certificate: str = "") -> Server:
        """What discovery would have found."""
        return Server(self.url(), "token secret", "a test", certificate)

    def asked(self) -> list[str]:
        """`METHOD path` of all requests."""
        return [f"{request.method} {request.path}" for request in self.requests]

    def answer(self, request: Request) -> Answer:
        """The reply that the test laid down."""
        self.requests.append(request)
        reply = self.replies.get(f"{request.method} {request.path}")
        if isinstance(reply, list):
            reply = reply.pop(0)
        if reply is None:
            return Answer(404, {"message": "Not Found", "reason": None})
        return reply if isinstance(reply, Answer) else reply(request)


@contextmanager
def running(
    standin: Standin, certificate: Path | None = None, key: Path | None = None
) -> Iterator[Standin]:
    """The server in a thread; with https where a certificate is given."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def reply(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            text = self.rfile.read(length)
            path = self.path.removeprefix(f"{standin.base}ds01/api/")
            body = json.loads(text) if text else None
            answer = standin.answer(Request(self.command, path, dict(self.headers), body))
            if answer.chunks is not None:
                self.stream(answer)
                return
            data = answer.raw
            if data is None:
                data = b"" if answer.body is None else json.dumps(answer.body).encode()
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def stream(self, answer: Answer) -> None:
            self.send_response(answer.status)
            self.send_header("Content-Type", "text/event-stream")
            self.send_header("Connection", "close")
            self.end_headers()
            assert answer.chunks is not None
            for chunk in answer.chunks:
                self.wfile.write(chunk)
                self.wfile.flush()
            self.close_connection = True

        do_GET = do_POST = do_DELETE = reply

        def log_message(self, *_: Any) -> None:
            """Silence."""

    class Quiet(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: Any) -> None:
            """A client that leaves early is part of several tests."""

    server = Quiet(("127.0.0.1", 0), Handler)
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        standin.scheme = "https"
    standin.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield standin
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


# ---- documents -----------------------------------------------------------------------------


def operation(state: str = "running", **more: Any) -> dict[str, Any]:
    """An operation as the API has it."""
    return {
        "id": "op1",
        "kind": "image.create",
        "title": "Build the image demo",
        "owner": "ada",
        "state": state,
        "created": NOW,
        **more,
    }


def event(number: int, kind: str, **more: Any) -> bytes:
    """One server-sent event."""
    data = json.dumps({"id": number, "time": NOW, "kind": kind, **more})
    return f"id: {number}\nevent: {kind}\ndata: {data}\n\n".encode()


def container(name: str = "demo", **more: Any) -> dict[str, Any]:
    """A container as the API has it."""
    return {
        "name": name,
        "full_name": f"{name}._.1000",
        "id": "c" * 64,
        "managed": True,
        "owner": "ada",
        "state": "running",
        "status": "Up 2 minutes",
        "image": f"{name}-ada:{name}._.1000",
        "framework": "Pytorch-2.5.1",
        "gpus": [{"slot": "0:1", "uuid": "MIG-1", "profile": "1g.5gb"}],
        "workspace": f"/home/ada/workspace/{name}",
        "created": NOW,
        "made_by": "ds01",
        **more,
    }


def image(name: str = "demo", **more: Any) -> dict[str, Any]:
    """An image as the API has it."""
    return {
        "name": name,
        "reference": f"{name}-ada:latest",
        "id": "sha256:" + "a" * 64,
        "managed": True,
        "owner": "ada",
        "framework": "Pytorch-2.5.1",
        "base_image": "aimehub/pytorch-2.5.1-aime-cuda12.1.1",
        "created": NOW,
        "size": 5 * 2**30,
        "base": "defaults",
        "use_cases": ["cv"],
        **more,
    }


def about(**more: Any) -> dict[str, Any]:
    """Who and where one is."""
    return {
        "version": "0.1.0",
        "user": "ada",
        "uid": 1000,
        "host": "gpu1",
        "docker": {"available": True, "version": "28.0"},
        "gpu": {"available": True, "version": "570.1"},
        "architecture": "CUDA_ADA",
        **more,
    }


def limits(containers: int = 1, most: int | None = 3) -> dict[str, Any]:
    """One's limits and their use."""
    return {
        "user": "ada",
        "limits": {
            "group": "student",
            "priority": 10,
            "max_cpus": 16.0,
            "memory": 32 * 2**30,
            "memory_swap": 32 * 2**30,
            "shm_size": 16 * 2**30,
            "pids_limit": 4096,
            "max_containers": most,
            "max_mig_instances": 2,
            "max_slots_per_container": 1,
            "cgroup_parent": "ds01-student.slice",
        },
        "usage": {"containers": containers, "slots": 1},
        "source": "/etc/ds01/resource-limits.yaml",
    }


def slot(name: str, **more: Any) -> dict[str, Any]:
    """A MIG slot."""
    return {
        "slot": name,
        "uuid": f"MIG-{name}",
        "kind": "mig",
        "profile": "1g.5gb",
        "memory_total": 5 * 2**30,
        "memory_used": 2**30,
        "utilisation": None,
        "state": "free",
        **more,
    }


def gpus(*slots: dict[str, Any]) -> dict[str, Any]:
    """One MIG GPU with these slots."""
    return {
        "taken": NOW,
        "host": "gpu1",
        "driver": "570.1",
        "gpus": [
            {
                "index": 0,
                "uuid": "GPU-0",
                "name": "NVIDIA A100-SXM4-40GB",
                "mig": True,
                "memory_total": 40 * 2**30,
                "memory_used": 2**30,
                "utilisation": None,
                "temperature": 41,
                "power": 66.5,
                "slots": list(slots),
            }
        ],
    }
