"""Loading, configuring, starting and stopping the extension."""

from __future__ import annotations

import json
import logging
import os
import re
import signal
import subprocess
import sys
import sysconfig
import threading
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from jupyter_server.serverapp import ServerApp
from traitlets.config import Config

from ds01_jupyter import __version__
from ds01_jupyter import app as app_module
from ds01_jupyter.app import DS01App
from ds01_jupyter.app_options import Options
from ds01_jupyter.core.errors import ConfigurationError
from ds01_jupyter.core.lab import Lab
from ds01_jupyter.core.settings import Settings
from tests.server.conftest import Ask

ROOT = Path(__file__).parents[2]
HEAVY = ("docker", "pynvml", "ipywidgets", "pydantic", "httpx", "rich", "uv")
HEAVY += ("ds01_jupyter.core.lab", "ds01_jupyter.core.models", "ds01_jupyter.client")
PATIENCE = 60.0

LOADED = """
import json, sys
from jupyter_server.serverapp import ServerApp
app = ServerApp()
bare = set(sys.modules)
app.initialize(argv=[], find_extensions=False, new_httpserver=False)
assert ("ds01" in app.extension_manager.extension_points) == ("ds01_jupyter" in sys.argv[1:])
print("MODULES", json.dumps(sorted(sys.modules)))
"""


