"""A lost ledger is made anew from the real engine and the simulated driver: the same slots."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import docker
import pytest
from docker.types import DeviceRequest

from ds01_jupyter.core import models
from ds01_jupyter.core.errors import Forbidden, LedgerUnavailable, NoFreeSlot
from ds01_jupyter.core.lab import Lab
from tests.engine.conftest import Desk
from tests.engine.keeping import Accounts
from tests.rig.fixtures import RigEngine
from tests.rig.nvml import Machine

pytestmark = pytest.mark.engine

Facts = list[tuple[object, ...]]


def facts(desk: Desk) -> Facts:
    """Who has what, of this person."""
    ledger = desk.lab._ledger
    mine = [row for row in ledger.containers() if row.uid == desk.person.uid]
    # Docker tells seconds only: containers of the same one come back in any order.
    rows = sorted(mine, key=lambda row: row.full_name)
    return [
        (
            row.full_name,
            row.owner,
            row.container_id,
            row.claim_id,
            row.state,
            row.document["workspace"],
            row.document["framework"],
            [
                (lease.info, lease.state, lease.host)
                for lease in ledger.leases_of(row.claim_id)
                if lease.state != "released"
            ],
        )
        for row in rows
    ]


def again(desk: Desk) -> None:
    """Another server on the same ledger."""
    desk.lab.close()
    desk.lab = Lab(desk.settings)


def spoil(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(b"\0" * 8192)


def lose(path: Path) -> None:
    for item in path.parent.iterdir():
        item.unlink()


@pytest.mark.parametrize("what", [spoil, lose])
def test_everything_is_as_it_was(desk: Desk, what: Callable[[Path], None]) -> None:
    running = desk.create("running", gpus=2)
    stopped = desk.create("stopped", gpu="none")
    desk.lab.stop_container(desk.person, "stopped")
    before = facts(desk)
    desk.lab.close()
    what(desk.settings.ledger)
    desk.lab = Lab(desk.settings)
    assert facts(desk) == before
    shown = {one.name: one for one in desk.lab.containers(desk.person) if one.managed}
    assert shown["running"].gpus == running.gpus
    assert shown["stopped"].workspace == stopped.workspace
    rebuild = next(row for row in desk.lab._ledger.history() if row.action == "ledger.rebuild")
    assert {running.full_name, stopped.full_name} <= set(rebuild.details["containers"])
    # and it goes on: the stopped one starts, the running one gives its slots back
    desk.lab.start_container(desk.person, "stopped")
    desk.lab.stop_container(desk.person, "running")
    desk.lab.start_container(desk.person, "running")
    assert facts(desk)[0] == before[0]
    desk.lab.stop_container(desk.person, "running")
    desk.lab.remove_container(desk.person, "running")
    assert desk.leased() == {}


def test_rebuilt_leases_have_the_priority_that_their_owner_has_now(
    desk: Desk, accounts: Accounts
) -> None:
    def priorities() -> list[int]:
        return [lease.priority for lease in desk.lab._ledger.live_leases()]

    accounts[desk.person.uid] = desk.person
    desk.create("mine")
    assert priorities() == [10]
    limits = desk.settings.limits
    for text, expected in (
        (limits.read_text().replace("priority: 10", "priority: 30"), [30]),
        ("defaults: {priority: high}", [0]),  # a mistake in it does not keep the ledger away
    ):
        limits.write_text(text)
        desk.lab.close()
        lose(desk.settings.ledger)
        desk.lab = Lab(desk.settings)
        assert priorities() == expected


def test_b1_a_stopped_containers_slot_is_not_given_again(
    make_desk: Callable[..., Desk],
) -> None:
    one, two = make_desk(), make_desk()
    mine = one.create("mine", gpu="3g.20gb")
    one.lab.stop_container(one.person, "mine")
    one.lab.close()
    lose(one.settings.ledger)
    request = models.ContainerRequest.model_validate(
        {
            "name": "theirs",
            "framework": {"framework": "Pytorch", "version": "2.5.1"},
            "gpu": "3g.20gb",
        }
    )
    again(two)
    with pytest.raises(NoFreeSlot):
        two.lab.create_container(two.person, request)
    again(one)
    assert one.lab.start_container(one.person, "mine").gpus == mine.gpus


@pytest.fixture
def forged(desk: Desk, rig_engine: RigEngine) -> Iterator[docker.models.containers.Container]:
    """A stopped container whose labels and name say that it is ours and this person's."""
    slot = next(
        slot
        for gpu in desk.lab.gpus(desk.person).gpus
        for slot in gpu.slots
        if slot.profile == "3g.20gb"
    )
    made = desk.docker.containers.create(
        rig_engine.base_image,
        ["sleep", "300"],
        name=f"forged._.{desk.person.uid}",
        user="12345",
        labels={
            "aime.mlc.CLAIM": "ab" * 16,
            "aime.mlc.LEDGER": desk.lab._ledger.mark,
            "aime.mlc.USER": desk.person.name,
        },
        device_requests=[DeviceRequest(device_ids=[slot.uuid], capabilities=[["gpu"]])],
    )
    yield made
    with suppress(docker.errors.NotFound):
        made.remove(force=True)


