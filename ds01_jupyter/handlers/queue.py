"""The queue for slots, and why something cannot be had."""

# jupyter_server's `authorized` has no types that mypy could follow
# mypy: disable-error-code="untyped-decorator"

from __future__ import annotations

from jupyter_server.auth.decorator import authorized
from jupyter_server.utils import url_path_join
from tornado import web

from ds01_jupyter.handlers.base import PREFIX, RESOURCE, DS01Handler
from ds01_jupyter.handlers.bodies import container_request

MAX_GPU_TEXT = 400


class QueueHandler(DS01Handler):
    """Everybody who waits."""

    actions = {"GET": "queue.list", "POST": "queue.join"}

    @web.authenticated
    @authorized("read", RESOURCE)
    async def get(self) -> None:
        """Answer a list of `QueueEntry`: who waits, in order, and one's own that ended lately."""
        self.answer(await self.call(lambda lab, person: lab.queue(person)))

    @web.authenticated
    @authorized("write", RESOURCE)
    async def post(self) -> None:
        """Wait for the slots of a `ContainerRequest`; answer 202 with the `QueueEntry`."""
        request = await self.document(container_request)
        entry = await self.call(lambda lab, person: lab.join_queue(person, request))
        self.set_header("Location", url_path_join(self.base_url, PREFIX, "queue", str(entry.id)))
        self.set_status(202)
        self.answer(entry)


class QueueEntryHandler(DS01Handler):
    """One place in the queue."""

    actions = {"GET": "queue.show", "DELETE": "queue.leave"}

    @web.authenticated
    @authorized("read", RESOURCE)
    async def get(self, entry_id: str) -> None:
        """Answer a `QueueEntry`."""
        number = int(entry_id)
        self.answer(await self.call(lambda lab, person: lab.queue_entry(person, number)))

    @web.authenticated
    @authorized("write", RESOURCE)
    async def delete(self, entry_id: str) -> None:
        """Leave the queue; answer 204."""
        number = int(entry_id)
        await self.call(lambda lab, person: lab.leave_queue(person, number))
        self.answer_nothing()


class WhyHandler(DS01Handler):
    """Whether slots could be had now, and if not, why."""

    actions = {"GET": "why"}

    @web.authenticated
    @authorized("read", RESOURCE)
    async def get(self) -> None:
        """Answer the `Explanation` of `?gpu=` (any) and `?gpus=` (1); nothing is taken."""
        gpu = self.get_query_argument("gpu", "any")[:MAX_GPU_TEXT]
        gpus = self.number("gpus", 1, 1, 16)
        self.answer(await self.call(lambda lab, person: lab.why(person, gpu, gpus)))


class ContainerWhyHandler(DS01Handler):
    """What became of a container."""

    actions = {"GET": "container.why"}

    @web.authenticated
    @authorized("read", RESOURCE)
    async def get(self, name: str) -> None:
        """Answer the `Explanation` of a container that is or was: `past` says what happened."""
        self.answer(await self.call(lambda lab, person: lab.why_container(person, name)))


routes = [
    ("queue", QueueHandler),
    ("queue/{entry_id}", QueueEntryHandler),
    ("why", WhyHandler),
    ("containers/{name}/why", ContainerWhyHandler),
]
