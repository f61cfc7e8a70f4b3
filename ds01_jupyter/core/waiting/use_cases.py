"""The use cases of the lab that concern the queue and explanations."""

from __future__ import annotations


class WaitingUseCases:
    """A part of `Lab`: one method a use case; each takes the person it acts for first."""
