"""Notices and keep-alive over HTTP, on a machine with neither Docker nor driver."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from ds01_jupyter.app import DS01App
from ds01_jupyter.core.lifecycle import tables
from tests.server.conftest import Ask


async def test_notices_are_ones_own_and_come_after_a_number(ask: Ask, app: DS01App) -> None:
    assert (await ask("GET", "notices")).json == []
    lab, person = app.lab_and_owner()
    at = datetime(2026, 3, 28, 12, 0, tzinfo=UTC)
    with lab._ledger.writing() as connection:
        for uid, text in ((person.uid, "one"), (person.uid + 1, "other"), (person.uid, "two")):
            tables.add_notice(
                connection, uid, "warning", "idle_stop", text, container="c", hint="h", at=at
            )
    found = (await ask("GET", "notices")).json
    assert [one["message"] for one in found] == ["one", "two"]
    first = found[0]
    assert (first["kind"], first["what"], first["container"]) == ("warning", "idle_stop", "c")
    assert datetime.fromisoformat(first["at"]) == at
    later = (await ask("GET", f"notices?after={first['id']}")).json
    assert [one["message"] for one in later] == ["two"]


@pytest.mark.parametrize("after", ["-1", "x", "1.5", "9" * 19, ""])
async def test_a_number_that_is_none_is_told(ask: Ask, after: str) -> None:
    answer = await ask("GET", f"notices?after={after}")
    assert (answer.status, answer.json["code"]) == (400, "invalid_input")


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"hours": 0}, 400),
        ({"hours": -1}, 400),
        ({"hours": "2"}, 400),
        ({"hours": True}, 400),
        ({"hours": 1e9}, 400),
        ({"minutes": 2}, 400),
        ({"hours": 2}, 503),
        ({"hours": 0.5}, 503),
        ({"hours": None}, 503),
        ({}, 503),
        (None, 503),
    ],
    ids=str,
)
async def test_keep_alive_takes_hours_or_nothing(
    ask: Ask, body: dict[str, Any] | None, status: int
) -> None:
    """What can be meant gets as far as Docker, which is not there."""
    answer = await ask("POST", "containers/c/keep-alive", body=body)
    assert answer.status == status, answer.json
    assert answer.json["code"] == {400: "invalid_input", 503: "docker_unavailable"}[status]


def test_thresholds_of_the_configuration_reach_the_core(app: DS01App) -> None:
    app.idle_gpu_percent, app.idle_cpu_percent, app.idle_network_rate = 1.0, 2.0, 3.0
    app.keep_alive_hours, app.stop_grace_seconds = 4.0, 5.0
    lab, _ = app.lab_and_owner()
    found = lab.keeper._looking._thresholds
    assert (found.gpu, found.cpu, found.network) == (0.01, 0.02, 3.0)
    assert lab._lives.longest_keep.total_seconds() == 4 * 3600
    assert lab.keeper._acting._grace == 5.0
