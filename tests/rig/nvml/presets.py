"""Ready-made machines. MIG partitions are those a real GPU of that model can have."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

#: NVML profile id -> (memory slices, compute instance profile) on GPUs with seven compute slices.
_PROFILES = {19: (1, 0), 20: (1, 0), 15: (2, 0), 14: (2, 1), 9: (4, 2), 5: (4, 3), 0: (8, 4)}
#: The same for the A30 with its four slices.
_PROFILES_A30 = {14: (1, 0), 21: (1, 0), 5: (2, 1), 6: (2, 1), 0: (4, 3)}

#: What stands on a MIG GPU: (profile id, first memory slice) of each instance.
Partition = Sequence[tuple[int, int]]
SEVEN: Partition = [(19, start) for start in range(7)]
MIXED: Partition = [(9, 4), (14, 0), (19, 2), (19, 3)]


#: Driver version, NVML version and newest CUDA, as nvmlSystemGetCudaDriverVersion counts it.
CUDA_13 = "driver=580.95.05 nvml=13.580.95.05 cuda=13000"
CUDA_12 = "driver=550.163.01 nvml=12.550.163.01 cuda=12040"


def gpus(
    count: int, model: str, mig: Mapping[int, Partition] | None = None, driver: str = CUDA_13
) -> list[str]:
    """A machine of equal GPUs.

    `mig` names the GPUs with MIG and their partitions; each GPU instance gets one compute instance
    over all of it.
    """
    mig = mig or {}
    lines = [
        f"gpu model={model} mig={int(i in mig)} util={0 if i in mig else 10 + i} mutil=5"
        f" temp={35 + i} power={60000 + 1000 * i} used=2"
        for i in range(count)
    ]
    number = 1  # every instance ever made has its own, so that a handle to an old one is stale
    for gpu, partition in mig.items():
        for profile, start in partition:
            instance, compute = _instance_id(model, profile, start)
            lines.append(f"gi gpu={gpu} id={instance} profile={profile} start={start} n={number}")
            lines.append(
                f"ci gpu={gpu} gi={instance} id=0 profile={compute} start=0 n={number + 1}"
            )
            number += 2
    return [f"sys {driver} next={number}", *lines]


def _instance_id(model: str, profile: int, start: int) -> tuple[int, int]:
    """The GPU instance id that the driver gives to a position, and the compute profile."""
    slices = 4 if model == "a30" else 8
    size, compute = (_PROFILES_A30 if model == "a30" else _PROFILES)[profile]
    # Positions are numbered level by level: the whole, its halves, quarters, eighths.
    return slices // size - 1 + start // size, compute


def lab() -> list[str]:
    """A lab's server: two whole A100s, one cut into 3g+2g+1g+1g, one into seven 1g.

    Its driver is of the CUDA generation that the stand-in AIME images are for.
    """
    return gpus(4, "a100-40", {2: MIXED, 3: SEVEN}, CUDA_12)


def dgx() -> list[str]:
    """Eight H100s without MIG."""
    return gpus(8, "h100-80")


def dgx_mig() -> list[str]:
    """Eight H100s of seven instances each: as many slots as one machine can have."""
    return gpus(8, "h100-80", dict.fromkeys(range(8), SEVEN))


def consumer() -> list[str]:
    """A workstation with one card that knows no MIG."""
    return gpus(1, "rtx3090")


def none() -> list[str]:
    """The library is there, the driver is not (nvmlInit answers DRIVER_NOT_LOADED)."""
    return ["sys init=9"]


PRESETS: dict[str, Callable[[], list[str]]] = {
    "lab": lab,
    "dgx": dgx,
    "dgx-mig": dgx_mig,
    "consumer": consumer,
    "none": none,
}


def preset(name: str, tag: str | None = None) -> list[str]:
    """The lines of a preset; raises KeyError with the known names for any other.

    `tag`, eight hex digits, becomes the beginning of every GPU's UUID. Machines with different
    tags have no UUID in common, those of MIG devices included.
    """
    if name not in PRESETS:
        raise KeyError(f"no machine {name!r}; there are {', '.join(PRESETS)}")
    lines = PRESETS[name]()
    if tag is not None:
        which = [i for i, line in enumerate(lines) if line.startswith("gpu ")]
        for number, i in enumerate(which):
            lines[i] += f" uuid=GPU-{tag}-fa4e-0000-0000-{number:012x}"
    return lines
