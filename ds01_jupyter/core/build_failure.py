"""Why a build stopped, in plain words, from the output of the step that failed."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ds01_jupyter.core.docker_errors import NO_SPACE, disk_full
from ds01_jupyter.core.errors import BuildFailed, CoreError

SHOWN_LINES = 15
_ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")

_UNKNOWN = (
    re.compile(r"(?P<package>[\w.\-]+) was not found in the package registry"),
    re.compile(r"No matching distribution found for (?P<package>[\w.\-]+)"),
    re.compile(r"Unable to locate package (?P<package>\S+)"),
    re.compile(r"Package '?(?P<package>[\w.+\-]+)'? has no installation candidate"),
)
_NO_WHEEL = re.compile(
    r"(?P<package>[\w.\-]+)[\w.=<>!~+ ]* has no (?:usable wheels|wheels with a matching)"
)
_BROKEN = (
    re.compile(r"Failed to build [`'\"]?(?P<package>[\w.\-]+)"),
    re.compile(r"Failed building wheel for (?P<package>[\w.\-]+)"),
)
_CONFLICT = re.compile(
    r"No solution found|ResolutionImpossible|conflicting dependencies|unsatisfiable"
)
_NETWORK = re.compile(
    r"Failed to fetch|Could not resolve|Temporary failure (?:in name resolution|resolving)"
    r"|Connection (?:refused|timed out)|error sending request|NewConnectionError",
    re.IGNORECASE,
)
_NO_BASE = re.compile(
    r"failed to do request|pull access denied|manifest unknown|: not found$"
    r"|repository does not exist"
)
_NO_FILE = re.compile(r"""(?:failed to|cache key).*?"(?P<path>/[^"]*)"(?: not found|: not found)""")
_NOT_FOR_WORK = re.compile(r"unable to find user|executable file not found|stat \S+: no such file")
_VERSION = re.compile(
    r"there (?:is|are) no versions? of (?P<wanted>(?P<package>[\w.\-]+)[=<>!~][^ ,]*)"
)
_PLAIN = re.compile(r"^ds01: (?P<reason>.+)$", re.MULTILINE)


def clean(text: str) -> str:
    """A log line without terminal colours and carriage returns."""
    return _ANSI.sub("", text).rsplit("\r", 1)[-1].rstrip()


def build_failed(step: str, lines: Sequence[str], problem: str) -> CoreError:
    """The error for a failed step: its title, its output, and what the builder said.

    `DiskFull` when the step ran out of space; else `BuildFailed` with `step`, `package` (None
    when it cannot be read off the output), `log` and `problem` in its details.
    """
    shown = [line for line in map(clean, lines) if line][-SHOWN_LINES:]
    text = "\n".join(shown)
    if NO_SPACE.search(text) or NO_SPACE.search(problem):
        return disk_full(f"{step}: {text or problem}")
    reason, hint, package = _of_builder(problem) or _reason(text)
    return BuildFailed(
        f"The build stopped at “{step}”: {reason}.",
        hint=hint,
        step=step,
        package=package,
        log=shown,
        problem=problem,
    )


def _of_builder(problem: str) -> tuple[str, str, None] | None:
    """What the builder says about the Dockerfile, which a person may have changed, or about an
    image in which no step can run."""
    fault = re.search(r"dockerfile parse error|Dockerfile cannot be empty", problem, re.IGNORECASE)
    if fault:
        why = problem[fault.start() :].strip().rstrip(".")
        return f"the Dockerfile cannot be understood ({why})", "Correct it, or replace it.", None
    missing = _NO_FILE.search(problem)
    if missing:
        return (
            f"{missing['path']} is not there to be copied",
            "Correct the COPY line; a build sees only the files of its own folder.",
            None,
        )
    if "load metadata for" in problem or _NO_BASE.search(problem):
        return (
            "the image that its FROM names cannot be had",
            "Check its name; an image of this machine or of a registry can stand there.",
            None,
        )
    if _NOT_FOR_WORK.search(problem):
        return (
            "the image lacks what the step needs (an account root, python3)",
            "Choose an image made for working in, such as one from the catalogue.",
            None,
        )
    return None


def _reason(text: str) -> tuple[str, str, str | None]:
    # uv wraps its sentences; a name may stand on the next line.
    flat = " ".join(text.split())
    said = _PLAIN.search(text)
    if said:
        return said["reason"].rstrip("."), "Change the packages so that it stays as it is.", None
    for pattern in _UNKNOWN:
        found = pattern.search(flat)
        if found:
            return f"there is no package {found['package']}", "Check its name.", found["package"]
    if _NETWORK.search(flat):
        return (
            "the package index could not be reached",
            "Try again; tell your admin when it stays so.",
            None,
        )
    for pattern in _BROKEN:
        found = pattern.search(flat)
        if found:
            package = found["package"]
            hint = "Ask for a version that has a ready-made wheel for this Python."
            return f"{package} could not be compiled", hint, package
    found = _VERSION.search(flat)
    if found:
        package = found["package"]
        return f"there is no {found['wanted']}", "Ask for another version, or for any.", package
    found = _NO_WHEEL.search(flat)
    if found:
        package = found["package"]
        return (
            f"{package} has no ready-made wheel for this Python",
            "Leave it out, or choose a newer framework version.",
            package,
        )
    if _CONFLICT.search(flat):
        return (
            "the packages do not fit together, or not with the framework of the image",
            "The log names the versions that clash; change or drop one of them.",
            _culprit(flat),
        )
    return "its command failed", "The last lines of its log say why.", None


def _culprit(flat: str) -> str | None:
    found = re.search(r"you require (?P<package>[A-Za-z][\w.\-]*)", flat)
    return found["package"] if found else None
