"""One build of a name at a time, and what a killed one leaves goes with the next."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ds01_jupyter.core import models
from ds01_jupyter.core.build_names import BUILDING, sweep, temporary_name
from ds01_jupyter.core.builder import quietly
from ds01_jupyter.core.engine import BuildPlan, Silent
from ds01_jupyter.core.errors import Conflict, CoreError
from tests.engine import image_lab
from tests.engine.conftest import Desk
from tests.engine.image_lab import ARCHITECTURE, Heard, ImageLab
from tests.rig.fixtures import RigEngine

pytestmark = pytest.mark.engine

FRAMEWORK = {"framework": "Pytorch", "version": "2.5.1"}


@pytest.fixture
def lab(rig_engine: RigEngine, tmp_path: Path, unique_name: str) -> Iterator[ImageLab]:
    found = ImageLab(rig_engine, tmp_path, unique_name)
    yield found
    for reference in unfinished(found):
        found.engine.remove_image(reference, force=True)
    found.clean()


def unfinished(lab: ImageLab) -> list[str]:
    """Temporary names of builds of this lab's ledger."""
    start = f"{BUILDING}:{lab.ledger.mark}-"
    return [
        reference
        for image in lab.engine.list_images()
        for reference in image.references
        if reference.startswith(start)
    ]


def request(name: str) -> models.ImageRequest:
    return models.ImageRequest.model_validate({"name": name, "base": "none", **FRAMEWORK})


def test_of_eight_requests_for_one_name_seven_are_refused_at_once(
    make_desk: Callable[..., Desk],
) -> None:
    desk = make_desk(parallel_builds=1)
    # Nothing is built before all have asked: refusals come with the request, not with the work.
    with desk.lab._build_queue.turn(desk.person, "something else", Silent()):
        again = ask_eight_times(desk)
    desk.succeed(again)
    # When it has ended, well or not, it can be built anew.
    failed = desk.lab.create_image(
        desk.person, request("i").model_copy(update={"pip": ["torch==1.0"]})
    )
    assert desk.finish(failed).state == "failed"
    desk.succeed(desk.lab.create_image(desk.person, request("i")))


def ask_eight_times(desk: Desk) -> models.Operation:
    """The one of nine requests for a name that is not refused nor cancelled."""
    barrier = threading.Barrier(8)

    def ask(_: int) -> models.Operation | CoreError:
        barrier.wait()
        try:
            return desk.lab.create_image(desk.person, request("i"))
        except CoreError as error:
            return error

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(ask, range(8)))
    begun = [answer for answer in answers if isinstance(answer, models.Operation)]
    refused = [answer for answer in answers if isinstance(answer, Conflict)]
    assert (len(begun), len(refused)) == (1, 7)
    assert {error.status for error in refused} == {409}
    assert all("being built already" in error.message and error.hint for error in refused)

    # Another name is another matter, and a cancel before it began gives the name back.
    other = desk.lab.create_image(desk.person, request("j"))
    for operation in (*begun, other):
        desk.lab.cancel_operation(desk.person, operation.id)
    return desk.lab.create_image(desk.person, request("i"))


def test_what_cannot_be_begun_gives_the_name_back(desk: Desk) -> None:
    desk.lab._operations.close()
    for _ in range(2):
        with pytest.raises(CoreError, match="stopping"):
            desk.lab.create_image(desk.person, request("i"))


def build_and_die(host: str, folder: str, name: str) -> None:
    """In a process of its own: killed when the image is there under its temporary name."""

    class Deadly(Heard):
        def step(self, phase: str, fraction: float | None = None, detail: str = "") -> None:
            if phase == "check":
                os.kill(os.getpid(), signal.SIGKILL)

    image_lab._uids = itertools.count(1_710_000_000)  # the parent has the first one's home
    lab = ImageLab(RigHost(host), Path(folder), name)  # type: ignore[arg-type]
    lab.images.create(lab.person, lab.request(), ARCHITECTURE, Deadly())


class RigHost:
    """As much of the rig as a child needs; its engine is this process's."""

    base_image = RigEngine.base_image
    tensorflow_image = RigEngine.tensorflow_image

    def __init__(self, docker_host: str) -> None:
        self.docker_host = docker_host


def test_what_a_killed_build_left_goes_with_the_next(lab: ImageLab) -> None:
    child = multiprocessing.get_context("spawn").Process(
        target=build_and_die, args=(lab.rig.docker_host, str(lab.folder), lab.name)
    )
    child.start()
    child.join()
    assert child.exitcode == -signal.SIGKILL
    assert len(unfinished(lab)) == 1

    image = lab.create()
    assert unfinished(lab) == []
    assert lab.engine.image(image.reference) is not None


def test_only_names_of_certainly_dead_builds_are_swept(lab: ImageLab) -> None:
    def tag(reference: str) -> str:
        lab.engine.tag(lab.rig.base_image, reference)
        return reference

    alive = temporary_name(lab.ledger.mark)
    mark, boot, namespace, pid, ticks, random = alive.partition(":")[2].split("-")

    def name(*words: str) -> str:
        return f"{BUILDING}:{'-'.join(words)}"

    kept = [
        tag(alive),
        tag(name(mark, boot, str(int(namespace) + 1), pid, "1", random)),  # cannot be looked up
        tag(name("0" * 16, "0" * 32, namespace, pid, ticks, random)),  # another ledger's
        tag(f"{BUILDING}:{lab.name}"),
        tag(f"{lab.name}:{'-'.join((mark, '0' * 32, namespace, pid, ticks, random))}"),
    ]
    gone = [
        tag(name(mark, boot, namespace, pid, str(int(ticks) + 1), random)),  # its pid is ours now
        tag(name(mark, "0" * 32, namespace, pid, ticks, random)),  # before the last boot
    ]
    try:
        assert sorted(sweep(lab.engine, lab.ledger.mark)) == sorted(gone)
        present = [ref for image in lab.engine.list_images() for ref in image.references]
        assert set(kept) <= set(present)
        assert lab.engine.image(lab.rig.base_image) is not None, "it has another name"
        assert sweep(lab.engine, lab.ledger.mark) == []
    finally:
        for reference in (*kept, *gone):
            quietly(lab.engine.remove_image, reference)


def test_a_temporary_name_is_one_that_docker_takes(lab: ImageLab) -> None:
    name = temporary_name(lab.ledger.mark)
    assert len(name.partition(":")[2]) <= 128
    assert name != temporary_name(lab.ledger.mark)
    plan = BuildPlan({"Dockerfile": f"FROM {lab.rig.base_image}\n".encode()}, name)
    lab.engine.build(plan, Silent())
    assert unfinished(lab) == [name]
