"""The live resolution: when it is asked, which answer counts, what a click does."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ds01_jupyter import widgets
from ds01_jupyter.client_error import ClientError
from ds01_jupyter.core import models
from ds01_jupyter.render.resolution_views import way_out
from ds01_jupyter.widgets import resolution_view
from ds01_jupyter.widgets.image_phases import ImageWizard
from ds01_jupyter.widgets.journey import Journey
from ds01_jupyter.widgets.latest import Latest
from ds01_jupyter.widgets.resolution_drawing import Here, notes_html, resolution_html
from tests.unit import image_documents as documents
from tests.unit.widgets_source import NOW, ScriptedSource, refusal

EVIL = "<img src=x onerror=alert(1)>"


# ---- the newest question -------------------------------------------------------------------


class Asked:
    """Answers with the question; remembers what was answered and shown."""

    def __init__(self, pause: float = 0.05) -> None:
        self.asked: list[str] = []
        self.shown: list[str] = []
        self.failed: list[str] = []
        self.gate = threading.Event()
        self.gate.set()
        self.latest: Latest[str, str] = Latest(
            self._answer, self._done, lambda _, problem: self.failed.append(problem.message), pause
        )

    def _answer(self, question: str) -> str:
        self.asked.append(question)
        assert self.gate.wait(10)
        if question == "bad":
            raise ClientError("It is bad.")
        return question

    def _done(self, question: str, answer: str) -> None:
        if question == "defect":
            raise ZeroDivisionError
        self.shown.append(answer)


@pytest.fixture
def make() -> Iterator[Callable[[float], Asked]]:
    made: list[Asked] = []

    def new(pause: float) -> Asked:
        made.append(Asked(pause))
        return made[-1]

    yield new
    for one in made:
        one.latest.close()


def eventually(check: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not check():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_while_somebody_types_nothing_is_asked(make: Callable[[float], Asked]) -> None:
    one = make(0.5)
    for text in ("e", "ei", "ein", "einops"):
        one.latest.ask(text)
        time.sleep(0.02)  # the thread is there and could ask
    assert one.latest.settle()
    assert one.asked == one.shown == ["einops"]


def test_an_answer_that_is_not_the_newest_is_dropped(make: Callable[[float], Asked]) -> None:
    one = make(0.0)
    one.gate.clear()
    one.latest.ask("old")
    eventually(lambda: one.asked == ["old"])
    one.latest.ask("new", now=True)
    one.gate.set()
    assert one.latest.settle()
    assert one.asked == ["old", "new"]
    assert one.shown == ["new"]


def test_a_refusal_and_a_defect_are_shown_and_the_next_question_is_answered(
    make: Callable[[float], Asked],
) -> None:
    one = make(0.0)
    for question in ("bad", "defect", "good"):
        one.latest.ask(question)
        assert one.latest.settle()
    assert one.failed[0] == "It is bad."
    assert "ZeroDivisionError" in one.failed[1]
    assert one.shown == ["good"]


def test_after_closing_nothing_is_shown(make: Callable[[float], Asked]) -> None:
    one = make(0.0)
    one.gate.clear()
    one.latest.ask("late")
    eventually(lambda: one.asked == ["late"])
    one.latest.close()
    one.gate.set()
    one.latest.ask("later")
    eventually(lambda: not one.latest._thread or not one.latest._thread.is_alive())
    assert one.shown == []
    assert one.asked == ["late"]


# ---- in the wizard -------------------------------------------------------------------------


@pytest.fixture
def source() -> ScriptedSource:
    return ScriptedSource()


@pytest.fixture
def journey(source: ScriptedSource, monkeypatch: pytest.MonkeyPatch) -> Iterator[Journey]:
    monkeypatch.setattr(resolution_view.ResolutionView.__init__, "__kwdefaults__", {"pause": 0.0})
    shown = widgets.image_wizard(source)
    shown.background.drain()
    yield shown
    shown.close()


def wizard(journey: Journey) -> ImageWizard:
    assert isinstance(journey.wizard, ImageWizard)
    return journey.wizard


def press(journey: Journey, button: Any) -> None:
    button.click()
    journey.background.drain()


def settle(journey: Journey) -> None:
    assert wizard(journey).packages.resolution.settle()


def refusing(name: str = "einopps", **more: Any) -> Callable[[models.ImageRequest], Any]:
    """Refuses what names `name`."""

    def resolve(request: models.ImageRequest) -> models.Resolution:
        bad = [documents.typo(name) | more] if name in request.pip else []
        packages = [documents.package(text) for text in request.pip]
        return models.Resolution.model_validate(documents.resolution(*packages, problems=bad))

    return resolve


def to_packages(journey: Journey) -> Any:
    press(journey, wizard(journey).next)
    settle(journey)
    return wizard(journey).packages


def test_the_packages_are_looked_at_as_they_are_chosen(
    journey: Journey, source: ScriptedSource
) -> None:
    packages = to_packages(journey)
    assert len(source.requests("resolve_image")) == 1
    packages.pip.control.value = "einops"
    settle(journey)
    packages.use_cases.children[0].value = True
    settle(journey)
    packages.base.control.value = "choose"
    settle(journey)
    packages.own.children[0].value = False
    settle(journey)
    asked = source.requests("resolve_image")
    assert [one.pip for one in asked[1:]] == [["einops"]] * 4
    assert asked[-1].use_cases
    assert len(asked[-1].base) == 13
    assert "1 package to install" in packages.resolution.answer.value
    assert "ds01-resolution-old" not in packages.resolution._dom_classes


def test_a_typo_is_mended_by_a_click(journey: Journey, source: ScriptedSource) -> None:
    source.resolution = refusing()
    packages = to_packages(journey)
    packages.pip.control.value = "six\neinopps\n"
    settle(journey)
    (box,) = packages.resolution.problems.children
    assert "There is no package einopps" in box.children[0].value
    fix = box.children[1]
    assert fix.description == "Put einops in the place of einopps"
    fix.click()
    settle(journey)
    assert packages.pip.value == "six\neinops"
    assert packages.resolution.problems.children == ()


@pytest.mark.parametrize(
    ("replace", "words"),
    [
        ("", "Leave out einopps."),
        ("einopps", "Take any version of einopps."),
        ("Einopps<2", "Ask for Einopps<2."),
        (None, ""),
    ],
)
def test_a_suggestion_in_words(replace: str | None, words: str) -> None:
    problem = documents.typo() | {"replace": replace}
    assert way_out(models.ResolutionProblem.model_validate(problem)) == words


def test_a_package_can_be_left_out_by_a_click(journey: Journey, source: ScriptedSource) -> None:
    source.resolution = refusing(replace="")
    packages = to_packages(journey)
    packages.pip.control.value = "six\neinopps"
    settle(journey)
    fix = packages.resolution.problems.children[0].children[1]
    assert fix.description == "Leave out einopps"
    fix.click()
    settle(journey)
    assert packages.pip.value == "six"


def test_what_no_field_holds_gets_no_button(journey: Journey, source: ScriptedSource) -> None:
    problem = documents.typo("numpyy")
    source.resolution = lambda _: models.Resolution.model_validate(
        documents.resolution(problems=[problem])
    )
    packages = to_packages(journey)
    assert len(packages.resolution.problems.children[0].children) == 1


def test_the_build_button_says_why_it_cannot_be_built(
    journey: Journey, source: ScriptedSource
) -> None:
    source.resolution = refusing()
    packages = to_packages(journey)
    packages.pip.control.value = "einopps"
    press(journey, wizard(journey).next)
    settle(journey)
    button = wizard(journey).next
    assert wizard(journey).page.title == "Review and build"
    assert button.disabled
    assert button.description.startswith("Cannot be built: There is no package einopps")
    packages.resolution.problems.children[0].children[1].click()
    settle(journey)
    assert wizard(journey).page is packages, "where the change is seen"
    press(journey, wizard(journey).next)
    assert (button.description, button.disabled) == ("Build image", False)


@pytest.mark.parametrize("kind", ["network", "no_wheel"])
def test_what_may_still_be_built_can_be_built(
    journey: Journey, source: ScriptedSource, kind: str
) -> None:
    source.resolution = refusing(kind=kind)
    packages = to_packages(journey)
    packages.pip.control.value = "einopps"
    press(journey, wizard(journey).next)
    settle(journey)
    assert not wizard(journey).next.disabled
    assert packages.resolution.problems.children, "it is told all the same"


def test_what_cannot_be_checked_can_be_built(journey: Journey, source: ScriptedSource) -> None:
    source.resolution = lambda _: models.Resolution(
        ok=True, checked=False, base_image="x", note="The image is not here yet."
    )
    packages = to_packages(journey)
    assert "Not checked before the build: The image is not here" in packages.resolution.answer.value
    source.refuse["resolve_image"] = refusal("Docker does not answer.")
    packages.pip.control.value = "six"
    settle(journey)
    assert "Docker does not answer." in packages.resolution.answer.value
    press(journey, wizard(journey).next)
    settle(journey)
    assert not wizard(journey).next.disabled


def test_an_own_dockerfile_is_built_whatever_the_packages(
    journey: Journey, source: ScriptedSource
) -> None:
    source.state = "edited"
    source.resolution = refusing()
    packages = to_packages(journey)
    packages.pip.control.value = "einopps"
    press(journey, wizard(journey).next)
    settle(journey)
    wizard(journey).review.edited.control.value = "replace"
    assert wizard(journey).next.disabled
    wizard(journey).review.edited.control.value = "keep"
    assert not wizard(journey).next.disabled


# ---- a file --------------------------------------------------------------------------------


def upload(packages: Any, name: str, content: bytes) -> None:
    packages.file.upload.value = (
        {"name": name, "type": "", "size": len(content), "content": memoryview(content),
         "last_modified": NOW},
    )  # fmt: skip


def test_packages_come_from_a_file(journey: Journey, source: ScriptedSource) -> None:
    packages = to_packages(journey)
    packages.pip.control.value = "numpy<2"
    upload(packages, "requirements.txt", "\ufeffeinops Numpy>=2".encode())
    journey.background.drain()
    assert source.requests("import_packages") == [("requirements.txt", "einops Numpy>=2")]
    assert packages.pip.value == "einops\nnumpy<2", "what a person wrote counts more"
    assert packages.apt.value == "git"
    assert "line 3: <code>-e &lt;b&gt;.</code>" in packages.file.notes.value
    assert "Perhaps <code>six</code>?" in packages.file.notes.value
    assert packages.file.upload.value == ()


@pytest.mark.parametrize(
    ("content", "said"), [(b"\xff\xfe", "not a text file"), (b"a" * 300_000, "too large")]
)
def test_a_file_that_cannot_be_read_is_told(
    journey: Journey, source: ScriptedSource, content: bytes, said: str
) -> None:
    packages = to_packages(journey)
    upload(packages, "requirements.txt", content)
    journey.background.drain()
    assert said in packages.file.notes.value
    assert source.requests("import_packages") == []


def test_nothing_of_an_index_or_a_file_becomes_html() -> None:
    package = documents.package(EVIL, EVIL, tier=EVIL, state="changed", was=EVIL)
    drawn = resolution_html(
        models.Resolution.model_validate(
            documents.resolution(package, framework={EVIL: EVIL}, note=EVIL)
        ),
        Here({EVIL: "other", f"{EVIL}2": "1"}, {f"{EVIL}2"}),
    )
    note = models.ImportNote(line=1, text=EVIL, why=EVIL, suggestion=EVIL)
    read = models.ImageImport(source="requirements", pip=[], framework=EVIL, notes=[note])
    assert "<img" not in drawn + notes_html(read, EVIL)
