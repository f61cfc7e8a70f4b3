"""What people read about the time of their containers."""

from __future__ import annotations

from typing import Any

import pytest

from ds01_jupyter.core import models
from ds01_jupyter.render import life_views, machine_views, notice_views, views
from ds01_jupyter.widgets.limits_view import limits_html
from tests.unit import lab_standin as lab
from tests.unit.lives import HOUR, NOW, at, container, deadline, idling, life, notice


def time_of(document: dict[str, Any]) -> models.ContainerLife:
    return models.ContainerLife.model_validate(document)


def notices(*documents: dict[str, Any]) -> list[models.Notice]:
    return [models.Notice.model_validate(document) for document in documents]


@pytest.mark.parametrize(
    ("document", "said", "tone"),
    [
        (idling(), "stops in 40 min (idle 47 h of 48 h)", "warn"),
        (idling(2 * 1440 - 30, near=False), "stops in 1 d 23 h (idle 30 min of 48 h)", "dim"),
        (life(deadline("idle_stop", None, 48)), "stops after 48 h without work", "dim"),
        (
            life(deadline("runtime_stop", at(hours=1.5), 24, True), running=22.5 * HOUR),
            "stops in 1 h 30 min (ran 22 h of 24 h)",
            "warn",
        ),
        (
            life(deadline("reservation_stop", at(minutes=50), None, True)),
            "stops in 50 min (reserved for others)",
            "warn",
        ),
        (life(deadline("gpu_release", at(minutes=9), 0.25)), "gives its GPU back in 9 min", "dim"),
        (
            life(deadline("gpu_release", at(minutes=9), None)),
            "gives its GPU back in 9 min (reserved for others)",
            "dim",
        ),
        (life(deadline("removal", at(days=3), 168)), "is removed in 3 d", "dim"),
        (life(deadline("removal", at(seconds=-5), 168, True)), "is removed any moment now", "warn"),
        (life(deadline("removal", None, 168)), "is removed, nobody can say when", "dim"),
        (life(keep_alive_until=at(hours=2)), "kept alive until ", "dim"),
        (life(), "no time limit", "dim"),
    ],
)
def test_what_happens_next(document: dict[str, Any], said: str, tone: str) -> None:
    cell = life_views.outlook(time_of(document), NOW)
    # The clock of the machine that the test runs on may be in any zone.
    text = cell.text[: len(said)] if said.endswith(" ") else cell.text
    assert (text, cell.tone) == (said, tone)


def test_what_is_not_known_is_not_unlimited() -> None:
    assert life_views.outlook(None).text == life_views.ran(None).text == "-"
    assert life_views.ran(time_of(life(running=None))).text == "-"
    assert life_views.ran(time_of(life(running=0.0))).text == "< 1 min"


@pytest.mark.parametrize(
    ("document", "share"),
    [
        (idling(), 1 - 40 / (48 * 60)),
        (life(deadline("idle_stop", None, 48)), 0.0),
        (life(deadline("idle_stop", None, 48), idle=None), None),
        (life(deadline("reservation_stop", at(hours=1), None)), None),
        (life(deadline("gpu_release", at(hours=-1), 0.25)), 1.0),
        (life(deadline("gpu_release", at(hours=0), 0.0)), 1.0),
    ],
)
def test_how_much_of_a_limit_is_used_up(document: dict[str, Any], share: float | None) -> None:
    of = time_of(document)
    assert life_views.share(of.deadlines[0], of, NOW) == (
        None if share is None else pytest.approx(share)
    )


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "no limit"),
        (0, "0 min"),
        (900, "15 min"),
        (5400, "90 min"),
        (48 * HOUR, "48 h"),
        (7 * 24 * HOUR, "7 d"),
        (30, "less than a minute"),
    ],
)
def test_limits_are_said_as_admins_write_them(seconds: float | None, text: str) -> None:
    assert life_views.limit(seconds) == text


def times(**more: Any) -> models.TimeLimits:
    given = {
        "idle_timeout": 48 * HOUR,
        "max_runtime": None,
        "gpu_hold_after_stop": 24 * HOUR,
        "container_hold_after_stop": 0.0,
        "created_timeout": 1800.0,
        **more,
    }
    return models.TimeLimits.model_validate(given)


