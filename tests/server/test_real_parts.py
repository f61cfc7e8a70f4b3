"""The summary that says how many tests ran on real parts, and the rule that none is skipped."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TESTS = """
import pytest

@pytest.mark.engine
def test_one():
    pass

@pytest.mark.engine
def test_two():
    pytest.skip("no engine") if {skip} else None

@pytest.mark.engine
@pytest.mark.skipif({skip}, reason="no engine")
def test_three():
    pass

@pytest.mark.browser
def test_four():
    pass

@pytest.mark.skip(reason="this one needs nothing real")
def test_five():
    pass
"""


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize(
    ("skip", "required", "status"),
    [(True, "1", 1), (True, "", 0), (True, "0", 0), (False, "1", 0)],
)
def test_summary_and_status(
    tmp_path: Path, skip: bool, required: str, status: int, workers: int
) -> None:
    file = tmp_path / "test_some.py"
    file.write_text(TESTS.format(skip=skip))
    command = [sys.executable, "-m", "pytest", "-p", "tests.conftest", "-q", f"-n{workers}"]
    command += ["-c", str(ROOT / "pyproject.toml"), "--rootdir", str(tmp_path), str(file)]
    done = subprocess.run(
        [*command, "-p", "no:cacheprovider"],
        cwd=ROOT,
        env={**os.environ, "DS01_REQUIRE_REAL": required, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == status, done.stdout + done.stderr
    ran, skipped = (1, 2) if skip else (3, 0)
    assert f"on the real Docker engine: {ran} passed, 0 failed, {skipped} skipped" in done.stdout
    assert "on the real Chromium: 1 passed, 0 failed, 0 skipped" in done.stdout
    assert ("DS01_REQUIRE_REAL=1, but these were skipped" in done.stdout) == bool(status)
