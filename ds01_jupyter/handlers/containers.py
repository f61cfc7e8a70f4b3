"""Containers: create, list, start, stop, remove, logs."""

# jupyter_server's `authorized` has no types that mypy could follow
# mypy: disable-error-code="untyped-decorator"

from __future__ import annotations

from jupyter_server.auth.decorator import authorized
from tornado import web

from ds01_jupyter.handlers.base import RESOURCE, DS01Handler
from ds01_jupyter.handlers.bodies import container_request, keep_alive_request

MAX_TAIL = 10_000


class ContainersHandler(DS01Handler):
    """All containers."""

    actions = {"GET": "container.list", "POST": "container.create"}

    @web.authenticated
    @authorized("read", RESOURCE)
    async def get(self) -> None:
        """Answer a list of `Container`: one's own, or everybody's with `?all=true`."""
        everybody = self.flag("all")
        self.answer(await self.call(lambda lab, person: lab.containers(person, everybody)))

    @web.authenticated
    @authorized("write", RESOURCE)
    async def post(self) -> None:
        """Begin to create the container of a `ContainerRequest`; answer 202."""
        request = await self.document(container_request)
        await self.begin(lambda lab, person: lab.create_container(person, request))


class ContainerHandler(DS01Handler):
    """One container."""

    actions = {"GET": "container.show", "DELETE": "container.remove"}

    @web.authenticated
    @authorized("read", RESOURCE)
    async def get(self, name: str) -> None:
        """Answer a `Container`."""
        self.answer(await self.call(lambda lab, person: lab.container(person, name)))

    @web.authenticated
    @authorized("write", RESOURCE)
    async def delete(self, name: str) -> None:
        """Remove a stopped container; its workspace stays. Answer 204."""
        await self.call(lambda lab, person: lab.remove_container(person, name))
        self.answer_nothing()


class ContainerStartHandler(DS01Handler):
    """Start a container."""

    actions = {"POST": "container.start"}

    @web.authenticated
    @authorized("write", RESOURCE)
    async def post(self, name: str) -> None:
        """Start a stopped container on the slots it holds; answer the `Container`."""
        self.answer(await self.call(lambda lab, person: lab.start_container(person, name)))


class ContainerStopHandler(DS01Handler):
    """Stop a container."""

    actions = {"POST": "container.stop"}

    @web.authenticated
    @authorized("write", RESOURCE)
    async def post(self, name: str) -> None:
        """Stop a container, which keeps its slots; answer the `Container`."""
        self.answer(await self.call(lambda lab, person: lab.stop_container(person, name)))


class ContainerKeepAliveHandler(DS01Handler):
    """Put an idle stop off."""

    actions = {"POST": "container.keep_alive"}

    @web.authenticated
    @authorized("write", RESOURCE)
    async def post(self, name: str) -> None:
        """Keep a container of a `KeepAliveRequest` (or none) alive; answer the `Container`."""
        request = await self.document(keep_alive_request)
        self.answer(await self.call(lambda lab, person: lab.keep_alive(person, name, request)))


class ContainerRecreateHandler(DS01Handler):
    """Make a container anew."""

    actions = {"POST": "container.recreate"}

    @web.authenticated
    @authorized("write", RESOURCE)
    async def post(self, name: str) -> None:
        """Begin to make a container anew from its image as it is now; answer 202."""
        await self.begin(lambda lab, person: lab.recreate_container(person, name))


class ContainerLogsHandler(DS01Handler):
    """What a container printed."""

    actions = {"GET": "container.logs"}

    @web.authenticated
    @authorized("read", RESOURCE)
    async def get(self, name: str) -> None:
        """Answer `Logs` with the last `?tail=` lines (200)."""
        tail = self.number("tail", 200, 1, MAX_TAIL)
        self.answer(await self.call(lambda lab, person: lab.container_logs(person, name, tail)))


routes = [
    ("containers", ContainersHandler),
    ("containers/{name}", ContainerHandler),
    ("containers/{name}/start", ContainerStartHandler),
    ("containers/{name}/stop", ContainerStopHandler),
    ("containers/{name}/keep-alive", ContainerKeepAliveHandler),
    ("containers/{name}/recreate", ContainerRecreateHandler),
    ("containers/{name}/logs", ContainerLogsHandler),
]
