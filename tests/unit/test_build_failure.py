"""Why a build stopped, read off the output of real installers."""

from __future__ import annotations

import pytest

from ds01_jupyter.core.build_failure import build_failed, clean
from ds01_jupyter.core.errors import BuildFailed, DiskFull

UV_TYPO = """\
Using Python 3.11.2 environment at: /usr
  x No solution found when resolving dependencies:
  ╰─▶ Because scikit-lern was not found in the package registry and you require
      scikit-lern, we can conclude that your requirements are unsatisfiable."""
UV_WRAPPED_TYPO = """\
  ╰─▶ Because scikit-lern was not found in the package
      registry and you require scikit-lern, ..."""
UV_CONFLICT = """\
  x No solution found when resolving dependencies:
  ╰─▶ Because you require torchvision>=0.21 and torchvision==0.20.1+cu121, we can
      conclude that your requirements are unsatisfiable."""
PIP_TYPO = """\
ERROR: Could not find a version that satisfies the requirement scikit-lern (from versions: none)
ERROR: No matching distribution found for scikit-lern"""
PIP_CONFLICT = """\
ERROR: Cannot install torchvision because these package versions have conflicting dependencies.
ERROR: ResolutionImpossible: for help visit https://pip.pypa.io/"""
APT_TYPO = """\
Reading package lists...
E: Unable to locate package ffmpg"""
UV_BUILD = """\
  x Failed to build `gym==0.21.0`
  ├─▶ The build backend returned an error"""


@pytest.mark.parametrize(
    ("output", "package", "words"),
    [
        (UV_TYPO, "scikit-lern", "there is no package scikit-lern"),
        (UV_WRAPPED_TYPO, "scikit-lern", "there is no package scikit-lern"),
        (PIP_TYPO, "scikit-lern", "there is no package scikit-lern"),
        (APT_TYPO, "ffmpg", "there is no package ffmpg"),
        (UV_CONFLICT, "torchvision", "do not fit together"),
        (PIP_CONFLICT, None, "do not fit together"),
        (UV_BUILD, "gym", "gym could not be compiled"),
        ("error: Failed to fetch: `https://x/simple/y/`", None, "could not be reached"),
        ("Segmentation fault", None, "its command failed"),
        ("x\nds01: torch was replaced: 2.5.1 became 2.15.0", None, "torch was replaced"),
    ],
)
def test_the_reason_in_plain_words(output: str, package: str | None, words: str) -> None:
    error = build_failed("Base", output.splitlines(), "exit code: 1")
    assert isinstance(error, BuildFailed)
    assert words in error.message
    assert "“Base”" in error.message
    assert error.hint
    assert error.details["package"] == package
    assert error.details["step"] == "Base"


def test_the_last_lines_are_shown() -> None:
    error = build_failed("Base", [f"line {n}" for n in range(40)], "exit code: 1")
    assert error.details["log"] == [f"line {n}" for n in range(25, 40)]


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        (["OSError: [Errno 28] No space left on device"], "exit code: 1"),
        ([], "write /var/lib/docker/tmp/x: no space left on device"),
    ],
)
def test_a_full_disk_is_said(lines: list[str], problem: str) -> None:
    error = build_failed("Base", lines, problem)
    assert isinstance(error, DiskFull)
    assert "full" in error.message


def test_terminal_colours_and_rewritten_lines_are_dropped() -> None:
    assert clean("10%\r\x1b[32mdone\x1b[0m  ") == "done"
