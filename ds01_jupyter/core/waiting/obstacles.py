"""The slots that would do and cannot be had now: who has them, and what frees them when."""

from __future__ import annotations

import sqlite3
from datetime import datetime

from ds01_jupyter.core import ledger_cordons
from ds01_jupyter.core.clock import Moment
from ds01_jupyter.core.gpu.sharing import in_force, user_of
from ds01_jupyter.core.gpu.slots import SlotInfo
from ds01_jupyter.core.waiting.assign import Scene, Waiter
from ds01_jupyter.core.waiting.documents import Obstacle
from ds01_jupyter.core.waiting.fence import QueueFence
from ds01_jupyter.core.waiting.forecast import Forecast
from ds01_jupyter.core.waiting.machine import Sight
from ds01_jupyter.core.waiting.scene import Stage, asking


def obstacles(
    connection: sqlite3.Connection,
    stage: Stage,
    forecast: Forecast,
    scene: Scene,
    sight: Sight,
    asker: Waiter,
    now: Moment,
) -> list[Obstacle]:
    """Every slot that would do for somebody who asks now and that this person cannot have.

    Names of containers are shown to their owners only, and those of plain Docker to everybody.
    """
    freeing = forecast.freeing(connection, scene, now)
    cordoned = ledger_cordons.cordoned(connection, stage.host)
    fenced = QueueFence(stage, _At(now)).fence(
        connection, asking(asker, now.wall), scene.slots, scene.free
    )
    allowed = {slot.uuid for slot in fenced.allowed}
    found: list[Obstacle] = []
    for slot in sorted(in_force(sight.slots, scene.leases), key=lambda slot: slot.order):
        if slot.uuid in allowed or not asker.request.matches(slot):
            continue
        lease = next((each for each in scene.leases if each.info.bars(slot)), None)
        if lease is not None:
            end = freeing[lease.slot_uuid]
            mine = lease.uid == asker.uid
            found.append(
                _obstacle(slot, lease.owner, end.at, end.because, lease.name if mine else None)
            )
        elif (user := user_of(slot, sight.foreign)) is not None:
            words = "ds01 did not make it: its owner has to stop it"
            found.append(_obstacle(slot, "Docker", None, words, user))
        elif slot.gpu_uuid in cordoned:
            reason = cordoned[slot.gpu_uuid].reason.rstrip(".")
            words = f"GPU {slot.gpu_index} is out of use: {reason}"
            found.append(_obstacle(slot, "nobody", None, words))
        else:
            whose = fenced.kept.get(slot.uuid, "others")
            found.append(_obstacle(slot, whose, None, "it is free, and kept"))
    return found


def _obstacle(
    slot: SlotInfo, who: str, free_at: datetime | None, because: str, container: str | None = None
) -> Obstacle:
    return Obstacle(
        slot=slot.slot,
        profile=slot.profile,
        who=who,
        container=container,
        free_at=free_at,
        because=because,
    )


class _At:
    """A clock that stands still."""

    def __init__(self, now: Moment) -> None:
        self._now = now

    def now(self) -> Moment:
        """The moment."""
        return self._now
