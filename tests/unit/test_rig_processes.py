"""Locks, pid files, installation: the rig's care for the machine it runs on."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.rig import install
from tests.rig.paths import RigPaths
from tests.rig.processes import (
    RigError,
    command_line,
    file_lock,
    has_ended,
    recorded_process,
    stop_process,
    wait_until,
)


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(["sleep", "600.25"])
    assert wait_until(lambda: "600.25" in command_line(process.pid), 10)
    yield process
    process.kill()
    process.wait()


def test_a_recorded_process_is_known_by_its_mark(
    sleeper: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    pid_file = tmp_path / "pid"
    assert recorded_process(pid_file, "600.25") is None  # no such file
    pid_file.write_text("no number")
    assert recorded_process(pid_file, "600.25") is None
    pid_file.write_text(f"{sleeper.pid}\n")
    assert recorded_process(pid_file, "600.25") == sleeper.pid
    assert recorded_process(pid_file, "/some/other/root") is None


def test_stop_leaves_a_stranger_alone(sleeper: subprocess.Popen[bytes], tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    pid_file.write_text(f"{sleeper.pid}\n")
    stop_process(pid_file, "/some/other/root", 5)
    assert sleeper.poll() is None
    assert not pid_file.exists()


def test_stop_ends_a_process_that_will_not(tmp_path: Path) -> None:
    script = "import signal, time; signal.signal(15, signal.SIG_IGN); print('ready', flush=True)"
    pid_file = tmp_path / "pid"
    with subprocess.Popen(
        [sys.executable, "-c", f"{script}; time.sleep(600.25)"], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        pid_file.write_text(f"{process.pid}\n")
        stop_process(pid_file, "600.25", 0.1)
        assert has_ended(process.pid)


def test_the_lock_is_freed_when_its_holder_dies(tmp_path: Path) -> None:
    script = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from pathlib import Path; from tests.rig.processes import file_lock\n"
        "with file_lock(Path(sys.argv[2])):\n"
        "    print('held', flush=True); sys.stdin.read()\n"
    )
    lock = tmp_path / "lock"
    repository = str(Path(__file__).parents[2])
    with subprocess.Popen(
        [sys.executable, "-c", script, repository, str(lock)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with lock.open("a") as handle, pytest.raises(BlockingIOError):
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        holder.kill()
        with file_lock(lock):
            assert holder.wait() != 0


def test_waiting_ends() -> None:
    assert wait_until(lambda: True, 0)
    assert not wait_until(lambda: False, 0.05)


def test_two_rigs_share_no_name(tmp_path: Path) -> None:
    one, two = RigPaths(tmp_path / "one"), RigPaths(tmp_path / "two")
    assert {one.run, one.bridge, one.docker_host}.isdisjoint({two.run, two.bridge, two.docker_host})


def test_names_are_short_enough_however_deep_the_root_is(tmp_path: Path) -> None:
    paths = RigPaths(tmp_path / ("x" * 200))
    assert len(os.fsencode(paths.run / "exec" / "metrics.sock")) < 108
    assert len(paths.bridge) < 16


@pytest.fixture
def policy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "policy-rc.d"
    monkeypatch.setattr(install, "POLICY", path)
    return path


def record_apt(monkeypatch: pytest.MonkeyPatch, policy: Path, present: set[str]) -> list[str]:
    """Stand-ins for `which` and apt-get; returns what apt-get was called with, and the policy."""
    calls: list[str] = []

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        calls.append(f"{' '.join(command)} | {policy.read_text().split()[-1]}")
        if command[1] == "install":
            present.update(install.PACKAGES)
        return subprocess.CompletedProcess(command, 1, "", "invoke-rc.d: no such service manager")

    monkeypatch.setattr("shutil.which", lambda name, path=None: name if name in present else None)
    monkeypatch.setattr(subprocess, "run", run)
    return calls


def test_install_starts_no_service(policy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = record_apt(monkeypatch, policy, {"ip", "iptables", "debootstrap"})
    assert install.install_packages() == ["docker.io", "gcc"]
    assert calls == [
        "apt-get update -qq | 101",
        "apt-get install -y --no-install-recommends docker.io gcc libc6-dev | 101",
    ]
    assert not policy.exists()
    assert install.install_packages() == []
    assert len(calls) == 2


def test_install_keeps_the_policy_of_the_machine(
    policy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy.write_text("exit 104\n")
    calls = record_apt(monkeypatch, policy, set())
    install.install_packages()
    assert all(call.endswith("| 104") for call in calls)
    assert policy.read_text() == "exit 104\n"


def test_install_says_what_is_missing(policy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(command, 100, "", "E: Unable to locate package")

    monkeypatch.setattr("shutil.which", lambda name, path=None: None)
    monkeypatch.setattr(subprocess, "run", run)
    with pytest.raises(RigError, match=r"docker\.io(.|\n)*Unable to locate package"):
        install.install_packages()
    assert not policy.exists()
