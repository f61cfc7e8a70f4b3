"""A private Docker engine that shares nothing with any other engine of the machine."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

from . import engine_api, firewall, network
from .hook import build_hook
from .paths import RigPaths
from .processes import (
    RigError,
    children_of,
    command_line,
    file_lock,
    has_ended,
    processes_with,
    recorded_process,
    stop_process,
    system_path,
    wait_until,
)

#: Seconds that an engine gets to answer its first request.
START_SECONDS = 60
#: Seconds that it gets to stop its containers and end.
STOP_SECONDS = 30
PROGRAMS = ("dockerd", "containerd", "runc", "ip", "iptables")


class Engine:
    """The engine of one rig. All methods may be called by several processes at once."""

    def __init__(self, paths: RigPaths) -> None:
        self.paths = paths
        self._containerd_socket = paths.run / "containerd.sock"

    # ---- state ----

    @property
    def pid(self) -> int | None:
        """The pid of our dockerd; None when it does not run."""
        return recorded_process(self.paths.run / "dockerd.pid", str(self.paths.data))

    def is_healthy(self) -> bool:
        """Does our own dockerd run and answer?"""
        return self.pid is not None and engine_api.is_answering(self.paths.socket)

    # ---- start ----

    def up(self) -> bool:
        """Start the engine unless it runs. Returns whether this call started it.

        Raises RigError with a reason when the machine lacks something or the engine ends early.
        """
        with self._lock():
            if self.is_healthy():
                return False
            self._check_machine()
            self._stop()  # what a killed engine left behind
            self._start()
            return True

    def restart(self) -> None:
        """Stop the engine and start it again; containers are stopped, images stay."""
        with self._lock():
            self._check_machine()
            self._stop_processes()
            self._start()

    def kill(self) -> None:
        """Kill dockerd as a crash would, leaving its containers and files behind (for tests)."""
        with self._lock():
            pid = self.pid
            if pid is not None:
                os.kill(pid, signal.SIGKILL)
                wait_until(lambda: has_ended(pid), 10)

    def _lock(self) -> contextlib.AbstractContextManager[None]:
        return file_lock(self.paths.root / "engine.lock")

    def _check_machine(self) -> None:
        if os.geteuid() != 0:
            raise RigError("the rig's Docker engine needs root")
        missing = [name for name in PROGRAMS if shutil.which(name, path=system_path()) is None]
        if missing:
            raise RigError(
                f"not installed: {', '.join(missing)}. "
                "Run `apt-get install docker.io iptables iproute2`, or `tests.rig up --install`."
            )

    def _start(self) -> None:
        paths = self.paths
        paths.make_directories()
        build_hook(paths)
        firewall.write_wrappers(paths, system_path())
        firewall.enable_forwarding(paths)
        network.ensure_bridge(paths.bridge, paths.key)
        with (paths.root / "dockerd.log").open("ab") as log:
            self._start_containerd(log.fileno())
            self._start_dockerd(log.fileno())

    def _start_containerd(self, log: int) -> None:
        """Start a containerd of our own.

        Left to itself, dockerd would use the machine's containerd where one runs, and its
        containers would then stand among those of the engine that is already in use.
        """
        run = self.paths.run
        config = run / "containerd.toml"
        config.write_text('version = 2\ndisabled_plugins = ["io.containerd.grpc.v1.cri"]\n')
        options = {
            "--config": config,
            "--address": self._containerd_socket,
            "--root": self.paths.data / "containerd",
            "--state": run / "containerd",
        }
        pid = self._spawn("containerd", options, log)
        self._await("containerd", pid, self._containerd_socket.exists)

    def _start_dockerd(self, log: int) -> None:
        paths = self.paths
        # The machine's /etc/docker/daemon.json belongs to the other engine and must not be read.
        config = paths.run / "daemon.json"
        config.write_text("{}\n")
        options = {
            "--config-file": config,
            "--host": paths.docker_host,
            "--data-root": paths.data,
            "--exec-root": paths.run / "exec",
            # dockerd writes its own pid file; ours must exist before it gets that far.
            "--pidfile": paths.run / "dockerd-own.pid",
            "--containerd": self._containerd_socket,
            # Never `--bridge none`: it removes the other engine's docker0.
            "--bridge": paths.bridge,
            "--shutdown-timeout": 5,
        }
        pid = self._spawn("dockerd", options, log)
        self._await("dockerd", pid, lambda: engine_api.is_answering(paths.socket))

    def _spawn(self, name: str, options: Mapping[str, object], log: int) -> int:
        """Start a program that outlives us and return its pid, which is written to NAME.pid."""
        environment = {
            key: value
            for key, value in os.environ.items()
            if not key.startswith("DOCKER_") and key != "NOTIFY_SOCKET"
        }
        # Only this engine finds the GPU hook and the renaming iptables. Where firewalld runs, it
        # would be asked by D-Bus instead.
        environment["PATH"] = f"{self.paths.bin}{os.pathsep}{system_path()}"
        if name == "dockerd":
            environment["DBUS_SYSTEM_BUS_ADDRESS"] = f"unix:path={self.paths.run}/no-dbus"
        # A Popen object would complain when it is forgotten while its process runs.
        pid = os.posix_spawn(
            "/usr/bin/env",
            ["env", "--chdir=/", name, *(str(word) for pair in options.items() for word in pair)],
            environment,
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_DUP2, log, 1),
                (os.POSIX_SPAWN_DUP2, log, 2),
            ],
            setsid=True,
        )
        (self.paths.run / f"{name}.pid").write_text(f"{pid}\n")
        return pid

    def _await(self, name: str, pid: int, ready: Callable[[], bool]) -> None:
        wait_until(lambda: has_ended(pid) or ready(), START_SECONDS)
        if has_ended(pid) or not ready():
            state = "ended early" if has_ended(pid) else "does not answer"
            self._stop()
            log = (self.paths.root / "dockerd.log").read_text(errors="replace")
            tail = "\n".join(log.splitlines()[-15:])
            raise RigError(f"{name} {state}; the end of its log:\n{tail}")

    # ---- stop ----

    def down(self, purge: bool = False) -> None:
        """Stop the engine and remove its processes, interfaces, firewall rules and mounts.

        Images and containers stay on disk unless `purge` is set.
        """
        with self._lock():
            self._stop()
            if purge:
                shutil.rmtree(self.paths.data, ignore_errors=True)

    def _stop(self) -> None:
        paths = self.paths
        bridges = [paths.bridge]
        if engine_api.is_answering(paths.socket):
            with contextlib.suppress(OSError, RigError):
                bridges += engine_api.bridge_interfaces(paths.socket)
        subnets = [str(subnet) for name in bridges if (subnet := network.bridge_subnet(name))]
        self._stop_processes()
        network.remove_links(bridges)
        firewall.restore(paths, bridges, subnets)
        self._unmount()
        shutil.rmtree(paths.run, ignore_errors=True)

    def _stop_processes(self) -> None:
        run, mark = self.paths.run, str(self.paths.data)
        stop_process(run / "dockerd.pid", mark, STOP_SECONDS)
        # Containers outlive a dockerd that was killed; their shims name our containerd's socket.
        for shim in processes_with(str(self._containerd_socket), "containerd-shim"):
            for pid in [*children_of(shim), shim]:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        stop_process(run / "containerd.pid", mark, STOP_SECONDS)
        (run / "dockerd-own.pid").unlink(missing_ok=True)

    def _unmount(self) -> None:
        """Unmount what an engine leaves mounted: its data root, and after a kill much more."""
        own = tuple(f"{directory}/" for directory in (self.paths.data, self.paths.run))
        mounts = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
        for mount in sorted(mounts, key=len, reverse=True):
            if f"{mount}/".startswith(own):
                subprocess.run(["umount", "--lazy", mount], capture_output=True)

    def describe(self) -> dict[str, object]:
        """Facts for `status`."""
        pid = self.pid
        return {
            "docker_host": self.paths.docker_host,
            "healthy": self.is_healthy(),
            "pid": pid,
            "command": command_line(pid) if pid else None,
            "bridge": self.paths.bridge,
            "subnet": str(network.bridge_subnet(self.paths.bridge)),
        }
