"""What all tests share: the rig, Jupyter's test server, and a count of the tests on real parts."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator

import pytest

pytest_plugins = ["tests.rig.fixtures", "pytest_jupyter.jupyter_server"]

REAL_PARTS = {"engine": "the real Docker engine", "browser": "the real Chromium"}
COUNTED = ("passed", "failed", "skipped")


@pytest.fixture(autouse=True)
def jp_server_cleanup(request: pytest.FixtureRequest) -> None:
    """Clean up after tests that made a server.

    pytest-jupyter's fixture of this name makes a ServerApp for every test, to stop it again.
    """
    if "jp_configurable_serverapp" in request.fixturenames:
        request.getfixturevalue("jp_server_cleanup")


class RealParts:
    """Counts the outcomes of tests that are marked to need a real part."""

    def __init__(self) -> None:
        self.outcomes: Counter[tuple[str, str]] = Counter()
        self.skipped: list[str] = []

    def add(self, report: pytest.TestReport) -> None:
        """Count one report; the setup phase counts where a test does not come further."""
        if report.when != "call" and (report.when != "setup" or report.passed):
            return
        for marker in REAL_PARTS:
            if marker in report.keywords:
                self.outcomes[marker, report.outcome] += 1
                if report.skipped:
                    self.skipped.append(report.nodeid)

    def lines(self) -> Iterator[str]:
        """One line a part."""
        for marker, name in REAL_PARTS.items():
            counts = ", ".join(f"{self.outcomes[marker, each]} {each}" for each in COUNTED)
            yield f"on {name}: {counts}"


REAL = RealParts()


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Count the tests on real parts (under xdist this runs where the reports are gathered)."""
    REAL.add(report)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many tests ran on real parts."""
    terminalreporter.section("tests on real parts")
    for line in REAL.lines():
        terminalreporter.write_line(line)
    if REAL.skipped and _required():
        terminalreporter.write_line(
            "DS01_REQUIRE_REAL=1, but these were skipped: " + ", ".join(REAL.skipped), red=True
        )


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Where real parts are required, a skipped test on them fails the session."""
    if _required() and REAL.skipped and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def _required() -> bool:
    return os.environ.get("DS01_REQUIRE_REAL", "") == "1"
