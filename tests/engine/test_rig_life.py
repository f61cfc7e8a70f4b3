"""The life of an engine, with second engines beside the one that the session shares."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from tests.rig import firewall, network
from tests.rig.dockerd import Engine
from tests.rig.fixtures import RigEngine
from tests.rig.paths import REPOSITORY, RigPaths
from tests.rig.processes import RigError, processes_with
from tests.rig.users import EngineUse, keep

pytestmark = pytest.mark.engine


@pytest.fixture
def second(tmp_path: Path) -> Iterator[Engine]:
    """An engine of this test's own, without images."""
    engine = Engine(RigPaths(tmp_path / "rig"))
    yield engine
    engine.down(purge=True)


def engine_processes(engine: Engine) -> list[int]:
    mark = str(engine.paths.data)
    return [*processes_with(mark, "dockerd"), *processes_with(mark, "containerd")]


def traces(engine: Engine) -> dict[str, object]:
    """What an engine leaves on the machine, besides its files."""
    rules = subprocess.run(["iptables-save"], capture_output=True, text=True, check=True).stdout
    mounts = Path("/proc/self/mountinfo").read_text()
    own = (str(engine.paths.data), str(engine.paths.run))
    names = (engine.paths.bridge, firewall.chain_prefix(engine.paths))
    return {
        "processes": engine_processes(engine),
        "bridge": network.link_exists(engine.paths.bridge),
        "rules": [line for line in rules.splitlines() if any(name in line for name in names)],
        "mounts": [line for line in mounts.splitlines() if any(path in line for path in own)],
        "sockets": engine.paths.run.exists(),
    }


NO_TRACES: dict[str, object] = {
    "processes": [],
    "bridge": False,
    "rules": [],
    "mounts": [],
    "sockets": False,
}


