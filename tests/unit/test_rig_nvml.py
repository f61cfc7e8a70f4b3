"""The simulated NVIDIA driver, asked through the real pynvml in processes of their own."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.rig.nvml import Machine, build, gpus
from tests.rig.nvml.child import GPU0, INIT, WALK, NvmlChild


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    machine = Machine(tmp_path / "state")
    machine.write_preset("lab")
    return machine


@pytest.fixture
def ask(simulated_nvml: Path, machine: Machine) -> NvmlChild:
    return NvmlChild(simulated_nvml, machine)


def test_lab_shows_two_whole_and_two_divided_gpus(ask: NvmlChild) -> None:
    found = ask(WALK)
    assert [gpu["name"] for gpu in found] == ["NVIDIA A100-SXM4-40GB"] * 4
    assert [len(gpu["mig"]) for gpu in found] == [0, 0, 4, 7]
    mixed = [(d["name"].split("MIG ")[1], d["start"], d["size"]) for d in found[2]["mig"]]
    assert mixed == [("3g.20gb", 4, 4), ("2g.10gb", 0, 2), ("1g.5gb", 2, 1), ("1g.5gb", 3, 1)]
    assert [d["gi"] for d in found[2]["mig"]] == [2, 3, 9, 10]
    assert [(d["start"], d["gi"]) for d in found[3]["mig"]] == [(i, 7 + i) for i in range(7)]


def test_identities_are_unique_and_well_formed(ask: NvmlChild) -> None:
    found = ask(WALK)
    uuids = [gpu["uuid"] for gpu in found]
    uuids += [device["uuid"] for gpu in found for device in gpu["mig"]]
    assert len(set(uuids)) == len(uuids) == 15
    shape = re.compile(r"(GPU|MIG)-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
    assert all(shape.fullmatch(uuid) for uuid in uuids)
    assert len({gpu["pci"] for gpu in found}) == 4


def test_a_tag_makes_every_uuid_another(ask: NvmlChild) -> None:
    before = json.dumps(ask(WALK))
    ask.machine.write_preset("lab", tag="0123abcd")
    after = ask(WALK)
    assert after[0]["uuid"] == "GPU-0123abcd-fa4e-0000-0000-000000000000"
    for gpu in after:
        for device in [gpu, *gpu["mig"]]:
            assert device["uuid"] not in before


@pytest.mark.parametrize(
    ("name", "gpu_count", "mig_count"),
    [("lab", 4, 11), ("dgx", 8, 0), ("dgx-mig", 8, 56), ("consumer", 1, 0)],
)
def test_presets(ask: NvmlChild, name: str, gpu_count: int, mig_count: int) -> None:
    ask.machine.write_preset(name)
    found = ask(WALK)
    assert len(found) == gpu_count
    assert sum(len(gpu["mig"]) for gpu in found) == mig_count


def test_an_unknown_preset_is_named(machine: Machine) -> None:
    with pytest.raises(KeyError, match="dgx-mig"):
        machine.write_preset("labb")
    assert machine.read()  # what was there is still there


def test_no_driver(ask: NvmlChild) -> None:
    script = "answer(call(N.nvmlInit))"
    ask.machine.write_preset("none")
    assert ask(script) == "NVMLError_DriverNotLoaded"
    ask.machine.path.unlink()
    assert ask(script) == "NVMLError_DriverNotLoaded"


def test_calls_before_init_are_refused(ask: NvmlChild) -> None:
    assert ask("answer(call(N.nvmlDeviceGetCount))") == "NVMLError_Uninitialized"
    once = "N.nvmlInit(); N.nvmlShutdown(); answer(call(N.nvmlDeviceGetCount))"
    assert ask(once) == "NVMLError_Uninitialized"


MODELS = {
    "a100-40": ("8.0", "5 5 10 10 20 20 40"),
    "a100-80": ("8.0", "10 10 20 20 40 40 80"),
    "h100-80": ("9.0", "10 10 20 20 40 40 80"),
    "h100-94": ("9.0", "12 12 24 24 47 47 94"),
    "h200-141": ("9.0", "18 18 35 35 71 71 141"),
    "b200-180": ("10.0", "23 23 45 45 90 90 180"),
    "a30": ("8.0", "6 6 12 12 24"),
    "rtx3090": ("8.6", ""),
    "rtx4090": ("8.9", ""),
    "t4": ("7.5", ""),
}
PROFILES = (
    GPU0
    + """
