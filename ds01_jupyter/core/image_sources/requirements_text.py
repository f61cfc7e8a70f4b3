"""`requirements.txt`: pip's format, of which packages are taken and options are not."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ds01_jupyter.core.image_sources.found import Found

_COMMENT = re.compile(r"(?:^|\s)#.*$")
_HASH = re.compile(r"\s--hash[= ]\S+")
_OPTION = re.compile(r"\s(?:--config-settings?|--global-option|-C)[= ].*$")

_WHY = (
    (
        ("-r", "--requirement"),
        "Not taken: it names another file; import that one too.",
    ),
    (
        ("-c", "--constraint"),
        "Not taken: it names a file of constraints; the framework's own hold anyhow.",
    ),
    (
        ("-e", "--editable"),
        "Not taken: a project of your own is installed in the container, from its workspace.",
    ),
    (
        ("-i", "--index-url", "--extra-index-url", "-f", "--find-links", "--no-index"),
        "Not taken: where packages come from is set by your admin.",
    ),
    (
        ("--pre", "--prefer-binary", "--only-binary", "--no-binary", "--use-feature"),
        "Not taken: options of pip do not hold here.",
    ),
)


def read_requirements(text: str, found: Found) -> None:
    """Take the packages of a requirements file; what else it says is noted with its line."""
    for number, line in logical_lines(text):
        if line.startswith("-"):
            found.note(line, _why(line), number)
            continue
        if _HASH.search(line):
            line = _HASH.sub("", line)
            found.note(line, "Its hashes are left out: the build keeps its own.", number)
        line = _OPTION.sub("", line)
        found.package(line.strip(), number)


def logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """The lines with the number of their first, continued ones joined, without comments; empty
    ones are left out."""
    start, joined = 0, ""
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.removeprefix("\ufeff") if number == 1 else raw
        if not joined:
            start = number
        if line.endswith("\\") and not line.lstrip().startswith("#"):
            joined += f"{line[:-1]} "
            continue
        whole = _COMMENT.sub("", joined + line).strip()
        joined = ""
        if whole:
            yield start, whole
    whole = _COMMENT.sub("", joined).strip()
    if whole:
        yield start, whole


def _why(line: str) -> str:
    option = re.split(r"[\s=]", line, maxsplit=1)[0]
    for options, why in _WHY:
        # pip takes a short option's value without a space: -rbase.txt.
        short = any(len(one) == 2 and line.startswith(one) for one in options)
        if option in options or (short and not line.startswith("--")):
            return why
    return "Not taken: this is an option of pip, not a package."
