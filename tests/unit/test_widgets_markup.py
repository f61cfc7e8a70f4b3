"""What the views write into the page: escaped, bounded, in words."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from ds01_jupyter.core.models import DockerfilePreview, ErrorDocument, ImageRequest
from ds01_jupyter.widgets.dockerfile_view import dockerfile_html, files_html, state_html
from ds01_jupyter.widgets.limits_view import limits_html
from ds01_jupyter.widgets.log_view import MAX_COLUMNS, MAX_LINES, LogView, clean
from ds01_jupyter.widgets.markup import chips, code, facts, seconds, size
from ds01_jupyter.widgets.problem import Problem, problem_html
from tests.unit.widgets_source import limits, refusal

EVIL = "<script>alert('x')</script>"


def test_everything_from_outside_is_escaped() -> None:
    preview = DockerfilePreview(
        path=EVIL, dockerfile=EVIL, files={EVIL: EVIL}, base_image=EVIL, state="edited"
    )
    problem = Problem(EVIL, EVIL, EVIL, {EVIL: EVIL})
    log = LogView(EVIL)
    log.add(EVIL)
    log.flush()
    pieces = [
        code(EVIL),
        chips([EVIL]),
        facts({EVIL: ""}),
        dockerfile_html(f"RUN {EVIL}\n# {EVIL}\n{EVIL}"),
        files_html({EVIL: EVIL}),
        state_html(preview),
        problem_html(problem),
        limits_html(limits(group=EVIL)),
        log.widget.value,
    ]
    for piece in pieces:
        assert "<script" not in piece
        assert "&lt;script" in piece


@pytest.mark.parametrize(
    ("span", "text"), [(0, "0 s"), (59.9, "59 s"), (65, "1:05 min"), (3723, "1:02:03 h")]
)
def test_spans(span: float, text: str) -> None:
    assert seconds(span) == text


def test_what_is_not_known_is_not_zero() -> None:
    assert size(None) == "n/a"
    assert size(0) == "0 Bytes"
    assert size(5 * 2**30) == "5 GiB"


def test_the_dockerfile_shows_its_steps() -> None:
    html = dockerfile_html("# why\nFROM a\nRUN b \\\n    && c")
    assert "<span class='ds01-comment'># why</span>" in html
    assert html.count("ds01-instruction") == 2
    assert "    &amp;&amp; c" in html


def test_no_files_no_fold() -> None:
    assert files_html({}) == ""
    assert "The 1 files" in files_html({"a": ""})


# ---- the log


def test_a_log_keeps_its_end_and_says_what_it_dropped() -> None:
    log = LogView("log")
    for number in range(MAX_LINES + 20):
        log.add(f"line {number}")
    log.flush()
    assert len(log.lines) == MAX_LINES
    assert log.lines[0] == "line 20"
    assert "… 20 earlier lines" in log.widget.value
    assert f"line {MAX_LINES + 19}" in log.widget.value


def test_a_log_is_written_only_when_there_is_something_new() -> None:
    log = LogView("log")
    written: list[str] = []
    log.widget.observe(lambda change: written.append(change["new"]), "value")
    log.flush()
    log.add("a")
    log.add("b")
    log.flush()
    log.flush()
    assert len(written) == 1


def test_colours_and_overwritten_lines_are_cleaned() -> None:
    assert clean("\x1b[31mred\x1b[0m\n10 %\r50 %\r100 %\r\nend\x07\n") == ["red", "100 %", "end"]
    assert clean("") == []
    assert clean("a\n\nb") == ["a", "", "b"]
    assert len(clean("x" * 9000)[0]) == MAX_COLUMNS


# ---- problems


def test_a_problem_shows_sentence_hint_and_figures() -> None:
    html = problem_html(Problem.of(refusal("You may have 2.", limit=2, in_use=2, field="name")))
    for text in ("You may have 2.", "Do this next.", "limit: 2", "in use: 2"):
        assert text in html
    assert "field" not in html
    assert "limit: 2" not in problem_html(Problem("No.", details={"limit": 2}), with_figures=False)


def test_a_problem_comes_from_anything_that_is_raised() -> None:
    document = ErrorDocument(code="build_failed", message="It broke.", details={"step": 3})
    assert Problem.of(document) == Problem("It broke.", "", "build_failed", {"step": 3})
    unexpected = Problem.of(RuntimeError("boom"))
    assert "boom" in unexpected.message
    assert unexpected.code == "unexpected"


def test_a_request_that_cannot_be_made_names_its_field() -> None:
    with pytest.raises(ValidationError) as caught:
        ImageRequest(name="x" * 500, framework="Pytorch")
    problem = Problem.of(caught.value)
    assert problem.culprit({"name": "x", "framework": "Pytorch"}) == "name"


@pytest.mark.parametrize(
    ("problem", "field"),
    [
        (Problem("No.", details={"field": "apt"}), "apt"),
        (Problem("No.", details={"kind": "pip", "package": "?"}), "pip"),
        (Problem("No.", details={"name": "demo"}), "name"),
        (Problem("No.", details={"name": "other"}), None),
        (Problem("There is no package einopss."), "pip"),
        (Problem("The name 'demo' is taken."), "name"),
        (Problem("demo-2 is taken."), None),
        (Problem("No.", details={"package": "ffmpegg"}), "apt"),
        (Problem("Docker does not answer."), None),
        (Problem("x: numpy; rm -rf / and demo"), "pip"),
    ],
)
def test_the_field_that_caused_it_is_found(problem: Problem, field: str | None) -> None:
    entered = {"name": "demo", "pip": ["einopss", "numpy; rm -rf /"], "apt": ["ffmpegg"]}
    assert problem.culprit(entered) == field
