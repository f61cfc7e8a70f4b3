"""What a client asks about the queue, and about reservations."""

from __future__ import annotations

from ds01_jupyter.client_answers import part
from ds01_jupyter.client_requests import Requests
from ds01_jupyter.core import models


class WaitingCalls(Requests):
    """A part of `Client`: its methods mirror the API one to one."""

    def queue(self) -> list[models.QueueEntry]:
        """Everybody who waits for slots, in order; then one's own that ended lately."""
        return self._many(models.QueueEntry, "queue")

    def join_queue(self, request: models.ContainerRequest) -> models.QueueEntry:
        """Wait for the slots of a container, which is then made by itself."""
        return self._one(models.QueueEntry, "POST", "queue", body=request.model_dump(mode="json"))

    def queue_entry(self, entry_id: int) -> models.QueueEntry:
        """Where one place in the queue stands."""
        return self._one(models.QueueEntry, "GET", f"queue/{entry_id}")

    def leave_queue(self, entry_id: int) -> None:
        """Leave the queue; a container that is being made already is cancelled."""
        self._send("DELETE", f"queue/{entry_id}")

    def why(self, gpu: str = "any", gpus: int = 1) -> models.Explanation:
        """Whether slots could be had now; if not why, when, and what could be had instead."""
        params = {"gpu": gpu, "gpus": gpus}
        return self._one(models.Explanation, "GET", "why", params=params)

    def why_container(self, name: str) -> models.Explanation:
        """What happened to a container of one's own that is or was."""
        return self._one(models.Explanation, "GET", f"containers/{part(name)}/why")

    # ---- reservations ----------------------------------------------------------------------

    def reservations(self, all: bool = False) -> list[models.Reservation]:  # noqa: A002
        """What is promised to whom, soonest first; with `all` what is over or cancelled, too."""
        params = {"all": "true"} if all else {}
        return self._many(models.Reservation, "reservations", params=params)

    def reservation(self, reservation_id: int) -> models.Reservation:
        """One reservation."""
        return self._one(models.Reservation, "GET", f"reservations/{reservation_id}")

    def reserve(self, request: models.ReservationRequest) -> models.Reservation:
        """Promise slots to a user or a group; for admins."""
        body = request.model_dump(mode="json")
        return self._one(models.Reservation, "POST", "reservations", body=body)

    def cancel_reservation(self, reservation_id: int) -> None:
        """Take a reservation back; for admins."""
        self._send("DELETE", f"reservations/{reservation_id}")
