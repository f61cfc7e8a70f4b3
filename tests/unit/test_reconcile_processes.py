"""Which process is which: identity over pid reuse and reboots, containers and users of pids."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from ds01_jupyter.core import processes
from ds01_jupyter.core.processes import (
    container_of_pid,
    is_alive,
    process_identity,
    start_ticks,
    user_of_pid,
)

ID = "0123456789abcdef" * 4
OTHER = "f" * 64


def test_this_process_is_alive() -> None:
    me = process_identity()
    assert me.pid == os.getpid()
    assert is_alive(me)


def test_a_pid_that_is_used_again_is_another_process() -> None:
    me = process_identity()
    assert not is_alive(replace(me, start_ticks=me.start_ticks - 1))


def test_nothing_survives_a_reboot() -> None:
    assert not is_alive(replace(process_identity(), boot_id="another"))


def test_a_process_of_another_pid_namespace_counts_as_alive() -> None:
    gone = replace(process_identity(), pid=2**22 + 5)
    assert not is_alive(gone)
    assert is_alive(replace(gone, namespace=1))


def test_a_process_dies_with_its_kill_and_not_with_its_burial() -> None:
    program = "import sys; sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE) as child:
        ticks = start_ticks(child.pid)
        assert ticks is not None
        identity = replace(process_identity(), pid=child.pid, start_ticks=ticks)
        assert is_alive(identity)
        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # dead, and still a zombie
        assert not is_alive(identity)
        child.wait()
        assert not is_alive(identity)


def test_a_program_name_cannot_confuse_the_reader(tmp_path: Path) -> None:
    program = tmp_path / "a) Z 1 (b"
    program.symlink_to("/bin/sleep")
    with subprocess.Popen([str(program), "60"]) as child:
        try:
            ticks = start_ticks(child.pid)
            assert ticks is not None
            assert ticks >= process_identity().start_ticks
        finally:
            child.kill()


@pytest.mark.parametrize(
    ("cgroup", "container"),
    [
        (f"0::/system.slice/docker-{ID}.scope\n", ID),
        (f"0::/ds01.slice/ds01-students.slice/docker-{ID}.scope\n", ID),
        (f"0::/ds01-students.slice/{ID}\n", ID),
        (f"0::/docker/{ID}\n", ID),
        (f"0::/docker/{ID}/init\n", ID),
        (f"0::/docker/{ID}/docker/{OTHER}\n", ID),
        (f"12:devices:/docker/{ID}\n11:cpu,cpuacct:/docker/{ID}\n1:name=systemd:/x\n", ID),
        (f"1:name=systemd:/user.slice\n0::/machine/cri-containerd-{ID}.scope\n", ID),
        ("0::/user.slice/user-1000.slice/session-2.scope\n", None),
        ("0::/\n", None),
        (f"0::/docker/{ID}0\n", None),
        (f"0::/docker/{ID[:-1]}\n", None),
        ("", None),
    ],
)
def test_containers_of_pids(
    cgroup: str, container: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "77").mkdir()
    (tmp_path / "77" / "cgroup").write_text(cgroup)
    monkeypatch.setattr(processes, "PROC", tmp_path)
    assert container_of_pid(77) == container
    assert container_of_pid(78) is None


def test_users_of_pids(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert user_of_pid(os.getpid()) == "root"
    assert user_of_pid(2**22 + 5) is None
    (tmp_path / "77").mkdir()
    text = "Name:\tUid: 5 5\nUid:\t0\t4000000001\t0\t0\n"
    (tmp_path / "77" / "status").write_text(text)
    monkeypatch.setattr(processes, "PROC", tmp_path)
    assert user_of_pid(77) == "4000000001"