def test_up_twice_at_once_is_one_engine(second: Engine) -> None:
    script = (
        "from tests.rig.dockerd import Engine; from tests.rig.paths import RigPaths\n"
        "print(Engine(RigPaths.default()).up())"
    )
    environment = {**os.environ, "DS01_RIG_DIR": str(second.paths.root)}
    children = [
        subprocess.Popen(
            [sys.executable, "-c", script],
            cwd=REPOSITORY,
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    answers = sorted(child.communicate(timeout=120)[0].strip() for child in children)
    assert answers == ["False", "False", "True"]
    assert len(engine_processes(second)) == 2  # one dockerd, one containerd
    assert second.up() is False


def port_rules(engine: RigEngine, address: str) -> list[str]:
    """The rules that bring a published port to a container."""
    rules = subprocess.run(["iptables-save"], capture_output=True, text=True, check=True).stdout
    prefix = firewall.chain_prefix(engine.paths)
    return [
        line for line in rules.splitlines() if line.startswith(f"-A {prefix}") and address in line
    ]


def test_a_second_engine_leaves_the_first_alone(
    rig_engine: RigEngine, second: Engine, unique_name: str
) -> None:
    before = rig_engine.engine.pid
    subnet = network.bridge_subnet(rig_engine.paths.bridge)
    client = rig_engine.client()
    published = client.containers.run(
        rig_engine.base_image,
        ["python3", "-m", "http.server", "8000"],
        name=unique_name,
        ports={"8000/tcp": None},
        detach=True,
    )
    try:
        published.reload()
        address = published.attrs["NetworkSettings"]["IPAddress"]
        rules = port_rules(rig_engine, address)
        assert len(rules) >= 2  # redirected, and let through
        assert second.up() is True
        assert network.bridge_subnet(second.paths.bridge) not in (None, subnet)
        assert port_rules(rig_engine, address) == rules
        second.down()
        assert traces(second) == NO_TRACES
        assert port_rules(rig_engine, address) == rules
        assert rig_engine.engine.pid == before
        assert rig_engine.engine.is_healthy()
        assert network.bridge_subnet(rig_engine.paths.bridge) == subnet
        # Its containers still get out to the network.
        fetch = ["pip", "download", "--quiet", "--no-deps", "--dest", "/tmp", "six"]
        assert published.exec_run(fetch).exit_code == 0
    finally:
        published.remove(force=True)
        client.close()


def test_down_removes_the_networks_that_users_made(second: Engine) -> None:
    second.up()
    client = docker.DockerClient(base_url=second.paths.docker_host)
    created = client.networks.create("mine")
    client.close()
    link = f"br-{str(created.id)[:12]}"
    assert network.link_exists(link)
    second.down()
    assert not network.link_exists(link)
    assert traces(second) == NO_TRACES


def load_sleeper(client: docker.DockerClient, directory: Path) -> str:
    """An image with one program, which sleeps; returns its name."""
    program = directory / "sleeper"
    source = "#include <unistd.h>\nint main(void) { for (;;) pause(); }"
    command = ["gcc", "-static", "-o", str(program), "-x", "c", "-"]
    subprocess.run(command, input=source, text=True, check=True)
    archive = directory / "sleeper.tar"
    with tarfile.open(archive, "w") as tar:
        tar.add(program, "sleeper")
    client.api.import_image(str(archive), repository="sleeper")
    return "sleeper"


def test_a_killed_engine_starts_again(second: Engine, tmp_path: Path) -> None:
    second.up()
    client = docker.DockerClient(base_url=second.paths.docker_host)
    try:
        image = load_sleeper(client, tmp_path)
        container = client.containers.run(image, ["/sleeper"], detach=True)
        container.reload()
        sleeper = container.attrs["State"]["Pid"]
        second.kill()
        assert not second.is_healthy()
        os.kill(sleeper, 0)  # the container does not notice
        assert second.up() is True
        container.reload()
        assert container.status == "exited"
        container.start()  # and it can be started again
        second.kill()
    finally:
        client.close()
    second.down()  # also without a dockerd that would stop its containers
    assert traces(second) == NO_TRACES
    assert processes_with(str(second.paths.run), "containerd-shim") == []


def test_a_reused_pid_is_never_killed(second: Engine) -> None:
    second.paths.make_directories()
    stranger = subprocess.Popen(["sleep", "600"])
    try:
        for name in ("dockerd.pid", "containerd.pid"):
            (second.paths.run / name).write_text(f"{stranger.pid}\n")
        assert second.pid is None
        assert second.up() is True
        (second.paths.run / "dockerd.pid").write_text(f"{stranger.pid}\n")
        assert second.pid is None
        assert stranger.poll() is None
    finally:
        stranger.send_signal(signal.SIGKILL)
        stranger.wait()
        for pid in engine_processes(second):
            os.kill(pid, signal.SIGKILL)


def test_restart_keeps_the_engine_reachable(second: Engine) -> None:
    second.up()
    before = second.pid
    second.restart()
    assert second.is_healthy()
    assert second.pid != before


def test_a_machine_without_docker_is_told_what_to_install(
    second: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.which", lambda name, path=None: None)
    with pytest.raises(RigError, match=r"apt-get install docker\.io"):
        second.up()


def test_a_failed_start_shows_the_log_and_leaves_nothing(second: Engine) -> None:
    second.paths.make_directories()
    (second.paths.data / "image").write_text("no directory")
    with pytest.raises(RigError, match="dockerd ended early") as error:
        second.up()
    assert str(second.paths.data / "image") in str(error.value)
    assert traces(second) == NO_TRACES


def test_the_last_user_stops_what_tests_started(
    second: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DS01_RIG_KEEP", raising=False)
    first_user, second_user = EngineUse(second), EngineUse(second)
    first_user.release()
    assert second.is_healthy()
    second_user.release()
    assert traces(second) == NO_TRACES


def test_what_a_person_started_stays(second: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DS01_RIG_KEEP", raising=False)
    second.up()
    EngineUse(second).release()
    assert second.is_healthy()
    second.down()
    use = EngineUse(second)
    keep(second.paths)  # `tests.rig up` while tests run
    use.release()
    assert second.is_healthy()


WHOLE_LIFE = """
set -e
look() {
    iptables-save | grep "^[-:]" | grep -v " ACCEPT \\[" || true  # rules, chains, other policies
    cat /proc/sys/net/ipv4/ip_forward
    ip -brief link
}
engine() { python -c "from tests.rig import dockerd, paths
dockerd.Engine(paths.RigPaths.default()).$1()"; }
life() {
    look > "$1-before"
    engine up
    look > "$1-between"
    engine down
    look > "$1-after"
}
ip link set lo up
echo 0 > /proc/sys/net/ipv4/ip_forward
life "$1/alone"

# Now with what another engine has in its chains, one published port among it.
echo 1 > /proc/sys/net/ipv4/ip_forward
for table in nat filter; do iptables -t $table -N DOCKER; done
iptables -N DOCKER-USER
iptables -A FORWARD -j DOCKER-USER
iptables -t nat -A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
iptables -t nat -A DOCKER ! -i docker0 -p tcp --dport 8080 -j DNAT --to-destination 172.17.0.2:80
iptables -A DOCKER -d 172.17.0.2/32 ! -i docker0 -o docker0 -p tcp --dport 80 -j ACCEPT
life "$1/beside"
"""


def test_the_firewall_is_as_it_was(tmp_path: Path) -> None:
    """In a network of its own, where the rules of no other test come in between."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    subprocess.run(
        ["unshare", "--net", "bash", "-c", WHOLE_LIFE, "bash", str(tmp_path)],
        check=True,
        cwd=REPOSITORY,
        env={**os.environ, "PATH": path, "DS01_RIG_DIR": str(tmp_path / "rig")},
    )

    def seen(when: str) -> list[str]:
        return (tmp_path / when).read_text().splitlines()

    assert len(seen("alone-between")) > len(seen("alone-before"))
    assert seen("alone-after") == seen("alone-before")
    for line in seen("beside-before"):
        assert line in seen("beside-between")
    assert seen("beside-after") == seen("beside-before")
    assert any("--dport 8080" in line for line in seen("beside-after"))
