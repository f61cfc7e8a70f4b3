"""The use cases of the lab that concern reservations."""

from __future__ import annotations

from ds01_jupyter.core.identity import Person
from ds01_jupyter.core.reservations.documents import Reservation, ReservationRequest
from ds01_jupyter.core.reservations.service import Reservations


class ReservationUseCases:
    """A part of `Lab`: one method a use case; each takes the person it acts for first."""

    _reservations: Reservations

    def reservations(self, person: Person, everything: bool = False) -> list[Reservation]:
        """What is promised to whom, soonest first; with `everything` what is over, too. Everybody
        may look."""
        return self._reservations.all(everything=everything)

    def reservation(self, person: Person, number: int) -> Reservation:
        """One reservation."""
        return self._reservations.get(number)

    def reserve(self, person: Person, request: ReservationRequest) -> Reservation:
        """Promise slots to a user or a group; for admins. See `Reservations.book` for refusals."""
        return self._reservations.book(person, request)

    def cancel_reservation(self, person: Person, number: int) -> None:
        """Take a reservation back; for admins."""
        self._reservations.cancel(person, number)
