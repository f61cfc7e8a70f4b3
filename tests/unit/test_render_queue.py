"""How the queue and an explanation look in a terminal and as HTML, and what their words promise."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ds01_jupyter.core import models
from ds01_jupyter.render import queue_views, why_views
from ds01_jupyter.render.moments import clock, expected, expected_short, moment, span
from tests.unit import queue_documents as made
from tests.unit.queue_documents import NOW

EVIL = "<img src=x>\x1b[31m"


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Local time is UTC here."""
    import time

    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


# ---- moments ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (20, "less than a minute"),
        (-5, "less than a minute"),
        (60, "1 min"),
        (3599, "59 min"),
        (3600, "1 h"),
        (7500, "2 h 5 min"),
        (11 * 3600 + 300, "11 h"),
        (86_400, "1 d"),
        (3 * 86_400 + 4 * 3600, "3 d 4 h"),
    ],
)
def test_spans(seconds: float, words: str) -> None:
    assert span(seconds) == words


def test_moments_name_the_day_where_it_is_another_one() -> None:
    at = NOW.replace(hour=12, minute=0, second=0)
    later = {hours: moment(at + timedelta(hours=hours), at) for hours in (2, 14, 72, 24 * 9)}
    assert later == {
        2: "at 14:00 (in 2 h)",
        14: "tomorrow at 02:00 (in 14 h)",
        72: "on Mon at 12:00 (in 3 d)",
        24 * 9: "on 11 Jan at 12:00 (in 9 d)",
    }
    assert clock(datetime(2027, 1, 2, 3, 4, tzinfo=UTC), at) == "2 Jan 2027 03:04"
    assert clock(None, at) == "-"
    assert clock(datetime(2026, 1, 2, 13, 0), at) == "13:00", "without an offset it is UTC"
    assert moment(at - timedelta(minutes=5), at) == "any moment now"


def test_an_estimate_promises_no_more_than_it_says() -> None:
    assert expected(made.estimate(), NOW) == ("At the latest at 05:04 (in 2 h): 2:0 is free then.")
    unsure = made.estimate(certain=False, because="bob may keep his.")
    assert expected(unsure, NOW) == (
        "Probably at 05:04 (in 2 h), but that is not certain: bob may keep his."
    )
    nobody = made.estimate(at=None, certain=False, because="bob has no time limit")
    assert expected(nobody, NOW) == "Nobody can say when: bob has no time limit."
    assert expected(made.estimate(at=NOW, because=""), NOW) == "Any moment now."
    assert expected(None) == ""


def test_short_estimates() -> None:
    assert expected_short(made.estimate(), NOW) == "by 05:04"
    assert expected_short(made.estimate(certain=False), NOW) == "about 05:04"
    assert expected_short(made.estimate(at=None), NOW) == "nobody can say"
    assert expected_short(made.estimate(at=NOW), NOW) == "any moment"
    assert expected_short(None) == "-"


# ---- why -------------------------------------------------------------------------------------


def why(outcome: str = "later", **values: Any) -> str:
    return why_views.explanation(made.explanation(outcome, **values), "ds01", NOW).text(100)


def test_an_explanation_has_verdict_limits_obstacles_estimate_and_ways_out() -> None:
    lines = why(ahead=2).splitlines()
    assert lines[:3] == [
        "No slot 2g.10gb is free now.",
        "`ds01 gpus` shows who has them.",
        "At the latest at 05:04 (in 2 h): 2:0 is free then.",
    ]
    text = "\n".join(lines)
    assert "GPU slots  ████░░░░ 1 of 2          1  fits" in text
    assert "2:0   2g.10gb  bob         by 05:04  its longest run time ends" in text
    assert "2 others come first in the queue." in text
    assert lines[-4:] == [
        "# now: a smaller slot",
        "ds01 container create NAME --image IMAGE --gpu 1g.5gb",
        "# wait for it in the queue",
        "ds01 container create NAME --image IMAGE --gpu 2g.10gb --wait",
    ]


def test_what_can_be_had_now_needs_no_waiting() -> None:
    text = why("now", message="One is free.", obstacles=[], instead=[])
    assert "One is free." in text
    assert "--wait" not in text
    assert "At the latest" not in text


def test_waiting_is_not_offered_where_it_does_not_help() -> None:
    text = why("never", limits=[made.limit_use(in_use=2, fits=False)])
    assert "too much" in text
    assert "--wait" not in text
    assert "At the latest" not in text, "an estimate would promise something"


@pytest.mark.parametrize(
    ("use", "said"),
    [
        ({"limit": None, "in_use": 3}, "3 (unlimited)"),
        ({"limit": 0, "in_use": 0, "fits": False}, "████████ 0 of 0"),
        ({"key": "max_gpu_equivalents", "limit": 1.5, "in_use": 0.25}, "0.25 of 1.5"),
        ({"key": "allow_full_gpu", "limit": 0, "in_use": 0, "fits": False}, "not for your group"),
        ({"key": "max_slots_per_container", "limit": 1, "in_use": 0}, "at most 1  "),
        ({"key": "some_new_key"}, "some new key"),
    ],
)
def test_limits_in_words(use: dict[str, Any], said: str) -> None:
    assert said in why(limits=[made.limit_use(**use)])


