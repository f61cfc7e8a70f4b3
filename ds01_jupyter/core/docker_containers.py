"""Containers in Docker's JSON: from a plan to the create call, and from its answers to types."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from ds01_jupyter.core.engine import (
    ContainerDetails,
    ContainerPlan,
    ContainerSummary,
    ContainerUsage,
    GpuDevices,
    Mount,
)
from ds01_jupyter.core.errors import ConfigurationError
from ds01_jupyter.core.models import ContainerLimits

STOP_SIGNAL = "SIGHUP"
"""An interactive bash ignores SIGTERM, so that a stop would take ten seconds; it ends on this."""
STOP_TIMEOUT = 2
NO_GPU = ("", "void", "none")

_FRACTION = re.compile(r"\.(\d{6})\d*")


def create_config(plan: ContainerPlan) -> dict[str, Any]:
    """The body of `POST /containers/create`.

    Raises `ConfigurationError` for a limit of 0 or less: Docker reads 0 as unlimited.
    """
    environment = dict(plan.environment)
    environment["NVIDIA_VISIBLE_DEVICES"] = ",".join(plan.devices) or "void"
    return {
        "Image": plan.image,
        "Hostname": plan.hostname,
        "User": plan.user,
        "Env": [f"{key}={value}" for key, value in environment.items()],
        # One empty word resets the image's entrypoint, so that our command is PID 1.
        "Entrypoint": [""],
        "Cmd": list(plan.command),
        "WorkingDir": plan.working_dir,
        "Labels": dict(plan.labels),
        "Tty": True,
        "OpenStdin": True,
        "StdinOnce": False,
        "StopSignal": STOP_SIGNAL,
        "StopTimeout": STOP_TIMEOUT,
        "HostConfig": _host_config(plan),
    }


def _host_config(plan: ContainerPlan) -> dict[str, Any]:
    host: dict[str, Any] = {
        "Mounts": [
            {
                "Type": "bind",
                "Source": mount.source,
                "Target": mount.target,
                "ReadOnly": mount.read_only,
            }
            for mount in plan.binds
        ],
        "NetworkMode": "bridge",
        "IpcMode": "private",
        "Privileged": False,
        "SecurityOpt": ["no-new-privileges"],
        "GroupAdd": list(plan.groups),
        "RestartPolicy": {"Name": "no"},
        # An init process beside the shell would keep AIME's mlc-open from ever stopping it.
        "Init": False,
        **_limits(plan),
    }
    if plan.devices:
        host["DeviceRequests"] = [
            {"Driver": "", "DeviceIDs": list(plan.devices), "Capabilities": [["gpu"]]}
        ]
    return host


def _limits(plan: ContainerPlan) -> dict[str, Any]:
    given = {
        "cpus": plan.cpus,
        "memory": plan.memory,
        "memory_swap": plan.memory_swap,
        "shm_size": plan.shm_size,
        "pids_limit": plan.pids_limit,
    }
    for key, value in given.items():
        if value is not None and value <= 0:
            raise ConfigurationError(
                f"The limit {key} is {value}, with which no container can run.",
                hint="Your admin should correct it in resource-limits.yaml (null is unlimited).",
                key=key,
                value=value,
            )
    limits: dict[str, Any] = {"PidsLimit": -1 if plan.pids_limit is None else plan.pids_limit}
    if plan.cpus is not None:
        limits["NanoCpus"] = round(plan.cpus * 1e9)
    if plan.memory is not None:
        limits["Memory"] = plan.memory
        # Absent would mean twice the memory.
        limits["MemorySwap"] = -1 if plan.memory_swap is None else plan.memory_swap
    elif plan.memory_swap is not None:
        raise ConfigurationError(
            "memory_swap is limited but memory is not.",
            hint="Your admin should set both or only memory in resource-limits.yaml.",
            memory_swap=plan.memory_swap,
        )
    if plan.shm_size is not None:
        limits["ShmSize"] = plan.shm_size
    if plan.cgroup_parent:
        limits["CgroupParent"] = plan.cgroup_parent
    return limits


def summary(row: Mapping[str, Any]) -> ContainerSummary:
    """A row of `GET /containers/json`."""
    names = row.get("Names") or [""]
    return ContainerSummary(
        id=row["Id"],
        # A link adds a name such as /other/alias; the container's own has one slash.
        full_name=next((n[1:] for n in names if n.count("/") == 1), names[0].lstrip("/")),
        image=row["Image"],
        image_id=row["ImageID"],
        labels=row.get("Labels") or {},
        state=row["State"],
        status=row["Status"],
        created=datetime.fromtimestamp(row["Created"], UTC),
    )


def details(answer: Mapping[str, Any]) -> ContainerDetails:
    """The answer of `GET /containers/{id}/json`."""
    state, config, host = answer["State"], answer["Config"], answer["HostConfig"]
    started = moment(state.get("StartedAt"))
    running = bool(state.get("Running"))
    return ContainerDetails(
        id=answer["Id"],
        full_name=answer["Name"].lstrip("/"),
        image=config["Image"],
        image_id=answer["Image"],
        labels=config.get("Labels") or {},
        state=state["Status"],
        exit_code=None if running or started is None else state.get("ExitCode"),
        problem=state.get("Error") or "",
        created=_required_moment(answer["Created"]),
        started=started,
        finished=moment(state.get("FinishedAt")),
        pid=state.get("Pid") or None,
        user=config.get("User") or "",
        working_dir=config.get("WorkingDir") or "",
        command=tuple(config.get("Cmd") or ()),
        mounts=tuple(
            Mount(
                source=mount.get("Source") or mount.get("Name") or "",
                target=mount["Destination"],
                read_only=not mount.get("RW", True),
            )
            for mount in answer.get("Mounts") or ()
        ),
        environment=environment_of(config),
        devices=devices_of(answer),
        limits=_limits_of(host),
        privileged=bool(host.get("Privileged")),
        network_mode=host.get("NetworkMode") or "",
    )


def _limits_of(host: Mapping[str, Any]) -> ContainerLimits:
    def positive(key: str) -> int | None:
        value = host.get(key)
        return value if isinstance(value, int) and value > 0 else None

    nano = positive("NanoCpus")
    quota, period = positive("CpuQuota"), positive("CpuPeriod") or 100_000
    cpus = nano / 1e9 if nano else quota / period if quota else None
    return ContainerLimits(
        cpus=cpus,
        memory=positive("Memory"),
        memory_swap=positive("MemorySwap"),
        shm_size=positive("ShmSize"),
        pids=positive("PidsLimit"),
        cgroup_parent=host.get("CgroupParent") or None,
    )


def devices_of(answer: Mapping[str, Any]) -> GpuDevices:
    """The GPUs of a container, from the answer of an inspect.

    Three ways lead to one: device requests (`--gpus`, also through CDI), the NVIDIA runtime with
    NVIDIA_VISIBLE_DEVICES, and a device node given by hand.
    """
    host = answer["HostConfig"]
    found: list[str] = []
    for request in host.get("DeviceRequests") or ():
        if not _asks_for_gpus(request):
            continue
        ids = [_plain_device(device) for device in request.get("DeviceIDs") or ()]
        count = request.get("Count") or 0
        if count < 0 or "all" in ids:
            return "all"
        # A mere number gets the first GPUs: that is what Docker's NVIDIA driver does with it.
        found += ids or [str(index) for index in range(count)]
    # The toolkit's other modes are runtimes too: nvidia-cdi, nvidia-legacy.
    if not found and "nvidia" in (host.get("Runtime") or ""):
        environment = environment_of(answer["Config"])
        value = environment.get("NVIDIA_VISIBLE_DEVICES", "").strip()
        named = [device.strip() for device in value.split(",")]
        if "all" in named or (not value and _is_legacy(environment)):
            return "all"
        if value not in NO_GPU:
            found += [device for device in named if device]
    for device in host.get("Devices") or ():
        node = re.fullmatch(r"/dev/nvidia(\d+)", device.get("PathOnHost") or "")
        if node:
            found.append(node[1])
    return tuple(dict.fromkeys(found))


def _is_legacy(environment: Mapping[str, str]) -> bool:
    """Whether the NVIDIA runtime gives everything to an image that does not say what it wants: so
    it does with those of CUDA that are older than the variable."""
    said = "NVIDIA_VISIBLE_DEVICES" in environment or "NVIDIA_REQUIRE_CUDA" in environment
    return "CUDA_VERSION" in environment and not said


def _asks_for_gpus(request: Mapping[str, Any]) -> bool:
    if request.get("Driver") == "cdi":
        return any("nvidia.com/" in device for device in request.get("DeviceIDs") or ())
    if request.get("Driver") == "nvidia":
        return True
    return any("gpu" in alternative for alternative in request.get("Capabilities") or ())


def _plain_device(device: str) -> str:
    return device.partition("=")[2] if device.startswith("nvidia.com/") else device


def environment_of(config: Mapping[str, Any]) -> dict[str, str]:
    """`Env` of a container's or image's configuration as a mapping."""
    pairs = (item.partition("=") for item in config.get("Env") or ())
    return {key: value for key, _, value in pairs}


def usage(answer: Mapping[str, Any]) -> ContainerUsage:
    """What a container has used, from the answer of a `stats`.

    For one that does not run Docker fills in zeros, with no time of reading.
    """
    if moment(answer.get("read")) is None:
        return ContainerUsage(None, None, None)
    cpu = (answer.get("cpu_stats") or {}).get("cpu_usage") or {}
    used, networks = cpu.get("total_usage"), answer.get("networks")
    return ContainerUsage(
        # No process has run without using any: 0 is a kernel that does not count.
        cpu=used / 1e9 if used else None,
        network=None
        if networks is None
        else sum(one["rx_bytes"] + one["tx_bytes"] for one in networks.values()),
        processes=(answer.get("pids_stats") or {}).get("current"),
    )


def moment(text: str | None) -> datetime | None:
    """Docker's time (up to nine digits of a second); None for its year 1, which means never."""
    if not text or text.startswith("0001-"):
        return None
    return datetime.fromisoformat(_FRACTION.sub(r".\1", text))


def _required_moment(text: str) -> datetime:
    return moment(text) or datetime.fromtimestamp(0, UTC)
