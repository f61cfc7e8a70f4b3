"""The use cases of the lab that concern reservations."""

from __future__ import annotations


class ReservationUseCases:
    """A part of `Lab`: one method a use case; each takes the person it acts for first."""
