"""The grammar: every command leads somewhere, and a mistake is one sentence with a suggestion."""

from __future__ import annotations

import importlib
from collections.abc import Iterator

import pytest

from ds01_jupyter.commands import requests
from ds01_jupyter.commands.grammar import build
from ds01_jupyter.commands.parser import HelpRequested, Parser, UsageProblem


def leaves(parser: Parser, words: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Parser]]:
    yield words, parser
    for name, child in parser.commands().items():
        yield from leaves(child, (*words, name))


TERMINAL = dict(leaves(build("ds01")))
NOTEBOOK = dict(leaves(build("%ds01")))


@pytest.mark.parametrize("words", list(TERMINAL), ids=" ".join)
def test_b35_every_command_has_a_function_and_help(words: tuple[str, ...]) -> None:
    parser = TERMINAL[words]
    module, _, function = parser.get_default("run").partition(".")
    assert callable(getattr(importlib.import_module(f"ds01_jupyter.commands.{module}"), function))
    for prog in ("ds01", "%ds01") if words in NOTEBOOK else ("ds01",):
        with pytest.raises(HelpRequested) as caught:
            build(prog).parse_args([*words, "--help"])
        assert caught.value.text.startswith(f"usage: {' '.join((prog, *words))}")
        assert "%%" not in caught.value.text


def test_the_commands_of_the_issue_are_there() -> None:
    wanted = ["help", "status", "create", "gpus", "limits", "notices", "container keep-alive"]
    wanted += [f"image {verb}" for verb in ("create", "list", "show", "remove", "dockerfile")]
    verbs = ("resolve", "update", "builds", "diff", "rollback", "share", "unshare", "prune")
    wanted += [f"image {verb}" for verb in verbs]
    verbs = ("create", "list", "show", "start", "stop", "logs", "remove", "recreate")
    wanted += [f"container {verb}" for verb in verbs]
    for grammar in (TERMINAL, NOTEBOOK):
        assert {tuple(words.split()) for words in wanted} <= set(grammar)
    only = set(TERMINAL) - set(NOTEBOOK)
    assert only == {("autoload",), ("completion",)}
    assert set(NOTEBOOK) < set(TERMINAL)


def refused(line: str, prog: str = "ds01") -> UsageProblem:
    with pytest.raises(UsageProblem) as caught:
        build(prog).parse_args(line.split())
    assert caught.value.code == "usage"
    return caught.value


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("contianer list", "There is no command 'contianer'. Did you mean 'container'?"),
        ("containers", "There is no command 'containers'. Did you mean 'container'?"),
        ("container ls", "There is no command 'ls'. Did you mean 'list'?"),
        ("image rm x", "There is no command 'rm'. Did you mean 'remove'?"),
        ("catalog", "There is no command 'catalog'. Did you mean 'catalogue'?"),
        ("ps", "There is no command 'ps'. Did you mean 'container list'?"),
        ("qqqqq", "There is no command 'qqqqq'."),
        (
            "create x --framwork P",
            "There is no option --framwork here. Did you mean '--framework'?",
        ),
        ("create x --frame P", "There is no option --frame here. Did you mean '--framework'?"),
        ("packages now", "'now' is too much: `ds01 packages` does not take it."),
        ("container show", "Something is missing: NAME."),
        ("create x --framework", "--framework needs a value."),
        ("create x --pip", "--pip needs a value."),
        ("create x --gpus two", "--gpus cannot be 'two': give a number."),
        ("create x --dockerfile kep", "--dockerfile cannot be 'kep'. Did you mean 'keep'?"),
        ("completion fish", "shell cannot be 'fish'."),
    ],
)
def test_mistakes(line: str, message: str) -> None:
    problem = refused(line)
    assert problem.message == message
    assert problem.hint


def test_mistakes_in_a_notebook_speak_of_the_magic() -> None:
    assert refused("packages now", "%ds01").message.count("`%ds01 packages`") == 1
    assert refused("create x --nope", "%ds01").hint == "`%ds01 create --help` explains it."


def test_options() -> None:
    line = (
        "create demo --framework Pytorch --version 2.5.1 --use-case cv nlp --use-case rl "
        "--pip einops>=0.8 rich --apt ffmpeg --gpu 0:1 --gpus 2 --dockerfile keep"
    )
    found = build().parse_args(line.split())
    assert (found.name, found.framework, found.version) == ("demo", "Pytorch", "2.5.1")
    assert found.use_case == ["cv", "nlp", "rl"]
    assert found.pip == ["einops>=0.8", "rich"]
    image = requests.image_request(found, "demo")
    assert (image.base, image.use_cases, image.apt) == (
        "defaults",
        ["cv", "nlp", "rl"],
        ["ffmpeg"],
    )
    container = requests.container_request(found, "demo", "demo")
    assert (container.gpu, container.gpus, container.start) == ("0:1", 2, True)
    assert container.framework is None


def test_version_asks_and_chooses() -> None:
    assert build().parse_args(["--version"]).run == "overview.version"
    assert build().parse_args(["create", "x", "--version", "2"]).run == "create.everything"
    assert build().parse_args([]).run == "overview.help_text"


@pytest.mark.parametrize(
    ("text", "tier"),
    [
        (None, "defaults"),
        ("Defaults", "defaults"),
        (" none ", "none"),
        ("numpy pandas", ["numpy", "pandas"]),
        ("numpy, pandas", ["numpy", "pandas"]),
        ("", []),
    ],
)
def test_base_tier(text: str | None, tier: object) -> None:
    assert requests.base_tier(text) == tier


def test_folders_are_those_of_where_we_are(
    tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(str(tmp_path))
    assert requests.folder("data") == f"{tmp_path}/data"
    assert requests.folder("/x") == "/x"
    assert requests.folder("~/x") == "~/x"
    assert requests.folder(None) is None


@pytest.mark.parametrize(("name", "image"), [("Demo", "demo"), ("a-B_", "a-b"), ("x1", "x1")])
def test_name_of_the_image_beside_a_container(name: str, image: str) -> None:
    assert requests.image_name(name) == image


def test_a_value_that_no_request_can_have() -> None:
    found = build().parse_args(["create", "x", "--framework", "P", "--gpus", "99"])
    with pytest.raises(Exception, match=r"gpus cannot be 99: .*16") as caught:
        requests.container_request(found, "x", "x")
    assert getattr(caught.value, "code", "") == "invalid_input"
