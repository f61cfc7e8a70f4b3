"""Ledger and Docker brought together: gone, adopted, held, and never destroyed."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ds01_jupyter.core import ledger_tables as tables
from ds01_jupyter.core.engine import ContainerSummary
from ds01_jupyter.core.errors import EngineUnavailable
from ds01_jupyter.core.gpu.slots import SlotInfo
from ds01_jupyter.core.identity import Person
from ds01_jupyter.core.ledger import Ledger
from ds01_jupyter.core.reconcile import Report, foreign_slots, reconcile

ANNA = Person("anna", 1001, 1001, Path("/home/anna"))
GPU = "GPU-5eed0000-fa4e-0000-0000-00000000000"
WHOLE = SlotInfo("0", f"{GPU}0", "gpu", "whole", 0, f"{GPU}0", 40 << 30, 1.0)
PARTS = [
    SlotInfo(f"1:{i}", f"MIG-{i}", "mig", "1g.5gb", 1, f"{GPU}1", 5 << 30, 1 / 7, i, 7 + i, 0)
    for i in range(3)
]
SLOTS = [WHOLE, *PARTS]


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    ledger = Ledger(tmp_path / "ledger.sqlite")
    yield ledger
    ledger.close()


def claim(ledger: Ledger, name: str, *slots: SlotInfo, container_id: str = "") -> None:
    """A claim of this process, which is alive; made present when it has a container."""
    with ledger.writing() as connection:
        tables.insert_container(connection, f"claim-{name}", f"{name}._.1001", name, ANNA, {})
        row = tables.container(connection, f"claim-{name}")
        assert row is not None
        tables.insert_leases(connection, row, slots, priority=1, host="here")
        if container_id:
            tables.set_present(connection, row.claim_id, container_id)
            tables.move_leases(connection, row.claim_id, "active")


def summary(
    name: str, state: str = "running", label: str = "", number: str = ""
) -> ContainerSummary:
    return ContainerSummary(
        id=number or f"id-{name}",
        full_name=name,
        image="x",
        image_id="sha256:0",
        labels={"aime.mlc.CLAIM": label} if label else {},
        state=state,
        status="",
        created=datetime(2026, 1, 1, tzinfo=UTC),
    )


def run(ledger: Ledger, *present: ContainerSummary) -> Report:
    return reconcile(ledger, lambda: present, settle=0)


def states(ledger: Ledger) -> dict[str, str]:
    return {lease.slot: lease.state for lease in ledger.live_leases()}


def kill(ledger: Ledger, name: str, slot: SlotInfo) -> None:
    """A claim whose process was killed between claim and create."""
    program = (
        "import sys, os, signal\nfrom pathlib import Path\n"
        "from ds01_jupyter.core import ledger_tables as tables\n"
        "from ds01_jupyter.core.gpu.slots import SlotInfo\n"
        "from ds01_jupyter.core.identity import Person\n"
        "from ds01_jupyter.core.ledger import Ledger\n"
        "ledger, name = Ledger(Path(sys.argv[1])), sys.argv[2]\n"
        "slot = eval(sys.argv[3])\n"
        "anna = Person('anna', 1001, 1001, Path('/'))\n"
        "with ledger.writing() as connection:\n"
        "    claim, full = f'claim-{name}', f'{name}._.1001'\n"
        "    tables.insert_container(connection, claim, full, name, anna, {})\n"
        "    row = tables.container(connection, claim)\n"
        "    tables.insert_leases(connection, row, [slot], priority=1, host='here')\n"
        "print('claimed', flush=True)\n"
        "signal.pause()\n"
    )
    arguments = [sys.executable, "-c", program, str(ledger.path), name, repr(slot)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"claimed\n"
        alive = run(ledger)
        assert (alive.changes, states(ledger)[slot.slot]) == (0, "pending")
        process.send_signal(signal.SIGKILL)


# ---- what is gone ------------------------------------------------------------------------------


def test_a_container_that_is_gone_gives_its_slots_back(ledger: Ledger) -> None:
    claim(ledger, "gone", WHOLE, PARTS[0], container_id="id-gone")
    claim(ledger, "here", PARTS[1], container_id="id-here._.1001")
    report = run(ledger, summary("here._.1001"))
    assert report.released == ("gone._.1001",)
    assert [row.name for row in ledger.containers()] == ["here"]
    assert states(ledger) == {"1:1": "active"}
    line = ledger.history(1)[0]
    assert (line.actor, line.owner, line.action) == ("reconciler", "anna", "lease.release")
    assert line.details["why"] == "the container is gone"


def test_another_container_of_the_same_name_is_not_ours(ledger: Ledger) -> None:
    claim(ledger, "box", WHOLE, container_id="id-old")
    report = run(ledger, summary("box._.1001", number="id-new"))
    assert report.released == ("box._.1001",)
    assert ledger.containers() == []


def test_nothing_to_do_writes_nothing(ledger: Ledger) -> None:
    claim(ledger, "box", WHOLE, container_id="id-box._.1001")
    report = run(ledger, summary("box._.1001"), summary("stranger"))
    assert report.changes == 0
    assert len(report.present) == 2
    assert ledger.history() == []


def test_when_docker_does_not_answer_nothing_is_released(ledger: Ledger) -> None:
    claim(ledger, "box", WHOLE, container_id="id-box")

    def fail() -> Sequence[ContainerSummary]:
        raise EngineUnavailable("Docker does not answer.")

    with pytest.raises(EngineUnavailable):
        reconcile(ledger, fail)
    assert states(ledger) == {"0": "active"}


def test_a_container_made_while_docker_was_being_asked_is_left_alone(ledger: Ledger) -> None:
    def slowly() -> Sequence[ContainerSummary]:
        claim(ledger, "new", WHOLE, container_id="id-new._.1001")
        return []

    assert reconcile(ledger, slowly).changes == 0
    assert states(ledger) == {"0": "active"}


def test_a_claim_that_changes_while_docker_is_being_asked_is_left_alone(ledger: Ledger) -> None:
    claim(ledger, "box", WHOLE, container_id="id-box._.1001")

    def slowly() -> Sequence[ContainerSummary]:
        with ledger.writing() as connection:
            tables.move_leases(connection, "claim-box", "held")
            tables.move_leases(connection, "claim-box", "active")
        return [summary("box._.1001", "exited")]

    assert reconcile(ledger, slowly).changes == 0
    assert states(ledger) == {"0": "active"}


@pytest.mark.parametrize(
    ("docker", "lease"),
    [
        ("running", "active"),
        ("paused", "active"),
        ("restarting", "active"),
        ("exited", "held"),
        ("created", "held"),
        ("dead", "held"),
        ("removing", "held"),
    ],
)
@pytest.mark.parametrize("before", ["active", "held"])
def test_f3_leases_follow_the_container(
    ledger: Ledger, docker: str, lease: str, before: str
) -> None:
    claim(ledger, "box", PARTS[0], PARTS[1], container_id="id-box._.1001")
    with ledger.writing() as connection:
        tables.move_leases(connection, "claim-box", before)  # type: ignore[arg-type]
    report = run(ledger, summary("box._.1001", docker))
    assert states(ledger) == {"1:0": lease, "1:1": lease}
    moved = ("box._.1001",) if before != lease else ()
    assert (report.activated if lease == "active" else report.held) == moved


# ---- what was left behind ----------------------------------------------------------------------


def test_a_pending_claim_of_a_living_process_is_left_alone(ledger: Ledger) -> None:
    claim(ledger, "box", WHOLE)
    report = run(ledger, summary("box._.1001", "created", "claim-box"))
    assert report.changes == 0
    assert states(ledger) == {"0": "pending"}


def test_f2_killed_after_the_claim_the_slot_is_released(ledger: Ledger) -> None:
    kill(ledger, "box", WHOLE)
    assert states(ledger) == {"0": "pending"}
    report = run(ledger, summary("stranger"))
    assert report.released == ("box._.1001",)
    assert ledger.containers() == []
    assert states(ledger) == {}
    claim(ledger, "box", WHOLE)


@pytest.mark.parametrize(("docker", "lease"), [("running", "active"), ("created", "held")])
def test_killed_after_create_the_container_is_adopted(
    ledger: Ledger, docker: str, lease: str
) -> None:
    kill(ledger, "box", WHOLE)
    report = run(ledger, summary("box._.1001", docker, "claim-box"))
    assert report.adopted == ("box._.1001",)
    (row,) = ledger.containers()
    assert (row.state, row.container_id) == ("present", "id-box._.1001")
    assert states(ledger) == {"0": lease}
    assert run(ledger, summary("box._.1001", docker, "claim-box")).changes == 0


def test_a_claim_that_docker_makes_after_its_process_died_is_adopted(ledger: Ledger) -> None:
    kill(ledger, "box", WHOLE)
    answers = [[], [summary("box._.1001", "created", "claim-box")]]
    report = reconcile(ledger, lambda: answers.pop(0), settle=0)
    assert report.adopted == ("box._.1001",)


def test_a_claim_that_another_reconciler_has_adopted_meanwhile_is_kept(ledger: Ledger) -> None:
    kill(ledger, "box", WHOLE)

    def slowly() -> Sequence[ContainerSummary]:
        run(ledger, summary("box._.1001", "running", "claim-box"))
        return []

    assert reconcile(ledger, slowly, settle=0).changes == 0
    assert states(ledger) == {"0": "active"}


@pytest.mark.parametrize(
    "impostor",
    [summary("other._.1002", label="claim-box"), summary("box._.1001", label="claim-other")],
)
def test_neither_the_label_nor_the_name_alone_takes_a_claim_over(
    ledger: Ledger, impostor: ContainerSummary
) -> None:
    kill(ledger, "box", WHOLE)
    report = run(ledger, impostor)
    assert (report.adopted, report.released) == ((), ("box._.1001",))


def test_a_claim_that_the_ledger_does_not_know_is_only_reported(ledger: Ledger) -> None:
    report = run(ledger, summary("odd._.7", label="claim-odd"), summary("plain"))
    assert report.unknown == ("odd._.7",)
    assert ledger.containers() == []


# ---- containers without a lease ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("devices", "slots"),
    [
        ((), []),
        ("all", ["0", "1:0", "1:1", "1:2"]),
        (("all",), ["0", "1:0", "1:1", "1:2"]),
        (("0",), ["0"]),
        (("1",), ["1:0", "1:1", "1:2"]),
        (("1:1",), ["1:1"]),
        (("gpu0", "mig1:2"), ["0", "1:2"]),
        ((f"{GPU}0",), ["0"]),
        ((f"{GPU}1",), ["1:0", "1:1", "1:2"]),
        (("mig-2",), ["1:2"]),
        (("nvidia.com/gpu=0", "nvidia.com/gpu=all"), ["0", "1:0", "1:1", "1:2"]),
        ((f"MIG-{GPU}1/8/0",), ["1:1"]),
        ((f"MIG-{GPU}1/9/1",), []),
        ((f"{GPU}1"[:-1],), ["0", "1:0", "1:1", "1:2"]),  # the beginning of both GPUs' UUIDs
        (("GPU-", "MIG-", "GPU"), []),
        (("0,1:2",), ["0", "1:2"]),
        ((f"{GPU}0,MIG-1",), ["0", "1:1"]),
        (("7", "none", "void", ""), []),
        (("10", "1:10"), []),
    ],
)
def test_devices_of_a_foreign_container(devices: Sequence[str], slots: list[str]) -> None:
    used = foreign_slots(SLOTS, [], [summary("stranger")], lambda _: devices)  # type: ignore[arg-type, return-value]
    assert [slot.slot for slot in SLOTS if slot.uuid in used] == slots
    assert set(used.values()) <= {"stranger"}


def test_only_running_containers_outside_the_ledger_count(ledger: Ledger) -> None:
    claim(ledger, "ours", PARTS[0], container_id="id-ours._.1001")
    claim(ledger, "new", PARTS[1])
    asked: list[str] = []

    def devices(container: str) -> Sequence[str]:
        asked.append(container)
        return ("0",)

    present = [
        summary("ours._.1001"),
        summary("new._.1001", label="claim-new"),
        summary("stopped", "exited"),
        summary("made", "created"),
        summary("frozen", "paused"),
        summary("second"),
        summary("spoof", label="claim-ours"),
    ]
    used = foreign_slots(SLOTS, ledger.containers(), present, devices)
    assert asked == ["id-frozen", "id-second", "id-spoof"]
    assert used == {WHOLE.uuid: "frozen"}


def test_a_container_put_in_the_place_of_ours_is_foreign(ledger: Ledger) -> None:
    claim(ledger, "box", PARTS[0], container_id="id-old")
    present = [replace(summary("box._.1001"), id="id-new")]
    used = foreign_slots(SLOTS, ledger.containers(), present, lambda _: ("0",))
    assert used == {WHOLE.uuid: "box._.1001"}
