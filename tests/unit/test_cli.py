"""The `ds01` command as a process: exit status, streams, pipes, a terminal, Ctrl-C."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ds01_jupyter import cli
from tests.unit import lab_standin as lab
from tests.unit import queue_documents
from tests.unit.lab_standin import Answer, Standin, event

ROOT = Path(__file__).parents[2]


@pytest.fixture
def standin(tmp_path: Path) -> Iterator[Standin]:
    with lab.running(Standin()) as server:
        ticket = tmp_path / f"ds01-{os.getpid()}.json"
        ticket.write_text(json.dumps({"url": server.url(), "secret": "s"}))
        ticket.chmod(0o600)
        server.replies["GET containers"] = Answer(body=[lab.container()])
        yield server


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("JUPYTER", "JPY_", "DS01_", "COLUMNS"))
    }
    return {
        **kept,
        "JUPYTER_RUNTIME_DIR": str(tmp_path),
        "PYTHONPATH": str(ROOT),
        "PYTHONWARNINGS": "error",
        "TERM": "xterm",
    }


def ds01(environment: dict[str, str], *words: str, **more: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "ds01_jupyter", *words],
        env=environment,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=60,
        check=False,
        **more,
    )


def test_an_answer_goes_to_stdout(standin: Standin, environment: dict[str, str]) -> None:
    done = ds01(environment, "container", "list")
    assert (done.returncode, done.stderr) == (0, "")
    assert "demo" in done.stdout
    assert "\x1b" not in done.stdout
    assert standin.requests[0].headers["Authorization"] == "ds01 s"


def test_json_for_machines(standin: Standin, environment: dict[str, str]) -> None:
    done = ds01(environment, "container", "list", "--json")
    assert json.loads(done.stdout)[0]["name"] == "demo"


def test_refused(standin: Standin, environment: dict[str, str]) -> None:
    hint = "Look at `%ds01 container list`."
    body = {"code": "not_found", "message": "There is no container x.", "hint": hint}
    standin.replies["GET containers/x"] = Answer(404, body)
    done = ds01(environment, "container", "show", "x")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "There is no container x.\nLook at `ds01 container list`.\n"


def test_not_understood(environment: dict[str, str]) -> None:
    done = ds01(environment, "contianer")
    assert (done.returncode, done.stdout) == (2, "")
    assert "Did you mean 'container'?" in done.stderr


def test_no_server(environment: dict[str, str]) -> None:
    done = ds01(environment, "status")
    assert done.returncode == 1
    assert "jupyter lab" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_named_server(standin: Standin, environment: dict[str, str], tmp_path: Path) -> None:
    ticket = next(tmp_path.glob("ds01-*.json"))
    ticket.unlink()
    done = ds01(environment, "--server", f"{standin.url()}?token=abc", "container", "list")
    assert done.returncode == 0
    assert standin.requests[0].headers["Authorization"] == "token abc"


def test_long_names_are_not_broken_in_a_pipe(standin: Standin, environment: dict[str, str]) -> None:
    standin.replies["GET containers"] = Answer(body=[lab.container("x" * 60)])
    assert "x" * 60 in ds01(environment, "container", "list").stdout


def test_a_reader_that_leaves(standin: Standin, environment: dict[str, str]) -> None:
    standin.replies["GET containers"] = Answer(body=[lab.container(f"c{n}") for n in range(3000)])
    command = f"{sys.executable} -m ds01_jupyter container list | head -1"
    done = subprocess.run(
        ["bash", "-c", command],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout.startswith("Container")
    assert done.stderr == ""


def test_a_terminal_without_utf8(standin: Standin, environment: dict[str, str]) -> None:
    standin.replies["GET limits"] = Answer(body=lab.limits())
    environment |= {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii"}
    done = ds01(environment, "limits")
    assert (done.returncode, done.stderr) == (0, "")
    assert "1 of 3" in done.stdout


def building(standin: Standin) -> None:
    """An image whose build lasts until it is cancelled."""

    def chunks() -> Iterator[bytes]:
        yield event(1, "progress", progress={"phase": "build", "fraction": 0.5})
        yield event(2, "log", text="a line of the log")
        for _ in range(400):
            if "DELETE operations/op1" in standin.asked():
                break
            time.sleep(0.05)
            yield b": still here\n\n"
        yield event(3, "state", state="cancelled")

    error = {"code": "cancelled", "message": "The operation was cancelled."}
    standin.replies["POST images"] = Answer(202, lab.operation())
    standin.replies["GET operations/op1/events"] = lambda _: Answer(chunks=chunks())
    standin.replies["GET operations/op1"] = Answer(body=lab.operation("cancelled", error=error))
    standin.replies["DELETE operations/op1"] = Answer(202, lab.operation())


def test_ctrl_c_asks_the_server_to_cancel(standin: Standin, environment: dict[str, str]) -> None:
    building(standin)
    words = ["image", "create", "demo", "--framework", "Pytorch", "--log"]
    process = subprocess.Popen(
        [sys.executable, "-m", "ds01_jupyter", *words],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    head = [process.stderr.readline() for _ in range(3)]
    process.send_signal(signal.SIGINT)
    out, rest = process.communicate(timeout=30)
    assert process.returncode == 130
    assert [line.strip() for line in head] == ["[1/1] image demo", "build", "a line of the log"]
    assert "Cancelling" in rest
    assert "Interrupted: image demo was cancelled." in rest
    assert out == ""
    assert standin.asked().count("DELETE operations/op1") == 1


def on_terminal(
    environment: dict[str, str], words: list[str], answers: list[str]
) -> tuple[str, int]:
    """Run it on a pseudo-terminal and answer each question as it comes."""
    terminal, inside = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "ds01_jupyter", *words],
        env=environment,
        stdin=inside,
        stdout=inside,
        stderr=inside,
        start_new_session=True,
    )
    os.close(inside)
    output, waiting = b"", list(answers)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        ready, _, _ = select.select([terminal], [], [], 0.1)
        if ready:
            try:
                data = os.read(terminal, 65536)
            except OSError:
                break
            if not data:
                break
            output += data
        elif waiting and output.rstrip().removesuffix(b"\x1b[0m").rstrip().endswith(b":"):
            os.write(terminal, waiting.pop(0).encode())
            output += b" "
            time.sleep(0.05)
    os.close(terminal)
    status = process.wait(30)
    assert waiting == [], output.decode()
    return output.decode(), status


def test_removing_asks_in_a_terminal(standin: Standin, environment: dict[str, str]) -> None:
    standin.replies["GET containers/demo"] = Answer(body=lab.container())
    standin.replies["DELETE containers/demo"] = Answer(204)
    words = ["container", "remove", "demo"]
    for answers, code, removed in ((["n\n"], 1, 0), (["\n"], 1, 0), (["q\n", "y\n"], 0, 1)):
        output, status = on_terminal(environment, words, answers)
        assert (status, standin.asked().count("DELETE containers/demo")) == (code, removed), output
    assert "/home/ada/workspace/demo" in output


def test_the_guided_create(standin: Standin, environment: dict[str, str]) -> None:
    row = {"framework": "Pytorch", "architectures": ["CUDA_ADA"], "image": "x"}
    tier = {"key": "cv", "title": "Vision", "why": "w", "packages": []}
    preview = {
        "path": "/d/demo.Dockerfile",
        "dockerfile": "FROM x\n",
        "files": {},
        "base_image": "x",
        "state": "new",
    }
    refusal = {"code": "invalid_input", "message": "No such package.", "hint": "Spell it."}
    standin.replies |= {
        "GET catalogue": Answer(
            body={
                "rows": [{**row, "version": "2.5.1", "local": True}, {**row, "version": "2.4.0"}],
                "frameworks": ["Pytorch"],
                "architecture": "CUDA_ADA",
                "architecture_from": "driver",
                "architectures": ["CUDA_ADA"],
                "problems": [],
                "source": "s",
            }
        ),
        "GET packages": Answer(body={"base": {**tier, "key": "base"}, "use_cases": [tier]}),
        "POST dockerfile": [Answer(400, refusal), Answer(body=preview)],
        "GET gpus": Answer(body=lab.gpus(lab.slot("0:0"))),
        "GET limits": Answer(body=lab.limits()),
    }
    for path, number, result in (
        ("images", "one", lab.image("new")),
        ("containers", "two", lab.container("new")),
    ):
        kind = "image.create" if path == "images" else "container.create"
        document = lab.operation("succeeded", id=number, kind=kind, result=result)
        standin.replies[f"POST {path}"] = Answer(202, lab.operation(id=number))
        standin.replies[f"GET operations/{number}"] = Answer(body=document)
        end = event(1, "state", state="succeeded")
        standin.replies[f"GET operations/{number}/events"] = Answer(chunks=iter([end]))
    first = ["\n", "2.4.0\n", "\n", "1\n", "tpying\n", "\n", "demo\n", "new\n"]
    again = ["packages\n", "none\n", "\n", "typing-extensions\n", "\n"]
    container = ["y\n", "1g.5gb\n", "\n", "\n", "\n", "\n"]
    output, status = on_terminal(environment, ["create", "--guided"], first + again + container)
    assert status == 0, output
    for said in ("1/3 Framework", "2/3 Packages", "3/3 Name", "An image is a box"):
        assert said in output
    assert "You have a container demo already." in output
    assert "No such package. Spell it." in output
    assert "Free now: 1 x 1g.5gb." in output
    bodies = {request.path: request.body for request in standin.requests if request.body}
    assert bodies["images"]["version"] == "2.4.0"
    assert (bodies["images"]["base"], bodies["images"]["use_cases"]) == ("none", [])
    assert bodies["images"]["pip"] == ["typing-extensions"]
    assert bodies["containers"]["workspace"] == "~/workspace/new"
    assert (bodies["containers"]["gpu"], bodies["containers"]["image"]) == ("1g.5gb", "new")


def test_ctrl_d_stops_the_guide(standin: Standin, environment: dict[str, str]) -> None:
    standin.replies["GET images"] = Answer(body=[lab.image()])
    output, status = on_terminal(environment, ["container", "create"], ["\x04"])
    assert status == 1
    assert "Nothing was changed." in output


@pytest.mark.parametrize(("answer", "asked"), [("wait", "queue"), ("take 1g.5gb", "containers")])
def test_the_guide_explains_a_refusal_and_asks_what_now(
    standin: Standin, environment: dict[str, str], answer: str, asked: str
) -> None:
    full = {"code": "no_free_slot", "message": "No 2g.10gb is free now.", "hint": "", "details": {}}
    begun = lab.operation(id="two", kind="container.create")
    made = {**begun, "state": "succeeded", "result": lab.container("new")}
    starting = queue_documents.entry(state="starting", position=None, operation="two")
    explained = queue_documents.explanation().model_dump(mode="json")
    standin.replies |= {
        "GET images": Answer(body=[lab.image()]),
        "GET gpus": Answer(body=lab.gpus(lab.slot("0:0"))),
        "GET why?gpu=2g.10gb&gpus=1": Answer(body=explained),
        "POST containers": [Answer(409, full), Answer(409, full)]
        if answer == "wait"
        else [Answer(409, full), Answer(202, begun)],
        "POST queue": Answer(202, starting.model_dump(mode="json")),
        "GET operations/two": Answer(body=made),
        "GET operations/two/events": Answer(chunks=iter([event(1, "state", state="succeeded")])),
    }
    answers = ["demo\n", "2g.10gb\n", "new\n", "\n", "\n", "\n", "y\n", f"{answer}\n"]
    output, status = on_terminal(environment, ["container", "create"], answers)
    assert status == 0, output
    assert "its longest run time ends" in output
    assert "ds01 container create NAME" not in output, "one is asked, and need not type it"
    bodies = {request.path: request.body for request in standin.requests if request.body}
    assert bodies[asked]["gpu"] == ("2g.10gb" if answer == "wait" else "1g.5gb")
    assert "new is" in output or "It runs." in output


def test_in_the_same_process(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["help", "gpus"]) == 0
    assert capsys.readouterr().out.startswith("usage: ds01 gpus")
    assert cli.main(["image"]) == 2
    assert "What should be done?" in capsys.readouterr().err
