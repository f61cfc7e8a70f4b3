"""Crash points: they kill where they are told to, and cost nothing else."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ds01_jupyter.core import crash_points
from ds01_jupyter.core.crash_points import QUEUE_STEPS, REBUILD_STEPS, RECREATE_STEPS, STEPS
from tests.rig.paths import REPOSITORY

PROGRAM = (
    "from ds01_jupyter.core.crash_points import reached\n"
    "for number in range(4):\n"
    "    print(number, flush=True)\n"
    "    reached('claim.begin')\n"
)


@pytest.mark.parametrize(
    ("step", "printed", "code"),
    [
        ("", "0123", 0),
        ("claim.committed", "0123", 0),
        ("claim.begin", "0", -signal.SIGKILL),
        ("claim.begin@3", "012", -signal.SIGKILL),
    ],
)
def test_a_process_dies_where_the_environment_says(step: str, printed: str, code: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=REPOSITORY,
        env={"DS01_CRASH_POINT": step},
        capture_output=True,
        text=True,
    )
    assert (done.stdout.replace("\n", ""), done.returncode) == (printed, code)


def test_a_step_that_there_is_not_is_refused() -> None:
    with pytest.raises(ValueError, match=r"claim\.comitted"):
        crash_points.arm("claim.comitted")


def test_every_step_stands_once_in_the_code_and_no_other_does() -> None:
    core = Path(crash_points.__file__).parent
    found = [
        step
        for file in core.rglob("*.py")
        for step in re.findall(r'reached\("([a-z.]+)"\)', file.read_text())
    ]
    assert sorted(found) == sorted(STEPS + QUEUE_STEPS + RECREATE_STEPS + REBUILD_STEPS)