def test_a_persons_time_limits() -> None:
    assert life_views.time_limits(times(), NOW) == {
        "longest idle": "48 h",
        "longest run": "no limit",
        "GPU kept after stop": "24 h",
        "container kept after stop": "0 min",
        "kept if never started": "30 min",
    }
    lifted = times(
        keep_alive=86400.0,
        exempt_until={"idle_timeout": at(days=400), "created_timeout": None},
    )
    words = life_views.time_limits(lifted, NOW)
    assert words["longest idle"].startswith("no limit until 2")
    assert "2027" in words["longest idle"]
    assert words["kept if never started"] == "no limit for you"
    assert words["keep-alive"] == "24 h at a time"


@pytest.mark.parametrize("given", [None, times()])
def test_time_limits_stand_among_the_others(given: models.TimeLimits | None) -> None:
    report = models.LimitsReport.model_validate({**lab.limits(), "times": given})
    text = machine_views.limits(report).text()
    assert ("Time limits" in text) == ("longest run" in text) == (given is not None)
    page = limits_html(report)
    assert ("<dt>Longest idle</dt><dd>48 h</dd>" in page) == (given is not None)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({}, "works (its GPU)"),
        ({"activity": "idle", "idle": 7200.0, "activity_from": "cpu"}, "idle for 2 h (CPU"),
        ({"activity": "unknown", "activity_from": None}, "not known"),
        ({"activity_from": "keep_alive"}, "kept alive"),
        ({"activity": None, "activity_from": None}, ""),
    ],
)
def test_what_it_does(more: dict[str, Any], said: str) -> None:
    words = life_views.activity_words(time_of(life(**more)))
    assert words.startswith(said) if said != "kept alive" else said in words
    assert bool(words) == bool(said)


# ---- the list


MIXED = [
    container("thesis", idling()),
    container("night", life(deadline("runtime_stop", at(minutes=10), 24, True), running=86000.0)),
    container("old", life(deadline("removal", at(days=9), 240)), state="exited"),
    container("raw", None, managed=False, made_by="docker"),
]


def test_the_list_tells_of_what_is_near_soonest_first() -> None:
    texts = [note.text for note in life_views.warnings(MIXED, "ds01", NOW)]
    assert [text.split()[0] for text in texts] == ["night", "thesis"]
    assert "`ds01 container keep-alive thesis` keeps it running." in texts[1]
    assert "keep-alive" not in texts[0], "that would not help against the longest run"


def test_others_containers_are_listed_without_advice() -> None:
    assert "keep-alive" in views.containers(MIXED).text(140)
    assert "keep-alive" not in views.containers(MIXED, everybody=True).text(140)


@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_every_width_has_name_state_and_what_is_next(width: int) -> None:
    text = views.containers(MIXED, now=NOW).text(width)
    assert max(len(line) for line in text.splitlines()) <= width
    table = text.splitlines()
    assert {"Container", "State", "Next", "GPU"} <= set(table[0].split())
    for document in MIXED:
        assert any(line.startswith(f"{document.name} ") for line in table), document.name
    assert ("Created" in table[0]) == (width >= 120)
    assert "Made by" in table[0] or width == 60, "one of them is not ours: that is always said"


def test_made_by_is_said_where_it_tells_something() -> None:
    assert "Made by" not in views.containers(MIXED[:3], now=NOW).text(80)
    assert "Made by" in views.containers(MIXED, now=NOW).text(80)


def test_one_container_shows_all_its_deadlines() -> None:
    document = container(
        "thesis",
        life(
            deadline("idle_stop", at(minutes=40), 48, True),
            deadline("runtime_stop", at(days=2), 168),
            activity="idle",
            idle=47.4 * HOUR,
            running=120 * HOUR,
            keep_alive_until=at(hours=1),
            exempt=["gpu_hold_after_stop"],
        ),
    )
    assert document.life is not None
    rows = dict(life_views.life_block(document.life, NOW).rows)
    assert rows["has run"].text == "5 d"
    assert rows["idle"].text.startswith("stops in 40 min (idle 47 h of 48 h), at ")
    assert (rows["idle"].tone, rows["longest run"].tone) == ("warn", "")
    assert rows["longest run"].bar == pytest.approx(1 - 48 / 168)
    assert rows["exempt from"].text == "gpu_hold_after_stop"
    assert "kept alive" in rows
    shown = views.container(document, "%ds01").text(100)
    assert "`%ds01 container keep-alive thesis`" in shown
    assert "Time" not in views.container(container("raw", None)).text(100)


# ---- the line in a terminal


