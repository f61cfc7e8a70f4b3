"""`ds01 autoload on|off`: our line in IPython's configuration, and nothing else."""

from __future__ import annotations

import json
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from ds01_jupyter.client_error import ClientError
from ds01_jupyter.commands import autoload, run
from ds01_jupyter.commands.terminal import TerminalContext

OURS = {"IPKernelApp": {"extra_extensions": ["ds01_jupyter"]}}


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    return tmp_path / "profile_default" / "ipython_kernel_config.json"


def autoloads(*words: str) -> bool:
    view = run(TerminalContext(), ["autoload", *words])
    active: bool = view.data["autoload"]
    return active


def test_on_and_off(path: Path) -> None:
    assert autoloads() is False
    assert not path.exists()
    assert autoloads("off") is False
    assert not path.exists()
    assert autoloads("on") is True
    assert autoloads("on") is True
    assert json.loads(path.read_text()) == OURS
    assert autoloads("off") is False
    assert json.loads(path.read_text()) == {}


def test_other_settings_stay(path: Path) -> None:
    path.parent.mkdir()
    other = {
        "InteractiveShell": {"colors": "linux"},
        "IPKernelApp": {"extensions": ["autoreload"], "extra_extensions": ["x"]},
    }
    path.write_text(json.dumps(other))
    path.chmod(0o600)
    assert autoloads("on") is True
    written = json.loads(path.read_text())
    assert written["IPKernelApp"] == {
        "extensions": ["autoreload"],
        "extra_extensions": ["x", "ds01_jupyter"],
    }
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert autoloads("off") is False
    assert json.loads(path.read_text()) == other
    assert [file.name for file in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"IPKernelApp": 1}', '{"IPKernelApp": {"extra_extensions": "x"}}', "\xff"]
)
def test_a_file_that_is_not_understood_is_left_alone(path: Path, text: str) -> None:
    path.parent.mkdir()
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(ClientError, match="nothing was changed"):
        autoloads("on")
    assert path.read_bytes() == text.encode("latin-1")


def test_a_link_stays_a_link(path: Path, tmp_path: Path) -> None:
    path.parent.mkdir()
    target = tmp_path / "dotfiles.json"
    target.write_text("{}")
    path.symlink_to(target)
    assert autoloads("on") is True
    assert path.is_symlink()
    assert json.loads(target.read_text()) == OURS


def test_a_kernel_has_the_magic(path: Path, tmp_path: Path) -> None:
    autoload.write(path, on=True)
    code = (
        "import sys\n"
        "from ipykernel.kernelapp import IPKernelApp\n"
        "app = IPKernelApp.instance()\n"
        "app.initialize([])\n"
        "found = 'ds01' in app.shell.magics_manager.magics['line']\n"
        "open(sys.argv[1], 'w').write(str(found))\n"
        "app.close()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "found")],
        env={
            "PYTHONPATH": str(Path(__file__).parents[2]),
            "IPYTHONDIR": str(tmp_path),
            "HOME": str(tmp_path),
            "JUPYTER_RUNTIME_DIR": str(tmp_path),
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (tmp_path / "found").read_text() == "True", done.stdout + done.stderr
