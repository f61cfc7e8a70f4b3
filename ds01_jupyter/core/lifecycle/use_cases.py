"""The use cases of the lab that concern a container's time."""

from __future__ import annotations


class LifecycleUseCases:
    """A part of `Lab`: one method a use case; each takes the person it acts for first."""
