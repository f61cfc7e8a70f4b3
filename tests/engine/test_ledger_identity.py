"""One ledger, whatever changes around it: another engine, another name of the machine, and a ledger
that cannot be written at the wrong moment."""

from __future__ import annotations

import platform
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from ds01_jupyter.core import models
from ds01_jupyter.core.errors import CoreError, LedgerUnavailable, NoFreeSlot
from ds01_jupyter.core.host import host_of
from tests.engine.conftest import Desk
from tests.rig.dockerd import Engine
from tests.rig.paths import RigPaths

pytestmark = pytest.mark.engine


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Engine]:
    """Another engine on this machine, such as somebody's rootless Docker; it has nothing."""
    engine = Engine(RigPaths(tmp_path / "rig"))
    engine.up()
    yield engine
    engine.down(purge=True)


def request(name: str, gpu: str) -> models.ContainerRequest:
    return models.ContainerRequest.model_validate(
        {"name": name, "gpu": gpu, "framework": {"framework": "Pytorch", "version": "2.5.1"}}
    )


def slots_of(desk: Desk) -> dict[str, str]:
    """One's own slots with the state of their leases."""
    leases = desk.lab._ledger.live_leases()
    return {lease.slot: lease.state for lease in leases if lease.uid == desk.person.uid}


def test_a_server_with_another_docker_releases_nothing(
    make_desk: Callable[..., Desk], elsewhere: Engine
) -> None:
    """DOCKER_HOST of one person is enough for it: that engine has none of the containers."""
    first = make_desk()
    made = first.create("thesis", gpu="3g.20gb")
    [slot] = made.gpus
    assert slot.slot is not None
    other = make_desk(docker_host=elsewhere.paths.docker_host)
    assert other.lab.containers(other.person) == []
    assert slots_of(first) == {slot.slot: "active"}
    with pytest.raises(NoFreeSlot):
        other.lab.create_container(other.person, request("mine", slot.slot))
    # Its own engine knows better: what is gone there is gone.
    first.docker.api.remove_container(made.id, force=True)
    other.lab.containers(other.person)
    assert slots_of(first) == {slot.slot: "active"}
    first.lab.containers(first.person)
    assert slots_of(first) == {}


def test_an_engine_under_another_address_is_the_same_engine(
    make_desk: Callable[..., Desk], tmp_path: Path
) -> None:
    first = make_desk()
    made = first.create("thesis")
    link = tmp_path / "docker.sock"
    link.symlink_to(first.settings.docker_host.removeprefix("unix://"))
    again = make_desk(docker_host=f"unix://{link}")
    first.docker.api.remove_container(made.id, force=True)
    again.lab.containers(again.person)
    assert slots_of(first) == {}


def test_a_machine_that_is_renamed_has_the_same_slots(
    make_desk: Callable[..., Desk], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or a server that runs in a container itself: its host name is another one every time."""
    first = make_desk()
    [slot] = first.create("thesis", gpu="3g.20gb").gpus
    assert slot.slot is not None
    monkeypatch.setattr(platform, "node", lambda: "renamed")
    second = make_desk()
    with pytest.raises(NoFreeSlot):
        second.lab.create_container(second.person, request("mine", slot.slot))
    states = {
        one.uuid: one.state for gpu in second.lab.gpus(second.person).gpus for one in gpu.slots
    }
    assert states[slot.uuid] == "leased"


def test_the_name_that_a_ledger_began_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = tmp_path / "state" / "ledger.sqlite"
    monkeypatch.setattr(platform, "node", lambda: "one")
    assert host_of(ledger) == "one"
    monkeypatch.setattr(platform, "node", lambda: "two")
    assert host_of(ledger) == "one"
    assert ledger.parent.stat().st_mode & 0o777 == 0o700
    file = ledger.with_name("ledger.sqlite.host")
    assert file.stat().st_mode & 0o777 == 0o600
    for nonsense in ("", "\n", "a\nb", "x" * 300):
        file.write_text(nonsense)
        assert host_of(ledger) == "two", "what nobody is called is not taken for a name"
    # A folder that is shared by a group shares the name too; one that cannot be is the machine's.
    shared = tmp_path / "shared"
    shared.mkdir(mode=0o2770)
    shared.chmod(0o2770)
    assert host_of(shared / "ledger.sqlite") == "two"
    assert (shared / "ledger.sqlite.host").stat().st_mode & 0o777 == 0o660
    (tmp_path / "file").write_text("")
    assert host_of(tmp_path / "file" / "ledger.sqlite") == "two"


@pytest.mark.parametrize("moment", ["taken back", "cancelled before it began"])
def test_a_claim_that_could_not_be_released_is_released_later(desk: Desk, moment: str) -> None:
    """The ledger was busy, or its disk full, at that moment; the server lives on."""
    lab = desk.lab
    checked = lab._containers
    asked = request("thesis", "3g.20gb")
    limits = lab.limits(desk.person).limits
    from ds01_jupyter.core.container_plan import Source, blueprint

    plan = blueprint(desk.person, asked, Source("x", "Pytorch-2.5.1", "CUDA_ADA"), lab.settings)
    claim = checked.claim(desk.person, plan, limits)
    assert list(slots_of(desk).values()) == ["pending"]
    lab._ledger._database._busy_seconds = 0.05
    with closing(sqlite3.connect(lab._ledger.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        if moment == "taken back":
            checked._traces.take_back(claim)
        else:
            checked.release(claim)
        other.execute("ROLLBACK")
    assert list(slots_of(desk).values()) == ["pending"]
    lab.containers(desk.person)
    assert slots_of(desk) == {}
    assert issubclass(LedgerUnavailable, CoreError)
