"""Reservations over HTTP: admins book and cancel, everybody may look."""

from __future__ import annotations

import pwd
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ds01_jupyter.app import DS01App
from ds01_jupyter.core.identity import Person
from ds01_jupyter.core.ledger import Ledger
from ds01_jupyter.core.models import GpuSnapshot, Notice, Reservation
from tests.server.conftest import Ask

NOW = datetime.now(UTC)


@pytest.fixture(autouse=True)
def ledger(tmp_path: Path) -> None:
    """A ledger that is there: without Docker a lab does not begin one."""
    ledger = Ledger(tmp_path / "ledger.sqlite")
    assert ledger.containers() == []
    ledger.close()


def body(start: float = 48, end: float = 50, **more: Any) -> dict[str, Any]:
    """Hours from now on."""
    return {
        "gpu": "1g.5gb",
        "user": "games",
        "start": (NOW + timedelta(hours=start)).isoformat(),
        "end": (NOW + timedelta(hours=end)).isoformat(),
        **more,
    }


def become(app: DS01App, monkeypatch: pytest.MonkeyPatch, name: str) -> Person:
    """The server acts for another account."""
    account = pwd.getpwnam(name)
    person = Person(name, account.pw_uid, account.pw_gid, Path("/"))
    monkeypatch.setattr(app, "_owner", person)
    return person


async def test_an_admin_books_and_cancels(ask: Ask) -> None:
    answer = await ask("POST", "reservations", body=body(reason="exam", notice_hours=12))
    assert answer.status == 201
    made = Reservation.model_validate(answer.json)
    assert (made.user, made.by, made.state, made.reason) == ("games", "root", "upcoming", "exam")
    assert len(made.slots) == 1
    listed = await ask("GET", "reservations")
    assert [Reservation.model_validate(each) for each in listed.json] == [made]
    assert (await ask("GET", f"reservations/{made.id}")).json == answer.json
    gone = await ask("DELETE", f"reservations/{made.id}")
    assert (gone.status, gone.body) == (204, b"")
    assert (await ask("GET", "reservations")).json == []
    [past] = (await ask("GET", "reservations?all=true")).json
    assert (past["id"], past["state"], past["slots"]) == (made.id, "cancelled", [])
    again = await ask("DELETE", f"reservations/{made.id}")
    assert (again.status, again.json["code"]) == (409, "conflict")


