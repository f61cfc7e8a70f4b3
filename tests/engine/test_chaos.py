"""The short run of `make chaos`: fifty processes are killed, and nothing is given twice or lost."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from ds01_jupyter.core.crash_points import STEPS
from tests.rig.paths import REPOSITORY

pytestmark = [pytest.mark.engine, pytest.mark.timeout(600)]


def test_f2_f5_b1_b2_fifty_kills_leave_nothing_behind(capsys: pytest.CaptureFixture[str]) -> None:
    seed = os.environ.get("DS01_CHAOS_SEED", "4711")
    done = subprocess.run(
        [sys.executable, "-m", "tests.chaos", "--kills", "50", "--seed", seed],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
    )
    with capsys.disabled():
        print(f"\n{done.stdout}")
    assert done.returncode == 0, done.stdout + done.stderr[-4000:]
    figures = dict(re.findall(r"^(.+?)  +(\S.*)$", done.stdout, re.MULTILINE))
    assert int(figures["kills"]) >= 50
    assert figures["named steps"] == f"{len(STEPS)} of {len(STEPS)}"
    for name in ("dockerd restarted", "dockerd killed", "ledger damaged", "ledger lost"):
        assert int(figures[name]) == 1
    assert int(figures["ledgers kept aside"]) >= 1
    assert int(figures["outcome create: done"]) > 10
    assert int(figures["looks at running containers"]) > 10
    assert figures["slots used twice"] == "0"
