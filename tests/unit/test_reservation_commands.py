"""`reserve` and `reservations` against a server's answers, in a terminal and in a notebook."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ds01_jupyter import cli, completion
from ds01_jupyter.client import Client
from ds01_jupyter.commands import run
from ds01_jupyter.commands.notebook import NotebookContext
from ds01_jupyter.core.models import GpuSnapshot, Reservation
from ds01_jupyter.render import machine_views, reservation_views
from ds01_jupyter.widgets.gpu_drawing import snapshot_html
from tests.unit import lab_standin as lab
from tests.unit.lab_standin import Answer, Standin

NOON = datetime(2026, 12, 1, 12, tzinfo=UTC)


def booked(number: int = 3, start: float = 24, end: float = 48, **more: Any) -> dict[str, Any]:
    """Hours from noon on."""
    return {
        "id": number,
        "gpu": "1g.5gb",
        "gpus": 2,
        "user": "anna",
        "group": None,
        "start": (NOON + timedelta(hours=start)).isoformat(),
        "end": (NOON + timedelta(hours=end)).isoformat(),
        "reason": "exam week",
        "by": "root",
        "created": NOON.isoformat(),
        "notice_hours": 24.0,
        "state": "upcoming",
        "slots": ["0:0", "0:1"],
        "in_the_way": [],
        "problem": None,
        **more,
    }


WAY = {
    "slot": "0:1",
    "kind": "lease",
    "who": "ben",
    "container": "train",
    "reservation": None,
    "until": None,
}


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def standin() -> Iterator[Standin]:
    with lab.running(Standin()) as server:
        server.replies = {
            "GET reservations": Answer(body=[booked()]),
            "GET reservations?all=true": Answer(body=[booked(), booked(1, state="over")]),
            "GET reservations/3": Answer(body=booked()),
            "POST reservations": Answer(201, booked(in_the_way=[WAY])),
            "DELETE reservations/3": Answer(204),
        }
        yield server


def terminal(
    standin: Standin, *words: str, capsys: pytest.CaptureFixture[str]
) -> tuple[int, str, str]:
    status = cli.main(["--server", f"{standin.url()}?token=secret", *words])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def sent(standin: Standin) -> dict[str, Any]:
    [body] = [each.body for each in standin.requests if each.method == "POST"]
    assert isinstance(body, dict)
    return body


def test_reserve_sends_what_was_said(standin: Standin, capsys: pytest.CaptureFixture[str]) -> None:
    words = [
        "reserve",
        "1g.5gb",
        "--for",
        "anna",
        "--from",
        "2026-12-02",
        "12:00",
        "--to",
        "2026-12-03",
        "--count",
        "2",
    ]
    status, out, _ = terminal(
        standin, *words, "--reason", "exam week", "--notice", "2h", capsys=capsys
    )
    assert status == 0
    assert sent(standin) == {
        "gpu": "1g.5gb",
        "gpus": 2,
        "user": "anna",
        "group": None,
        "start": "2026-12-02T12:00:00Z",
        "end": "2026-12-04T00:00:00Z",
        "reason": "exam week",
        "notice_hours": 2.0,
    }
    assert "Reserved. `ds01 reservations cancel 3` takes it back." in out
    assert "train of ben on 0:1 is to stop" in " ".join(out.split())


def test_a_length_instead_of_an_end_and_from_now_on(
    standin: Standin, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["reserve", "0:1", "--group", "students", "--for-time", "90m"]
    before = datetime.now(UTC)
    assert terminal(standin, *words, capsys=capsys)[0] == 0
    body = sent(standin)
    assert (body["start"], body["group"], body["user"]) == (None, "students", None)
    length = datetime.fromisoformat(body["end"]) - before
    assert timedelta(minutes=90) <= length < timedelta(minutes=91)
    assert body["notice_hours"] == 24.0


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("reserve 0:1 --for-time 8h", "--for) or a group (--group)"),
        ("reserve 0:1 --for anna --group g --for-time 8h", "one of them only"),
        ("reserve 0:1 --for anna", "The end is missing"),
        ("reserve 0:1 --for anna --to 18:00 --for-time 8h", "do not go together"),
        ("reserve 0:1 --for anna --for-time 8", "--for-time cannot be '8'"),
        ("reserve 0:1 --for anna --for-time 8h --notice day", "--notice cannot be 'day'"),
        ("reserve 0:1 --for anna --from soon --for-time 8h", "--from cannot be 'soon'"),
        ("reserve 0:1 --for anna --to 2026-02-30", "--to cannot be '2026-02-30'"),
        ("reserve 1g.5gb --for anna --for-time 8h --count 17", "--count cannot be 17"),
        ("reserve --for anna --for-time 8h", "Something is missing: GPU."),
        ("reservations cancel", "Something is missing: ID."),
        ("reservations cancel three", "ID cannot be 'three': give a number."),
    ],
)
def test_mistakes_are_named_before_anything_is_sent(
    standin: Standin, capsys: pytest.CaptureFixture[str], words: str, says: str
) -> None:
    status, _, err = terminal(standin, *words.split(), capsys=capsys)
    assert status == 2
    assert says in " ".join(err.split())
    assert standin.requests == []


def test_the_list_and_all(standin: Standin, capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = terminal(standin, "reservations", capsys=capsys)
    assert "2 x 1g.5gb" in out
    assert "anna" in out
    assert "over" not in out.replace("is over, too", "")
    _, out, _ = terminal(standin, "reservations", "--all", capsys=capsys)
    assert "GET reservations?all=true" in standin.asked()
    assert "over" in out


def test_json_is_the_document(standin: Standin, capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = terminal(standin, "reservations", "--json", capsys=capsys)
    assert [Reservation.model_validate(each) for each in json.loads(out)] == [
        Reservation.model_validate(booked())
    ]
    _, out, _ = terminal(standin, "reservations", "show", "3", "--json", capsys=capsys)
    assert json.loads(out)["id"] == 3


def test_cancel(standin: Standin, capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = terminal(standin, "reservations", "cancel", "3", capsys=capsys)
    assert standin.asked()[0] == "DELETE reservations/3"
    assert "Reservation 3 is cancelled" in out


def test_in_a_notebook(standin: Standin) -> None:
    context = NotebookContext()
    context._client = Client(standin.server())
    line = "reserve 1g.5gb --for anna --from 2026-12-02 --to 2026-12-03"
    view = run(context, line.split())
    assert view.data.id == 3
    html = run(context, ["reservations"]).html()
    assert "<table" in html
    assert "exam week" in html
    context.forget_client()


def test_ids_people_groups_and_what_can_be_reserved_complete(
    standin: Standin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ds01_jupyter.client.discover", lambda _: standin.server())
    standin.replies["GET gpus"] = Answer(
        body=lab.gpus(lab.slot("0:0"), lab.slot("0:1", state="leased"))
    )
    standin.replies["GET about"] = Answer(body=lab.about())
    standin.replies["GET limits"] = Answer(body={**lab.limits(), "groups": ["staff", "students"]})
    names = completion.Names()

    def found(line: str) -> list[str]:
        return completion.for_ipython("%ds01", line, names)[0]

    assert found("reservations cancel ") == ["3"]
    assert found("reserve 0:1 --group st") == ["staff", "students"]
    assert "anna" in found("reserve 0:1 --for a")
    assert found("reserve ")[:3] == ["1g.5gb", "0:0", "0:1"]
    names.close()


# ---- how it looks ------------------------------------------------------------------------------


def documents() -> list[Reservation]:
    return [
        Reservation.model_validate(each)
        for each in (
            booked(3, -2, 6, state="active", slots=["0:0"], gpus=1),
            booked(4, 6, 30, gpu="0:0", gpus=1, slots=["0:0"], user=None, group="students"),
            booked(12, 48, 72, in_the_way=[WAY]),
            booked(13, 96, 97, slots=[], problem="GPU 2 is cordoned (a new fan)."),
        )
    ]


@pytest.mark.parametrize("width", [60, 80, 120])
def test_nothing_is_cut_off_at_any_width(width: int) -> None:
    text = reservation_views.reservations(documents(), now=NOON).text(width)
    assert max(map(len, text.splitlines())) <= width
    flat = " ".join(text.split())
    for words in ("students", "cordoned (a new fan)", "train of ben"):
        assert words in flat, words


def test_the_line_of_time() -> None:
    """Four days in 48 characters: two hours each."""
    text = reservation_views.reservations(documents()[:3], now=NOON).text(60)
    first, second = (line for line in text.splitlines() if "█" in line)
    # 72 hours: 1.5 hours a character; 3 until 18:00, then 4 for a day, then a day free.
    assert first.split() == ["0:0", "3███4███████████████" + "·" * 12 + "12" + "█" * 14]
    assert second.split() == ["0:1", "·" * 32 + "12" + "█" * 14]
    assert "now ─" in text


def test_what_is_far_away_is_not_drawn_but_said() -> None:
    far = Reservation.model_validate(booked(5, 24 * 30, 24 * 31))
    text = reservation_views.reservations([*documents()[:1], far], now=NOON).text(80)
    assert "One begins later than that." in text


def test_nothing_reserved() -> None:
    assert "Nothing is reserved." in reservation_views.reservations([]).text(60)


def test_no_markup_of_a_reason_reaches_the_page() -> None:
    bad = Reservation.model_validate(booked(reason="<script>x</script> [red]"))
    assert "<script>" not in reservation_views.reservation(bad).html()
    stream = io.StringIO()
    stream.write(reservation_views.reservation(bad).text(80))
    assert "[red]" in stream.getvalue()


def test_the_gpus_say_who_comes_next() -> None:
    next_one = {
        "id": 3,
        "who": "anna",
        "start": (NOON + timedelta(hours=24)).isoformat(),
        "end": (NOON + timedelta(hours=30)).isoformat(),
        "active": False,
    }
    slots = [lab.slot(name, reservation=next_one) for name in ("0:0", "0:1")]
    snapshot = GpuSnapshot.model_validate(lab.gpus(*slots, lab.slot("0:2")))
    [note] = reservation_views.of_gpus(snapshot.gpus, NOON)
    assert note.text == (
        "0:0, 0:1 are reserved for anna from tomorrow 12:00 to 18:00 (reservation 3)."
    )
    assert "reserved for anna" in " ".join(machine_views.gpus(snapshot).text(60).split())
    assert snapshot_html(snapshot, "ben").count("reserved for anna") == 2
