"""`ds01 gpus` live, over the last hour and for admins: what it asks for, and what it shows."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ds01_jupyter import cli
from ds01_jupyter.client import Client, ClientError
from ds01_jupyter.commands import run
from ds01_jupyter.commands.notebook import NotebookContext
from ds01_jupyter.commands.parser import UsageProblem
from ds01_jupyter.commands.terminal import TerminalContext
from ds01_jupyter.core import models
from ds01_jupyter.render import Note, View, gpu_views, machine_views
from ds01_jupyter.render.gpu_views import GAP, WIDTH, sparkline
from tests.unit import lab_standin as lab
from tests.unit.lab_standin import Answer, Standin
from tests.unit.widgets_source import ScriptedSource

START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def past(**more: Any) -> dict[str, Any]:
    """Half an hour of a whole GPU and an instance."""
    times = [(START + timedelta(seconds=10 * number)).isoformat() for number in range(180)]
    empty = [None] * 180
    line = {"slot": "0", "uuid": "GPU-0", "kind": "gpu", "gpu": 0}
    return {
        "host": "gpu1",
        "step": 10.0,
        "times": times,
        "series": [
            {
                **line,
                "memory_used": [number * 2**28 for number in range(180)],
                "utilisation": [number / 180 for number in range(180)],
                "temperature": [35 + number // 10 for number in range(180)],
                "power": [60.0] * 180,
            },
            {
                **line,
                "slot": "2:0",
                "uuid": "MIG-1",
                "kind": "mig",
                "gpu": 2,
                "memory_used": [2**30] * 180,
                "utilisation": empty,
                "temperature": empty,
                "power": empty,
            },
        ],
        **more,
    }


def view(**more: Any) -> View:
    return gpu_views.history(models.GpuHistory.model_validate(past(**more)))


def snapshot(**gpu: Any) -> models.GpuSnapshot:
    document = lab.gpus(lab.slot("0:0"), lab.slot("0:1", state="cordoned"))
    document["gpus"][0].update(gpu)
    return models.GpuSnapshot.model_validate(document)


def cordon(**more: Any) -> dict[str, Any]:
    reason = "The driver reported XID 79 (it fell off the bus)."
    return {"cause": "xid", "reason": reason, "since": lab.NOW, "by": "health", **more}


@pytest.fixture
def standin() -> Iterator[Standin]:
    with lab.running(Standin()) as server:
        shown = lab.gpus(lab.slot("0:0"))
        server.replies = {
            "GET about": Answer(body=lab.about()),
            "GET gpus": Answer(body=shown),
            "GET gpus/history": Answer(body=past()),
            "POST gpus/0/cordon": Answer(body=shown),
            "POST gpus/0/uncordon": Answer(body=shown),
        }
        yield server


@pytest.fixture(params=[TerminalContext, NotebookContext])
def context(request: pytest.FixtureRequest, standin: Standin) -> Iterator[Any]:
    made = request.param()
    made._client = Client(standin.server())
    yield made
    made.forget_client()


# ---- the last hour ---------------------------------------------------------------------------


def test_sparklines() -> None:
    assert sparkline([0.0, 0.5, 1.0], 1.0) == "▁▅█"
    assert sparkline([0.0, 0.0]) == "▁▁"
    assert sparkline([None, 4, 8]) == f"{GAP}▅█"
    assert sparkline([]) == ""
    assert sparkline([2.0], 1.0) == "█"


def test_the_last_hour_is_drawn_with_its_gaps() -> None:
    text = view().text(80)
    first = next(line for line in text.splitlines() if "GPU 0 " in line)
    assert first.count(GAP) == 2 * (WIDTH // 2), "half an hour of which nobody knows anything"
    assert "44.8 GiB" in first
    assert "99 %" in first
    assert "GPU 0: 35 to 52 °C, 60 W." in text
    assert max(map(len, text.splitlines())) <= 80


def test_b16_mig_is_said_to_be_unknown_and_never_drawn_as_idle() -> None:
    line = next(line for line in view().text(80).splitlines() if "2:0" in line)
    assert "n/a" in line
    assert "▁" not in line.split("n/a")[1]


def test_nothing_was_seen_yet() -> None:
    assert "Nobody has looked" in view(times=[], series=[]).text()


def test_history_asks_for_the_history_only(context: Any, standin: Standin) -> None:
    answer = run(context, ["gpus", "--history"])
    assert "The last hour on gpu1" in answer.text(100)
    assert run(context, ["gpus", "--history", "--json"])["series"][1]["utilisation"][0] is None
    assert standin.asked() == ["GET gpus/history"] * 2


# ---- health ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({}, "It ends when the GPU has answered well for a minute."),
        ({"needs_reset": True}, "It ends after a reboot, or when an admin says so."),
        ({"cause": "admin", "by": "root", "reason": "fan"}, "fan. root said so; an admin can"),
    ],
)
def test_a_cordon_says_why_and_what_ends_it(change: dict[str, Any], said: str) -> None:
    health = {"state": "cordoned", "cordons": [cordon(**change)]}
    text = machine_views.gpus(snapshot(health=health)).text(200)
    assert "GPU 0 is cordoned since" in text
    assert said in text
    assert "Free now: 1 x 1g.5gb." in text, "what is cordoned is not free"


def test_a_silent_gpu_is_not_said_twice() -> None:
    lost = "This GPU does not answer (it fell off the bus); an admin has to look at it."
    health = {"state": "silent", "cordons": [cordon(cause="silent", reason=lost)]}
    text = machine_views.gpus(snapshot(health=health, problem=lost)).text(200)
    assert text.count("fell off the bus") == 1


def test_a_lease_without_its_slot_is_explained() -> None:
    lease = {"owner": "ada", "container": "demo", "state": "held", "since": lab.NOW}
    why = "The slot 0:0 (1g.5gb) of demo is gone: its MIG instance was destroyed."
    slots = [lab.slot("0:0", state="unusable", lease=lease, problem=why)]
    text = machine_views.gpus(snapshot(slots=slots), "ada").text(200)
    assert why in text
    assert "you (held)" in text


# ---- admins ----------------------------------------------------------------------------------


def test_cordon_and_uncordon(context: Any, standin: Standin) -> None:
    run(context, ["gpus", "cordon", "0", "--reason", "new fan"])
    run(context, ["gpus", "uncordon", "0"])
    assert [one for one in standin.asked() if one.startswith("POST")] == [
        "POST gpus/0/cordon",
        "POST gpus/0/uncordon",
    ]
    assert standin.requests[0].body == {"reason": "new fan"}


def test_a_cordon_needs_a_reason(context: Any, standin: Standin) -> None:
    with pytest.raises(UsageProblem, match="--reason"):
        run(context, ["gpus", "cordon", "0"])
    assert standin.asked() == []


@pytest.mark.parametrize("name", ["", "..", "."])
def test_a_gpu_that_is_no_name_is_refused_here(context: Any, standin: Standin, name: str) -> None:
    with pytest.raises(ClientError):
        run(context, ["gpus", "uncordon", name])
    assert standin.asked() == []


# ---- live ------------------------------------------------------------------------------------


def events(*temperatures: int) -> Iterator[bytes]:
    for number, temperature in enumerate(temperatures):
        data = snapshot(temperature=temperature).model_dump_json()
        yield f"id: {number}\nevent: gpus\ndata: {data}\n\n: alive\n\n".encode()


def test_the_client_follows_through_a_broken_connection(standin: Standin) -> None:
    standin.replies["GET gpus/stream"] = [
        Answer(chunks=events(40, 41)),
        Answer(503, {"code": "shutting_down", "message": "The server is stopping."}),
        Answer(chunks=events(42)),
        Answer(403, {"code": "forbidden", "message": "No."}),
    ]
    seen: list[int | None] = []
    with Client(standin.server()) as client, pytest.raises(ClientError, match="No") as error:
        seen.extend(one.gpus[0].temperature for one in client.gpu_events())
    assert seen == [40, 41, 42]
    assert error.value.code == "forbidden"


def test_the_client_gives_up_in_the_end(standin: Standin) -> None:
    standin.replies["GET gpus/stream"] = Answer(chunks=iter(()))
    with Client(standin.server()) as client, pytest.raises(ClientError) as error:
        list(client.gpu_events(patience=0.0))
    assert error.value.code == "server_unreachable"


def test_an_event_that_is_no_snapshot(standin: Standin) -> None:
    standin.replies["GET gpus/stream"] = Answer(chunks=iter([b"data: {}\n\n"]))
    with Client(standin.server()) as client, pytest.raises(ClientError) as error:
        next(client.gpu_events())
    assert error.value.code == "bad_answer"


def test_watch_in_a_pipe_prints_one_picture_below_the_other(
    standin: Standin, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    standin.replies["GET gpus/stream"] = [
        Answer(chunks=events(40, 41)),
        Answer(403, {"code": "forbidden", "message": "No."}),
    ]
    monkeypatch.setattr(Client, "discover", lambda _: Client(standin.server()))
    assert cli.main(["gpus", "--watch"]) == cli.REFUSED
    told = capsys.readouterr()
    assert ("40 °C" in told.out, "41 °C" in told.out) == (True, True)
    assert "No." in told.err


def pictures(*texts: str) -> Iterator[View]:
    """Views, and then Ctrl-C."""
    for text in texts:
        yield View(Note(text))
    raise KeyboardInterrupt


def test_watching_ends_with_an_interrupt(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert TerminalContext().watch(pictures("one", "two")).blocks == ()
    assert capsys.readouterr().out.split() == ["one", "two"]
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    left = TerminalContext().watch(pictures("one", "two"))
    assert left.blocks == (Note("two"),), "the last picture stays"


def test_watching_in_a_notebook_is_a_widget_that_follows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from ds01_jupyter import widgets

    source = ScriptedSource()
    monkeypatch.setattr(NotebookContext, "client", lambda _: source)
    shown = NotebookContext().watch(pictures())
    try:
        assert isinstance(shown, type(widgets.gpu_map(source)))
        assert shown.auto.value is True
    finally:
        shown.close()


@pytest.mark.parametrize("words", ["gpus --watch --history", "gpus --watch --json"])
def test_what_does_not_go_together(context: Any, words: str) -> None:
    with pytest.raises(UsageProblem) as error:
        run(context, words.split())
    assert error.value.hint
