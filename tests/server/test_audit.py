"""Every state change and every refusal leaves one event in Jupyter's event log."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from jupyter_server.auth.identity import User
from jupyter_server.serverapp import ServerApp

from ds01_jupyter.app import DS01App
from ds01_jupyter.core.errors import LimitReached
from ds01_jupyter.core.identity import process_owner
from ds01_jupyter.core.lab import Lab
from ds01_jupyter.core.models import DockerfilePreview
from ds01_jupyter.handlers.audit import SCHEMA_ID
from tests.server.conftest import Ask, RecordingAuthorizer

OWNER = process_owner().name
IMAGE = {"name": "mine", "framework": "Pytorch"}


@pytest.fixture
def heard(jp_serverapp: ServerApp) -> list[dict[str, Any]]:
    """The events that an admin's listener gets."""
    events: list[dict[str, Any]] = []

    async def listener(logger: Any, schema_id: str, data: dict[str, Any]) -> None:
        events.append(data)

    assert jp_serverapp.event_logger is not None
    jp_serverapp.event_logger.add_listener(schema_id=SCHEMA_ID, listener=listener)
    return events


async def settled(jp_serverapp: ServerApp) -> None:
    assert jp_serverapp.event_logger is not None
    await asyncio.gather(*jp_serverapp.event_logger._active_listeners)


def event(action: str, outcome: str, **more: str) -> dict[str, str]:
    return {
        "action": action,
        "actor": OWNER,
        "owner": OWNER,
        "subject": "",
        "outcome": outcome,
        "code": "",
        "operation": "",
        **more,
    }


async def test_reads_leave_nothing(
    ask: Ask, heard: list[dict[str, Any]], jp_serverapp: ServerApp
) -> None:
    assert (await ask("GET", "operations")).status == 200
    assert (await ask("GET", "packages")).status == 200
    await settled(jp_serverapp)
    assert heard == []


async def test_refusals(
    ask: Ask,
    heard: list[dict[str, Any]],
    jp_serverapp: ServerApp,
    authorizer: type[RecordingAuthorizer],
) -> None:
    await ask("GET", "operations/0123456789abcdef")
    await ask("POST", "containers", body={"name": "x", "gpus": 99})
    await ask("DELETE", "images/theirs", headers={"Authorization": "token wrong"})
    await ask("GET", "nowhere")
    authorizer.allow = False
    await ask("POST", "containers/" + "x" * 500 + "/stop")
    await settled(jp_serverapp)
    assert heard == [
        event("operation.show", "refused", subject="0123456789abcdef", code="not_found"),
        event("container.create", "refused", owner="", code="invalid_input"),
        event("image.remove", "refused", actor="", owner="", subject="theirs", code="forbidden"),
        event("route.unknown", "refused", owner="", code="not_found"),
        event("container.stop", "refused", owner="", subject="x" * 200, code="forbidden"),
    ]


async def test_what_fails_is_no_refusal(
    ask: Ask, heard: list[dict[str, Any]], jp_serverapp: ServerApp
) -> None:
    assert (await ask("POST", "containers/x/stop")).status == 503
    await settled(jp_serverapp)
    assert heard == [event("container.stop", "failed", subject="x", code="docker_unavailable")]


async def test_changes_and_previews(
    ask: Ask,
    lab: Lab,
    heard: list[dict[str, Any]],
    jp_serverapp: ServerApp,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    preview = DockerfilePreview(
        path="/p", dockerfile="FROM x", files={}, base_image="x", state="new"
    )
    monkeypatch.setattr(lab, "remove_image", lambda person, name: None)
    monkeypatch.setattr(lab, "preview_image", lambda person, request: preview)
    assert (await ask("DELETE", "images/mine")).status == 204
    assert (await ask("POST", "dockerfile", body=IMAGE)).status == 200
    await settled(jp_serverapp)
    assert heard == [event("image.remove", "done", subject="mine")]


@pytest.mark.parametrize("outcome", ["succeeded", "failed", "cancelled"])
async def test_long_work_is_told_twice(
    ask: Ask,
    app: DS01App,
    lab: Lab,
    heard: list[dict[str, Any]],
    jp_serverapp: ServerApp,
    monkeypatch: pytest.MonkeyPatch,
    outcome: str,
) -> None:
    go = threading.Event()

    def work(progress: Any) -> dict[str, Any]:
        progress.on_cancel(go.set)
        assert go.wait(20)
        progress.check()
        if outcome == "failed":
            raise LimitReached("No more.")
        return {}

    def create(person: Any, request: Any) -> Any:
        return lab._operations.start(person, "image.create", "Build", work)

    monkeypatch.setattr(lab, "create_image", create)
    answer = await ask("POST", "images", body=IMAGE)
    assert answer.status == 202
    key = answer.json["id"]
    assert app.current_activity() == {key: "image.create"}
    cancel = []
    if outcome == "cancelled":
        await ask("DELETE", f"operations/{key}")
        cancel = [event("operation.cancel", "accepted", subject=key, operation=key)]
    go.set()
    await ask("GET", f"operations/{key}/events")
    await asyncio.sleep(0)
    await settled(jp_serverapp)
    code = {"succeeded": "", "failed": "limit_reached", "cancelled": "cancelled"}[outcome]
    begun = event("image.create", "accepted", subject="mine", operation=key)
    assert heard[0] == begun
    assert sorted(heard[1:], key=str) == sorted(
        [*cancel, {**begun, "outcome": outcome, "code": code}], key=str
    )
    assert app.current_activity() is None


async def test_under_the_hub_the_actor_is_the_hubs_user(
    ask: Ask,
    heard: list[dict[str, Any]],
    jp_serverapp: ServerApp,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class HubUser(User):
        hub_user: dict[str, Any] = {}

    provider = jp_serverapp.identity_provider
    monkeypatch.setattr(provider, "get_user", lambda handler: HubUser("alice"))
    monkeypatch.setattr(provider, "is_token_authenticated", lambda handler: True)
    await ask("POST", "containers", body={"name": "x", "gpus": 99})
    await settled(jp_serverapp)
    assert heard == [
        event("container.create", "refused", actor="alice", owner="", code="invalid_input")
    ]
