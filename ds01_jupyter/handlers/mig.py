"""The MIG layout of the machine: show it, plan another, apply it."""

# jupyter_server's `authorized` has no types that mypy could follow
# mypy: disable-error-code="untyped-decorator"

from __future__ import annotations

from jupyter_server.auth.decorator import authorized
from tornado import web

from ds01_jupyter.handlers.base import RESOURCE, DS01Handler
from ds01_jupyter.handlers.bodies import mig_layout_request


class MigHandler(DS01Handler):
    """The present layout."""

    actions = {"GET": "mig.show"}

    @web.authenticated
    @authorized("read", RESOURCE)
    async def get(self) -> None:
        """Answer a `MigLayout`."""
        self.answer(await self.call(lambda lab, person: lab.mig_layout(person)))


class MigPlanHandler(DS01Handler):
    """A layout against the machine."""

    actions = {"POST": "mig.plan.preview"}

    @web.authenticated
    @authorized("write", RESOURCE)
    async def post(self) -> None:
        """Answer the `MigPlan` of a `MigLayoutRequest`; nothing is changed."""
        request = await self.document(mig_layout_request)
        self.answer(await self.call(lambda lab, person: lab.plan_mig(person, request)))


class MigApplyHandler(DS01Handler):
    """A new layout."""

    actions = {"POST": "mig.apply"}

    @web.authenticated
    @authorized("write", RESOURCE)
    async def post(self) -> None:
        """Begin to make the machine as a `MigLayoutRequest` says; answer 202."""
        request = await self.document(mig_layout_request)
        await self.begin(lambda lab, person: lab.apply_mig(person, request))


routes = [
    ("mig", MigHandler),
    ("mig/plan", MigPlanHandler),
    ("mig/apply", MigApplyHandler),
]