def test_one_line_on_the_nearest() -> None:
    line = life_views.near_line(MIXED, "ds01", NOW)
    assert line.startswith("night stops in 10 min (ran 23 h of 24 h).")
    assert line.endswith("And 1 more: `ds01 status`.")
    assert "\n" not in line
    assert life_views.near_line(MIXED[2:], "ds01", NOW) == ""


# ---- keep-alive


def test_keep_alive_says_until_when_and_what_it_does_not_help_against() -> None:
    kept = life(
        deadline("runtime_stop", at(hours=2), 24),
        deadline("idle_stop", at(hours=72), 48),
        running=22 * HOUR,
        keep_alive_until=at(hours=24),
    )
    text = life_views.kept_alive(container("demo", kept), NOW).text()
    assert "demo is kept alive: it may idle until tomorrow " in text
    assert "(in 1 d)" in text
    assert "But it stops in 2 h (ran 22 h of 24 h): that is another limit." in text
    kept["deadlines"] = kept["deadlines"][1:]
    assert "But" not in life_views.kept_alive(container("demo", kept), NOW).text()


def test_keep_alive_without_an_idle_limit() -> None:
    kept = life(keep_alive_until=at(hours=24))
    text = life_views.kept_alive(container("demo", kept), NOW).text()
    assert "No idle limit holds for it now" in text
    stopped = life(deadline("gpu_release", at(minutes=9), 0.25), keep_alive_until=at(hours=24))
    text = life_views.kept_alive(container("demo", stopped, state="exited"), NOW).text()
    assert "But it gives its GPU back in 9 min" in text
    assert "No idle limit" not in text


def test_keep_alive_from_a_server_that_does_not_say_until_when() -> None:
    for document in (container("demo", life()), container("demo", None)):
        assert "does not say until when" in life_views.kept_alive(document, NOW).text()


# ---- notices


DONE = {"kind": "done", "at": at(hours=-20), "time": at(hours=-20), "message": "It was stopped."}


def test_notices_newest_last_with_what_helps_now() -> None:
    over = notice(1, time=at(hours=-30), at=at(hours=-20), message="It will be stopped.")
    view = notice_views.notices(notices(over, notice(2, **DONE), notice(3)), "%ds01", NOW)
    table = view.blocks[0]
    assert [row[3].text[:7] for row in getattr(table, "rows", ())] == [
        "It will",
        "It was ",
        "demo ha",
    ]
    assert [row[3].tone for row in getattr(table, "rows", ())] == ["dim", "bad", "warn"]
    assert view.text().endswith("`%ds01 container keep-alive demo` keeps it running.")
    assert [document.id for document in view.data] == [1, 2, 3]


def test_no_notices() -> None:
    assert "Nothing to tell" in notice_views.notices([]).text()


@pytest.mark.parametrize("prog", ["ds01", "%ds01"])
@pytest.mark.parametrize(
    ("hint", "said"),
    [
        ("Do `ds01 why a`.", "Do `{} why a`."),
        ("Do `%ds01 why a`.", "Do `{} why a`."),
        ("Do: ds01 container start my-demo_1. So.", "Do: `{} container start my-demo_1`. So."),
        ("Do: %ds01 container start a.", "Do: `{} container start a`."),
        ("Ask the ds01 people.", "Ask the ds01 people."),
    ],
)
def test_the_labs_hint_speaks_the_words_of_the_place(prog: str, hint: str, said: str) -> None:
    [document] = notices(notice(hint=hint))
    assert notice_views.help_for(document, prog) == said.format(prog)


def test_an_announcement_stands_out_and_brings_no_html_along() -> None:
    evil = "<img src=x onerror=alert(1)>"
    [document] = notices(notice(message=evil, container="a<b>", hint=f"{evil} `ds01 x`"))
    bundle = notice_views.announce([document], now=NOW)._repr_mimebundle_()
    page = bundle["text/html"]
    assert "<img" not in page
    assert "&lt;img" in page
    assert "a&lt;b&gt;" in page
    assert 'class="ds01-callout ds01-warn"' in page
    assert "<code>%ds01 x</code>" in page
    plain = bundle["text/plain"]
    assert plain.splitlines()[0] == "ds01: a<b>"
    assert "(in 40 min)" in plain


def test_an_announcement_of_what_was_done() -> None:
    [document] = notices(notice(2, **DONE))
    text = notice_views.announce([document], now=NOW).text()
    assert "It was stopped." in text
    assert "in " not in text.partition("When:")[2].splitlines()[0]