def modules_of_a_server(tmp_path: Path, *extensions: str) -> set[str]:
    """What a fresh process has imported once its server has loaded these extensions."""
    (tmp_path / "jupyter_server_config.json").write_text(
        json.dumps({"ServerApp": {"jpserver_extensions": dict.fromkeys(extensions, True)}})
    )
    environment = {
        **os.environ,
        "JUPYTER_CONFIG_DIR": str(tmp_path),
        "JUPYTER_RUNTIME_DIR": str(tmp_path / "runtime"),
        "JUPYTER_DATA_DIR": str(tmp_path / "data"),
        "HOME": str(tmp_path),
        "PYTHONPATH": str(ROOT),
    }
    done = subprocess.run(
        [sys.executable, "-c", LOADED, *extensions],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (line,) = (line for line in done.stdout.splitlines() if line.startswith("MODULES "))
    return set(json.loads(line.removeprefix("MODULES ")))


def test_loading_imports_nothing_heavy(tmp_path: Path) -> None:
    bare = modules_of_a_server(tmp_path)
    loaded = modules_of_a_server(tmp_path, "ds01_jupyter")
    assert "ds01_jupyter.app" in loaded
    assert bare.isdisjoint(HEAVY)
    assert loaded.isdisjoint(HEAVY)
    foreign = {name.partition(".")[0] for name in loaded - bare} - {"ds01_jupyter"}
    assert foreign == set(), "a new import when loading"


def test_configuration_reaches_the_core(app: DS01App, tmp_path: Path) -> None:
    settings = app.core_settings()
    assert settings.docker_host == "tcp://127.0.0.1:1"
    assert settings.ledger == tmp_path / "ledger.sqlite"
    assert settings.workspace_roots == (str(tmp_path),)
    assert settings.nvml_library == os.environ["DS01_NVML_LIBRARY"]
    # what is not configured has the core's own default
    assert settings.catalogue == Settings().catalogue
    assert settings.data_roots == Settings.data_roots
    assert settings.parallel_operations == Settings.parallel_operations


def test_every_setting_can_be_configured() -> None:
    traits = Options.class_own_traits(config=True)
    assert set(traits) == set(Settings.__dataclass_fields__)
    assert [name for name, trait in traits.items() if len(trait.help) < 40] == []
    made = DS01App(
        ledger="~/l.sqlite", catalogue="/c", tiers="/t", limits="/l", data_roots=[], model_roots=[]
    ).core_settings()
    assert made.ledger == Path.home() / "l.sqlite"
    assert (made.catalogue, made.tiers, made.limits) == (Path("/c"), Path("/t"), Path("/l"))
    assert made.data_roots == made.model_roots == (), "an empty list allows nothing"


def test_without_configuration_all_is_as_the_core_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DS01_NVML_LIBRARY", raising=False)
    assert DS01App().core_settings() == Settings()
    traits = Options.class_own_traits(config=True)
    for name in ("workspace_roots", "data_roots", "model_roots"):
        for root in getattr(Settings(), name):
            assert ("home" if root == "~" else root) in traits[name].help
    assert Settings().dockerfiles in traits["dockerfiles"].help


async def test_the_lab_is_made_with_the_first_request_and_once(ask: Ask, app: DS01App) -> None:
    assert (await ask("GET", "spec")).status == 200
    assert app._lab is None
    assert (await ask("GET", "packages")).status == 200
    made = app._lab
    assert isinstance(made, Lab)
    assert (await ask("GET", "packages")).status == 200
    assert app._lab is made


async def test_a_lab_that_cannot_be_made_is_tried_again(
    ask: Ask, app: DS01App, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> Settings:
        raise ConfigurationError("There is no such folder.")

    with monkeypatch.context() as patch:
        patch.setattr(app, "core_settings", fail)
        answer = await ask("GET", "packages")
        assert (answer.status, answer.json["code"]) == (500, "configuration_error")
    assert (await ask("GET", "packages")).status == 200


async def test_a_damaged_ledger_is_refused(ask: Ask, app: DS01App) -> None:
    Path(app.ledger).write_bytes(b"this is no database, " * 1000)
    answer = await ask("GET", "operations")
    assert (answer.status, answer.json["code"]) == (503, "ledger_unavailable")


async def test_stop_cancels_long_work_and_refuses_more(
    ask: Ask, app: DS01App, begin_work: Any
) -> None:
    begun, cleaned = threading.Event(), []

    def work(progress: Any) -> dict[str, Any]:
        stop = threading.Event()
        progress.on_cancel(stop.set)
        begun.set()
        stop.wait(PATIENCE)
        cleaned.append(1)
        progress.check()
        return {}

    begin_work(work)
    assert begun.wait(PATIENCE)
    await app.stop_extension()
    assert cleaned == [1]
    answer = await ask("GET", "gpus")
    assert (answer.status, answer.json["code"]) == (503, "shutting_down")


async def test_stop_waits_for_a_limited_time(
    app: DS01App, lab: Lab, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    go = threading.Event()
    monkeypatch.setattr(app_module, "STOP_TIMEOUT", 0.05)
    close = lab.close
    monkeypatch.setattr(lab, "close", lambda: go.wait(PATIENCE) and close())
    await app.stop_extension()
    go.set()
    assert "did not end within" in caplog.text


async def test_stop_survives_a_start_that_failed() -> None:
    await DS01App().stop_extension()


@pytest.mark.parametrize(
    "jp_server_config",
    [
        Config(
            {
                "ServerApp": {
                    # (the terminals are no model of a handler that asks for a login)
                    "jpserver_extensions": {
                        "ds01_jupyter": True,
                        "jupyter_server_terminals": False,
                    },
                    "allow_unauthenticated_access": False,
                    "reraise_server_extension_failures": True,
                }
            }
        )
    ],
)
async def test_a_server_that_wants_a_login_everywhere_has_no_complaint(
    ask: Ask, caplog: pytest.LogCaptureFixture
) -> None:
    assert (await ask("GET", "spec")).status == 200
    assert (await ask("GET", "spec", headers={})).status == 403
    assert "ds01_jupyter" not in "".join(
        record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING
    )


def test_a_real_server_starts_writes_its_ticket_and_stops(tmp_path: Path) -> None:
    """The whole life in a process of its own, ended by SIGTERM as systemd or the Hub does."""
    runtime = tmp_path / "runtime"
    environment = {
        **os.environ,
        "HOME": str(tmp_path),
        "JUPYTER_RUNTIME_DIR": str(runtime),
        "JUPYTER_CONFIG_DIR": str(tmp_path / "config"),
        "PYTHONPATH": str(ROOT),
    }
    command = [sys.executable, "-m", "jupyter_server", "--port=0", "--no-browser", "--allow-root"]
    command += ["--ServerApp.jpserver_extensions={'ds01_jupyter': True}"]
    command += [f"--DS01App.ledger={tmp_path / 'ledger.sqlite'}"]
    log = (tmp_path / "log").open("wb")
    with subprocess.Popen(command, env=environment, cwd=tmp_path, stdout=log, stderr=log) as server:
        try:
            ticket = runtime / f"ds01-{server.pid}.json"
            deadline = time.monotonic() + PATIENCE
            while not ticket.exists() and server.poll() is None:
                assert time.monotonic() < deadline, (tmp_path / "log").read_text()
                time.sleep(0.05)
            document = json.loads(ticket.read_text())
            request = urllib.request.Request(
                f"{document['url']}ds01/api/packages",
                headers={"Authorization": f"ds01 {document['secret']}"},
            )
            with urllib.request.urlopen(request, timeout=PATIENCE) as response:
                assert response.status == 200
                assert json.load(response)["base"]["key"] == "base"
            server.send_signal(signal.SIGTERM)
            assert server.wait(PATIENCE) == 0
        finally:
            server.kill()
            log.close()
    said = (tmp_path / "log").read_text()
    assert not ticket.exists()
    assert document["secret"] not in said
    assert "Traceback" not in said


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment in which only the package's own wheel was installed."""
    folder = tmp_path_factory.mktemp("wheel")

    def run(*command: str | Path) -> None:
        subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=PATIENCE)

    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder)
    run(sys.executable, "-m", "venv", "--without-pip", folder / "venv")
    (site,) = folder.glob("venv/lib/python*/site-packages")
    (site / "others.pth").write_text(f"{sysconfig.get_path('purelib')}\n")  # the dependencies
    python = folder / "venv" / "bin" / "python"
    (wheel,) = folder.glob("*.whl")
    offline = ("--no-deps", "--no-index", "--no-compile", "--ignore-installed")
    run(sys.executable, "-m", "pip", "--python", python, "install", *offline, wheel)
    return python


def test_an_installed_wheel_is_enabled(installed: Path, tmp_path: Path) -> None:
    (site,) = installed.parents[1].glob("lib/python*/site-packages/ds01_jupyter")
    assert (site / "openapi.yaml").exists()
    assert (site / "events" / "action_v1.yaml").exists()
    environment = {
        **{key: value for key, value in os.environ.items() if key != "PYTHONPATH"},
        "JUPYTER_CONFIG_DIR": str(tmp_path),
        "HOME": str(tmp_path),
    }
    done = subprocess.run(
        [installed, "-m", "jupyter_server.extension.serverextension", "list"],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    )
    said = " ".join(re.sub(r"\x1b\[\d+m", "", done.stdout + done.stderr).split())
    assert "ds01_jupyter enabled" in said
    assert f"ds01_jupyter {__version__} OK" in said


async def test_polling_does_not_keep_an_idle_server_alive(
    ask: Ask, jp_serverapp: ServerApp, begin_work: Any
) -> None:
    settings = jp_serverapp.web_app.settings
    settings.pop("api_last_activity", None)
    operation = begin_work(lambda progress: {})
    for path in ("gpus", "operations", f"operations/{operation.id}"):
        assert (await ask("GET", path)).status == 200
    assert (await ask("GET", f"operations/{operation.id}/events")).status == 200
    assert "api_last_activity" not in settings
    assert (await ask("GET", "packages")).status == 200
    assert "api_last_activity" in settings
