"""What Docker does around us or without us: nothing stays behind, and nothing is out of reach."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ds01_jupyter.core import container_traces, models
from ds01_jupyter.core.errors import EngineUnavailable
from tests.engine.conftest import Desk
from tests.rig.fixtures import RigEngine

pytestmark = pytest.mark.engine


class Line:
    """A socket before the engine's: what is cut looks like a Docker that died."""

    def __init__(self, path: Path, engine: str) -> None:
        self.path = path
        self._engine = engine
        self._open: list[socket.socket] = []
        self._server: socket.socket | None = None

    @property
    def host(self) -> str:
        """As DOCKER_HOST has it."""
        return f"unix://{self.path}"

    def plug(self) -> None:
        """Let Docker be reached."""
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(str(self.path))
        self._server.listen(50)
        threading.Thread(target=self._accept, args=(self._server,), daemon=True).start()

    def cut(self) -> None:
        """End every connection, and let none begin."""
        self.path.unlink(missing_ok=True)
        for one in (self._server, *self._open):
            if one is not None:
                with contextlib.suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)
                one.close()
        self._server, self._open = None, []

    def _accept(self, server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = server.accept()
                far = socket.socket(socket.AF_UNIX)
                far.connect(self._engine.removeprefix("unix://"))
                self._open += [near, far]
                for ends in ((near, far), (far, near)):
                    threading.Thread(target=self._copy, args=ends, daemon=True).start()

    @staticmethod
    def _copy(source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)


@pytest.fixture
def line(tmp_path: Path, rig_engine: RigEngine) -> Iterator[Line]:
    made = Line(tmp_path / "d.sock", rig_engine.docker_host)
    made.plug()
    yield made
    made.cut()


def held(desk: Desk) -> list[str]:
    """The states of one's own leases: a new ledger also takes up those of the engine's others."""
    leases = desk.lab._ledger.live_leases()
    return [lease.state for lease in leases if lease.uid == desk.person.uid]


@pytest.mark.parametrize("moment", ["create", "start"])
def test_what_docker_could_not_take_back_goes_when_it_is_there_again(
    make_desk: Callable[..., Desk], line: Line, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    desk = make_desk(docker_host=line.host)
    engine = desk.lab._engine
    create, start = engine.create_container, engine.start

    def die_with_create(plan: object) -> str:
        create(plan)  # type: ignore[arg-type]  # Docker made it, and its answer is lost
        line.cut()
        raise EngineUnavailable("Docker is not running.")

    def die_before_start(container: str) -> None:
        line.cut()
        start(container)

    if moment == "create":
        monkeypatch.setattr(engine, "create_container", die_with_create)
    else:
        monkeypatch.setattr(engine, "start", die_before_start)
    request = models.ContainerRequest.model_validate(
        {"name": "c", "gpu": "1g.5gb", "framework": {"framework": "Pytorch", "version": "2.5.1"}}
    )
    ended = desk.finish(desk.lab.create_container(desk.person, request))
    monkeypatch.undo()
    assert ended.error is not None
    assert (ended.state, ended.error.code) == ("failed", "docker_unavailable")
    assert len(desk.mine()) == 2, "the container and its image, which nobody could remove"
    assert len(held(desk)) == 1, "what exists keeps its slot"

    line.plug()
    assert [one for one in desk.lab.containers(desk.person) if one.managed] == []
    assert (desk.mine(), held(desk)) == ([], [])
    assert desk.create("c").state == "running"


def test_the_image_of_a_container_that_docker_removed_goes_too(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = desk.create("c", gpu="none")
    desk.docker.api.remove_container(made.id, force=True)
    desk.lab.containers(desk.person)
    assert len(desk.mine()) == 1, "mlc-remove would remove it itself"
    monkeypatch.setattr(container_traces, "GRACE", 0.0)
    again = desk.create("c", gpu="none")
    desk.docker.api.remove_container(again.id, force=True)
    for _ in range(2):
        desk.lab.containers(desk.person)
    assert desk.mine() == []


def test_the_image_stays_when_there_is_another_container_of_that_name(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(container_traces, "GRACE", 0.0)
    made = desk.create("c", gpu="none")
    desk.docker.api.remove_container(made.id, force=True)
    desk.lab._containers.present()
    again = desk.create("c", gpu="none")
    desk.lab.stop_container(desk.person, "c")
    desk.lab.start_container(desk.person, "c")
    assert sorted(desk.mine()) == sorted([again.full_name, desk.inspect(again)["Config"]["Image"]])  # type: ignore[index]


def test_a_paused_container_can_be_stopped_and_removed(desk: Desk) -> None:
    made = desk.create("c")
    desk.docker.api.pause(made.id)
    assert desk.lab.stop_container(desk.person, "c").state == "exited"
    desk.lab.remove_container(desk.person, "c")
    assert (desk.mine(), held(desk)) == ([], [])


def test_a_container_that_docker_renamed_is_still_found(desk: Desk) -> None:
    made = desk.create("c")
    desk.docker.api.rename(made.id, f"other-{desk.person.uid}")
    shown = desk.lab.container(desk.person, "c")
    assert (shown.id, shown.managed) == (made.id, True)
    desk.lab.stop_container(desk.person, "c")
    desk.lab.remove_container(desk.person, "c")
    assert (desk.mine(), held(desk)) == ([], [])


def image(desk: Desk, *pip: str) -> models.Operation:
    body = {
        "name": "i", "base": "none", "framework": "Pytorch", "version": "2.5.1", "pip": list(pip)
    }  # fmt: skip
    request = models.ImageRequest.model_validate(body)
    return desk.finish(desk.lab.create_image(desk.person, request))


def test_a_dockerfile_that_nobody_edited_never_counts_as_edited(
    make_desk: Callable[..., Desk],
) -> None:
    desk = make_desk()
    file = desk.person.home / "dockerfiles" / "i.Dockerfile"
    assert image(desk, "six").state == "succeeded"
    desk.lab.remove_image(desk.person, "i")
    assert image(desk, "six", "einops").state == "succeeded", "the ledger forgot the first one"
    edited = file.read_text().replace("PYTHONUNBUFFERED=1", "PYTHONUNBUFFERED=0")
    file.write_text(edited)
    desk.lab.remove_image(desk.person, "i")
    with pytest.raises(Exception, match="changed by hand"):
        image(desk, "six")
    assert file.read_text() == edited
