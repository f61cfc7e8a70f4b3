"""Notices in a real kernel: shown once, after a cell; and a kernel without any pays nothing."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.manager import start_new_kernel

from ds01_jupyter.commands import autoload
from tests.unit import lab_standin as lab
from tests.unit.lab_standin import Answer, Standin
from tests.unit.test_magics import HEAVY
from tests.unit.test_notices import done, moment, warning

ROOT = Path(__file__).parents[2]
PATIENCE = 60.0
NAMES = "import threading; print([t.name for t in threading.enumerate() if 'ds01' in t.name])"
SOON = "import ds01_jupyter.notices as n; n.FIRST = (0.0, 0.0); n.EVERY = 0.01"


class Kernel:
    """A kernel in whose cells something is run."""

    def __init__(self, client: Any) -> None:
        self.client = client

    def run(self, source: str, **how: Any) -> tuple[str, list[dict[str, str]]]:
        """What a cell prints, and what it displays beside that."""
        printed, shown = [], []

        def take(message: dict[str, Any]) -> None:
            kind, content = message["msg_type"], message["content"]
            if kind == "stream":
                printed.append(content["text"])
            elif kind == "display_data":
                shown.append(content["data"])
            elif kind == "error":
                printed.append("\n".join(content["traceback"]))

        self.client.execute_interactive(source, timeout=PATIENCE, output_hook=take, **how)
        return "".join(printed), shown

    def until_shown(self) -> tuple[str, list[dict[str, str]]]:
        """Run cells until something is displayed."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            printed, shown = self.run("import time; time.sleep(0.05); print('cell')")
            if shown:
                return printed, shown
        raise AssertionError("nothing was shown")


@pytest.fixture
def standin(tmp_path: Path) -> Iterator[Standin]:
    """The lab, with the ticket that a kernel of this process finds."""
    with lab.running(Standin()) as server:
        ticket = tmp_path / f"ds01-{os.getpid()}.json"
        ticket.write_text(json.dumps({"url": server.url(), "secret": "s"}))
        ticket.chmod(0o600)
        yield server


@pytest.fixture
def kernel(standin: Standin, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Kernel]:
    """A kernel as JupyterLab starts it."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("JUPYTER", "JPY_", "DS01_"))
    }
    environment = {
        **kept,
        "JUPYTER_RUNTIME_DIR": str(tmp_path),
        "IPYTHONDIR": str(tmp_path),
        "PYTHONPATH": str(ROOT),
        **getattr(request, "param", {}),
    }
    manager, client = start_new_kernel(env=environment)
    try:
        yield Kernel(client)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


@pytest.fixture
def autoloaded(tmp_path: Path) -> None:
    """As after `ds01 autoload on`."""
    autoload.write(tmp_path / "profile_default" / "ipython_kernel_config.json", on=True)


def answers(standin: Standin, notices: list[Any]) -> None:
    """The first look finds these, every later one nothing new."""
    last = max(one["id"] for one in notices)
    standin.replies["GET notices?after=0"] = Answer(body=notices)
    standin.replies[f"GET notices?after={last}"] = Answer(body=[])


def test_a_warning_is_shown_once_below_the_next_cell(kernel: Kernel, standin: Standin) -> None:
    answers(standin, [done(1, time=moment(days=-1), message="Long ago."), warning(2)])
    kernel.run(SOON)
    assert kernel.run("%load_ext ds01_jupyter") == ("", [])
    printed, shown = kernel.until_shown()
    assert printed == "cell\n"
    assert len(shown) == 1
    assert "demo has been idle for 47 h of 48 h." in shown[0]["text/plain"]
    assert "`%ds01 container keep-alive demo`" in shown[0]["text/plain"]
    assert "<code>%ds01 container keep-alive demo</code>" in shown[0]["text/html"]
    assert "Long ago." not in shown[0]["text/html"]
    looks = len(standin.requests)
    while len(standin.requests) < looks + 3:
        assert kernel.run("import time; time.sleep(0.05)")[1] == []
    assert standin.requests[0].headers["Authorization"] == "ds01 s"


def test_a_kernel_without_notices_pays_nothing(kernel: Kernel, standin: Standin) -> None:
    answers(standin, [done(1, time=moment(days=-1))])
    load = "import sys; before = set(sys.modules)\n%load_ext ds01_jupyter"
    told = "print(sorted(name for name in set(sys.modules) - before if name.startswith('ds01')))"
    assert kernel.run(f"{load}\n{told}")[0] == (
        "['ds01_jupyter', 'ds01_jupyter._version', 'ds01_jupyter.magics']\n"
    )
    deadline = time.monotonic() + PATIENCE
    while not standin.requests and time.monotonic() < deadline:
        time.sleep(0.05)
    assert standin.asked() == ["GET notices?after=0"]
    assert kernel.run(NAMES) == ("['ds01-notices']\n", [])
    heavy = f"print([name for name in {HEAVY!r} if name in set(sys.modules) - before])"
    assert kernel.run(heavy) == ("[]\n", [])


def test_with_autoload_it_begins_by_itself(
    autoloaded: None, kernel: Kernel, standin: Standin
) -> None:
    answers(standin, [warning(1)])
    assert kernel.run(NAMES) == ("[]\n", []), "not before the first cell has run"
    assert kernel.run(NAMES) == ("['ds01-notices']\n", [])


def test_loading_it_again_follows_once(kernel: Kernel, standin: Standin) -> None:
    answers(standin, [warning(1)])
    kernel.run(SOON)
    for line in ("%load_ext ds01_jupyter", "1", "%reload_ext ds01_jupyter", "1"):
        kernel.run(line)
    _, shown = kernel.until_shown()
    assert len(shown) == 1
    count = "print(sum(type(c).__name__ == 'NoticeHook' "
    count += "for c in get_ipython().events.callbacks['post_run_cell']))"
    assert kernel.run(count)[0] == "1\n"
    # The thread of the first loading ends with its next look.
    deadline = time.monotonic() + PATIENCE
    while kernel.run(NAMES)[0] != "['ds01-notices']\n":
        assert time.monotonic() < deadline, "two threads look"
        time.sleep(0.05)


@pytest.mark.parametrize("kernel", [{"DS01_NOTICES": "off"}], indirect=True)
def test_it_can_be_turned_off_for_runs_that_nobody_watches(
    kernel: Kernel, standin: Standin
) -> None:
    answers(standin, [warning(1)])
    kernel.run(SOON)
    for line in ("%load_ext ds01_jupyter", "1", "2"):
        assert kernel.run(line)[1] == []
    assert kernel.run(NAMES)[0] == "[]\n"
    assert standin.requests == []
