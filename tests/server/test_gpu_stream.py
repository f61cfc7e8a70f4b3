"""GPUs over HTTP: one look for all clients, a stream, the last hour, and cordons."""

from __future__ import annotations

import asyncio
import ctypes
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ds01_jupyter.app import DS01App
from ds01_jupyter.client import Client
from ds01_jupyter.core.gpu.feed import MAX_STREAMS
from ds01_jupyter.core.gpu.sampler import Pace
from ds01_jupyter.core.identity import process_owner
from ds01_jupyter.core.lab import Lab
from ds01_jupyter.core.models import GpuHistory, GpuSnapshot
from ds01_jupyter.discovery import discover
from ds01_jupyter.handlers import gpus
from tests.rig.nvml import Machine
from tests.server.conftest import Ask
from tests.server.jupyter_process import started

PATIENCE = 30.0
NEVER = 1e9


@pytest.fixture
def calls(simulated_nvml: Path) -> Callable[[], int]:
    counter = ctypes.CDLL(str(simulated_nvml)).fakenvml_calls
    counter.restype = ctypes.c_ulong
    return counter  # type: ignore[no-any-return]


@pytest.fixture
def quick(lab: Lab) -> Iterator[Lab]:
    """The lab of the server, looking often; without a thread left behind."""
    lab._board.sampler.pace = Pace(interval=0.02, stale=PATIENCE, patience=PATIENCE)
    yield lab
    lab.close()
    names = {thread.name for thread in threading.enumerate()}
    assert names & {"ds01-gpu-sampler", "ds01-xid"} == set()


def parsed(body: bytes) -> list[tuple[int, str, GpuSnapshot]]:
    """Id, name and document of each event."""
    events = []
    for block in body.decode().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if line[:1] != ":")
        if fields:
            snapshot = GpuSnapshot.model_validate_json(fields["data"])
            events.append((int(fields["id"]), fields["event"], snapshot))
    return events


async def test_200_clients_cost_as_many_driver_calls_as_one(
    ask: Ask, lab: Lab, calls: Callable[[], int]
) -> None:
    lab._board.sampler.pace = Pace(NEVER, NEVER, NEVER, NEVER, NEVER, PATIENCE)
    first = await ask("GET", "gpus")
    assert first.status == 200
    # The simulated driver counts its waiting for XID errors as calls.
    assert await asyncio.to_thread(lab._board.watch.stop)
    looks, before = lab._board.sampler.published, calls()
    answers = await asyncio.gather(*(ask("GET", "gpus") for _ in range(200)))
    assert calls() == before
    assert lab._board.sampler.published is looks
    assert {answer.json["taken"] for answer in answers} == {first.json["taken"]}


async def test_followers_cost_no_driver_call_either(
    ask: Ask, lab: Lab, calls: Callable[[], int], http_server_client: Any
) -> None:
    lab._board.sampler.pace = Pace(NEVER, NEVER, NEVER, NEVER, NEVER, PATIENCE)
    await ask("GET", "gpus/stream?events=1")
    assert await asyncio.to_thread(lab._board.watch.stop)
    http_server_client.max_clients = 40
    with lab.follow_gpus(process_owner()) as held:
        await asyncio.to_thread(next, held)
        before = calls()
        streams = [ask("GET", "gpus/stream?events=1") for _ in range(MAX_STREAMS - 1)]
        answers = await asyncio.gather(*streams)
        assert calls() == before
    assert {len(parsed(answer.body)) for answer in answers} == {1}


async def test_the_stream_tells_what_changes(ask: Ask, quick: Lab, gpu_machine: Machine) -> None:
    seen = asyncio.Event()
    parts: list[bytes] = []

    def received(part: bytes) -> None:
        parts.append(part)
        seen.set()

    path = "gpus/stream?events=2"
    following = asyncio.ensure_future(ask("GET", path, streaming_callback=received))
    await asyncio.wait_for(seen.wait(), PATIENCE)
    gpu_machine.set(0, temp=77)
    answer = await asyncio.wait_for(following, PATIENCE)
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "text/event-stream"
    assert answer.headers["Cache-Control"] == "no-cache"
    assert answer.headers["X-Accel-Buffering"] == "no"
    events = parsed(b"".join(parts))
    assert [name for _, name, _ in events] == ["gpus", "gpus"]
    assert [snapshot.gpus[0].temperature for _, _, snapshot in events] == [35, 77]
    assert quick._feed._followers == {}


async def test_silence_is_filled_with_comments(
    ask: Ask, quick: Lab, gpu_machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpus, "HEARTBEAT", 0.02)
    quick._feed._every = NEVER
    parts: list[bytes] = []

    def received(part: bytes) -> None:
        parts.append(part)
        if b"".join(parts).count(b": alive\n\n") == 3:
            gpu_machine.set(0, temp=77)

    await ask("GET", "gpus/stream?events=2", streaming_callback=received)
    assert b"".join(parts).count(b": alive\n\n") >= 3


