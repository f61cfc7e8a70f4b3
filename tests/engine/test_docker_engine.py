"""Containers through the one object that talks to Docker, on the real engine."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
import requests

from ds01_jupyter.core.docker_engine import DockerEngine
from ds01_jupyter.core.engine import ContainerPlan, Mount
from ds01_jupyter.core.errors import (
    Conflict,
    CoreError,
    EngineUnavailable,
    InvalidInput,
    NotFound,
)
from tests.rig.fixtures import RigEngine

pytestmark = pytest.mark.engine


@pytest.fixture
def engine(rig_engine: RigEngine) -> Iterator[DockerEngine]:
    found = DockerEngine(rig_engine.docker_host)
    yield found
    found.close()


@pytest.fixture
def plan(rig_engine: RigEngine, unique_name: str, tmp_path: Path) -> ContainerPlan:
    return ContainerPlan(
        full_name=f"{unique_name}._.4711",
        image=rig_engine.base_image,
        labels={"aime.mlc": "ada", "aime.mlc.NAME": unique_name},
        user="4711:4712",
        command=("/bin/bash",),
        binds=(Mount(str(tmp_path), "/workspace"),),
        cpus=1.5,
        memory=256 * 2**20,
        memory_swap=512 * 2**20,
        shm_size=32 * 2**20,
        pids_limit=64,
        cgroup_parent="ds01-test.slice",
        hostname="thesis",
    )


@pytest.fixture
def container(engine: DockerEngine, plan: ContainerPlan) -> Iterator[str]:
    created = engine.create_container(plan)
    yield created
    with suppress(NotFound):
        engine.remove_container(created, force=True)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Method and path of every request to Docker."""
    seen: list[str] = []
    send = requests.Session.send

    def counting(
        self: requests.Session, request: requests.PreparedRequest, **options: object
    ) -> requests.Response:
        seen.append(f"{request.method} {request.path_url.partition('?')[0]}")
        return send(self, request, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(requests.Session, "send", counting)
    return seen


def test_what_the_engine_is(engine: DockerEngine) -> None:
    info = engine.info()
    assert info.version
    assert info.buildkit is True
    assert info.storage_driver
    assert Path(info.root_dir).is_dir()


def test_a_container_through_its_life(
    engine: DockerEngine, plan: ContainerPlan, container: str
) -> None:
    made = engine.inspect_container(container)
    assert (made.state, made.exit_code, made.started, made.pid) == ("created", None, None, None)
    assert made.full_name == plan.full_name
    assert made.user == "4711:4712"
    assert made.command == ("/bin/bash",)
    assert made.mounts == tuple(plan.binds)
    assert made.network_mode == "bridge"
    assert made.privileged is False
    engine.start(container)
    engine.start(container)  # a running one stays as it is
    running = engine.inspect_container(container)
    assert running.state == "running"
    assert running.exit_code is None
    assert running.pid is not None
    # One process, PID 1, ours: AIME's mlc-open counts them.
    children = Path(f"/proc/{running.pid}/task/{running.pid}/children").read_text().split()
    assert children == []
    engine.stop(container)
    engine.stop(container)
    stopped = engine.inspect_container(container)
    # 128 + SIGHUP: it ended on its stop signal and was not killed after a wait.
    assert (stopped.state, stopped.exit_code) == ("exited", 129)
    assert stopped.finished is not None
    engine.remove_container(container)
    with pytest.raises(NotFound):
        engine.inspect_container(container)


def test_docker_holds_the_limits_of_the_plan(
    engine: DockerEngine, plan: ContainerPlan, container: str
) -> None:
    limits = engine.inspect_container(container).limits
    assert limits.cpus == plan.cpus
    assert limits.memory == plan.memory
    assert limits.memory_swap == plan.memory_swap
    assert limits.shm_size == plan.shm_size
    assert limits.pids == plan.pids_limit
    assert limits.cgroup_parent == plan.cgroup_parent


def test_the_list_is_one_call_and_create_and_start_one_each(
    engine: DockerEngine, plan: ContainerPlan, calls: list[str]
) -> None:
    engine.list_containers()  # connects
    calls.clear()
    created = engine.create_container(plan)
    try:
        engine.start(created)
        (found,) = [one for one in engine.list_containers() if one.id == created]
        assert [call.rpartition("/")[2] for call in calls] == ["create", "start", "json"]
        assert found.full_name == plan.full_name
        assert found.labels["aime.mlc.NAME"] == plan.labels["aime.mlc.NAME"]
        assert found.state == "running"
        assert found.image == plan.image
    finally:
        engine.remove_container(created, force=True)


def test_gpus_reach_the_container_by_uuid_and_are_asked_once(
    engine: DockerEngine, plan: ContainerPlan, rig_engine: RigEngine, calls: list[str]
) -> None:
    devices = ("MIG-11111111-0000", "MIG-22222222-0000")
    created = engine.create_container(replace(plan, devices=devices))
    try:
        engine.start(created)
        (record,) = rig_engine.hook_records(created)
        assert set(record.devices) == {",".join(devices)}
        calls.clear()
        assert engine.gpu_devices(created) == devices
        assert engine.gpu_devices(created) == devices
        assert len(calls) == 1
    finally:
        engine.remove_container(created, force=True)
    engine.list_containers()
    with pytest.raises(NotFound):
        engine.gpu_devices(created)


def test_without_devices_the_container_sees_none(
    engine: DockerEngine, plan: ContainerPlan, container: str, rig_engine: RigEngine
) -> None:
    engine.start(container)
    details = engine.inspect_container(container)
    # The base image says `all`.
    assert details.environment["NVIDIA_VISIBLE_DEVICES"] == "void"
    assert details.devices == ()
    assert rig_engine.hook_records(container) == []


def test_nothing_can_gain_privileges(
    engine: DockerEngine, plan: ContainerPlan, unique_name: str
) -> None:
    command = ("grep", "-E", "NoNewPrivs|CapEff", "/proc/self/status")
    created = engine.create_container(replace(plan, command=command))
    try:
        engine.start(created)
        for _ in range(100):
            if engine.inspect_container(created).state == "exited":
                break
        log = engine.logs(created)
        assert "NoNewPrivs:\t1" in log
        assert "CapEff:\t0000000000000000" in log
        assert engine.logs(created, tail=1).count("\n") == 1
    finally:
        engine.remove_container(created, force=True)


def test_bad_plans_are_refused_and_leave_nothing(
    engine: DockerEngine, plan: ContainerPlan, container: str
) -> None:
    with pytest.raises(Conflict):
        engine.create_container(plan)
    other = replace(plan, full_name=f"{plan.full_name}x")
    with pytest.raises(NotFound, match="is not on this machine"):
        engine.create_container(replace(other, image="ds01t/no-such-image"))
    with pytest.raises(InvalidInput, match="/no/such/folder does not exist"):
        engine.create_container(replace(other, binds=(Mount("/no/such/folder", "/workspace"),)))
    assert not any(one.full_name == other.full_name for one in engine.list_containers())


def test_a_running_container_is_not_removed_unforced(engine: DockerEngine, container: str) -> None:
    engine.start(container)
    with pytest.raises(Conflict):
        engine.remove_container(container)
    assert engine.inspect_container(container).state == "running"


def test_several_threads_at_once(engine: DockerEngine, container: str) -> None:
    def look(_: int) -> str:
        assert any(one.id == container for one in engine.list_containers())
        return engine.inspect_container(container).id

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(look, range(64))) == {container}


