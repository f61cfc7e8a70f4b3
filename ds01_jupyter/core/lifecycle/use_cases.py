"""The use cases of the lab that concern a container's time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ds01_jupyter.core import models
from ds01_jupyter.core.identity import Person

if TYPE_CHECKING:
    from ds01_jupyter.core.containers import Containers
    from ds01_jupyter.core.lifecycle.keeper import Keeper
    from ds01_jupyter.core.lifecycle.lives import Lives


class LifecycleUseCases:
    """A part of `Lab`: one method a use case; each takes the person it acts for first."""

    _containers: Containers
    _lives: Lives
    keeper: Keeper
    """Looks after the time of containers; `keeper.once()` does one round now."""

    def notices(self, person: Person, after: int = 0) -> list[models.Notice]:
        """What a person was told after the notice with the number `after`, the newest last."""
        return self._lives.notices(person, after)

    def keep_alive(
        self, person: Person, name: str, request: models.KeepAliveRequest
    ) -> models.Container:
        """Let a container not be stopped for idling for some hours from now."""
        return self._containers.keep_alive(person, name, request.hours)
