"""Promises, and what is there to keep them with: slots, leases with their ends, foreign use.

Values only; `keeping` decides with them which slot is kept for whom.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from ds01_jupyter.core.gpu.slots import SlotInfo

PromiseKind = Literal["slot", "profile", "whole"]


@dataclass(frozen=True)
class Promise:
    """`count` slots for a person (`uid`, named `user`) or a group, from `start` to `end`.

    Times are of the calendar, in UTC. `slot_uuid` and `slot` are set for a named slot, `profile`
    for every kind (`whole` for a whole GPU). From `notice` before the start on, nobody else is
    given what it needs. `first_lease` is set once it has begun: leases of its holder with a higher
    number were made since then and count towards it. `problem` is what its people were last told.
    """

    id: int
    kind: PromiseKind
    profile: str
    count: int
    start: datetime
    end: datetime
    notice: timedelta
    uid: int | None = None
    user: str | None = None
    group: str | None = None
    slot_uuid: str | None = None
    slot: str | None = None
    reason: str = ""
    by: str = ""
    created: datetime | None = None
    cancelled: datetime | None = None
    first_lease: int | None = None
    ended: datetime | None = None
    problem: str | None = None

    @property
    def gpu(self) -> str:
        """What is promised, as a person writes it: `0:1`, `1g.5gb`, `whole`."""
        return self.profile if self.kind != "slot" else (self.slot or "")

    @property
    def who(self) -> str:
        """For whom it is: `anna`, or `the group students`."""
        return self.user if self.user is not None else f"the group {self.group}"

    @property
    def protected_from(self) -> datetime:
        """From when on nobody else is given what it needs."""
        return self.start - self.notice

    def for_person(self, uid: int, group: str | None) -> bool:
        """Whether it is this person's, or of this person's group."""
        return uid == self.uid if self.group is None else group == self.group

    def begun(self, now: datetime) -> bool:
        """Whether its time has come."""
        return self.start <= now

    def fitting(self, slots: Sequence[SlotInfo]) -> list[SlotInfo]:
        """The slots that would do.

        A named slot that is not there any more is the one that has its name now, if that is of the
        same profile: MIG instances have another UUID after every reboot.
        """
        if self.kind != "slot":
            whole = self.kind == "whole"
            return [
                slot
                for slot in slots
                if (slot.kind == "gpu") == whole
                and (whole or slot.profile.lower() == self.profile.lower())
            ]
        exact = [slot for slot in slots if slot.uuid.lower() == (self.slot_uuid or "").lower()]
        return exact or [
            slot for slot in slots if slot.slot == self.slot and slot.profile == self.profile
        ]


@dataclass(frozen=True)
class Occupant:
    """A lease on a slot: whose it is, and when the slot is free again at the latest (None: nobody
    can say). `told` says whether its owner knows that it will be ended for a promise."""

    claim_id: str
    lease_id: int
    slot: SlotInfo
    uid: int
    group: str | None
    owner: str
    name: str
    priority: int
    created: datetime
    ends: datetime | None
    told: bool = False

    def bars(self, slot: SlotInfo) -> bool:
        """Whether a slot cannot be given while this lease lives."""
        return self.slot.bars(slot)


@dataclass(frozen=True)
class Situation:
    """All that the keeping of promises depends on, at one moment.

    `slots` are those that the driver shows. `foreign` names, by slot UUID, who uses a slot without
    a lease; `cordoned` says, by UUID of the GPU, why it is given to nobody.
    """

    now: datetime
    slots: Sequence[SlotInfo]
    promises: Sequence[Promise]
    occupants: Sequence[Occupant] = ()
    foreign: Mapping[str, str] = field(default_factory=dict)
    cordoned: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Asker:
    """Somebody who would take all of the slots `wanted` (UUIDs), all free, until `until` (None:
    nobody can say)."""

    uid: int
    group: str | None
    wanted: Collection[str]
    until: datetime | None = None
