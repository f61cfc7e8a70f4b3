"""What people and containers write stays text: no markup, HTML or control characters."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta

import pytest
from rich.console import Console

from ds01_jupyter.core import models
from ds01_jupyter.render import Cell, Code, Column, Note, Pairs, Table, View, clean, views
from ds01_jupyter.render.terminal import make_console
from ds01_jupyter.render.units import ago, count, of, percent, since, size
from tests.unit import lab_standin as lab

HOSTILE = [
    "\x1b[31mred\x1b[0m",
    "\x1b]0;title\x07after",
    "\x1b]8;;http://evil\x1b\\link\x1b]8;;\x1b\\",
    "\x9b31mc1",
    "bell\x07 back\x08\x08 null\x00",
    "[bold red]markup[/] [link=http://x]y[/link] [/]",
    "<script>alert(1)</script>\"'&",
    "right\u202eto left\u2066 mark\u200b\ufeff",
    "a\u2028b\u2029c\nd\re",
    "\ud800 lone surrogate",
]


def control_characters(text: str) -> list[str]:
    bad = [one for one in text if one != "\n" and not one.isprintable()]
    return [character for character in bad if character != "\u00a0"]


@pytest.mark.parametrize("text", HOSTILE)
def test_cleaned(text: str) -> None:
    assert control_characters(clean(text)) == []
    assert "\n" not in clean(text)
    assert control_characters(clean(text, lines=True)) == []


@pytest.mark.parametrize(
    ("text", "lines", "expected"),
    [
        ("\x1b[1;31mred\x1b[0m plain", False, "red plain"),
        ("\x1b]0;title\x07after", False, "after"),
        ("one\ntwo", False, "one two"),
        ("one\ntwo", True, "one\ntwo"),
        ("10 %\r50 %\r100 %\n", True, "100 %\n"),
        ("kept\r\nkept\r\n", True, "kept\nkept\n"),
        ("tab\tbed", False, "tab    bed"),
        ("ünïcödé 模型", False, "ünïcödé 模型"),
    ],
)
def test_what_is_left(text: str, lines: bool, expected: str) -> None:
    assert clean(text, lines=lines) == expected


def every_block(text: str) -> View:
    cell = Cell(text, "strong", bar=0.5)
    return View(
        Table((Column(text),), ((cell,),), title=text),
        Table((Column("x"),), (), empty=text),
        Pairs(((text, cell),), title=text),
        Note(text, "bad"),
        Code(text, title=text),
    )


@pytest.mark.parametrize("text", HOSTILE)
def test_no_block_lets_anything_through(text: str) -> None:
    view = every_block(text)
    assert control_characters(view.text()) == []
    page = view.html()
    assert control_characters(page) == []
    assert "<script" not in page
    assert "alert(1)" in page or "alert" not in text
    buffer = io.StringIO()
    view.show(Console(file=buffer, width=100, force_terminal=False, markup=False))
    assert control_characters(buffer.getvalue()) == []


def test_markup_is_shown_as_it_is() -> None:
    text = every_block("[bold red]x[/] :smile:").text(140)
    assert text.count("[bold red]x[/] :smile:") >= 8


def test_colours_in_a_terminal_are_ours() -> None:
    buffer = io.StringIO()
    console = make_console(60)
    console.file = buffer
    console._color_system = None
    View(Note("\x1b[31m[red]x[/]", "good")).show(console)
    assert buffer.getvalue() == "[red]x[/]\n"


def test_commands_in_a_note_are_code_and_still_escaped() -> None:
    assert "<code>ds01 gpus</code> now" in View(Note("`ds01 gpus` now")).html()
    assert "<code>&lt;b&gt;</code>" in View(Note("`<b>`")).html()
    assert "an odd ` one" in View(Note("an odd ` one")).html()


def test_what_a_notebook_gets() -> None:
    bundle = View(Note("hello"), data=[1])._repr_mimebundle_()
    assert sorted(bundle) == ["text/html", "text/plain"]
    assert bundle["text/plain"] == "hello" == repr(View(Note("hello")))
    assert bundle["text/html"].count("<style>") == 1


def test_data_is_what_the_api_has() -> None:
    container = models.Container.model_validate(lab.container())
    view = views.containers([container])
    assert view.data == [container]
    assert '"full_name": "demo._.1000"' in view.json()


def test_a_log_keeps_its_lines_and_is_not_broken() -> None:
    line = "x" * 300
    view = views.logs(models.Logs(text=f"{line}\n\x1b[1mdone\x1b[0m\n"), "demo")
    assert view.text(80) == f"{line}\ndone"


# ---- figures -------------------------------------------------------------------------------

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


def test_sizes() -> None:
    assert [size(n) for n in (0, 1, 1023, 1024, 5 * 2**30, int(39.5 * 2**30))] == [
        "0 Bytes",
        "1 Byte",
        "1023 Bytes",
        "1 KiB",
        "5 GiB",
        "39.5 GiB",
    ]
    assert (size(None), size(None, unlimited=True)) == ("-", "unlimited")
    assert of(3 * 2**30, 40 * 2**30) == "3 of 40 GiB"
    assert of(2**29, 5 * 2**30) == "0.5 of 5 GiB"
    assert (of(None, 2**30), of(0, 0)) == ("- of 1 GiB", "0 of 0 Bytes")


def test_none_zero_and_numbers_are_three_things() -> None:
    assert (count(None), count(0), count(0.5), count(16.0)) == ("unlimited", "0", "0.5", "16")
    assert (percent(None), percent(0.0), percent(0.999)) == ("-", "0 %", "100 %")


def test_times() -> None:
    assert ago(None) == since(None) == "-"
    assert ago(NOW - timedelta(minutes=5), NOW) == "5 minutes ago"
    assert ago(NOW + timedelta(seconds=30), NOW) == "now"
    spans = [(5, "5 s"), (61, "1 min"), (7_300, "2 h"), (200_000, "2 d"), (-5, "0 s")]
    assert [since(NOW - timedelta(seconds=s), NOW) for s, _ in spans] == [t for _, t in spans]
    assert since(datetime(2026, 11, 23, 11), NOW) == "1 h"
