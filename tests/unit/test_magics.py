"""`%ds01` in IPython: loading is cheap, answers are objects, errors are sentences."""

from __future__ import annotations

import atexit
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from IPython.core.completer import provisionalcompleter
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from ds01_jupyter.client import Client, ClientError
from ds01_jupyter.commands.notebook import NotebookContext
from ds01_jupyter.commands.terminal import IPythonContext
from ds01_jupyter.magics import MATCHER, DS01Magics
from ds01_jupyter.render import View
from tests.unit import lab_standin as lab
from tests.unit.lab_standin import Answer, Standin

ROOT = Path(__file__).parents[2]
HEAVY = ["httpx", "pydantic", "rich", "ipywidgets", "docker", "pynvml", "jupyter_server"]


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[InteractiveShell]:
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    config = Config({"HistoryManager": {"enabled": False}})
    # It puts a module of its own there, from which no process could be spawned afterwards.
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])
    made = InteractiveShell(config=config)
    made.run_line_magic("load_ext", "ds01_jupyter")
    yield made
    made.atexit_operations()
    atexit.unregister(made.atexit_operations)


@pytest.fixture
def magics(shell: InteractiveShell) -> DS01Magics:
    found = shell.magics_manager.registry["DS01Magics"]
    assert isinstance(found, DS01Magics)
    return found


@pytest.fixture
def standin(magics: DS01Magics) -> Iterator[Standin]:
    with lab.running(Standin()) as server:
        server.replies["GET containers"] = Answer(body=[lab.container()])
        context = NotebookContext()
        magics._context = context
        with Client(server.server(), timeout=5) as client:
            context._client = client
            yield server


def python(code: str, tmp_path: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env={"PYTHONPATH": str(ROOT), "HOME": str(tmp_path), "IPYTHONDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout.strip()


def test_importing_the_package_imports_nothing_else(tmp_path: Path) -> None:
    code = (
        "import sys, typing\nbefore = set(sys.modules)\nimport ds01_jupyter\n"
        "print(sorted(set(sys.modules) - before))"
    )
    found = python(code, tmp_path)
    assert found == "['__future__', 'ds01_jupyter', 'ds01_jupyter._version']"


def test_loading_the_extension_imports_nothing_heavy(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom IPython.core.interactiveshell import InteractiveShell\n"
        "shell = InteractiveShell()\nbefore = set(sys.modules)\n"
        "shell.run_line_magic('load_ext', 'ds01_jupyter')\n"
        "new = set(sys.modules) - before\n"
        f"print([name for name in {HEAVY!r} if name in new])\n"
        "print(sorted(name for name in new if name.startswith('ds01')))"
    )
    heavy, ours = python(code, tmp_path).splitlines()
    assert heavy == "[]"
    assert ours == "['ds01_jupyter', 'ds01_jupyter._version', 'ds01_jupyter.magics']"


def test_help_imports_nothing_heavy(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom ds01_jupyter.completion import for_shell\n"
        "assert for_shell(['container', 'st']) == ['start', 'stop']\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    assert python(code, tmp_path) == "[]"


def test_the_answer_is_an_object(shell: InteractiveShell, standin: Standin) -> None:
    shell.run_cell("x = %ds01 container list", store_history=False)
    answer = shell.user_ns["x"]
    assert isinstance(answer, View)
    assert [container.name for container in answer.data] == ["demo"]
    assert "<table" in answer._repr_mimebundle_()["text/html"]
    shell.run_cell("y = %ds01 container list --json", store_history=False)
    assert shell.user_ns["y"][0]["name"] == "demo"


def test_quotes_hold_words_together(
    shell: InteractiveShell, standin: Standin, capsys: pytest.CaptureFixture[str]
) -> None:
    shell.run_cell('%ds01 container show "a b"', store_history=False)
    assert standin.asked() == ["GET containers/a%20b"]
    capsys.readouterr()


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("contianer", "Did you mean 'container'?"),
        ("container remove demo", "`%ds01 container remove demo --yes`"),
        ('container show "x', "No closing quotation"),
        ("container show nix", "There is no container nix."),
    ],
)
def test_an_error_stops_the_cell_in_one_sentence(
    shell: InteractiveShell,
    standin: Standin,
    capsys: pytest.CaptureFixture[str],
    line: str,
    said: str,
) -> None:
    body = {"code": "not_found", "message": "There is no container nix.", "hint": ""}
    standin.replies["GET containers/nix"] = Answer(404, body)
    standin.replies["GET containers/demo"] = Answer(body=lab.container())
    result = shell.run_cell(f"%ds01 {line}\nafter = 1", store_history=False)
    assert isinstance(result.error_in_exec, ClientError)
    output = capsys.readouterr().out
    assert said in output
    assert "Traceback" not in output
    assert "after" not in shell.user_ns


def test_a_server_that_went_is_looked_for_again(
    magics: DS01Magics, shell: InteractiveShell, standin: Standin
) -> None:
    standin.replies["GET containers"] = Answer(403)
    with pytest.raises(ClientError, match="did not accept our token"):
        magics.ds01("container list")
    assert magics.context._client is None


def test_without_a_notebook_it_is_a_terminal(magics: DS01Magics) -> None:
    assert isinstance(magics.context, IPythonContext)
    assert magics.context.prog == "%ds01"


def completed(shell: InteractiveShell, line: str) -> list[str]:
    with provisionalcompleter():
        found = list(shell.Completer.completions(line, len(line)))
    return [line[: one.start] + one.text for one in found]


def test_tab(shell: InteractiveShell, standin: Standin, monkeypatch: pytest.MonkeyPatch) -> None:
    there: dict[str, list[str]] = {"container": ["demo"], "gpu": ["0:0", "0:1", "any"]}
    monkeypatch.setattr("ds01_jupyter.completion.for_ipython.__defaults__", (there.get,))
    assert completed(shell, "%ds01 con") == ["%ds01 container"]
    assert completed(shell, "%ds01 container st") == [
        "%ds01 container start",
        "%ds01 container stop",
    ]
    assert completed(shell, "x = %ds01 container stop ") == ["x = %ds01 container stop demo"]
    assert completed(shell, "%ds01 create --fra") == ["%ds01 create --framework"]
    assert completed(shell, "%ds01 create --gpu 0:") == [
        "%ds01 create --gpu 0:0",
        "%ds01 create --gpu 0:1",
    ]
    assert not [one for one in completed(shell, "print('%ds01 con") if "container" in one]


def test_loading_it_twice_completes_once(shell: InteractiveShell) -> None:
    shell.run_line_magic("reload_ext", "ds01_jupyter")
    matchers: list[Any] = shell.Completer.custom_matchers
    names = [getattr(one, "matcher_identifier", "") for one in matchers]
    assert names.count(MATCHER) == 1


def test_question_mark(shell: InteractiveShell, capsys: pytest.CaptureFixture[str]) -> None:
    shell.run_cell("%ds01?", store_history=False)
    assert "%ds01 create               image and container" in capsys.readouterr().out
