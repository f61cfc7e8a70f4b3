"""The MIG instances of the GPUs as plain values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from ds01_jupyter.core.gpu.geometry import GpuGeometry, Placed
from ds01_jupyter.core.gpu.slots import SlotInfo


@dataclass(frozen=True)
class MigDevice:
    """A MIG device: a compute instance, and what can be given to a container.

    `profile` is `1g.5gb`, or `1c.3g.20gb` where it is only a part of its GPU instance; `slices`
    are its compute slices. `slot` is its name for people. `pids` are its processes.
    """

    uuid: str
    slot: str
    ci: int
    profile: str
    slices: int
    pids: tuple[int, ...] = ()


@dataclass(frozen=True)
class GpuInstance:
    """A GPU instance. `start` is its first memory slice, None where only root may know.

    An instance without a device was left unfinished: it takes its place and cannot be used.
    """

    gi: int
    profile: str
    start: int | None
    devices: tuple[MigDevice, ...] = ()

    @property
    def whole(self) -> bool:
        """Whether one device has all of it, as in every layout that we make."""
        return len(self.devices) == 1 and self.devices[0].profile == self.profile

    @property
    def placed(self) -> Placed:
        """Profile and start; `ValueError` where the start is not known."""
        if self.start is None:
            raise ValueError("the place of this instance is not known")
        return Placed(self.profile, self.start)

    def __str__(self) -> str:
        """`1g.5gb at 3`, `3g.20gb at 4 (unfinished)`."""
        text = self.profile if self.start is None else f"{self.profile} at {self.start}"
        if not self.devices:
            return f"{text} (unfinished)"
        if self.whole:
            return text
        return f"{text} ({', '.join(device.profile for device in self.devices)})"


@dataclass(frozen=True)
class MigGpu:
    """One GPU with its MIG instances.

    `capable`: it knows MIG; `enabled`: MIG mode is on; `pending`: the mode that the next reset
    brings. `geometry` is None where the GPU is not capable. With `exact`, `instances` are all
    that there are, with their places; otherwise (not root) those with devices, without places.
    `problem`: why it does not answer; then nothing else is known.
    """

    index: int
    uuid: str
    name: str
    device_id: int
    capable: bool
    enabled: bool
    pending: bool
    geometry: GpuGeometry | None
    instances: tuple[GpuInstance, ...] = ()
    exact: bool = True
    problem: str | None = None

    @property
    def counts(self) -> Mapping[str, int]:
        """MIG devices by profile, as mig-parted counts them."""
        return Counter(device.profile for item in self.instances for device in item.devices)

    @property
    def contents(self) -> tuple[str, ...]:
        """The instances in words, by their place."""
        ordered = sorted(self.instances, key=lambda item: (item.start or 0, item.gi))
        return tuple(str(item) for item in ordered)


def slot_of(gpu: MigGpu, instance: GpuInstance, device: MigDevice) -> SlotInfo:
    """A device as a slot, as the ledger has it."""
    assert gpu.geometry is not None
    profile = gpu.geometry.profile(instance.profile)
    _, _, number = device.slot.partition(":")
    return SlotInfo(
        slot=device.slot,
        uuid=device.uuid,
        kind="mig",
        profile=device.profile,
        gpu_index=gpu.index,
        gpu_uuid=gpu.uuid,
        memory_total=profile.memory if profile else None,
        share=device.slices / gpu.geometry.compute_slices,
        mig_index=int(number) if number.isdigit() else None,
        gi=instance.gi,
        ci=device.ci,
    )
