"""The queue and `why` over HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from ds01_jupyter.app import DS01App
from ds01_jupyter.core import ledger_tables, models
from ds01_jupyter.core.clock import SystemClock
from ds01_jupyter.core.host import host_of
from ds01_jupyter.core.identity import Person
from ds01_jupyter.core.lab import Lab
from ds01_jupyter.core.ledger import Ledger
from ds01_jupyter.core.waiting import tables
from ds01_jupyter.core.waiting.wake import has_work
from tests.rig.fixtures import RigEngine
from tests.rig.nvml import Machine
from tests.server.conftest import Ask

FRAMEWORK = {"framework": "Pytorch", "version": "2.5.1", "architecture": "CUDA_ADA"}
SLOT = "2:0"
PERSON = Person("kim", 5, 5, Path("/home/kim"))


def wish(name: str, **changes: object) -> dict[str, object]:
    return {"name": name, "framework": FRAMEWORK, "gpu": SLOT, **changes}


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """A ledger that is there: without Docker a lab does not begin one."""
    found = Ledger(tmp_path / "ledger.sqlite")
    assert found.containers() == []
    yield found
    found.close()


def join(ledger: Ledger, uid: int = 0) -> int:
    """A place in the queue, as another server of that person would have left it."""
    with ledger.writing() as connection:
        return tables.insert(
            connection,
            host=host_of(ledger.path),
            uid=uid,
            owner=f"u{uid}",
            name="box",
            gpu="any",
            gpus=1,
            request=models.ContainerRequest.model_validate(wish("box")).model_dump_json(),
            priority=50,
            now=SystemClock().now(),
        )


@pytest.mark.usefixtures("ledger", "gpu_machine")
async def test_without_docker_it_can_be_looked_at(ask: Ask, tmp_path: Path) -> None:
    assert (await ask("GET", "queue")).json == []
    for method in ("GET", "DELETE"):
        answer = await ask(method, "queue/7")
        assert (answer.status, answer.json["code"]) == (404, "not_found")
    answer = await ask("POST", "queue", body=wish("box", workspace=str(tmp_path / "workspace")))
    assert (answer.status, answer.json["code"]) == (503, "docker_unavailable")
    explained = models.Explanation.model_validate((await ask("GET", "why?gpu=whole&gpus=2")).json)
    assert (explained.gpu, explained.gpus) == ("whole", 2)
    assert (explained.outcome, explained.code) == ("later", "docker_unavailable")


@pytest.mark.usefixtures("ledger", "gpu_machine")
@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("why?gpu=rubbish", 400),
        ("why?gpus=0", 400),
        ("why?gpus=17", 400),
        ("why?gpus=x", 400),
        ("queue/x", 404),
        ("containers/never-was/why", 404),
    ],
)
async def test_mistakes_are_refused(ask: Ask, path: str, status: int) -> None:
    answer = await ask("GET", path)
    assert answer.status == status
    assert answer.json["message"]


@pytest.mark.usefixtures("gpu_machine")
async def test_others_are_seen_without_the_names_of_their_containers(
    ask: Ask, ledger: Ledger
) -> None:
    number = join(ledger, uid=4242)
    [shown] = (await ask("GET", "queue")).json
    assert (shown["id"], shown["user"], shown["mine"], shown["name"]) == (
        number,
        "u4242",
        False,
        None,
    )
    assert (shown["position"], shown["state"]) == (1, "waiting")
    assert shown["standing"]["total"] >= 100
    assert (await ask("GET", f"queue/{number}")).json == shown


# ---- a server that starts ----------------------------------------------------------------------


def test_whether_somebody_waits_is_seen_without_a_lab(ledger: Ledger, tmp_path: Path) -> None:
    assert not has_work(tmp_path / "none.sqlite", 1)
    assert not has_work(ledger.path, 1)
    number = join(ledger, uid=1)
    assert [has_work(ledger.path, uid) for uid in (0, 1, 2)] == [True, True, False]
    with ledger.writing() as connection:
        tables.end(connection, number, "cancelled", SystemClock().now())
    assert not has_work(ledger.path, 1)
    with ledger.writing() as connection:
        ledger_tables.insert_container(connection, "claim", "a._.5", "a", PERSON, {})
    assert has_work(ledger.path, 1)
    with ledger.writing() as connection:
        ledger_tables.delete_container(connection, "claim")
    assert not has_work(ledger.path, 1)
    ledger.path.write_bytes(b"rubbish" * 1000)
    assert not has_work(ledger.path, 1)


class TestAtTheStart:
    """A server that finds somebody waiting as it starts."""

    @pytest.fixture
    def waiting(self, ledger: Ledger, gpu_machine: Machine) -> int:
        """A place of the person that the server is for."""
        return join(ledger)

    async def test_b36_who_waited_is_taken_up_without_a_request(
        self, waiting: int, app: DS01App
    ) -> None:
        assert waiting
        for _ in range(200):
            if app._lab is not None and app._lab.places:
                break
            await asyncio.sleep(0.05)
        assert app._lab is not None
        assert app._lab.places == 1
        activity = app.current_activity()
        assert activity is not None
        assert activity["queue"] == 1, "an idle server with somebody who waits is not shut down"


@pytest.mark.usefixtures("ledger")
async def test_without_anybody_no_lab_is_made(app: DS01App) -> None:
    assert app._taking_up is not None
    await app._taking_up
    assert app._lab is None
    assert app.current_activity() is None


# ---- on the real engine ------------------------------------------------------------------------


@pytest.mark.engine
class TestOnTheEngine:
    """The whole way, over HTTP."""

    @pytest.fixture
    def docker_host(self, rig_engine: RigEngine) -> str:
        """The rig's engine."""
        return rig_engine.docker_host

    @pytest.fixture
    def own(self, rig_engine: RigEngine, unique_name: str) -> Iterator[str]:
        """A name for what this test makes; whatever is left of it is removed."""
        yield unique_name
        with closing(rig_engine.client()) as client:
            for container in client.containers.list(all=True, filters={"name": unique_name}):
                container.remove(force=True)
            for image in client.images.list():
                for tag in image.tags:
                    if unique_name in tag:
                        client.images.remove(tag, force=True)

    async def test_from_a_refusal_to_a_container(
        self, ask: Ask, own: str, gpu_machine: Machine, lab: Lab, tmp_path: Path
    ) -> None:
        def wish(name: str) -> dict[str, object]:
            workspace = str(tmp_path / "workspace")
            return {"name": name, "framework": FRAMEWORK, "gpu": SLOT, "workspace": workspace}

        begun = await ask("POST", "containers", body=wish(f"{own}-a"))
        assert begun.status == 202, begun.body
        await self._end(ask, begun.json["id"])
        refused = await ask("POST", "containers", body=wish(f"{own}-b"))
        assert (refused.status, refused.json["code"]) == (409, "no_free_slot")
        assert "`--wait`" in refused.json["hint"]
        assert "why" in refused.json["hint"]
        joined = await ask("POST", "queue", body=wish(f"{own}-b"))
        assert joined.status == 202
        entry = models.QueueEntry.model_validate(joined.json)
        assert joined.headers["Location"].endswith(f"/ds01/api/queue/{entry.id}")
        assert (entry.state, entry.position, entry.mine, entry.name) == (
            "waiting",
            1,
            True,
            f"{own}-b",
        )
        assert entry.estimate is not None
        assert entry.estimate.because
        explained = (await ask("GET", f"why?gpu={SLOT}")).json
        assert (explained["outcome"], explained["ahead"]) == ("later", 1)
        assert [each["slot"] for each in explained["obstacles"]] == [SLOT]
        waits = (await ask("GET", f"containers/{own}-b/why")).json
        assert "waits in the queue" in waits["message"]
        assert (await ask("POST", f"containers/{own}-a/stop")).status == 200
        assert (await ask("DELETE", f"containers/{own}-a")).status == 204
        for _ in range(400):
            shown = (await ask("GET", f"queue/{entry.id}")).json
            if shown["state"] == "done":
                break
            await asyncio.sleep(0.05)
        assert shown["state"] == "done", shown
        operation = (await ask("GET", f"operations/{shown['operation']}")).json
        assert operation["kind"] == "container.create"
        made = (await ask("GET", f"containers/{own}-b")).json
        assert (made["state"], [slot["slot"] for slot in made["gpus"]]) == ("running", [SLOT])
        left = await ask("DELETE", f"queue/{entry.id}")
        assert (left.status, left.json["code"]) == (409, "conflict")
        again = await ask("POST", "queue", body=wish(f"{own}-c"))
        assert (await ask("DELETE", f"queue/{again.json['id']}")).status == 204
        last = (await ask("GET", f"queue/{again.json['id']}")).json
        assert (last["state"], last["position"]) == ("cancelled", None)

    async def _end(self, ask: Ask, operation: str) -> dict[str, Any]:
        for _ in range(1200):
            document = (await ask("GET", f"operations/{operation}")).json
            if document["state"] in ("succeeded", "failed", "cancelled"):
                break
            await asyncio.sleep(0.05)
        assert document["state"] == "succeeded", document
        return dict(document)