def test_who_is_in_the_way_is_named_as_far_as_one_may_know() -> None:
    text = why(
        obstacles=[
            made.obstacle("0:1", who="you", container="thesis", free_at=None, because=""),
            *(made.obstacle(f"1:{number}") for number in range(9)),
        ]
    )
    assert "you (thesis)  nobody can say  -" in text
    assert "and 2 more slots in the way" in text


def test_several_and_odd_requests_are_asked_for_again_as_they_were() -> None:
    text = why(gpu=">= 10 GB", gpus=2, instead=[])
    assert "--gpu '>= 10 GB' --gpus 2 --wait" in text


def test_what_happened_to_a_container_is_told_in_order() -> None:
    text = why("now", past=["It was made on Monday.", "It was stopped: it was idle for 48 h."])
    assert text.index("made on Monday") < text.index("idle for 48 h")


def test_commands_are_those_of_the_place() -> None:
    document = made.explanation(hint="See `%ds01 gpus` or `ds01 queue`.")
    inside = why_views.explanation(document, "%ds01", NOW).text()
    outside = why_views.explanation(document, "ds01", NOW).text()
    assert "See `%ds01 gpus` or `%ds01 queue`." in inside
    assert "%ds01 container create NAME --image IMAGE --gpu 1g.5gb" in inside
    assert "See `ds01 gpus` or `ds01 queue`." in outside
    assert "%ds01" not in outside


@pytest.mark.parametrize("width", [60, 120])
def test_nothing_is_wider_than_the_terminal_but_commands(width: int) -> None:
    text = why_views.explanation(made.explanation(), "ds01", NOW).text(width)
    assert all(len(line) <= width for line in text.splitlines() if not line.startswith("ds01"))
    assert "ds01 container create NAME --image IMAGE --gpu 2g.10gb --wait" in text.splitlines()


# ---- queue -----------------------------------------------------------------------------------


def entries() -> list[models.QueueEntry]:
    return [
        made.entry(3, mine=False, user="bob", name=None, gpu="whole", position=1, standing=None),
        made.entry(7),
        made.entry(
            5, mine=False, user="cleo", name=None, gpu="any", gpus=2, position=3, asleep=True,
            estimate=None,
        ),
        made.entry(2, state="failed", position=None, name="old", problem="Its image is gone."),
    ]  # fmt: skip


def test_the_queue_in_order_with_what_is_known_of_each() -> None:
    view = queue_views.queue(entries(), "ds01", NOW + timedelta(minutes=3))
    lines = view.text(120).splitlines()
    rows = [line.split() for line in lines[3:6]]
    assert rows[0] == ["1", "bob", "a", "whole", "GPU", "3", "min", "-", "by", "05:04", "3"]
    assert rows[1] == ["2", "you", "(text)", "2g.10gb", "3", "min", "55.5", "by", "05:04", "7"]
    assert rows[2] == ["3", "cleo", "2", "x", "any", "GPU", "slot", "3", "min", "55.5",
                       "asleep", "5"]  # fmt: skip
    text = view.text(120)
    assert "Container text: At the latest at 05:04 (in 1 h 57 min)" in text
    assert "`ds01 queue leave 7` gives it up." in text
    assert "Container old had its turn and could not be made: Its image is gone." in text
    assert [one.id for one in view.data] == [3, 7, 5, 2]


def test_an_empty_queue_says_so() -> None:
    text = queue_views.queue([]).text()
    assert "Nobody waits." in text
    assert "leave" not in text


def test_only_those_who_wait_stand_in_the_queue() -> None:
    text = queue_views.queue([made.entry(2, state="done", position=None)], "ds01", NOW).text()
    assert "Nobody waits." in text
    assert "Container text had its turn and was made." in text


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({}, "Place 2 in the queue. At the latest"),
        ({"position": 1}, "You are next. At the latest"),
        ({"state": "starting", "position": None, "estimate": None}, "It is your turn"),
        ({"asleep": True}, "Its server does not run; the place is kept."),
    ],
)
def test_a_standing_in_words(values: dict[str, Any], said: str) -> None:
    assert said in queue_views.standing(made.entry(**values), NOW)


def test_points_are_explained() -> None:
    text = queue_views.entry(made.entry(), "ds01", NOW).text(120)
    assert "55.5 points: 10.0 for priority, 42.5 for little use lately, 3.0 for waiting" in text


def test_names_of_others_bring_neither_html_nor_escapes() -> None:
    queue = queue_views.queue([made.entry(user=EVIL, mine=False, name=None, gpu=EVIL)])
    blocked = made.explanation(
        message=EVIL, past=[EVIL], obstacles=[made.obstacle(EVIL, who=EVIL, because=EVIL)]
    )
    for view in (queue, why_views.explanation(blocked)):
        assert "<img" not in view.html()
        assert "\x1b" not in view.text()
