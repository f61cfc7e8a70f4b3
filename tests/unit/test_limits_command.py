"""`limits`, `limits show` and `limits check FILE` against a server's answers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ds01_jupyter import cli
from ds01_jupyter.client import Client, ClientError
from ds01_jupyter.commands import run
from ds01_jupyter.commands.context import Context
from ds01_jupyter.commands.notebook import NotebookContext
from ds01_jupyter.commands.terminal import TerminalContext
from ds01_jupyter.core import models
from ds01_jupyter.render import limits_views, machine_views
from tests.unit import lab_standin as lab
from tests.unit.lab_standin import Answer, Standin

FINDING = {
    "file": "resource-limits.yaml",
    "line": 7,
    "key": "groups.a-group-with-a-long-name.members[12]",
    "message": "kim is in groups.b too (groups.b.members[3], line 4); a person is in one group.",
    "hint": "",
}


def report(**more: Any) -> dict[str, Any]:
    empty = {"file": "resource-limits.yaml", "ok": True, "mistakes": [], "warnings": []}
    return {**empty, "not_checked": [], **more}


BAD = report(
    ok=False,
    mistakes=[FINDING, {**FINDING, "file": "crew", "line": 2, "key": ""}],
    warnings=[{**FINDING, "line": None, "message": "An odd thing.", "hint": "Look at it."}],
    not_checked=["this and that"],
)


@pytest.fixture
def standin() -> Iterator[Standin]:
    with lab.running(Standin()) as server:
        server.replies = {
            "GET limits": Answer(body=lab.limits()),
            "POST limits/check": Answer(body=BAD),
        }
        yield server


@pytest.fixture(params=[TerminalContext, NotebookContext])
def context(request: pytest.FixtureRequest, standin: Standin) -> Iterator[Context]:
    place: Context = request.param()
    with Client(standin.server(), timeout=5) as client:
        place._client = client
        yield place


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "my limits.yaml"
    path.write_bytes("defaults: {}  # ünë\r\n".encode())
    return path


@pytest.mark.parametrize("words", [["limits"], ["limits", "show"]])
def test_ones_own_limits(context: Context, standin: Standin, words: list[str]) -> None:
    assert "1 of 3" in run(context, words).text()
    assert standin.asked() == ["GET limits"]


def test_the_text_is_sent_and_never_the_path(
    context: Context, standin: Standin, file: Path
) -> None:
    view = run(context, ["limits", "check", str(file)])
    assert [request.body for request in standin.requests] == [{"text": "defaults: {}  # ünë\r\n"}]
    assert view.data == models.CheckReport.model_validate(BAD)
    assert context.failed is True
    standin.replies["POST limits/check"] = Answer(body=report())
    view = run(context, ["limits", "check", str(file)])
    assert view.text(200).strip() == f"{file}: no mistakes."
    assert context.failed is False


def test_a_file_that_cannot_be_sent(context: Context, standin: Standin, tmp_path: Path) -> None:
    (tmp_path / "latin").write_bytes(b"\xe4")
    (tmp_path / "long").write_text("#" * (models.MAX_LIMITS_TEXT + 1))
    for name, words in (
        ("none", "No such file"),
        (".", "Is a directory"),
        ("latin", "not text in UTF-8"),
        ("long", "more than 524288 characters"),
        ("nu\0l", "cannot be read"),
    ):
        with pytest.raises(ClientError, match=words):
            run(context, ["limits", "check", str(tmp_path / name)])
    assert standin.asked() == []


@pytest.mark.parametrize(("body", "status"), [(BAD, 1), (report(), 0)])
@pytest.mark.parametrize("words", [[], ["--json"]])
def test_the_exit_status(
    standin: Standin,
    file: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    body: dict[str, Any],
    status: int,
    words: list[str],
) -> None:
    standin.replies["POST limits/check"] = Answer(body=body)
    monkeypatch.setenv("DS01_SERVER_URL", f"{standin.url()}?token=abc")
    assert cli.main(["limits", "check", str(file), *words]) == status
    told = capsys.readouterr()
    assert told.err == ""
    if words:
        assert json.loads(told.out) == body


@pytest.mark.parametrize("width", [80, 140])
def test_it_fits_and_loses_nothing(width: int) -> None:
    view = limits_views.check(models.CheckReport.model_validate(BAD), "my.yaml")
    text = view.text(width)
    assert max(len(line) for line in text.splitlines()) <= width
    squeezed = "".join(text.split())
    for words in (FINDING["key"], "crew:2", "Anoddthing.Lookatit.", "Notchecked:thisandthat."):
        assert words in squeezed or width == 80
    assert "my.yaml:2mistakesand1warning.Thefilewouldberefusedasawhole." in squeezed
    assert "…" not in text


def test_compute_is_shown_where_it_is_limited() -> None:
    document = lab.limits()
    view = machine_views.limits(models.LimitsReport.model_validate(document))
    assert "GPU-equivalents" not in view.text()
    document["limits"] |= {"max_gpu_equivalents": 1.0, "allow_full_gpu": False}
    document["usage"]["gpu_equivalents"] = 0.4286
    text = machine_views.limits(models.LimitsReport.model_validate(document)).text()
    assert "0.43 of 1.00 (a whole GPU is 1)" in text
    assert "not for your group" in text
