"""A real Jupyter Server with the extension, on a ledger and a simulated driver of its own."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from jupyter_server.auth import Authorizer, User
from jupyter_server.serverapp import ServerApp
from tornado.httpclient import HTTPResponse
from traitlets.config import Config

from ds01_jupyter.app import DS01App
from ds01_jupyter.core.identity import process_owner
from ds01_jupyter.core.lab import Lab
from ds01_jupyter.core.models import Operation
from ds01_jupyter.core.operations import Work

API = "ds01/api"


class RecordingAuthorizer(Authorizer):
    """Writes down what it is asked, and answers `allow`."""

    asked: list[tuple[str, str]] = []
    allow = True

    def is_authorized(self, handler: Any, user: User, action: str, resource: str) -> bool:
        self.asked.append((action, resource))
        return self.allow


@pytest.fixture
def authorizer(monkeypatch: pytest.MonkeyPatch) -> type[RecordingAuthorizer]:
    """The authorizer of the server in this test."""
    monkeypatch.setattr(RecordingAuthorizer, "asked", [])
    monkeypatch.setattr(RecordingAuthorizer, "allow", True)
    return RecordingAuthorizer


@pytest.fixture
def docker_host() -> str:
    """No engine; tests on the rig's engine override this.

    A port that refuses, not a missing socket file: there docker-py leaves its socket open, which
    is a warning and so an error.
    """
    return "tcp://127.0.0.1:1"


@pytest.fixture
def dockerfiles(unique_name: str) -> Iterator[Path]:
    """A folder for Dockerfiles; they must lie in the home of the account."""
    folder = process_owner().home / f".{unique_name}"
    folder.mkdir()
    yield folder
    shutil.rmtree(folder)


LIMITS = """
defaults:
  max_cpus: 0.5
  memory: 512m
  shm_size: 64m
  pids_limit: 256
  max_containers_per_user: 2
  max_mig_instances: 2
"""


@pytest.fixture
def limits_file(tmp_path: Path) -> Path:
    """Limits that any machine can give."""
    path = tmp_path / "resource-limits.yaml"
    path.write_text(LIMITS)
    return path


@pytest.fixture
def jp_server_config(
    tmp_path: Path,
    docker_host: str,
    dockerfiles: Path,
    limits_file: Path,
    gpu_machine: Any,
    authorizer: type[RecordingAuthorizer],
) -> Config:
    """The extension, loaded so that a failure to load is a failure of the test."""
    return Config(
        {
            "ServerApp": {
                "jpserver_extensions": {"ds01_jupyter": True},
                "reraise_server_extension_failures": True,
                "authorizer_class": authorizer,
            },
            "DS01App": {
                "docker_host": docker_host,
                "ledger": str(tmp_path / "ledger.sqlite"),
                "limits": str(limits_file),
                "dockerfiles": str(dockerfiles),
                "workspace_roots": [str(tmp_path)],
            },
        }
    )


@pytest.fixture
def app(jp_serverapp: ServerApp, jp_asyncio_loop: asyncio.AbstractEventLoop) -> DS01App:
    """The extension, loaded and started as the server does it."""
    jp_asyncio_loop.run_until_complete(jp_serverapp.extension_manager.start_all_extensions())
    extension = jp_serverapp.extension_manager.extension_points["ds01"].app
    assert isinstance(extension, DS01App)
    return extension


@pytest.fixture
def lab(app: DS01App) -> Lab:
    """The lab of the server, made now."""
    return app.lab_and_owner()[0]


@pytest.fixture
def begin_work(app: DS01App, lab: Lab) -> Callable[[Work], Operation]:
    """Begin an operation of this server's owner that does what the test says."""
    _, owner = app.lab_and_owner()
    return lambda work: lab._operations.start(owner, "image.create", "Build", work)


@dataclass
class Answer:
    """What the server answered."""

    status: int
    body: bytes
    headers: Any = field(repr=False)

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


Ask = Callable[..., Awaitable[Answer]]


@pytest.fixture
def ask(
    app: DS01App, http_server_client: Any, jp_auth_header: dict[str, str], jp_base_url: str
) -> Ask:
    """`await ask("GET", "images", body=..., headers=...)`; with the server's token by default."""

    async def send(
        method: str,
        path: str,
        *,
        body: Any = None,
        headers: dict[str, str] | None = None,
        **more: Any,
    ) -> Answer:
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        response: HTTPResponse = await http_server_client.fetch(
            f"{jp_base_url}{API}/{path}" if not path.startswith("/") else path,
            method=method,
            body=data,
            headers=jp_auth_header if headers is None else headers,
            allow_nonstandard_methods=True,
            raise_error=False,
            **more,
        )
        return Answer(response.code, response.body or b"", response.headers)

    return send
