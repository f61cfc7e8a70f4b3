"""`why` on the real engine: what it says is what a create would do, and it takes nothing."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import docker
import pytest

from ds01_jupyter.core import models
from ds01_jupyter.core.errors import CoreError, InvalidInput, NotFound
from ds01_jupyter.core.gpu.slots import SlotInfo
from ds01_jupyter.core.identity import Person
from tests.engine.conftest import Desk
from tests.rig.fixtures import RigEngine
from tests.rig.nvml import Machine

pytestmark = pytest.mark.engine


def request(name: str, **wishes: object) -> models.ContainerRequest:
    choice = {"framework": "Pytorch", "version": "2.5.1"}
    return models.ContainerRequest.model_validate({"name": name, "framework": choice, **wishes})


@pytest.fixture
def other(make_desk: Callable[..., Desk]) -> Person:
    """Somebody else, to be cleaned up after like everybody."""
    return make_desk().person


def state_of(desk: Desk) -> tuple[object, ...]:
    ledger = desk.lab._ledger
    return ledger.containers(), ledger.live_leases(), ledger.history(1000)


@pytest.mark.parametrize(
    ("gpu", "gpus"),
    [
        ("any", 1),
        ("3g.20gb", 1),
        ("3g.20gb", 2),
        ("2g.10gb", 1),
        ("whole", 1),
        ("1g.5gb", 2),
        ("1g.5gb", 3),
        ("2:0", 1),
        ("9:9", 1),
        ("none", 1),
        (">=15GB", 1),
    ],
)
def test_it_says_what_a_create_does_and_takes_nothing(
    desk: Desk, other: Person, gpu: str, gpus: int
) -> None:
    for name, wish in (("a", "2:0"), ("b", "0")):
        desk.lab._containers.claim(
            other,
            desk.lab._creating.check(other, request(name, gpu=wish)),
            desk.lab._creating.limits(other).values,
        )
    before = state_of(desk)
    explained = desk.lab.why(desk.person, gpu, gpus)
    assert state_of(desk) == before
    refusal: CoreError | None = None
    slots: tuple[SlotInfo, ...] = ()
    try:
        slots = desk.lab._containers.claim(
            desk.person,
            desk.lab._creating.check(desk.person, request("c", gpu=gpu, gpus=gpus)),
            desk.lab._creating.limits(desk.person).values,
        ).slots
    except CoreError as error:
        refusal = error
    if refusal is None:
        assert (explained.outcome, explained.code) == ("now", "ok")
        assert all(f"{slot.slot} ({slot.profile})" in explained.message for slot in slots)
        assert explained.instead == explained.obstacles == []
        return
    said = (explained.code, explained.message, explained.hint)
    assert said == (refusal.code, refusal.message, refusal.hint)
    assert explained.outcome == {"no_free_slot": "later"}.get(refusal.code, "never")
    assert (explained.instead[-1].gpu, explained.instead[-1].gpus) == ("none", 1)


def test_who_has_it_until_when_and_what_else(desk: Desk, other: Person) -> None:
    limits = Path(desk.settings.limits)
    limits.write_text(
        limits.read_text().replace(
            "  priority: 10", "  priority: 10\n  max_runtime: 5h\n  gpu_hold_after_stop: 15m"
        )
    )
    desk.lab.why(desk.person, "none")  # from now on it knows who that is, and so the limits
    began = datetime.now(UTC)
    request_a = request("a", gpu="2:0")
    desk.succeed(desk.lab.create_container(desk.person, request_a))
    explained = desk.lab.why(other, "3g.20gb")
    assert (explained.outcome, explained.code) == ("later", "no_free_slot")
    [obstacle] = explained.obstacles
    assert (obstacle.slot, obstacle.profile, obstacle.who) == ("2:0", "3g.20gb", desk.person.name)
    assert obstacle.container is None, "its name is nobody else's business"
    assert desk.lab.why(desk.person, "3g.20gb").obstacles[0].container == "a"
    assert {use.key: (use.limit, use.in_use, use.asked, use.fits) for use in explained.limits} == {
        "max_containers": (3, 0, 1, True),
        "max_slots_per_container": (2, 0, 1, True),
        "max_mig_instances": (2, 0, 1, True),
    }
    assert [each.gpu for each in explained.instead] == ["2g.10gb", "1g.5gb", "whole", "none"]
    assert explained.instead[0].command == (
        "ds01 container create NAME --image IMAGE --gpu 2g.10gb"
    )
    for alternative in explained.instead:
        again = desk.lab.why(other, alternative.gpu, alternative.gpus)
        assert again.outcome == "now", alternative
    assert obstacle.free_at is not None
    assert timedelta(hours=5) <= obstacle.free_at - began <= timedelta(hours=6)
    assert explained.estimate is not None
    assert abs(explained.estimate.at - obstacle.free_at) < timedelta(seconds=5)  # type: ignore[operator]
    assert explained.estimate.certain
    assert "it may run for 5h in all" in explained.estimate.because


def test_a_limit_is_told_with_its_figures(desk: Desk) -> None:
    for name in ("a", "b"):
        desk.create(name, gpu="1g.5gb")
    explained = desk.lab.why(desk.person, "1g.5gb")
    assert (explained.outcome, explained.code, explained.estimate) == (
        "never",
        "limit_reached",
        None,
    )
    [use] = [use for use in explained.limits if not use.fits]
    assert (use.key, use.limit, use.in_use, use.asked) == ("max_mig_instances", 2, 2, 1)
    assert [each.gpu for each in explained.instead] == ["none"]


def test_a_stranger_and_a_cordon_are_named(
    desk: Desk, rig_engine: RigEngine, gpu_machine: Machine, unique_name: str
) -> None:
    uuids = {slot.slot: slot.uuid for slot in desk.lab._driver.inventory().slots}
    devices = docker.types.DeviceRequest(device_ids=[uuids["0"]], capabilities=[["gpu"]])
    stranger = desk.docker.containers.run(
        rig_engine.base_image,
        ["sleep", "300"],
        name=unique_name,
        detach=True,
        device_requests=[devices],
    )
    try:
        root = Person("root", 0, 0, Path("/root"))
        desk.lab.cordon_gpu(root, "1", models.CordonRequest(reason="its fan is loud"))
        explained = desk.lab.why(desk.person, "whole")
    finally:
        stranger.remove(force=True)
    assert explained.outcome == "later"
    assert [(each.slot, each.who, each.container) for each in explained.obstacles] == [
        ("0", "Docker", unique_name),
        ("1", "nobody", None),
    ]
    assert "its fan is loud" in explained.obstacles[1].because
    assert explained.estimate is not None
    assert explained.estimate.at is None


def test_without_docker_or_driver_it_says_so(
    make_desk: Callable[..., Desk], tmp_path: Path, gpu_machine: Machine
) -> None:
    away = make_desk(docker_host=f"unix://{tmp_path}/no-docker.sock")
    explained = away.lab.why(away.person, "1g.5gb")
    assert (explained.outcome, explained.code) == ("later", "docker_unavailable")
    assert explained.message
    assert explained.limits[0].key == "max_containers"
    assert explained.instead == []
    desk = make_desk()
    gpu_machine.sys(init=9)
    explained = desk.lab.why(desk.person, "1g.5gb")
    assert (explained.outcome, explained.code) == ("later", "driver_unavailable")
    assert [each.gpu for each in explained.instead] == ["none"], "CPU only can be had all the same"
    with pytest.raises(InvalidInput):
        desk.lab.why(desk.person, "rubbish")


# ---- a container -------------------------------------------------------------------------------


def test_what_happened_to_a_container(desk: Desk, other: Person) -> None:
    desk.create("demo", gpu="2:0")
    runs = desk.lab.why_container(desk.person, "demo")
    assert (runs.outcome, runs.code) == ("now", "ok")
    assert runs.message == "demo runs on the GPU slot 2:0 (3g.20gb)."
    assert [line.partition(": ")[2] for line in runs.past] == [
        "it got the GPU slot 2:0.",
        "it was made.",
    ]
    desk.lab.stop_container(desk.person, "demo")
    stopped = desk.lab.why_container(desk.person, "demo")
    assert "the GPU slot 2:0 (3g.20gb) is held for it" in stopped.message
    row = desk.lab._ledger.containers()[0]
    with desk.lab._ledger.writing() as connection:
        connection.execute(
            "UPDATE leases SET state = 'released' WHERE claim_id = ?", (row.claim_id,)
        )
    given_back = desk.lab.why_container(desk.person, "demo")
    assert (given_back.outcome, given_back.code) == ("never", "conflict")
    assert "its GPU slot was given back" in given_back.message
    desk.lab.remove_container(desk.person, "demo")
    gone = desk.lab.why_container(desk.person, "demo")
    assert (gone.outcome, gone.code) == ("never", "not_found")
    assert gone.past[-1].endswith("it was removed.")
    with pytest.raises(NotFound):
        desk.lab.why_container(other, "demo")
    with pytest.raises(NotFound):
        desk.lab.why_container(desk.person, "never-was")


def test_a_container_that_waits_is_explained_with_its_wait(desk: Desk, other: Person) -> None:
    desk.create("first", gpu="2:0")
    desk.lab.join_queue(other, request("second", gpu="2:0"))
    explained = desk.lab.why_container(other, "second")
    assert explained.message.startswith("second waits in the queue for its GPU. The slot 2:0 is in")
    assert (explained.outcome, explained.gpu) == ("later", "2:0")
    assert explained.past[0].endswith("it began to wait in the queue for 2:0.")


def test_a_cordon_is_a_part_of_the_past(desk: Desk) -> None:
    desk.create("demo", gpu="2:0")
    root = Person("root", 0, 0, Path("/root"))
    desk.lab.cordon_gpu(root, "2", models.CordonRequest(reason="its fan is loud"))
    told = " ".join(desk.lab.why_container(desk.person, "demo").past)
    assert "GPU 2, which it uses, was taken out of use" in told
    assert "its fan is loud" in told
    desk.lab.uncordon_gpu(root, "2")
    assert "GPU 2 was given back to use" in desk.lab.why_container(desk.person, "demo").past[-1]