def test_b9_a_label_is_no_proof_of_ownership(
    desk: Desk, forged: docker.models.containers.Container
) -> None:
    desk.lab.close()
    lose(desk.settings.ledger)
    desk.lab = Lab(desk.settings)
    [lease] = [one for one in desk.lab._ledger.live_leases() if one.full_name == forged.name]
    assert (lease.owner, lease.uid, lease.state, lease.profile) == (
        "unknown",
        -2,
        "held",
        "3g.20gb",
    )
    with pytest.raises(Forbidden):
        desk.lab.start_container(desk.person, "forged")
    with pytest.raises(Forbidden):
        desk.lab.remove_container(desk.person, "forged")
    request = models.ContainerRequest.model_validate(
        {
            "name": "mine",
            "framework": {"framework": "Pytorch", "version": "2.5.1"},
            "gpu": "3g.20gb",
        }
    )
    with pytest.raises(NoFreeSlot):
        desk.lab.create_container(desk.person, request)
    forged.remove(force=True)
    desk.create("mine", gpu="3g.20gb")


def test_a_slot_of_a_lost_gpu_stays_its_containers(desk: Desk, gpu_machine: Machine) -> None:
    made = desk.create("mine", gpu="3g.20gb")
    gpu_machine.set(2, lost=1)
    desk.lab.close()
    lose(desk.settings.ledger)
    desk.lab = Lab(desk.settings)
    [fact] = facts(desk)
    [(info, state, _)] = fact[-1]  # type: ignore[misc]
    assert (info.uuid, info.slot, state) == (made.gpus[0].uuid, made.gpus[0].slot, "active")


def test_without_the_driver_it_is_refused_rather_than_guessed(
    desk: Desk, gpu_machine: Machine
) -> None:
    desk.create("mine")
    before = facts(desk)
    desk.lab.close()
    spoil(desk.settings.ledger)
    gpu_machine.sys(init=9)
    desk.lab = Lab(desk.settings)
    with pytest.raises(LedgerUnavailable, match="lost or damaged"):
        desk.lab.containers(desk.person)
    gpu_machine.sys(init=0)
    assert facts(desk) == before


def test_a_new_ledger_does_not_take_up_what_another_one_holds(
    make_desk: Callable[..., Desk], tmp_path: Path
) -> None:
    one = make_desk()
    one.create("mine", gpu="none")
    other = Lab(replace(one.settings, ledger=tmp_path / "other" / "ledger.sqlite"))
    try:
        listed = {item.full_name: item for item in other.containers(one.person)}
        assert listed[f"mine._.{one.person.uid}"].managed is False
        assert other.limits(one.person).usage.containers == 0
    finally:
        other.close()