async def test_others_look_and_do_not_touch(
    ask: Ask, app: DS01App, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = (await ask("POST", "reservations", body=body())).json
    become(app, monkeypatch, "games")
    for method, path, sent in (
        ("POST", "reservations", body(72, 73)),
        ("DELETE", f"reservations/{made['id']}", None),
    ):
        answer = await ask(method, path, body=sent)
        assert (answer.status, answer.json["code"]) == (403, "forbidden")
        assert answer.json["hint"] == "Ask one of: root."
    assert [each["id"] for each in (await ask("GET", "reservations")).json] == [made["id"]]
    assert (await ask("GET", f"reservations/{made['id']}")).status == 200


async def test_who_is_an_admin_stands_in_the_configuration(
    ask: Ask, app: DS01App, monkeypatch: pytest.MonkeyPatch
) -> None:
    app.admins = ["games"]
    become(app, monkeypatch, "games")
    assert (await ask("POST", "reservations", body=body())).json["by"] == "games"


async def test_nobody_is_an_admin_by_a_word_in_the_body(
    ask: Ask, app: DS01App, monkeypatch: pytest.MonkeyPatch
) -> None:
    become(app, monkeypatch, "games")
    answer = await ask("POST", "reservations", body=body(by="root"))
    assert (answer.status, answer.json["message"]) == (400, "There is no field by.")


async def test_a_conflict_comes_with_its_entries(ask: Ask) -> None:
    first = (await ask("POST", "reservations", body=body(gpu="3:0"))).json
    answer = await ask("POST", "reservations", body=body(49, 60, gpu="3:0", user="daemon"))
    assert (answer.status, answer.json["code"]) == (409, "conflict")
    [conflict] = answer.json["details"]["conflicts"]
    assert conflict == {
        "slot": "3:0",
        "kind": "reservation",
        "who": "games",
        "container": None,
        "reservation": first["id"],
        "until": conflict["until"],
    }
    assert datetime.fromisoformat(conflict["until"]) == NOW + timedelta(hours=50)


@pytest.mark.parametrize(
    ("change", "status", "says"),
    [
        ({"user": None}, 400, "for a user or for a group"),
        ({"end": "2030-01-01T00:00:00"}, 400, "no offset"),
        ({"end": "soon"}, 400, "end is wrong"),
        ({"gpus": 0}, 400, "gpus is wrong"),
        ({"gpus": 17}, 400, "gpus is wrong"),
        ({"gpus": 16}, 400, "only"),
        ({"notice_hours": -1}, 400, "notice_hours is wrong"),
        ({"notice_hours": "24"}, 400, "notice_hours is wrong"),
        ({"gpu": "any"}, 400, "cannot be reserved"),
        ({"gpu": "9:9"}, 404, "no slot 9:9"),
        ({"user": "nobody-here"}, 404, "nobody-here"),
        ({"user": None, "group": "nobody-here"}, 404, "no group"),
        ({"user": "a\u0000b"}, 404, "No account"),
        ({"name": "x"}, 400, "no field name"),
    ],
)
async def test_mistakes_are_named(ask: Ask, change: dict[str, Any], status: int, says: str) -> None:
    answer = await ask("POST", "reservations", body={**body(), **change})
    assert (answer.status, says in answer.json["message"]) == (status, True), answer.json
    assert (await ask("GET", "reservations")).json == []


@pytest.mark.parametrize("path", ["reservations/99", "reservations/x", "reservations/-1"])
async def test_there_is_no_such_reservation(ask: Ask, path: str) -> None:
    assert (await ask("GET", path)).status == 404
    assert (await ask("DELETE", path)).status in (404, 405)
    assert (await ask("GET", "reservations?all=yes")).status == 400


async def test_gpus_show_who_comes_next_and_the_holder_is_told(
    ask: Ask, app: DS01App, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = (await ask("POST", "reservations", body=body(gpu="3:0"))).json
    snapshot = GpuSnapshot.model_validate((await ask("GET", "gpus")).json)
    found = {
        slot.slot: slot.reservation
        for gpu in snapshot.gpus
        for slot in gpu.slots
        if slot.reservation
    }
    assert set(found) == {"3:0"}
    assert (found["3:0"].id, found["3:0"].who, found["3:0"].active) == (made["id"], "games", False)
    become(app, monkeypatch, "games")
    [notice] = [Notice.model_validate(each) for each in (await ask("GET", "notices")).json]
    assert notice.kind == "reservation"
    assert "root reserved slot 3:0 for you" in notice.message


async def test_a_layout_without_what_is_promised_is_refused(
    ask: Ask, lab: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """GPU 3 has seven instances 1g.5gb; three of them are to go."""
    monkeypatch.setattr(lab._mig, "_foreign", lambda slots: {})
    layout = (
        "version: v1\nmig-configs:\n  small:\n    - devices: [3]\n      mig-enabled: true\n"
        '      mig-devices: {"1g.5gb": 3, "3g.20gb": 1}\n'
    )
    there = [
        slot["slot"]
        for gpu in (await ask("GET", "gpus")).json["gpus"]
        for slot in gpu["slots"]
        if slot["profile"] == "1g.5gb"
    ]
    made = await ask("POST", "reservations", body=body(gpus=len(there) - 4))
    assert (await ask("POST", "mig/plan", body={"layout": layout})).json["possible"] is True
    assert (await ask("DELETE", f"reservations/{made.json['id']}")).status == 204
    made = await ask("POST", "reservations", body=body(gpus=len(there) - 3, user="daemon"))
    plan = (await ask("POST", "mig/plan", body={"layout": layout})).json
    assert plan["possible"] is False
    [gpu] = plan["gpus"]
    assert {item["kind"] for item in gpu["in_the_way"]} == {"reservation"}
    assert {item["owner"] for item in gpu["in_the_way"]} == {"daemon"}
    refused = await ask("POST", "mig/apply", body={"layout": layout})
    assert refused.status == 409
    assert "are reserved" in refused.json["message"]
    assert f"reservation {made.json['id']}" in refused.json["message"]


async def test_a_layout_that_makes_what_is_promised_anew_is_not_in_the_way(
    ask: Ask, lab: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """GPU 2 has a 2g.10gb at 0, where a 4g.20gb has to be; there is another place for it."""
    monkeypatch.setattr(lab._mig, "_foreign", lambda slots: {})
    layout = (
        "version: v1\nmig-configs:\n  big:\n    - devices: [2]\n      mig-enabled: true\n"
        '      mig-devices: {"4g.20gb": 1, "2g.10gb": 1, "1g.5gb": 1}\n'
    )
    made = await ask("POST", "reservations", body=body(gpu="2g.10gb"))
    assert made.status == 201
    plan = (await ask("POST", "mig/plan", body={"layout": layout})).json
    assert [item["profile"] for item in plan["gpus"][0]["destroy"]].count("2g.10gb") == 1
    assert plan["possible"] is True
    named = await ask("POST", "reservations", body=body(gpu="3g.20gb", user="daemon"))
    assert named.status == 201
    plan = (await ask("POST", "mig/plan", body={"layout": layout})).json
    assert [item["owner"] for item in plan["gpus"][0]["in_the_way"]] == ["daemon"]
