"""A source of documents for the tests of the views: it remembers what it was asked.

The views are tested against the real client and server in tests/browser. Here it matters what
they do with each answer and each refusal, which a real server does not give on demand.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from ds01_jupyter.client_error import ClientError
from ds01_jupyter.core import models
from ds01_jupyter.core.catalogue import CatalogueFile
from ds01_jupyter.core.packages import TierFile
from ds01_jupyter.core.settings import DATA
from tests.unit.image_documents import build, diff, package, resolution
from tests.unit.queue_documents import entry, explanation

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
GIB = 2**30


def slot(name: str, profile: str = "1g.5gb", state: Any = "free", **values: Any) -> models.Slot:
    """A slot; `whole` as profile makes it a GPU."""
    return models.Slot(
        **{
            "slot": name,
            "uuid": f"UUID-{name}",
            "kind": "gpu" if profile == "whole" else "mig",
            "profile": profile,
            "memory_total": 5 * GIB,
            "memory_used": 0,
            "utilisation": None,
            "state": state,
            **values,
        }
    )


def gpu(index: int, *slots: models.Slot, **values: Any) -> models.Gpu:
    """A GPU with these slots."""
    return models.Gpu(
        **{
            "index": index,
            "uuid": f"GPU-{index}",
            "name": "NVIDIA A100-SXM4-40GB",
            "mig": len(slots) > 1,
            "memory_total": 40 * GIB,
            "memory_used": 10 * GIB,
            "utilisation": 0.5,
            "temperature": 41,
            "power": 99.6,
            "slots": list(slots),
            **values,
        }
    )


def snapshot(*gpus: models.Gpu, **values: Any) -> models.GpuSnapshot:
    """A machine with these GPUs."""
    return models.GpuSnapshot(
        **{"taken": NOW, "host": "gpu1", "driver": "580", "gpus": list(gpus), **values}
    )


def lease(owner: str, container: str, state: Any = "active") -> models.LeaseView:
    """Somebody's lease."""
    return models.LeaseView(owner=owner, container=container, state=state, since=NOW)


def image(name: str, **values: Any) -> models.Image:
    """An image of alice's."""
    return models.Image(
        **{
            "name": name,
            "reference": f"{name}-alice:latest",
            "id": "sha256:1",
            "managed": True,
            "owner": "alice",
            "framework": "Pytorch-2.8.0",
            "base_image": "aimehub/x",
            "created": NOW,
            "size": 3 * GIB,
            **values,
        }
    )


def container(name: str, state: str = "running", **values: Any) -> models.Container:
    """A container of alice's."""
    return models.Container(
        **{
            "name": name,
            "full_name": f"{name}._.1000",
            "id": "c1",
            "managed": True,
            "owner": "alice",
            "state": state,
            "status": "",
            "image": f"{name}-alice:latest",
            "framework": None,
            "gpus": [models.SlotReference(slot="2:1", uuid="U", profile="1g.5gb")],
            "workspace": f"/home/alice/workspace/{name}",
            "created": NOW,
            "made_by": "ds01",
            "limits": models.ContainerLimits(
                cpus=4, memory=8 * GIB, memory_swap=None, shm_size=GIB, pids=None,
                cgroup_parent=None,
            ),
            **values,
        }
    )  # fmt: skip


def limits(containers: int = 0, **values: Any) -> models.LimitsReport:
    """Alice's limits."""
    given = {
        "group": "student", "priority": 10, "max_cpus": 16, "memory": 32 * GIB,
        "memory_swap": None, "shm_size": 16 * GIB, "pids_limit": 4096, "max_containers": 3,
        "max_mig_instances": 2, "max_slots_per_container": 1, "cgroup_parent": "ds01-student.slice",
        **values,
    }  # fmt: skip
    return models.LimitsReport(
        user="alice",
        limits=models.LimitValues(**given),
        usage=models.Usage(containers=containers, slots=0),
        source="limits.yaml",
    )


def refusal(message: str, code: str = "invalid_input", **details: Any) -> ClientError:
    """What the client raises."""
    return ClientError(message, hint="Do this next.", code=code, status=400, details=details)


def resolved(request: models.ImageRequest) -> models.Resolution:
    """All of one's own packages are new, and can be had."""
    return models.Resolution.model_validate(resolution(*(package(text) for text in request.pip)))