major, minor = N.nvmlDeviceGetCudaComputeCapability(gpu)
profiles = []
for number in range(N.NVML_GPU_INSTANCE_PROFILE_COUNT):
    info = call(N.nvmlDeviceGetGpuInstanceProfileInfo, gpu, number)
    if not isinstance(info, str):
        profiles.append([number, info.id, info.name, info.instanceCount,
                         info.memorySizeMB, placements(gpu, info.id)])
answer({"capability": f"{major}.{minor}", "mode": call(N.nvmlDeviceGetMigMode, gpu),
        "profiles": profiles, "memory": N.nvmlDeviceGetMemoryInfo(gpu).total // 2**20})
"""
)
SEVEN_SLICES = {
    0: (19, "1g.{}gb", 7, [[start, 1] for start in range(7)]),
    7: (20, "1g.{}gb+me", 1, [[start, 1] for start in range(7)]),
    9: (15, "1g.{}gb", 4, [[0, 2], [2, 2], [4, 2], [6, 2]]),
    1: (14, "2g.{}gb", 3, [[0, 2], [2, 2], [4, 2]]),
    2: (9, "3g.{}gb", 2, [[0, 4], [4, 4]]),
    3: (5, "4g.{}gb", 1, [[0, 4]]),
    4: (0, "7g.{}gb", 1, [[0, 8]]),
}
FOUR_SLICES = {
    0: (14, "1g.{}gb", 4, [[start, 1] for start in range(4)]),
    7: (21, "1g.{}gb+me", 1, [[start, 1] for start in range(4)]),
    1: (5, "2g.{}gb", 2, [[0, 2], [2, 2]]),
    8: (6, "2g.{}gb+me", 1, [[0, 2], [2, 2]]),
    3: (0, "4g.{}gb", 1, [[0, 4]]),
}


@pytest.mark.parametrize("model", MODELS)
def test_models_have_their_published_geometry(ask: NvmlChild, model: str) -> None:
    capability, sizes = MODELS[model]
    with ask.machine.edit() as lines:
        lines[:] = gpus(1, model)
    found = ask(PROFILES)
    assert found["capability"] == capability
    if not sizes:
        assert found["mode"] == "NVMLError_NotSupported"
        assert found["profiles"] == []
        return
    assert found["mode"] == [0, 0]
    table = FOUR_SLICES if model == "a30" else SEVEN_SLICES
    expected = {
        number: [identity, f"MIG {name.format(gb)}", most, places]
        for (number, (identity, name, most, places)), gb in zip(
            table.items(), sizes.split(), strict=True
        )
    }
    for number, identity, name, most, mib, places in found["profiles"]:
        assert [identity, name, most, places] == expected.pop(number)
        assert 0 < mib < found["memory"]
    assert expected == {}


def test_all_partitions_that_a_seven_slice_gpu_can_have(ask: NvmlChild) -> None:
    """NVIDIA publishes 19 full layouts; with partial ones there are 298, the empty one included."""
    with ask.machine.edit() as lines:
        lines[:] = gpus(1, "a100-40", {0: []})
    counted = ask(
        GPU0,
        """
        choices = [(p, start) for p in (19, 14, 9, 5, 0) for start, _ in placements(gpu, p)]
        seen, full = set(), 0
        def explore(state):
            global full
            seen.add(state)
            grown = 0
            for profile, start in choices:
                instance = call(place, gpu, profile, start)
                if isinstance(instance, str):
                    continue
                grown += 1
                if state | {(profile, start)} not in seen:
                    explore(state | {(profile, start)})
                N.nvmlGpuInstanceDestroy(instance)
            full += not grown
        explore(frozenset())
        answer([len(seen), full])
        """,
    )
    assert counted == [298, 19]


def test_a30_ids_and_limits(ask: NvmlChild) -> None:
    with ask.machine.edit() as lines:
        lines[:] = gpus(1, "a30", {0: [(14, 0), (5, 2)]})
    assert [d["gi"] for d in ask(WALK)[0]["mig"]] == [2, 3]
    script = GPU0 + "answer([call(place, gpu, 5, 0), N.nvmlDeviceGetMaxMigDeviceCount(gpu)])"
    assert ask(script) == ["NVMLError_InsufficientResources", 4]


def test_preset_ids_are_those_the_driver_gives(ask: NvmlChild) -> None:
    preset = [(d["start"], d["gi"]) for d in ask(WALK)[2]["mig"]]
    with ask.machine.edit() as lines:
        lines[:] = gpus(1, "a100-40", {0: []})
    created = ask(
        GPU0,
        """
        made = [place(gpu, *at) for at in [(9, 4), (14, 0), (19, 2), (19, 3)]]
        infos = [N.nvmlGpuInstanceGetInfo(instance) for instance in made]
        answer([[info.placement.start, info.id] for info in infos])
        """,
    )
    assert [tuple(pair) for pair in created] == preset


def test_a_gpu_gets_lost_and_comes_back(ask: NvmlChild) -> None:
    script = (
        INIT,
        """
        held = N.nvmlDeviceGetHandleByIndex(1)
        uuid = N.nvmlDeviceGetUUID(held)
        def look():
            handle = call(N.nvmlDeviceGetHandleByIndex, 1)
            return [call(N.nvmlDeviceGetTemperature, held, 0), N.nvmlDeviceGetCount(),
                    handle if isinstance(handle, str) else "found",
                    call(N.nvmlDeviceGetHandleByUUID, "GPU-of-nobody")]
        for _ in range(3):
            print(json.dumps(look()), flush=True)
            sys.stdin.readline()
        """,
    )
    machine = ask.machine
    with ask.start(*script) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        answers = []
        for values in ({"lost": 1}, {"lost": 0}, {}):
            answers.append(json.loads(child.stdout.readline()))
            machine.set(1, **values)
            child.stdin.write("\n")
            child.stdin.flush()
    assert answers == [
        [36, 4, "found", "NVMLError_NotFound"],
        # As NVIDIA documents: the look-up of any UUID may fail because of a lost GPU.
        ["NVMLError_GpuIsLost", 4, "NVMLError_GpuIsLost", "NVMLError_GpuIsLost"],
        [36, 4, "found", "NVMLError_NotFound"],
    ]


def test_one_call_fails_on_one_gpu(ask: NvmlChild) -> None:
    ask.machine.add("fail fn=nvmlDeviceGetPowerUsage gpu=0 code=999")
    power = "[call(N.nvmlDeviceGetPowerUsage, N.nvmlDeviceGetHandleByIndex(i)) for i in (0, 1)]"
    assert ask(INIT, f"answer({power})") == ["NVMLError_Unknown", 61000]
    ask.machine.drop("fail")
    assert ask(INIT, f"answer({power})") == [60000, 61000]


def test_slow_calls_take_their_time(ask: NvmlChild) -> None:
    ask.machine.sys(latency_us=50_000)
    call = "began = time.monotonic(); N.nvmlDeviceGetCount(); answer(time.monotonic() - began)"
    assert ask("import time", GPU0, call) >= 0.05


def test_an_event_reaches_every_set_once(ask: NvmlChild) -> None:
    ask.machine.add("xid gpu=0 code=13 seq=1")  # from before the set exists
    script = (
        GPU0,
        """
        events = N.nvmlEventSetCreate()
        N.nvmlDeviceRegisterEvents(gpu, N.nvmlEventTypeXidCriticalError, events)
        print("ready", flush=True)
        first = N.nvmlEventSetWait(events, 20_000)
        answer([first.eventData, N.nvmlDeviceGetUUID(first.device),
                call(N.nvmlEventSetWait, events, 0)])
        """,
    )
    with ask.start(*script) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        ask.machine.add("xid gpu=1 code=48 seq=2")  # nobody registered for this GPU
        ask.machine.add("xid gpu=0 code=79 seq=3")
        event = json.loads(child.stdout.readline())
    assert event == [79, "GPU-5eed0000-fa4e-0000-0000-000000000000", "NVMLError_Timeout"]


def test_processes_and_their_memory(ask: NvmlChild) -> None:
    ask.machine.add("proc gpu=0 pid=4711 used=4096")
    ask.machine.add("proc gpu=2 gi=2 ci=0 pid=4712 used=20")
    ask.machine.add("proc gpu=2 gi=9 ci=0 pid=4713 used=-1")  # a driver that does not tell
    found = ask(
        INIT,
        """
        def show(handle):
            return [[p.pid, p.usedGpuMemory, p.gpuInstanceId]
                    for p in N.nvmlDeviceGetComputeRunningProcesses(handle)]
        gpus = [N.nvmlDeviceGetHandleByIndex(i) for i in range(4)]
        answer({"gpus": [show(gpu) for gpu in gpus], "slots": [show(d) for d in mig(gpus[2])],
                "used": N.nvmlDeviceGetMemoryInfo(mig(gpus[2])[0]).used,
                "util": [call(N.nvmlDeviceGetUtilizationRates, gpus[2])]})
        """,
    )
    mib = 2**20
    assert found["gpus"][0] == [[4711, 4096 * mib, 0xFFFFFFFF]]
    assert found["gpus"][2] == [[4712, 20 * mib, 2], [4713, None, 9]]
    assert found["slots"] == [[[4712, 20 * mib, 2]], [], [[4713, None, 9]], []]
    assert found["used"] == 32 * mib
    assert found["util"] == ["NVMLError_NotSupported"]


def test_calls_are_counted(ask: NvmlChild) -> None:
    script = INIT + "driver.fakenvml_calls.restype = ctypes.c_ulong\n"
    script += "before = driver.fakenvml_calls(); N.nvmlDeviceGetCount(); N.nvmlDeviceGetCount()\n"
    assert ask(script + "answer(driver.fakenvml_calls() - before)") == 2


def test_every_function_that_pynvml_knows_is_there(ask: NvmlChild) -> None:
    missing = ask(
        """
        import re
        names = set(re.findall(r'_nvmlGetFunctionPointer\\("(\\w+)"\\)', open(N.__file__).read()))
        answer([len(names), [name for name in names if not hasattr(driver, name)]])
        """
    )
    assert missing[0] > 100
    assert missing[1] == []


def test_an_old_driver_lacks_new_functions(machine: Machine, tmp_path: Path) -> None:
    ask = NvmlChild(build(tmp_path, old_driver=True), machine)
    found = ask(
        GPU0,
        """
        try:
            N.nvmlDeviceGetComputeRunningProcesses(gpu)
            mismatch = None
        except Exception as error:  # it is no NVMLError
            mismatch = [type(error).__name__, isinstance(error, N.NVMLError)]
        answer([mismatch, N.nvmlDeviceGetComputeRunningProcesses_v2(gpu),
                call(lambda: N.nvmlDeviceGetMemoryInfo(gpu, version=N.nvmlMemory_v2))])
        """,
    )
    assert found == [["NVMLLibraryMismatchError", False], [], "NVMLError_FunctionNotFound"]


def test_the_library_is_built_once(tmp_path: Path) -> None:
    first = build(tmp_path)
    made = first.stat().st_mtime_ns
    assert build(tmp_path) == first
    assert first.stat().st_mtime_ns == made
    assert [path.name for path in first.parent.iterdir()] == ["libnvidia-ml.so.1"]


def test_an_edit_that_fails_changes_nothing(machine: Machine) -> None:
    before = machine.read()

    def failing_edit() -> None:
        with machine.edit() as lines:
            lines.clear()
            raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError, match="in the middle"):
        failing_edit()
    assert machine.read() == before


def test_values_with_spaces(ask: NvmlChild) -> None:
    ask.machine.set(0, name="A card of ours")
    ask.machine.set(0, name="NVIDIA Test Card", temp=71)
    script = "answer([N.nvmlDeviceGetName(gpu), N.nvmlDeviceGetTemperature(gpu, 0)])"
    assert ask(GPU0, script) == ["NVIDIA Test Card", 71]
    assert sum("name=" in line for line in ask.machine.read()) == 1


def test_the_fixture_serves_this_process(gpu_machine: Machine) -> None:
    import pynvml

    pynvml.nvmlInit()
    try:
        assert pynvml.nvmlDeviceGetCount() == 4
        gpu_machine.write_preset("consumer")
        assert pynvml.nvmlDeviceGetCount() == 1
    finally:
        pynvml.nvmlShutdown()
