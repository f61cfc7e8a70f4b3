"""Processes of other pid namespaces: what they claimed is theirs while they live, and no longer."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from ds01_jupyter.core.ledger import ContainerRow, Ledger
from ds01_jupyter.core.processes import is_alive, is_elsewhere, process_identity
from ds01_jupyter.core.reconcile import reconcile
from tests.rig.paths import REPOSITORY

CLAIM = (
    "import sys; from pathlib import Path\n"
    "from ds01_jupyter.core import ledger_tables as tables\n"
    "from ds01_jupyter.core.identity import Person\n"
    "from ds01_jupyter.core.ledger import Ledger\n"
    "ledger = Ledger(Path(sys.argv[1]))\n"
    "with ledger.writing() as connection:\n"
    "    anna = Person('anna', 1001, 1001, Path('/'))\n"
    "    tables.insert_container(connection, 'c', 'box._.1001', 'box', anna, {})\n"
    "print('claimed', flush=True); sys.stdin.read()\n"
)
"""Claims, and lives until its input ends."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.sqlite"


@pytest.fixture
def ledger(path: Path) -> Iterator[Ledger]:
    ledger = Ledger(path)
    yield ledger
    ledger.close()


def claimant(path: Path, *before: str) -> subprocess.Popen[str]:
    """A process that has claimed, by default in a pid namespace of its own."""
    before = before or ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc")
    process = subprocess.Popen(
        [*before, sys.executable, "-c", CLAIM, str(path)],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "claimed\n"
    return process


def row(ledger: Ledger) -> ContainerRow:
    (found,) = ledger.containers()
    return found


@pytest.mark.parametrize("end", ["it is killed", "it ends"])
def test_a_claim_of_another_namespace_is_released_when_its_process_has_ended(
    path: Path, ledger: Ledger, end: str
) -> None:
    with claimant(path) as process:
        creator = row(ledger).process
        assert is_elsewhere(creator)
        assert is_alive(creator), "as far as its pid tells"
        assert ledger.is_alive(creator)
        assert reconcile(ledger, list, settle=0).changes == 0
        assert row(ledger).state == "pending"
        if end == "it is killed":
            process.kill()
        else:
            process.communicate()
        process.wait()
        # `unshare` is gone a moment before the kernel has killed what it left.
        reader = process.stdout
        assert reader is not None
        if not reader.closed:
            assert reader.read() == ""
    assert is_alive(creator), "nobody can know by the pid"
    assert not ledger.is_alive(creator)
    assert reconcile(ledger, list, settle=0).released == ("box._.1001",)
    assert ledger.containers() == []


def test_the_sign_is_there_as_long_as_the_ledger_is_open(path: Path, ledger: Ledger) -> None:
    elsewhere = replace(process_identity(), namespace=1)
    assert not ledger.is_alive(elsewhere), "nobody with that name has written anything"
    ledger.record("a", "a", "x", "x", "done", {})
    assert ledger.is_alive(process_identity())
    assert not ledger.is_alive(elsewhere), "the sign is of one process alone"
    assert not ledger.is_alive(replace(process_identity(), boot_id="another"))


def test_within_a_namespace_the_pid_decides(path: Path, ledger: Ledger) -> None:
    with claimant(
        path, sys.executable, "-c", "import os, sys; os.execv(sys.argv[1], sys.argv[1:])"
    ):
        creator = row(ledger).process
        assert not is_elsewhere(creator)
        assert ledger.is_alive(creator)
    assert not ledger.is_alive(creator)