class ScriptedSource:
    """Answers from its attributes; `refuse[method]` is raised instead, `asked` remembers."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Any]] = []
        self.refuse: dict[str, Exception] = {}
        self.threads: set[str] = set()
        self.machine = snapshot(gpu(0, slot("0", "whole")), gpu(2, slot("2:0"), slot("2:1")))
        self.own_images: list[models.Image] = []
        self.own_containers: dict[str, models.Container] = {}
        self.report = limits()
        self.state: Any = "new"
        self.script: list[dict[str, Any]] = []
        self.ending: Any = "succeeded"
        self.error: models.ErrorDocument | None = None
        self.pause: Callable[[], None] = lambda: None
        self.cancelled = threading.Event()
        self.kind: Any = "image.create"
        self.told = explanation()
        self.waiting: list[models.QueueEntry] = []
        self.promised: list[models.Reservation] = []
        self.result: dict[str, Any] | None = None
        self.resolution: Callable[[models.ImageRequest], models.Resolution] = resolved
        self.kept_until: datetime | None = NOW + timedelta(hours=24)

    def _ask(self, method: str, argument: Any = None) -> None:
        self.asked.append((method, argument))
        self.threads.add(threading.current_thread().name)
        if method in self.refuse:
            raise self.refuse[method]

    def requests(self, method: str) -> list[Any]:
        """What was asked of `method`."""
        return [argument for name, argument in self.asked if name == method]

    def about(self) -> models.About:
        self._ask("about")
        there = models.Availability(available=True)
        return models.About(
            version="1", user="alice", uid=1000, host="gpu1", docker=there, gpu=there
        )

    def catalogue(self, architecture: str | None = None) -> models.Catalogue:
        self._ask("catalogue", architecture)
        file = CatalogueFile.load(DATA / "ml_images.repo")
        how: Any = "request" if architecture else "driver"
        return file.document(architecture or "CUDA_ADA", how, lambda name: "2.5.1" in name)

    def packages(self) -> models.Tiers:
        self._ask("packages")
        return TierFile.load(DATA / "tiers.yaml").document()

    def limits(self) -> models.LimitsReport:
        self._ask("limits")
        return self.report

    def gpus(self) -> models.GpuSnapshot:
        self._ask("gpus")
        return self.machine

    def images(self) -> Sequence[models.Image]:
        self._ask("images")
        return list(self.own_images)

    def preview_dockerfile(self, request: models.ImageRequest) -> models.DockerfilePreview:
        self._ask("preview_dockerfile", request)
        return models.DockerfilePreview(
            path=f"/home/alice/dockerfiles/{request.name}.Dockerfile",
            dockerfile=f"# <b>{request.name}</b>\nFROM aimehub/x\n",
            files={"tier-custom.txt": "\n".join(request.pip)},
            base_image="aimehub/x",
            state=self.state,
        )

    def create_image(self, request: models.ImageRequest) -> models.Operation:
        self._ask("create_image", request)
        self.kind = "image.create"
        self.own_images.append(image(request.name))
        return self.operation("op")

    def image(self, name: str) -> models.Image:
        self._ask("image", name)
        return next(one for one in self.own_images if one.name == name)

    def image_dockerfile(self, name: str) -> models.DockerfilePreview:
        self._ask("image_dockerfile", name)
        return models.DockerfilePreview(
            path=f"/home/alice/dockerfiles/{name}.Dockerfile", dockerfile="FROM x\n", files={},
            base_image="aimehub/x", state=self.state,
        )  # fmt: skip

    def resolve_image(self, request: models.ImageRequest) -> models.Resolution:
        self._ask("resolve_image", request)
        return self.resolution(request)

    def import_packages(
        self, filename: str, text: str, extras: Sequence[str] = ()
    ) -> models.ImageImport:
        self._ask("import_packages", (filename, text))
        note = models.ImportNote(line=3, text="-e <b>.", why="An option.", suggestion="six")
        return models.ImageImport(
            source="requirements", pip=text.split(), apt=["git"], notes=[note]
        )

    def update_image(self, name: str, changes: models.ImageUpdateRequest) -> models.Operation:
        self._ask("update_image", changes)
        self.kind = "image.update"
        at = next(n for n, one in enumerate(self.own_images) if one.name == name)
        before = self.own_images[at]
        self.own_images[at] = before.model_copy(update={"build": (before.build or 0) + 1})
        self.result = self.own_images[at].model_dump(mode="json")
        return self.operation("op")

    def image_builds(self, name: str) -> Sequence[models.ImageBuild]:
        self._ask("image_builds", name)
        present = self.image(name).build or 1
        return [
            models.ImageBuild.model_validate(build(number, number == present)) for number in (2, 1)
        ]

    def image_diff(
        self, name: str, before: int | None = None, after: int | None = None
    ) -> models.ImageDiff:
        self._ask("image_diff", (before, after))
        return models.ImageDiff.model_validate(diff(before or 1, after or 2))

    def rollback_image(self, name: str, to: int | None = None) -> models.Image:
        self._ask("rollback_image", to)
        return self.image(name).model_copy(update={"build": to})

    def recreate_container(self, name: str) -> models.Operation:
        self._ask("recreate_container", name)
        self.kind = "container.recreate"
        return self.operation("op")

    def containers(self) -> Sequence[models.Container]:
        self._ask("containers")
        return list(self.own_containers.values())

    def container(self, name: str) -> models.Container:
        self._ask("container", name)
        return self.own_containers[name]

    def create_container(self, request: models.ContainerRequest) -> models.Operation:
        self._ask("create_container", request)
        self.kind = "container.create"
        self.own_containers[request.name] = container(request.name)
        return self.operation("op")

    def start_container(self, name: str) -> models.Container:
        self._ask("start_container", name)
        self.own_containers[name] = container(name)
        return self.own_containers[name]

    def stop_container(self, name: str) -> models.Container:
        self._ask("stop_container", name)
        self.own_containers[name] = container(name, "exited")
        return self.own_containers[name]

    def remove_container(self, name: str) -> None:
        self._ask("remove_container", name)
        del self.own_containers[name]

    def keep_alive(self, name: str, hours: float | None = None) -> models.Container:
        self._ask("keep_alive", (name, hours))
        before = self.own_containers[name]
        assert before.life is not None
        life = before.life.model_copy(update={"keep_alive_until": self.kept_until})
        self.own_containers[name] = before.model_copy(update={"life": life})
        # Like the server: what only the view of one container has is not in this answer.
        return self.own_containers[name].model_copy(update={"limits": None})

    def container_logs(self, name: str, tail: int = 200) -> models.Logs:
        self._ask("container_logs", name)
        return models.Logs(text="<i>hello</i>\n")

    def why(self, gpu: str = "any", gpus: int = 1) -> models.Explanation:
        self._ask("why", (gpu, gpus))
        return self.told.model_copy(update={"gpu": gpu, "gpus": gpus})

    def why_container(self, name: str) -> models.Explanation:
        self._ask("why_container", name)
        return self.told

    def queue(self) -> Sequence[models.QueueEntry]:
        self._ask("queue")
        return list(self.waiting)

    def join_queue(self, request: models.ContainerRequest) -> models.QueueEntry:
        self._ask("join_queue", request)
        self.waiting = [entry(name=request.name, gpu=request.gpu, gpus=request.gpus)]
        return self.waiting[0]

    def queue_entry(self, entry_id: int) -> models.QueueEntry:
        self._ask("queue_entry", entry_id)
        return next(each for each in self.waiting if each.id == entry_id)

    def leave_queue(self, entry_id: int) -> None:
        self._ask("leave_queue", entry_id)
        self.waiting = [each for each in self.waiting if each.id != entry_id]

    def reservations(self, all: bool = False) -> Sequence[models.Reservation]:  # noqa: A002
        self._ask("reservations", all)
        return list(self.promised)

    def operation(self, operation_id: str) -> models.Operation:
        self._ask("operation", operation_id)
        return models.Operation(
            id=operation_id,
            kind=self.kind,
            title="Build the image x",
            owner="alice",
            state=self.ending,
            created=NOW,
            error=self.error,
            result=self.result,
        )

    def cancel_operation(self, operation_id: str) -> models.Operation:
        self._ask("cancel_operation", operation_id)
        self.ending = "cancelled"
        self.cancelled.set()
        return self.operation(operation_id)

    def events(self, operation_id: str, after: int = 0) -> Iterator[models.OperationEvent]:
        self._ask("events", after)
        for number, values in enumerate(self.script, start=1):
            if number > after:
                yield models.OperationEvent(id=number, time=NOW, **values)
        self.pause()
        last = max(after, len(self.script)) + 1
        yield models.OperationEvent(id=last, time=NOW, kind="state", state=self.ending)
