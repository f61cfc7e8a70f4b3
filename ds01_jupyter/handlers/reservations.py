"""Reservations: list, look, book, cancel."""

# jupyter_server's `authorized` has no types that mypy could follow
# mypy: disable-error-code="untyped-decorator"

from __future__ import annotations

from jupyter_server.auth.decorator import authorized
from tornado import web

from ds01_jupyter.handlers.base import RESOURCE, DS01Handler
from ds01_jupyter.handlers.bodies import reservation_request


class ReservationsHandler(DS01Handler):
    """All that is promised."""

    actions = {"GET": "reservation.list", "POST": "reservation.book"}

    @web.authenticated
    @authorized("read", RESOURCE)
    async def get(self) -> None:
        """Answer a list of `Reservation`, soonest first: those that stand, or with `?all=true`
        those that are over or were cancelled, too."""
        everything = self.flag("all")
        self.answer(await self.call(lambda lab, person: lab.reservations(person, everything)))

    @web.authenticated
    @authorized("write", RESOURCE)
    async def post(self) -> None:
        """Book a `ReservationRequest`; answer 201 with the `Reservation`. For admins."""
        request = await self.document(reservation_request)
        self._subject = f"{request.gpu} for {request.user or request.group}"[:200]
        reservation = await self.call(lambda lab, person: lab.reserve(person, request))
        self._subject = str(reservation.id)
        self.set_status(201)
        self.finish(reservation.model_dump_json())


class ReservationHandler(DS01Handler):
    """One reservation."""

    actions = {"GET": "reservation.show", "DELETE": "reservation.cancel"}

    @web.authenticated
    @authorized("read", RESOURCE)
    async def get(self, reservation_id: str) -> None:
        """Answer a `Reservation`."""
        number = int(reservation_id)
        self.answer(await self.call(lambda lab, person: lab.reservation(person, number)))

    @web.authenticated
    @authorized("write", RESOURCE)
    async def delete(self, reservation_id: str) -> None:
        """Cancel it; answer 204. For admins."""
        number = int(reservation_id)
        await self.call(lambda lab, person: lab.cancel_reservation(person, number))
        self.answer_nothing()


routes = [
    ("reservations", ReservationsHandler),
    ("reservations/{reservation_id}", ReservationHandler),
]
