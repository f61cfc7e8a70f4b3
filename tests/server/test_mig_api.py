"""The MIG layout over HTTP, on a real server and the simulated driver."""

from __future__ import annotations

import asyncio
import pwd
from pathlib import Path
from typing import Any

import pytest
import yaml

from ds01_jupyter.app import DS01App
from ds01_jupyter.core import mig_documents
from ds01_jupyter.core.identity import Person
from ds01_jupyter.core.lab import Lab
from ds01_jupyter.core.ledger import Ledger
from ds01_jupyter.core.settings import Settings
from tests.rig.nvml import Machine
from tests.server.conftest import Ask

GOAL = """version: v1
mig-configs:
  small:
    - devices: [3]
      mig-enabled: true
      mig-devices: {"1g.5gb": 3, "3g.20gb": 1}
"""


@pytest.fixture(autouse=True)
def ledger(tmp_path: Path) -> None:
    """A ledger that is there: without Docker a lab does not begin one."""
    ledger = Ledger(tmp_path / "ledger.sqlite")
    assert ledger.containers() == []
    ledger.close()


async def follow(ask: Ask, operation: str) -> dict[str, Any]:
    for _ in range(200):
        document = (await ask("GET", f"operations/{operation}")).json
        if document["state"] in ("succeeded", "failed", "cancelled"):
            break
        await asyncio.sleep(0.05)
    return dict(document)


async def test_the_present_layout_is_a_file_that_the_plan_accepts(ask: Ask) -> None:
    answer = await ask("GET", "mig")
    assert answer.status == 200
    document = mig_documents.MigLayout.model_validate(answer.json)
    assert [gpu.mig for gpu in document.gpus] == [False, False, True, True]
    assert yaml.safe_load(document.layout)["mig-configs"]["current"][2] == {
        "devices": [3],
        "mig-enabled": True,
        "mig-devices": {"1g.5gb": 7},
    }
    plan = await ask("POST", "mig/plan", body={"layout": document.layout})
    assert plan.status == 200
    assert plan.json["matches"] is True
    assert len(plan.json["gpus"]) == 4


async def test_a_plan_says_what_changes_and_changes_nothing(ask: Ask, gpu_machine: Machine) -> None:
    before = gpu_machine.read()
    answer = await ask("POST", "mig/plan", body={"layout": GOAL, "label": "small"})
    assert answer.status == 200
    (gpu,) = answer.json["gpus"]
    assert gpu["differences"] == ["7 x 1g.5gb, should be 3", "0 x 3g.20gb, should be 1"]
    assert [item["text"] for item in gpu["create"]] == ["3g.20gb at 4"]
    assert len(gpu["keep"]) == 3
    assert len(gpu["destroy"]) == 4
    assert gpu_machine.read() == before
    assert any("Docker does not answer" in note for note in answer.json["notes"])


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        ({"layout": "version: v2"}, 400, "gpus.yaml:1: version: the version must be v1"),
        ({"layout": GOAL, "label": "big"}, 400, "no layout 'big'"),
        ({"layout": GOAL.replace("1g.5gb", "1g.6gb")}, 400, "gpus.yaml:6"),
        ({"layout": GOAL.replace("[3]", "[9]")}, 400, "no GPU 9"),
        ({"layout": GOAL, "file": "x"}, 400, "no field file"),
        ({"layout": ""}, 400, "layout"),
        ({}, 400, "layout is missing"),
        ({"layout": "x" * 200_001}, 400, "layout"),
    ],
)
async def test_mistakes_are_named(ask: Ask, body: dict[str, str], status: int, says: str) -> None:
    body.setdefault("source", "gpus.yaml")
    for route in ("mig/plan", "mig/apply"):
        answer = await ask("POST", route, body=body)
        assert answer.status == status
        assert says in answer.json["message"]


async def test_apply_waits_for_docker(ask: Ask, gpu_machine: Machine) -> None:
    """Without Docker nobody knows which containers use a slot without a lease."""
    before = gpu_machine.read()
    answer = await ask("POST", "mig/apply", body={"layout": GOAL})
    assert (answer.status, answer.json["code"]) == (503, "docker_unavailable")
    assert gpu_machine.read() == before


async def test_apply_is_an_operation(
    ask: Ask, lab: Lab, monkeypatch: pytest.MonkeyPatch, gpu_machine: Machine
) -> None:
    # This folder's servers have no engine: nothing runs here without a lease.
    monkeypatch.setattr(lab._mig, "_foreign", lambda slots: {})
    answer = await ask("POST", "mig/apply", body={"layout": GOAL})
    assert answer.status == 202
    assert answer.json["kind"] == "mig.apply"
    assert answer.json["title"] == "MIG layout small"
    ended = await follow(ask, answer.json["id"])
    assert ended["state"] == "succeeded", ended["error"]
    outcome = mig_documents.MigOutcome.model_validate(ended["result"])
    assert outcome.changed[0].after[-1] == "3g.20gb at 4"
    assert any("nvidia-ctk cdi generate" in note for note in outcome.notes)
    slots = [slot for gpu in (await ask("GET", "gpus")).json["gpus"] for slot in gpu["slots"]]
    assert [slot["profile"] for slot in slots if slot["slot"].startswith("3:")].count(
        "3g.20gb"
    ) == 1
    assert {slot["state"] for slot in slots} == {"free"}
    again = await ask("POST", "mig/apply", body={"layout": GOAL})
    assert (await follow(ask, again.json["id"]))["result"]["changed"] == []


async def test_without_root_the_driver_refuses_in_one_sentence(
    ask: Ask, lab: Lab, monkeypatch: pytest.MonkeyPatch, gpu_machine: Machine
) -> None:
    monkeypatch.setattr(lab._mig, "_foreign", lambda slots: {})
    gpu_machine.sys(privileged=0)
    answer = await ask("POST", "mig/apply", body={"layout": GOAL})
    assert (answer.status, answer.json["code"]) == (403, "forbidden")
    assert "needs root" in answer.json["message"]
    assert (await ask("GET", "mig")).status == 200
    plan = await ask("POST", "mig/plan", body={"layout": GOAL})
    assert plan.status == 200
    assert any("does not run as root" in note for note in plan.json["notes"])


async def test_only_admins_may_apply(
    ask: Ask, app: DS01App, lab: Lab, monkeypatch: pytest.MonkeyPatch, gpu_machine: Machine
) -> None:
    nobody = pwd.getpwnam("nobody")
    person = Person("nobody", nobody.pw_uid, nobody.pw_gid, Path("/"))
    monkeypatch.setattr(app, "_owner", person)
    monkeypatch.setattr(lab._mig, "_foreign", lambda slots: {})
    before = gpu_machine.read()
    answer = await ask("POST", "mig/apply", body={"layout": GOAL})
    assert (answer.status, answer.json["code"]) == (403, "forbidden")
    assert "Only an admin" in answer.json["message"]
    assert gpu_machine.read() == before
    assert (await ask("POST", "mig/plan", body={"layout": GOAL})).status == 200
    monkeypatch.setattr(lab._mig, "_admins", ("nobody",))
    assert (await ask("POST", "mig/apply", body={"layout": GOAL})).status == 202


def test_admins_come_from_the_configuration(app: DS01App) -> None:
    assert Settings().admins == ("root",)
    assert app.core_settings().admins == ("root",)
    app.admins = ["anna", "ben"]
    assert app.core_settings().admins == ("anna", "ben")
    app.admins = []
    assert app.core_settings().admins == ()
