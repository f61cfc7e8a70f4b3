"""Limits through the server: the check of a text, and files that an admin edits meanwhile."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from ds01_jupyter.app import DS01App
from ds01_jupyter.core.identity import process_owner
from ds01_jupyter.core.models import MAX_LIMITS_TEXT
from tests.server.conftest import Ask
from tests.server.jupyter_process import started

GOOD = "defaults: {memory: 512m, shm_size: 64m}\n"


async def test_every_mistake_of_a_text(ask: Ask, app: DS01App) -> None:
    text = "defaults:\n  memory: 3x\n  idle_timeout: 48\n  max_gpu_slots: 99\n"
    answer = await ask("POST", "limits/check", body={"text": text})
    assert answer.status == 200, answer.body
    report = answer.json
    assert report["ok"] is False
    assert [(each["line"], each["key"]) for each in report["mistakes"]] == [
        (2, "defaults.memory"),
        (3, "defaults.idle_timeout"),
    ]
    # Held against the simulated machine: 2 whole GPUs, and 11 instances on the others.
    (warning,) = (w for w in report["warnings"] if w["key"] == "defaults.max_gpu_slots")
    assert "13 GPU slots now" in warning["message"]
    assert report["not_checked"] == []
    lab, person = app.lab_and_owner()
    assert lab._admin.limits().for_person(person).memory == 512 * 2**20, "that is still in use"


async def test_the_server_opens_no_file_for_it(ask: Ask, tmp_path: Path) -> None:
    path = tmp_path / "members"
    os.mkfifo(path)  # opening it would wait for ever
    text = f"{GOOD}groups: {{a: {{members_file: {path}}}}}\n"
    report = (await ask("POST", "limits/check", body={"text": text})).json
    assert report["ok"] is True
    assert [each for each in report["not_checked"] if str(path) in each]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 400),
        ({"text": 3}, 400),
        ({"text": GOOD, "path": "/etc/passwd"}, 400),
        ({"text": "#" * (MAX_LIMITS_TEXT + 1)}, 400),
        ({"text": "#" * (1 << 20)}, 413),
        (b"defaults: {}", 400),
    ],
)
async def test_other_requests_are_refused(ask: Ask, body: Any, status: int) -> None:
    answer = await ask("POST", "limits/check", body=body)
    assert answer.status == status
    assert set(answer.json) == {"code", "message", "hint", "details"}


async def test_a_text_of_the_largest_size_is_checked(ask: Ask) -> None:
    text = GOOD + "#" * (MAX_LIMITS_TEXT - len(GOOD))
    answer = await ask("POST", "limits/check", body={"text": text})
    assert (answer.status, answer.json["ok"]) == (200, True)


async def test_a_changed_file_of_members_needs_no_restart(
    ask: Ask, app: DS01App, limits_file: Path
) -> None:
    me = process_owner().name
    members = limits_file.parent / "members"
    members.write_text("# nobody yet\n")
    limits_file.write_text(f"{GOOD}groups: {{lab: {{members_file: members}}}}\n")
    lab, person = app.lab_and_owner()
    assert lab._admin.limits().group_of(person) == "default"
    held = lab._admin.limits()
    assert lab._admin.limits() is held, "nothing has changed"
    members.write_text(f"{me}\n")
    assert lab._admin.limits().group_of(person) == "lab"
    members.unlink()
    assert (await ask("GET", "limits")).json["code"] == "configuration_error"


async def test_declared_domains(ask: Ask, app: DS01App, limits_file: Path) -> None:
    me = process_owner().name
    limits_file.write_text(f"{GOOD}groups: {{lab: {{members: ['{me}@lab.example']}}}}\n")
    lab, person = app.lab_and_owner()
    assert lab._admin.limits().group_of(person) == "default"
    app.domains = ["lab.example"]
    assert app.core_settings().domains == ("lab.example",)
    app._lab = None
    lab.close()
    lab, person = app.lab_and_owner()
    assert lab._admin.limits().group_of(person) == "lab"


def test_the_command_on_a_real_server(tmp_path: Path, gpu_machine: Any) -> None:
    config = {
        "docker_host": "unix:///nonexistent/docker.sock",
        "ledger": str(tmp_path / "ledger.sqlite"),
    }
    bad, good = tmp_path / "bad.yaml", tmp_path / "good.yaml"
    bad.write_text("defaults:\n  memory: 3x\n  max_gpu_slots: 99\n")
    good.write_text(GOOD)
    with started(tmp_path, {"DS01App": config}) as server:
        done = server.ds01("limits", "check", str(bad))
        assert (done.returncode, done.stderr) == (1, "")
        assert "a size is a number with k, m, g or t" in done.stdout
        assert "13 GPU slots now" in done.stdout
        assert f"{bad}: 1 mistake and 1 warning. The file would be refused" in done.stdout
        done = server.ds01("limits", "check", str(good), "--json")
        assert (done.returncode, done.stderr) == (0, "")
        report = json.loads(done.stdout)
        assert (report["ok"], report["mistakes"]) == (True, [])
