"""The ticket opens this extension's addresses to the server's own kernels, and nothing else.

It rests on what jupyter_server's default identity provider does with a handler that has a user
already; these tests fail when that changes.
"""

from __future__ import annotations

import json
import logging
import os
import stat
from pathlib import Path
from typing import Any

import pytest
from jupyter_server.auth.identity import IdentityProvider, PasswordIdentityProvider, User
from jupyter_server.auth.security import passwd
from jupyter_server.serverapp import ServerApp
from traitlets.config import Config

from ds01_jupyter.app import DS01App
from ds01_jupyter.core.identity import process_owner
from ds01_jupyter.ticket import Ticket, ticket_path
from tests.server.conftest import Ask, RecordingAuthorizer

BODY = {"name": "x", "gpus": 99}


class OwnProvider(IdentityProvider):
    """A provider with a `get_user` of its own, as JupyterHub's."""

    def get_user(self, handler: Any) -> User | None:
        return None


@pytest.fixture(params=[PasswordIdentityProvider, OwnProvider])
def provider(request: pytest.FixtureRequest) -> type[IdentityProvider]:
    """The identity provider of the server in this test."""
    kind: type[IdentityProvider] = request.param
    return kind


@pytest.fixture
def jp_server_config(jp_server_config: Config, provider: type[IdentityProvider]) -> Config:
    """A server that has no token to give to its kernels."""
    jp_server_config.ServerApp.identity_provider_class = provider
    jp_server_config.PasswordIdentityProvider.hashed_password = passwd("secret", "sha1")
    jp_server_config.IdentityProvider.token = ""
    jp_server_config.ServerApp.token = ""
    return jp_server_config


@pytest.fixture
def file(app: DS01App, jp_serverapp: ServerApp) -> Path:
    """The ticket file of the started server."""
    return ticket_path(jp_serverapp.runtime_dir, os.getpid())


@pytest.fixture
def shown(file: Path) -> dict[str, str]:
    """The header that a kernel sends."""
    return {"Authorization": f"ds01 {json.loads(file.read_text())['secret']}"}


only_password = pytest.mark.parametrize("provider", [PasswordIdentityProvider], indirect=True)


@only_password
def test_the_file(file: Path, jp_serverapp: ServerApp) -> None:
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    document = json.loads(file.read_text())
    assert document["url"] == jp_serverapp.connection_url
    assert document["pid"] == os.getpid()
    assert document["certificate"] == ""
    assert len(document["secret"]) >= 43


@only_password
async def test_it_opens_our_addresses_and_the_authorizer_is_still_asked(
    ask: Ask, shown: dict[str, str], authorizer: type[RecordingAuthorizer]
) -> None:
    answer = await ask("GET", "operations", headers=shown)
    assert (answer.status, answer.json) == (200, [])
    # a token-authenticated POST needs no XSRF cookie; so does one with a ticket
    assert (await ask("POST", "containers", body=BODY, headers=shown)).status == 400
    assert authorizer.asked == [("read", "ds01"), ("write", "ds01")]
    authorizer.allow = False
    assert (await ask("GET", "operations", headers=shown)).status == 403


@only_password
async def test_anything_else_is_refused(ask: Ask, shown: dict[str, str]) -> None:
    secret = shown["Authorization"].split()[1]
    for wrong in ("ds01 ", "ds01", "ds01 x", f"ds01 {secret}x", f"ds01 {secret[:-1]}", "ds01 ü"):
        answer = await ask("GET", "operations", headers={"Authorization": wrong})
        assert answer.status == 403, wrong
    for other in (f"token {secret}", f"Bearer {secret}", secret):
        answer = await ask("GET", "operations", headers={"Authorization": other})
        assert answer.status == 403, other
    assert (await ask("GET", f"operations?token={secret}", headers={})).status == 403


@only_password
async def test_it_opens_nothing_of_jupyters_own(
    ask: Ask, shown: dict[str, str], jp_base_url: str
) -> None:
    for path in ("api/contents", "api/kernels", "api/sessions", "api/terminals"):
        assert (await ask("GET", f"{jp_base_url}{path}", headers=shown)).status == 403, path


@pytest.mark.parametrize("provider", [OwnProvider], indirect=True)
async def test_a_provider_with_its_own_rules_ignores_it(ask: Ask, shown: dict[str, str]) -> None:
    assert (await ask("GET", "operations", headers=shown)).status == 403


@only_password
async def test_it_is_never_logged(
    ask: Ask,
    app: DS01App,
    shown: dict[str, str],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken() -> Any:
        raise ZeroDivisionError("a defect")

    caplog.set_level(logging.DEBUG)
    monkeypatch.setattr(app, "lab_and_owner", broken)
    assert (await ask("GET", "gpus", headers=shown)).status == 500
    assert "a defect" in caplog.text
    assert shown["Authorization"].split()[1] not in caplog.text
    assert shown["Authorization"].split()[1] not in repr(app.ticket)


@only_password
async def test_it_stands_for_the_owner_of_the_server(app: DS01App, shown: dict[str, str]) -> None:
    user = app.ticket_user(shown["Authorization"])
    assert user is not None
    assert user.username == process_owner().name
    assert app.ticket_user(None) is None
    assert app.ticket_user("") is None


@only_password
async def test_it_is_withdrawn_when_the_server_stops(
    app: DS01App, file: Path, shown: dict[str, str]
) -> None:
    assert file.exists()
    await app.stop_extension()
    assert not file.exists()
    assert app.ticket_user(shown["Authorization"]) is None


def test_an_old_file_of_a_dead_server_is_replaced(tmp_path: Path) -> None:
    old = ticket_path(tmp_path, os.getpid())
    old.write_text("{}")
    old.chmod(0o644)
    path = Ticket("http://127.0.0.1:8888/").write(tmp_path)
    assert path == old
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert json.loads(path.read_text())["url"] == "http://127.0.0.1:8888/"


@only_password
async def test_a_server_that_cannot_write_it_runs_without(
    app: DS01App, jp_serverapp: ServerApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(jp_serverapp), "runtime_dir", "/proc/nothing")
    await app._start_jupyter_server_extension(jp_serverapp)
    assert app.ticket is None
    await app.stop_extension()
