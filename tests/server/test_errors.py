"""Whatever goes wrong is one JSON document: code, message, hint, details."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tornado.web import HTTPError

from ds01_jupyter.app import DS01App
from ds01_jupyter.core import errors
from ds01_jupyter.handlers.bodies import MAX_BODY
from tests.server.conftest import Answer, Ask

KEYS = {"code", "message", "hint", "details"}
IMAGE = {"name": "x", "framework": "Pytorch"}


def all_errors() -> list[type[errors.CoreError]]:
    def below(kind: type[errors.CoreError]) -> list[type[errors.CoreError]]:
        return [kind, *(each for child in kind.__subclasses__() for each in below(child))]

    return [kind for kind in below(errors.CoreError) if kind.__module__ == errors.__name__]


def refused(answer: Answer, status: int, code: str) -> Any:
    assert answer.status == status, answer.body
    document = answer.json
    assert set(document) == KEYS
    assert document["code"] == code
    assert answer.headers["Content-Type"] == "application/json"
    return document


async def test_f27_every_core_error_has_its_status_and_words(
    ask: Ask, app: DS01App, monkeypatch: pytest.MonkeyPatch
) -> None:
    kinds = all_errors()
    assert len(kinds) >= 16
    for kind in kinds:

        def refuse(kind: type[errors.CoreError] = kind) -> Any:
            raise kind("One sentence.", hint="Do this.", limit=3, path=app)

        monkeypatch.setattr(app, "lab_and_owner", refuse)
        document = refused(await ask("GET", "gpus"), kind.status, kind.code)
        assert (document["message"], document["hint"]) == ("One sentence.", "Do this.")
        assert document["details"]["limit"] == 3


async def test_a_defect_shows_no_traceback(
    ask: Ask, app: DS01App, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken() -> Any:
        raise KeyError("private thing")

    monkeypatch.setattr(app, "lab_and_owner", broken)
    answer = await ask("GET", "gpus")
    refused(answer, 500, "internal_error")
    assert b"private" not in answer.body
    assert b"Traceback" not in answer.body
    assert "private thing" in caplog.text


async def test_what_jupyter_says_about_its_own_trouble_stays_in_the_log(
    ask: Ask, app: DS01App, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> Any:
        raise HTTPError(502, "private thing")

    monkeypatch.setattr(app, "lab_and_owner", broken)
    answer = await ask("GET", "gpus")
    refused(answer, 502, "internal_error")
    assert b"private" not in answer.body


async def test_no_engine_is_said_and_is_no_error_of_about(ask: Ask) -> None:
    about = (await ask("GET", "about")).json
    assert about["docker"]["available"] is False
    assert about["gpu"]["available"] is True
    document = refused(await ask("GET", "containers"), 503, "docker_unavailable")
    assert document["hint"]


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"", "not valid JSON"),
        (b"{", "not valid JSON"),
        (b"\xff\xfe", "not valid JSON"),
        (b"[" * 100_000, "not valid JSON"),
        (b'{"pip":' * 5_000 + b"1" + b"}" * 5_000, "not valid JSON"),
        (b"[]", "must be a JSON object"),
        (b"[1, 2]", "must be a JSON object"),
        (b'"name"', "must be a JSON object"),
        (b"null", "must be a JSON object"),
        (b"12", "must be a JSON object"),
        (b"{}", "field framework is missing"),
        (b'{"name": 5, "framework": "x"}', "field name is wrong"),
        (b'{"name": null, "framework": "x"}', "field name is wrong"),
        (b'{"name": "x", "framework": "x", "pip": "six"}', "field pip is wrong"),
        (b'{"name": "x", "framework": "x", "pip": ["six", 3]}', "field pip[1] is wrong"),
        (b'{"name": "x", "framework": "x", "base": "all"}', "field base is wrong"),
        (b'{"name": "x", "framework": "x", "base": [1]}', "field base"),
        (b'{"name": "x", "framework": "x", "dockerfile": "rm"}', "field dockerfile is wrong"),
        (b'{"name": "x", "framework": "x", "piip": []}', "no field piip"),
        (json.dumps({**IMAGE, "pip": ["x"] * 201}).encode(), "field pip is wrong"),
        (json.dumps({**IMAGE, "name": "x" * 401}).encode(), "field name is wrong"),
    ],
)
async def test_a_wrong_image_request_names_the_field(ask: Ask, body: bytes, told: str) -> None:
    for path in ("images", "dockerfile"):
        document = refused(await ask("POST", path, body=body), 400, "invalid_input")
        assert told in document["message"]
        assert len(document["message"]) < 300


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"gpus": "2"}, "field gpus is wrong"),
        ({"gpus": 0}, "field gpus is wrong"),
        ({"gpus": 17}, "field gpus is wrong"),
        ({"gpus": True}, "field gpus is wrong"),
        ({"start": "yes"}, "field start is wrong"),
        ({"framework": "Pytorch"}, "field framework is wrong"),
        ({"framework": {"framework": ""}}, "field framework.framework is wrong"),
        ({"framework": {"framework": "x", "cuda": "12"}}, "no field framework.cuda"),
        ({"privileged": True}, "no field privileged"),
        ({"workspace": ["/"]}, "field workspace is wrong"),
    ],
)
async def test_a_wrong_container_request_names_the_field(
    ask: Ask, more: dict[str, Any], told: str
) -> None:
    answer = await ask("POST", "containers", body={"name": "x", **more})
    assert told in refused(answer, 400, "invalid_input")["message"]


async def test_all_wrong_fields_are_listed(ask: Ask) -> None:
    answer = await ask("POST", "containers", body={"name": 1, "gpus": "x", "start": 3})
    listed = refused(answer, 400, "invalid_input")["details"]["fields"]
    assert {each["field"] for each in listed} == {"name", "gpus", "start"}


async def test_a_huge_body_is_413(ask: Ask) -> None:
    body = json.dumps({**IMAGE, "project": "x" * MAX_BODY}).encode()
    document = refused(await ask("POST", "images", body=body), 413, "too_large")
    assert document["details"]["limit"] == MAX_BODY
    at_limit = b" " * (MAX_BODY - 2) + b"{}"
    refused(await ask("POST", "images", body=at_limit), 400, "invalid_input")


@pytest.mark.parametrize(
    "path",
    [
        "containers?all=yes",
        "containers?all=",
        "containers?all=True",
        "containers/x/logs?tail=0",
        "containers/x/logs?tail=10001",
        "containers/x/logs?tail=-1",
        "containers/x/logs?tail=1.5",
        "containers/x/logs?tail=" + "9" * 5000,
        "containers/x/logs?tail=%D9%A3",
        "operations/0123456789abcdef/events?after=-1",
        "operations/0123456789abcdef/events?after=x",
    ],
)
async def test_a_wrong_parameter_is_named(ask: Ask, path: str) -> None:
    document = refused(await ask("GET", path), 400, "invalid_input")
    assert document["details"]["parameter"] in path


@pytest.mark.parametrize("given", ["x", "-1", "1.0", "9" * 19, "٣", ""])
async def test_a_wrong_last_event_id_is_refused(
    ask: Ask, jp_auth_header: dict[str, str], given: str
) -> None:
    headers = {**jp_auth_header, "Last-Event-ID": given.encode().decode("latin-1")}
    answer = await ask("GET", "operations/0123456789abcdef/events", headers=headers)
    refused(answer, 400, "invalid_input")


async def test_limits_of_a_file_with_a_mistake_are_refused(
    ask: Ask, app: DS01App, tmp_path: Any
) -> None:
    file = tmp_path / "limits.yaml"
    file.write_text("defaults:\n  max_cpuss: 3\n")
    app.limits = str(file)
    document = refused(await ask("GET", "limits"), 500, "configuration_error")
    assert "limits.yaml" in json.dumps(document)
