"""From a plan to Docker's JSON, and back."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ds01_jupyter.core.docker_containers import create_config, devices_of, moment
from ds01_jupyter.core.engine import ContainerPlan, GpuDevices, Mount
from ds01_jupyter.core.errors import ConfigurationError

PLAN = ContainerPlan(
    full_name="x._.7",
    image="lab-ada:latest",
    labels={"aime.mlc": "ada"},
    user="7:8",
    command=("/bin/bash",),
    binds=(Mount("/home/ada/workspace/x", "/workspace"), Mount("/data", "/data", True)),
)


def test_f11_b27_never_privileged_and_no_namespace_of_the_host() -> None:
    host = create_config(PLAN)["HostConfig"]
    assert host["Privileged"] is False
    assert host["NetworkMode"] == "bridge"
    assert host["IpcMode"] == "private"
    assert "PidMode" not in host
    assert host["SecurityOpt"] == ["no-new-privileges"]
    assert host["RestartPolicy"] == {"Name": "no"}
    assert not host["Init"]


def test_our_command_is_the_only_process_and_ends_on_its_stop_signal() -> None:
    config = create_config(PLAN)
    assert config["Entrypoint"] == [""]
    assert config["Cmd"] == ["/bin/bash"]
    assert (config["Tty"], config["OpenStdin"]) == (True, True)
    assert (config["StopSignal"], config["StopTimeout"]) == ("SIGHUP", 2)


def test_without_devices_there_is_no_gpu_at_all() -> None:
    config = create_config(replace(PLAN, environment={"NVIDIA_VISIBLE_DEVICES": "all"}))
    assert config["Env"] == ["NVIDIA_VISIBLE_DEVICES=void"]
    assert "DeviceRequests" not in config["HostConfig"]


def test_f9_devices_are_asked_for_by_uuid() -> None:
    config = create_config(replace(PLAN, devices=("MIG-1", "MIG-2")))
    assert config["Env"] == ["NVIDIA_VISIBLE_DEVICES=MIG-1,MIG-2"]
    assert config["HostConfig"]["DeviceRequests"] == [
        {"Driver": "", "DeviceIDs": ["MIG-1", "MIG-2"], "Capabilities": [["gpu"]]}
    ]


def test_mounts_are_binds_that_fail_when_the_source_is_missing() -> None:
    mounts = create_config(PLAN)["HostConfig"]["Mounts"]
    assert [m["Type"] for m in mounts] == ["bind", "bind"]
    assert [m["ReadOnly"] for m in mounts] == [False, True]
    assert all("BindOptions" not in m for m in mounts)


def test_limits_as_docker_counts_them() -> None:
    plan = replace(
        PLAN,
        cpus=1.5,
        memory=2**30,
        memory_swap=2**31,
        shm_size=2**26,
        pids_limit=99,
        cgroup_parent="ds01-student.slice",
    )
    host = create_config(plan)["HostConfig"]
    assert host["NanoCpus"] == 1_500_000_000
    assert (host["Memory"], host["MemorySwap"], host["ShmSize"]) == (2**30, 2**31, 2**26)
    assert (host["PidsLimit"], host["CgroupParent"]) == (99, "ds01-student.slice")


def test_none_is_unlimited_swap_included() -> None:
    host = create_config(replace(PLAN, memory=2**30))["HostConfig"]
    assert host["MemorySwap"] == -1
    assert host["PidsLimit"] == -1
    assert "NanoCpus" not in host


@pytest.mark.parametrize("key", ["cpus", "memory", "memory_swap", "shm_size", "pids_limit"])
def test_a_limit_of_zero_is_refused_and_not_read_as_unlimited(key: str) -> None:
    with pytest.raises(ConfigurationError, match=key):
        create_config(replace(PLAN, **{"memory": 2**30, key: 0}))


def test_swap_without_memory_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="memory_swap"):
        create_config(replace(PLAN, memory_swap=2**30))


def answer(runtime: str = "runc", env: str = "", **host: Any) -> dict[str, Any]:
    config = {"Env": [f"NVIDIA_VISIBLE_DEVICES={env}"]}
    return {"HostConfig": {"Runtime": runtime, **host}, "Config": config}


GPU = [["gpu"]]


@pytest.mark.parametrize(
    ("given", "devices"),
    [
        (answer(), ()),
        (answer(env="all"), ()),
        (answer("nvidia", "all"), "all"),
        (answer("nvidia", "void"), ()),
        (answer("nvidia", "none"), ()),
        (answer("nvidia", "GPU-1, MIG-2"), ("GPU-1", "MIG-2")),
        (answer("nvidia", "0,all"), "all"),
        (answer("nvidia-cdi", "GPU-1"), ("GPU-1",)),
        (answer("nvidia-legacy", "all"), "all"),
        ({"HostConfig": {"Runtime": "nvidia"}, "Config": {"Env": ["CUDA_VERSION=8.0"]}}, "all"),
        ({"HostConfig": {"Runtime": "nvidia"},
          "Config": {"Env": ["CUDA_VERSION=12", "NVIDIA_REQUIRE_CUDA=x"]}}, ()),
        ({"HostConfig": {"Runtime": "nvidia"},
          "Config": {"Env": ["CUDA_VERSION=8.0", "NVIDIA_VISIBLE_DEVICES="]}}, ()),
        (answer(DeviceRequests=[{"Count": -1, "Capabilities": GPU}]), "all"),
        (answer(DeviceRequests=[{"Count": 2, "Capabilities": GPU}]), ("0", "1")),
        (answer(DeviceRequests=[{"Count": 0, "Capabilities": GPU}]), ()),
        (answer(DeviceRequests=[{"Count": 0, "DeviceIDs": ["MIG-1"], "Capabilities": GPU}]),
         ("MIG-1",)),
        (answer("nvidia", "all", DeviceRequests=[{"DeviceIDs": ["MIG-1"], "Capabilities": GPU}]),
         ("MIG-1",)),
        (answer(DeviceRequests=[{"DeviceIDs": ["x"], "Capabilities": [["tpu"]]}]), ()),
        (answer(DeviceRequests=[{"Driver": "cdi", "DeviceIDs": ["nvidia.com/gpu=GPU-1"]}]),
         ("GPU-1",)),
        (answer(DeviceRequests=[{"Driver": "cdi", "DeviceIDs": ["nvidia.com/gpu=all"]}]), "all"),
        (answer(Devices=[{"PathOnHost": "/dev/nvidia3"}, {"PathOnHost": "/dev/nvidiactl"}]),
         ("3",)),
    ],
)  # fmt: skip
def test_the_gpus_of_a_container_however_it_was_made(
    given: dict[str, Any], devices: GpuDevices
) -> None:
    assert devices_of(given) == devices


def test_b40_times_with_nine_digits_and_never() -> None:
    found = moment("2026-11-23T12:46:15.730236123Z")
    assert found is not None
    assert found.isoformat() == "2026-11-23T12:46:15.730236+00:00"
    assert moment("2026-11-23T12:46:15Z") is not None
    assert moment("0001-01-01T00:00:00Z") is None
    assert moment("") is None
