"""`image ...` against a server's answers: what is asked for, what is told, what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ds01_jupyter.client import Client, ClientError
from ds01_jupyter.commands import run
from ds01_jupyter.commands.notebook import NotebookContext
from ds01_jupyter.commands.parser import UsageProblem
from ds01_jupyter.commands.terminal import TerminalContext
from ds01_jupyter.render import View
from tests.unit import image_documents as documents
from tests.unit import lab_standin as lab
from tests.unit.lab_standin import Answer, Request, Standin, event

CREATE = "image create demo --framework Pytorch --block"


@pytest.fixture
def standin() -> Iterator[Standin]:
    image = lab.image(build=1, pip=["six"], base="none", use_cases=[], containers=["demo", "b"])
    built = {**image, "build": 2, "pip": ["einops"]}
    resolution = documents.resolution(
        documents.package("einops"),
        documents.package("needed", asked=False),
        documents.package("tqdm", tier="base", state="present", size=0),
    )
    with lab.running(Standin()) as server:
        server.replies = {
            "GET catalogue": Answer(body=catalogue()),
            "GET images": Answer(body=[image]),
            "GET images/demo": Answer(body=image),
            "GET images/demo/builds": Answer(
                body=[documents.build(2, True), documents.build(1), documents.build(3, False)]
            ),
            "GET images/demo/diff": Answer(body=documents.diff()),
            "GET images/demo/diff?before=1&after=2": Answer(body=documents.diff()),
            "GET images/demo/diff?before=2&after=1": Answer(body=documents.diff(2, 1)),
            "POST resolution": Answer(body=resolution),
            "POST images": Answer(202, lab.operation()),
            "POST images/demo/update": Answer(202, lab.operation(kind="image.update")),
            "POST images/demo/rollback": Answer(body={**image, "build": 1}),
            "POST images/demo/share": Answer(body=image),
            "POST images/demo/unshare": Answer(body=image),
            "POST prune": Answer(body=[]),
            "POST containers/demo/recreate": Answer(202, lab.operation(kind="container.recreate")),
            "GET containers/demo": Answer(body=lab.container()),
            "GET operations/op1/events": lambda _: Answer(
                chunks=iter([event(1, "state", state="succeeded")])
            ),
            "GET operations/op1": Answer(
                body=lab.operation("succeeded", kind="image.update", result=built)
            ),
        }
        yield server


def catalogue() -> dict[str, Any]:
    row = {"framework": "Pytorch", "version": "2.5.1", "architectures": ["CUDA_ADA"], "image": "x"}
    return {
        "rows": [row],
        "frameworks": ["Pytorch"],
        "architecture": "CUDA_ADA",
        "architecture_from": "driver",
        "architectures": ["CUDA_ADA"],
        "problems": [],
        "source": "x",
    }


@pytest.fixture(params=[TerminalContext, NotebookContext])
def context(
    request: pytest.FixtureRequest, standin: Standin, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Any]:
    place = request.param()
    place.shown = []
    monkeypatch.setattr(place, "show", place.shown.append)
    with Client(standin.server(), timeout=5) as client:
        place._client = client
        yield place


def answer(context: Any, line: str) -> Any:
    return run(context, line.split())


def body(standin: Standin, path: str) -> Any:
    """The last body that went to a path."""
    return [one.body for one in standin.requests if f"{one.method} {one.path}" == path][-1]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("image resolve demo", "2 packages to install, 2 MiB to download at most; 1 is in"),
        ("image resolve demo", "+ 1 that it needs"),
        ("image resolve demo", "torch 2.5.1+cu121, torchvision"),
        ("image resolve demo --all", "needed"),
        ("image resolve --framework Pytorch --pip einops", "einops"),
        ("image builds demo", "rollback demo --to N"),
        ("image diff demo", "einops"),
        ("image rollback demo", "Image demo is build 1 again."),
        ("image rollback demo", "container recreate demo"),
        ("image share demo --user bob", "bob can start containers"),
        ("image share demo --group vision", "The group vision can start"),
        ("image unshare demo --user bob", "not shared with bob any more"),
        ("image prune", "There is nothing to remove."),
        ("image show demo", "shared with"),
    ],
)
def test_verbs_that_answer_at_once(context: Any, line: str, said: str) -> None:
    view = answer(context, line)
    assert isinstance(view, View)
    assert said in view.text(140)
    assert json.loads(View(data=view.data).json()) == answer(context, f"{line} --json")


@pytest.mark.parametrize(
    ("problem", "status"),
    [
        (documents.typo(), True),
        (documents.typo() | {"kind": "network"}, False),
        (documents.typo() | {"kind": "no_wheel"}, False),
    ],
)
def test_create_with_check_refuses_what_cannot_be_built(
    context: Any, standin: Standin, problem: dict[str, Any], status: bool
) -> None:
    standin.replies["POST resolution"] = Answer(body=documents.resolution(problems=[problem]))
    view = answer(context, f"{CREATE} --pip einopps --check")
    assert context.failed is status
    assert ("POST images" in standin.asked()) is not status
    text = (view if status else context.shown[0]).text(100)
    for words in ("There is no package einopps", "Did you mean einops?"):
        assert words in text


def test_create_with_check_shows_it_and_builds(context: Any, standin: Standin) -> None:
    answer(context, f"{CREATE} --check")
    assert "2 packages to install" in context.shown[0].text()
    assert standin.asked().index("POST resolution") < standin.asked().index("POST images")


def test_resolve_ends_with_status_1_when_it_cannot_be_built(context: Any, standin: Standin) -> None:
    answer(context, "image resolve demo")
    assert not context.failed
    standin.replies["POST resolution"] = Answer(
        body=documents.resolution(problems=[documents.typo()])
    )
    answer(context, "image resolve demo")
    assert context.failed
    asked = body(standin, "POST resolution")
    assert (asked["framework"], asked["version"], asked["pip"]) == ("Pytorch", "2.5.1", ["six"])


def test_what_could_not_be_checked_says_why(context: Any, standin: Standin) -> None:
    standin.replies["POST resolution"] = Answer(
        body=documents.resolution(checked=False, note="The framework's image is not here yet.")
    )
    view = answer(context, "image resolve demo")
    assert "Not checked: The framework's image is not here yet." in view.text()
    assert not context.failed


# ---- files ---------------------------------------------------------------------------------


@pytest.fixture
def imports(standin: Standin) -> None:
    def read(request: Request) -> Answer:
        packages = [line for line in request.body["text"].splitlines() if line]
        note = {"line": 2, "text": "-e .", "why": "It is an option.", "suggestion": "setuptools"}
        return Answer(
            body={
                "source": "requirements",
                "pip": packages,
                "apt": ["git"],
                "framework": "Pytorch" if "Dockerfile" in request.body["filename"] else None,
                "version": "2.5.1" if "Dockerfile" in request.body["filename"] else None,
                "notes": [note],
            }
        )

    standin.replies["POST packages/import"] = read


@pytest.mark.usefixtures("imports")
def test_files_are_read_here_and_options_count_more(
    context: Any, standin: Standin, tmp_path: Path
) -> None:
    first, second = tmp_path / "requirements.txt", tmp_path / "my.Dockerfile"
    first.write_text("einops\nScikit_Image>=0.2\n", encoding="utf-8-sig")
    second.write_text("tqdm\n")
    line = f"image create demo --from {first} --from {second} --pip scikit-image<0.2 --block"
    answer(context, f"{line} --apt ffmpeg --extra dev")
    sent = [one.body for one in standin.requests if one.path == "packages/import"]
    assert [one["filename"] for one in sent] == ["requirements.txt", "my.Dockerfile"]
    assert sent[0]["text"].startswith("einops"), "without its byte order mark"
    assert sent[0]["extras"] == ["dev"]
    asked = body(standin, "POST images")
    assert asked["pip"] == ["tqdm", "einops", "scikit-image<0.2"]
    assert asked["apt"] == ["git", "ffmpeg"]
    assert (asked["framework"], asked["version"]) == ("Pytorch", "2.5.1")
    for words in ("2 pip packages", "-e .", "It is an option. Perhaps setuptools?", "Line"):
        assert words in context.shown[0].text(120)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: None, "cannot be read: No such file"),
        (lambda path: path.mkdir(), "cannot be read: Is a directory"),
        (lambda path: path.write_bytes(b"\xff\xfe\x00"), "is not a text file"),
        (lambda path: path.write_bytes(b"a" * 300_000), "is too large: 300000 bytes"),
    ],
)
def test_a_file_that_cannot_be_taken_is_one_sentence(
    context: Any, standin: Standin, tmp_path: Path, make: Callable[[Path], Any], said: str
) -> None:
    path = tmp_path / "requirements.txt"
    make(path)
    with pytest.raises(ClientError) as caught:
        answer(context, f"{CREATE} --from {path}")
    assert said in caught.value.message
    assert standin.asked() == []


# ---- update --------------------------------------------------------------------------------


def test_an_update_sends_its_changes_and_tells_what_came_of_it(
    context: Any, standin: Standin
) -> None:
    line = "image update demo --add einops tqdm>=4 --remove six --use-case none --refresh"
    view = answer(context, f"{line} --dockerfile keep --recreate b --block")
    assert body(standin, "POST images/demo/update") == {
        "add_pip": ["einops", "tqdm>=4"],
        "remove_pip": ["six"],
        "add_apt": [],
        "remove_apt": [],
        "use_cases": [],
        "base": None,
        "version": None,
        "refresh": True,
        "dockerfile": "keep",
        "recreate": ["b"],
    }
    text = view.text(140)
    for words in (
        "Image demo is build 2 now.",
        "einops",
        "Made anew from it: b.",
        "demo still uses the build before.",
        f"`{context.prog} container recreate demo` makes it anew",
        "image rollback demo --to 1` goes back to build 1",
    ):
        assert words in text
    assert view.data.build == 2


def test_a_difference_shows_the_dockerfile_without_its_sum(context: Any) -> None:
    text = answer(context, "image diff demo").text(120)
    for words in ("einops", "added", "removed", "4.66", "4.67", "+RUN two"):
        assert words in text
    assert "By this one sees" not in text
    assert "RUN two" not in answer(context, "image rollback demo").text(120)


def test_an_update_can_recreate_all(context: Any, standin: Standin) -> None:
    text = answer(context, "image update demo --recreate-all --block").text(140)
    assert body(standin, "POST images/demo/update")["recreate"] == ["demo", "b"]
    assert "still use" not in text


def test_an_update_that_changes_nothing_says_so(context: Any, standin: Standin) -> None:
    same = lab.image(build=1, containers=["demo"])
    standin.replies["GET operations/op1"] = Answer(
        body=lab.operation("succeeded", kind="image.update", result=same)
    )
    text = answer(context, "image update demo --refresh --block").text(140)
    assert "brings what it was already" in text
    assert "still" not in text


def test_an_update_whose_difference_cannot_be_told_has_still_succeeded(
    context: Any, standin: Standin
) -> None:
    standin.replies["GET images/demo/diff?before=1&after=2"] = Answer(
        404, {"code": "not_found", "message": "Gone.", "hint": "", "details": {}}
    )
    text = answer(context, "image update demo --add einops --block").text(140)
    assert "Image demo is build 2 now." in text
    assert "What changed cannot be shown: Gone." in text


def test_an_update_without_options_asks(standin: Standin) -> None:
    place = TerminalContext()
    with Client(standin.server(), timeout=5) as client:
        place._client = client
        with pytest.raises(UsageProblem) as caught:
            answer(place, "image update demo")
    assert "`ds01 image update demo --add einops`" in caught.value.hint


def test_recreating_asks_first(context: Any, standin: Standin) -> None:
    with pytest.raises(ClientError) as caught:
        answer(context, "container recreate demo")
    assert caught.value.code == "needs_confirmation"
    assert "everything outside the workspace goes" in caught.value.message
    assert "container recreate demo --yes" in caught.value.hint
    standin.replies["GET operations/op1"] = Answer(
        body=lab.operation("succeeded", kind="container.recreate", result=lab.container())
    )
    view = answer(context, "container recreate demo --yes --block")
    assert "It runs." in view.text()


# ---- prune and share -----------------------------------------------------------------------


def test_prune_tells_first_and_asks(context: Any, standin: Standin) -> None:
    gone = {
        "name": "old", "owner": "ada", "build": None, "reference": "old-ada:latest",
        "size": 2**30, "created": documents.NOW,
    }  # fmt: skip
    standin.replies["POST prune"] = Answer(body=[gone, {**gone, "build": 2, "owner": "bob"}])
    with pytest.raises(ClientError) as caught:
        answer(context, "image prune --days 7 --all")
    assert caught.value.message.startswith("Remove these 2?")
    assert "image prune --days 7 --all --yes" in caught.value.hint
    assert "2 GiB in all" in context.shown[0].text()
    assert [one.body["dry_run"] for one in standin.requests] == [True]
    view = answer(context, "image prune --days 7 --all --yes")
    assert body(standin, "POST prune") == {"dry_run": False, "days": 7.0, "everybody": True}
    assert "Removed: 2." in view.text()


@pytest.mark.parametrize(
    "line", ["image share demo", "image share demo --user a --group b", "image unshare demo"]
)
def test_a_share_is_with_one(context: Any, standin: Standin, line: str) -> None:
    with pytest.raises(UsageProblem):
        answer(context, line)
    assert standin.asked() == []


def test_the_list_marks_what_is_outdated_and_shared(context: Any, standin: Standin) -> None:
    shared = {"kind": "group", "name": "vision"}
    standin.replies["GET images"] = Answer(
        body=[
            lab.image("old", outdated=["Its Dockerfile was changed after it was built."]),
            lab.image("mine", shared_with=[shared]),
            lab.image("theirs", managed=False, shared_by="bob"),
        ]
    )
    text = answer(context, "image list").text(160)
    assert "out of date" in text
    assert "image update old` builds it anew" in text
    assert "shared with group vision" in text
    assert "shared by bob" in text


def test_a_long_list_of_packages_is_cut_short(context: Any, standin: Standin) -> None:
    packages = {f"p{number:03}": "1.0" for number in range(50)} | {"zzz": "2.0"}
    standin.replies["GET images/demo"] = Answer(body=lab.image(pip=["ZZZ>1"], packages=packages))
    text = " ".join(answer(context, "image show demo").text(120).split())
    assert "zzz 2.0, p000 1.0" in text, "what was asked for comes first"
    assert "and 31 more" in text
    assert "p049" not in text
    assert "p049" in answer(context, "image show demo --all").text(120)