class Relay:
    """A socket before Docker's own, which can be taken away and put back."""

    def __init__(self, path: Path, target: str) -> None:
        self._path = path
        self._target = target
        self._open: list[socket.socket] = []

    def __enter__(self) -> Relay:
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self._path))
        self._listener.listen()
        self._thread = threading.Thread(target=self._accept)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()
        for one in self._open:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        for pump in self._pumps:
            pump.join()
        for one in self._open:
            one.close()
        self._path.unlink()

    def _accept(self) -> None:
        self._pumps: list[threading.Thread] = []
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            far = socket.socket(socket.AF_UNIX)
            far.connect(self._target)
            self._open += [near, far]
            for source, sink in ((near, far), (far, near)):
                pump = threading.Thread(target=self._pump, args=(source, sink))
                pump.start()
                self._pumps.append(pump)

    @staticmethod
    def _pump(source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)


def test_docker_may_come_and_go(rig_engine: RigEngine, tmp_path: Path) -> None:
    path = tmp_path / "docker.sock"
    real = rig_engine.docker_host.removeprefix("unix://")
    engine = DockerEngine(f"unix://{path}")
    for _ in range(2):
        with pytest.raises(EngineUnavailable, match="Docker is not running") as caught:
            engine.list_containers()
        assert caught.value.hint
        with Relay(path, real):
            assert engine.info().version
            assert isinstance(engine.list_containers(), list)
    with pytest.raises(EngineUnavailable):
        engine.info()
    engine.close()


# docker-py does not close the socket of a request that timed out.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_engine_that_hangs_is_given_up(tmp_path: Path) -> None:
    path = tmp_path / "docker.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        engine = DockerEngine(f"unix://{path}", timeout=1)
        with pytest.raises(EngineUnavailable) as caught:
            engine.info()
        assert isinstance(caught.value, CoreError)
        engine.close()