async def test_too_many_streams_of_one_person(ask: Ask, lab: Lab) -> None:
    streams = [lab.follow_gpus(process_owner()) for _ in range(MAX_STREAMS)]
    answer = await ask("GET", "gpus/stream?events=1")
    assert (answer.status, answer.json["code"]) == (409, "limit_reached")
    for stream in streams:
        stream.close()
    assert (await ask("GET", "gpus/stream?events=1")).status == 200


@pytest.mark.parametrize("events", ["-1", "x", "1000001"])
async def test_a_wrong_number_of_events(ask: Ask, events: str) -> None:
    answer = await ask("GET", f"gpus/stream?events={events}")
    assert (answer.status, answer.json["code"]) == (400, "invalid_input")


async def test_a_stream_ends_with_the_lab(ask: Ask, lab: Lab) -> None:
    seen = asyncio.Event()
    following = asyncio.ensure_future(
        ask("GET", "gpus/stream", streaming_callback=lambda _: seen.set())
    )
    await asyncio.wait_for(seen.wait(), PATIENCE)
    await asyncio.to_thread(lab.close)
    assert (await asyncio.wait_for(following, PATIENCE)).status == 200


async def test_the_last_hour(ask: Ask, quick: Lab) -> None:
    quick._board.past._step = 0.05
    times: list[Any] = []
    while len(times) < 3:
        answer = await ask("GET", "gpus/history")
        times = answer.json["times"]
        await asyncio.sleep(0.05)
    history = GpuHistory.model_validate(answer.json)
    lines = {line.slot: line for line in history.series}
    assert set(lines["0"].utilisation) == {0.1}
    assert set(lines["2:0"].utilisation) == {None}
    assert len(lines) == 4 + 11


# ---- cordons ---------------------------------------------------------------------------------


async def test_an_admin_cordons_and_uncordons(ask: Ask, lab: Lab) -> None:
    if os.getuid():
        lab.settings = replace(lab.settings, admins=(process_owner().name,))
    answer = await ask("POST", "gpus/1/cordon", body={"reason": "new fan"})
    assert answer.status == 200
    gpu = answer.json["gpus"][1]
    assert gpu["health"]["state"] == "cordoned"
    assert gpu["health"]["cordons"][0]["reason"] == "new fan"
    assert [slot["state"] for slot in gpu["slots"]] == ["cordoned"]
    again = await ask("POST", f"gpus/{gpu['uuid']}/cordon", body={"reason": "x"})
    assert (again.status, again.json["code"]) == (409, "conflict")
    answer = await ask("POST", "gpus/1/uncordon")
    assert answer.json["gpus"][1]["health"] == {"state": "well", "cordons": []}
    assert answer.json["gpus"][1]["slots"][0]["state"] == "free"
    assert (await ask("POST", "gpus/1/uncordon")).status == 409
    assert (await ask("POST", "gpus/17/uncordon")).status == 404


@pytest.mark.parametrize(
    "body", [{}, {"reason": ""}, {"reason": "x" * 401}, {"reason": "x", "gpu": 1}, b"no"]
)
async def test_a_cordon_needs_a_reason(ask: Ask, body: Any) -> None:
    answer = await ask("POST", "gpus/0/cordon", body=body)
    assert (answer.status, answer.json["code"]) == (400, "invalid_input")


async def test_only_admins_may(ask: Ask, app: DS01App, lab: Lab) -> None:
    person = replace(process_owner(), name="student", uid=4711)
    app._owner = person
    for verb, body in (("cordon", {"reason": "x"}), ("uncordon", None)):
        answer = await ask("POST", f"gpus/0/{verb}", body=body)
        assert (answer.status, answer.json["code"]) == (403, "forbidden")
    lab.settings = replace(lab.settings, admins=("root", "student"))
    assert (await ask("POST", "gpus/0/cordon", body={"reason": "x"})).status == 200


def test_the_client_follows(tmp_path: Path, gpu_machine: Machine) -> None:
    """Against a server process of its own, through the ticket."""
    config = {
        "docker_host": "unix:///nonexistent/docker.sock",
        "ledger": str(tmp_path / "ledger.sqlite"),
        "admins": [process_owner().name],
    }
    with started(tmp_path, {"DS01App": config}) as server:
        environment = {"JPY_PARENT_PID": str(server.pid)}
        found = discover(environ=environment, runtime_dir=server.runtime)
        with Client(found) as client:
            seen = []
            for snapshot in client.gpu_events():
                seen.append(snapshot.gpus[0].temperature)
                if seen[-1] == 77:
                    break
                gpu_machine.set(0, temp=77)
            assert (seen[0], seen[-1]) == (35, 77)
            assert client.gpu_history().host == snapshot.host
            assert client.cordon_gpu("0", "fan").gpus[0].health.state == "cordoned"
            assert client.uncordon_gpu("0").gpus[0].health.state == "well"
        done = server.ds01("gpus", "cordon", "1", "--reason", "dusty")
        assert (done.returncode, done.stderr) == (0, "")
        assert "dusty" in done.stdout
        assert server.ds01("gpus", "uncordon", "1").returncode == 0
